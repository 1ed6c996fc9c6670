package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody/internal/terminal"
)

var update = flag.Bool("update", false, "write docs/cli.md and the output that scripts compare with anew")

//go:generate go test -run ^TestDocumentation$ . -update

// commands returns every command of the program that people see.
func commands(t *testing.T) []*cobra.Command {
	t.Helper()
	var all []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		all = append(all, cmd)
		for _, sub := range cmd.Commands() {
			if !sub.Hidden {
				walk(sub)
			}
		}
	}
	p := &program{in: strings.NewReader(""), out: terminal.NewFixed(io.Discard, 0, false), err: terminal.NewFixed(io.Discard, 0, false)}
	walk(newRootCommand(p))
	return all
}

func helpOf(t *testing.T, cmd *cobra.Command) string {
	t.Helper()
	var b bytes.Buffer
	p := &program{in: strings.NewReader(""), out: terminal.NewFixed(&b, 0, false), err: terminal.NewFixed(io.Discard, 0, false)}
	args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
	if status := p.main(t.Context(), args); status != exitOK {
		t.Fatalf("%q exits with %d", args, status)
	}
	return b.String()
}

// Every help says what the exit status means and ends with an example, which
// parses.
func TestHelp(t *testing.T) {
	seen := 0
	for _, cmd := range commands(t) {
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			seen++
			help := helpOf(t, cmd)
			status, example, ok := strings.Cut(help, "\nEXAMPLE\n")
			if !ok || !strings.Contains(example, "custody") {
				t.Errorf("it does not end with an example:\n%s", help)
			}
			_, status, ok = strings.Cut(status, "\nEXIT STATUS\n")
			if !ok || !strings.Contains(status, "  0  ") || !strings.Contains(status, "  2  ") {
				t.Errorf("it does not say what the exit status means:\n%s", help)
			}
			if strings.Contains(help, "<no value>") || strings.Contains(help, "\n\n\n") {
				t.Errorf("a hole in it:\n%s", help)
			}
			for line := range strings.Lines(help) {
				if n := terminal.Width(strings.TrimRight(line, "\n")); n > 105 {
					t.Errorf("a line of %d columns: %s", n, line)
				}
			}
			if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
				t.Errorf("short text %q", cmd.Short)
			}
		})
	}
	if seen < 20 {
		t.Errorf("%d commands seen", seen)
	}
}

// docs/cli.md is what the commands say. go generate ./cmd/custody writes it.
func TestDocumentation(t *testing.T) {
	const name = "../../docs/cli.md"
	want := documentation(t)
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s is not what the commands say; run go generate ./cmd/custody", name)
	}
}

func documentation(t *testing.T) []byte {
	var b bytes.Buffer
	b.WriteString("<!-- Generated from the commands by go generate ./cmd/custody. Do not edit. -->\n\n# The command line\n\n" + documentationIntro + "\n## Commands\n\n")
	all := commands(t)
	for _, cmd := range all {
		path := cmd.CommandPath()
		fmt.Fprintf(&b, "- [%s](#%s): %s\n", path, strings.ReplaceAll(path, " ", "-"), cmd.Short)
	}
	for _, cmd := range all {
		fmt.Fprintf(&b, "\n## %s\n\n```text\n%s```\n", cmd.CommandPath(), helpOf(t, cmd))
	}
	return b.Bytes()
}

const documentationIntro = "`custody` works on one trail: the directory given with `--trail`, or else in the environment\n" +
	"variable `CUSTODY_TRAIL`, or else `./" + defaultTrail + "`.\n\n" +
	"Results go to standard output. Everything else goes to standard error: errors (`error:`), what to\n" +
	"try next (`hint:`), what one should know although it went on (`warning:`), how it went, and progress\n" +
	"on a terminal. What `--json` writes is a contract: [cli-json.md](cli-json.md).\n\n" +
	"| exit status | meaning |\n|---|---|\n" +
	"| 0 | it was done |\n" +
	"| 1 | the trail does not check out: `verify` found something, or another command met stored bytes that are not what they should be |\n" +
	"| 2 | it could not be done, or not to the end |\n\n" +
	"On a terminal tables are cut to its width and have colours; elsewhere nothing is cut. Ctrl-C\n" +
	"(SIGINT) and SIGTERM end a command once what it has begun to write is on the disk; a second one ends it\n" +
	"at once, which loses nothing that was acknowledged.\n\n" +
	"| environment variable | meaning |\n|---|---|\n" +
	"| `CUSTODY_TRAIL` | the trail, where `--trail` is not given |\n" +
	"| `CUSTODY_KEYS` | the directory of signing keys, where `--key-dir` is not given |\n" +
	"| `NO_COLOR` | if it is not empty, no colours |\n"
