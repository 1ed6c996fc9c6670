package main

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/custodylog/custody/ingest/hooks"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/terminal"
)

// faulty is a place, and standard input, that panics.
type faulty struct{}

func (faulty) Read([]byte) (int, error) { panic("out of order") }
func (faulty) ask(context.Context, *hookMessage, *hooks.Report) ([]byte, error) {
	panic("out of order")
}
func (faulty) record(context.Context, []sighting.Sighting) (map[int]error, error) {
	panic("out of order")
}
func (faulty) stopped(context.Context, []sighting.Sighting) (string, error) { panic("out of order") }
func (faulty) close()                                                       {}

// scratch returns a file to write into.
func scratch(t *testing.T) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	check(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// written returns what was written into a file.
func written(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	check(t, err)
	return string(b)
}

// A fault of this program is no denial, unless one is asked for.
func TestHookPanics(t *testing.T) {
	const message = `{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"Bash","tool_use_id":"toolu_1"}`
	for _, c := range []struct {
		name   string
		in     io.Reader
		args   []string
		closed string
		want   string
		status int
	}{
		{"recording", strings.NewReader(message), []string{"claude-code"}, "", "{}", exitUnrecorded},
		{"recording, fail closed", strings.NewReader(message), []string{"claude-code"}, failTrail, `"permissionDecision":"deny"`, exitOK},
		{"reading", faulty{}, []string{"copilot", "preToolUse"}, "", "{}", exitUnrecorded},
		{"reading, fail closed", faulty{}, []string{"copilot", "preToolUse"}, failTrail, `"permissionDecision":"deny"`, exitOK},
		{"reading what no answer denies, fail closed", faulty{}, []string{"claude-code"}, failTrail, "", exitFailure},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("XDG_STATE_HOME", t.TempDir())
			output, errors := scratch(t), scratch(t)
			p := &program{in: c.in, out: terminal.New(output), err: terminal.New(errors), trail: "http://127.0.0.1:1"}
			opts := hookOptions{timeout: hookTimeout, failClosed: c.closed}
			h, err := opts.read(p, c.args)
			check(t, err)
			h.place = faulty{}
			err = h.answer(t.Context())
			check(t, p.out.Flush())
			p.report(err)
			out, errs := written(t, output), written(t, errors)
			if status := exitStatus(err); status != c.status || !strings.Contains(out, c.want) || c.want == "" && out != "" {
				t.Errorf("exit status %d: %s\n%s", status, out, errs)
			}
			for _, said := range []string{"out of order", "hook_fault_test.go"} {
				if !strings.Contains(errs, said) {
					t.Errorf("it does not say %q: %s", said, errs)
				}
			}
		})
	}
}
