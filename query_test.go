package custody

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// stored is what the naive model of a trail knows of an entry.
type stored struct {
	index uint64
	time  time.Time
	event event.Event
}

// randomEvents returns events whose fields have few values, so that filters find
// something.
func randomEvents(rng *rand.Rand, n int, at time.Time) []event.Event {
	pick := func(prefix string, n int) string {
		if i := rng.IntN(n + 1); i > 0 {
			return fmt.Sprint(prefix, i)
		}
		return ""
	}
	types := []event.Type{event.ActionRequested, event.ActionValidated, event.ActionDenied, event.ActionExecuted, event.ActionFailed,
		event.EmergencyStop, event.EmergencyStopCleared, event.TurnEnded, "coffee_break"}
	decisions := []event.Decision{"", "", event.Allow, event.Deny, event.RequireApproval}
	events := make([]event.Event, n)
	for i := range events {
		e := event.Event{Type: types[rng.IntN(len(types))], AgentID: pick("agent-", 4), ActionID: pick("action-", 10), ProjectID: pick("project-", 3),
			SessionID: pick("session-", 3), UserID: pick("user-", 3), CorrelationID: pick("correlation-", 4), Decision: decisions[rng.IntN(len(decisions))]}
		e.Timestamp = at.Add(time.Duration(rng.IntN(7200)) * time.Second)
		if rng.IntN(2) == 0 {
			e.OccurredAt = at.Add(time.Duration(rng.IntN(7200)) * time.Second)
		}
		if e.Type == event.EmergencyStop || e.Type == event.EmergencyStopCleared || rng.IntN(10) == 0 {
			e.Details = map[string]any{"affected_agents": []string{pick("agent-", 4), pick("agent-", 4)}}
		}
		events[i] = e
	}
	return events
}

// matches is Query, read as its documentation says.
func (s *stored) matches(q *Query) bool {
	e := &s.event
	agent := e.AgentID == q.AgentID
	if e.Type == event.EmergencyStop || e.Type == event.EmergencyStopCleared {
		agents, _ := e.Details["affected_agents"].([]any)
		agent = agent || slices.Contains(agents, any(q.AgentID))
	}
	occurred := e.OccurredAt
	if occurred.IsZero() {
		occurred = e.Timestamp
	}
	return (len(q.Types) == 0 || slices.Contains(q.Types, e.Type)) &&
		(q.AgentID == "" || agent) &&
		(q.ActionID == "" || e.ActionID == q.ActionID) &&
		(q.ProjectID == "" || e.ProjectID == q.ProjectID) &&
		(q.SessionID == "" || e.SessionID == q.SessionID) &&
		(q.UserID == "" || e.UserID == q.UserID) &&
		(q.Decision == "" || e.Decision == q.Decision) &&
		(q.CorrelationID == "" || e.CorrelationID == q.CorrelationID) &&
		(q.Since.IsZero() || !s.time.Before(q.Since)) && (q.Until.IsZero() || s.time.Before(q.Until)) &&
		(q.OccurredSince.IsZero() || !occurred.Before(q.OccurredSince)) && (q.OccurredUntil.IsZero() || occurred.Before(q.OccurredUntil)) &&
		s.index >= q.From && (q.To == 0 || s.index < q.To)
}

func naive(model []stored, q Query) []uint64 {
	var found []uint64
	for i := range model {
		if model[i].matches(&q) {
			found = append(found, model[i].index)
		}
	}
	if q.Newest {
		slices.Reverse(found)
	}
	if q.Limit > 0 && len(found) > q.Limit {
		found = found[:q.Limit]
	}
	return found
}

// brief is a list of indices for people.
func brief(list []uint64) string {
	if len(list) > 20 {
		return fmt.Sprintf("%v and %d more", list[:20], len(list)-20)
	}
	return fmt.Sprint(list)
}

// clock is a clock that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time // guarded by mu
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// modelled fills a trail over many hours, and returns what is in it.
func modelled(t *testing.T, rng *rand.Rand) (*Trail, []stored) {
	// Later than now, since that is when the first entry is made.
	c := &clock{at: time.Now().UTC().Truncate(24 * time.Hour).Add(46*time.Hour + 15*time.Minute)}
	trail := onMem(t, Options{now: c.now})
	for range 40 {
		record(t, trail, randomEvents(rng, 1+rng.IntN(20), c.now())...)
		c.advance(time.Duration(rng.IntN(5000)) * time.Second)
	}
	var model []stored
	for i := range trail.Size() {
		e := get(trail.Entry(t.Context(), i))(t)
		model = append(model, stored{i, e.Time, get(e.Event())(t)})
	}
	return trail, model
}

// randomQuery asks for a few fields that some entry has, and for ranges.
func randomQuery(rng *rand.Rand, model []stored) Query {
	var q Query
	s := model[rng.IntN(len(model))]
	other := model[rng.IntN(len(model))]
	for range 1 + rng.IntN(3) {
		switch rng.IntN(14) {
		case 0:
			q.Types = []event.Type{s.event.Type, other.event.Type, s.event.Type}
		case 1:
			q.AgentID = s.event.AgentID
		case 2:
			q.ActionID = s.event.ActionID
		case 3:
			q.ProjectID = s.event.ProjectID
		case 4:
			q.SessionID = s.event.SessionID
		case 5:
			q.UserID = s.event.UserID
		case 6:
			q.Decision = s.event.Decision
		case 7:
			q.CorrelationID = s.event.CorrelationID
		case 8:
			q.Since, q.Until = s.time, other.time.Add(time.Duration(rng.IntN(2))*time.Microsecond)
		case 9:
			q.Until = s.time.Add(time.Duration(rng.IntN(3)-1) * time.Nanosecond)
		case 10:
			q.Since = s.time.Add(time.Duration(rng.IntN(3)-1) * time.Nanosecond)
		case 11:
			q.OccurredSince, q.OccurredUntil = s.event.Timestamp, other.event.OccurredAt
		case 12:
			q.From, q.To = s.index, other.index
		case 13:
			q.AgentID = "agent-none"
		}
	}
	q.Newest = rng.IntN(2) == 0
	if rng.IntN(3) == 0 {
		q.Limit = 1 + rng.IntN(20)
	}
	return q
}

func TestQueries(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	trail, model := modelled(t, rng)
	reader := openTrail(t, trail.Dir(), Options{ReadOnly: true, fs: trail.opts.fs})
	found := 0
	for range 1000 {
		q := randomQuery(rng, model)
		want := naive(model, q)
		found += len(want)
		for _, trail := range []*Trail{trail, reader} {
			if got := indices(all(t, trail, q)); !slices.Equal(got, want) {
				t.Fatalf("%+v\ngot  %s\nwant %s", q, brief(got), brief(want))
			}
		}
	}
	if found < 10_000 {
		t.Errorf("only %d entries were found by all queries", found)
	}
}

// Each filter alone, so that none hides behind another.
func TestEachFilter(t *testing.T) {
	rng := newRand(t)
	trail, model := modelled(t, rng)
	at := model[len(model)/2]
	for name, q := range map[string]Query{
		"none":     {},
		"types":    {Types: []event.Type{event.ActionDenied, "coffee_break"}},
		"agent":    {AgentID: "agent-1"},
		"action":   {ActionID: "action-1"},
		"project":  {ProjectID: "project-1"},
		"session":  {SessionID: "session-1"},
		"user":     {UserID: "user-1"},
		"decision": {Decision: event.Deny},
		"joined":   {CorrelationID: "correlation-1"},
		"since":    {Since: at.time},
		"until":    {Until: at.time},
		"occurred": {OccurredSince: at.event.Timestamp, OccurredUntil: at.event.Timestamp.Add(10 * time.Hour)},
		"from":     {From: at.index},
		"to":       {To: at.index},
	} {
		for _, q.Newest = range []bool{false, true} {
			for _, q.Limit = range []int{0, 1, 7} {
				want := naive(model, q)
				if got := indices(all(t, trail, q)); !slices.Equal(got, want) || len(want) == 0 || name != "none" && len(want) == len(model) {
					t.Errorf("%s: %+v\ngot  %s\nwant %s", name, q, brief(got), brief(want))
				}
			}
		}
	}
}

// Pages neither miss nor repeat an entry, in either direction, while a writer
// appends.
func TestPages(t *testing.T) {
	rng := newRand(t)
	trail, model := modelled(t, rng)
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		wrng := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := trail.RecordBatch(t.Context(), randomEvents(wrng, 3, time.Unix(1e9, 0))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 60 {
		q := randomQuery(rng, model)
		q.Limit = 0
		end := q.To
		if end == 0 {
			end = uint64(len(model)) // what comes later comes behind, and is not in the model
		}
		bounded := q
		bounded.To = end
		want := naive(model, bounded)
		page := q
		page.Limit = 1 + rng.IntN(5)
		if q.Newest {
			page.To = end
		}
		var got []uint64
		for {
			entries := all(t, trail, page)
			for _, e := range entries {
				if e.Index < end {
					got = append(got, e.Index)
				}
			}
			if len(entries) < page.Limit || entries[len(entries)-1].Index >= end {
				break
			}
			page = page.After(entries[len(entries)-1].Index)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v by %d\ngot  %s\nwant %s", q, page.Limit, brief(got), brief(want))
		}
	}
	close(done)
	writer.Wait()
	if trail.Size() == uint64(len(model)) {
		t.Error("nothing was written meanwhile")
	}
}

func TestAfterEnds(t *testing.T) {
	trail := onMem(t, Options{})
	if got := all(t, trail, Query{}.After(0)); len(got) != 0 {
		t.Errorf("behind the last entry are %v", indices(got))
	}
	if got := all(t, trail, Query{Newest: true}.After(0)); len(got) != 0 {
		t.Errorf("before the first entry are %v", indices(got))
	}
	if got := all(t, trail, Query{To: 1}.After(0)); len(got) != 0 {
		t.Errorf("behind the end are %v", indices(got))
	}
	record(t, trail, turns(0, 3)...)
	if got := indices(all(t, trail, Query{To: 3}.After(1))); !slices.Equal(got, []uint64{2}) {
		t.Errorf("got %v", got)
	}
	if got := indices(all(t, trail, Query{From: 1, Newest: true}.After(3))); !slices.Equal(got, []uint64{2, 1}) {
		t.Errorf("got %v", got)
	}
}

// Whoever stops reading gets nothing more, and a query sees what was there when
// it began.
func TestEntriesStops(t *testing.T) {
	trail := onMem(t, Options{})
	record(t, trail, turns(1, 10)...)
	n := 0
	for range trail.Entries(t.Context(), Query{}) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d entries", n)
	}
	n = 0
	for _, err := range trail.Entries(t.Context(), Query{}) {
		must(t, err)
		if n++; n < 20 {
			record(t, trail, turn(100+n))
		}
	}
	if n != 10 {
		t.Errorf("%d entries of the 10 that were there", n)
	}
}

func TestEmergencyStopFindsEveryAgent(t *testing.T) {
	trail := onMem(t, Options{Mode: event.Strict})
	r := get(trail.EmergencyStop(t.Context(), Stop{Type: "project", TriggeredBy: "alice", Reason: "drill", AgentID: "monitor", AffectedAgents: []string{"a", "b", "ü\"x"}}))(t)
	c := get(trail.EmergencyStopCleared(t.Context(), r.ID, "bob", Stop{Reason: "over", AffectedAgents: []string{"a", "b"}}))(t)
	record(t, trail, event.Event{Type: event.TurnEnded, SessionID: "s", AgentID: "a", Details: map[string]any{"affected_agents": []string{"b"}}})
	for agent, want := range map[string][]uint64{
		"a": {r.Index, c.Index, c.Index + 1}, "b": {r.Index, c.Index}, "ü\"x": {r.Index}, "monitor": {r.Index}, "c": nil,
	} {
		if got := indices(all(t, trail, Query{AgentID: agent})); !slices.Equal(got, want) {
			t.Errorf("agent %s: got %v, want %v", agent, got, want)
		}
	}
	if got := indices(all(t, trail, Query{Decision: event.DecisionEmergencyStop, UserID: "alice"})); !slices.Equal(got, []uint64{r.Index}) {
		t.Errorf("got %v", got)
	}
}

func TestActionHistory(t *testing.T) {
	rng := newRand(t)
	trail, model := modelled(t, rng)
	types := []event.Type{event.ActionRequested, event.ActionValidated, event.ActionDenied, event.ActionExecuted, event.ActionFailed}
	for _, limit := range []int{0, 1, 5} {
		want := naive(model, Query{Types: types, AgentID: "agent-1", Newest: true, Limit: limit})
		var got []uint64
		for e, err := range trail.ActionHistory(t.Context(), "agent-1", limit) {
			must(t, err)
			got = append(got, e.Index)
		}
		if !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("limit %d: got %v, want %v", limit, got, want)
		}
	}
}

func TestCounts(t *testing.T) {
	rng := newRand(t)
	trail, model := modelled(t, rng)
	first, last := model[1].time, model[len(model)-1].time
	for _, every := range []time.Duration{time.Hour, 3 * time.Hour, 24 * time.Hour} {
		for _, bounds := range [][2]time.Time{{}, {first.Add(90 * time.Minute), {}}, {{}, last.Add(-2 * time.Hour)}, {first.Add(time.Hour), first.Add(5*time.Hour + time.Second)}} {
			since, until := bounds[0].Truncate(time.Hour), bounds[1]
			if widened := until.Truncate(time.Hour); widened.Before(until) {
				until = widened.Add(time.Hour)
			}
			type slot struct {
				start time.Time
				typ   event.Type
			}
			sums := map[slot]uint64{}
			for _, s := range model {
				if (bounds[0].IsZero() || !s.time.Before(since)) && (bounds[1].IsZero() || s.time.Before(until)) {
					unix := s.time.Unix()
					sums[slot{time.Unix(unix-unix%int64(every/time.Second), 0).UTC(), s.event.Type}]++
				}
			}
			var want []Count
			for _, k := range slices.SortedFunc(maps.Keys(sums), func(a, b slot) int {
				return cmp.Or(a.start.Compare(b.start), cmp.Compare(a.typ, b.typ))
			}) {
				want = append(want, Count{k.start, k.typ, sums[k]})
			}
			got := get(trail.Counts(t.Context(), bounds[0], bounds[1], every))(t)
			if !slices.Equal(got, want) || len(want) < 3 {
				t.Errorf("every %v of %v\ngot  %v\nwant %v", every, bounds, got, want)
			}
		}
	}
	for _, every := range []time.Duration{0, -time.Hour, time.Minute, 90 * time.Minute} {
		if _, err := trail.Counts(t.Context(), time.Time{}, time.Time{}, every); err == nil {
			t.Errorf("every %v: no error", every)
		}
	}
}

// The same over segments, where the index lies in files.
func TestQueriesOverSegments(t *testing.T) {
	f := get(sealedTrail())(t)
	trail := openTrail(t, f.dir, Options{ReadOnly: true})
	size := f.size()
	for _, i := range []uint64{0, 1, 65535, 65536, 131071, 131072, size - 1} {
		e := get(trail.Entry(t.Context(), i))(t)
		if i == 0 {
			continue
		}
		id := fmt.Sprint("turn-", i)
		if byID := get(trail.EntryByID(t.Context(), id))(t); byID.Index != i || byID.Hash != e.Hash {
			t.Errorf("id %s is entry %d", id, byID.Index)
		}
		if got := indices(all(t, trail, Query{From: i, Limit: 2, Types: []event.Type{event.TurnStarted}})); got[0] != i || i+1 < size && got[1] != i+1 {
			t.Errorf("from %d on are %v", i, got)
		}
		if got := indices(all(t, trail, Query{To: i + 1, Limit: 2, Newest: true, Types: []event.Type{event.TurnStarted}})); got[0] != i || i > 1 && got[1] != i-1 {
			t.Errorf("before %d are %v", i+1, got)
		}
		if got := all(t, trail, Query{Since: e.Time, Until: e.Time.Add(1), Limit: 1}); len(got) != 1 || !got[0].Time.Equal(e.Time) {
			t.Errorf("at %v are %v", e.Time, indices(got))
		}
	}
	if got := indices(all(t, trail, Query{AgentID: "agent-1"})); !slices.Equal(got, []uint64{131074, 131077}) {
		t.Errorf("of an agent that is in the tail only: %v", got)
	}
	if got := indices(all(t, trail, Query{Types: []event.Type{event.LogOpened}})); !slices.Equal(got, []uint64{0}) {
		t.Errorf("of a type that is in the first segment only: %v", got)
	}
	total := uint64(0)
	for _, c := range get(trail.Counts(t.Context(), time.Time{}, time.Time{}, time.Hour))(t) {
		if c.Type == event.TurnStarted {
			total += c.Count
		}
	}
	if total != size-1 {
		t.Errorf("counted are %d of %d", total, size-1)
	}
}

// Loops over one iterator have nothing in common, also at the same time.
func TestEntriesInSeveralLoops(t *testing.T) {
	trail := newTrail(t, Options{})
	record(t, trail, turns(0, 500)...)
	all := trail.Entries(t.Context(), Query{})
	var loops sync.WaitGroup
	for range 4 {
		loops.Go(func() {
			next := uint64(0)
			for e, err := range all {
				if err != nil || e.Index != next || evidence.CommitBody(append(slices.Clip(e.Salt), e.Payload...)) != get(evidence.ParseEntry(e.Envelope))(t).Payload {
					t.Errorf("entry %d is read as %d: %v", next, e.Index, err)
					return
				}
				next++
			}
			if next != trail.Size() {
				t.Errorf("%d of %d entries", next, trail.Size())
			}
		})
	}
	loops.Wait()
}
