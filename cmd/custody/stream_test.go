package main

import (
	"context"
	"testing"
	"testing/synctest"
)

// numbers reads the numbers from 0 on, each of them size bytes.
func numbers(n int, size int64, read *int) func(func(int, int64) bool) {
	return func(yield func(int, int64) bool) {
		for i := range n {
			if !yield(i, size) {
				return
			}
			*read++
		}
	}
}

func TestStreamIsInOrder(t *testing.T) {
	read := 0
	s := newStream(t.Context(), 7, numbers(1000, maxPending/5, &read))
	defer s.stop()
	next := 0
	for batch := s.take(make([]int, 0, 7)); len(batch) > 0; batch = s.take(batch[:0]) {
		for _, v := range batch {
			if v != next {
				t.Fatalf("%d comes instead of %d", v, next)
			}
			next++
		}
	}
	if next != 1000 {
		t.Errorf("%d values", next)
	}
}

// What is in memory is bounded by its size, and by nothing else that is larger.
func TestStreamIsBounded(t *testing.T) {
	for size, want := range map[int64]int{maxPending/4 - valueMemory: 4, maxPending: 1, 10 * maxPending: 1, 0: 101} {
		synctest.Test(t, func(t *testing.T) {
			read := 0
			s := newStream(t.Context(), 100, numbers(1000, size, &read))
			defer func() {
				s.stop()
				synctest.Wait() // until the reader has ended
			}()
			synctest.Wait()
			if read != min(want, 100) {
				t.Errorf("%d values of %d bytes were read ahead, want %d", read, size, want)
			}
			if batch := s.take(make([]int, 0, 1)); len(batch) != 1 {
				t.Fatalf("%d values", len(batch))
			}
			synctest.Wait()
			before := read
			s.take(make([]int, 0, 1)) // gives back the room of the first
			synctest.Wait()
			if read <= before && want < 100 {
				t.Errorf("reading does not go on: %d values", read)
			}
		})
	}
}

// An interrupt is noticed although reading waits for input.
func TestStreamInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		input := make(chan struct{})
		s := newStream(ctx, 10, func(yield func(int, int64) bool) {
			yield(1, 0)
			<-input
		})
		if batch := s.take(make([]int, 0, 10)); len(batch) != 1 {
			t.Errorf("%d values", len(batch))
		}
		cancel()
		if batch := s.take(make([]int, 0, 10)); len(batch) != 0 {
			t.Errorf("%d values after the interrupt", len(batch))
		}
		close(input)
	})
}
