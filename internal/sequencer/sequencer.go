// Package sequencer puts events in order: it alone gives out indices and
// times, links and hashes entries, extends the tree, signs the checkpoint and
// hands whole commits to the store.
//
// There is no batch timer. While the store makes one commit durable the next
// events gather; when it has finished, everything that has gathered goes into
// the next commit. One caller pays one disk flush, many share it.
package sequencer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sync/semaphore"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

const (
	// maxCommit bounds the payload bytes of one commit, so that while one
	// part of a heavy load is written the next is being encoded.
	maxCommit = 2 << 20

	// entryRoom is what an entry takes at most besides its type.
	entryRoom = 240

	// segmentEntries: a commit does not reach over a segment boundary, so
	// every segment ends with a checkpoint of its own.
	segmentEntries = 1 << 16

	// maxAttempts is how often a commit is tried again after somebody else's
	// came first.
	maxAttempts = 10
)

// Config says what a sequencer needs. All fields are required but OnClockStep
// and FlushInterval.
type Config struct {
	Store  storage.Store
	Signer *evidence.Signer

	// Now returns the wall clock, with its monotonic reading.
	Now func() time.Time

	// MaxPending bounds the payload bytes that wait for a commit.
	MaxPending int64

	// FlushInterval is how long a lazy request may wait for company; 0: not
	// at all.
	FlushInterval time.Duration

	// OnClockStep is told when the wall clock jumped: what it should have
	// shown and what it shows. It is called by the sequencer's goroutine and
	// must not wait for a commit.
	OnClockStep func(want, got time.Time)

	// since is for tests: the time between two readings of Now, by a clock that
	// does not jump. nil: time.Time.Sub.
	since func(now, last time.Time) time.Duration
}

// Event is one event on its way into the trail. The sequencer does not change
// or keep the bytes that it refers to beyond the commit.
type Event struct {
	Body       []byte        // salt and payload
	Commitment evidence.Hash // of Body
	Type       string        // a valid type name
	Keys       []storage.Key

	// IDKey is the key of an id that the caller chose; 0: the trail chose it,
	// so nobody else has it. Entries below Checked do not have the id.
	IDKey   storage.Key
	Checked uint64

	// Rotate makes the event the last one under the current key: its commit
	// is signed with both, everything later with this one.
	Rotate *evidence.Signer

	// What became of it, once the request is done without an error.
	Index uint64
	Time  int64 // microseconds since 1970
	Hash  evidence.Hash
	// Taken means that nothing was committed, since the entry at Index may
	// have the same id, and no earlier one from Checked on. The caller looks
	// at it; if it has another, he submits the event again with Checked behind
	// Index.
	Taken bool
}

// Request is a run of events that are committed in order and answered at once.
// It is not a transaction: after a failure a part of it may be committed. The
// zero value is ready; Reset makes it so again.
type Request struct {
	Events []Event
	// Lazy requests wait up to the flush interval for company.
	Lazy bool
	// Notify, if not nil, is called when the request is done, instead of a
	// value on Done. It is called by the sequencer's goroutine and must not
	// wait.
	Notify func(*Request)

	done  chan struct{} // receives one value when the request is done
	next  int           // first event not yet committed; owned by the sequencer
	bytes int64

	checkpoint []byte
	err        error
}

// Reset makes r ready for another submission and keeps its memory.
func (r *Request) Reset() {
	if r.done == nil {
		r.done = make(chan struct{}, 1)
	}
	clear(r.Events)
	r.Events, r.Lazy, r.Notify, r.next, r.bytes, r.checkpoint, r.err = r.Events[:0], false, nil, 0, 0, nil, nil
}

// Done returns a channel that receives one value when the request is done. It is
// there from the first Reset or submission on.
func (r *Request) Done() <-chan struct{} { return r.done }

// Result returns the checkpoint that covers the request, or why it failed. It
// may be called once Done has delivered.
func (r *Request) Result() (checkpoint []byte, err error) { return r.checkpoint, r.err }

// Sequencer is the one writer of a trail.
type Sequencer struct {
	cfg  Config
	room *semaphore.Weighted // payload bytes that may wait

	mu      sync.Mutex
	queue   []*Request // guarded by mu
	queued  int64      // guarded by mu: payload bytes in queue
	blocked int        // guarded by mu: callers that wait for room
	urgent  bool       // guarded by mu: the queue is not to wait: one is not lazy, or a commit is full
	closing bool       // guarded by mu
	failed  error      // guarded by mu; set once

	wake    chan struct{} // holds a value when the queue may be worth a look
	stopped chan struct{} // closed when run has returned

	// The rest is owned by run.
	head    storage.Head
	signers []note.Signer
	since   func(now, last time.Time) time.Duration
	clock   time.Time // the last reading, zero before the first
	arena   []byte
	items   []storage.Item
	pending map[storage.Key]uint64
	spare   []*Request
}

// New starts a sequencer at the end of the store. Close stops it.
func New(cfg Config) *Sequencer {
	s := &Sequencer{
		cfg:     cfg,
		room:    semaphore.NewWeighted(cfg.MaxPending),
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
		head:    cfg.Store.Head(),
		signers: []note.Signer{cfg.Signer},
		pending: make(map[storage.Key]uint64),
	}
	if s.since = cfg.since; s.since == nil {
		s.since = time.Time.Sub
	}
	go s.run()
	return s
}

// ErrFull is returned by TrySubmit when there is no room.
var ErrFull = errors.New("too many events wait to be committed")

// Submit hands a request over. It waits for room; ctx bounds only that. The
// caller must not touch the request until it is done.
func (s *Sequencer) Submit(ctx context.Context, r *Request) error {
	s.prepare(r)
	if !s.room.TryAcquire(r.bytes) {
		// What is in the way must not wait for company meanwhile.
		s.block(1)
		err := s.room.Acquire(ctx, r.bytes)
		s.block(-1)
		if err != nil {
			return fmt.Errorf("waiting for room in the queue: %w", err)
		}
	}
	return s.enqueue(r)
}

// TrySubmit is Submit, but gives ErrFull instead of waiting.
func (s *Sequencer) TrySubmit(r *Request) error {
	s.prepare(r)
	if !s.room.TryAcquire(r.bytes) {
		s.Hurry() // so that there is room the next time
		return ErrFull
	}
	return s.enqueue(r)
}

func (s *Sequencer) prepare(r *Request) {
	if r.done == nil {
		r.done = make(chan struct{}, 1)
	}
	r.next, r.bytes = 0, s.weight(r)
}

// block counts the callers that wait for room.
func (s *Sequencer) block(n int) {
	s.mu.Lock()
	s.blocked += n
	s.mu.Unlock()
	s.signal()
}

func (s *Sequencer) weight(r *Request) int64 {
	n := int64(0)
	for i := range r.Events {
		n += int64(len(r.Events[i].Body)) + entryRoom
	}
	return min(n, s.cfg.MaxPending)
}

func (s *Sequencer) enqueue(r *Request) error {
	s.mu.Lock()
	err := s.failed
	if err == nil && s.closing {
		err = storage.ErrClosed
	}
	if err != nil {
		s.mu.Unlock()
		s.room.Release(r.bytes)
		return err
	}
	s.queue = append(s.queue, r)
	s.queued += r.bytes
	first := len(s.queue) == 1
	hurry := !r.Lazy || s.queued >= maxCommit
	turned := hurry && !s.urgent
	s.urgent = s.urgent || hurry
	s.mu.Unlock()
	if first || turned {
		s.signal()
	}
	return nil
}

// Hurry commits what waits now, lazy or not.
func (s *Sequencer) Hurry() {
	s.mu.Lock()
	s.urgent = true
	s.mu.Unlock()
	s.signal()
}

func (s *Sequencer) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Err returns why the sequencer takes nothing more, or nil.
func (s *Sequencer) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Close commits what was submitted, then stops. It returns when the sequencer's
// goroutine has ended.
func (s *Sequencer) Close() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.Hurry()
	<-s.stopped
}

func (s *Sequencer) run() {
	defer close(s.stopped)
	var timer *time.Timer
	for {
		<-s.wake
		due := false // what is lazy has waited enough
		if s.mayWait() {
			if timer == nil {
				timer = time.NewTimer(s.cfg.FlushInterval)
			} else {
				timer.Reset(s.cfg.FlushInterval)
			}
			for waiting := true; waiting && s.mayWait(); {
				select {
				case <-timer.C:
					waiting = false
				case <-s.wake:
				}
			}
			timer.Stop()
			due = true
		}
		for ; ; due = false {
			s.gather()
			s.mu.Lock()
			if !due && s.mayWaitLocked() {
				s.mu.Unlock()
				s.signal()
				break
			}
			work, closing := s.queue, s.closing
			s.queue, s.queued, s.urgent = s.spare[:0], 0, false
			s.mu.Unlock()
			if len(work) == 0 {
				s.spare = work
				if closing {
					return
				}
				break
			}
			s.sequence(work)
			clear(work)
			s.spare = work
		}
	}
}

// gather lets the callers that are ready to run submit what they have, as long
// as more comes. Those that the last commit woke would otherwise miss this one
// and wait for the next. It waits for nobody who is not running already.
func (s *Sequencer) gather() {
	for before := int64(-1); ; {
		s.mu.Lock()
		now := s.queued
		s.mu.Unlock()
		if now == before || now >= maxCommit {
			return
		}
		before = now
		runtime.Gosched()
	}
}

// mayWait reports whether all that waits is lazy, and nobody waits for its room.
func (s *Sequencer) mayWait() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mayWaitLocked()
}

func (s *Sequencer) mayWaitLocked() bool {
	return s.cfg.FlushInterval > 0 && len(s.queue) > 0 && !s.urgent && s.blocked == 0 && !s.closing
}

// notWritten is an error that came before the store was given anything, or after
// it had refused: the trail is as it was and goes on.
type notWritten struct{ error }

func (e notWritten) Unwrap() error { return e.error }

// sequence commits the requests in order, in as many commits as their size and
// the segment boundaries ask for.
func (s *Sequencer) sequence(work []*Request) {
	for len(work) > 0 {
		done, checkpoint, err := len(work), []byte(nil), s.Err()
		if err == nil {
			done, checkpoint, err = s.commit(work)
		}
		if err != nil && s.Err() == nil && !errors.As(err, new(notWritten)) {
			// What is on disk now is open, and nothing may come behind it.
			err = fmt.Errorf("%w: %w", storage.ErrFailed, err)
			s.mu.Lock()
			s.failed = err
			s.mu.Unlock()
			done = len(work)
		}
		for _, r := range work[:done] {
			s.answer(r, checkpoint, err)
		}
		work = work[done:]
	}
}

func (s *Sequencer) answer(r *Request, checkpoint []byte, err error) {
	r.checkpoint, r.err = checkpoint, err
	weight, notify := r.bytes, r.Notify
	// From here on the request may be used again.
	if notify != nil {
		notify(r)
	} else {
		r.done <- struct{}{} // has room for one
	}
	s.room.Release(weight)
}

// commit takes events from the front of work until the commit is full, appends
// them to the store, and returns how many requests are thereby done. If the
// error is notWritten, they are done in vain.
func (s *Sequencer) commit(work []*Request) (done int, checkpoint []byte, err error) {
	for attempt := 0; ; attempt++ {
		done, checkpoint, err = s.tryCommit(work)
		if !errors.Is(err, storage.ErrConflict) || attempt == maxAttempts {
			return done, checkpoint, err
		}
		// Somebody else's commit came first.
		s.head = s.cfg.Store.Head()
	}
}

func (s *Sequencer) tryCommit(work []*Request) (done int, checkpoint []byte, err error) {
	var (
		first    = s.head.Tree.Size()
		room     = segmentEntries - int(first%segmentEntries)
		bytes    = 0
		now      = s.readClock()
		tree     = s.head.Tree.Clone()
		prev     = s.head.Hash
		signers  = s.signers
		rotateTo *evidence.Signer
		next     = 0     // in work[done], the first event left over
		part     = false // some of work[done] is in this commit
	)
	s.items, s.arena = s.items[:0], s.arena[:0]
	clear(s.pending)
	defer func() { clear(s.items) }() // they keep the callers' bytes alive
fill:
	for ; done < len(work); done++ {
		r := work[done]
		part = false
		for next = r.next; next < len(r.Events); next++ {
			e := &r.Events[next]
			if len(s.items) == room || bytes > maxCommit || rotateTo != nil {
				break fill
			}
			if e.IDKey != 0 {
				taken, err := s.taken(e)
				if err != nil {
					if done > 0 || part {
						break fill // this commit goes without it
					}
					return 1, nil, notWritten{fmt.Errorf("finding out whether the trail holds the event's id: %w", err)}
				}
				if taken {
					part = true
					continue
				}
				s.pending[e.IDKey] = tree.Size()
			}
			part = true
			if cap(s.arena)-len(s.arena) < entryRoom+evidence.MaxTypeLen {
				// Entries already placed keep the old arena alive.
				s.arena = make([]byte, 0, max(64<<10, 2*cap(s.arena)))
			}
			start := len(s.arena)
			s.arena = evidence.AppendEntry(s.arena, &evidence.Entry{
				Index: tree.Size(), Payload: e.Commitment, Prev: prev, Time: time.UnixMicro(now), Type: e.Type,
			})
			entry := s.arena[start:len(s.arena):len(s.arena)]
			prev = evidence.LeafHash(entry)
			e.Index, e.Time, e.Hash, e.Taken = tree.Size(), now, prev, false
			tree.Append(prev)
			s.items = append(s.items, storage.Item{Entry: entry, Body: e.Body, Hash: prev, Time: now, Type: e.Type, Keys: e.Keys})
			bytes += len(entry) + len(e.Body)
			if e.Rotate != nil {
				rotateTo = e.Rotate
				signers = []note.Signer{signers[0], rotateTo}
			}
		}
	}
	inVain := done // requests that fail if this is not written
	if done < len(work) && part {
		inVain++
	}
	if len(s.items) == 0 {
		if checkpoint, err = s.cfg.Store.Checkpoint(); err != nil {
			return inVain, nil, notWritten{err}
		}
	} else {
		checkpoint, err = evidence.SignCheckpoint(&evidence.Checkpoint{Origin: s.cfg.Signer.Name(), Size: tree.Size(), Root: tree.Root()}, signers...)
		if err != nil {
			return inVain, nil, notWritten{fmt.Errorf("signing the checkpoint: %w", err)}
		}
		err = s.cfg.Store.Append(&storage.Batch{First: first, Items: s.items, Checkpoint: checkpoint})
		if errors.Is(err, storage.ErrConflict) {
			return inVain, nil, notWritten{err}
		}
		if err != nil {
			return 0, nil, err
		}
		// Durable from here on.
		s.head = storage.Head{Tree: tree, Hash: prev, Time: now}
		if rotateTo != nil {
			s.signers = []note.Signer{rotateTo}
		}
	}
	if done < len(work) {
		work[done].next = next
	}
	return done, checkpoint, nil
}

// taken finds out whether an entry that came after e was checked may have the
// same id.
func (s *Sequencer) taken(e *Event) (bool, error) {
	if i, ok := s.pending[e.IDKey]; ok {
		e.Index, e.Taken = i, true
		return true, nil
	}
	if e.Checked >= s.head.Tree.Size() {
		return false, nil
	}
	var room [4]uint64
	found, err := s.cfg.Store.Lookup(room[:0], e.IDKey, e.Checked)
	if err != nil || len(found) == 0 {
		return false, err
	}
	e.Index, e.Taken = slices.Min(found), true
	return true, nil
}

// readClock returns the time for the next commit in microseconds, never before
// that of the last entry, and tells of a jump of the wall clock.
func (s *Sequencer) readClock() int64 {
	now := s.cfg.Now()
	last := s.clock
	s.clock = now
	if last.IsZero() {
		if behind := s.head.Time - now.UnixMicro(); behind > int64(time.Second/time.Microsecond) {
			s.stepped(time.UnixMicro(s.head.Time), now)
		}
	} else {
		// Sub uses the monotonic clock, which does not jump; without it
		// (Round) the same difference is that of the wall clock. What a
		// clock gains while it is being slewed is no jump.
		elapsed := s.since(now, last)
		jump := now.Round(0).Sub(last.Round(0)) - elapsed
		if jump.Abs() > time.Second+elapsed/1000 {
			s.stepped(last.Round(0).Add(elapsed), now)
		}
	}
	return max(now.UnixMicro(), s.head.Time)
}

func (s *Sequencer) stepped(want, got time.Time) {
	if s.cfg.OnClockStep != nil {
		s.cfg.OnClockStep(want, got.Round(0))
	}
}
