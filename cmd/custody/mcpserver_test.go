package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// asked returns what a tool of custody mcp-server answers, over standard input and
// output.
func asked(t *testing.T, env []string, tool string, in map[string]any, args ...string) map[string]any {
	t.Helper()
	cmd := exec.Command("custody", append([]string{"mcp-server"}, args...)...)
	cmd.Env = append(os.Environ(), append(env, "GORACE=atexit_sleep_ms=0")...)
	cmd.Stderr = t.Output()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
	check(t, err)
	answer, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: in})
	check(t, err)
	check(t, session.Close())
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the server ends with %d", code)
	}
	var got map[string]any
	if text := answer.Content[0].(*mcp.TextContent).Text; answer.IsError || json.Unmarshal([]byte(text), &got) != nil {
		t.Fatalf("%s %v: %s", tool, in, text)
	}
	return got
}

// A trail in a directory and one on a server are served alike.
func TestMCPServer(t *testing.T) {
	dir, keys := newTrail(t)
	local, err := custody.Open(dir, &custody.Options{KeyDir: keys, DiskWarning: -1})
	check(t, err)
	_, err = local.Record(t.Context(), event.Event{Type: event.TurnStarted, ID: "e1", SessionID: "s1"})
	check(t, err)
	check(t, local.Close())

	data := t.TempDir()
	p, url := startConfigured(t, fmt.Sprintf("version: 1\ndata: %s\nlisten: 127.0.0.1:0\norigin: example.org\n", data))
	record := exec.Command("custody", "record", "--trail", url, "--type", "turn_started", "--id", "e1", "--session", "s1")
	if out, err := record.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for place, env := range map[string][]string{dir: {"CUSTODY_TRAIL=" + dir}, url: {"CUSTODY_TRAIL=" + url}} {
		if q := asked(t, env, "query", map[string]any{"session": "s1"}); len(q["entries"].([]any)) != 1 {
			t.Errorf("%s: query: %v", place, q)
		}
		if one := asked(t, env, "show", map[string]any{"id": "e1"}); one["type"] != "turn_started" {
			t.Errorf("%s: show: %v", place, one)
		}
		if v := asked(t, env, "verify", nil); v["ok"] != true {
			t.Errorf("%s: verify: %v", place, v)
		}
		if s := asked(t, env, "stops", nil); s["total"] != 0.0 {
			t.Errorf("%s: stops: %v", place, s)
		}
	}
	p.end(os.Interrupt)
}
