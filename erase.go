package custody

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// Erasure asks for payloads to be erased, by the fields of their events.
type Erasure struct {
	// Query chooses the entries. At least one of its filters, or of Fields or
	// Entries, has to be given. Newest and Limit are not used.
	Query Query

	// Fields chooses by any members of the payload: JSON Pointer (RFC 6901)
	// to value, such as "/details/email". All have to match. What is no
	// string is compared by its JSON. There is no index for it: every entry
	// that Query matches is read.
	Fields map[string]string

	// Entries chooses by index. nil: all.
	Entries evidence.Ranges

	Ground    string // on what ground, such as "GDPR Art. 17(1)(b)"; required
	Requester string // who asked for it; must not name the data subject, since it stays
	By        string // who does it; required
	Reason    string // in words; stays as well

	Authorization DualAuthorization // where it took a second person

	// ExceptHeld erases what no hold covers and no emergency stop needs. Otherwise
	// one entry that stays for that makes Erase fail with a *HeldError before
	// anything is erased.
	ExceptHeld bool
}

// ErasurePlan is what an erasure would do.
type ErasurePlan struct {
	Entries evidence.Ranges // whose payloads would go
	Bytes   uint64          // of these payloads
	Types   map[event.Type]uint64
	Held    []Covered       // what would stay, and why
	Own     evidence.Ranges // what the trail tells of itself matches, and stays in any case
}

// Blocked returns a *[HeldError] if any of what was asked for stays, but for the trail's
// own events, and nil otherwise.
func (p *ErasurePlan) Blocked() error {
	if len(p.Held) == 0 {
		return nil
	}
	e := &HeldError{Entries: coveredEntries(p.Held)}
	for _, c := range p.Held {
		if c.Stop != "" {
			e.Stops = append(e.Stops, c.Stop)
		} else {
			e.Holds = append(e.Holds, c.Hold.ID)
		}
	}
	return e
}

// PlanErasure finds out what an erasure would remove. It changes nothing.
func (t *Trail) PlanErasure(ctx context.Context, r Erasure) (*ErasurePlan, error) {
	if err := r.Query.valid(); err != nil {
		return nil, fmt.Errorf("erasure: %w", err)
	}
	if len(r.filter()) == 0 {
		return nil, errors.New("erasure: nothing says which entries; give at least one filter")
	}
	for pointer := range r.Fields {
		if !strings.HasPrefix(pointer, "/") {
			return nil, fmt.Errorf("erasure: %q is no JSON Pointer; it begins with a slash, as /details/email", pointer)
		}
	}
	q := r.Query
	q.Newest, q.Limit = false, 0
	p := &ErasurePlan{Types: map[event.Type]uint64{}}
	type found struct {
		typ   event.Type
		bytes uint64
	}
	all := map[uint64]found{}
	for e, err := range t.Entries(ctx, q) {
		if err != nil {
			return nil, err
		}
		if e.Payload == nil || r.Entries != nil && !r.Entries.Contains(e.Index) {
			continue
		}
		if match, err := e.HasFields(r.Fields); err != nil {
			return nil, err
		} else if !match {
			continue
		}
		if isKept(e.Type) {
			p.Own.Add(e.Index)
			continue
		}
		p.Entries.Add(e.Index)
		all[e.Index] = found{e.Type, uint64(len(e.Payload))}
	}
	var err error
	if p.Held, err = t.staying(ctx, p.Entries); err != nil {
		return nil, err
	}
	p.Entries = p.Entries.Minus(coveredEntries(p.Held))
	for i := range p.Entries.All() {
		p.Bytes += all[i].bytes
		p.Types[all[i].typ]++
	}
	return p, nil
}

// filter names what chooses the entries, without the values: those may be just
// what is to be forgotten.
func (r *Erasure) filter() []string {
	names := []string{}
	if d, err := r.Query.Members(); err == nil {
		for name := range d {
			names = append(names, name)
		}
	}
	for pointer := range r.Fields {
		names = append(names, pointer)
	}
	if r.Entries != nil {
		names = append(names, "index")
	}
	slices.Sort(names)
	return names
}

// Erase removes payloads for good, with their salts: from the files, where they
// are rewritten, and from the index. The entries stay, and so does every proof. It
// records an event first (event.PayloadErased; several, where one cannot list
// all entries), and returns a receipt that proves what was erased and that
// nothing else changed. It fails with a *[HeldError] when a hold or an emergency stop
// is in the way, and with ErrNotFound when there is nothing to erase.
//
// What readers of the files have in memory, backups, and what the disk keeps of
// blocks that a file gave up are beyond its reach.
func (t *Trail) Erase(ctx context.Context, r Erasure) (*ErasureReceipt, error) {
	if t.seq == nil {
		return nil, ErrReadOnly
	}
	if r.Ground == "" || r.By == "" {
		return nil, errors.New("an erasure needs a ground, and the name of who does it")
	}
	t.removeMu.Lock()
	defer t.removeMu.Unlock()
	p, err := t.PlanErasure(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := p.Blocked(); err != nil && !r.ExceptHeld {
		return nil, err
	}
	if len(p.Entries) == 0 {
		return nil, fmt.Errorf("erasure: %w: no payload that is held, or may be erased, matches", ErrNotFound)
	}
	receipt, err := t.beginReceipt()
	if err != nil {
		return nil, err
	}
	details := map[string]any{"ground": r.Ground, "by": r.By, "filter": r.filter()}
	if r.Requester != "" {
		details["requester"] = r.Requester
	}
	if r.Reason != "" {
		details["reason"] = r.Reason
	}
	r.Authorization.addTo(details)
	events, err := t.removeAll(ctx, event.Event{Type: event.PayloadErased, UserID: r.By, Details: details}, p.Entries)
	if err != nil {
		return nil, err
	}
	return receipt, t.endReceipt(ctx, receipt, events)
}

// removeAll removes payloads with as many events as it takes to list them. The
// caller holds removeMu.
func (t *Trail) removeAll(ctx context.Context, e event.Event, entries evidence.Ranges) ([]uint64, error) {
	var events []uint64
	parts := entries.Split(maxListed)
	for _, part := range parts {
		if err := ctx.Err(); err != nil {
			return events, fmt.Errorf("%w; %d of %d parts were removed", err, len(events), len(parts))
		}
		next := e
		next.Details = maps.Clone(e.Details)
		r, err := t.remove(ctx, next, part, 0)
		if err != nil {
			return events, err
		}
		events = append(events, r.Index)
	}
	return events, nil
}
