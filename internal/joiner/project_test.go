package joiner_test

import (
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/joiner"
)

// A path that does not know of a call's project tells of that project, and so does what
// nothing tells the end of, also after a start.
func TestProject(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	see := func(j *joiner.Joiner, source, project, id string, typ event.Type, phase sighting.Phase) []event.Event {
		return j.Join(now, sighting.Sighting{Event: event.Event{Type: typ, Source: source, AgentID: "codex", SessionID: "s", ProjectID: project},
			Call: &sighting.Call{ID: id, Session: "s", Tool: "Bash", Phase: phase}, Mapped: true})
	}
	j := joiner.New(joiner.Options{Grace: time.Nanosecond})
	requested := see(j, "codex/hook", "shop", "call_1", event.ActionRequested, sighting.Requested)
	if done := see(j, "codex/otel", "", "call_1", event.ActionExecuted, sighting.Finished); len(done) != 1 || done[0].ProjectID != "shop" {
		t.Errorf("its end is %+v", done)
	}
	requested = append(requested, see(j, "codex/hook", "shop", "call_2", event.ActionRequested, sighting.Requested)...)
	again := joiner.New(joiner.Options{Grace: time.Nanosecond})
	for i := range requested {
		again.Replay(&requested[i], now)
	}
	for _, j := range []*joiner.Joiner{j, again} {
		open := j.Unresolved(now.Add(2 * time.Hour))
		if len(open) == 0 {
			t.Error("nothing is unresolved")
		}
		for _, e := range open {
			if e.ProjectID != "shop" {
				t.Errorf("unresolved is %+v", e)
			}
		}
	}
}
