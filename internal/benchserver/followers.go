package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/benchmark"
)

const (
	oneByOne = 20   // events that come one after the other, each once everybody has the one before
	burst    = 1000 // events that come at once
)

// followed measures how long events take to many who follow the trail.
func followed(ctx context.Context, server *child, followers int, w *benchmark.Workload) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	size, err := sizeOf(ctx, server.url)
	if err != nil {
		return err
	}
	arrived := make(chan time.Time, followers*burst)
	failed := make(chan error, followers)
	var connected sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: followers, DisableCompression: true}}
	for range followers {
		connected.Add(1)
		go func() {
			joined := sync.OnceFunc(connected.Done)
			defer joined()
			if err := follow(ctx, client, server.url, size-1, joined, arrived); err != nil && ctx.Err() == nil {
				failed <- err
			}
		}()
	}
	connected.Wait()
	record := newClient(server.url)
	next := uint64(0)
	// all records events and returns how long it took until each follower had each.
	all := func(n int) (latencies []time.Duration, err error) {
		events := make([]event.Event, n)
		for i := range events {
			events[i] = w.Event(next)
			next++
		}
		start := time.Now()
		if _, err := record.Append(ctx, events); err != nil {
			return nil, err
		}
		for range n * followers {
			select {
			case at := <-arrived:
				latencies = append(latencies, at.Sub(start))
			case err := <-failed:
				return nil, err
			case <-time.After(time.Minute):
				return nil, fmt.Errorf("after a minute %d of %d messages have come", len(latencies), n*followers)
			}
		}
		slices.Sort(latencies)
		return latencies, nil
	}
	if _, err := all(1); err != nil { // everybody follows
		return err
	}
	var one []time.Duration
	for range oneByOne {
		latencies, err := all(1)
		if err != nil {
			return err
		}
		one = append(one, latencies...)
	}
	slices.Sort(one)
	many, err := all(burst)
	if err != nil {
		return err
	}
	last := many[len(many)-1]
	fmt.Printf("%d followers\n", followers)
	fmt.Printf("  from recording an event until a follower has it: p50 %v, p99 %v, the last %v\n",
		at(one, 0.5), at(one, 0.99), at(one, 1))
	fmt.Printf("  %d events at once: everybody has all after %v, %.0f messages/s\n\n", burst, last.Round(time.Millisecond), float64(len(many))/last.Seconds())
	return nil
}

// at returns what a share of sorted latencies does not exceed.
func at(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)].Round(100 * time.Microsecond)
}

// follow tells of every message but the first, which is there already when it begins.
func follow(ctx context.Context, client *http.Client, url string, from uint64, joined func(), arrived chan<- time.Time) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/v1/trails/default/stream?from_index=%d", url, from), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("following is answered with %s", resp.Status)
	}
	lines := bufio.NewReaderSize(resp.Body, 16<<10)
	first := true
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
		if !bytes.HasPrefix(line, []byte("id: ")) {
			continue
		}
		if first {
			first = false
			joined()
			continue
		}
		arrived <- time.Now()
	}
}

// metric returns the sum of a metric of the server.
func metric(ctx context.Context, url, name string) (sum float64, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 2 && (fields[0] == name || strings.HasPrefix(fields[0], name+"{")) {
			v, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				return 0, err
			}
			sum += v
		}
	}
	return sum, nil
}

// sizeOf returns how many entries the trail default has.
func sizeOf(ctx context.Context, url string) (uint64, error) {
	size, err := metric(ctx, url, `custody_entries{trail="default"}`)
	if err == nil && size == 0 {
		err = fmt.Errorf("%s says of no trail how many entries it has", url)
	}
	return uint64(size), err
}
