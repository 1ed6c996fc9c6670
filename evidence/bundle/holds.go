package bundle

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/custodylog/custody/evidence"
)

// Hold says which entries a legal hold covers, so that they can be neither erased nor
// expire: an event of the trail itself placed it.
type Hold struct {
	Entries Set    `json:"entries"`
	Event   uint64 `json:"event"` // its index
	ID      string `json:"id"`    // of the hold, as the event gives it
}

// holdChanged is the type of the events that place and release holds.
const holdChanged = "legal_hold_changed"

// holdChange is what such an event says.
type holdChange struct {
	Details struct {
		ID     string                     `json:"hold_id"`
		Change string                     `json:"change"`
		Query  map[string]json.RawMessage `json:"query"`
	} `json:"details"`
}

// checkHolds checks that the events which are said to have placed holds did, that
// none in the bundle released them, and that they cover of the events in the bundle
// what they are said to.
func (c *checker) checkHolds() {
	if !c.read(holdsFile, &c.report.Holds) {
		return
	}
	released := c.released()
	for i, h := range c.report.Holds {
		if i > 0 && h.Event <= c.report.Holds[i-1].Event {
			c.report.add(evidence.Altered, holdsFile, "its events are not in ascending order, each once")
			return
		}
		placed, err := c.holdChange(h.Event)
		switch at, ended := released[h.ID]; {
		case err != nil:
		case placed.Details.Change != "placed" || placed.Details.ID != h.ID:
			err = fmt.Errorf("event %d does not place it", h.Event)
		case ended && at > h.Event:
			err = fmt.Errorf("event %d released it", at)
		}
		if err != nil {
			c.report.add(evidence.Altered, holdsFile, fmt.Sprintf("hold %.80q: %v", h.ID, err), h.Event)
			continue
		}
		c.compareHold(&h, placed.Details.Query)
	}
}

// holdChange reads an event that places or releases a hold.
func (c *checker) holdChange(index uint64) (change holdChange, err error) {
	d, ok := c.entry(index)
	payload, held := c.events[index]
	if !ok || !held || d.entry.Type != holdChanged {
		return change, fmt.Errorf("event %d, which is said to place it, is not in the bundle as it was committed, or is of another type than %s", index, holdChanged)
	}
	return change, json.Unmarshal([]byte(payload), &change)
}

// released returns the holds that events of the bundle release, and the last of them
// for each.
func (c *checker) released() map[string]uint64 {
	released := map[string]uint64{}
	for k, index := range c.indices {
		if c.entries[k].entry.Type != holdChanged {
			continue
		}
		if change, err := c.holdChange(index); err == nil && change.Details.Change == "released" {
			released[change.Details.ID] = index
		}
	}
	return released
}

// compareHold compares what a hold is said to cover with what its query says, for the
// entries of the range that are disclosed.
func (c *checker) compareHold(h *Hold, query map[string]json.RawMessage) {
	for _, index := range c.indices {
		if m := &c.report.Manifest.Range; index < m.From || index >= m.To {
			continue
		}
		d, ok := c.entry(index)
		if !ok {
			continue // it has a finding of its own
		}
		var payload map[string]any
		if text, held := c.events[index]; held {
			if json.Unmarshal([]byte(text), &payload) != nil {
				continue
			}
		}
		if covered, known := covers(query, &d.entry, payload); known && covered != h.Entries.Contains(index) {
			says := "is said to cover this entry, and its query does not"
			if covered {
				says = "covers this entry by its query, and is not said to"
			}
			c.report.add(evidence.Altered, holdsFile, fmt.Sprintf("hold %.80q, which event %d placed, %s", h.ID, h.Event, says), index)
		}
	}
}

// covers reports whether the query of a hold covers an entry, and whether that can be
// told: without the payload (nil) not if it depends on what that holds, nor if the
// query has members that this package does not know.
func covers(query map[string]json.RawMessage, e *evidence.Entry, payload map[string]any) (covered, known bool) {
	known = true
	for name, value := range query {
		matches, told := matchesMember(name, value, e, payload)
		if told && !matches {
			return false, true
		}
		known = known && told
	}
	return known, known
}

// matchesMember decides about one member of a query.
func matchesMember(name string, value json.RawMessage, e *evidence.Entry, payload map[string]any) (matches, known bool) {
	switch name {
	case "event_type":
		var types []string
		err := json.Unmarshal(value, &types)
		return slices.Contains(types, e.Type), err == nil
	case "from_index", "to_index":
		var index uint64
		err := json.Unmarshal(value, &index)
		return (e.Index >= index) == (name == "from_index"), err == nil
	case "since", "until":
		var at time.Time
		err := json.Unmarshal(value, &at)
		return e.Time.Before(at) == (name == "until"), err == nil
	case "agent_id", "action_id", "project_id", "session_id", "user_id", "decision", "correlation_id":
		var text string
		if payload == nil || json.Unmarshal(value, &text) != nil {
			return false, false
		}
		return payload[name] == text || name == "agent_id" && stops(e.Type, payload, text), true
	}
	return false, false
}

// stops reports whether an event tells of an emergency stop of an agent, or of its end.
func stops(typ string, payload map[string]any, agent string) bool {
	details, _ := payload["details"].(map[string]any)
	agents, _ := details["affected_agents"].([]any)
	return (typ == "emergency_stop" || typ == "emergency_stop_cleared") && slices.Contains(agents, any(agent))
}
