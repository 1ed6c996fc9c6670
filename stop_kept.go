package custody

import (
	"context"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// What emergency stops need
//
// A stop lives in its event: who begins to follow the trail reads there that it holds,
// and in the event that lifted it that it does not any more. So the payload of a stop
// stays while it holds, as under a legal hold. The payload of what lifted it stays for
// as long as the stop's own, since without it the stop would hold again. Once lifted, a
// stop can go alone, or both in one removal.
//
// A removal chooses its entries before it asks what stops need. A stop that is recorded
// meanwhile is not among them, and the end of one only lets more go than it has chosen.
// Between the files that a removal writes anew, the end of a stop may be gone before the
// stop: until the removal is finished, which opening for writing does, a reader of the
// directory sees a stop that holds, never one that is lost.

// Why payloads stay for a stop.
const (
	stopHolds  = "an emergency stop that holds"
	stopLifted = "it lifts an emergency stop whose own payload stays"
)

// staying returns what of a set of entries does not go, and why: what holds cover, then
// what emergency stops need of the rest.
func (t *Trail) staying(ctx context.Context, entries evidence.Ranges) ([]Covered, error) {
	held, err := t.covered(ctx, entries)
	if err != nil {
		return nil, err
	}
	needed, err := t.neededByStops(ctx, entries.Minus(coveredEntries(held)))
	return append(held, needed...), err
}

// neededByStops returns what emergency stops need of entries that are to go.
func (t *Trail) neededByStops(ctx context.Context, going evidence.Ranges) ([]Covered, error) {
	if len(going) == 0 {
		return nil, nil
	}
	type stop struct {
		id     string
		index  uint64
		lifted evidence.Ranges // by these entries
	}
	var all []*stop
	byID := map[string]*stop{}
	for e, err := range t.Entries(ctx, Query{Types: []event.Type{event.EmergencyStop, event.EmergencyStopCleared}}) {
		if err != nil {
			return nil, err
		}
		if e.Payload == nil {
			continue
		}
		ev, err := e.Event()
		if err != nil {
			return nil, err
		}
		if e.Type == event.EmergencyStop {
			s := &stop{id: ev.ID, index: e.Index}
			all, byID[ev.ID] = append(all, s), s
		} else if id, ok := ev.Details["stop_event_id"].(string); ok && byID[id] != nil {
			byID[id].lifted.Add(e.Index)
		}
	}
	var needed []Covered
	for _, s := range all {
		c := Covered{Stop: s.id, Reason: stopLifted, Entries: s.lifted.Intersect(going)}
		switch goes := going.Contains(s.index); {
		case goes && len(s.lifted) == 0:
			c.Reason, c.Entries = stopHolds, evidence.RangesOf([]uint64{s.index})
		case goes:
			continue // with its end, or before it
		}
		if len(c.Entries) > 0 {
			needed = append(needed, c)
		}
	}
	return needed, nil
}
