package benchmark

import (
	"context"
	"runtime"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// Allocations counts memory allocations of everything that recording sets in
// motion, the sequencer and the sealing too.
type Allocations struct {
	Record  float64 `json:"per_record"`        // for each event recorded alone
	Batched float64 `json:"per_batched_event"` // for each event of a batch of 1,000
}

// CountAllocations counts on a trail that is open in synchronous mode.
func CountAllocations(ctx context.Context, t *custody.Trail, w *Workload) (Allocations, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // nothing else shall run meanwhile
	events := make([]event.Event, 1000)
	for i := range events {
		events[i] = w.Event(uint64(i))
	}
	var a Allocations
	var err error
	single := events[:200]
	a.Record, err = allocsPer(5, len(single), func() error {
		for i := range single {
			if _, err := t.Record(ctx, single[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		a.Batched, err = allocsPer(20, len(events), func() error {
			_, err := t.RecordBatch(ctx, events)
			return err
		})
	}
	return a, err
}

// allocsPer calls f once to warm up, then runs times, and returns the
// allocations for each of the n things that f does.
func allocsPer(runs, n int, f func() error) (float64, error) {
	if err := f(); err != nil {
		return 0, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		if err := f(); err != nil {
			return 0, err
		}
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(runs*n), nil
}
