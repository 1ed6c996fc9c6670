package connect_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/connect"
)

// What docs/agents.md shows for a program is what is printed for it.
func TestProgramIsDocumented(t *testing.T) {
	docs, err := os.ReadFile("../../docs/agents.md")
	must(t, err)
	if want := connect.Program(&connect.Options{URL: "http://127.0.0.1:8420/v1/hooks/openai-agents"}); !strings.Contains(string(docs), "```python\n"+want+"```\n") {
		t.Errorf("docs/agents.md does not have\n%s", want)
	}
}

// TestFindServers finds the MCP servers where agents keep them.
func TestFindServers(t *testing.T) {
	const recorded = `{"command":"/opt/x/custody-1","args":["mcp","--","npx","-y",1],"env":{"A":2}}`
	for _, c := range []struct {
		agent, file, text string
		project           bool
		recorded, others  string
	}{
		{"claude-code", ".claude.json", `{"mcpServers":{"b":` + recorded + `,"a":{"url":"https://example.com/mcp"},"c":{"command":"custody","args":["verify"]},"d":5}}`, false, "b", "a c d"},
		{"claude-code", ".claude.json", `{"projects":{"/p":{"mcpServers":{"b":` + recorded + `}},"/q":{"mcpServers":{"e":` + recorded + `}}}}`, false, "b", ""},
		{"claude-code", ".mcp.json", `{"mcpServers":{"b":` + recorded + `}}`, true, "b", ""},
		{"codex", ".codex/config.toml", "[mcp_servers.b]\ncommand = 'custody'\nargs = ['mcp', '--', 'x']\n[mcp_servers.a]\nurl = 'https://example.com/mcp'\n", false, "b", "a"},
		{"cursor", ".cursor/mcp.json", `{"mcpServers":{"b":` + recorded + `}}`, false, "b", ""},
		{"gemini", ".gemini/settings.json", `{"mcpServers":{"b":` + recorded + `}}`, true, "b", ""},
		{"gemini", ".gemini/settings.json", `{"mcpServers":[]}`, false, "", ""},
		{"copilot", "none.json", `{}`, false, "", ""},
	} {
		o := &connect.Options{Agent: c.agent, Home: t.TempDir(), Getenv: func(string) string { return "" }, Hook: []string{"/usr/bin/custody-1", "hook"}}
		if c.project {
			o.Project = o.Home
		}
		file := filepath.Join(o.Home, c.file)
		must(t, os.MkdirAll(filepath.Dir(file), 0o700))
		must(t, os.WriteFile(file, []byte(c.text), 0o600))
		found, err := connect.FindServers(o, "/p")
		if err != nil || (found == nil) != (c.agent == "copilot") {
			t.Errorf("%s: %v, %v", c.file, found, err)
			continue
		} else if found == nil {
			continue
		}
		var names []string
		for _, s := range found.Recorded {
			names = append(names, s.Name)
			if line := strings.Join(s.Command, " "); !strings.Contains(line, " mcp -- ") || strings.Contains(c.text, "npx") && (line != "/opt/x/custody-1 mcp -- npx -y 1" || s.Env["A"] != "2") {
				t.Errorf("%s: %q with %v", c.file, s.Command, s.Env)
			}
		}
		if got, others := strings.Join(names, " "), strings.Join(found.Unrecorded, " "); got != c.recorded || others != c.others || found.File != file {
			t.Errorf("%s: recorded are %q, the others %q", c.file, got, others)
		}
	}
}
