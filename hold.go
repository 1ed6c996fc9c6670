package custody

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// Hold is a legal hold: while it is in force, nothing that it covers expires, is
// pruned or erased. It also covers events that are recorded later.
type Hold struct {
	ID     string
	Query  Query // what it covers; the zero Query covers everything
	Reason string
	By     string    // who placed it
	Placed time.Time // when
	Index  uint64    // of the event that tells of it
}

// HeldError says that something was not removed since holds cover it, or emergency
// stops need it.
type HeldError struct {
	Holds   []string // their ids
	Stops   []string // ids of their events
	Entries evidence.Ranges
}

func (e *HeldError) Error() string {
	var who, until []string
	if len(e.Holds) > 0 {
		who, until = append(who, "legal hold "+strings.Join(e.Holds, ", ")), append(until, "what a hold covers stays until it is released")
	}
	if len(e.Stops) > 0 {
		who = append(who, "emergency stop "+strings.Join(e.Stops, ", "))
		until = append(until, "the event of a stop stays until it is lifted, and what lifted it for as long as that")
	}
	return fmt.Sprintf("kept by %s: %d of the entries, the first with index %d; %s",
		strings.Join(who, " and "), e.Entries.Count(), e.Entries[0].First, strings.Join(until, "; "))
}

// PlaceHold places a hold and returns it with its ID, which is the id of the
// event that tells of it. Reason and By are required. Newest and Limit of the
// Query are not used.
func (t *Trail) PlaceHold(ctx context.Context, h Hold) (Hold, error) {
	if h.Reason == "" || h.By == "" {
		return h, errors.New("a hold needs a reason, and the name of who places it")
	}
	details, err := h.Query.Members()
	if err != nil {
		return h, fmt.Errorf("hold: %w", err)
	}
	// A removal that is under way took no account of this one.
	t.removeMu.Lock()
	defer t.removeMu.Unlock()
	h.ID = t.newID()
	r, err := t.recordSelf(ctx, event.Event{ID: h.ID, Type: event.LegalHoldChanged, Source: sourceSelf, UserID: h.By, Details: map[string]any{
		"hold_id": h.ID, "change": "placed", "query": details, "by": h.By, "reason": h.Reason,
	}})
	h.Placed, h.Index = r.Time, r.Index
	return h, err
}

// ReleaseHold ends a hold. What it covered may be removed from then on, unless
// another hold covers it. It fails with ErrNotFound when no such hold is in
// force.
func (t *Trail) ReleaseHold(ctx context.Context, id, by, reason string) (Receipt, error) {
	if reason == "" || by == "" {
		return Receipt{}, errors.New("releasing a hold needs a reason, and the name of who does it")
	}
	t.removeMu.Lock()
	defer t.removeMu.Unlock()
	holds, err := t.Holds(ctx)
	if err != nil {
		return Receipt{}, err
	}
	for _, h := range holds {
		if h.ID == id {
			return t.recordSelf(ctx, event.Event{Type: event.LegalHoldChanged, Source: sourceSelf, UserID: by, Details: map[string]any{
				"hold_id": id, "change": "released", "by": by, "reason": reason,
			}})
		}
	}
	return Receipt{}, fmt.Errorf("hold %q: %w: it is not in force", id, ErrNotFound)
}

// Holds returns the holds that are in force, the oldest first.
func (t *Trail) Holds(ctx context.Context) ([]Hold, error) {
	var holds []Hold
	for e, err := range t.Entries(ctx, Query{Types: []event.Type{event.LegalHoldChanged}}) {
		if err != nil {
			return nil, err
		}
		ev, err := e.Event()
		if err != nil {
			return nil, err
		}
		id, _ := ev.Details["hold_id"].(string)
		switch ev.Details["change"] {
		case "placed":
			h := Hold{ID: id, Placed: e.Time, Index: e.Index}
			h.Reason, _ = ev.Details["reason"].(string)
			h.By, _ = ev.Details["by"].(string)
			// A hold that cannot be read must not be taken for one that
			// covers nothing.
			if h.Query, err = queryOf(ev.Details["query"]); err != nil {
				return nil, fmt.Errorf("entry %d: hold %s: %w", e.Index, id, err)
			}
			holds = append(holds, h)
		case "released":
			for i := range holds {
				if holds[i].ID == id {
					holds = append(holds[:i], holds[i+1:]...)
					break
				}
			}
		}
	}
	return holds, nil
}

// Covered is what stays of a set of entries, and why: a hold covers it, or an emergency
// stop needs it.
type Covered struct {
	Hold    Hold   // zero, if it is a stop
	Stop    string // id of the event of the stop
	Reason  string // of the hold, or what the stop needs them for
	Entries evidence.Ranges
}

// coveredEntries returns what stays for any reason.
func coveredEntries(covered []Covered) (all evidence.Ranges) {
	for _, c := range covered {
		all = all.Union(c.Entries)
	}
	return all
}

// covered returns what the holds in force cover of a set of entries.
func (t *Trail) covered(ctx context.Context, entries evidence.Ranges) ([]Covered, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	holds, err := t.Holds(ctx)
	if err != nil {
		return nil, err
	}
	var all []Covered
	for _, h := range holds {
		found, err := t.indices(ctx, h.Query)
		if err != nil {
			return nil, fmt.Errorf("hold %s: %w", h.ID, err)
		}
		if found = found.Intersect(entries); len(found) > 0 {
			all = append(all, Covered{Hold: h, Reason: h.Reason, Entries: found})
		}
	}
	return all, nil
}

// Members returns the filters of the query by their names in events, as a hold
// keeps them. Newest and Limit are left out. It fails for bounds that leave nothing.
func (q *Query) Members() (map[string]any, error) {
	if err := q.valid(); err != nil {
		return nil, err
	}
	d := map[string]any{}
	if len(q.Types) > 0 {
		types := make([]string, len(q.Types))
		for i, t := range q.Types {
			types[i] = string(t)
		}
		d["event_type"] = types
	}
	for _, m := range q.members() {
		if *m.value != "" {
			d[m.name] = *m.value
		}
	}
	for name, at := range map[string]time.Time{"since": q.Since, "until": q.Until, "occurred_since": q.OccurredSince, "occurred_until": q.OccurredUntil} {
		if !at.IsZero() {
			d[name] = at.UTC().Format(time.RFC3339Nano)
		}
	}
	if q.From > 0 {
		d["from_index"] = q.From
	}
	if q.To > 0 {
		d["to_index"] = q.To
	}
	return d, nil
}

// valid reports bounds that leave nothing.
func (q *Query) valid() error {
	if q.To > 0 && q.To <= q.From {
		return fmt.Errorf("no index is at or after %d and before %d", q.From, q.To)
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return fmt.Errorf("no time is at or after %s and before %s", q.Since.Format(time.RFC3339), q.Until.Format(time.RFC3339))
	}
	return nil
}

// toUint reads a number of an event's details.
func toUint(v any) (uint64, error) {
	if x, ok := v.(json.Number); ok {
		return parseUint(string(x))
	}
	return 0, fmt.Errorf("%v is no number", v)
}

type queryMember struct {
	name  string
	value *string
}

// members are the text fields of a query, by their names in events.
func (q *Query) members() []queryMember {
	return []queryMember{
		{"agent_id", &q.AgentID}, {"action_id", &q.ActionID}, {"project_id", &q.ProjectID}, {"session_id", &q.SessionID},
		{"user_id", &q.UserID}, {"decision", (*string)(&q.Decision)}, {"correlation_id", &q.CorrelationID},
	}
}

// queryOf is the inverse of Query.Members. A member that is not known is an error,
// since without it the query would be another one.
func queryOf(v any) (q Query, err error) {
	d, ok := v.(map[string]any)
	if !ok {
		return q, errors.New("it does not say what it covers")
	}
	members := q.members()
next:
	for name, v := range d {
		text, isText := v.(string)
		for _, m := range members {
			if m.name == name && isText {
				*m.value = text
				continue next
			}
		}
		ok := true
		switch name {
		case "event_type":
			var list []any
			list, ok = v.([]any)
			for _, t := range list {
				s, isText := t.(string)
				ok = ok && isText
				q.Types = append(q.Types, event.Type(s))
			}
		case "since":
			q.Since, err = time.Parse(time.RFC3339Nano, text)
		case "until":
			q.Until, err = time.Parse(time.RFC3339Nano, text)
		case "occurred_since":
			q.OccurredSince, err = time.Parse(time.RFC3339Nano, text)
		case "occurred_until":
			q.OccurredUntil, err = time.Parse(time.RFC3339Nano, text)
		case "from_index":
			q.From, err = toUint(v)
		case "to_index":
			q.To, err = toUint(v)
		default:
			ok = false
		}
		if err == nil && !ok {
			err = fmt.Errorf("%v is not known; a newer version of Custody may have written it", v)
		}
		if err != nil {
			return Query{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return q, nil
}
