package sequencer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/custodylog/custody/evidence"
)

// TestLazy: a lazy request waits for company, for the interval and no longer.
func TestLazy(t *testing.T) {
	const interval = time.Second
	lazy := func(name string) *Request {
		r := request(name)
		r.Lazy = true
		return r
	}
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, s *Sequencer, at func(time.Duration), expect func(...int))
	}{
		{"alone", func(t *testing.T, s *Sequencer, at func(time.Duration), expect func(...int)) {
			submit(t, s, lazy("a"))
			at(interval - 1)
			expect()
			at(interval)
			expect(1)
		}},
		{"with others", func(t *testing.T, s *Sequencer, at func(time.Duration), expect func(...int)) {
			submit(t, s, lazy("a"))
			at(interval / 2)
			submit(t, s, lazy("b"))
			at(interval - 1)
			submit(t, s, lazy("c"))
			expect()
			at(interval)
			expect(3)
			at(3 * interval)
			expect(3)
		}},
		{"twice", func(t *testing.T, s *Sequencer, at func(time.Duration), expect func(...int)) {
			submit(t, s, lazy("a"))
			at(interval + interval/2)
			submit(t, s, lazy("b"))
			at(2*interval + interval/2 - 1)
			expect(1)
			at(2*interval + interval/2)
			expect(1, 1)
		}},
		{"with one that does not wait", func(t *testing.T, s *Sequencer, at func(time.Duration), expect func(...int)) {
			submit(t, s, lazy("a"))
			at(interval / 3)
			submit(t, s, request("b"))
			at(interval / 3)
			expect(2)
			submit(t, s, lazy("c"))
			at(interval/3 + interval - 1)
			expect(2)
			at(interval/3 + interval)
			expect(2, 1)
		}},
		{"hurried", func(t *testing.T, s *Sequencer, at func(time.Duration), expect func(...int)) {
			submit(t, s, lazy("a"))
			at(interval / 3)
			s.Hurry()
			at(interval / 3)
			expect(1)
			submit(t, s, lazy("b"))
			at(interval / 2)
			expect(1)
		}},
		{"enough for a commit", func(t *testing.T, s *Sequencer, at func(time.Duration), expect func(...int)) {
			for range 2 {
				big := lazy("a")
				big.Events[0].Body = make([]byte, maxCommit/2)
				submit(t, s, big)
			}
			at(0)
			expect(2)
		}},
		{"hurried for nothing", func(t *testing.T, s *Sequencer, at func(time.Duration), expect func(...int)) {
			s.Hurry()
			at(0)
			submit(t, s, lazy("a"))
			at(interval - 1)
			expect()
			at(interval)
			expect(1)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newMemStore()
				cfg := config(t, store)
				cfg.FlushInterval = interval
				s := New(cfg)
				start := time.Now()
				tt.run(t, s, func(d time.Duration) {
					time.Sleep(time.Until(start.Add(d)))
					synctest.Wait()
				}, func(want ...int) {
					t.Helper()
					if got := store.sizes(); !slices.Equal(got, want) {
						t.Errorf("after %v: commits of %v entries, want %v", time.Since(start), got, want)
					}
				})
				s.Close()
			})
		})
	}
}

// TestLazyWhileCommitting: what is submitted while the store is busy waits from
// then on.
func TestLazyWhileCommitting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemStore()
		open := gate(store)
		cfg := config(t, store)
		cfg.FlushInterval = time.Second
		s := New(cfg)
		submit(t, s, request("a"))
		synctest.Wait()
		lazy := request("b")
		lazy.Lazy = true
		submit(t, s, lazy)
		time.Sleep(5 * time.Second)
		open <- nil
		synctest.Wait()
		start := time.Now()
		go func() { open <- nil }()
		wait(t, lazy)
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("it waited for %v", waited)
		}
		s.Close()
	})
}

// TestRoom: the bytes that wait are bounded, and what takes the room does not wait
// for company while somebody wants it.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemStore()
		cfg := config(t, store)
		cfg.FlushInterval = time.Hour
		cfg.MaxPending = 3 * (entryRoom + 18)
		s := New(cfg)
		start := time.Now()
		var lazy []*Request
		for i := range 3 {
			r := request(fmt.Sprint("lazy ", i))
			r.Events[0].Body = r.Events[0].Body[:18]
			r.Events[0].Commitment = evidence.CommitBody(r.Events[0].Body)
			r.Lazy = true
			submit(t, s, r)
			lazy = append(lazy, r)
		}
		synctest.Wait()
		if done(lazy[0]) {
			t.Fatal("a lazy request did not wait")
		}
		// One more, as lazy as the others, needs their room.
		fourth := request("fourth")
		fourth.Lazy = true
		submit(t, s, fourth)
		for _, r := range lazy {
			wait(t, r)
		}
		if time.Since(start) != 0 {
			t.Errorf("it took %v to get room", time.Since(start))
		}
		if synctest.Wait(); done(fourth) {
			t.Error("the fourth did not wait, though nobody wants its room")
		}
		s.Close()
		wait(t, fourth)
		store.check(t, nil)
	})
}

func TestTrySubmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemStore()
		cfg := config(t, store)
		cfg.FlushInterval = time.Hour
		cfg.MaxPending = entryRoom + 100
		s := New(cfg)
		a, b := request("a"), request("b")
		a.Lazy, b.Lazy = true, true
		if err := s.TrySubmit(a); err != nil {
			t.Fatal(err)
		}
		if err := s.TrySubmit(b); err != ErrFull {
			t.Fatalf("with no room: %v", err)
		}
		synctest.Wait() // there is room soon, without an hour's wait
		if err := s.TrySubmit(b); err != nil {
			t.Fatalf("the next time: %v", err)
		}
		s.Close()
		wait(t, a)
		wait(t, b)
	})
}

// TestLargerThanTheRoom: a request that is larger than all the room there is goes
// through alone.
func TestLargerThanTheRoom(t *testing.T) {
	store := newMemStore()
	cfg := config(t, store)
	cfg.MaxPending = 100
	s := New(cfg)
	defer s.Close()
	for range 3 {
		r := request("a", "b", "c")
		submit(t, s, r)
		wait(t, r)
	}
	store.check(t, nil)
}

func TestCancelledWhileWaitingForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemStore()
		open := gate(store)
		cfg := config(t, store)
		cfg.MaxPending = 100
		s := New(cfg)
		a := request("a")
		submit(t, s, a)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Submit(ctx, request("b")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		open <- nil
		wait(t, a)
		c := request("c") // the room is free
		if err := s.TrySubmit(c); err != nil {
			t.Fatal(err)
		}
		open <- nil
		wait(t, c)
		s.Close()
	})
}
