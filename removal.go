package custody

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// How payloads, and entries, are removed
//
//  1. The id of the event that will tell of it is noted beside the trail (the
//     intent).
//  2. The event is recorded. It lists the entries.
//  3. The store removes their payloads, or prunes the entries.
//  4. The note goes.
//
// A crash before 2 is durable undoes: opening the trail finds the note, but no
// event with that id. A crash after it finishes: opening does 3 and 4. So what
// is removed is always what an event lists, and the event always comes first.

// Removal is what an event of the trail says about payloads, or entries, that were
// removed.
type Removal struct {
	Event   uint64          // index of the event that tells of it
	Type    event.Type      // event.PayloadErased or event.RetentionApplied
	Time    time.Time       // when it was recorded, as the event says
	Entries evidence.Ranges // what it removed: all are before Event

	// Minimum is not 0 where the entries themselves were removed: the trail's
	// minimum index from then on.
	Minimum uint64
}

// removalOf reads a removal from the event that tells of it.
func removalOf(index uint64, e *event.Event) (Removal, error) {
	r := Removal{Event: index, Type: e.Type, Time: e.Timestamp}
	text, ok := e.Details["indices"].(string)
	if !ok {
		return r, fmt.Errorf("entry %d, %s: it does not list what was removed", index, e.Type)
	}
	digest, _ := e.Details["digest"].(string)
	var err error
	if r.Entries, err = evidence.ParseListed(text, digest, index); err != nil {
		return r, fmt.Errorf("entry %d, %s: %w", index, e.Type, err)
	}
	if e.Details["what"] == "entries" {
		r.Minimum, err = toUint(e.Details["minimum_index"])
		if err != nil || r.Minimum == 0 || len(r.Entries) > 0 && r.Entries[len(r.Entries)-1].Last >= r.Minimum {
			return r, fmt.Errorf("entry %d, %s: its minimum index does not fit the entries that it lists", index, e.Type)
		}
	}
	return r, nil
}

// Removals returns what was removed from the trail, in order.
func (t *Trail) Removals(ctx context.Context) ([]Removal, error) {
	var all []Removal
	for e, err := range t.Entries(ctx, Query{Types: []event.Type{event.PayloadErased, event.RetentionApplied}}) {
		if err != nil {
			return nil, err
		}
		ev, err := e.Event()
		if err != nil {
			return nil, err
		}
		r, err := removalOf(e.Index, &ev)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// removed returns the entries whose payloads were removed.
func (t *Trail) removed(ctx context.Context) (evidence.Ranges, error) {
	all, err := t.Removals(ctx)
	var gone evidence.Ranges
	for _, r := range all {
		gone = gone.Union(r.Entries)
	}
	return gone, err
}

// keptTypes are the types that are never removed: without them, it could not be
// told what may be missing, and by whom the trail is signed.
var keptTypes = []event.Type{event.LogOpened, event.KeyRotated, event.RetentionApplied, event.PayloadErased, event.LegalHoldChanged, event.RedactionChanged, event.TrailReanchored}

func isKept(typ event.Type) bool { return slices.Contains(keptTypes, typ) }

// intent is the note that is kept while something is removed.
type intent struct {
	Event string `json:"event"` // id of the event that tells of it
}

// maxListed bounds the text that lists the entries in one event. More entries are
// removed by several events.
const maxListed = 256 << 10

// remove records an event that lists entries and removes their payloads, or where
// minimum is not 0, the entries, which are all before that. The caller holds removeMu. Once the event is recorded it is not given up: what
// then fails is finished when the trail is opened again.
func (t *Trail) remove(ctx context.Context, e event.Event, entries evidence.Ranges, minimum uint64) (Receipt, error) {
	// What an earlier removal left undone would be forgotten with its note.
	if err := t.finishRemoval(ctx); err != nil {
		return Receipt{}, fmt.Errorf("finishing what an earlier removal left: %w; nothing more was removed", err)
	}
	digest := entries.Digest()
	e.Source = sourceSelf
	e.Details["indices"] = entries.String()
	e.Details["count"] = entries.Count()
	e.Details["digest"] = hex.EncodeToString(digest[:])
	if minimum > 0 {
		e.Details["minimum_index"] = minimum
	}
	e.ID = t.newID()
	note, err := json.Marshal(intent{e.ID})
	if err != nil {
		return Receipt{}, err
	}
	if err := t.store.SetIntent(note); err != nil {
		return Receipt{}, fmt.Errorf("noting what is to be removed: %w; nothing was removed", err)
	}
	ctx = context.WithoutCancel(ctx)
	r, err := t.recordSelf(ctx, e)
	if err != nil {
		if t.store.Failed() == nil {
			err = errors.Join(err, t.store.SetIntent(nil))
		}
		return r, fmt.Errorf("recording what is to be removed: %w; nothing was removed", err)
	}
	return r, t.carryOut(ctx, Removal{Event: r.Index, Entries: entries, Minimum: minimum})
}

// carryOut does what an event says was removed, and takes the note away.
func (t *Trail) carryOut(ctx context.Context, r Removal) error {
	var err error
	if r.Minimum > 0 {
		err = t.store.Prune(ctx, r.Minimum, func(typ string) bool { return isKept(event.Type(typ)) })
	} else {
		err = t.store.RemovePayloads(ctx, r.Entries)
	}
	if err == nil {
		err = t.store.SetIntent(nil)
	}
	if err != nil {
		return fmt.Errorf("entry %d says what is to be removed, but not all of it is: %w; that is finished before anything else is removed, or when the trail is next opened for writing", r.Event, err)
	}
	return nil
}

// finishRemoval finishes what a crash left unfinished, or undoes it.
func (t *Trail) finishRemoval(ctx context.Context) error {
	note, err := t.store.Intent()
	if err != nil || note == nil {
		return err
	}
	var in intent
	if err := json.Unmarshal(note, &in); err != nil {
		return fmt.Errorf("%w: the note of what was to be removed: %w", ErrDamaged, err)
	}
	e, err := t.EntryByID(ctx, in.Event)
	if errors.Is(err, ErrNotFound) {
		return t.store.SetIntent(nil) // the event was not recorded, so nothing was removed
	} else if err != nil {
		return err
	}
	ev, err := e.Event()
	if err != nil {
		return err
	}
	r, err := removalOf(e.Index, &ev)
	if err != nil {
		return err
	}
	return t.carryOut(ctx, r)
}

// indices returns which entries match a query.
func (t *Trail) indices(ctx context.Context, q Query) (evidence.Ranges, error) {
	q.Newest, q.Limit = false, 0
	var found evidence.Ranges
	if len(q.filters())+len(q.Types) == 0 && q.OccurredSince.IsZero() && q.OccurredUntil.IsZero() {
		// The store knows indices and times exactly.
		for i, err := range t.store.Select(ctx, q.selection()) {
			if err != nil {
				return nil, t.closed(err)
			}
			found.Add(i)
		}
		return found, nil
	}
	for e, err := range t.Entries(ctx, q) {
		if err != nil {
			return nil, err
		}
		found.Add(e.Index)
	}
	return found, nil
}
