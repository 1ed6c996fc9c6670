package interop

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// TestDocumentation runs the commands of docs/interop.md on a trail, and compares the
// versions that it names with those that were tested.
func TestDocumentation(t *testing.T) {
	page := string(get(os.ReadFile("../docs/interop.md"))(t))
	tested := map[string]string{}
	for _, program := range []string{fsckProgram, litewitnessProgram, filepath.Join(filepath.Dir(fsckProgram), "telemetrygen")} {
		info := get(buildinfo.ReadFile(program))(t)
		for _, m := range append(info.Deps, &info.Main) {
			tested[m.Path] = m.Version
		}
	}
	// Libraries are in these tests, whose versions go.mod has.
	for _, r := range get(modfile.Parse("go.mod", get(os.ReadFile("go.mod"))(t), nil))(t).Require {
		if tested[r.Mod.Path] == "" {
			tested[r.Mod.Path] = r.Mod.Version
		}
	}
	for _, m := range regexp.MustCompile(`gomod: (\S+) (\S+)`).FindAllStringSubmatch(string(get(os.ReadFile("collector/manifest.yaml"))(t)), -1) {
		tested[m[1]] = m[2]
	}
	named := regexp.MustCompile(`\| (\S+/\S+) (v\S+) \||(\S+)/cmd/fsck@(\S+)`).FindAllStringSubmatch(page, -1)
	if len(named) < 6 {
		t.Errorf("the page names only %d versions", len(named))
	}
	for _, m := range named {
		if module, version := m[1]+m[3], m[2]+m[4]; tested[module] != version {
			t.Errorf("the page names %s %s; tested was %q", module, version, tested[module])
		}
	}

	script := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(page)
	if script == nil {
		t.Fatal("the page has no commands")
	}
	s, trail := newTrail(t)
	grow(t, trail, 300)
	run := regexp.MustCompile(`go run \S+/cmd/fsck@\S+`).ReplaceAllLiteralString(script[1], "fsck")
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", run)
	cmd.Dir = filepath.Dir(s.dir)
	cmd.Env = append(os.Environ(), "PATH="+strings.Join([]string{filepath.Dir(fsckProgram), os.Getenv("PATH")}, string(os.PathListSeparator)), "CUSTODY_KEYS="+s.keys)
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("Successfully fsck'd log with size 300 ")) {
		t.Errorf("%v\n%s", err, out)
	}
}
