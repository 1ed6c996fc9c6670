package main

import (
	"context"
	"fmt"
	"time"

	"github.com/custodylog/custody/internal/benchmark"
)

// watchMemory puts single events on the server for some time, and tells what its memory
// was meanwhile.
func watchMemory(ctx context.Context, server *child, long time.Duration, w *benchmark.Workload) error {
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	done := make(chan error, 1)
	events := 0
	go func() {
		log := newClient(server.url)
		for ctx.Err() == nil {
			s, err := single.Run(ctx, log, w, uint64(events), 20_000)
			if err != nil {
				if ctx.Err() != nil {
					err = nil
				}
				done <- err
				return
			}
			events += s.Events
		}
		done <- nil
	}()
	fmt.Printf("memory, under single events from %d connections for %s\n", single.Callers, long)
	const samples = 10
	tick := time.NewTicker(long / samples)
	defer tick.Stop()
	for range samples {
		select {
		case <-tick.C:
		case err := <-done:
			return err
		}
		resident, err := metric(context.WithoutCancel(ctx), server.url, "process_resident_memory_bytes")
		if err != nil {
			return err
		}
		heap, err := metric(context.WithoutCancel(ctx), server.url, "go_memstats_heap_alloc_bytes")
		if err != nil {
			return err
		}
		entries, err := sizeOf(context.WithoutCancel(ctx), server.url)
		if err != nil {
			return err
		}
		fmt.Printf("  %10d entries: %4.0f MiB resident, %4.0f MiB of heap\n", entries, resident/(1<<20), heap/(1<<20))
	}
	cancel()
	return <-done
}
