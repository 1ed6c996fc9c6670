package custody

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// Entry is one stored entry with its payload, as the bytes that were hashed. It
// was checked when it was read: the envelope has the hash that was committed,
// and the payload is the one that the envelope commits to.
type Entry struct {
	Index uint64
	Hash  evidence.Hash // RFC 6962 leaf hash of Envelope
	Time  time.Time     // set by the trail
	Type  event.Type

	// Envelope is the canonical entry (docs/format/entry.md).
	Envelope []byte

	// Payload is the canonical JSON of the event, and Salt what its
	// commitment was made with. Both are nil when the payload is not held
	// any more.
	Payload []byte
	Salt    []byte
}

// Event decodes the payload. Without one it returns an event of which only the
// type is known.
func (e *Entry) Event() (event.Event, error) {
	if e.Payload == nil {
		return event.Event{Type: e.Type}, nil
	}
	ev, err := event.ParsePayload(e.Payload)
	if err != nil {
		return ev, fmt.Errorf("entry %d: payload: %w", e.Index, err)
	}
	return ev, nil
}

// entryOf copies a record out of the store's buffers.
func entryOf(r *storage.Record) Entry {
	e := viewOf(r)
	return e.clone()
}

// viewOf returns a record as an entry in the store's buffers: it is good until the record
// is read into again.
func viewOf(r *storage.Record) Entry {
	e := Entry{Index: r.Index, Hash: r.Hash, Time: r.Envelope.Time, Type: event.Type(r.Envelope.Type), Envelope: r.Entry}
	if r.Body != nil {
		e.Salt, e.Payload = r.Body[:evidence.SaltSize:evidence.SaltSize], r.Body[evidence.SaltSize:]
	}
	return e
}

// clone copies an entry that is a view.
func (e *Entry) clone() Entry {
	c, n := *e, len(e.Envelope)
	b := make([]byte, 0, n+len(e.Salt)+len(e.Payload))
	b = append(append(append(b, e.Envelope...), e.Salt...), e.Payload...)
	c.Envelope = b[:n:n]
	if e.Payload != nil {
		c.Salt, c.Payload = b[n:n+len(e.Salt):n+len(e.Salt)], b[n+len(e.Salt):]
	}
	return c
}

// Entry returns the entry at an index. It fails with ErrNotFound beyond the end,
// with ErrPruned when the entry was pruned, and with ErrAltered when what is stored does not check out.
func (t *Trail) Entry(ctx context.Context, index uint64) (Entry, error) {
	var r storage.Record
	return t.entryAt(ctx, index, &r)
}

// entryAt is Entry for several in a row, which are read into one record.
func (t *Trail) entryAt(ctx context.Context, index uint64, r *storage.Record) (Entry, error) {
	if err := t.store.Read(ctx, index, r); err != nil {
		return Entry{}, t.closed(err)
	}
	return entryOf(r), nil
}

// EntryByID returns the entry of the event with that id. It fails with
// ErrNotFound when there is none, or its payload is not held any more.
func (t *Trail) EntryByID(ctx context.Context, id string) (Entry, error) {
	var room [4]uint64
	found, err := t.store.Lookup(room[:0], storage.KeyOf(uint8(event.FieldID), id), 0)
	if err != nil {
		return Entry{}, t.closed(err)
	}
	var r storage.Record
	for _, i := range found {
		if err := t.store.Read(ctx, i, &r); errors.Is(err, storage.ErrPruned) {
			continue
		} else if err != nil {
			return Entry{}, t.closed(err)
		}
		if holds(&r, event.FieldID, id) {
			return entryOf(&r), nil
		}
	}
	return Entry{}, fmt.Errorf("event %q: %w", id, ErrNotFound)
}

// holds reports whether the payload of a record has that value in a field.
func holds(r *storage.Record, field event.Field, value string) bool {
	if r.Body == nil {
		return false
	}
	found := false
	err := event.ScanFields(r.Body[evidence.SaltSize:], func(f event.Field, v []byte) {
		found = found || f == field && string(v) == value
	})
	return err == nil && found
}

// HasFields reports whether the payload has all the values, by JSON Pointer (RFC
// 6901). A value that is no string is compared as JSON.
func (e *Entry) HasFields(fields map[string]string) (bool, error) {
	if len(fields) == 0 {
		return true, nil
	}
	if e.Payload == nil {
		return false, nil
	}
	for _, want := range fields {
		if plain(want) && !bytes.Contains(e.Payload, []byte(want)) {
			return false, nil // which takes much less time than to decode it
		}
	}
	var payload any
	if err := json.Unmarshal(e.Payload, &payload); err != nil {
		return false, fmt.Errorf("entry %d: payload: %w", e.Index, err)
	}
	for pointer, want := range fields {
		v, ok := resolve(payload, pointer)
		if !ok {
			return false, nil
		}
		text, isString := v.(string)
		if !isString {
			b, err := json.Marshal(v)
			if err != nil {
				return false, err
			}
			text = string(b)
		}
		if text != want {
			return false, nil
		}
	}
	return true, nil
}

// plain reports whether a payload, which is canonical JSON, has a value exactly as it is
// written here: nothing in it is ever escaped.
func plain(value string) bool {
	for _, c := range []byte(value) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
