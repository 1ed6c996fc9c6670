package mcprecorder

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/spool"
	"github.com/custodylog/custody/internal/vfs"
)

const (
	maxQueued = 1000 // sightings that wait in memory, unless they come at once
	maxCalls  = 2000 // where they are of messages of the client, which no server can drown
	maxBatch  = 8    // sightings that are recorded at once: they have up to 1 MB each

	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second
)

// queue records sightings in the order in which they are put in, in the background. What
// cannot be recorded is kept in the spool, or where there is none in memory for as long
// as there is room, and tried again.
type queue struct {
	sink     Sink
	spool    *spool.Spool // nil: there is none
	spooled  bool         // something may be in it, which comes before the rest; the worker's
	own      bool         // and it is of this run
	log      *slog.Logger
	recorded func(*sighting.Sighting) // is told what is; nil: nobody

	ctx    context.Context // ends what the worker does
	cancel context.CancelFunc
	done   chan struct{} // closed when the worker has ended
	wake   chan struct{}

	mu      sync.Mutex
	waiting []*put        // guarded by mu, and so are the others
	size    int           // sightings in it
	lost    int           // sightings that there was no room for
	down    chan struct{} // closed while recording fails
	isDown  bool
	closing bool
}

// put is what was put in at once.
type put struct {
	seen []sighting.Sighting
	done chan error // gets one value; it has room for it
}

func newQueue(s Sink, box *spool.Spool, recorded func(*sighting.Sighting), log *slog.Logger) *queue {
	q := &queue{sink: s, spool: box, spooled: box != nil, recorded: recorded, log: log, done: make(chan struct{}), wake: make(chan struct{}, 1), down: make(chan struct{})}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	go q.run()
	return q
}

// put puts sightings in, and returns a channel that tells what becomes of them: nil when
// they are recorded, an error when that failed for the first time.
func (q *queue) put(seen []sighting.Sighting) <-chan error { return q.putUpTo(seen, maxQueued) }

// putUpTo is put with another bound of what waits.
func (q *queue) putUpTo(seen []sighting.Sighting, most int) <-chan error {
	p := &put{seen, make(chan error, 1)}
	if len(seen) == 0 {
		p.done <- nil
		return p.done
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing {
		q.lost += len(seen)
		p.done <- errors.New("the recorder has ended")
		return p.done
	}
	if q.size > 0 && q.size+len(seen) > most {
		if q.lost == 0 {
			q.log.Error("custody: recording has failed for so long that what happens is lost", "waiting", q.size)
		}
		q.lost += len(seen)
		p.done <- fmt.Errorf("%d sightings wait already", q.size)
		return p.done
	}
	q.waiting, q.size = append(q.waiting, p), q.size+len(seen)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return p.done
}

// failing returns a channel that is closed while recording fails.
func (q *queue) failing() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.down
}

// close waits until everything is recorded, or ctx ends.
func (q *queue) close(ctx context.Context) error {
	q.mu.Lock()
	q.closing = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	select {
	case <-q.done:
	case <-ctx.Done():
		q.cancel()
		<-q.done
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := q.size + q.lost; n > 0 {
		return fmt.Errorf("%d sightings are not recorded", n)
	}
	return nil
}

// run records until the queue is closed and empty, or has to end.
func (q *queue) run() {
	defer close(q.done)
	retry := firstRetry
	var again <-chan time.Time // when what failed is tried again; nil: nothing did
	last := false              // it was tried since the queue was closed
	for {
		batch, closing := q.next()
		switch {
		case again != nil && len(batch) > 0 && q.keep(batch):
			continue
		case again != nil && closing && !last: // at once
			again, last = nil, true
			continue
		case again != nil && closing && q.spooled && len(batch) == 0:
			n, _ := q.spool.Waiting()
			q.log.Warn("custody: what is not recorded yet is kept, and recorded with what comes next", "records", n, "spool", q.spool.Dir())
			return
		case again != nil:
		case q.replay() && q.record(batch):
			if retry = firstRetry; len(batch) > 0 {
				continue
			}
			if closing {
				return
			}
		default:
			again = time.After(retry)
			retry = min(2*retry, lastRetry)
			continue
		}
		select {
		case <-q.wake:
		case <-again:
			again = nil
		case <-q.ctx.Done():
			return
		}
	}
}

// next returns what is to be recorded next. It stays in the queue.
func (q *queue) next() (batch []*put, closing bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 && q.lost > 0 && !q.isDown {
		q.waiting, q.size = append(q.waiting, &put{[]sighting.Sighting{gap(q.lost)}, make(chan error, 1)}), 1
		q.lost = 0
	}
	n := 0
	for _, p := range q.waiting {
		if n += len(p.seen); len(batch) > 0 && n > maxBatch {
			break
		}
		batch = append(batch, p)
	}
	return batch, q.closing
}

// gap is the sighting that some others are lost.
func gap(lost int) sighting.Sighting {
	return sighting.Sighting{Mapped: true, Event: event.Event{Type: event.GapDetected, ID: newID(), Source: sighting.Recorder, OccurredAt: time.Now().UTC().Truncate(time.Microsecond),
		Details: map[string]any{"what": "what a recorder of MCP saw while it could not record it", "source": sighting.Recorder, "count": lost}}}
}

// record records a batch, and takes it out of the queue if that succeeds. It tells
// whoever waits what became of it.
func (q *queue) record(batch []*put) bool {
	if len(batch) == 0 {
		return true
	}
	var all []sighting.Sighting
	for _, p := range batch {
		all = append(all, p.seen...)
	}
	refused, err := q.take(all)
	if err == nil {
		q.drop(batch)
	}
	at := 0
	for _, p := range batch {
		result := err
		for range p.seen {
			if why := refused[at]; why != nil {
				result = why
			}
			at++
		}
		p.tell(result)
	}
	return err == nil
}

// take has sightings recorded, and says when that begins to fail, or does not any more.
func (q *queue) take(seen []sighting.Sighting) (map[int]error, error) {
	refused, err := q.sink.Record(q.ctx, seen)
	q.mu.Lock()
	if failed := err != nil; failed != q.isDown {
		if q.isDown = failed; failed {
			q.log.Error("custody: what happens cannot be recorded now; it is tried again", "err", err)
			close(q.down)
		} else {
			q.log.Warn("custody: what happens is recorded again")
			q.down = make(chan struct{})
		}
	}
	q.mu.Unlock()
	for i := range seen {
		if why := refused[i]; why != nil {
			q.log.Error("custody: the trail refuses an event", "type", seen[i].Event.Type, "err", why)
		} else if err == nil && q.recorded != nil {
			q.recorded(&seen[i])
		}
	}
	return refused, err
}

// drop takes a batch out of the queue.
func (q *queue) drop(batch []*put) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range batch {
		q.size -= len(p.seen)
	}
	q.waiting = q.waiting[len(batch):]
}

// tell tells whoever waits what became of it, unless it was told before.
func (p *put) tell(err error) {
	select {
	case p.done <- err:
	default:
	}
}

// errKept says that something is in the spool, and not in the trail.
var errKept = errors.New("the trail cannot be reached; it is kept until it can")

// keep puts a batch into the spool, and reports whether it has it all.
func (q *queue) keep(batch []*put) bool {
	if q.spool == nil {
		return false
	}
	for i, p := range batch {
		record, err := json.Marshal(p.seen)
		if err == nil {
			err = q.spool.Append(record)
		}
		if err != nil {
			q.log.Error("custody: what cannot be recorded now is not kept in the spool", "spool", q.spool.Dir(), "err", err)
			p.tell(err)
			q.drop(batch[:i])
			return false
		}
		q.spooled, q.own = true, true
		p.tell(errKept)
	}
	q.drop(batch)
	return true
}

// replay records what is in the spool, from this run and from those before, and reports
// whether nothing is left in it.
func (q *queue) replay() bool {
	if !q.spooled {
		return true
	}
	done, err := q.spool.Replay(func(records [][]byte) (judged []error, err error) {
		for _, record := range records {
			var seen []sighting.Sighting
			if err := json.Unmarshal(record, &seen); err != nil {
				judged = append(judged, err)
				continue
			}
			refused, err := q.take(seen)
			if err != nil {
				return judged, err
			}
			var why error
			for i := range seen {
				why = cmp.Or(why, refused[i])
			}
			judged = append(judged, why)
		}
		return judged, nil
	})
	for _, why := range done.Aside {
		q.log.Error("custody: what was kept in the spool can never be recorded, and was set aside", "err", why)
	}
	for _, name := range done.Torn {
		q.log.Warn("custody: a crash left a file of the spool half-written; it was removed: nobody was told that it is kept", "file", name)
	}
	if _, locked := errors.AsType[*vfs.LockedError](err); locked && !q.own {
		err = nil // another recorder is at it, and it is none of ours
	}
	if err == nil {
		q.spooled, q.own = false, false
	}
	return err == nil
}
