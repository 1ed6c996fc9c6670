package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/trails"
)

const preToolUse = `{"session_id":"s1","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"ls"},"tool_use_id":"toolu_1","cwd":"/p"}`

// types returns the types of the events of the trail default, without those it records
// of itself.
func (s *site) types() string {
	s.t.Helper()
	d, err := s.set.Get("default")
	must(s.t, err)
	var all []string
	for e, err := range d.Entries(s.t.Context(), custody.Query{From: 1}) {
		must(s.t, err)
		all = append(all, string(e.Type))
	}
	return strings.Join(all, " ")
}

func TestHooks(t *testing.T) {
	s := newSite(t, Limits{})
	for _, message := range []string{
		preToolUse,
		`{"session_id":"s1","hook_event_name":"PostToolUse","tool_name":"Bash","tool_input":{"command":"ls"},"tool_use_id":"toolu_1","tool_response":{"stdout":"a"},"duration_ms":3}`,
		`{"session_id":"s1","hook_event_name":"Stop"}`,
	} {
		a := s.do("POST", "/v1/hooks/claude-code", message, "Test-Roles", "submitter")
		if a.status != http.StatusOK || string(a.body) != "{}" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	// What is sent again under its id is recorded once.
	for range 2 {
		a := s.do("POST", "/v1/hooks/gemini?id=m1", `{"session_id":"g","hook_event_name":"BeforeTool","tool_name":"write_file","tool_input":{"file_path":"a"}}`)
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if got, want := s.types(), "action_requested action_executed turn_ended action_requested"; got != want {
		t.Errorf("recorded %s", got)
	}
	for path, want := range map[string]int{
		"/v1/hooks/other":                     http.StatusUnprocessableEntity,
		"/v1/hooks/claude-code?trail=nowhere": http.StatusNotFound,
		"/v1/hooks/claude-code?trail=system":  http.StatusForbidden,
	} {
		if a := s.do("POST", path, preToolUse); a.status != want {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := s.do("POST", "/v1/hooks/claude-code", `{"a":`); a.status != http.StatusBadRequest || !strings.Contains(string(a.body), "byte") {
		t.Errorf("malformed: %d %s", a.status, a.body)
	}
	if a := s.do("POST", "/v1/hooks/claude-code", preToolUse, "Test-Roles", "reader"); a.status != http.StatusForbidden {
		t.Errorf("a reader records: %d %s", a.status, a.body)
	}
	if a := s.do("POST", "/v1/hooks/claude-code", preToolUse, "Test-Roles", "submitter", "Test-Agents", "other"); a.status != http.StatusForbidden {
		t.Errorf("an agent passes for another one: %d %s", a.status, a.body)
	}
}

func TestStop(t *testing.T) {
	s := newSite(t, Limits{})
	gate := func() bool {
		t.Helper()
		a := s.do("GET", "/v1/gate?agent_id=claude-code&session_id=s1", "", "Test-Roles", "submitter")
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return strings.Contains(string(a.body), `"stopped":true`)
	}
	if gate() {
		t.Error("the gate is closed without a stop")
	}
	for _, body := range []string{`{"stop_type":"session","reason":"it deletes files"}`, `{"stop_type":"agent","agents":[""],"reason":"it deletes files"}`} {
		if a := s.do("POST", "/v1/trails/default/stops", body); a.status != http.StatusUnprocessableEntity {
			t.Errorf("a stop of nobody: %d %s", a.status, a.body)
		}
	}
	a := s.do("POST", "/v1/trails/default/stops", `{"stop_type":"session","session_id":"s1","reason":"it deletes files"}`, "Test-Roles", "operator")
	if a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	stop := decode[StopInfo](a)
	if !gate() {
		t.Error("the gate is open although a stop holds")
	}
	a = s.do("POST", "/v1/hooks/claude-code", preToolUse, "Test-Roles", "submitter")
	if !strings.Contains(string(a.body), `"permissionDecision":"deny"`) || !strings.Contains(string(a.body), "it deletes files") {
		t.Errorf("the hook answers %s", a.body)
	}
	// What has run already cannot be denied, but the agent is stopped, and it is told.
	a = s.do("POST", "/v1/hooks/claude-code", strings.Replace(preToolUse, "PreToolUse", "PostToolUse", 1))
	if !strings.Contains(string(a.body), `"continue":false`) {
		t.Errorf("the hook answers %s", a.body)
	}
	if a = s.do("POST", "/v1/hooks/claude-code", strings.Replace(preToolUse, "s1", "s2", 1)); string(a.body) != "{}" {
		t.Errorf("another session is stopped: %s", a.body)
	}
	if got, want := s.types(), "emergency_stop action_requested action_denied action_executed action_requested"; got != want {
		t.Errorf("recorded %s", got)
	}
	a = s.do("GET", "/v1/trails/default/stops", "")
	if !strings.Contains(string(a.body), `"last_action":{"index":4,`) {
		t.Errorf("the stops are %s", a.body)
	}

	// Whoever may only record cannot let itself go on.
	for _, typ := range []event.Type{event.EmergencyStopCleared, event.EmergencyStop} {
		body := `{"event_type":"` + string(typ) + `","user_id":"u","details":{"stop_event_id":"` + stop.ID + `","reason":"r"}}`
		if a := s.do("POST", "/v1/trails/default/events", body, "Test-Roles", "submitter"); a.status != http.StatusForbidden {
			t.Errorf("a submitter records %s: %d %s", typ, a.status, a.body)
		}
	}
	if a := s.do("POST", "/v1/trails/default/stops/"+stop.ID+"/clear", `{"reason":"mended"}`, "Test-Roles", "operator"); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if gate() {
		t.Error("the gate is closed although the stop was lifted")
	}
	if a := s.do("POST", "/v1/trails/default/stops/"+stop.ID+"/clear", `{"reason":"mended"}`); a.status != http.StatusNotFound {
		t.Errorf("lifted twice: %d %s", a.status, a.body)
	}
}

// TestStopUnrecorded: a stop holds when nothing can be recorded, for agents that a stopped
// one has started as well.
func TestStopUnrecorded(t *testing.T) {
	s := newSite(t, Limits{})
	if a := s.do("POST", "/v1/trails/default/stops", `{"stop_type":"agent","agents":["claude-code"],"reason":"drill"}`); a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	d, err := s.set.Get("default")
	must(t, err)
	must(t, d.Close())
	ofSubagent := strings.Replace(preToolUse, `{`, `{"agent_id":"sub1",`, 1)
	for _, body := range []string{preToolUse, ofSubagent} {
		a := s.do("POST", "/v1/hooks/claude-code", body)
		if a.status != http.StatusOK || !strings.Contains(string(a.body), `"permissionDecision":"deny"`) {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if a := s.do("POST", "/v1/hooks/claude-code?id=m1", preToolUse); a.status != http.StatusServiceUnavailable {
		t.Errorf("what is sent again is not told that it is not recorded: %d %s", a.status, a.body)
	}
	if a := s.do("GET", "/v1/gate?agent_id=claude-code", ""); !strings.Contains(string(a.body), `"stopped":true`) {
		t.Errorf("the gate: %d %s", a.status, a.body)
	}
}

// TestRefusedSightings: what is refused of hooks and recorders is counted as events are.
func TestRefusedSightings(t *testing.T) {
	s := newSite(t, Limits{})
	s.do("POST", "/v1/trails/default/events", `{"event_type":"turn_ended","id":"m:0","session_id":"s"}`).want(http.StatusCreated)
	s.do("POST", "/v1/hooks/claude-code?id=m", preToolUse).want(http.StatusConflict)
	s.do("POST", "/v1/sightings", seenCall("m:0", "mcp", "action_requested", "requested")).want(http.StatusOK)
	s.api.noteRefusals()
	if told := s.told(trails.System, event.IngestRejected); len(told) != 1 || told[0].Details["reason"] != "conflict" || fmt.Sprint(told[0].Details["count"]) != "2" {
		t.Errorf("the refusals are told of as %+v", told)
	}
}

// TestFailClosed denies what cannot be recorded, where the hook asks for that.
func TestFailClosed(t *testing.T) {
	s := newSite(t, Limits{})
	d, err := s.set.Get("default")
	must(t, err)
	must(t, d.Close())
	if a := s.do("POST", "/v1/hooks/claude-code", preToolUse); a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, word := range []string{"closed", "close"} { // whoever misspells it wants it all the same
		a := s.do("POST", "/v1/hooks/claude-code?fail="+word, preToolUse)
		if a.status != http.StatusOK || !strings.Contains(string(a.body), `"permissionDecision":"deny"`) {
			t.Errorf("%s: %d %s", word, a.status, a.body)
		}
	}
}

// TestHookID: a message whose name no event can have is not recorded under another one.
func TestHookID(t *testing.T) {
	s := newSite(t, Limits{})
	s.do("POST", "/v1/hooks/claude-code?id="+strings.Repeat("x", maxHookID+1), preToolUse).problem(http.StatusUnprocessableEntity, "invalid")
	for range 2 {
		s.do("POST", "/v1/hooks/claude-code?id="+strings.Repeat("x", maxHookID), preToolUse).want(http.StatusOK)
	}
	if got, want := s.types(), "action_requested"; got != want {
		t.Errorf("recorded %s", got)
	}
}
