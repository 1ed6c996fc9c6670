package benchmark

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// Question is one kind of query, asked about a random place of a trail.
type Question struct {
	Name string

	// choose finds out, before the clock starts, what to ask for.
	choose func(*Asker) error
	// ask returns the number of results.
	ask func(*Asker) (int, error)
}

// Questions are those that the project has goals for, and some more.
var Questions = []Question{
	{"entry by index", nil, func(a *Asker) (int, error) {
		_, err := a.t.Entry(a.ctx, a.rnd.Uint64N(a.size))
		return 1, err
	}},
	{"entry by id", (*Asker).chooseStored, func(a *Asker) (int, error) {
		_, err := a.t.EntryByID(a.ctx, a.event.ID)
		return 1, err
	}},
	{"by action id", (*Asker).choose, func(a *Asker) (int, error) {
		return a.count(custody.Query{ActionID: a.event.ActionID})
	}},
	{"by correlation id", (*Asker).choose, func(a *Asker) (int, error) {
		return a.count(custody.Query{CorrelationID: a.event.CorrelationID})
	}},
	{"last 100 of one agent", (*Asker).choose, func(a *Asker) (int, error) {
		return a.count(custody.Query{AgentID: a.event.AgentID, Newest: true, Limit: 100})
	}},
	{"last 100 of one agent and type", (*Asker).choose, func(a *Asker) (int, error) {
		return a.count(custody.Query{AgentID: a.event.AgentID, Types: []event.Type{event.ActionExecuted}, Newest: true, Limit: 100})
	}},
	{"time range + type, first 20", (*Asker).chooseRange, func(a *Asker) (int, error) {
		return a.count(custody.Query{Types: []event.Type{event.ActionExecuted}, Since: a.since, Until: a.until, Limit: 20})
	}},
	{"time range + type, first 100", (*Asker).chooseRange, func(a *Asker) (int, error) {
		return a.count(custody.Query{Types: []event.Type{event.ActionExecuted}, Since: a.since, Until: a.until, Limit: 100})
	}},
	{"time range + rare type, first 20", (*Asker).chooseRange, func(a *Asker) (int, error) {
		return a.count(custody.Query{Types: []event.Type{event.ActionDenied}, Since: a.since, Until: a.until, Limit: 20})
	}},
	{"count by type and hour", nil, func(a *Asker) (int, error) {
		c, err := a.t.Counts(a.ctx, time.Time{}, time.Time{}, time.Hour)
		return len(c), err
	}},
}

// Asker asks about random places of a trail that holds the workload.
type Asker struct {
	ctx  context.Context
	t    *custody.Trail
	w    *Workload
	rnd  *rand.Rand
	size uint64

	event        event.Event // what to ask for
	since, until time.Time
}

// NewAsker returns one that asks the same things each time.
func NewAsker(ctx context.Context, t *custody.Trail, w *Workload) *Asker {
	return &Asker{ctx: ctx, t: t, w: w, rnd: rand.New(rand.NewPCG(3, 4)), size: t.Size()}
}

// Ask asks once, and returns how many results there were and how long it took.
func (a *Asker) Ask(q *Question) (results int, elapsed time.Duration, err error) {
	if q.choose != nil {
		err = q.choose(a)
	}
	if err == nil {
		start := time.Now()
		results, err = q.ask(a)
		elapsed = time.Since(start)
	}
	if err == nil && results == 0 {
		err = fmt.Errorf("%w: nothing there has it", custody.ErrNotFound)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", q.Name, err)
	}
	return results, elapsed, err
}

// choose takes an event of the workload that the trail holds.
func (a *Asker) choose() error {
	a.event = a.w.Event(a.rnd.Uint64N(a.size - 1)) // the first entry tells of the creation
	return nil
}

func (a *Asker) chooseStored() error {
	e, err := a.t.Entry(a.ctx, a.rnd.Uint64N(a.size))
	if err == nil {
		a.event, err = e.Event()
	}
	return err
}

// chooseRange takes a time range of some thousand entries: the commits that
// they lie in.
func (a *Asker) chooseRange() error {
	const span = 4000
	at := a.rnd.Uint64N(a.size - min(a.size-1, span))
	first, err := a.t.Entry(a.ctx, at)
	if err != nil {
		return err
	}
	last, err := a.t.Entry(a.ctx, min(at+span, a.size-1))
	a.since, a.until = first.Time, last.Time.Add(time.Microsecond)
	return err
}

func (a *Asker) count(q custody.Query) (int, error) {
	n := 0
	for _, err := range a.t.Entries(a.ctx, q) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Asked is how long one kind of query took.
type Asked struct {
	Query   string        `json:"query"`
	Size    uint64        `json:"trail_size"`
	Times   int           `json:"times"`
	Results float64       `json:"results_on_average"`
	P50     time.Duration `json:"p50_ns"`
	P99     time.Duration `json:"p99_ns"`
}

// AskAll asks each question n times, or for two seconds.
func AskAll(ctx context.Context, t *custody.Trail, w *Workload, n int) ([]Asked, error) {
	const limit = 2 * time.Second
	var all []Asked
	for i := range Questions {
		a := NewAsker(ctx, t, w)
		var latencies []time.Duration
		sum, warm := 0, n/10+1
		for began := time.Now(); len(latencies) < n && (time.Since(began) < limit || len(latencies) == 0); {
			results, elapsed, err := a.Ask(&Questions[i])
			if err != nil {
				return nil, err
			}
			if warm > 0 {
				warm--
				continue
			}
			latencies = append(latencies, elapsed)
			sum += results
		}
		slices.Sort(latencies)
		all = append(all, Asked{Query: Questions[i].Name, Size: a.size, Times: len(latencies), Results: float64(sum) / float64(len(latencies)),
			P50: quantile(latencies, 0.5), P99: quantile(latencies, 0.99)})
	}
	return all, nil
}
