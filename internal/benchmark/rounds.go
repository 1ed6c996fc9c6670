package benchmark

import (
	"context"
	"math"
	"slices"
	"time"
)

// Rounds says how long and how often to measure.
type Rounds struct {
	N    int           // rounds, of which the median counts
	Each time.Duration // about how long each run of a round takes
}

// Contender is a log that is measured beside others.
type Contender struct {
	Name string
	Log  Log

	next uint64 // event of the workload that comes next
	n    int    // events of each run
}

// Result is one load on one log.
type Result struct {
	Log     string        `json:"log"`
	Load    string        `json:"load"`
	Rate    float64       `json:"events_per_second"`
	P50     time.Duration `json:"p50_ns"` // of a call
	P99     time.Duration `json:"p99_ns"`
	Group   float64       `json:"events_per_commit"` // 0: not known
	CPU     float64       `json:"cpu_seconds_per_event"`
	Others  float64       `json:"processors_busy_elsewhere"`
	Written float64       `json:"written_bytes_per_event"`

	// RawRate is the raw limit for the commits and bytes of the run, and Ratio
	// the median of the rounds' ratios to it.
	RawRate float64 `json:"raw_events_per_second"`
	Ratio   float64 `json:"ratio_to_raw"`

	// IdealRate is the raw limit for the payloads alone, with one commit for
	// all callers each time: no log can be faster under this load.
	IdealRate  float64 `json:"ideal_events_per_second"`
	IdealRatio float64 `json:"ratio_to_ideal"`

	// Behind is how many times faster the first of the logs is: the median of
	// the rounds.
	Behind float64 `json:"times_slower_than_first"`
}

const (
	// payloadSize is what an event of the workload has in canonical form.
	payloadSize = 600

	// asyncGroup is how many events a commit is taken to hold where that
	// cannot be seen: what fits into 2 MiB.
	asyncGroup = 2000
)

// Measure puts the load on the logs in rounds, one log after the other in each,
// with the raw limit between the rounds. The raw limits are those of the first
// log; scratch is a directory on the same disk.
func (r Rounds) Measure(ctx context.Context, l Load, logs []Contender, w *Workload, scratch string) ([]Result, error) {
	// written is the raw limit for what the first log writes.
	var written Raw
	for i := range logs {
		s, err := logs[i].warmUp(ctx, l, w, r.Each)
		if err == nil && i == 0 {
			written, err = rawOf(ctx, logs[0].Log, &s)
		}
		if err != nil {
			return nil, err
		}
	}
	ideal := Raw{EventsPerCommit: float64(l.Callers * l.Batch), BytesPerEvent: payloadSize}
	if l.Async {
		ideal.EventsPerCommit = asyncGroup
	}
	limits := func() (a, b float64, err error) {
		if a, err = written.Rate(scratch, r.Each/4); err == nil {
			b, err = ideal.Rate(scratch, r.Each/4)
		}
		return a, b, err
	}

	rounds := make([][]Result, len(logs)) // of each log
	rawBefore, idealBefore, err := limits()
	if err != nil {
		return nil, err
	}
	for range r.N {
		for i := range logs {
			s, err := logs[i].run(ctx, l, w)
			if err == nil && i == 0 {
				written, err = rawOf(ctx, logs[0].Log, &s)
			}
			if err != nil {
				return nil, err
			}
			rounds[i] = append(rounds[i], Result{Rate: s.Rate(), P50: s.Quantile(0.5), P99: s.Quantile(0.99),
				Group: s.group(), CPU: s.CPU.Seconds() / float64(s.Events), Others: s.Others})
		}
		raw, best, err := limits()
		if err != nil {
			return nil, err
		}
		first := &rounds[0][len(rounds[0])-1]
		first.Written = written.BytesPerEvent
		first.RawRate, first.IdealRate = (rawBefore+raw)/2, (idealBefore+best)/2
		first.Ratio, first.IdealRatio = first.Rate/first.RawRate, first.Rate/first.IdealRate
		for i := range rounds {
			this := &rounds[i][len(rounds[i])-1]
			this.Behind = first.Rate / this.Rate
		}
		rawBefore, idealBefore = raw, best
	}
	results := make([]Result, len(logs))
	for i := range logs {
		results[i] = medians(rounds[i])
		results[i].Log, results[i].Load = logs[i].Name, l.Name
	}
	return results, nil
}

// rawOf returns the raw limit for what a log wrote in a run. A log that cannot
// tell is taken to write the payloads and nothing else.
func rawOf(ctx context.Context, log Log, s *Sample) (Raw, error) {
	if t, ok := log.(interface {
		Raw(context.Context, *Sample) (Raw, error)
	}); ok {
		return t.Raw(ctx, s)
	}
	return Raw{EventsPerCommit: s.perCommit(), BytesPerEvent: payloadSize}, nil
}

// warmUp runs the load until its rate is known, and sets how many events a run
// has so that it takes about that long.
func (c *Contender) warmUp(ctx context.Context, l Load, w *Workload, long time.Duration) (Sample, error) {
	least := 4 * l.Callers * l.Batch
	c.n = least
	for {
		s, err := c.run(ctx, l, w)
		if err != nil {
			return s, err
		}
		if s.Elapsed >= long/4 {
			c.n = max(int(s.Rate()*long.Seconds()), least)
			return s, nil
		}
		c.n = max(int(s.Rate()*long.Seconds()/2), c.n+least)
	}
}

// run runs the load once.
func (c *Contender) run(ctx context.Context, l Load, w *Workload) (Sample, error) {
	s, err := l.Run(ctx, c.Log, w, c.next, c.n)
	c.next += uint64(s.Events)
	return s, err
}

// group is the number of events of a commit, or 0 if it is not known.
func (s *Sample) group() float64 {
	if s.Commits == 0 {
		return 0
	}
	return float64(s.Events) / float64(s.Commits)
}

// perCommit is the number of events of a commit, or what it is taken to be.
func (s *Sample) perCommit() float64 {
	if s.Commits == 0 {
		return min(asyncGroup, float64(s.Events))
	}
	return s.group()
}

// medians takes the median of each number.
func medians(rounds []Result) Result {
	of := func(field func(*Result) float64) float64 {
		values := make([]float64, len(rounds))
		for i := range rounds {
			values[i] = field(&rounds[i])
		}
		return median(values)
	}
	return Result{
		Rate:       of(func(r *Result) float64 { return r.Rate }),
		P50:        time.Duration(of(func(r *Result) float64 { return float64(r.P50) })),
		P99:        time.Duration(of(func(r *Result) float64 { return float64(r.P99) })),
		Group:      of(func(r *Result) float64 { return r.Group }),
		CPU:        of(func(r *Result) float64 { return r.CPU }),
		Others:     of(func(r *Result) float64 { return r.Others }),
		Written:    of(func(r *Result) float64 { return r.Written }),
		RawRate:    of(func(r *Result) float64 { return r.RawRate }),
		Ratio:      of(func(r *Result) float64 { return r.Ratio }),
		IdealRate:  of(func(r *Result) float64 { return r.IdealRate }),
		IdealRatio: of(func(r *Result) float64 { return r.IdealRatio }),
		Behind:     of(func(r *Result) float64 { return r.Behind }),
	}
}

// median returns the middle one, or the mean of the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
