package client

import (
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/sighting"
)

// call returns the sightings of a call and its end.
func call(id string) []sighting.Sighting {
	of := func(t event.Type, id string, phase sighting.Phase) sighting.Sighting {
		e := event.Event{Type: t, ID: id, Source: sighting.Recorder, AgentID: "agent-1", Details: map[string]any{"tool_name": "read"}}
		return sighting.Sighting{Event: e, Call: &sighting.Call{Tool: "read", Input: "sha256:0", Phase: phase}, Mapped: true}
	}
	return []sighting.Sighting{of(event.ActionRequested, id+"-1", sighting.Requested), of(event.ActionExecuted, id+"-2", sighting.Finished)}
}

func TestRecordSightings(t *testing.T) {
	s := newSite(t)
	server, err := NewServer("http://"+s.addr, &Options{Token: s.token, Logger: quiet, RetryFor: -1})
	must(t, err)
	seen := call("a")
	for range 2 { // sent again it is recorded once
		refused, err := server.RecordSightings(t.Context(), DefaultTrail, seen)
		if err != nil || len(refused) > 0 {
			t.Fatalf("%v, %v", refused, err)
		}
	}
	all := collect(t, s.trail().Entries(t.Context(), custody.Query{Types: []event.Type{event.ActionRequested, event.ActionExecuted}}))
	if len(all) != 2 {
		t.Fatalf("%d entries", len(all))
	}
	first, err := all[0].Event()
	must(t, err)
	second, err := all[1].Event()
	must(t, err)
	if first.ActionID == "" || first.ActionID != second.ActionID {
		t.Errorf("the actions are %q and %q", first.ActionID, second.ActionID)
	}
	if first.Principal == "" {
		t.Error("nobody has sent it")
	}

	seen = call("b")
	seen[0].Event.Details["tool_name"] = strings.Repeat("x", 2<<20)
	refused, err := server.RecordSightings(t.Context(), DefaultTrail, seen)
	if err != nil || len(refused) != 1 || refused[0].Position != 0 || refused[0].Detail == "" {
		t.Errorf("%v, %v", refused, err)
	}
	seen[0].Event.ID = ""
	if _, err := server.RecordSightings(t.Context(), DefaultTrail, seen); err == nil {
		t.Error("a sighting without an id is sent")
	}
	reader, err := NewServer("http://"+s.addr, &Options{Token: s.reader, Logger: quiet, RetryFor: -1})
	must(t, err)
	if _, err := reader.RecordSightings(t.Context(), DefaultTrail, call("c")); err == nil {
		t.Error("a reader records")
	}
}

func TestGate(t *testing.T) {
	s := newSite(t)
	server, err := NewServer("http://"+s.addr, &Options{Token: s.token, Logger: quiet, RetryFor: -1})
	must(t, err)
	ask := func(agent string) *Stop {
		t.Helper()
		stop, err := server.Gate(t.Context(), DefaultTrail, agent, "", "")
		must(t, err)
		return stop
	}
	if stop := ask("agent-1"); stop != nil {
		t.Errorf("%+v", stop)
	}
	receipt, err := s.trail().EmergencyStop(t.Context(), custody.Stop{Type: "agent", TriggeredBy: "ops", Reason: "enough", AffectedAgents: []string{"agent-1"}})
	must(t, err)
	s.restart(nil) // and with it the server has it, whenever it looks
	if stop := ask("agent-1"); stop == nil || *stop != (Stop{receipt.ID, "ops", "enough"}) {
		t.Errorf("%+v", stop)
	}
	if stop := ask("agent-2"); stop != nil {
		t.Errorf("%+v", stop)
	}
}
