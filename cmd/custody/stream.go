package main

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// stream hands what one goroutine reads to another one that records it. So both
// go on at the same time, an interrupt is noticed while reading waits for input,
// and what is in memory is bounded.
type stream[T any] struct {
	ctx    context.Context // ends the stream
	cancel context.CancelFunc
	values chan sized[T]
	room   *semaphore.Weighted
	taken  int64 // room that the values of the last take have
}

type sized[T any] struct {
	value T
	size  int64
}

const (
	maxPending  = 64 << 20 // bytes of source that are in memory at once
	valueMemory = 512      // what a value takes beside its part of the source
)

// newStream starts to read. read calls yield for every value, with the number of
// bytes of the source that it was made of, until that returns false. When the
// stream is stopped while read waits for input, it waits on; the process then
// ends without it.
func newStream[T any](ctx context.Context, batch int, read func(yield func(value T, size int64) bool)) *stream[T] {
	s := &stream[T]{values: make(chan sized[T], batch), room: semaphore.NewWeighted(maxPending)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	go func() {
		defer close(s.values)
		read(func(value T, size int64) bool {
			size = min(size+valueMemory, maxPending)
			if s.room.Acquire(s.ctx, size) != nil {
				return false
			}
			select {
			case s.values <- sized[T]{value, size}:
				return true
			case <-s.ctx.Done():
				return false
			}
		})
	}()
	return s
}

// take waits for a value and returns it with those that are there already, in
// batch, as many as that has room for. The values before it are done with. It
// returns none at the end, and when the context has ended.
func (s *stream[T]) take(batch []T) []T {
	s.room.Release(s.taken)
	s.taken = 0
	if s.ctx.Err() != nil {
		return batch
	}
	add := func(v sized[T]) {
		batch = append(batch, v.value)
		s.taken += v.size
	}
	select {
	case v, ok := <-s.values:
		if !ok {
			return batch
		}
		add(v)
	case <-s.ctx.Done():
		return batch
	}
	for len(batch) < cap(batch) {
		select {
		case v, ok := <-s.values:
			if !ok {
				return batch
			}
			add(v)
		default:
			return batch
		}
	}
	return batch
}

// stop ends the stream. What was not taken is given up.
func (s *stream[T]) stop() { s.cancel() }

// byteCounter counts what is read.
type byteCounter struct {
	read func([]byte) (int, error)
	n    *atomic.Int64
}

func (c *byteCounter) Read(p []byte) (int, error) {
	n, err := c.read(p)
	c.n.Add(int64(n))
	return n, err
}
