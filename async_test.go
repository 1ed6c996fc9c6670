package custody

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// inBubble runs a test with a clock of its own, which goes on when everybody
// waits. What a bubble made must not be used outside, so it gets a pool of its
// own.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	fresh := func() { jobs = sync.Pool{New: jobs.New} }
	fresh()
	defer fresh()
	synctest.Test(t, test)
}

// gate is a disk on which syncs wait while it is shut.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // closed when it is open
}

func newGate() *gate {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
}

func (g *gate) disk() vfs.FS {
	return vfstest.Inject(vfstest.NewMem(), func(op vfstest.Op) vfstest.Fault {
		if op.Kind == vfstest.Sync {
			g.mu.Lock()
			open := g.open
			g.mu.Unlock()
			<-open
		}
		return vfstest.None
	})
}

func TestFlushInterval(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		trail := onMem(t, Options{Async: true, FlushInterval: 10 * time.Second})
		defer trail.Close()
		r := get(trail.Record(t.Context(), turn(1)))(t)
		if r.ID != "turn-1" || r.Index != 0 || len(r.Checkpoint) != 0 || !r.Time.IsZero() {
			t.Errorf("the receipt is %+v", r)
		}
		time.Sleep(10*time.Second - time.Nanosecond)
		synctest.Wait()
		wantSize(t, trail, 1)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		wantSize(t, trail, 2)

		// Those that come meanwhile go along.
		get(trail.Record(t.Context(), turn(2)))(t)
		time.Sleep(9 * time.Second)
		get(trail.Record(t.Context(), turn(3)))(t)
		time.Sleep(1 * time.Second)
		synctest.Wait()
		wantSize(t, trail, 4)
		wantClean(t, trail)
	})
}

func TestFlush(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		trail := onMem(t, Options{Async: true, FlushInterval: time.Hour})
		defer trail.Close()
		start := time.Now()
		for n := range 5 {
			get(trail.Record(t.Context(), turn(n)))(t)
		}
		receipts := get(trail.RecordBatch(t.Context(), turns(5, 8)))(t)
		if len(receipts) != 3 || receipts[2].ID != "turn-7" {
			t.Errorf("the receipts are %+v", receipts)
		}
		wantSize(t, trail, 1)
		for _, want := range []int{8, 0} {
			if n := get(trail.Flush(t.Context()))(t); n != want {
				t.Errorf("%d were flushed, want %d", n, want)
			}
			wantSize(t, trail, 9)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("it waited for %v", waited)
		}
	})
	t.Run("with nothing asynchronous", func(t *testing.T) {
		trail := onMem(t, Options{})
		record(t, trail, turn(1))
		if n := get(trail.Flush(t.Context()))(t); n != 0 {
			t.Errorf("%d were flushed", n)
		}
	})
}

// Flush waits for what was accepted, however many others are refused meanwhile.
func TestFlushWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := newGate()
		trail := newTrail(t, Options{Async: true, FlushInterval: time.Hour, RefuseWhenFull: true, MaxPending: 3000, fs: g.disk(), DiskWarning: -1})
		defer trail.Close()
		g.shut()
		accepted, refused := 0, 0
		for n := range 50 {
			switch _, err := trail.Record(t.Context(), turn(n)); {
			case err == nil:
				accepted++
			case errors.Is(err, ErrFull):
				refused++
			default:
				t.Fatal(err)
			}
		}
		if accepted < 3 || refused < 3 {
			t.Fatalf("%d accepted, %d refused", accepted, refused)
		}
		var n int
		var err error
		done := false
		go func() {
			n, err = trail.Flush(t.Context())
			done = true
		}()
		synctest.Wait()
		for range 50 {
			if _, err := trail.Record(t.Context(), turn(99)); !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if done {
			t.Error("Flush returned before anything was durable")
		}
		g.release()
		synctest.Wait()
		if !done || n != accepted || err != nil {
			t.Errorf("Flush: %d of %d, %v, returned %v", n, accepted, err, done)
		}
		wantSize(t, trail, uint64(accepted)+1)
		get(trail.Record(t.Context(), turn(99)))(t) // there is room again
	})
}

// Without RefuseWhenFull a caller waits for room, and nothing waits for the
// flush interval while one does.
func TestFullWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		trail := onMem(t, Options{Async: true, FlushInterval: time.Hour, MaxPending: 3000})
		defer trail.Close()
		start := time.Now()
		for n := range 200 {
			get(trail.Record(t.Context(), turn(n)))(t)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("it waited for %v", waited)
		}
		get(trail.Flush(t.Context()))(t)
		wantSize(t, trail, 201)
	})
}

func TestCloseFlushes(t *testing.T) {
	trail := onMem(t, Options{Async: true, FlushInterval: time.Hour})
	for n := range 10 {
		get(trail.Record(t.Context(), turn(n)))(t)
	}
	trail = reopen(t, trail, Options{})
	wantSize(t, trail, 11)
	wantClean(t, trail)
}

// What goes wrong later is told by Flush, once, by Close, and in the log.
func TestLateErrors(t *testing.T) {
	t.Run("conflict", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			log := &lines{}
			trail := onMem(t, Options{Async: true, FlushInterval: time.Hour, Logger: slog.New(slog.NewTextHandler(log, nil))})
			other := turn(1)
			other.AgentID = "other"
			get(trail.Record(t.Context(), turn(1)))(t)
			get(trail.Record(t.Context(), other))(t)
			get(trail.Record(t.Context(), turn(2)))(t)
			if n, err := trail.Flush(t.Context()); n != 3 || !errors.Is(err, ErrConflict) {
				t.Errorf("Flush: %d, %v", n, err)
			}
			if !strings.Contains(log.String(), "turn-1") {
				t.Errorf("the log says %q", log)
			}
			if n, err := trail.Flush(t.Context()); n != 0 || err != nil {
				t.Errorf("Flush again: %d, %v", n, err)
			}
			wantSize(t, trail, 3)
			if _, err := trail.Record(t.Context(), other); !errors.Is(err, ErrConflict) {
				t.Errorf("what is known by now is told at once: %v", err)
			}
			other.ID = "turn-5"
			get(trail.Record(t.Context(), turn(5)))(t)
			get(trail.Record(t.Context(), other))(t)
			if err := trail.Close(); !errors.Is(err, ErrConflict) {
				t.Errorf("Close: %v", err)
			}
		})
	})
	t.Run("disk", func(t *testing.T) {
		disk := vfstest.NewMem()
		var broken atomic.Bool
		trail := newTrail(t, Options{Async: true, FlushInterval: time.Hour, DiskWarning: -1, fs: vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
			if broken.Load() && op.Kind == vfstest.Sync {
				return vfstest.Fail
			}
			return vfstest.None
		})})
		get(trail.Record(t.Context(), turn(1)))(t)
		broken.Store(true)
		if n, err := trail.Flush(t.Context()); n != 1 || !errors.Is(err, ErrFailed) || !errors.Is(err, vfstest.ErrInjected) {
			t.Errorf("Flush: %d, %v", n, err)
		}
		if _, err := trail.Record(t.Context(), turn(2)); !errors.Is(err, ErrFailed) {
			t.Errorf("Record: %v", err)
		}
		if _, err := trail.Flush(t.Context()); !errors.Is(err, ErrFailed) {
			t.Errorf("Flush again: %v", err)
		}
	})
}

// An event is refused at once for what is known at once.
func TestAsyncRefusesAtOnce(t *testing.T) {
	trail := onMem(t, Options{Async: true, Mode: event.Strict})
	var invalid *event.ValidationError
	if _, err := trail.Record(t.Context(), event.Event{Type: event.ActionDenied}); !errors.As(err, &invalid) {
		t.Errorf("Record: %v", err)
	}
	var be *BatchError
	if r, err := trail.RecordBatch(t.Context(), []event.Event{turn(1), {Type: event.ActionDenied}}); !errors.As(err, &be) || be.Position != 1 || len(r) != 1 {
		t.Errorf("RecordBatch: %v, %v", r, err)
	}
	if n, err := trail.Flush(t.Context()); n != 1 || err != nil {
		t.Errorf("Flush: %d, %v", n, err)
	}
}

func TestMirror(t *testing.T) {
	for _, async := range []bool{false, true} {
		t.Run(fmt.Sprint("async ", async), func(t *testing.T) {
			log := &lines{}
			handler := slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}})
			trail := onMem(t, Options{Async: async, FlushInterval: time.Hour, Mirror: slog.New(handler)})
			severities := []event.Severity{event.SeverityInfo, event.SeverityNotice, event.SeverityWarning, event.SeverityError, event.SeverityCritical}
			var want strings.Builder
			for i, s := range severities {
				e := event.Event{ID: fmt.Sprint(i), Type: event.ActionDenied, AgentID: "a", ActionID: "x", SessionID: "s", UserID: "u", ProjectID: "p", CorrelationID: "c",
					Decision: event.Deny, Outcome: event.OutcomeDenied, DecisionSource: event.ByPolicy, Severity: s}
				if i == 0 {
					e.Details = map[string]any{"tool_name": "Bash", "password": "s3cr3t"}
				}
				_, err := trail.RecordBatch(t.Context(), []event.Event{e, e}) // the second one tells nothing new
				must(t, err)
				details := ""
				if i == 0 {
					details = ` details="map[password:[REDACTED] tool_name:Bash]"`
				}
				fmt.Fprintf(&want, "level=%s msg=audit audit_event=action_denied event_id=%d agent_id=a action_id=x project_id=p session_id=s user_id=u correlation_id=c decision=deny outcome=denied%s\n", s.Level(), i, details)
			}
			get(trail.Flush(t.Context()))(t)
			if got := log.String(); got != want.String() {
				t.Errorf("got\n%swant\n%s", got, want.String())
			}
		})
	}
	t.Run("a level that is not wanted", func(t *testing.T) {
		log := &lines{}
		trail := onMem(t, Options{Mirror: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		record(t, trail, event.Event{Type: event.TurnEnded, SessionID: "s"}, event.Event{Type: event.LoopDetected, AgentID: "a"})
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "loop_detected") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("what is not recorded", func(t *testing.T) {
		log := &lines{}
		trail := onMem(t, Options{Mode: event.Strict, Mirror: slog.New(slog.NewTextHandler(log, nil))})
		if _, err := trail.Record(t.Context(), event.Event{Type: event.ActionDenied}); err == nil || log.String() != "" {
			t.Errorf("%v, and the mirror says %q", err, log)
		}
	})
}
