package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// seenCall is a sighting of a call.
func seenCall(id, source, kind, phase string) string {
	return fmt.Sprintf(`{"event":{"id":%q,"event_type":%q,"source":%q,"agent_id":"claude-code","details":{"tool_name":"read"}},"call":{"id":"toolu_7","tool":"mcp__files__read","phase":%q}}`, id, kind, source, phase)
}

// What a recorder tells is one action with what hooks tell, however it is sent.
func TestSightings(t *testing.T) {
	s := newSite(t, Limits{})
	a := s.do("POST", "/v1/hooks/claude-code", `{"session_id":"s1","hook_event_name":"PreToolUse","tool_name":"mcp__files__read","tool_input":{"path":"/a"},"tool_use_id":"toolu_7"}`)
	a.want(http.StatusOK)
	requested, executed := seenCall("m1", "mcp", "action_requested", "requested"), seenCall("m2", "mcp", "action_executed", "finished")
	for _, one := range []struct{ body, media, want string }{
		{strings.ReplaceAll(requested, ",", ",\n"), typeJSON, `{"recorded":0}`}, // nothing new
		{executed, typeJSON, `{"recorded":1}`},
		{"[" + executed + ",\n" + requested + "]", typeJSON, `{"recorded":0}`},
		{executed + "\n" + requested + "\n", typeNDJSON, `{"recorded":0}`},
	} {
		a := s.do("POST", "/v1/sightings", one.body, "Content-Type", one.media, "Test-Roles", "submitter")
		if a.status != http.StatusOK || strings.TrimSpace(string(a.body)) != one.want {
			t.Errorf("%s\n%d %s", one.body, a.status, a.body)
		}
	}
	if got, want := s.types(), "action_requested action_executed"; got != want {
		t.Errorf("recorded %s", got)
	}
}

func TestSightingsRefused(t *testing.T) {
	s := newSite(t, Limits{})
	good := seenCall("m1", "mcp", "action_requested", "requested")
	for _, tt := range []struct {
		what, path, body string
		status           int
		headers          []string
	}{
		{"a reader", "", good, 403, []string{"Test-Roles", "reader"}},
		{"another agent", "", good, 403, []string{"Test-Roles", "submitter", "Test-Agents", "other"}},
		{"no trail", "?trail=nowhere", good, 404, nil},
		{"the server's own trail", "?trail=system", good, 403, nil},
		{"no path", "", strings.Replace(good, `"mcp"`, `"transcript"`, 1), 422, nil},
		{"malformed", "", `{"event":`, 422, nil},
		{"an array that does not end", "", "[" + good, 400, nil},
		{"too many", "", "[" + strings.Repeat(good+",", maxSightings) + good + "]", 413, nil},
		{"a stop by whoever may only record", "", `{"event":{"event_type":"emergency_stop_cleared","source":"mcp","user_id":"u"}}`, 403, []string{"Test-Roles", "submitter"}},
		{"another media type", "", good, 415, []string{"Content-Type", "text/plain"}},
	} {
		if a := s.do("POST", "/v1/sightings"+tt.path, tt.body, tt.headers...); a.status != tt.status {
			t.Errorf("%s: %d %s", tt.what, a.status, a.body)
		}
	}
	if got := s.types(); got != "" {
		t.Errorf("recorded %s", got)
	}
}
