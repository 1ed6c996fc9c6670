package custody

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/storage"
)

// Query says which entries are wanted. Every filter that is not zero has to
// match; the zero Query matches all entries.
type Query struct {
	Types         []event.Type // one of these
	AgentID       string       // also finds emergency stops that name the agent as affected
	ActionID      string
	ProjectID     string
	SessionID     string
	UserID        string
	Decision      event.Decision
	CorrelationID string

	// Since and Until bound the time of the entry, which the trail set: at
	// or after Since, before Until.
	Since, Until time.Time

	// OccurredSince and OccurredUntil bound the time at which it happened
	// according to the producer: occurred_at, or else timestamp. There is no
	// index for it: entries that match the rest are read one by one.
	OccurredSince, OccurredUntil time.Time

	// From and To bound the index: at or after From, before To. To 0 means
	// the end of the trail.
	From, To uint64

	// Newest gives the newest entries first. Default: oldest first.
	Newest bool

	// Limit bounds the number of entries. 0: all.
	Limit int
}

// After returns the query that goes on behind the entry with that index, in
// the same direction. Since entries never move, it misses and repeats nothing,
// however much is recorded meanwhile.
func (q Query) After(index uint64) Query {
	if q.Newest {
		q.To = index
		if index == 0 {
			q.From, q.To = 1, 1 // nothing is before it
		}
		return q
	}
	q.From = index + 1
	return q
}

// filters lists the field filters.
func (q *Query) filters() []fieldFilter {
	fs := make([]fieldFilter, 0, event.NumFields)
	for _, f := range [...]fieldFilter{
		{event.FieldAgent, q.AgentID}, {event.FieldAction, q.ActionID}, {event.FieldProject, q.ProjectID},
		{event.FieldSession, q.SessionID}, {event.FieldUser, q.UserID}, {event.FieldDecision, string(q.Decision)},
		{event.FieldCorrelation, q.CorrelationID},
	} {
		if f.value != "" {
			fs = append(fs, f)
		}
	}
	return fs
}

type fieldFilter struct {
	field event.Field
	value string
}

// selection turns the query into what the store can find by its index.
func (q *Query) selection() storage.Selection {
	sel := storage.Selection{From: q.From, To: q.To, Since: q.Since, Until: q.Until, Reverse: q.Newest}
	if sel.To == 0 {
		sel.To = math.MaxUint64
	}
	for _, f := range q.filters() {
		sel.All = append(sel.All, []storage.Key{storage.KeyOf(uint8(f.field), f.value)})
	}
	if len(q.Types) > 0 {
		keys := make([]storage.Key, len(q.Types))
		for i, t := range q.Types {
			keys[i] = storage.KeyOf(uint8(event.FieldType), string(t))
		}
		sel.All = append(sel.All, keys)
	}
	return sel
}

// matcher decides whether an entry that the index gave is one that is wanted.
type matcher struct {
	q       *Query
	filters []fieldFilter
}

func (m *matcher) match(e *Entry) (bool, error) {
	q := m.q
	if !q.Since.IsZero() && e.Time.Before(q.Since) || !q.Until.IsZero() && !e.Time.Before(q.Until) {
		return false, nil
	}
	if len(q.Types) > 0 {
		found := false
		for _, t := range q.Types {
			found = found || t == e.Type
		}
		if !found {
			return false, nil
		}
	}
	if len(m.filters) > 0 {
		if e.Payload == nil {
			return false, nil
		}
		var matched uint16
		err := event.ScanFields(e.Payload, func(f event.Field, value []byte) {
			for i := range m.filters {
				if m.filters[i].field == f && m.filters[i].value == string(value) {
					matched |= 1 << i
				}
			}
		})
		if err != nil {
			return false, fmt.Errorf("entry %d: payload: %w", e.Index, err)
		}
		if matched != 1<<len(m.filters)-1 {
			return false, nil
		}
	}
	if !q.OccurredSince.IsZero() || !q.OccurredUntil.IsZero() {
		ev, err := e.Event()
		if err != nil {
			return false, err
		}
		at := OccurredAt(&ev)
		return (q.OccurredSince.IsZero() || !at.Before(q.OccurredSince)) && (q.OccurredUntil.IsZero() || at.Before(q.OccurredUntil)), nil
	}
	return true, nil
}

// OccurredAt returns when an event happened according to its producer:
// OccurredAt, or else Timestamp.
func OccurredAt(e *event.Event) time.Time {
	if !e.OccurredAt.IsZero() {
		return e.OccurredAt
	}
	return e.Timestamp
}

// Entries yields the entries that match, in the order of their index, or
// backwards. It sees the entries that are there when it begins. After an error
// nothing more comes; an entry that does not check out is such an error.
func (t *Trail) Entries(ctx context.Context, q Query) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		t.entries(ctx, q, new(storage.Record))(yield) // one for each loop over it
	}
}

// entries is Entries, reading into r.
func (t *Trail) entries(ctx context.Context, q Query, r *storage.Record) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		m := matcher{q: &q, filters: q.filters()}
		n := 0
		for i, err := range t.store.Select(ctx, q.selection()) {
			if err == nil {
				if err = t.store.Read(ctx, i, r); errors.Is(err, storage.ErrPruned) {
					continue // since it was selected
				}
			}
			var e Entry
			matched := false
			if err == nil {
				e = viewOf(r)
				matched, err = m.match(&e)
			}
			if err != nil {
				yield(Entry{Index: i}, t.closed(err))
				return
			}
			if !matched {
				continue
			}
			if !yield(e.clone(), nil) {
				return
			}
			if n++; n == q.Limit {
				return
			}
		}
	}
}

// ActionHistory yields what an agent asked for and did, newest first: requests,
// decisions, executions and failures. limit 0 means all.
func (t *Trail) ActionHistory(ctx context.Context, agentID string, limit int) iter.Seq2[Entry, error] {
	return t.Entries(ctx, HistoryOf(agentID, limit))
}

// HistoryOf returns the query of [Trail.ActionHistory].
func HistoryOf(agentID string, limit int) Query {
	return Query{
		Types: []event.Type{event.ActionRequested, event.ActionValidated, event.ActionDenied,
			event.ActionExecuted, event.ActionFailed},
		AgentID: agentID, Newest: true, Limit: limit,
	}
}

// Count is the number of entries of one type within one period.
type Count struct {
	Start time.Time // of the period, UTC
	Type  event.Type
	Count uint64
}

// Counts counts entries by type and period, in the order of time and type,
// without reading them. The periods are every long, which must be a multiple of
// an hour; since and until (zero: no bound) are widened to whole hours.
func (t *Trail) Counts(ctx context.Context, since, until time.Time, every time.Duration) ([]Count, error) {
	buckets, err := t.store.Counts(ctx, since, until, every)
	if err != nil {
		return nil, err
	}
	counts := make([]Count, len(buckets))
	for i, b := range buckets {
		counts[i] = Count{b.Start, event.Type(b.Type), b.Count}
	}
	return counts, nil
}
