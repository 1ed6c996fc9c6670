package stops_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/stops"
)

// oneByOne finds the last action by a query for each agent.
func oneByOne(tb testing.TB, trail *custody.Trail, s *stops.Stop) (last *custody.Entry) {
	tb.Helper()
	for _, id := range s.Agents {
		q := custody.Query{Types: []event.Type{event.ActionExecuted, event.ActionFailed}, AgentID: id, From: s.Index + 1, Newest: true, Limit: 1}
		for e, err := range trail.Entries(tb.Context(), q) {
			if err != nil {
				tb.Fatal(err)
			}
			if last == nil || e.Index > last.Index {
				last = &e
			}
		}
	}
	return last
}

// acting returns a trail in which agents do things, each with its number.
func acting(tb testing.TB, rng *rand.Rand, events, agents int) *custody.Trail {
	tb.Helper()
	dir, keys := tb.TempDir()+"/trail", tb.TempDir()
	if _, err := custody.Create(dir, custody.CreateOptions{Origin: "example.org/stops", KeyDir: keys}); err != nil {
		tb.Fatal(err)
	}
	trail := open(tb, dir, keys)
	types := []event.Type{event.ActionRequested, event.ActionExecuted, event.ActionFailed, event.TurnEnded}
	for done := 0; done < events; {
		var batch []event.Event
		for range min(4096, events-done) {
			batch = append(batch, event.Event{Type: types[rng.IntN(len(types))], AgentID: agent(rng.IntN(agents)), ActionID: "a", SessionID: "s"})
		}
		if _, err := trail.RecordBatch(tb.Context(), batch); err != nil {
			tb.Fatal(err)
		}
		done += len(batch)
	}
	return trail
}

func agent(n int) string { return fmt.Sprint("agent-", n) }

// TestLastAction compares with a query for each agent.
func TestLastAction(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	trail := acting(t, rng, 400, 50)
	found := 0
	for range 200 {
		s := &stops.Stop{Type: "agent", Index: uint64(rng.IntN(400))}
		for range 1 + rng.IntN(6) {
			s.Agents = append(s.Agents, agent(rng.IntN(60))) // some of whom do nothing
		}
		got, err := stops.LastAction(t.Context(), trail, s)
		if err != nil {
			t.Fatal(err)
		}
		want := oneByOne(t, trail, s)
		if (got == nil) != (want == nil) || got != nil && got.Hash != want.Hash {
			t.Fatalf("of %v after %d: %+v, want %+v", s.Agents, s.Index, got, want)
		}
		if got != nil {
			found++
		}
	}
	if found < 20 || found == 200 {
		t.Errorf("%d of 200 have done something", found)
	}

	// The other kinds, and what ran before the stop or is nothing that ran.
	size := trail.Size()
	record := func(e event.Event) uint64 {
		t.Helper()
		r, err := trail.Record(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		return r.Index
	}
	x := record(event.Event{Type: event.ActionExecuted, AgentID: "x", SessionID: "s1", ProjectID: "p1"})
	y := record(event.Event{Type: event.ActionFailed, AgentID: "y", SessionID: "s2", ProjectID: "p1"})
	record(event.Event{Type: event.ActionDenied, AgentID: "x", SessionID: "s1", ProjectID: "p1"})
	for want, all := range map[uint64][]stops.Stop{
		x: {{Type: "agent", Agents: []string{"x"}}, {Type: "session", Session: "s1"}},
		y: {{Type: "agent", Agents: []string{"x", "y"}}, {Type: "project", Project: "p1"}, {Type: "global"}, {Type: "agent"}},
		0: {{Type: "session", Session: "s3"}, {Type: "agent", Agents: []string{"z"}}, {Type: "agent", Agents: []string{"x"}, Index: x}, {Type: "global", Index: y}},
	} {
		for _, s := range all {
			s.Index = max(s.Index, size-1)
			got, err := stops.LastAction(t.Context(), trail, &s)
			if err != nil || (got == nil) != (want == 0) || got != nil && got.Index != want {
				t.Errorf("%+v: %+v, %v, want entry %d", s, got, err, want)
			}
		}
	}
}

// With an error there is no entry.
func TestLastActionFails(t *testing.T) {
	trail := acting(t, rand.New(rand.NewPCG(1, 0)), 100, 1)
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []stops.Stop{{Type: "agent", Agents: []string{agent(0)}}, {Type: "global"}} {
		if got, err := stops.LastAction(t.Context(), trail, &s); got != nil || !errors.Is(err, custody.ErrClosed) {
			t.Errorf("%s: %+v, %v", s.Type, got, err)
		}
	}
}

// BenchmarkLastAction looks for what ran after a stop of thousands of agents, and how many
// times as long a query for each takes.
func BenchmarkLastAction(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 0))
	const agents = 2000
	trail := acting(b, rng, 100_000, 2*agents)
	for _, name := range []string{"they all went on", "nobody of them went on"} {
		b.Run(name, func(b *testing.B) {
			s := &stops.Stop{Type: "agent", Index: 1000}
			for n := range agents {
				if name == "they all went on" {
					s.Agents = append(s.Agents, agent(n))
				} else {
					s.Agents = append(s.Agents, agent(2*agents+n))
				}
			}
			slices.Sort(s.Agents)
			for b.Loop() {
				if _, err := stops.LastAction(b.Context(), trail, s); err != nil {
					b.Fatal(err)
				}
			}
			once := b.Elapsed() / time.Duration(b.N)
			b.StopTimer()
			began := time.Now()
			oneByOne(b, trail, s)
			b.ReportMetric(float64(time.Since(began))/float64(once), "times-one-by-one")
		})
	}
}
