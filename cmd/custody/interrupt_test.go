package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// process is a running custody command, and a trail that it works on.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr bytes.Buffer
}

func newTrail(t *testing.T) (dir, keys string) {
	t.Helper()
	dir, keys = filepath.Join(t.TempDir(), "trail"), t.TempDir()
	if _, err := custody.Create(dir, custody.CreateOptions{Origin: "example.org/test", KeyDir: keys}); err != nil {
		t.Fatal(err)
	}
	return dir, keys
}

// start runs the program as TestMain put it on the PATH.
func start(t *testing.T, dir, keys string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command("custody", args...)}
	p.cmd.Env = append(os.Environ(), "CUSTODY_TRAIL="+dir, "CUSTODY_KEYS="+keys, "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = &p.stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<20)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() }) // if it has not ended
	return p
}

// line waits for a line of output.
func (p *process) line() string {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatalf("the output ends: %v; standard error:\n%s", p.out.Err(), p.stderr.String())
	}
	return p.out.Text()
}

// end sends a signal and returns the exit status.
func (p *process) end(sig os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

// wait returns the exit status.
func (p *process) wait() int {
	p.t.Helper()
	for p.out.Scan() {
	}
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Whoever interrupts recording finds on the disk what was accepted, and is told
// how much that is.
func TestRecordInterrupted(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		for _, mode := range []string{"--json", "--async"} {
			t.Run(fmt.Sprint(sig, " ", mode), func(t *testing.T) {
				dir, keys := newTrail(t)
				p := start(t, dir, keys, "record", mode)
				for i := range 3 {
					fmt.Fprintf(p.in, `{"event_type":"turn_started","session_id":"s","id":"event-%d"}`+"\n", i)
					if line := p.line(); !strings.Contains(line, fmt.Sprintf("event-%d", i)) {
						t.Fatalf("receipt %q", line)
					}
				}
				if status := p.end(sig); status != exitFailure {
					t.Errorf("exit status %d", status)
				}
				want := "recorded 3 events\nerror: interrupted behind line 3 of standard input, which is recorded\n"
				if p.stderr.String() != want {
					t.Errorf("standard error is\n%swant\n%s", p.stderr.String(), want)
				}
				trail, err := custody.Open(dir, &custody.Options{ReadOnly: true})
				if err != nil {
					t.Fatal(err)
				}
				defer trail.Close()
				for i := range 3 {
					if _, err := trail.EntryByID(t.Context(), fmt.Sprintf("event-%d", i)); err != nil {
						t.Error(err)
					}
				}
				if report, err := trail.Verify(t.Context(), custody.VerifyOptions{}); err != nil || !report.OK() {
					t.Errorf("verify: %v, %v", report, err)
				}
			})
		}
	}
}

// query --follow shows what another process records, and Ctrl-C is how it ends.
func TestFollow(t *testing.T) {
	dir, keys := newTrail(t)
	trail, err := custody.Open(dir, &custody.Options{KeyDir: keys, DiskWarning: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	record := func(id string, typ event.Type) {
		if _, err := trail.Record(t.Context(), event.Event{ID: id, Type: typ, SessionID: "s"}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 12 {
		record(fmt.Sprintf("old-%d", i), event.TurnStarted)
	}
	p := start(t, dir, keys, "query", "--follow", "--json", "--type", "turn_started")
	for i := 2; i < 12; i++ {
		if line := p.line(); !strings.Contains(line, fmt.Sprintf(`"id":"old-%d"`, i)) {
			t.Fatalf("got %s, want old-%d", line, i)
		}
	}
	for i := range 3 {
		record(fmt.Sprintf("other-%d", i), event.TurnEnded)
		record(fmt.Sprintf("new-%d", i), event.TurnStarted)
		if line := p.line(); !strings.Contains(line, fmt.Sprintf(`"id":"new-%d"`, i)) {
			t.Fatalf("got %s, want new-%d", line, i)
		}
	}
	if status := p.end(os.Interrupt); status != exitOK || p.stderr.Len() > 0 {
		t.Errorf("exit status %d, standard error %q", status, p.stderr.String())
	}

	// The table, from an index on.
	p = start(t, dir, keys, "query", "--follow", "--from", "13", "--type", "turn_started")
	if line := p.line(); !strings.HasPrefix(line, "INDEX ") {
		t.Errorf("got %q", line)
	}
	for i := range 3 {
		if line := strings.Fields(p.line()); line[0] != fmt.Sprint(14+2*i) {
			t.Errorf("got %q", line)
		}
	}
	if status := p.end(os.Interrupt); status != exitOK {
		t.Errorf("exit status %d", status)
	}
}

// import records what it gets while it waits for more, and can be interrupted
// then.
func TestImportInterrupted(t *testing.T) {
	dir, keys := newTrail(t)
	trail, err := custody.Open(dir, &custody.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	p := start(t, dir, keys, "import", "ndjson", "-", "--json")
	fmt.Fprintln(p.in, `{"event_type":"turn_started","session_id":"s","id":"event-1"}`)
	for e, err := range trail.Subscribe(t.Context(), custody.Query{From: 1, Limit: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		if ev, err := e.Event(); err != nil || ev.ID != "event-1" {
			t.Errorf("entry 1 is %q, %v", ev.ID, err)
		}
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if line := p.line(); !strings.Contains(line, `"new":1,`) {
		t.Errorf("result %s", line)
	}
	if status := p.wait(); status != exitFailure || !strings.HasPrefix(p.stderr.String(), "error: interrupted\nhint: running it again") {
		t.Errorf("exit status %d, standard error %q", status, p.stderr.String())
	}
}
