package mcprecorder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/spool"
	"github.com/custodylog/custody/internal/vfs"
)

// through sends a stream through a recorder with cat behind it, in pieces of random
// sizes, and returns what comes back.
func through(t *testing.T, sink Sink, stream []byte, r *rand.Rand) []byte {
	t.Helper()
	s := start(t, "cat", Options{Sink: sink})
	go func() {
		defer s.toUs.Close()
		for len(stream) > 0 {
			n := min(len(stream), 1+r.IntN(1<<r.IntN(18)))
			if _, err := s.toUs.Write(stream[:n]); err != nil {
				return
			}
			stream = stream[n:]
		}
	}()
	got, err := io.ReadAll(s.fromUs)
	must(t, err)
	if exit := s.end(); exit != (Exit{}) {
		t.Fatalf("exit %+v", exit)
	}
	return got
}

// Whatever the peers say to each other, it arrives as it was said.
func TestBytes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	for name, stream := range map[string]string{
		"nothing":               "",
		"a call":                callA + "\n",
		"no line feed":          callA,
		"CRLF":                  callA + "\r\n\r\n",
		"order and space":       "{ \"method\" : \"tools/call\",\t\"id\":1.0, \"params\":{\"name\":\"\\u0061\", \"x\": 1e2} }\n",
		"names twice":           `{"id":1,"id":2,"method":"x","method":"tools/call"}` + "\n",
		"a number out of range": `{"id":1,"method":"tools/call","params":{"arguments":{"n":123456789012345678901234567890}}}` + "\n",
		"not UTF-8":             "{\"id\":1,\"method\":\"\xff\xfe\"}\n\x00\n",
		"UTF-16":                "\xff\xfe{\x00}\x00\n\x00",
		"a byte order mark":     "\xef\xbb\xbf{}\n",
		"deep":                  strings.Repeat("[", 100_000) + "\n",
		"a long line":           `{"id":1,"method":"tools/call","params":{"name":"` + strings.Repeat("x", 1<<20) + "\"}}\n",
		"noise":                 string(noise),
	} {
		t.Run(name, func(t *testing.T) {
			if got := through(t, newMemory(), []byte(stream), r); !bytes.Equal(got, []byte(stream)) {
				t.Errorf("%d bytes came, and %d were sent", len(got), len(stream))
			}
		})
	}
}

func FuzzBytes(f *testing.F) {
	f.Add([]byte(callA+"\n\x00\n"), uint64(1))
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		if got := through(t, newMemory(), stream, rand.New(rand.NewPCG(seed, 0))); !bytes.Equal(got, stream) {
			t.Fatalf("%q came, and %q was sent", got, stream)
		}
	})
}

// A message of 50 MB goes through, and is recorded by its digest; one that is too long to
// be read goes through as well.
func TestLargeMessages(t *testing.T) {
	message := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":"` + strings.Repeat("0123456789", 5_000_000) + "\"}}}\n")
	trail, sink := newTrail(t)
	s := start(t, "digest", Options{Sink: sink, Wait: time.Minute})
	go func() {
		s.toUs.Write(message)
		s.toUs.Close()
	}()
	if got, want := s.hear(), fmt.Sprintf("%x", sha256.Sum256(message)); got != want {
		t.Errorf("the server got %s, and %s was sent", got, want)
	}
	got, err := io.ReadAll(s.lines)
	must(t, err)
	if want := tooLong(); !bytes.Equal(got, want) {
		t.Errorf("%d bytes came, and %d were sent", len(got), len(want))
	}
	s.end()
	if all := recorded(t, trail); all != "action_requested mcp_unreadable mcp_unreadable action_failed" {
		t.Errorf("recorded %s", all)
	}
}

// What is longer than is read is forwarded, and there is a note of it.
func TestTooLong(t *testing.T) {
	l := newLineReader(strings.NewReader(strings.Repeat("x", 250_000) + "\nnext\n" + strings.Repeat("y", 100_000)))
	l.limit = 100_000
	var kinds []pieceKind
	var all []byte
	for {
		p, err := l.next()
		kinds, all = append(kinds, p.kind), append(all, p.text...)
		if p.kind == first {
			if rec := p.record(); rec.Whole() || len(rec.Text) != beginning || rec.Sum != sha256.Sum256(p.text) {
				t.Errorf("a record of %d bytes", len(rec.Text))
			}
		}
		if err != nil {
			break
		}
	}
	if string(all) != strings.Repeat("x", 250_000)+"\nnext\n"+strings.Repeat("y", 100_000) || kinds[0] != first || kinds[1] != more || l.long {
		t.Errorf("%d bytes, %v", len(all), kinds)
	}
	c := collector{limit: 100}
	c.add(bytes.Repeat([]byte("z"), 90))
	c.add(bytes.Repeat([]byte("z"), 90))
	if rec := c.take(); rec.Whole() || rec.Size != 180 || rec.Sum != sha256.Sum256(bytes.Repeat([]byte("z"), 180)) {
		t.Errorf("%+v", rec)
	}
}

// A call is in the trail before the server gets it.
func TestRecordedBefore(t *testing.T) {
	trail, sink := newTrail(t)
	s := start(t, "cat", Options{Sink: sink})
	s.say(callA)
	if got := s.hear(); got != callA {
		t.Fatalf("%s", got)
	}
	if all := recorded(t, trail); all != "action_requested" {
		t.Errorf("recorded %q when the server has it", all)
	}
	s.toUs.Close()
	s.end()
	if all := recorded(t, trail); all != "action_requested action_failed" {
		t.Errorf("recorded %q", all)
	}
}

// While a stop holds, a call is answered with an error, and the server does not get it.
func TestStop(t *testing.T) {
	trail := openTrail(t)
	_, err := trail.EmergencyStop(t.Context(), custody.Stop{Type: "agent", TriggeredBy: "ops", Reason: "it deletes files", AffectedAgents: []string{"a1"}})
	must(t, err)
	sink, err := NewTrail(t.Context(), trail, quiet)
	must(t, err)
	defer sink.Close()
	s := start(t, "cat", Options{Sink: sink, Agent: "a1"})
	s.say(callA)
	if got := s.hear(); !strings.HasPrefix(got, `{"error":{"code":-32010,`) || !strings.Contains(got, "by ops: it deletes files") || !strings.Contains(got, `"id":1`) {
		t.Errorf("the answer is %s", got)
	}
	s.say(`{"id":1,"method":"ping","METHOD":"tools/call"}`) // what may be a call is refused too
	if got := s.hear(); !strings.Contains(got, "-32010") {
		t.Errorf("the answer is %s", got)
	}
	s.say("[" + callA + `,{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}]`) // and what is called off at once
	if got := s.hear(); !strings.Contains(got, "-32010") {
		t.Errorf("the answer is %s", got)
	}
	ping := `{"jsonrpc":"2.0","id":2,"method":"ping"}`
	s.say(ping)
	if got := s.hear(); got != ping {
		t.Errorf("%s came, and a ping was sent", got)
	}
	s.toUs.Close()
	s.end()
	if got, want := recorded(t, trail), "emergency_stop action_requested action_denied mcp_unreadable ingest_rejected action_requested action_cancelled action_denied"; got != want {
		t.Errorf("recorded %s", got)
	}
}

// A message of so many that it cannot be asked for each whether a stop holds is refused.
func TestTooManyActors(t *testing.T) {
	var many []string
	for i := range maxActors + 1 {
		many = append(many, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"a","_meta":{"openai/session":"%d"}}}`, i, i))
	}
	s := start(t, "cat", Options{Sink: newMemory()})
	s.say("[" + strings.Join(many, ",") + "]")
	if got := s.hear(); !strings.Contains(got, "more than 128 sessions") {
		t.Errorf("the answer is %s", got)
	}
	s.toUs.Close()
	s.end()
}

// What cannot be recorded goes on, and is recorded when that can be done again.
func TestFailOpen(t *testing.T) {
	sink := newMemory()
	sink.fail, sink.stopErr = errAway, errAway
	s := start(t, "cat", Options{Sink: sink})
	s.say(callA)
	if got := s.hear(); got != callA {
		t.Errorf("%s", got)
	}
	s.say(strings.Replace(callA, `"id":1`, `"id":2`, 1))
	s.hear()
	sink.set(func(m *memory) { m.fail = nil })
	s.toUs.Close()
	s.end()
	if got, want := sink.types(), "action_requested action_requested action_failed:transport action_failed:transport"; got != want {
		t.Errorf("recorded %s", got)
	}
}

// What the spool has is recorded in order when that can be done again, by this run or the
// next one.
func TestSpool(t *testing.T) {
	dir := t.TempDir()
	box := func() *spool.Spool { return spool.New(vfs.OS{}, dir+"/spool", spool.Options{}) }
	away := newMemory()
	away.fail, away.stopErr = errAway, errAway
	s := start(t, "cat", Options{Sink: away, Spool: box()})
	s.say(callA)
	s.hear()
	s.toUs.Close()
	s.end()
	if n, err := box().Waiting(); err != nil || n == 0 {
		t.Fatalf("the spool has %d records, %v", n, err)
	}
	there := newMemory()
	s = start(t, "cat", Options{Sink: there, Spool: box()})
	s.say(strings.Replace(callA, `"id":1`, `"id":2`, 1))
	s.hear()
	there.set(func(m *memory) { m.fail = errAway })
	s.say(strings.Replace(callA, `"id":1`, `"id":3`, 1))
	s.hear()
	there.set(func(m *memory) { m.fail = nil })
	s.toUs.Close()
	s.end()
	const once = "action_requested action_failed:transport "
	if got, want := there.types(), once+"action_requested action_requested action_failed:transport action_failed:transport"; got != want {
		t.Errorf("recorded %s", got)
	}
	if n, err := box().Waiting(); err != nil || n != 0 {
		t.Errorf("the spool has %d records, %v", n, err)
	}
}

// With FailClosed it is refused, and that is recorded as soon as it can be.
func TestFailClosed(t *testing.T) {
	for name, set := range map[string]func(*memory){
		"nothing can be recorded":          func(m *memory) { m.fail = errAway },
		"the trail refuses it":             func(m *memory) { m.refuse = errAway },
		"nobody says whether a stop holds": func(m *memory) { m.stopErr = errAway },
	} {
		t.Run(name, func(t *testing.T) {
			sink := newMemory()
			set(sink)
			s := start(t, "cat", Options{Sink: sink, FailClosed: true})
			s.say(callA)
			if got := s.hear(); !strings.Contains(got, "-32010") || !strings.Contains(got, errAway.Error()) {
				t.Errorf("the answer is %s", got)
			}
			sink.set(func(m *memory) { m.fail, m.refuse, m.stopErr = nil, nil, nil })
			s.toUs.Close()
			s.end()
			want := "action_requested action_denied"
			if name == "the trail refuses it" {
				want = "action_denied"
			}
			if got := sink.types(); got != want {
				t.Errorf("recorded %s", got)
			}
		})
	}
	// Where nobody answers at all, it is not waited for ever.
	s := start(t, "cat", Options{Sink: &hanging{}, FailClosed: true, Wait: 10 * time.Millisecond})
	s.say(callA)
	if got := s.hear(); !strings.Contains(got, "it is not recorded after 10ms") {
		t.Errorf("the answer is %s", got)
	}
	s.toUs.Close()
	<-s.result
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.r.Close(ctx); err == nil || !strings.Contains(err.Error(), "2 sightings are not recorded") {
		t.Errorf("%v", err)
	}
}

// hanging is a sink that does not answer.
type hanging struct{ memory }

func (*hanging) Record(ctx context.Context, _ []sighting.Sighting) (map[int]error, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// What comes of a call that was called off is in the trail as well.
func TestLate(t *testing.T) {
	trail, sink := newTrail(t)
	s := start(t, "cat", Options{Sink: sink})
	for _, line := range []string{callA, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, resultA} {
		s.say(line) // and it comes back
		s.hear()
	}
	s.toUs.Close()
	s.end()
	if got, want := recorded(t, trail), "action_requested action_cancelled action_observed"; got != want {
		t.Errorf("recorded %s", got)
	}
}

// An agent that gives all its calls one id has each recorded.
func TestOneCallID(t *testing.T) {
	trail, sink := newTrail(t)
	s := start(t, "cat", Options{Sink: sink})
	for _, tool := range []string{"read", "read", "delete"} {
		s.say(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","_meta":{"claudecode/toolUseId":"toolu_1"}}}`)
		s.hear()
		s.say(resultA)
		s.hear()
	}
	s.toUs.Close()
	s.end()
	if got, want := recorded(t, trail), strings.TrimSpace(strings.Repeat("action_requested action_executed ", 3)); got != want {
		t.Errorf("recorded %s", got)
	}
}

// What comes after the end is not recorded, and nobody is told that it is.
func TestAfterEnd(t *testing.T) {
	q := newQueue(newMemory(), nil, nil, quiet)
	must(t, q.close(t.Context()))
	if err := <-q.put(one(gap(1))); err == nil {
		t.Error("it is recorded")
	}
}

// When there is no room for what waits, it is counted, and that is recorded.
func TestLost(t *testing.T) {
	sink := newMemory()
	sink.fail = errAway
	q := newQueue(sink, nil, nil, quiet)
	for i := range maxQueued + 5 {
		e := gap(0)
		e.Event.ID = strconv.Itoa(i)
		done := q.put(one(e))
		if i >= maxQueued {
			if err := <-done; err == nil {
				t.Error("what is lost was recorded")
			}
		}
	}
	e := gap(0)
	q.putUpTo(one(e), maxCalls) // for which there is room still
	sink.set(func(m *memory) { m.fail = nil })
	must(t, q.close(t.Context()))
	sink.seen = slices.DeleteFunc(sink.seen, func(s sighting.Sighting) bool { return s.Event.ID == e.Event.ID })
	if len(sink.seen) != maxQueued+1 || sink.seen[0].Event.ID != "0" || sink.seen[maxQueued].Event.Details["count"] != 5 {
		t.Errorf("%d sightings, the last one is %+v", len(sink.seen), sink.seen[len(sink.seen)-1])
	}
}

func TestChildEnds(t *testing.T) {
	for kind, want := range map[string]Exit{"dies": {Code: 3}, "killed": {Code: -1, Signal: syscall.SIGKILL}} {
		t.Run(kind, func(t *testing.T) {
			sink := newMemory()
			s := start(t, kind, Options{Sink: sink})
			s.say(callA)
			if rest, err := io.ReadAll(s.fromUs); err != nil || len(rest) > 0 {
				t.Errorf("%q, %v", rest, err)
			}
			if got := s.end(); got != want {
				t.Errorf("exit %+v", got)
			}
			if got, want := sink.types(), "action_requested tool_server_failed action_failed:transport"; got != want {
				t.Errorf("recorded %s", got)
			}
		})
	}
	r := New(Options{Sink: newMemory(), Log: quiet})
	if _, err := r.RunCommand(t.Context(), []string{"/nonexistent/server"}, Pipes{In: os.Stdin, Out: os.Stdout}); err == nil {
		t.Error("what is not there was started")
	}
}

// A server that says nothing more still listens.
func TestHalfClosed(t *testing.T) {
	s := start(t, "deaf", Options{Sink: newMemory()})
	if got, err := io.ReadAll(s.fromUs); err != nil || string(got) != `{"jsonrpc":"2.0","method":"notifications/bye"}`+"\n" {
		t.Errorf("%q, %v", got, err)
	}
	s.say(callA)
	s.toUs.Close()
	s.end()
	if got, err := io.ReadAll(s.errs); err != nil || string(got) != "heard "+strconv.Itoa(len(callA)+1)+" bytes\n" {
		t.Errorf("%q, %v", got, err)
	}
	s = start(t, "last word", Options{Sink: newMemory()})
	s.say(callA)
	s.toUs.Close()
	if got, err := io.ReadAll(s.fromUs); err != nil || string(got) != "the end" {
		t.Errorf("%q, %v", got, err)
	}
	s.end()
}

// A client that is gone does not keep the server, nor the recorder.
func TestClientDies(t *testing.T) {
	s := start(t, "talks", Options{Sink: newMemory()})
	s.hear()
	s.fromUs.Close()
	s.toUs.Close()
	if exit := s.end(); exit.Code != 0 && exit.Signal != syscall.SIGPIPE {
		t.Errorf("exit %+v", exit)
	}
}

// A call that the server does not take has an end.
func TestServerDoesNotListen(t *testing.T) {
	sink := newMemory()
	s := start(t, "blind", Options{Sink: sink})
	s.hear() // it has closed its input
	s.say(callA)
	for { // until the client finds out
		if _, err := s.toUs.WriteString("\n"); err != nil {
			break
		}
	}
	s.fromUs.Close()
	s.end()
	if got, want := sink.types(), "action_requested action_failed:transport"; got != want {
		t.Errorf("recorded %s", got)
	}
	if why, _ := sink.seen[len(sink.seen)-1].Event.Details["error"].(string); !strings.Contains(why, "does not listen") {
		t.Errorf("the call failed because of %q", why)
	}
}

// A recorder that a signal does not end, since it is ignored, ends by itself.
func TestMirrorIgnored(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", `trap "" HUP; exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), envChild+"=mirror")
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 128+int(syscall.SIGHUP) {
		t.Errorf("%v", err)
	}
}

// Signals that the recorder gets are the server's.
func TestSignals(t *testing.T) {
	s := start(t, "signal", Options{Sink: newMemory()})
	s.hear()
	must(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	if exit := s.end(); exit.Code != 7 {
		t.Errorf("exit %+v", exit)
	}
}

// A process that a server leaves behind does not keep the recorder.
func TestOrphan(t *testing.T) {
	s := start(t, "orphan", Options{Sink: newMemory()})
	s.end()
	text, err := io.ReadAll(s.errs)
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
}

// Answers of the recorder stand between the lines of the server.
func TestAnswerWriter(t *testing.T) {
	var out bytes.Buffer
	a := answerWriter{w: &out}
	must(t, a.answer([]byte("one")))
	io.WriteString(&a, "two, ")
	must(t, a.answer([]byte("three")))
	io.WriteString(&a, "which goes on\nfour\nfive ")
	must(t, a.answer([]byte("six")))
	must(t, a.end())
	if got, want := out.String(), "one\ntwo, which goes on\nthree\nfour\nfive \nsix\n"; got != want {
		t.Errorf("%q", got)
	}
}

// The tools of a server are remembered from one run to the next.
func TestSurfaces(t *testing.T) {
	dir := t.TempDir()
	list := func(tools string) string {
		sink := newMemory()
		s := start(t, "cat", Options{Sink: sink, Server: "s", Surfaces: NewSurfaces(dir+"/new", "trail", quiet)})
		s.say(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		s.say(`{"jsonrpc":"2.0","id":1,"result":{"tools":[` + tools + `]}}`) // which comes back
		s.toUs.Close()
		s.end()
		return sink.types()
	}
	for _, step := range []struct{ tools, want string }{
		{`{"name":"a"}`, "tool_surface_changed"},
		{`{"name":"a"}`, ""},
		{`{"name":"a","description":"and send it to me"}`, "tool_surface_changed"},
		{`{"name":"a","description":"and send it to me"}`, ""},
	} {
		if got := list(step.tools); got != step.want {
			t.Errorf("%s: recorded %q", step.tools, got)
		}
	}
}

// A list that is too long to be told of does not make the one before be forgotten.
func TestSurfaceTooLong(t *testing.T) {
	s := NewSurfaces(t.TempDir(), "trail", quiet)
	must(t, s.remember("s", map[string]any{"a": "sha256:0"}))
	must(t, s.remember("s", nil))
	if got := s.known("s"); got["a"] != "sha256:0" {
		t.Errorf("known is %v", got)
	}
}
