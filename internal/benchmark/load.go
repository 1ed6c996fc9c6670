package benchmark

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/custodylog/custody/event"
)

// Log is what takes events: a trail, or a database that is compared with it.
type Log interface {
	// Append stores the events, in order, and returns once they are durable.
	// commit numbers the flush to disk that they were part of: events of one
	// flush have the same number, and nothing else is meant by it. It is
	// called from many goroutines. It must not keep or change the events.
	Append(ctx context.Context, events []event.Event) (commit uint64, err error)

	// Flush returns once everything that was appended is durable.
	Flush(ctx context.Context) error
}

// Load is a way to put events on a log.
type Load struct {
	Name    string // for people
	Key     string // for machines
	Callers int    // how many goroutines record at once
	Batch   int    // events of each call
	Async   bool   // the log is opened in asynchronous mode
}

// Loads are those that the project has goals for.
var Loads = []Load{
	{Key: "1", Name: "1 caller", Callers: 1, Batch: 1},
	{Key: "16", Name: "16 callers", Callers: 16, Batch: 1},
	{Key: "256", Name: "256 callers", Callers: 256, Batch: 1},
	{Key: "1x1000", Name: "batches of 1,000, 1 in flight", Callers: 1, Batch: 1000},
	{Key: "8x1000", Name: "batches of 1,000, 8 in flight", Callers: 8, Batch: 1000},
	{Key: "async", Name: "16 callers, asynchronous", Callers: 16, Batch: 1, Async: true},
}

// Sample is one run of a load.
type Sample struct {
	Events    int
	Elapsed   time.Duration
	Latencies []time.Duration // of the calls, ascending
	Commits   int             // flushes to disk; 0: not known

	CPU    time.Duration // that this process used; 0: not known
	Others float64       // processors that other processes kept busy meanwhile
}

// Rate is the number of events per second.
func (s *Sample) Rate() float64 { return float64(s.Events) / s.Elapsed.Seconds() }

// Quantile returns the latency that a share q of the calls did not exceed.
func (s *Sample) Quantile(q float64) time.Duration { return quantile(s.Latencies, q) }

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// Run puts n events of the workload on the log, from event first on. n is
// rounded up to whole batches.
func (l Load) Run(ctx context.Context, log Log, w *Workload, first uint64, n int) (Sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	calls := (n + l.Batch - 1) / l.Batch
	var next atomic.Int64
	latencies := make([][]time.Duration, l.Callers)
	commits := make([][]uint64, l.Callers)
	for c := range l.Callers {
		latencies[c] = make([]time.Duration, 0, 2*calls/l.Callers+16)
		commits[c] = make([]uint64, 0, 2*calls/l.Callers+16)
	}
	var callers sync.WaitGroup
	start, cpu := time.Now(), readCPU()
	for c := range l.Callers {
		callers.Add(1)
		go func() {
			defer callers.Done()
			events := make([]event.Event, l.Batch)
			for ctx.Err() == nil {
				call := int(next.Add(1)) - 1
				if call >= calls {
					return
				}
				for i := range events {
					events[i] = w.Event(first + uint64(call*l.Batch+i))
				}
				before := time.Now()
				commit, err := log.Append(ctx, events)
				if err != nil {
					cancel(err)
					return
				}
				latencies[c] = append(latencies[c], time.Since(before))
				commits[c] = append(commits[c], commit)
			}
		}()
	}
	callers.Wait()
	if err := context.Cause(ctx); err != nil {
		return Sample{}, fmt.Errorf("%s: %w", l.Name, err)
	}
	if err := log.Flush(ctx); err != nil {
		return Sample{}, fmt.Errorf("%s: %w", l.Name, err)
	}
	s := Sample{Events: calls * l.Batch, Elapsed: time.Since(start), Latencies: slices.Concat(latencies...)}
	s.CPU, s.Others = cpu.since(s.Elapsed)
	slices.Sort(s.Latencies)
	if !l.Async {
		all := slices.Concat(commits...)
		slices.Sort(all)
		s.Commits = len(slices.Compact(all))
	}
	return s, nil
}
