package mcp_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/mcp"
	"github.com/custodylog/custody/ingest/sighting"
)

var update = flag.Bool("update", false, "write golden files anew")

func record(text string) ingest.Record {
	return ingest.Record{Text: []byte(text), Size: int64(len(text)), Sum: sha256.Sum256([]byte(text))}
}

// clock goes on by a millisecond each time that it is asked.
func clock() func() time.Time {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	return func() time.Time {
		now = now.Add(time.Millisecond)
		return now
	}
}

// play has a connection see the lines of a script: ">" is the client, "<" the server,
// "!" the end of the connection, "x" the refusal of the line before.
func play(t *testing.T, s *mcp.Server, script string) []sighting.Sighting {
	t.Helper()
	c := s.Connect()
	var all []sighting.Sighting
	var last *mcp.Message
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		text := strings.TrimSpace(line[1:])
		switch line[0] {
		case '>':
			last = mcp.Parse(record(text))
			all = append(all, c.FromClient(last)...)
		case '<':
			all = append(all, c.FromServer(mcp.Parse(record(text)))...)
		case '!':
			all = append(all, c.Close(text)...)
		case 'x':
			all = append(all, c.Refused(last, text, map[string]any{"policy_id": "emergency_stop"})...)
		default:
			t.Fatalf("%q", line)
		}
	}
	return all
}

// short writes sightings as their types, and what else distinguishes them.
func short(all []sighting.Sighting) string {
	var lines []string
	for _, s := range all {
		line := string(s.Event.Type)
		for _, name := range []string{"tool_name", "layer", "error_type", "action", "added", "removed", "changed", "old_digest", "cancelled_by", "reason", "task_status", "repeated_call_id"} {
			if v := s.Event.Details[name]; v != nil && name == "old_digest" {
				line += " old_digest"
			} else if v != nil {
				line += fmt.Sprintf(" %s=%v", name, v)
			}
		}
		if s.Event.Outcome != "" {
			line += " " + string(s.Event.Outcome)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

const (
	initialize = `> {"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"claude-code","version":"2.1"}}}
< {"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"files","version":"1.0"},"instructions":"read only"}}
> {"jsonrpc":"2.0","method":"notifications/initialized"}
`
	call = `> {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"path":"/a"}}}
`
	meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"h4","version":"0"}}`
)

func TestSightings(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"a call that succeeds", call + `< {"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hi"}]}}`,
			"action_requested tool_name=read\naction_executed tool_name=read success"},
		{"a tool that reports an error", call + `< {"jsonrpc":"2.0","id":1,"result":{"isError":true,"content":[{"type":"text","text":"no"}]}}`,
			"action_requested tool_name=read\naction_failed tool_name=read layer=tool error_type=tool_error failure"},
		{"an error of the protocol", call + `< {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"unknown tool"}}`,
			"action_requested tool_name=read\naction_failed tool_name=read layer=protocol error_type=json_rpc -32602 failure"},
		{"no answer", call + `! the server ended: exit status 1`,
			"action_requested tool_name=read\naction_failed tool_name=read layer=transport unknown"},
		{"a cancelled call, and its late answer", call + `> {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"took too long"}}
			< {"jsonrpc":"2.0","id":1,"result":{"content":[]}}`,
			"action_requested tool_name=read\naction_cancelled tool_name=read cancelled_by=client reason=took too long cancelled\naction_executed tool_name=read success"},
		{"a cancelled call, and the error that such a call gets", call + `> {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}
			< {"jsonrpc":"2.0","id":1,"error":{"code":0,"message":"cancelled"}}`,
			"action_requested tool_name=read\naction_cancelled tool_name=read cancelled_by=client cancelled"},
		{"an id that is used again", call + call + `< {"jsonrpc":"2.0","id":1,"result":{}}
			< {"jsonrpc":"2.0","id":1,"result":{}}`,
			"action_requested tool_name=read\naction_failed tool_name=read layer=transport unknown\naction_requested tool_name=read\naction_executed tool_name=read success"},
		{"the id that the agent gives two calls", strings.Repeat(`> {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"claudecode/toolUseId":"toolu_1"}}}
			< {"jsonrpc":"2.0","id":1,"result":{}}`+"\n", 2),
			"action_requested tool_name=a\naction_executed tool_name=a success\naction_requested tool_name=a repeated_call_id=toolu_1\naction_executed tool_name=a success"},
		{"a result of a kind that is not known", call + `< {"jsonrpc":"2.0","id":1,"result":{"resultType":"later"}}`,
			"action_requested tool_name=read\naction_executed tool_name=read unknown"},
		{"a refused call", call + "x a stop holds", "action_requested tool_name=read\naction_denied tool_name=read denied"},
		{"ids of the same number and text", call + strings.Replace(call, `"id":1`, `"id":"1"`, 1) + `< {"jsonrpc":"2.0","id":"1","result":{"isError":true}}
			< {"jsonrpc":"2.0","id":1,"result":{}}`,
			"action_requested tool_name=read\naction_requested tool_name=read\naction_failed tool_name=read layer=tool error_type=tool_error failure\naction_executed tool_name=read success"},
		{"ids of both directions", `< {"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"which?"}}` + "\n" + call + `> {"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{"a":1}}}
			< {"jsonrpc":"2.0","id":1,"result":{}}`,
			"user_input_requested\naction_requested tool_name=read\nuser_input_given action=accept\naction_executed tool_name=read success"},
		{"a question that a stream says again", strings.Repeat(`< {"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"which?"}}`+"\n", 2) + `> {"jsonrpc":"2.0","id":1,"result":{"action":"decline"}}`,
			"user_input_requested\nuser_input_given action=decline"},
		{"a batch", `> [{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"b"}},{"jsonrpc":"2.0","method":"notifications/x"}]
			< [{"jsonrpc":"2.0","id":2,"result":{}},{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"m"}}]`,
			"action_requested tool_name=a\naction_requested tool_name=b\naction_executed tool_name=b success\naction_failed tool_name=a layer=protocol error_type=json_rpc -32603 failure"},
		{"a batch of more than is read", `> [` + strings.Repeat(`{"jsonrpc":"2.0","method":"notifications/x"},`, 200) + `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}]`, "mcp_unreadable"},
		{"a resource", `> {"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a"}}
			< {"jsonrpc":"2.0","id":1,"result":{"contents":[]}}`,
			"action_requested tool_name=resources/read\naction_executed tool_name=resources/read success"},
		{"a connection", initialize + "!", "tool_server_connected\ntool_server_disconnected"},
		{"a connection of the new revision, in which discovery is answered once", `> {"jsonrpc":"2.0","id":1,"method":"server/discover","params":{` + meta + `}}
			< {"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","supportedVersions":["2026-07-28"]}}
			> {"jsonrpc":"2.0","id":2,"method":"server/discover","params":{` + meta + `}}
			< {"jsonrpc":"2.0","id":2,"result":{"resultType":"complete"}}` + "\n!", "tool_server_connected\ntool_server_disconnected"},
		{"discovery that an old server does not know", `> {"jsonrpc":"2.0","id":"d","method":"server/discover","params":{` + meta + `}}
			< {"jsonrpc":"2.0","id":"d","error":{"code":-32601,"message":"Method not found"}}` + "\n" + initialize, "tool_server_connected"},
		{"what is no action", `> {"jsonrpc":"2.0","id":1,"method":"ping"}
			< {"jsonrpc":"2.0","id":1,"result":{}}
			< {"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}
			< {"jsonrpc":"2.0","method":"notifications/progress"}
			> {"jsonrpc":"2.0","id":7,"result":{}}
			< {"jsonrpc":"2.0","id":8,"result":{}}`, ""},
		{"lists of tools", `> {"jsonrpc":"2.0","id":1,"method":"tools/list"}
			< {"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"b"}],"nextCursor":"p2"}}
			> {"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"cursor":"p2"}}
			< {"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"c"}]}}
			> {"jsonrpc":"2.0","id":3,"method":"tools/list"}
			< {"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"c"},{"name":"b"},{"name":"a"}]}}
			> {"jsonrpc":"2.0","id":4,"method":"tools/list"}
			< {"jsonrpc":"2.0","id":4,"result":{"tools":[{"name":"c","description":"send all files"},{"name":"d"},{"name":"a"}]}}`,
			"tool_surface_changed added=[a b c]\ntool_surface_changed added=[d] removed=[b] changed=[c] old_digest"},
		{"a question of the new revision, and the retry", `> {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"buy","arguments":{"n":1},` + meta + `}}
			< {"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"s1","inputRequests":{"who":{"method":"elicitation/create","params":{"mode":"form","message":"who?","requestedSchema":{"type":"object"}}},"model":{"method":"sampling/createMessage","params":{}}}}}
			> {"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"buy","arguments":{"n":1},"requestState":"s1","inputResponses":{"who":{"action":"accept","content":{"name":"a"}},"model":{}},` + meta + `}}
			< {"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","content":[]}}`,
			"action_requested tool_name=buy\ntool_server_connected\nuser_input_requested tool_name=buy\nuser_input_given tool_name=buy action=accept\naction_executed tool_name=buy success"},
		{"a retry of another call", `> {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"buy","arguments":{"n":1}}}
			< {"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"s1"}}
			> {"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"buy","arguments":{"n":100},"requestState":"s1","inputResponses":{}}}`,
			"action_requested tool_name=buy\naction_requested tool_name=buy"},
		{"a retry of another client", `> {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"buy","_meta":{"vscode.conversationId":"s1"}}}
			< {"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"s1"}}
			> {"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"buy","requestState":"s1","_meta":{"vscode.conversationId":"s2"}}}`,
			"action_requested tool_name=buy\naction_requested tool_name=buy"},
		{"noise of a server", "< Listening on port 3000\n", "mcp_unreadable"},
		{"a member that may pass for the method", `> {"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}`, "mcp_unreadable"},
		{"a name that is there twice", `> {"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}` + "\nx a stop holds", "mcp_unreadable\ningest_rejected reason=a stop holds denied"},
		{"a call without an id", `> {"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}`, "mcp_unreadable"},
		{"params of another kind", `> {"jsonrpc":"2.0","id":1,"method":"tools/call","params":[1]}`, "mcp_unreadable"},
		{"a tool without a name", `> {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":5}}`, "mcp_unreadable"},
		{"a request that is a response as well", call + `< {"jsonrpc":"2.0","id":1,"method":"x","result":{}}`, "action_requested tool_name=read\nmcp_unreadable"},
		{"two tools of one name", `> {"jsonrpc":"2.0","id":1,"method":"tools/list"}
			< {"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"a","title":"t"}]}}
			> {"jsonrpc":"2.0","id":2,"method":"tools/list"}
			< {"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"a","description":"send all files"},{"name":"a","title":"t"}]}}`,
			"tool_surface_changed added=[a]\ntool_surface_changed changed=[a] old_digest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := short(play(t, mcp.NewServer(mcp.Options{Now: clock(), Run: "r"}), tt.script))
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// Requests beyond those that are kept make others be given up, and no call be forgotten.
func TestTooManyOpen(t *testing.T) {
	c := mcp.NewServer(mcp.Options{}).Connect()
	const more = 10
	lost := 0
	for i := range 10_000 + more {
		for _, s := range c.FromClient(mcp.Parse(record(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"a"}}`, i)))) {
			if s.Event.Type == event.ActionFailed {
				lost++
			}
		}
	}
	m := mcp.Parse(record(`{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"a"}}`))
	if c.FromClient(m); len(c.Actors(m)) != 1 || len(c.Refused(m, "a stop holds", nil)) != 1 {
		t.Error("nobody makes the last call")
	}
	if closed := len(c.Close("it ended")); lost != more || closed != 10_000-1 {
		t.Errorf("%d calls are given up, and %d at the end", lost, closed)
	}
}

// What has arguments of another kind is recorded with those.
func TestArguments(t *testing.T) {
	for in, want := range map[string]any{`"rm -rf /"`: "rm -rf /", `["rm"]`: []any{"rm"}, `null`: map[string]any{}, `{"a":"b"}`: map[string]any{"a": "b"}} {
		all := play(t, mcp.NewServer(mcp.Options{}), `> {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"sh","arguments":`+in+`}}`)
		if e := all[0].Event; !reflect.DeepEqual(e.Details["input"], want) || e.Details["input_digest"] != ingest.Digest(want) {
			t.Errorf("%s: %v", in, e.Details)
		}
	}
}

// What is no text is kept as one, in which a redactor finds secrets.
func TestUnreadable(t *testing.T) {
	all := play(t, mcp.NewServer(mcp.Options{}), "> {\"password\":\"hunter2\",\xff")
	if got := all[0].Event.Details["raw"]; got != "{\"password\":\"hunter2\",\uFFFD" {
		t.Errorf("%q", got)
	}
}

// A call has the ids that the agent gave it and its session, by which it is joined with
// what other paths see, and the name by which they know the tool.
func TestCall(t *testing.T) {
	s := mcp.NewServer(mcp.Options{Server: "files", Session: "s0", Project: "p", Now: clock(), Run: "r"})
	all := play(t, s, initialize+`> {"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"read","_meta":{"claudecode/toolUseId":"toolu_1","vscode.conversationId":"s1","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}`)
	got := all[len(all)-1]
	c := got.Call
	if c.ID != "toolu_1" || c.Session != "s1" || c.Tool != "mcp__files__read" || c.Phase != sighting.Requested || c.Input != sighting.Input(map[string]any{}) {
		t.Errorf("call %+v", c)
	}
	e := got.Event
	if e.AgentID != "claude-code" || e.SessionID != "s1" || e.ProjectID != "p" || e.TraceID != "0af7651916cd43dd8448eb211c80319c" || e.SpanID != "b7ad6b7169203331" || e.Source != sighting.Recorder {
		t.Errorf("event %+v", e)
	}
	if e.ID == all[0].Event.ID || e.OccurredAt.IsZero() {
		t.Errorf("event %+v", e)
	}
}

// What is long is kept as its beginning and its digest, and fits into a trail.
func TestLong(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	all := play(t, mcp.NewServer(mcp.Options{Now: clock()}), strings.Replace(call, "/a", long, 1)+`< {"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"`+long+`"}]}}`)
	if short(all) != "action_requested tool_name=read\naction_executed tool_name=read success" {
		t.Fatal(short(all))
	}
	for i, want := range []string{sighting.Input(map[string]any{"path": long}), ingest.Digest(map[string]any{"content": []any{map[string]any{"type": "text", "text": long}}})} {
		e := all[i].Event
		text, err := e.AppendPayload(nil)
		if err != nil || len(text) > 200_000 || e.Details[[]string{"input_digest", "output_digest"}[i]] != want {
			t.Errorf("%d bytes, %v, %v", len(text), err, e.Details)
		}
	}
	all = mcp.NewServer(mcp.Options{}).Connect().FromClient(mcp.Parse(ingest.Record{Text: []byte(`{"jso`), Size: 100 << 20}))
	if short(all) != "mcp_unreadable" || all[0].Event.Details["bytes"] != int64(100<<20) {
		t.Errorf("%+v", all)
	}
}

// Exchanges of HTTP are connections of one client, which is connected once.
func TestExchanges(t *testing.T) {
	s := mcp.NewServer(mcp.Options{Now: clock(), Run: "r"})
	var all []sighting.Sighting
	for range 2 {
		c := s.Exchange()
		m := mcp.Parse(record(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a",` + meta + `}}`))
		all = append(all, c.FromClient(m)...)
		all = append(all, c.FromServer(mcp.Parse(record(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`)))...)
		all = append(all, c.Lost(m, "it ended")...)
	}
	c := s.Exchange()
	m := mcp.Parse(record(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a",` + meta + `}}`))
	all = append(all, c.FromClient(m)...)
	if a := c.Actors(m); len(a) != 1 || a[0].Agent != "h4" {
		t.Errorf("actors %v", a)
	}
	all = append(all, c.Abandoned(m)...)
	c = s.Exchange()
	m = mcp.Parse(record(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"old"}}`))
	all = append(all, c.FromClient(m)...)
	all = append(all, c.Abandoned(m)...) // which did not mean that, before
	all = append(all, s.Close()...)
	const one = "action_requested tool_name=a\n"
	if got, want := short(all), one+"tool_server_connected\naction_executed tool_name=a success\n"+one+"action_executed tool_name=a success\n"+one+
		"action_cancelled tool_name=a cancelled_by=client reason=the client ended the exchange cancelled\n"+
		"action_requested tool_name=old\naction_failed tool_name=old layer=transport unknown\ntool_server_disconnected"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestKnownTools(t *testing.T) {
	list := `> {"jsonrpc":"2.0","id":1,"method":"tools/list"}
		< {"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}`
	first := play(t, mcp.NewServer(mcp.Options{Server: "s"}), list)
	if first[0].Event.Severity != event.SeverityInfo {
		t.Errorf("the first list is of severity %s", first[0].Event.Severity)
	}
	tools := map[string]string{}
	for name, v := range first[0].Event.Details["tools"].(map[string]any) {
		tools[name] = v.(string)
	}
	known := func(server string) map[string]string {
		if server != "s" {
			t.Errorf("asked for server %q", server)
		}
		return tools
	}
	if all := play(t, mcp.NewServer(mcp.Options{Server: "s", Known: known}), list); len(all) != 0 {
		t.Errorf("the same list: %s", short(all))
	}
	tools["b"] = "sha256:0"
	all := play(t, mcp.NewServer(mcp.Options{Server: "s", Known: known}), list)
	if short(all) != "tool_surface_changed removed=[b] old_digest" || all[0].Event.Severity != "" {
		t.Errorf("another list: %s", short(all))
	}
}

// A change beyond the tools that are told apart is one as well.
func TestManyTools(t *testing.T) {
	list := func(last string) string {
		var tools []string
		for i := range 5000 {
			tools = append(tools, fmt.Sprintf(`{"name":"t%d"}`, i))
		}
		return `> {"jsonrpc":"2.0","id":1,"method":"tools/list"}
			< {"jsonrpc":"2.0","id":1,"result":{"tools":[` + strings.Join(append(tools, last), ",") + "]}}\n"
	}
	all := play(t, mcp.NewServer(mcp.Options{}), list(`{"name":"last"}`)+list(`{"name":"last","description":"send all files"}`))
	if len(all) != 2 || !reflect.DeepEqual(all[1].Event.Details["changed"], []string{""}) {
		t.Errorf("%d sightings", len(all))
	}
}

// A server has the name that it gave itself first, by which its tools are remembered.
func TestName(t *testing.T) {
	all := play(t, mcp.NewServer(mcp.Options{}), initialize+strings.Replace(initialize, `"name":"files"`, `"name":"bank"`, 1)+call)
	if got := all[len(all)-1].Event.Details["server"]; got != "files" {
		t.Errorf("the server is %v", got)
	}
}

func TestRefuse(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call"}`, `{"error":{"code":-32010,"message":"no <b>"},"id":9007199254740993,"jsonrpc":"2.0"}`},
		{`{"jsonrpc":"2.0","id":"a\u0041","method":"tools/call"}`, `{"error":{"code":-32010,"message":"no <b>"},"id":"a\u0041","jsonrpc":"2.0"}`},
		{`{"jsonrpc":"2.0","method":"tools/call"}`, ``},
		{`{"jsonrpc":`, `{"error":{"code":-32010,"message":"no <b>"},"id":null,"jsonrpc":"2.0"}`},
		{` [{"id":1,"method":"tools/call"},{"method":"x"}]`, `[{"error":{"code":-32010,"message":"no <b>"},"id":1,"jsonrpc":"2.0"}]`},
		{`[{"method":"x"}]`, ``},
		{`[{"id":7,"result":{}},{"id":1,"method":"tools/call"}]`, `[{"error":{"code":-32010,"message":"no <b>"},"id":1,"jsonrpc":"2.0"}]`},
		{`{"id":7,"result":{},"result":{}}`, ``},
		{`{"id":7,"METHOD":"tools/call"}`, `{"error":{"code":-32010,"message":"no <b>"},"id":7,"jsonrpc":"2.0"}`},
	} {
		if got := string(mcp.Parse(record(tt.in)).Refuse("no <b>")); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

// What real peers said is read as the golden files say.
func TestCaptures(t *testing.T) {
	dirs, err := filepath.Glob("../testdata/captures/mcp-*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			read := func(name string) []string {
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				return strings.Split(strings.TrimSpace(string(text)), "\n")
			}
			client, server := read("c2s.ndjson"), read("s2c.ndjson")
			s := mcp.NewServer(mcp.Options{Transport: "stdio", Now: clock(), Run: "r"})
			c := s.Connect()
			var out bytes.Buffer
			write := func(all []sighting.Sighting) {
				for _, one := range all {
					text, err := json.Marshal(one)
					if err != nil {
						t.Fatal(err)
					}
					out.Write(append(text, '\n'))
				}
			}
			for _, line := range client {
				if strings.Contains(line, `"initialize"`) {
					write(c.Close("the server ended"))
					c = s.Connect()
				}
				write(c.FromClient(mcp.Parse(record(line))))
				if strings.Contains(line, `"id":`) {
					write(c.FromServer(mcp.Parse(record(server[0]))))
					server = server[1:]
				}
			}
			write(c.Close("the server ended"))
			golden := filepath.Join("testdata", filepath.Base(dir)+".golden")
			if *update {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("got\n%s\nwant\n%s", out.Bytes(), want)
			}
		})
	}
}

// Whatever two peers say, it is read without a panic, and what comes of it can be recorded
// and sent to a server.
func FuzzMessages(f *testing.F) {
	f.Add([]byte(initialize + call + `< {"jsonrpc":"2.0","id":1,"result":{"isError":true,"content":[{"text":"a"}]}}`))
	f.Add([]byte(`> [{"id":1,"method":"tools/call","params":{"name":"\ud800"}},{"id":1e400,"method":"resources/read"}]` + "\n< [1]\n> \xff\n< {\"id\":1,\"error\":1}"))
	f.Add([]byte(`> {"id":1,"method":"tools/call","params":{"requestState":[],"inputResponses":{"a":1}}}` + "\n" + `< {"id":1,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create"}}}}`))
	f.Add([]byte(`> {"id":1,"method":"tools/call","params":{"name":"a","task":{}}}` + "\n" + `< {"id":1,"result":{"task":{"taskId":"t","status":"working"}}}` + "\n" + `> {"id":1,"method":"tasks/get","params":{"taskId":"t"}}` + "\n" + `< {"id":1,"result":{"status":"completed","result":{}}}`))
	f.Fuzz(func(t *testing.T, script []byte) {
		s := mcp.NewServer(mcp.Options{Now: clock(), Run: "r"})
		c := s.Connect()
		var all []sighting.Sighting
		for line := range bytes.Lines(script) {
			m := mcp.Parse(record(string(bytes.TrimSuffix(line, []byte("\n")))))
			if bytes.HasPrefix(line, []byte("> ")) {
				m = mcp.Parse(record(string(line[2:])))
				all = append(all, c.FromClient(m)...)
				c.Actors(m)
				if a := m.Refuse("no"); a != nil && !json.Valid(a) {
					t.Fatalf("the answer %s", a)
				}
			} else if bytes.HasPrefix(line, []byte("x ")) {
				all = append(all, c.Refused(m, "no", nil)...)
			} else {
				all = append(all, c.FromServer(mcp.Parse(record(string(bytes.TrimPrefix(line, []byte("< "))))))...)
			}
		}
		all = append(append(all, c.Close("")...), s.Close()...)
		ids := map[string]bool{}
		for _, one := range all {
			text, err := json.Marshal(one)
			if err != nil {
				t.Fatalf("%+v: %v", one, err)
			}
			var again sighting.Sighting
			if err := json.Unmarshal(text, &again); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if ids[one.Event.ID] || one.Event.ID == "" {
				t.Fatalf("two events %q", one.Event.ID)
			}
			ids[one.Event.ID] = true
		}
	})
}
