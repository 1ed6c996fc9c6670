package custody

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
)

// Hundreds of goroutines record, one by one, in batches and the same again, while
// others query, verify, subscribe, handle and count: nothing is lost, nothing
// stands twice, everything stands in the order of its index, and no goroutine is
// left when the trail is closed.
func TestConcurrency(t *testing.T) {
	for _, async := range []bool{false, true} {
		t.Run(fmt.Sprint("async ", async), func(t *testing.T) { testConcurrency(t, async) })
	}
}

func testConcurrency(t *testing.T, async bool) {
	const recorders, each = 256, 12
	before := ours()
	mirror := &lines{}
	opts := Options{Async: async, FlushInterval: 10 * time.Millisecond, KeyDir: t.TempDir(), Mirror: slog.New(slog.NewTextHandler(mirror, nil))}
	trail := newTrail(t, opts)
	reader := openTrail(t, trail.Dir(), Options{ReadOnly: true})
	ctx, cancel := context.WithCancel(t.Context())

	var recording, reading sync.WaitGroup
	var first atomic.Uint64 // receipts that are not of a duplicate
	receipts := make([][]Receipt, recorders)
	for g := range recorders {
		recording.Go(func() {
			receipts[g] = recordMany(t, trail, g, each)
			first.Add(uint64(len(receipts[g])))
		})
	}
	var handled atomic.Uint64
	trail.AddHandler(func(_ context.Context, e Entry) error {
		if next := handled.Load(); e.Index != next {
			return fmt.Errorf("entry %d came, expected was %d", e.Index, next)
		}
		handled.Add(1)
		return nil
	}, HandlerOptions{Name: "in order"})
	for _, trail := range []*Trail{trail, reader} {
		for _, read := range []func(context.Context, *Trail) error{queryOften, verifyOften, subscribeInOrder, countOften} {
			reading.Go(func() {
				if err := read(ctx, trail); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
	}
	recording.Wait()
	if async {
		get(trail.Flush(t.Context()))(t)
	}
	cancel()
	reading.Wait()

	// Of four ways to record, the last gives two events and a common one.
	want := uint64(1 + recorders*each/4*5 + each/4)
	if got := 1 + first.Load(); !async && got != want {
		t.Errorf("%d events were recorded for the first time, want %d", got, want)
	}
	wantSize(t, trail, want)
	wantSize(t, reader, want)
	seen := map[string]bool{}
	for i, e := range all(t, trail, Query{}) {
		ev := get(e.Event())(t)
		if e.Index != uint64(i) || seen[ev.ID] {
			t.Fatalf("entry %d stands at %d, or id %s stands twice", e.Index, i, ev.ID)
		}
		seen[ev.ID] = true
	}
	for _, list := range receipts {
		for _, r := range list {
			if e, err := trail.EntryByID(t.Context(), r.ID); err != nil || !async && (e.Index != r.Index || e.Hash != r.Hash) {
				t.Fatalf("receipt %+v: entry %d, %v", r, e.Index, err)
			}
		}
	}
	wantClean(t, trail)
	wantClean(t, reader)
	if n := strings.Count(mirror.String(), "\n"); uint64(n) != want-1 {
		t.Errorf("%d events were mirrored of %d", n, want-1)
	}
	must(t, trail.Close())
	must(t, reader.Close())
	wantNoneLeft(t, before)
	trail = openTrail(t, trail.Dir(), Options{KeyDir: opts.KeyDir})
	wantSize(t, trail, want)
	wantClean(t, trail)
}

// recordMany records in several ways, and returns the receipts of events that
// were not there.
func recordMany(t *testing.T, trail *Trail, g, n int) (receipts []Receipt) {
	add := func(r Receipt, err error) {
		if err != nil {
			t.Error(err)
		} else if !r.Duplicate {
			receipts = append(receipts, r)
		}
	}
	for i := range n {
		e := event.Event{ID: fmt.Sprintf("%d-%d", g, i), Type: event.TurnEnded, SessionID: "s", AgentID: fmt.Sprint("agent-", g%7), Timestamp: time.Unix(1, 0)}
		switch i % 4 {
		case 0:
			add(trail.Record(t.Context(), e))
		case 1: // the same again: the second one tells nothing new
			add(trail.Record(t.Context(), e))
			if r, err := trail.Record(t.Context(), e); err != nil || !r.Duplicate && !trail.opts.Async {
				t.Errorf("the same again: %+v, %v", r, err)
			}
		case 2: // without an id of its own
			e.ID = ""
			add(trail.Record(t.Context(), e))
		case 3: // a batch, which holds one twice, and one that everybody records
			other, common := e, e
			other.ID += "-b"
			common.ID, common.AgentID = fmt.Sprint("common-", i), ""
			list, err := trail.RecordBatch(t.Context(), []event.Event{e, other, common, e})
			if err != nil {
				t.Error(err)
			}
			for _, r := range list[:min(3, len(list))] {
				add(r, nil)
			}
		}
	}
	return receipts
}

// again calls f until it fails or ctx ends, and at least once.
func again(ctx context.Context, f func() error) error {
	for {
		if err := f(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

func queryOften(ctx context.Context, trail *Trail) error {
	return again(ctx, func() error {
		for _, q := range []Query{{AgentID: "agent-3"}, {Newest: true, Limit: 50}, {Types: []event.Type{event.TurnEnded}, SessionID: "s", Newest: true, Limit: 20}} {
			last, first := uint64(0), true
			for e, err := range trail.Entries(ctx, q) {
				if err != nil {
					return err
				}
				if !first && (e.Index < last) != q.Newest {
					return fmt.Errorf("entry %d comes behind %d", e.Index, last)
				}
				last, first = e.Index, false
			}
		}
		return nil
	})
}

func verifyOften(ctx context.Context, trail *Trail) error {
	return again(ctx, func() error {
		report, err := trail.Verify(ctx, VerifyOptions{})
		if err == nil && !report.OK() {
			err = fmt.Errorf("found are %v", report.Findings)
		}
		return err
	})
}

func subscribeInOrder(ctx context.Context, trail *Trail) error {
	next := uint64(0)
	for e, err := range trail.Subscribe(ctx, Query{}) {
		if err != nil {
			return err
		}
		if e.Index != next {
			return fmt.Errorf("entry %d came, expected was %d", e.Index, next)
		}
		next++
	}
	return nil
}

func countOften(ctx context.Context, trail *Trail) error {
	return again(ctx, func() error {
		least := trail.Size()
		counts, err := trail.Counts(ctx, time.Time{}, time.Time{}, time.Hour)
		if err != nil {
			return err
		}
		total := uint64(0)
		for _, c := range counts {
			total += c.Count
		}
		if total < least {
			return fmt.Errorf("counted are %d of %d", total, least)
		}
		_, err = trail.Stats(ctx)
		return err
	})
}

// ours returns the goroutines that run code of this module, but for tests.
func ours() map[string]bool {
	buf := make([]byte, 1<<20)
	for {
		if n := runtime.Stack(buf, true); n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	found := map[string]bool{}
	for _, g := range strings.Split(string(buf), "\n\n") {
		head, stack, _ := strings.Cut(g, "\n")
		if strings.Contains(stack, "custodylog/custody") && !strings.Contains(stack, "testing.tRunner(") && !strings.Contains(stack, "testing.(*M).Run") {
			id, _, _ := strings.Cut(head, " [")
			found[id+"\n"+stack] = true
		}
	}
	return found
}

// wantNoneLeft fails if goroutines run that did not run before. Those that have
// said that they end get a moment to do so.
func wantNoneLeft(t *testing.T, before map[string]bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		var left []string
		for g := range ours() {
			id, _, _ := strings.Cut(g, "\n")
			known := false
			for b := range before {
				known = known || strings.HasPrefix(b, id+"\n")
			}
			if !known {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
			return
		}
		runtime.Gosched()
	}
}

// Everything that a trail can start ends with it.
func TestNoGoroutineLeft(t *testing.T) {
	before := ours()
	for _, opts := range []Options{{}, {Async: true}, {ReadOnly: true}} {
		trail := onMem(t, Options{})
		record(t, trail, turns(1, 10)...)
		trail = reopen(t, trail, opts)
		trail.AddHandler(func(context.Context, Entry) error { return errors.New("no") }, HandlerOptions{})
		ended := make(chan bool)
		go func() {
			for range trail.Subscribe(t.Context(), Query{}) {
			}
			close(ended)
		}()
		if !opts.ReadOnly {
			get(trail.Record(t.Context(), turn(10)))(t)
		}
		must(t, trail.Close())
		<-ended
		wantNoneLeft(t, before)
	}
	// Nor do those that cannot be opened.
	trail := onMem(t, Options{})
	must(t, trail.Close())
	if _, err := Open(trail.Dir(), &Options{fs: trail.opts.fs, Signer: newKey(t), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}); !errors.Is(err, ErrKey) {
		t.Errorf("with another key: %v", err)
	}
	wantNoneLeft(t, before)
	if reopened := openTrail(t, trail.Dir(), Options{fs: trail.opts.fs, KeyDir: trail.opts.KeyDir}); reopened.Size() != 1 {
		t.Error("it is not as it was")
	}
}
