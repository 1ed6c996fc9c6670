package benchmark

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"time"
)

// Sustained is the load that a trail grows by.
var Sustained = Load{Key: "sustained", Name: "sustained, batches of 1,000, 8 in flight", Callers: 8, Batch: 1000}

// Growth is how a log took a long row of events.
type Growth struct {
	Log    string    `json:"log"`
	Events int       `json:"events"`
	Rate   float64   `json:"events_per_second"`
	Run    int       `json:"events_per_run"` // it grows in runs of so many
	Rates  []float64 `json:"events_per_second_by_run"`
	P99    []float64 `json:"p99_seconds_by_run"` // of one batch
	CPU    float64   `json:"cpu_seconds_per_event"`
	Others float64   `json:"processors_busy_elsewhere"`

	// HeapPeak is the most that the heap of this process held, live or not
	// yet swept, sampled every 5 ms, and HeapBefore what was live before.
	HeapPeak   uint64 `json:"heap_peak_bytes"`
	HeapBefore uint64 `json:"heap_before_bytes"`

	// Sealed is what sealed segments take on disk, with their index.
	Sealed      float64 `json:"sealed_bytes_per_event,omitempty"`
	SealedIndex float64 `json:"sealed_index_bytes_per_event,omitempty"`
}

// Grow appends n events of the workload to a log that is empty, in runs of
// perRun. It calls after behind each run, if after is not nil; what that takes
// does not count.
func Grow(ctx context.Context, c Contender, w *Workload, n, perRun int, after func(events int) error) (Growth, error) {
	g := Growth{Log: c.Name, Run: perRun}
	runtime.GC()
	g.HeapBefore = heapSize()
	heap := watchHeap()
	defer heap.stop()
	var spent, cpu time.Duration
	busy := 0.0
	for g.Events < n {
		s, err := Sustained.Run(ctx, c.Log, w, uint64(g.Events), min(perRun, n-g.Events))
		if err != nil {
			return g, err
		}
		g.Events += s.Events
		spent, cpu, busy = spent+s.Elapsed, cpu+s.CPU, busy+s.Others*s.Elapsed.Seconds()
		g.Rates = append(g.Rates, s.Rate())
		g.P99 = append(g.P99, s.Quantile(0.99).Seconds())
		if after != nil {
			if err := after(g.Events); err != nil {
				return g, err
			}
		}
	}
	g.Rate, g.CPU, g.Others = float64(g.Events)/spent.Seconds(), cpu.Seconds()/float64(g.Events), busy/spent.Seconds()
	g.HeapPeak = heap.stop()
	return g, nil
}

// First is the rate over the first million events, or the first run.
func (g *Growth) First() float64 { return mean(g.Rates[:g.million()]) }

// Last is the rate over the last million events, or the last run.
func (g *Growth) Last() float64 { return mean(g.Rates[len(g.Rates)-g.million():]) }

// million is how many runs have a million events, but at least one.
func (g *Growth) million() int { return min(max(1, 1_000_000/g.Run), len(g.Rates)) }

// mean is the harmonic mean: the rate over runs of the same length.
func mean(rates []float64) float64 {
	sum := 0.0
	for _, r := range rates {
		sum += 1 / r
	}
	return float64(len(rates)) / sum
}

// sealedSize returns what the sealed segments of the trail in dir, and of that
// their index, take per event.
func sealedSize(dir string) (all, index float64, err error) {
	var segmentBytes, indexBytes, entries int64
	err = filepath.WalkDir(filepath.Join(dir, "segments"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist): // finished and renamed meanwhile
			return nil
		case err != nil:
			return err
		case strings.HasSuffix(path, ".segment"):
			segmentBytes += info.Size()
			entries += 1 << 16
		case strings.HasSuffix(path, ".index"):
			indexBytes += info.Size()
		}
		return nil
	})
	if err != nil || entries == 0 {
		return 0, 0, err
	}
	return float64(segmentBytes+indexBytes) / float64(entries), float64(indexBytes) / float64(entries), nil
}

// heapSize returns the bytes of all objects on the heap.
func heapSize() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// heapWatch samples the size of the heap.
type heapWatch struct {
	once sync.Once
	quit chan struct{}
	done chan struct{}
	peak uint64 // owned by the goroutine until done is closed
}

func watchHeap() *heapWatch {
	h := &heapWatch{quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(h.done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			h.peak = max(h.peak, heapSize())
			select {
			case <-tick.C:
			case <-h.quit:
				return
			}
		}
	}()
	return h
}

// stop ends the sampling and returns the largest value.
func (h *heapWatch) stop() uint64 {
	h.once.Do(func() { close(h.quit) })
	<-h.done
	return h.peak
}
