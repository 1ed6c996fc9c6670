package server

import (
	"context"
	"sync"
	"time"

	"github.com/custodylog/custody/internal/trails"
)

const (
	// patience is how long a disk may take before it is taken for one that does not work.
	patience = 5 * time.Second

	// readyFor is how long it is taken for true what was found of the trails.
	readyFor = time.Second
)

// writing knows which trails can be recorded in. However many ask, the disks are asked
// once within readyFor, all of them at the same time.
type writing struct {
	mu   sync.Mutex
	last *writable // guarded by mu; nil: nobody has asked
}

// isWritable is the code of a trail that can be recorded in.
const isWritable = "ok"

// writable is what was found of the trails.
type writable struct {
	done    chan struct{} // closed when the others are there
	found   time.Time
	trails  map[string]string // by name: isWritable, or a code that docs/http.md lists
	failing int               // how many are not ok
}

// isOver reports whether it was found too long ago. It is false while that is under way.
func (x *writable) isOver(now time.Time) bool {
	select {
	case <-x.done:
		return now.Sub(x.found) >= readyFor
	default:
		return false
	}
}

// writableTrails returns which trails can be recorded in, as of a second ago at most.
func (s *Server) writableTrails(ctx context.Context) (*writable, error) {
	s.writing.mu.Lock()
	x := s.writing.last
	if x == nil || x.isOver(time.Now()) {
		x = &writable{done: make(chan struct{})}
		s.writing.last = x
		go x.find(s.stopped, s.trails.List()) // it is for the others too
	}
	s.writing.mu.Unlock()
	select {
	case <-x.done:
		return x, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (x *writable) find(ctx context.Context, all []*trails.Trail) {
	codes := make([]string, len(all))
	var asked sync.WaitGroup
	for i, t := range all {
		asked.Go(func() {
			codes[i] = isWritable
			if err := writes(ctx, t); err != nil {
				codes[i] = problemOf(err).Code
			}
		})
	}
	asked.Wait()
	x.trails = map[string]string{}
	for i, t := range all {
		x.trails[t.Name] = codes[i]
		if codes[i] != isWritable {
			x.failing++
		}
	}
	x.found = time.Now()
	close(x.done)
}

// writes says why nothing can be recorded in a trail, or nil.
func writes(ctx context.Context, t *trails.Trail) error {
	if err := readOnly(t); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := t.Flush(ctx)
	return err
}
