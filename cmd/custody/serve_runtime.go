package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// headroom is how many bytes of garbage may gather between two collections, but at least
// half and at most four times of what is in use. By itself Go lets as many gather as are
// in use, which is too few while a trail is small, and more than is of use once what finds
// entries in a large one is in memory.
const headroom = 64 << 20

// tuneRuntime sets Go's scheduler and collector up for a server, until ctx ends, unless
// the environment does (GOMAXPROCS, GOGC).
func tuneRuntime(ctx context.Context) {
	if os.Getenv("GOMAXPROCS") == "" {
		// Whoever waits for the disk to make a commit durable takes the place of one
		// that could run. From here on Go does not follow a limit of processors that
		// is changed.
		runtime.SetDefaultGOMAXPROCS()
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
	if os.Getenv("GOGC") == "" {
		go tuneCollector(ctx)
	}
}

func tuneCollector(ctx context.Context) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for percent := 0; ; {
		metrics.Read(sample)
		// Setting it stops everything for a moment: not for little.
		if want := gcPercent(sample[0].Value.Uint64()); max(want-percent, percent-want) > percent/10 {
			percent = want
			debug.SetGCPercent(percent)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// gcPercent returns what to set GOGC to while so many bytes are in use.
func gcPercent(live uint64) int {
	return int(min(max(50, headroom*100/max(live, 1)), 400))
}
