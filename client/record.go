package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// What the server takes at once (docs/http.md).
const (
	maxBatch      = 10_000
	maxBatchBytes = 16<<20 - 2
)

// outgoing is an event on its way to the server.
type outgoing struct {
	id    string
	given bool   // the id came with the event
	text  []byte // as it is sent
}

// outgoing gives an event its id, and encodes it.
func (t *Trail) outgoing(e event.Event) (outgoing, error) {
	if len(e.ID) > event.MaxIDLen && t.server.opts.Mode == event.Lenient {
		// Such an id cannot be one. Where the trail found that out, it would give a
		// new one whenever the event is sent.
		e, _ = e.Normalize(event.Lenient)
	}
	o := outgoing{id: e.ID, given: e.ID != ""}
	if !o.given {
		o.id = custody.NewID()
		e.ID = o.id
	}
	if r := t.server.opts.Redactor; r != nil {
		e = r.Redact(e)
	}
	var err error
	o.text, err = e.AppendPayload(nil)
	return o, err
}

// strict returns what has to be said to the server where it is to refuse what breaks
// rules.
func (t *Trail) strict() url.Values {
	if t.server.opts.Mode == event.Strict {
		return url.Values{"strict": {"true"}}
	}
	return nil
}

// receiptJSON is a receipt as the server gives it.
type receiptJSON struct {
	ID         string        `json:"id"`
	Index      uint64        `json:"index"`
	Hash       evidence.Hash `json:"hash"`
	Time       moment        `json:"time"`
	Checkpoint string        `json:"checkpoint"`
	Duplicate  bool          `json:"duplicate"`
}

// receipt checks a receipt and returns it as the library does.
func (t *Trail) receipt(j *receiptJSON) (custody.Receipt, error) {
	r := custody.Receipt{ID: j.ID, Index: j.Index, Hash: j.Hash, Time: j.Time.Time, Checkpoint: []byte(j.Checkpoint), Duplicate: j.Duplicate}
	c, err := t.checkpoint(r.Checkpoint)
	if err != nil {
		return r, fmt.Errorf("the receipt of event %q: %w", j.ID, err)
	}
	if r.Index >= c.Size {
		return r, altered("the receipt of event %q is for entry %d, and its checkpoint covers %d", j.ID, r.Index, c.Size)
	}
	t.sized(c.Size)
	return r, nil
}

// receiptOf is receipt for the event that it should be of.
func (t *Trail) receiptOf(o *outgoing, j *receiptJSON) (custody.Receipt, error) {
	r, err := t.receipt(j)
	if !o.given {
		r.Duplicate = false // it can only be what was sent before an answer got lost
	}
	return r, err
}

// Record records one event and returns once it is on the server's disk, as
// custody.Trail.Record does.
func (t *Trail) Record(ctx context.Context, e event.Event) (custody.Receipt, error) {
	o, err := t.outgoing(e)
	if err != nil {
		return custody.Receipt{}, err
	}
	var j receiptJSON
	if err := t.conn.json(ctx, request{method: http.MethodPost, path: t.path("events"), query: t.strict(), body: o.text}, &j); err != nil {
		return custody.Receipt{}, fmt.Errorf("event %q: %w", o.id, err)
	}
	r, err := t.receiptOf(&o, &j)
	if err == nil && t.server.opts.ProveReceipts {
		err = t.prove(ctx, &r)
	}
	return r, err
}

// RecordBatch records events in order and returns once all are on the server's disk,
// as custody.Trail.RecordBatch does: when one of them is refused (*custody.BatchError)
// none is recorded. Only a batch that is too large for one request (10,000 events, 16
// MiB) is sent in parts; then those of the parts before are recorded, and their
// receipts are returned beside the error.
func (t *Trail) RecordBatch(ctx context.Context, events []event.Event) ([]custody.Receipt, error) {
	all := make([]outgoing, len(events))
	for i := range events {
		var err error
		if all[i], err = t.outgoing(events[i]); err != nil {
			return nil, &custody.BatchError{Position: i, Err: err}
		}
	}
	receipts := make([]custody.Receipt, 0, len(events))
	for len(receipts) < len(all) {
		part := part(all[len(receipts):], t.conn.batch)
		recorded, err := t.recordPart(ctx, part)
		var refused *custody.BatchError
		if errors.As(err, &refused) {
			refused.Position += len(receipts)
		}
		receipts = append(receipts, recorded...)
		if err != nil {
			return slices.Clip(receipts), err
		}
	}
	return receipts, nil
}

// part returns as many events as one request can have, n at most.
func part(events []outgoing, n int) []outgoing {
	size := 0
	for i := range events {
		if size += len(events[i].text) + 1; i > 0 && (i == n || size > maxBatchBytes) {
			return events[:i]
		}
	}
	return events
}

func (t *Trail) recordPart(ctx context.Context, part []outgoing) ([]custody.Receipt, error) {
	body := []byte{'['}
	for i := range part {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, part[i].text...)
	}
	body = append(body, ']')
	var answer []receiptJSON
	err := t.conn.json(ctx, request{method: http.MethodPost, path: t.path("events"), query: t.strict(), body: body}, &answer)
	if p := asProblem(err); p != nil {
		if at, ok := p.position(); ok && at < len(part) {
			return nil, &custody.BatchError{Position: at, Err: err}
		}
	}
	if err != nil {
		return nil, err
	}
	if len(answer) != len(part) {
		return nil, altered("it has %d receipts for %d events", len(answer), len(part))
	}
	receipts := make([]custody.Receipt, len(part))
	for i := range answer {
		if receipts[i], err = t.receiptOf(&part[i], &answer[i]); err != nil {
			return nil, err
		}
		if t.server.opts.ProveReceipts {
			if err := t.prove(ctx, &receipts[i]); err != nil {
				return nil, err
			}
		}
	}
	return receipts, nil
}

// prove adds a proof to a receipt, and checks that it proves what the receipt says.
func (t *Trail) prove(ctx context.Context, r *custody.Receipt) error {
	p, err := t.Prove(ctx, r.Index, custody.ProveOptions{Payload: true, Checkpoint: r.Checkpoint})
	if errors.Is(err, custody.ErrErased) { // a duplicate of what was erased since
		p, err = t.Prove(ctx, r.Index, custody.ProveOptions{Checkpoint: r.Checkpoint})
	}
	if err == nil {
		err = proves(p, r)
	}
	if err != nil {
		return fmt.Errorf("event %q is recorded, as entry %d, but could not be proved: %w", r.ID, r.Index, err)
	}
	r.Proof = p
	return nil
}

// proves checks that a proof is of the event of a receipt.
func proves(p *evidence.Proof, r *custody.Receipt) error {
	d, err := evidence.ParseDisclosed(p.Extra)
	if err != nil {
		return err
	}
	if evidence.LeafHash(d.Entry) != r.Hash {
		return altered("entry %d is another one than the receipt is for", r.Index)
	}
	if d.Payload == nil {
		return nil
	}
	e, err := event.ParsePayload(d.Payload)
	if err == nil && e.ID != r.ID {
		err = altered("entry %d is of event %q", r.Index, e.ID)
	}
	return err
}
