package custody

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/sequencer"
	"github.com/custodylog/custody/internal/storage"
)

// Receipt is what the trail gives for an event that it holds.
type Receipt struct {
	// ID is the event's id: the one it came with, or a new UUIDv7.
	ID string

	// Index, Hash and Time are those of the entry. In asynchronous mode they
	// are zero.
	Index uint64
	Hash  evidence.Hash // RFC 6962 leaf hash of the entry
	Time  time.Time     // set by the trail

	// Checkpoint is a signed checkpoint that covers the entry. Receipts of
	// one commit share its bytes, which must not be changed. nil in
	// asynchronous mode.
	Checkpoint []byte

	// Proof, where the options ask for it, proves by itself that the trail holds
	// the event: it has the entry, the payload and Checkpoint. Kept by the producer
	// it shows later that an entry was dropped.
	Proof *evidence.Proof

	// Duplicate is set when the trail held the same event already; the
	// receipt is that of the first time.
	Duplicate bool
}

// BatchError says which event of a batch was refused. None of the batch was
// recorded then.
type BatchError struct {
	Position int // of the event in the batch, from 0
	Err      error
}

func (e *BatchError) Error() string {
	return fmt.Sprintf("event %d of the batch: %v", e.Position, e.Err)
}
func (e *BatchError) Unwrap() error { return e.Err }

// PayloadSizeError says that an event is larger than the trail takes.
type PayloadSizeError struct {
	Size, Limit int // bytes
}

func (e *PayloadSizeError) Error() string {
	return fmt.Sprintf("the event has %d bytes as canonical JSON, more than the limit of %d (MaxPayload); record a digest of the large part and keep it elsewhere", e.Size, e.Limit)
}

// Record records one event and returns once it is durable; in asynchronous mode
// ([Options]), once it is in memory.
//
// The event is redacted, checked and encoded before Record waits for anything.
// An event that cannot be encoded is refused with an *event.FieldError, one
// that breaks the rules of its type in strict mode with an
// *event.ValidationError, one that is too large with a *[PayloadSizeError]. An
// event whose ID the trail holds gives the first receipt again if it is equal,
// and [ErrConflict] otherwise; a Timestamp that was left zero does not count.
//
// After [ErrFailed] it is open whether the event was written. When ctx ends
// while the event is being written, Record returns its error and the event may
// be recorded all the same: record it again under the same ID to find out.
func (t *Trail) Record(ctx context.Context, e event.Event) (Receipt, error) {
	if t.opts.Async {
		return t.recordLater(ctx, e)
	}
	return t.recordNow(ctx, e)
}

// RecordBatch records events in order and returns once all are durable; in
// asynchronous mode, once they are in memory. Events that the trail holds
// already are not recorded again. When one of them is refused (*[BatchError])
// none is recorded, unless it is refused for its id because somebody else was
// recording under that id at the same moment. It is not a transaction: after ErrFailed, a first part of
// the events may be durable.
func (t *Trail) RecordBatch(ctx context.Context, events []event.Event) ([]Receipt, error) {
	if t.opts.Async {
		receipts := make([]Receipt, 0, len(events))
		for i := range events {
			r, err := t.recordLater(ctx, events[i])
			if err != nil {
				// Those before are on their way already.
				return receipts, &BatchError{Position: i, Err: err}
			}
			receipts = append(receipts, r)
		}
		return receipts, nil
	}
	start := time.Now()
	receipts := make([]Receipt, len(events))
	j := t.newJob()
	if err := t.prepare(ctx, j, events, receipts); err != nil {
		t.recycle(j)
		return nil, err
	}
	if err := t.commit(ctx, j, receipts); err != nil {
		return nil, err
	}
	t.acknowledged.add(len(receipts), time.Since(start))
	t.mirrorAll(j, receipts)
	t.recycle(j)
	if t.opts.ProveReceipts {
		return receipts, t.proveReceipts(ctx, receipts)
	}
	return receipts, nil
}

func (t *Trail) recordNow(ctx context.Context, e event.Event) (Receipt, error) {
	r, err := t.recordOne(ctx, e, false)
	if err != nil || !t.opts.ProveReceipts {
		return r, err
	}
	receipts := [1]Receipt{r}
	err = t.proveReceipts(ctx, receipts[:])
	return receipts[0], err
}

// selfPayload is how large an event of the trail's own may be in any case.
const selfPayload = 1 << 20

// recordSelf records an event that the trail tells of itself. It is not redacted:
// what verification needs must not be lost, and it holds no secret.
func (t *Trail) recordSelf(ctx context.Context, e event.Event) (Receipt, error) {
	return t.recordOne(ctx, e, true)
}

func (t *Trail) recordOne(ctx context.Context, e event.Event, self bool) (Receipt, error) {
	start := time.Now()
	j := t.newJob()
	j.self = self
	j.one[0] = e
	if err := t.prepare(ctx, j, j.one[:], j.receipt[:]); err != nil {
		t.recycle(j)
		return Receipt{}, single(err)
	}
	if err := t.commit(ctx, j, j.receipt[:]); err != nil {
		return Receipt{}, single(err)
	}
	t.acknowledged.add(1, time.Since(start))
	r := j.receipt[0]
	t.mirrorAll(j, j.receipt[:])
	t.recycle(j)
	return r, nil
}

// single takes the position off an error of a batch of one.
func single(err error) error {
	var be *BatchError
	if errors.As(err, &be) {
		return be.Err
	}
	return err
}

// job is a run of events on its way into the trail. Jobs are pooled, with all
// their memory.
type job struct {
	req    sequencer.Request
	events []prepared    // one for each event of req
	body   []byte        // salts and payloads
	keys   []storage.Key // of all events
	ids    []byte        // ids that the trail gave
	self   bool          // the events are those of recordSelf

	flushed chan struct{} // closed when the job, which holds no events, is settled

	one     [1]event.Event // for a batch of one
	receipt [1]Receipt

	mirrored []mirrored     // what goes to the mirror, if there is one
	seen     map[string]int // ids that came with the events of a batch, and where they are in events

	random   [1024]byte // from the system's source, used up from the front
	randomAt int
}

// prepared is what is kept of an event beside what the sequencer needs.
type prepared struct {
	id       string
	typ      string
	position int    // in the batch
	body     [2]int // range in job.body
	keys     [2]int // range in job.keys
	own      bool   // the id came with the event
	stamped  bool   // the trail set its timestamp
}

var jobs = sync.Pool{New: func() any { return &job{randomAt: 1024} }}

func (t *Trail) newJob() *job {
	j := jobs.Get().(*job)
	j.self, j.flushed = false, nil
	j.req.Reset()
	return j
}

// keepJob bounds the memory that a pooled job keeps.
const keepJob = 4 << 20

func (t *Trail) recycle(j *job) {
	clear(j.events)
	clear(j.mirrored)
	clear(j.seen)
	j.one, j.receipt = [1]event.Event{}, [1]Receipt{}
	if cap(j.body) > keepJob {
		return
	}
	j.events, j.mirrored, j.body, j.keys = j.events[:0], j.mirrored[:0], j.body[:0], j.keys[:0]
	jobs.Put(j)
}

// entropy fills b from the system's source of randomness, in larger portions
// than events need.
func (j *job) entropy(b []byte) {
	if len(j.random)-j.randomAt < len(b) {
		rand.Read(j.random[:]) // never fails
		j.randomAt = 0
	}
	n := copy(b, j.random[j.randomAt:])
	clear(j.random[j.randomAt : j.randomAt+n])
	j.randomAt += n
}

// prepare redacts, checks and encodes events, all in the caller's goroutine. It
// fills the receipts of those that the trail holds already; the others are in
// the request.
func (t *Trail) prepare(ctx context.Context, j *job, events []event.Event, receipts []Receipt) error {
	if t.seq == nil {
		return ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	now := t.opts.now()
	without := 0
	for i := range events {
		if events[i].ID == "" {
			without++
		}
	}
	ids := j.newIDs(without, now)
	j.events = slices.Grow(j.events, len(events))
	for i := range events {
		e := events[i]
		p := prepared{position: i, own: e.ID != "", stamped: e.Timestamp.IsZero()}
		if !p.own {
			e.ID, ids = ids[:idLen], ids[idLen:]
		}
		if p.stamped {
			e.Timestamp = now
		}
		e.Principal = t.principal(ctx)
		if !j.self {
			if spec, ok := event.Lookup(e.Type); ok && spec.Reserved {
				return &BatchError{i, &event.FieldError{Pointer: "/event_type", Problem: fmt.Sprintf("%s is recorded by the trail itself and taken from nobody else; choose another type", e.Type)}}
			}
			e = t.opts.Redactor.Redact(e)
		}
		e, err := e.Normalize(t.opts.Mode)
		if e.ID == "" { // it was too long, and stands in the details now, or had a secret in it
			e.ID, p.own = j.newIDs(1, now), false
		}
		if err == nil {
			err = t.encode(j, &p, &e)
		}
		if err != nil {
			return &BatchError{i, err}
		}
		receipts[i].ID = p.id
		if p.own {
			if receipts[i], err = t.known(ctx, j, &p); err != nil {
				return &BatchError{i, err}
			}
			if receipts[i].Duplicate {
				continue
			}
			if len(events) > 1 {
				if err := j.differs(&p); err != nil {
					return &BatchError{i, err}
				}
			}
		}
		j.events = append(j.events, p)
		if t.opts.Mirror != nil {
			j.mirrored = append(j.mirrored, mirrored{e, i})
		}
	}
	// The buffers do not move any more.
	j.req.Events = slices.Grow(j.req.Events, len(j.events))[:len(j.events)]
	for i := range j.events {
		p := &j.events[i]
		body := j.body[p.body[0]:p.body[1]]
		e := sequencer.Event{Body: body, Commitment: evidence.CommitBody(body), Type: p.typ, Keys: j.keys[p.keys[0]:p.keys[1]]}
		if p.own {
			e.IDKey = storage.KeyOf(uint8(event.FieldID), p.id)
			e.Checked = receipts[p.position].Index
			receipts[p.position].Index = 0
		}
		j.req.Events[i] = e
	}
	return nil
}

// differs returns an error when another event of the batch has the same id and
// is not the same event. One that is the same is left to the sequencer.
func (j *job) differs(p *prepared) error {
	if j.seen == nil {
		j.seen = make(map[string]int)
	}
	first, there := j.seen[p.id]
	if !there {
		j.seen[p.id] = len(j.events)
		return nil
	}
	if other := &j.events[first]; !equalPayload(j.payload(other), j.payload(p), p.stamped) {
		return fmt.Errorf("id %q: %w: event %d of the batch differs from it; give each event an id of its own", p.id, ErrConflict, other.position)
	}
	return nil
}

// payload returns the payload of a prepared event.
func (j *job) payload(p *prepared) []byte { return j.body[p.body[0]+evidence.SaltSize : p.body[1]] }

// encode appends the salt, payload and keys of an event to the job's buffers.
func (t *Trail) encode(j *job, p *prepared, e *event.Event) error {
	start := len(j.body)
	j.body = append(j.body, make([]byte, evidence.SaltSize)...)
	j.entropy(j.body[start:])
	var err error
	if j.body, err = e.AppendPayload(j.body); err != nil {
		return err
	}
	limit := t.opts.MaxPayload
	if j.self {
		limit = max(limit, selfPayload)
	}
	if n := len(j.body) - start - evidence.SaltSize; n > limit {
		return &PayloadSizeError{Size: n, Limit: limit}
	}
	p.id, p.typ, p.body = e.ID, string(e.Type), [2]int{start, len(j.body)}
	first := len(j.keys)
	e.VisitFields(func(f event.Field, value string) {
		j.keys = append(j.keys, storage.KeyOf(uint8(f), value))
	})
	j.keys = distinct(j.keys, first)
	p.keys = [2]int{first, len(j.keys)}
	return nil
}

// distinct takes repeats out of keys[from:], which are few.
func distinct(keys []storage.Key, from int) []storage.Key {
	n := from
	for _, k := range keys[from:] {
		if !slices.Contains(keys[from:n], k) {
			keys[n] = k
			n++
		}
	}
	return keys[:n]
}

// extractKeys is storage.Extract for payloads: the same keys as encode gives.
func extractKeys(keys []storage.Key, typ string, payload []byte) ([]storage.Key, error) {
	from := len(keys)
	if payload == nil {
		return append(keys, storage.KeyOf(uint8(event.FieldType), typ)), nil
	}
	err := event.ScanFields(payload, func(f event.Field, value []byte) {
		keys = append(keys, storage.KeyOf(uint8(f), value))
	})
	return distinct(keys, from), err
}

// known looks for an entry with the event's id. If there is none, the receipt's
// Index is the size up to which that is known.
func (t *Trail) known(ctx context.Context, j *job, p *prepared) (Receipt, error) {
	size := t.store.Size()
	var room [4]uint64
	found, err := t.store.Lookup(room[:0], storage.KeyOf(uint8(event.FieldID), p.id), 0)
	if err != nil {
		return Receipt{}, err
	}
	for _, i := range found {
		r, err := t.same(ctx, i, p.id, j.payload(p), p.stamped)
		if err != nil || r.Duplicate {
			return r, err
		}
	}
	return Receipt{ID: p.id, Index: size}, nil
}

// same compares an event with the entry at index i. It returns that entry's
// receipt if they are the same event, an error if only the id is the same, and
// a receipt that is no duplicate if not even that.
func (t *Trail) same(ctx context.Context, i uint64, id string, payload []byte, stamped bool) (Receipt, error) {
	var r Receipt
	e, err := t.Entry(ctx, i)
	if err != nil {
		return r, err
	}
	if e.Payload != nil {
		stored, err := e.Event()
		if err != nil {
			return r, err
		}
		if stored.ID != id {
			return r, nil
		}
		if !equalPayload(e.Payload, payload, stamped) {
			return r, fmt.Errorf("id %q: %w: entry %d, of type %s, differs from the new one; give the new event an id of its own", id, ErrConflict, i, e.Type)
		}
	}
	// Without its payload an entry is known by its id's hash alone.
	c, err := t.store.Checkpoint()
	return Receipt{ID: id, Index: i, Hash: e.Hash, Time: e.Time, Checkpoint: c, Duplicate: true}, err
}

// equalPayload reports whether two payloads are of the same event. stamped says
// that the trail set the timestamp of the second one, so that it does not count.
func equalPayload(stored, payload []byte, stamped bool) bool {
	if bytes.Equal(stored, payload) {
		return true
	}
	if !stamped {
		return false
	}
	first, err := event.ParsePayload(stored)
	if err != nil {
		return false
	}
	e, err := event.ParsePayload(payload)
	if err != nil {
		return false
	}
	e.Timestamp = first.Timestamp
	again, err := e.AppendPayload(nil)
	return err == nil && bytes.Equal(stored, again)
}

// commit hands a prepared job to the sequencer, waits until it is durable and
// fills the receipts. When it fails, the job must not be used again.
func (t *Trail) commit(ctx context.Context, j *job, receipts []Receipt) error {
	for len(j.req.Events) > 0 {
		if err := t.seq.Submit(ctx, &j.req); err != nil {
			return err
		}
		select {
		case <-j.req.Done():
		case <-ctx.Done():
			return fmt.Errorf("waiting for the commit, which goes on: %w", ctx.Err())
		}
		again, err := t.settle(ctx, j, receipts)
		if err != nil || !again {
			return err
		}
	}
	return nil
}

// settle fills the receipts of a job that is done. It reports whether there are
// events to be submitted again: those whose id only looked like another one's.
func (t *Trail) settle(ctx context.Context, j *job, receipts []Receipt) (again bool, err error) {
	checkpoint, err := j.req.Result()
	if err != nil {
		return false, err
	}
	left := 0
	var conflict error
	for i := range j.req.Events {
		e, p := &j.req.Events[i], &j.events[i]
		if e.Taken {
			r, err := t.same(ctx, e.Index, p.id, e.Body[evidence.SaltSize:], p.stamped)
			switch {
			case err != nil && conflict == nil:
				conflict = &BatchError{p.position, err}
			case err != nil:
			case r.Duplicate:
				receipts[p.position] = r
			default:
				next := *e
				next.Checked = e.Index + 1
				j.req.Events[left], j.events[left] = next, *p
				left++
			}
			continue
		}
		receipts[p.position] = Receipt{ID: p.id, Index: e.Index, Hash: e.Hash, Time: time.UnixMicro(e.Time).UTC(), Checkpoint: checkpoint}
	}
	if conflict != nil || left == 0 {
		return false, conflict
	}
	events := append([]sequencer.Event(nil), j.req.Events[:left]...)
	j.req.Reset()
	j.req.Events = append(j.req.Events, events...)
	return true, nil
}

// idLen is the length of a UUID in text form.
const idLen = 36

// newID returns one new id.
func (t *Trail) newID() string {
	j := t.newJob()
	defer t.recycle(j)
	return j.newIDs(1, t.opts.now())
}

// newIDs returns n new UUIDv7 (RFC 9562 section 5.7), one behind the other, in
// one string.
func (j *job) newIDs(n int, now time.Time) string {
	if n == 0 {
		return ""
	}
	j.ids = j.ids[:0]
	for range n {
		var u [16]byte
		j.entropy(u[6:])
		j.ids = appendID(j.ids, u, now)
	}
	return string(j.ids)
}

// appendID appends the UUIDv7 of a time to dst. u is random from its sixth byte on.
func appendID(dst []byte, u [16]byte, now time.Time) []byte {
	ms := uint64(now.UnixMilli())
	u[0], u[1], u[2], u[3], u[4], u[5] = byte(ms>>40), byte(ms>>32), byte(ms>>24), byte(ms>>16), byte(ms>>8), byte(ms)
	u[6] = u[6]&0x0f | 0x70 // version 7
	u[8] = u[8]&0x3f | 0x80 // variant of RFC 9562
	for i, part := range [...][]byte{u[0:4], u[4:6], u[6:8], u[8:10], u[10:16]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}

// NewID returns a new id for an event: a UUIDv7, as a trail gives those that come
// without one. Whoever may have to send an event twice gives it one before.
func NewID() string {
	var u [16]byte
	rand.Read(u[6:]) // never fails
	return string(appendID(make([]byte, 0, idLen), u, time.Now()))
}
