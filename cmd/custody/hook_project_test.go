package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A stop of a project reaches the agents whose hooks name it, wherever the trail is, and
// what they did is recorded as of the project, also by way of the spool.
func TestHookOfProject(t *testing.T) {
	for _, where := range []string{"directory", "server"} {
		t.Run(where, func(t *testing.T) {
			s := newSite(t)
			t.Setenv("XDG_STATE_HOME", t.TempDir())
			place := s.url
			if where == "directory" {
				place = filepath.Join(s.scratch, "local")
				s.must(t, place, "", "init", "--origin", "example.org/default")
			}
			s.must(t, place, "", "stop", "--project", "shop", "--by", "operator", "--reason", "it deletes files")
			for _, c := range []struct{ agent, message, denies string }{
				{"claude-code", toolCall("PreToolUse", "1"), `"permissionDecision":"deny"`},
				{"codex", toolCall("PreToolUse", "2"), `"permissionDecision":"deny"`},
				{"cursor", `{"hook_event_name":"beforeShellExecution","conversation_id":"c","command":"ls"}`, `"permission":"deny"`},
				{"gemini", `{"session_id":"g","hook_event_name":"BeforeTool","tool_name":"x"}`, `"decision":"deny"`},
				{"copilot", `{"toolName":"bash","toolArgs":"{}"}`, `"permissionDecision":"deny"`},
			} {
				if out := s.must(t, place, c.message, "hook", c.agent, "--project", "shop"); !strings.Contains(out, c.denies) || !strings.Contains(out, "it deletes files") {
					t.Errorf("%s is told %s", c.agent, out)
				}
				if out := s.must(t, place, c.message, "hook", c.agent, "--project", "other"); out != "{}" {
					t.Errorf("%s of another project is told %s", c.agent, out)
				}
			}
			if out := s.must(t, place, "", "query", "--type", "action_denied", "--project", "shop", "--json"); strings.Count(out, "\n") != 5 {
				t.Errorf("of the project the trail has\n%s", out)
			}
		})
	}
}

// What is kept while the server is away has its project when it is recorded.
func TestSpoolKeepsProject(t *testing.T) {
	h := &home{t: t, dir: t.TempDir()}
	addr := freeAddress(t)
	place := []string{"--trail", "http://" + addr}
	for _, closed := range []string{"--fail-closed", "--fail-closed=spool"} {
		if out, errs, status := h.custody(toolCall("PreToolUse", closed), append([]string{"hook", "claude-code", "--project", "shop", closed}, place...)...); status != exitOK || !strings.Contains(errs, "kept in") {
			t.Errorf("exit status %d: %s%s", status, out, errs)
		}
	}
	server, _ := startServer(t, filepath.Join(t.TempDir(), "data"), "--listen", addr)
	defer server.end(os.Interrupt)
	if _, errs, status := h.custody("", append([]string{"hook", "--flush"}, place...)...); status != exitOK {
		t.Errorf("flush: %s", errs)
	}
	out, _, _ := h.custody("", append([]string{"query", "--project", "shop", "--json"}, place...)...)
	if strings.Count(out, "\n") != 3 || strings.Count(out, `"type":"action_denied"`) != 1 || strings.Count(out, `"type":"action_requested"`) != 2 {
		t.Errorf("of the project the trail has\n%s", out)
	}
}
