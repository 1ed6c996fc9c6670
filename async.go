package custody

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/sequencer"
)

// asyncState is what asynchronous recording needs. Jobs that the sequencer has
// done go to finished; one goroutine settles them, so that neither the
// sequencer nor a caller waits for that.
type asyncState struct {
	mu       sync.Mutex
	finished []*job    // guarded by mu
	accepted uint64    // guarded by mu: jobs ever handed to the sequencer
	settled  uint64    // guarded by mu: of those, how many are done with
	flushes  []flushed // guarded by mu: who waits
	err      error     // guarded by mu: the first error since the last Flush

	wake    chan struct{} // holds a value when finished may hold jobs
	stop    chan struct{}
	stopped chan struct{}
}

// flushed is closed when so many jobs are settled. The sequencer takes jobs in
// the order in which they come, so then all those are that came before.
type flushed struct {
	at   uint64
	done chan struct{}
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
	if err := t.submitLater(ctx, j, !t.opts.RefuseWhenFull); err != nil {
		t.recycle(j)
		return Receipt{}, err
	}
	return Receipt{ID: id}, nil
}

// submitLater hands a job over without waiting for its commit.
func (t *Trail) submitLater(ctx context.Context, j *job, wait bool) error {
	j.req.Lazy = t.opts.Async
	j.req.Notify = func(*sequencer.Request) {
		t.async.mu.Lock()
		t.async.finished = append(t.async.finished, j)
		t.async.mu.Unlock()
		select {
		case t.async.wake <- struct{}{}:
		default: // it will look anyway
		}
	}
	t.async.mu.Lock()
	t.async.accepted++
	t.async.mu.Unlock()
	var err error
	if wait {
		err = t.seq.Submit(ctx, &j.req)
	} else {
		err = t.seq.TrySubmit(&j.req)
	}
	if err != nil {
		t.async.done(1)
	}
	return err
}

// done counts jobs that are settled.
func (a *asyncState) done(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settled += uint64(n)
	a.flushes = slices.DeleteFunc(a.flushes, func(f flushed) bool {
		if f.at > a.settled {
			return false
		}
		close(f.done)
		return true
	})
}

func (t *Trail) settleAsync() {
	defer close(t.async.stopped)
	for stopping := false; ; {
		t.async.mu.Lock()
		work := t.async.finished
		t.async.finished = nil
		t.async.mu.Unlock()
		for _, j := range work {
			t.settleOne(j)
		}
		t.async.done(len(work))
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
	n := int(t.async.accepted - t.async.settled)
	f := flushed{at: t.async.accepted, done: make(chan struct{})}
	if n > 0 {
		t.async.flushes = append(t.async.flushes, f)
	} else {
		close(f.done)
	}
	t.async.mu.Unlock()
	t.seq.Hurry()
	select {
	case <-f.done:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	t.async.mu.Lock()
	defer t.async.mu.Unlock()
	err := t.async.err
	t.async.err = nil
	return n, errors.Join(err, t.seq.Err())
}
