package sequencer

import (
	"sync"
	"testing"
	"time"
)

// clock is a wall clock that can be set, beside one that cannot.
type clock struct {
	mu     sync.Mutex
	wall   time.Time
	steady time.Duration // since the clock was made
	reads  map[time.Time]time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads[c.wall] = c.steady
	return c.wall
}

func (c *clock) since(now, last time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads[now] - c.reads[last]
}

// pass lets time pass, and the wall clock go by something else.
func (c *clock) pass(steady, wall time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steady += steady
	c.wall = c.wall.Add(wall)
}

func TestClockSteps(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name         string
		steady, wall time.Duration
		step         bool
	}{
		{"no step", time.Second, time.Second, false},
		{"forward by an hour", time.Second, time.Hour, true},
		{"back by an hour", time.Second, -time.Hour, true},
		{"forward by less than a second", time.Second, 1999 * time.Millisecond, false},
		{"forward by more than a second", time.Second, 2002 * time.Millisecond, true},
		{"back by less than a second", time.Second, 2 * time.Millisecond, false},
		{"back by more than a second", time.Second, -2 * time.Millisecond, true},
		{"slewed over a day", 24 * time.Hour, 24*time.Hour + time.Minute, false},
		{"slewed too much", 24 * time.Hour, 24*time.Hour + 2*time.Minute, true},
		{"stood still while suspended", 0, 8 * time.Hour, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := newMemStore()
			c := &clock{wall: start, reads: make(map[time.Time]time.Duration)}
			cfg := config(t, store)
			cfg.Now, cfg.since = c.now, c.since
			var want, got time.Time
			steps := 0
			cfg.OnClockStep = func(w, g time.Time) { want, got, steps = w, g, steps+1 }
			s := New(cfg)
			record := func() int64 {
				r := request("a")
				submit(t, s, r)
				wait(t, r)
				return r.Events[0].Time
			}
			before := record()
			if before != start.UnixMicro() || steps != 0 {
				t.Errorf("first time %d, %d steps", before, steps)
			}
			c.pass(tt.steady, tt.wall)
			after := record()
			if now := start.Add(tt.wall); after != max(now.UnixMicro(), before) {
				t.Errorf("time %v, want that of %v and not before %v", time.UnixMicro(after).UTC(), now, time.UnixMicro(before).UTC())
			}
			if (steps == 1) != tt.step || steps > 1 {
				t.Fatalf("%d steps reported", steps)
			}
			if tt.step && (!want.Equal(start.Add(tt.steady)) || !got.Equal(start.Add(tt.wall))) {
				t.Errorf("a step from %v to %v reported", want, got)
			}
			// It is reported once.
			c.pass(time.Second, time.Second)
			if record(); steps > 1 {
				t.Error("the step is reported again")
			}
			s.Close()
			store.check(t, nil)
		})
	}
}

// TestClockBehindTheTrail: a clock that is behind the last entry is told of at the
// start, since nobody saw it step.
func TestClockBehindTheTrail(t *testing.T) {
	last := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, behind := range []time.Duration{-time.Hour, 0, time.Second, 2 * time.Second, time.Hour} {
		store := newMemStore()
		store.startAt(10, last.UnixMicro())
		cfg := config(t, store)
		cfg.Now = func() time.Time { return last.Add(-behind) }
		steps := 0
		cfg.OnClockStep = func(want, got time.Time) {
			if !want.Equal(last) || !got.Equal(last.Add(-behind)) {
				t.Errorf("%v behind: a step from %v to %v reported", behind, want, got)
			}
			steps++
		}
		s := New(cfg)
		r := request("a")
		submit(t, s, r)
		wait(t, r)
		if at := r.Events[0].Time; at != max(last.UnixMicro(), last.Add(-behind).UnixMicro()) {
			t.Errorf("%v behind: time %v", behind, time.UnixMicro(at).UTC())
		}
		if (steps == 1) != (behind > time.Second) {
			t.Errorf("%v behind: %d steps reported", behind, steps)
		}
		s.Close()
		store.check(t, nil)
	}
}
