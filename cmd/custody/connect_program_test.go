package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A program with the OpenAI Agents SDK posts to where connect says, and a doctor finds
// that it arrives.
func TestConnectProgram(t *testing.T) {
	h := &home{t: t, dir: t.TempDir()}
	_, url := startServer(t, filepath.Join(t.TempDir(), "data"))
	out, errs, status := h.custody("", "connect", "openai-agents", "--trail", url, "--project", "shop & web")
	if status != exitOK || !strings.Contains(out, `api_key="none",`) || !strings.Contains(errs, "custody doctor openai-agents") {
		t.Errorf("exit status %d\n%s%s", status, out, errs)
	}
	if all := h.settings(); len(all) != 0 {
		t.Errorf("there is %q", all)
	}
	address := regexp.MustCompile(`endpoint="(.*)",`).FindStringSubmatch(out)
	if address == nil {
		t.Fatalf("no address: %s", out)
	}
	// What the SDK posts, and how.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address[1], strings.NewReader(`{"data":[
		{"object":"trace","id":"trace_1","workflow_name":"w"},
		{"object":"trace.span","id":"span_1","trace_id":"trace_1","started_at":"2026-11-23T23:54:19.1Z","ended_at":"2026-11-23T23:54:19.2Z","span_data":{"type":"function","name":"ls","input":"{}","output":"a"}}]}`))
	check(t, err)
	req.Header.Set("Authorization", "Bearer none")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("OpenAI-Beta", "traces=v1")
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Errorf("it answers %s", resp.Status)
	}
	if out, _, _ := h.custody("", "query", "--session", "trace_1", "--project", "shop & web", "--json", "--trail", url); strings.Count(out, "\n") != 3 || !strings.Contains(out, `"type":"action_executed"`) {
		t.Errorf("the trail has\n%s", out)
	}

	out, errs, status = h.custody("", "doctor", "openai-agents", "--trail", url, "--project", "shop & web")
	if status != exitOK || !strings.Contains(out, "/v1/hooks/openai-agents?project=shop+%26+web: arrived, entry") || !strings.Contains(out, "not seen") {
		t.Errorf("exit status %d\n%s%s", status, out, errs)
	}
	if out, _, _ := h.custody("", "query", "--type", "hook_custody_doctor", "--project", "shop & web", "--json", "--trail", url); strings.Count(out, "\n") != 1 {
		t.Errorf("the trail has\n%s", out)
	}

	file := filepath.Join(h.dir, "token")
	check(t, os.WriteFile(file, []byte("secret\n"), 0o600))
	if out, _, _ := h.custody("", "connect", "openai-agents", "--trail", url, "--token-file", file); !strings.HasPrefix(out, "import os\n") || !strings.Contains(out, `api_key=os.environ["CUSTODY_TOKEN"],`) || strings.Contains(out, "secret") {
		t.Errorf("with a token:\n%s", out)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"is none", []string{"connect", "openai-agents", "--trail", h.dir}},
		{"is none", []string{"doctor", "openai-agents", "--trail", h.dir}},
		{"afterwards", []string{"connect", "openai-agents", "--trail", url, "--fail-closed"}},
		{"take the lines out", []string{"connect", "openai-agents", "--trail", url, "--undo"}},
		{"it is empty", []string{"connect", "codex", "--trail", url, "--project", ""}},
	} {
		if out, errs, status := h.custody("", c.args...); status != exitFailure || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%q: exit status %d\n%s%s", c.args, status, out, errs)
		}
	}
}

// Agents are connected for a project: by address and by command.
func TestConnectProject(t *testing.T) {
	h := &home{t: t, dir: t.TempDir()}
	_, url := startServer(t, filepath.Join(t.TempDir(), "data"))
	h.project("README", "")
	for _, c := range []struct{ agent, where, want string }{
		{"claude-code", ".claude/settings.json", "/v1/hooks/claude-code?project=it%27s"},
		{"codex", ".codex/config.toml", `--project 'it'\\''s'`},
		{"cursor", ".cursor/hooks.json", `--project 'it'\\''s'`},
		{"gemini", ".gemini/settings.json", `--project 'it'\\''s'`},
		{"copilot", ".github/hooks/custody.json", `--project 'it'\\''s'`},
	} {
		connected := []string{"--scope", "project", "--project", "it's", "--trail", url}
		if out, errs, status := h.custody("", append([]string{"connect", c.agent, "--yes"}, connected...)...); status != exitOK {
			t.Errorf("%s: exit status %d\n%s%s", c.agent, status, out, errs)
		}
		text, err := os.ReadFile(filepath.Join(h.within, c.where))
		if err != nil || !strings.Contains(string(text), c.want) {
			t.Errorf("%s, %v: the settings are\n%s", c.agent, err, text)
		}
		// A project is what the flag says, for the doctor as well.
		if out, errs, status := h.custody("", "doctor", c.agent, "--trail", url, "--project", "it's"); status != exitOK || !strings.Contains(out, "arrived") {
			t.Errorf("%s: exit status %d\n%s%s", c.agent, status, out, errs)
		}
	}
	if out, errs, status := h.custody("", "doctor", "codex", "--trail", url, "--project", "other"); status != exitFailure || !strings.Contains(out, "not tried") {
		t.Errorf("of another project: exit status %d\n%s%s", status, out, errs)
	}
	out, _, _ := h.custody("", "query", "--type", "hook_custody_doctor", "--project", "it's", "--json", "--trail", url)
	all, _, _ := h.custody("", "query", "--type", "hook_custody_doctor", "--json", "--trail", url)
	if out != all || strings.Count(all, "\n") < 5 {
		t.Errorf("of the project the trail has\n%sof all\n%s", out, all)
	}
}
