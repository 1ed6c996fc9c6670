//go:build unix

package custody

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/segment"
)

// Another process that has the trail open for writing is named, and can be read
// beside.
func TestWriterInAnotherProcess(t *testing.T) {
	t.Parallel()
	dir, keys := newTrailDir(t)
	c := startChild(t, "append", dir, keys, "")
	_, err := Open(dir, &Options{KeyDir: keys, Logger: quiet})
	var locked *LockedError
	if want := fmt.Sprintf("process %d", c.cmd.Process.Pid); !errors.As(err, &locked) || locked.Holder != want {
		t.Errorf("opening for writing: %v, want one that names %q", err, want)
	}

	reader := openTrail(t, dir, Options{ReadOnly: true})
	subscribed := make(chan []uint64)
	go func() {
		var got []uint64
		for e, err := range reader.Subscribe(t.Context(), Query{Limit: 61}) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, e.Index)
		}
		subscribed <- got
	}()
	for size := uint64(1); size < 61; {
		n := 1 + size%7
		fmt.Fprintln(c.stdin, n)
		size = get(strconv.ParseUint(c.line(t), 10, 64))(t)
		// What was acknowledged there is here at once.
		wantSize(t, reader, size)
		if e := get(reader.Entry(t.Context(), size-1))(t); e.Index != size-1 {
			t.Errorf("entry %d is %d", size-1, e.Index)
		}
		get(reader.EntryByID(t.Context(), fmt.Sprint("turn-", size-1)))(t)
		wantClean(t, reader)
	}
	got := <-subscribed
	for i, index := range got {
		if index != uint64(i) {
			t.Fatalf("subscribed were %v", got)
		}
	}
	c.end(t)
	wantClean(t, openTrail(t, dir, Options{KeyDir: keys}))
}

func TestLockEndsWithItsProcess(t *testing.T) {
	dir, keys := newTrailDir(t)
	c := startChild(t, "hold", dir, keys, "")
	c.kill(t)
	trail := openTrail(t, dir, Options{KeyDir: keys})
	record(t, trail, turn(1))
	must(t, trail.Close())
	c = startChild(t, "hold", dir, keys, "")
	c.end(t)
	wantClean(t, openTrail(t, dir, Options{KeyDir: keys}))
}

// A reader follows through the sealing of segments by another process: what it
// verifies checks out, what it reads is there, and a subscription misses nothing.
func TestReadWhileAnotherProcessSeals(t *testing.T) {
	t.Parallel()
	dir, keys := newTrailDir(t)
	until := *rounds*segment.Entries + 5*batchSize
	reader := openTrail(t, dir, Options{ReadOnly: true})
	c := startChild(t, "batches", dir, keys, "b")
	subscribed := make(chan error, 1)
	go func() {
		next := uint64(0)
		for e, err := range reader.Subscribe(t.Context(), Query{Limit: until}) {
			if err == nil && e.Index != next {
				err = fmt.Errorf("entry %d came, expected was %d", e.Index, next)
			}
			if err != nil {
				subscribed <- err
				return
			}
			next++
		}
		subscribed <- nil
	}()
	lines := make(chan int)
	go func() {
		defer close(lines)
		for n := range until/batchSize + 1 {
			if line, err := c.out.ReadString('\n'); err != nil || line != fmt.Sprintln(n) {
				t.Errorf("the child said %q, %v", line, err)
				return
			}
			select {
			case lines <- n:
			default: // somebody is reading
			}
		}
	}()
	rng := newRand(t)
	for batch := range lines {
		report := verifyReport(t, reader, VerifyOptions{})
		for _, f := range report.Findings {
			t.Errorf("at batch %d: %v", batch, f)
		}
		if report.Size < uint64(batch)*batchSize {
			t.Errorf("batch %d was acknowledged, and the reader sees %d entries", batch, report.Size)
		}
		id := batchID("b", rng.IntN(batch+1), rng.IntN(batchSize))
		e := get(reader.EntryByID(t.Context(), id))(t)
		if got := indices(all(t, reader, Query{From: e.Index, Types: []event.Type{event.TurnEnded}, Limit: 3})); !slices.Equal(got, []uint64{e.Index, e.Index + 1, e.Index + 2}) {
			t.Errorf("from %d on are %v", e.Index, got)
		}
		if t.Failed() {
			for range lines {
			}
		}
	}
	if err := <-subscribed; err != nil {
		t.Error(err)
	}
	c.kill(t)
	wantClean(t, openTrail(t, dir, Options{KeyDir: keys}))
}
