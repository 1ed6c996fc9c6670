package custody_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/benchmark"
)

// The benchmarks of recording report, beside the time for one event, its ratio
// to the raw limit, which is measured in the same run: the same bytes in as
// many commits, hashed once, appended to a file and made durable. Compare the
// ratio, not the time, between runs on a machine that does other things too.
// custody bench measures the same in alternating rounds.

func BenchmarkRecord(b *testing.B) {
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			benchmarkLoad(b, benchmark.Load{Callers: callers, Batch: 1})
		})
	}
}

func BenchmarkRecordAsync(b *testing.B) {
	benchmarkLoad(b, benchmark.Load{Callers: 16, Batch: 1, Async: true})
}

// BenchmarkRecordBatch records batches of 1,000; the time is that for one event.
func BenchmarkRecordBatch(b *testing.B) {
	for _, callers := range []int{1, 8} {
		b.Run(fmt.Sprintf("inflight=%d", callers), func(b *testing.B) {
			benchmarkLoad(b, benchmark.Load{Callers: callers, Batch: 1000})
		})
	}
}

func benchmarkLoad(b *testing.B, l benchmark.Load) {
	ctx, w, dir := context.Background(), benchmark.NewWorkload(1), b.TempDir()
	log, err := benchmark.NewTrail(dir+"/trail", l.Async)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := log.Close(); err != nil {
			b.Error(err)
		}
	}()
	b.ReportAllocs()
	b.ResetTimer()
	s, err := l.Run(ctx, log, w, 0, b.N)
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(s.Elapsed)/float64(s.Events), "ns/op") // batches may be more than b.N
	b.ReportMetric(s.Quantile(0.99).Seconds()*1e6, "p99-µs")
	raw, err := log.Raw(ctx, &s)
	if err != nil {
		b.Fatal(err)
	}
	limit, err := raw.Rate(dir, 250*time.Millisecond)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(s.Rate()/limit, "ratio-to-raw")
}

// grownTrail makes a trail with n entries of the workload.
func grownTrail(b *testing.B, n int) (*benchmark.TrailLog, *benchmark.Workload) {
	w := benchmark.NewWorkload(1)
	log, err := benchmark.NewTrail(b.TempDir()+"/trail", false)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := log.Close(); err != nil {
			b.Error(err)
		}
	})
	if _, err := benchmark.Sustained.Run(context.Background(), log, w, 0, n); err != nil {
		b.Fatal(err)
	}
	return log, w
}

func BenchmarkQuery(b *testing.B) {
	log, w := grownTrail(b, 300_000)
	for i := range benchmark.Questions {
		q := &benchmark.Questions[i]
		b.Run(q.Name, func(b *testing.B) {
			b.ReportAllocs()
			asker := benchmark.NewAsker(context.Background(), log.Trail, w)
			var sum time.Duration
			for b.Loop() {
				_, elapsed, err := asker.Ask(q)
				if err != nil {
					b.Fatal(err)
				}
				sum += elapsed
			}
			b.ReportMetric(float64(sum)/float64(b.N), "ns/op") // without choosing what to ask for
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	const entries = 200_000
	log, _ := grownTrail(b, entries)
	for _, workers := range []int{1, runtime.NumCPU()} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			for b.Loop() {
				if _, err := benchmark.Verify(context.Background(), log.Trail, workers, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(entries*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkSearch looks for words that nothing says, and reports the time for an entry
// and its ratio to bytes.Contains over the same payloads in memory.
func BenchmarkSearch(b *testing.B) {
	const entries = 100_000
	log, _ := grownTrail(b, entries)
	var payloads [][]byte
	for e, err := range log.Trail.Entries(context.Background(), custody.Query{Limit: 20_000}) {
		if err != nil {
			b.Fatal(err)
		}
		payloads = append(payloads, e.Payload)
	}
	const word = "nowhere in any of them"
	for _, newest := range []bool{false, true} {
		b.Run(fmt.Sprintf("newest=%v", newest), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s := custody.Search{Query: custody.Query{Newest: newest}, Text: `"` + word + `"`}
				done, err := log.Trail.Search(context.Background(), s, func(custody.Entry) bool { return true })
				if err != nil || !done.Done {
					b.Fatalf("%+v, %v", done, err)
				}
			}
			each := float64(b.Elapsed()) / float64(b.N) / float64(log.Trail.Size())
			began := time.Now()
			for range 5 {
				for _, p := range payloads {
					if bytes.Contains(p, []byte(word)) {
						b.Fatalf("%s has it", p)
					}
				}
			}
			b.ReportMetric(each, "ns/entry")
			b.ReportMetric(each/(float64(time.Since(began))/5/float64(len(payloads))), "ratio-to-contains")
		})
	}
}
