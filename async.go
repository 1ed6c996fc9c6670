package custody

import (
	"context"
	"errors"
	"sync"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/sequencer"
)

// asyncState is what asynchronous recording needs. Jobs that the sequencer has
// done go to finished; one goroutine settles them, so that neither the
// sequencer nor a caller waits for that.
type asyncState struct {
	mu       sync.Mutex
	finished []*job // guarded by mu
	accepted int    // guarded by mu: events ever taken
	settled  int    // guarded by mu: events ever done with, counted sooner than as taken
	err      error  // guarded by mu: the first error since the last Flush

	wake    chan struct{} // holds a value when finished may hold jobs
	stop    chan struct{}
	stopped chan struct{}
}

// startAsync starts the goroutine that settles asynchronous jobs.
func (t *Trail) startAsync() {
	t.async.wake, t.async.stop, t.async.stopped = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go t.settleAsync()
}

// recordLater takes an event into memory.
func (t *Trail) recordLater(ctx context.Context, e event.Event) (Receipt, error) {
	j := t.newJob()
	j.one[0] = e
	if err := t.prepare(ctx, j, j.one[:], j.receipt[:]); err != nil {
		t.recycle(j)
		return Receipt{}, single(err)
	}
	if r := j.receipt[0]; r.Duplicate {
		t.recycle(j)
		return r, nil
	}
	id := j.receipt[0].ID
	j.req.Lazy = true
	if err := t.submitLater(ctx, j, !t.opts.RefuseWhenFull); err != nil {
		t.recycle(j)
		return Receipt{}, err
	}
	t.async.mu.Lock()
	t.async.accepted++
	t.async.mu.Unlock()
	return Receipt{ID: id}, nil
}

// submitLater hands a job over without waiting for its commit.
func (t *Trail) submitLater(ctx context.Context, j *job, wait bool) error {
	j.req.Notify = func(*sequencer.Request) {
		t.async.mu.Lock()
		t.async.finished = append(t.async.finished, j)
		t.async.mu.Unlock()
		select {
		case t.async.wake <- struct{}{}:
		default: // it will look anyway
		}
	}
	if wait {
		return t.seq.Submit(ctx, &j.req)
	}
	return t.seq.TrySubmit(&j.req)
}

func (t *Trail) settleAsync() {
	defer close(t.async.stopped)
	for stopping := false; ; {
		t.async.mu.Lock()
		work := t.async.finished
		t.async.finished = nil
		t.async.mu.Unlock()
		for _, j := range work {
			if j.flushed != nil {
				close(j.flushed)
				t.recycle(j)
				continue
			}
			t.settleOne(j)
			t.async.mu.Lock()
			t.async.settled++
			t.async.mu.Unlock()
		}
		if len(work) > 0 {
			continue
		}
		if stopping {
			return
		}
		select {
		case <-t.async.wake:
		case <-t.async.stop:
			stopping = true
		}
	}
}

func (t *Trail) settleOne(j *job) {
	again, err := t.settle(context.Background(), j, j.receipt[:])
	if err == nil && again {
		err = t.commit(context.Background(), j, j.receipt[:])
	}
	if err != nil {
		err = single(err)
		t.opts.Logger.Error("custody: an event that was accepted is not recorded", "dir", t.dir, "id", j.receipt[0].ID, "err", err)
		t.async.mu.Lock()
		if t.async.err == nil {
			t.async.err = err
		}
		t.async.mu.Unlock()
		return
	}
	t.mirrorAll(j, j.receipt[:])
	t.recycle(j)
}

// stopAsync ends the goroutine after the sequencer has ended.
func (t *Trail) stopAsync() error {
	close(t.async.stop)
	<-t.async.stopped
	t.async.mu.Lock()
	defer t.async.mu.Unlock()
	return t.async.err
}

// Flush writes every event that was accepted before the call, waits until they
// are durable, and returns how many there were. The error is the first one that
// an event met since the last Flush; it is returned once. In synchronous mode
// nothing waits.
func (t *Trail) Flush(ctx context.Context) (int, error) {
	if t.seq == nil {
		return 0, ErrReadOnly
	}
	t.async.mu.Lock()
	n := max(0, t.async.accepted-t.async.settled)
	t.async.mu.Unlock()
	// The sequencer takes requests in the order in which they come: when it is
	// done with this one, which holds nothing, so it is with all before it.
	j := t.newJob()
	done := make(chan struct{})
	j.flushed = done
	err := t.submitLater(ctx, j, true)
	if err != nil {
		t.recycle(j)
	} else {
		select {
		case <-done:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		err = t.seq.Err()
	}
	t.async.mu.Lock()
	defer t.async.mu.Unlock()
	first := t.async.err
	t.async.err = nil
	return n, errors.Join(first, err)
}
