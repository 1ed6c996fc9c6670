package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/storage"
)

// store makes rows durable in one transaction.
type store interface {
	commit(rows []row) error
	Close() error
}

// row is one event as the stores keep it.
type row struct {
	index   uint64
	time    int64    // microseconds since 1970
	hash    [32]byte // SHA-256 of the hash before, index, time and payload hash
	event   event.Event
	payload []byte // canonical JSON
	keys    []storage.Key

	payloadHash [32]byte
}

// log makes a store a benchmark.Log, in the way that Custody commits: callers
// encode and hash in their own goroutines; one goroutine takes everything that
// has gathered while the last transaction was made durable, chains it and
// commits it in one transaction.
//
// It does less than Custody: no redaction, no salts, no tree, no signature.
type log struct {
	store store

	mu     sync.Mutex
	queue  []*request // guarded by mu
	closed bool       // guarded by mu

	wake    chan struct{} // holds a value when the queue may hold requests
	stopped chan struct{}

	// Owned by run.
	size uint64
	head [32]byte
	rows []row
}

// request is a call of Append.
type request struct {
	rows   []row
	buf    []byte
	done   chan error
	commit uint64
}

var requests = sync.Pool{New: func() any { return &request{done: make(chan error, 1)} }}

func newLog(s store) *log {
	uuid.EnableRandPool()
	l := &log{store: s, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	go l.run()
	return l
}

// Append implements benchmark.Log.
func (l *log) Append(ctx context.Context, events []event.Event) (commit uint64, err error) {
	r := requests.Get().(*request)
	defer requests.Put(r)
	if err := r.encode(events); err != nil {
		return 0, err
	}
	l.mu.Lock()
	l.queue = append(l.queue, r)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default: // run will look anyway
	}
	if err := <-r.done; err != nil {
		return 0, err
	}
	return r.commit, nil
}

// Flush implements benchmark.Log. Append waits itself.
func (l *log) Flush(context.Context) error { return nil }

// encode fills the rows of the request.
func (r *request) encode(events []event.Event) error {
	r.rows, r.buf = r.rows[:0], r.buf[:0]
	now := time.Now()
	ends := make([]int, len(events))
	for i, e := range events {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		e.ID, e.Timestamp = id.String(), now
		if e, err = e.Normalize(event.Lenient); err != nil {
			return err
		}
		if r.buf, err = e.AppendPayload(r.buf); err != nil {
			return err
		}
		ends[i] = len(r.buf)
		if len(r.rows) < cap(r.rows) {
			r.rows = r.rows[:len(r.rows)+1]
		} else {
			r.rows = append(r.rows, row{})
		}
		w := &r.rows[i]
		w.event, w.keys = e, w.keys[:0]
		e.VisitFields(func(f event.Field, value string) {
			w.keys = append(w.keys, storage.KeyOf(uint8(f), value))
		})
	}
	start := 0
	for i := range r.rows {
		r.rows[i].payload = r.buf[start:ends[i]]
		r.rows[i].payloadHash = sha256.Sum256(r.rows[i].payload)
		start = ends[i]
	}
	return nil
}

func (l *log) run() {
	defer close(l.stopped)
	var work []*request
	for range l.wake {
		for {
			l.mu.Lock()
			work, l.queue = l.queue, work[:0]
			closed := l.closed
			l.mu.Unlock()
			if len(work) == 0 {
				if closed {
					return
				}
				break
			}
			err := l.commit(work)
			for _, r := range work {
				r.commit = l.size
				r.done <- err
			}
		}
	}
}

// commit chains the rows of all requests and makes them durable.
func (l *log) commit(work []*request) error {
	l.rows = l.rows[:0]
	now := time.Now().UnixMicro()
	size, head := l.size, l.head
	var b [32 + 8 + 8 + 32]byte
	for _, r := range work {
		for i := range r.rows {
			w := &r.rows[i]
			w.index, w.time = size, now
			copy(b[:], head[:])
			binary.BigEndian.PutUint64(b[32:], size)
			binary.BigEndian.PutUint64(b[40:], uint64(now))
			copy(b[48:], w.payloadHash[:])
			head = sha256.Sum256(b[:])
			w.hash = head
			size++
			l.rows = append(l.rows, *w)
		}
	}
	if err := l.store.commit(l.rows); err != nil {
		return err
	}
	l.size, l.head = size, head
	return nil
}

// Close commits what waits and closes the store.
func (l *log) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	<-l.stopped
	return l.store.Close()
}
