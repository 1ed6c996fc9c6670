package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// TestStopOfProject: a stop of a project denies what the hooks that name the project ask
// for, in each agent's own way, and nothing else.
func TestStopOfProject(t *testing.T) {
	s := newSite(t, Limits{})
	s.do("POST", "/v1/trails/default/stops", `{"stop_type":"project","project_id":"shop/web","reason":"it deletes files"}`).want(http.StatusCreated)
	for _, c := range []struct{ agent, message, denies string }{
		{"claude-code", preToolUse, `"permissionDecision":"deny"`},
		{"codex", strings.Replace(preToolUse, "s1", "s2", 1), `"permissionDecision":"deny"`},
		{"cursor", `{"hook_event_name":"beforeShellExecution","conversation_id":"c","generation_id":"g","command":"ls"}`, `"permission":"deny"`},
		{"gemini", `{"session_id":"g","hook_event_name":"BeforeTool","tool_name":"write_file","tool_input":{"file_path":"a"}}`, `"decision":"deny"`},
		{"copilot", `{"toolName":"bash","toolArgs":"{}"}`, `"permissionDecision":"deny"`},
	} {
		path := "/v1/hooks/" + c.agent
		before := s.types()
		a := s.do("POST", path+"?project=shop%2Fweb", c.message)
		a.want(http.StatusOK)
		if !strings.Contains(string(a.body), c.denies) || !strings.Contains(string(a.body), "it deletes files") {
			t.Errorf("%s is told %s", c.agent, a.body)
		}
		if got, want := strings.TrimPrefix(s.types(), before), "action_requested action_denied"; strings.TrimSpace(got) != want {
			t.Errorf("%s: recorded %s", c.agent, got)
		}
		for _, query := range []string{"", "?project=shop", "?trail=default"} {
			if a := s.do("POST", path+query, c.message); a.status != http.StatusOK || strings.Contains(string(a.body), "deny") {
				t.Errorf("%s%s: %d %s", path, query, a.status, a.body)
			}
		}
	}
	d, err := s.set.Get("default")
	must(t, err)
	denied := map[string]int{}
	for entry, err := range d.Entries(t.Context(), custody.Query{ProjectID: "shop/web"}) {
		must(t, err)
		e, err := entry.Event()
		must(t, err)
		denied[string(e.Type)+" "+e.AgentID]++
	}
	for _, agent := range []string{"claude-code", "codex", "cursor", "gemini", "copilot"} {
		if denied["action_denied "+agent] != 1 || denied["action_requested "+agent] != 1 {
			t.Errorf("of the project the trail has %v", denied)
		}
	}
	s.do("POST", "/v1/hooks/claude-code?project="+strings.Repeat("x", event.MaxIDLen+1), strings.Replace(preToolUse, "s1", "s3", 1)).problem(http.StatusUnprocessableEntity, "invalid")
}
