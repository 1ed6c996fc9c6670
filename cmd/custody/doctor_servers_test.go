package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A doctor finds MCP servers that custody mcp stands before in the settings of each agent,
// and starts those of the user.
func TestDoctorServers(t *testing.T) {
	h := &home{t: t, dir: t.TempDir()}
	_, url := startServer(t, filepath.Join(t.TempDir(), "data"))
	h.project("README", "")
	file := func(name, text string) {
		t.Helper()
		name = filepath.Join(h.dir, name)
		check(t, os.MkdirAll(filepath.Dir(name), 0o700))
		check(t, os.WriteFile(name, []byte(text), 0o600))
	}
	// Our own server will do for any other.
	args := fmt.Sprintf(`"args":["mcp","--trail","%s","--","custody","mcp-server","--trail","%s"],"env":{"A":"b"}`, url, url)
	good, bare := `{"command":"custody",`+args+`}`, `{"command":"npx","args":["server"]}`
	file(".claude.json", fmt.Sprintf(`{"mcpServers":{"notes":%s,"bare":%s,"far":{"type":"http","url":"https://mcp.example.com/mcp"}},"projects":{%q:{"mcpServers":{"here":%s}},"/else":{"mcpServers":{"there":%s}}}}`, good, bare, h.within, good, good))
	file(".codex/config.toml", fmt.Sprintf("[mcp_servers.notes]\ncommand = \"custody\"\nargs = [\"mcp\", \"--trail\", %q, \"--\", \"custody\", \"mcp-server\", \"--trail\", %q]\n", url, url))
	file(".gemini/settings.json", fmt.Sprintf(`{"mcpServers":{"notes":%s}}`, good))
	file(".cursor/mcp.json", fmt.Sprintf(`{"mcpServers":{"broken":{"command":"custody","args":["mcp","--trail","%s","--","false"]}}}`, url))
	ran := filepath.Join(h.dir, "ran")
	h.project(".mcp.json", fmt.Sprintf(`{"mcpServers":{"thief":{"command":"custody","args":["mcp","--trail","%s","--","touch","%s"]}}}`, url, ran))

	out, errs, status := h.custody("", "doctor", "--trail", url)
	for _, want := range []string{"before notes: arrived, entry", "before here: arrived, entry", "before thief: not tried", "before broken: ", "by hooks: bare, far"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if strings.Count(out, "arrived, entry") != 4 || strings.Contains(out, "before there") || status != exitFailure || !strings.Contains(errs, "2 paths do not lead to") {
		t.Errorf("exit status %d\n%s%s", status, out, errs)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("it has started the server of a project")
	}
	if out, errs, status := h.custody("", "doctor", "gemini", "--trail", url); status != exitOK {
		t.Errorf("exit status %d\n%s%s", status, out, errs)
	}
}

// The token that an agent should have is enough for a doctor, though it reads nothing.
func TestDoctorMayNotRead(t *testing.T) {
	h := &home{t: t, dir: t.TempDir()}
	data := filepath.Join(t.TempDir(), "data")
	_, url := startServer(t, data)
	token := func(name, roles, agents string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "token")
		out, errs, status := h.custody("", "token", "create", "--data", data, "--name", name, "--roles", roles, "--agents", agents, "--by", "operator")
		if status != exitOK {
			t.Fatalf("exit status %d: %s", status, errs)
		}
		check(t, os.WriteFile(file, []byte(out), 0o600))
		return file
	}
	agent, other := token("agent", "submitter", "codex"), token("other", "submitter", "cursor")
	for _, args := range [][]string{{"connect", "codex", "--yes"}, {"doctor", "codex"}} {
		out, errs, status := h.custody("", append(args, "--trail", url, "--token-file", agent)...)
		if status != exitOK || args[0] == "doctor" && (strings.Count(out, "taken; not looked up") != 1 || strings.Contains(out, "arrived")) {
			t.Errorf("%q: exit status %d\n%s%s", args, status, out, errs)
		}
	}
	// What is not even taken is a finding all the same.
	h.custody("", "connect", "codex", "--yes", "--trail", url, "--token-file", other)
	if out, errs, status := h.custody("", "doctor", "codex", "--trail", url, "--token-file", other); status != exitFailure || strings.Contains(out, "taken") {
		t.Errorf("of another agent: exit status %d\n%s%s", status, out, errs)
	}
}

// Of a server that does not stop complaining only the beginning is kept.
func TestOpening(t *testing.T) {
	var o opening
	n, err := io.Copy(&o, strings.NewReader(strings.Repeat("0123456789", 100_000)))
	if n != 1_000_000 || err != nil || len(o) != maxComplaint || !strings.HasPrefix(string(o), "0123456789") {
		t.Errorf("%d of %d bytes are kept, %v", len(o), n, err)
	}
}
