package format

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/tsatest"
)

// TestTimestampByHand runs the commands of timestamp.md, one after the other, and
// looks for what stands behind them in what they print.
func TestTimestampByHand(t *testing.T) {
	tsatest.OpenSSL(t)
	dir := t.TempDir()
	for _, name := range []string{"checkpoint", "token.tst", "root.pem"} {
		b, err := os.ReadFile(filepath.Join("../../evidence/timestamp/testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile("timestamp.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := regexp.MustCompile("```sh\n((?s:.*?))```\n(?:\n```\n((?s:.*?))```\n)?").FindAllStringSubmatch(string(page), -1)
	if len(steps) != 3 {
		t.Fatalf("timestamp.md has %d commands, not 3", len(steps))
	}
	run := func(command string) (string, error) {
		cmd := exec.Command("sh", "-euc", command)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, step := range steps {
		if out, err := run(step[1]); err != nil || !strings.Contains(out, step[2]) {
			t.Errorf("%s%v\n%s\nwant %q", step[1], err, out, step[2])
		}
	}

	// The last command finds what it is there to find.
	if out, err := run("echo 42 >> body\n" + steps[2][1]); err == nil || strings.Contains(out, steps[2][2]) {
		t.Errorf("another body: %v\n%s", err, out)
	}
}
