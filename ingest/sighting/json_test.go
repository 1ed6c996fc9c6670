package sighting_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/sighting"
)

func TestJSON(t *testing.T) {
	e := event.Event{Type: event.ActionRequested, ID: "e", Source: "codex/hook", AgentID: "a", Details: map[string]any{"tool_name": "t"}}
	for _, s := range []sighting.Sighting{
		{Event: e, Mapped: true},
		{Event: e, Ends: sighting.Turn},
		{Event: e, Mapped: true, Call: &sighting.Call{ID: "i", Session: "s", Tool: "t", Input: "d", Phase: sighting.Finished, Endless: true}},
		{Event: e, Mapped: true, Call: &sighting.Call{Tool: "t"}},
	} {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again sighting.Sighting
		if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(s, again) {
			t.Errorf("%s\ngot  %+v, %v\nwant %+v", text, again, err, s)
		}
	}
	for text, want := range map[string]string{
		`{}`: "event: a sighting needs one",
		`{"event":{"event_type":"turn_ended","source":"transcript"}}`:         "event.source",
		`{"event":{"event_type":"turn_ended"}}`:                               "event.source",
		`{"event":[]}`:                                                        "event",
		`{"event":{"event_type":"turn_ended","source":"mcp","source_seq":3}}`: "event.source_seq",
		`{"event":{"event_type":"turn_ended","source":"mcp","signature":{"commitment":"` + strings.Repeat("A", 43) + `=","key_id":"00000000","sig":"` + strings.Repeat("A", 86) + `=="}}}`: "event.signature",
		`{"event":{"event_type":"turn_ended","source":"mcp"},"ends":"day"}`:                              "ends",
		`{"event":{"event_type":"turn_ended","source":"mcp"},"call":{"tool":"t","phase":"dreamt"}}`:      "call.phase",
		`{"event":{"event_type":"turn_ended","source":"mcp"},"call":{"tool":"t","phase":"asked","x":1}}`: "unknown field",
		`{"event":{"event_type":"turn_ended","source":"mcp"},"cal":{"tool":"t","phase":"asked"}}`:        "unknown field",
	} {
		var s sighting.Sighting
		if err := json.Unmarshal([]byte(text), &s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := json.Marshal(sighting.Sighting{Event: e, Call: &sighting.Call{Phase: 9}}); err == nil {
		t.Error("a phase that there is not is written")
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"event":{"event_type":"action_executed","source":"mcp","details":{"tool_name":"t"}},"call":{"tool":"t","phase":"finished"},"ends":"turn_end"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s, again sighting.Sighting
		if json.Unmarshal(text, &s) != nil {
			return
		}
		out, err := json.Marshal(s)
		if err != nil {
			return // a number that cannot be recorded
		}
		if err := json.Unmarshal(out, &again); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
	})
}
