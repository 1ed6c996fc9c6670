// Command benchserver measures custody serve: how fast it records beside an HTTP handler
// that only reads the bodies, and beside the library; how long events take to those who
// follow; and whether its memory grows. Everything that is compared is measured in turns,
// and the ratio is what counts: the client, which is this program, takes part of the same
// processors.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"github.com/custodylog/custody/internal/benchmark"
)

type options struct {
	custody   string
	dir       string
	rounds    benchmark.Rounds
	memory    time.Duration
	followers int
}

func main() {
	var o options
	bare := flag.Bool("bare", false, "serve the handler that only reads bodies (for the program itself)")
	flag.StringVar(&o.custody, "custody", "bin/custody", "the `program` that is measured")
	flag.StringVar(&o.dir, "dir", ".", "`directory` on the disk that is measured; what is made there is removed")
	flag.IntVar(&o.rounds.N, "rounds", 5, "rounds of each load, of which the median counts")
	flag.DurationVar(&o.rounds.Each, "round", 2*time.Second, "how long a load runs in each round")
	flag.IntVar(&o.followers, "followers", 1000, "how many follow the trail")
	flag.DurationVar(&o.memory, "memory", 20*time.Second, "how long the memory is watched under load; 10m tells most")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	var err error
	if *bare {
		err = serveBare(ctx)
	} else {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchserver:", err)
		os.Exit(1)
	}
}

// loads that are measured, each beside what the goal is set by.
var (
	single  = benchmark.Load{Key: "64", Name: "single events, 64 connections", Callers: 64, Batch: 1}
	batches = benchmark.Load{Key: "8x1000", Name: "NDJSON batches of 1,000, 8 connections", Callers: 8, Batch: 1000}
)

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp(o.dir, "custody-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Printf("%s/%s, %s, %d processors, GOMAXPROCS %d\n\n", runtime.GOOS, runtime.GOARCH, runtime.Version(), runtime.NumCPU(), runtime.GOMAXPROCS(0))

	server, err := startServer(ctx, o.custody, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer server.stop()
	bare, err := startBare(ctx)
	if err != nil {
		return err
	}
	defer bare.stop()
	library, err := benchmark.NewTrail(filepath.Join(dir, "library"), false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, library.Close()) }()

	w := benchmark.NewWorkload(1)
	for _, c := range []struct {
		load  benchmark.Load
		other benchmark.Contender
	}{
		{single, benchmark.Contender{Name: "handler that reads the bodies", Log: newClient(bare.url)}},
		{batches, benchmark.Contender{Name: "library", Log: library}},
	} {
		logs := []benchmark.Contender{{Name: "server", Log: newClient(server.url)}, c.other}
		results, err := o.rounds.Measure(ctx, c.load, logs, w, dir)
		if err != nil {
			return err
		}
		fmt.Println(c.load.Name)
		for _, r := range results {
			fmt.Printf("  %-30s %9.0f events/s   p50 %-9v p99 %-9v %.1f processors busy elsewhere\n", r.Log, r.Rate, r.P50.Round(10*time.Microsecond), r.P99.Round(10*time.Microsecond), r.Others)
		}
		fmt.Printf("  the server's rate is %.0f %% of the other's (median of %d rounds)\n\n", 100*results[1].Behind, o.rounds.N)
	}
	if err := followed(ctx, server, o.followers, w); err != nil {
		return err
	}
	return watchMemory(ctx, server, o.memory, w)
}
