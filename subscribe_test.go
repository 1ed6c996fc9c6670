package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/custodylog/custody/event"
)

// follower is a subscription that runs on a goroutine of its own. What it got is
// there to be read when everybody waits.
type follower struct {
	got []uint64
	err error
	end bool
}

func follow(ctx context.Context, trail *Trail, q Query) *follower {
	f := &follower{}
	go func() {
		for e, err := range trail.Subscribe(ctx, q) {
			if f.err = err; err == nil {
				f.got = append(f.got, e.Index)
			}
		}
		f.end = true
	}()
	return f
}

func (f *follower) want(t *testing.T, want ...uint64) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(f.got, want) {
		t.Errorf("got %v, want %v", f.got, want)
	}
}

func TestSubscribe(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		trail := onMem(t, Options{})
		defer trail.Close()
		record(t, trail, turns(1, 4)...)
		ctx, cancel := context.WithCancel(t.Context())
		begin := follow(ctx, trail, Query{})
		middle := follow(t.Context(), trail, Query{From: 2})
		later := follow(t.Context(), trail, Query{From: 6, Newest: true, To: 1}) // these two do not apply
		some := follow(t.Context(), trail, Query{AgentID: "agent-1"})
		limited := follow(t.Context(), trail, Query{Limit: 5})
		begin.want(t, 0, 1, 2, 3)
		middle.want(t, 2, 3)
		later.want(t)
		some.want(t, 1)
		limited.want(t, 0, 1, 2, 3)

		record(t, trail, turns(4, 7)...)
		begin.want(t, 0, 1, 2, 3, 4, 5, 6)
		middle.want(t, 2, 3, 4, 5, 6)
		later.want(t, 6)
		some.want(t, 1, 4)
		if limited.want(t, 0, 1, 2, 3, 4); !limited.end || limited.err != nil {
			t.Errorf("at its limit: %v, ended %v", limited.err, limited.end)
		}

		cancel()
		synctest.Wait()
		if !begin.end || !errors.Is(begin.err, context.Canceled) {
			t.Errorf("cancelled: %v, ended %v", begin.err, begin.end)
		}
		record(t, trail, turn(7))
		begin.want(t, 0, 1, 2, 3, 4, 5, 6)
		middle.want(t, 2, 3, 4, 5, 6, 7)

		must(t, trail.Close())
		synctest.Wait()
		for _, f := range []*follower{middle, later, some} {
			if !f.end || !errors.Is(f.err, ErrClosed) {
				t.Errorf("closed: %v, ended %v", f.err, f.end)
			}
		}
	})
}

// Whoever reads when the trail is closed is told so, and not that files are.
func TestSubscribeWhileClosing(t *testing.T) {
	for range 20 {
		trail := onMem(t, Options{})
		record(t, trail, turns(0, 200)...)
		done := make(chan error, 1)
		started := make(chan bool, 1)
		go func() {
			for q := (Query{}); ; {
				for e, err := range trail.Subscribe(t.Context(), q) {
					if err != nil {
						done <- err
						return
					}
					select {
					case started <- true:
					default:
					}
					if e.Index == 150 {
						break
					}
				}
			}
		}()
		<-started
		must(t, trail.Close())
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Fatalf("the error is %v", err)
		}
	}
}

// A reader gets what the writer in another process records, too.
func TestSubscribeReadOnly(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		trail := onMem(t, Options{})
		defer trail.Close()
		reader := openTrail(t, trail.Dir(), Options{ReadOnly: true, fs: trail.opts.fs})
		defer reader.Close()
		f := follow(t.Context(), reader, Query{})
		f.want(t, 0)
		for n := uint64(1); n < 5; n++ {
			record(t, trail, turn(int(n)))
			time.Sleep(time.Second)
			f.want(t, []uint64{0, 1, 2, 3, 4}[:n+1]...)
		}
		must(t, reader.Close())
		synctest.Wait()
		if !f.end || !errors.Is(f.err, ErrClosed) {
			t.Errorf("closed: %v, ended %v", f.err, f.end)
		}
	})
}

func TestHandlers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		log := &lines{}
		trail := onMem(t, Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
		defer trail.Close()

		var slow, good []uint64
		blocked := make(chan bool)
		trail.AddHandler(func(_ context.Context, e Entry) error {
			<-blocked
			slow = append(slow, e.Index)
			return nil
		}, HandlerOptions{Name: "slow"})
		trail.AddHandler(func(_ context.Context, e Entry) error {
			good = append(good, e.Index)
			return nil
		}, HandlerOptions{Name: "good"})

		// The failing one fails for entry 2, first with an error, then with a
		// panic, and then no more.
		type attempt struct {
			index uint64
			after time.Duration
		}
		var attempts []attempt
		start := time.Now()
		bad := trail.AddHandler(func(_ context.Context, e Entry) error {
			attempts = append(attempts, attempt{e.Index, time.Since(start)})
			if e.Index == 2 && len(attempts) < 8 {
				if len(attempts)%2 == 1 {
					return errors.New("no such sink")
				}
				panic("out of order")
			}
			return nil
		}, HandlerOptions{Name: "bad", MaxDelay: time.Second})

		record(t, trail, turns(1, 5)...) // nobody is waited for
		if waited := time.Since(start); waited != 0 {
			t.Errorf("recording took %v", waited)
		}
		synctest.Wait()
		if want := []uint64{0, 1, 2, 3, 4}; !slices.Equal(good, want) || len(slow) != 0 {
			t.Errorf("got %v and %v", good, slow)
		}
		if next, err := bad.Status(); next != 2 || err == nil || !strings.Contains(err.Error(), "no such sink") {
			t.Errorf("status: %d, %v", next, err)
		}
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		if next, err := bad.Status(); next != 2 || err == nil || !strings.Contains(err.Error(), "out of order") {
			t.Errorf("status: %d, %v", next, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		const ms = time.Millisecond
		want := []attempt{{0, 0}, {1, 0}, {2, 0}, {2, 100 * ms}, {2, 300 * ms}, {2, 700 * ms}, {2, 1500 * ms}, {2, 2500 * ms}, {3, 2500 * ms}, {4, 2500 * ms}}
		if !slices.Equal(attempts, want) {
			t.Errorf("attempts %v\nwant %v", attempts, want)
		}
		if next, err := bad.Status(); next != 5 || err != nil {
			t.Errorf("status: %d, %v", next, err)
		}
		if got := log.String(); strings.Count(got, "handler=bad") != 5 || !strings.Contains(got, "no such sink") || !strings.Contains(got, "out of order") {
			t.Errorf("the log says %s", got)
		}

		close(blocked)
		synctest.Wait()
		if want := []uint64{0, 1, 2, 3, 4}; !slices.Equal(slow, want) {
			t.Errorf("the slow one got %v", slow)
		}
		bad.Remove()
		record(t, trail, turn(5))
		synctest.Wait()
		if len(attempts) != len(want) || len(good) != 6 {
			t.Errorf("after its removal: %d attempts; the other got %v", len(attempts), good)
		}
	})
}

// A handler that waits for its next attempt is removed at once, and by Close.
func TestRemoveHandler(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		trail := onMem(t, Options{})
		fail := func(context.Context, Entry) error { return errors.New("no") }
		a := trail.AddHandler(fail, HandlerOptions{})
		trail.AddHandler(fail, HandlerOptions{})
		started := time.Now()
		waits := trail.AddHandler(func(ctx context.Context, _ Entry) error {
			<-ctx.Done()
			return ctx.Err()
		}, HandlerOptions{})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		a.Remove()
		waits.Remove()
		waits.Remove()
		must(t, trail.Close())
		if waited := time.Since(started); waited != 10*time.Second {
			t.Errorf("it took %v", waited)
		}
	})
}

// The limit of a handler counts what it has taken, over all attempts.
func TestHandlerLimit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		trail := onMem(t, Options{})
		defer trail.Close()
		var got []uint64
		failed := false
		h := trail.AddHandler(func(_ context.Context, e Entry) error {
			if e.Index == 2 && !failed {
				failed = true
				return errors.New("once")
			}
			got = append(got, e.Index)
			return nil
		}, HandlerOptions{Query: Query{Limit: 4}})
		record(t, trail, turns(1, 10)...)
		time.Sleep(time.Second)
		synctest.Wait()
		if want := []uint64{0, 1, 2, 3}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if next, _ := h.Status(); next != 4 {
			t.Errorf("its next entry is %d", next)
		}
	})
}

// No delay is longer than the longest that was asked for.
func TestHandlerShortDelay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		trail := onMem(t, Options{})
		defer trail.Close()
		attempts := 0
		trail.AddHandler(func(context.Context, Entry) error {
			attempts++
			return errors.New("no")
		}, HandlerOptions{MaxDelay: 10 * time.Millisecond})
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		if attempts != 101 {
			t.Errorf("%d attempts in a second", attempts)
		}
	})
}

// Handlers may be added while the trail is being closed.
func TestAddHandlerWhileClosing(t *testing.T) {
	for range 50 {
		trail := onMem(t, Options{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				trail.AddHandler(func(context.Context, Entry) error { return nil }, HandlerOptions{}).Remove()
			})
		}
		must(t, trail.Close())
		wg.Wait()
	}
}

// A handler can record, too.
func TestHandlerRecords(t *testing.T) {
	trail := onMem(t, Options{})
	done := make(chan Receipt, 1)
	trail.AddHandler(func(ctx context.Context, e Entry) error {
		r, err := trail.Record(ctx, event.Event{ID: fmt.Sprint("seen-", e.Index), Type: event.AccessRead})
		if err == nil {
			done <- r
		}
		return err
	}, HandlerOptions{Query: Query{Types: []event.Type{event.TurnStarted}}})
	record(t, trail, turn(1))
	if r := <-done; r.Index != 2 {
		t.Errorf("it recorded entry %d", r.Index)
	}
}

// Subscribers see each entry as it was recorded.
func TestSubscribedBytes(t *testing.T) {
	trail := onMem(t, Options{})
	record(t, trail, turns(1, 20)...)
	n := 0
	for e, err := range trail.Subscribe(t.Context(), Query{Limit: 20}) {
		must(t, err)
		if want := get(trail.Entry(t.Context(), e.Index))(t); !bytes.Equal(e.Envelope, want.Envelope) || !bytes.Equal(e.Payload, want.Payload) {
			t.Errorf("entry %d differs", e.Index)
		}
		n++
	}
	if n != 20 {
		t.Errorf("%d entries", n)
	}
}
