package mcprecorder

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/ingest/mcp"
	"github.com/custodylog/custody/ingest/sighting"
)

// envChild makes the test binary the server of that kind.
const envChild = "CUSTODY_TEST_CHILD"

func TestMain(m *testing.M) {
	if kind := os.Getenv(envChild); kind != "" {
		child(kind)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is a server of a kind.
func child(kind string) {
	in := bufio.NewReader(os.Stdin)
	switch kind {
	case "cat":
		io.Copy(os.Stdout, in)
	case "dies": // once it is asked
		in.ReadString('\n')
		os.Exit(3)
	case "killed":
		in.ReadString('\n')
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "deaf": // says one line, and then only listens
		fmt.Println(`{"jsonrpc":"2.0","method":"notifications/bye"}`)
		os.Stdout.Close()
		n, _ := io.Copy(io.Discard, in)
		fmt.Fprintf(os.Stderr, "heard %d bytes\n", n)
	case "blind": // does not listen, and ends when nobody listens to it
		signal.Ignore(syscall.SIGPIPE)
		os.Stdin.Close()
		for {
			if _, err := fmt.Println(`{"jsonrpc":"2.0","method":"notifications/x"}`); err != nil {
				return
			}
		}
	case "mirror":
		os.Exit(Exit{Code: -1, Signal: syscall.SIGHUP}.Mirror())
	case "last word": // when it hears nothing more
		io.Copy(io.Discard, in)
		fmt.Print("the end")
	case "digest": // of what it hears, and a line that is too long to be read
		hash := sha256.New()
		io.Copy(hash, in)
		fmt.Printf("%x\n", hash.Sum(nil))
		os.Stdout.Write(tooLong())
	case "signal":
		got := make(chan os.Signal, 1)
		signal.Notify(got, syscall.SIGUSR1)
		fmt.Println("{}")
		<-got
		os.Exit(7)
	case "talks": // until nobody listens
		for {
			if _, err := fmt.Println(`{"jsonrpc":"2.0","method":"notifications/x"}`); err != nil {
				return
			}
		}
	case "orphan": // leaves a process behind that holds its output
		p, err := os.StartProcess("/bin/sleep", []string{"sleep", "60"}, &os.ProcAttr{Files: []*os.File{nil, os.Stdout, nil}})
		if err == nil {
			fmt.Fprintf(os.Stderr, "%d\n", p.Pid)
		}
	}
}

// tooLong returns a line that is longer than is read.
func tooLong() []byte {
	return append(bytes.Repeat([]byte("0123456789abcdef"), MaxMessage/16), "more\n"...)
}

// quiet takes what a recorder has to say.
var quiet = slog.New(slog.DiscardHandler)

// memory is a sink that records in memory, and fails when it is told to. It stands for a
// trail that cannot be written, or a server that is away.
type memory struct {
	mu      sync.Mutex
	seen    []sighting.Sighting // guarded by mu, and so are the others
	fail    error
	refuse  error // of every call
	stop    *Stop
	stopErr error
}

func newMemory() *memory { return &memory{} }

func (s *memory) Record(_ context.Context, seen []sighting.Sighting) (map[int]error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	refused := map[int]error{}
	for i := range seen {
		if s.refuse != nil && seen[i].Call != nil && seen[i].Call.Phase == sighting.Requested {
			refused[i] = s.refuse
			continue
		}
		s.seen = append(s.seen, seen[i])
	}
	return refused, nil
}

func (s *memory) Stopped(context.Context, mcp.Actor) (*Stop, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop, s.stopErr
}

func (s *memory) set(change func(*memory)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// types returns the types of what is recorded, and where a call is about to be run the
// layer that it failed at.
func (s *memory) types() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for i := range s.seen {
		one := string(s.seen[i].Event.Type)
		if layer, _ := s.seen[i].Event.Details["layer"].(string); layer != "" {
			one += ":" + layer
		}
		all = append(all, one)
	}
	return strings.Join(all, " ")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newTrail returns a trail in a directory, and the sink that it is.
func newTrail(t testing.TB) (*custody.Trail, *Trail) {
	t.Helper()
	trail := openTrail(t)
	sink, err := NewTrail(t.Context(), trail, quiet)
	must(t, err)
	t.Cleanup(sink.Close)
	return trail, sink
}

func openTrail(t testing.TB) *custody.Trail {
	t.Helper()
	dir, keys := t.TempDir(), t.TempDir()
	_, err := custody.Create(dir, custody.CreateOptions{Origin: "example.org/mcp", KeyDir: keys})
	must(t, err)
	trail, err := custody.Open(dir, &custody.Options{KeyDir: keys, Logger: quiet, DiskWarning: -1})
	must(t, err)
	t.Cleanup(func() { trail.Close() })
	return trail
}

// recorded returns the types of the events of a trail, without those of its own.
func recorded(t testing.TB, trail *custody.Trail) string {
	t.Helper()
	var all []string
	for e, err := range trail.Entries(context.Background(), custody.Query{From: 1}) {
		must(t, err)
		all = append(all, string(e.Type))
	}
	return strings.Join(all, " ")
}

// session is a client at the other ends of the pipes.
type session struct {
	t      *testing.T
	toUs   *os.File
	fromUs *os.File
	errs   *os.File
	lines  *bufio.Reader
	r      *Recorder
	result chan result
}

type result struct {
	exit Exit
	err  error
}

// start runs a child of a kind behind a recorder.
func start(t *testing.T, kind string, o Options) *session {
	t.Helper()
	t.Setenv(envChild, kind)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // or each child takes a second
	in, toUs, err := os.Pipe()
	must(t, err)
	fromUs, out, err := os.Pipe()
	must(t, err)
	errs, childErr, err := os.Pipe()
	must(t, err)
	o.Transport, o.Log = "stdio", quiet
	s := &session{t: t, toUs: toUs, fromUs: fromUs, errs: errs, lines: bufio.NewReader(fromUs), r: New(o), result: make(chan result, 1)}
	go func() {
		exit, err := s.r.RunCommand(t.Context(), []string{os.Args[0]}, Pipes{In: in, Out: out, Err: childErr})
		childErr.Close()
		s.result <- result{exit, err}
	}()
	t.Cleanup(func() {
		for _, f := range []*os.File{toUs, fromUs, errs, in} {
			f.Close()
		}
	})
	return s
}

func (s *session) say(line string) {
	s.t.Helper()
	_, err := io.WriteString(s.toUs, line+"\n")
	must(s.t, err)
}

func (s *session) hear() string {
	s.t.Helper()
	line, err := s.lines.ReadString('\n')
	must(s.t, err)
	return strings.TrimSuffix(line, "\n")
}

// end waits until the child has ended and all is recorded.
func (s *session) end() Exit {
	s.t.Helper()
	got := <-s.result
	must(s.t, got.err)
	must(s.t, s.r.Close(s.t.Context()))
	return got.exit
}

var errAway = errors.New("the server is away")

const callA = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`
