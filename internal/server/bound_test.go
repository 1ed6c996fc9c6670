package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/trails"
)

// Whoever may record for one agent only does not end, deny or dispute the call of another
// one, nor keep what is told of it from being recorded, by the ids that it has.
func TestCallsOfOtherAgents(t *testing.T) {
	s := newSite(t, Limits{})
	of := func(agent string) []string { return []string{"Test-Roles", "submitter", "Test-Agents", agent} }
	seen := func(agent, id, kind, phase string) string {
		return strings.Replace(seenCall(id, "mcp", kind, phase), `"claude-code"`, fmt.Sprintf("%q", agent), 1)
	}
	send := func(agent, body string, recorded int) {
		t.Helper()
		a := s.do("POST", "/v1/sightings", body, of(agent)...).want(http.StatusOK)
		if want := fmt.Sprintf(`{"recorded":%d}`, recorded); strings.TrimSpace(string(a.body)) != want {
			t.Errorf("%s\n%s, want %s", body, a.body, want)
		}
	}
	send("a2", seen("a2", "m1", "action_requested", "requested"), 1)
	send("a1", seen("a1", "m2", "action_executed", "finished"), 1)
	send("a1", seen("a1", "m2b", "action_denied", "decided"), 1)
	send("a1", seen("a1", "m3", "action_executed", "finished"), 0) // says nothing new
	send("a2", seen("a2", "m3", "action_executed", "finished"), 1) // has the id all the same
	var ids []string
	for entry, err := range s.trail(trails.Default).Entries(t.Context(), custody.Query{From: 1}) {
		must(t, err)
		e, err := entry.Event()
		must(t, err)
		ids = append(ids, fmt.Sprint(e.AgentID, " ", e.Type, " ", e.ActionID))
	}
	want := "a2 action_requested toolu_7\na1 action_executed a1/toolu_7\na1 action_denied a1/toolu_7\na2 action_executed toolu_7"
	if got := strings.Join(ids, "\n"); got != want {
		t.Errorf("recorded are\n%s\nwant\n%s", got, want)
	}
	// An id that another agent has used is a conflict, and not the same event.
	send("a1", seen("a1", "m4", "action_requested", "requested"), 1)
	a := s.do("POST", "/v1/sightings", strings.Replace(seen("a2", "m4", "action_requested", "requested"), "toolu_7", "toolu_8", 1), of("a2")...).want(http.StatusOK)
	if !strings.Contains(string(a.body), `"refused":[{"position":0`) {
		t.Errorf("another agent's id: %s", a.body)
	}
}
