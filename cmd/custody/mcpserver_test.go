package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// asker is a client of custody mcp-server, over standard input and output.
type asker struct {
	*testing.T
	cmd *exec.Cmd
	mcp *mcp.ClientSession
}

func newAsker(t *testing.T, env ...string) *asker {
	t.Helper()
	cmd := exec.Command("custody", "mcp-server")
	cmd.Env = append(os.Environ(), append(env, "GORACE=atexit_sleep_ms=0")...)
	cmd.Stderr = t.Output()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
	check(t, err)
	return &asker{t, cmd, session}
}

// call returns the text that a tool answers.
func (a *asker) call(tool string, in map[string]any) (text string, failed bool) {
	a.Helper()
	answer, err := a.mcp.CallTool(a.Context(), &mcp.CallToolParams{Name: tool, Arguments: in})
	check(a.T, err)
	return answer.Content[0].(*mcp.TextContent).Text, answer.IsError
}

// ask returns what a tool answers.
func (a *asker) ask(tool string, in map[string]any) (got map[string]any) {
	a.Helper()
	if text, failed := a.call(tool, in); failed || json.Unmarshal([]byte(text), &got) != nil {
		a.Fatalf("%s %v: %s", tool, in, text)
	}
	return got
}

// read returns the text of a resource.
func (a *asker) read(uri string) (string, error) {
	a.Helper()
	res, err := a.mcp.ReadResource(a.Context(), &mcp.ReadResourceParams{URI: uri})
	if err != nil {
		return "", err
	}
	return res.Contents[0].Text, nil
}

func (a *asker) end() {
	a.Helper()
	check(a.T, a.mcp.Close())
	if code := a.cmd.ProcessState.ExitCode(); code != 0 {
		a.Errorf("the server ends with %d", code)
	}
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
	for _, place := range []string{dir, url} {
		a := newAsker(t, "CUSTODY_TRAIL="+place)
		if q := a.ask("query", map[string]any{"session": "s1"}); len(q["entries"].([]any)) != 1 || q["trail_size"] != 2.0 {
			t.Errorf("%s: query: %v", place, q)
		}
		if one := a.ask("show", map[string]any{"id": "e1"}); one["type"] != "turn_started" {
			t.Errorf("%s: show: %v", place, one)
		}
		if v := a.ask("verify", nil); v["ok"] != true {
			t.Errorf("%s: verify: %v", place, v)
		}
		if s := a.ask("stops", nil); s["total"] != 0.0 {
			t.Errorf("%s: stops: %v", place, s)
		}
		for uri, want := range map[string]string{"custody://trail": `"first_key":"example.org/`, "custody://trail/checkpoint": "example.org/", "custody://trail/events/e1": `"turn_started"`,
			"custody://trail/proofs/1": "c2sp.org/tlog-proof@v1\n"} {
			if text, err := a.read(uri); err != nil || !strings.Contains(text, want) {
				t.Errorf("%s: %s: %v, %s", place, uri, err, text)
			}
		}
		a.end()
	}

	// What was recorded since it was opened is in the size as well.
	a := newAsker(t, "CUSTODY_TRAIL="+url)
	record = exec.Command("custody", "record", "--trail", url, "--type", "turn_ended", "--session", "s2")
	if out, err := record.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if q := a.ask("query", map[string]any{"session": "s1"}); q["trail_size"] != 3.0 {
		t.Errorf("of 3 entries: %v", q)
	}
	a.end()
	p.end(os.Interrupt)
}

// A token decides what is seen: without the permission to read payloads neither what events
// say nor whether one matches. What is read with one is recorded.
func TestMCPServerToken(t *testing.T) {
	data := t.TempDir()
	token := func(name, roles string) string {
		create := start(t, "", t.TempDir(), "token", "create", "--data", data, "--name", name, "--roles", roles, "--by", "operator", "--json")
		var made struct{ Token string }
		check(t, json.Unmarshal([]byte(create.line()), &made))
		create.wait()
		return "CUSTODY_TOKEN=" + made.Token
	}
	auditor, reader := token("watcher", "auditor"), token("counter", "reader")
	p, url := startConfigured(t, fmt.Sprintf("version: 1\ndata: %s\nlisten: 127.0.0.1:0\norigin: example.org\n", data))
	record := exec.Command("custody", "record", "--trail", url, "-")
	record.Stdin = strings.NewReader(`{"event_type":"action_requested","id":"e1","agent_id":"a1","action_id":"x1","session_id":"s1","details":{"tool_name":"Bash","resource":"the plan","input_digest":"sha256:00"}}`)
	if out, err := record.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	a := newAsker(t, "CUSTODY_TRAIL="+url, reader)
	for _, c := range []struct {
		tool string
		in   map[string]any
		want string // of an error; empty: it is answered
	}{
		{"query", nil, ""},
		{"query", map[string]any{"types": []string{"action_requested"}}, ""},
		{"query", map[string]any{"session": "s1"}, "may not read payloads"},
		{"query", map[string]any{"occurred_since": "1h"}, "may not read payloads"},
		{"timeline", map[string]any{"action": "x1"}, "may not read payloads"},
		{"show", map[string]any{"id": "e1"}, "may not read payloads"},
		{"show", map[string]any{"index": 1}, ""},
		{"verify", nil, "may not verify"},
		{"stats", nil, ""},
		{"stops", nil, ""},
	} {
		text, failed := a.call(c.tool, c.in)
		if failed != (c.want != "") || !strings.Contains(text, c.want) {
			t.Errorf("%s %v: %s", c.tool, c.in, text)
		}
		for _, secret := range []string{"the plan", "Bash", `"s1"`, `"x1"`, `"a1"`} {
			if strings.Contains(text, secret) {
				t.Errorf("%s %v tells %s: %s", c.tool, c.in, secret, text)
			}
		}
	}
	for uri, want := range map[string]string{"custody://trail/events/e1": "may not read payloads", "custody://trail/actions/x1": "may not read payloads", "custody://trail/proofs/1": "may not prove"} {
		if text, err := a.read(uri); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %s", uri, err, text)
		}
	}
	if text, err := a.read("custody://trail/entries/1"); err != nil || strings.Contains(text, "plan") || !strings.Contains(text, "may not be seen with this token") {
		t.Errorf("an entry: %v, %s", err, text)
	}
	a.end()

	a = newAsker(t, "CUSTODY_TRAIL="+url, auditor)
	if text, _ := a.call("show", map[string]any{"index": 1}); !strings.Contains(text, "the plan") {
		t.Errorf("show: %s", text)
	}
	for _, uri := range []string{"custody://trail/events/e1", "custody://trail/actions/x1"} {
		if text, err := a.read(uri); err != nil || !strings.Contains(text, "the plan") {
			t.Errorf("%s: %v, %s", uri, err, text)
		}
	}
	a.end()
	p.end(os.Interrupt)
	reads := systemEvents(t, data, event.AccessRead)
	if len(reads) != 1 || reads[0]["by"] != "token:watcher" || reads[0]["what"] != "payloads of trail default" || reads[0]["count"] != 3.0 || reads[0]["from_index"] != 1.0 || reads[0]["to_index"] != 2.0 {
		t.Errorf("what was read is told of by %v", reads)
	}
}
