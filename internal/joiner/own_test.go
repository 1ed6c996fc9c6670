package joiner

import (
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/sighting"
)

// A path that has no ids of the agent, and gives its calls ids of its own, tells calls of
// the same tool with the same input apart.
func TestOwnIDs(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	j := New(Options{})
	see := func(id string, kind event.Type, phase sighting.Phase) event.Event {
		t.Helper()
		e := event.Event{Type: kind, Source: sighting.Recorder, ActionID: id, Details: map[string]any{"tool_name": "read"}}
		all := j.Join(now, sighting.Sighting{Event: e, Call: &sighting.Call{Tool: "read", Input: "sha256:0", Phase: phase}, Mapped: true})
		if len(all) != 1 {
			t.Fatalf("%s of %s: %d events", kind, id, len(all))
		}
		return all[0]
	}
	for i, step := range []struct {
		id    string
		kind  event.Type
		phase sighting.Phase
	}{
		{"m1", event.ActionRequested, sighting.Requested}, {"m1", event.ActionExecuted, sighting.Finished},
		{"m2", event.ActionRequested, sighting.Requested}, {"m2", event.ActionDenied, sighting.Decided},
		{"m3", event.ActionRequested, sighting.Requested}, {"m4", event.ActionRequested, sighting.Requested},
		{"m4", event.ActionFailed, sighting.Finished}, {"m3", event.ActionExecuted, sighting.Finished},
	} {
		if got := see(step.id, step.kind, step.phase).ActionID; got != step.id {
			t.Errorf("step %d: %s is of action %s, want %s", i, step.kind, got, step.id)
		}
	}
	// Also where both have one id of the agent's, which an agent may use again.
	for _, id := range []string{"m6", "m7"} {
		e := event.Event{Type: event.ActionRequested, Source: sighting.Recorder, ActionID: id, Details: map[string]any{"tool_name": "list"}}
		all := j.Join(now, sighting.Sighting{Event: e, Call: &sighting.Call{ID: "c9", Tool: "list", Input: "sha256:0", Phase: sighting.Requested}, Mapped: true})
		if len(all) != 1 || (all[0].ActionID == "c9") != (id == "m6") {
			t.Errorf("a call of %s: %+v", id, all)
		}
	}
	// An action that a hook has begun takes the path's id as well.
	hook := event.Event{Type: event.ActionRequested, Source: "codex/hook", SessionID: "s", Details: map[string]any{"tool_name": "mcp__f__read"}}
	j.Join(now, sighting.Sighting{Event: hook, Call: &sighting.Call{ID: "c1", Session: "s", Tool: "mcp__f__write", Input: "sha256:0", Phase: sighting.Requested}, Mapped: true})
	e := event.Event{Type: event.ActionRequested, Source: sighting.Recorder, ActionID: "m5", Details: map[string]any{"tool_name": "write"}}
	j.Join(now, sighting.Sighting{Event: e, Call: &sighting.Call{Tool: "write", Input: "sha256:0", Phase: sighting.Requested}, Mapped: true})
	e.Type = event.ActionExecuted
	all := j.Join(now, sighting.Sighting{Event: e, Call: &sighting.Call{Tool: "write", Input: "sha256:0", Phase: sighting.Finished}, Mapped: true})
	if len(all) != 1 || all[0].ActionID != "s/c1" {
		t.Errorf("%+v", all)
	}
}
