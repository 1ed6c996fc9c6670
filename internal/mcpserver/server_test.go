package mcpserver

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/event"
)

// rig is a trail, and a client of a server over it.
type rig struct {
	*testing.T
	dir   string
	trail *custody.Trail
	mcp   *mcp.ClientSession
}

// newRig makes a trail with some events and serves it as custody mcp-server does.
func newRig(t *testing.T, events ...event.Event) *rig {
	t.Helper()
	r := &rig{T: t, dir: filepath.Join(t.TempDir(), "trail")}
	keys := t.TempDir()
	if _, err := custody.Create(r.dir, custody.CreateOptions{Origin: "example.org/agents", KeyDir: keys}); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.trail, err = custody.Open(r.dir, &custody.Options{KeyDir: keys}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.trail.Close() })
	r.record(events...)
	reading, err := custody.Open(r.dir, &custody.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reading.Close() })
	r.serve(Options{Trail: reading, Stops: func(context.Context) ([]client.ActiveStop, error) {
		return []client.ActiveStop{{Stop: client.Stop{ID: "stop-1", By: "operator", Reason: "it deletes files"}, Index: 3, Type: "agent", Agents: []string{"a1"}}}, nil
	}})
	return r
}

func (r *rig) serve(o Options) {
	r.Helper()
	here, there := mcp.NewInMemoryTransports()
	served, err := New(o).Connect(r.Context(), here, nil)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { served.Close() })
	if r.mcp, err = mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(r.Context(), there, nil); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { r.mcp.Close() })
}

func (r *rig) record(events ...event.Event) {
	r.Helper()
	if _, err := r.trail.RecordBatch(r.Context(), events); err != nil {
		r.Fatal(err)
	}
}

type args = map[string]any

// call calls a tool and returns its text.
func (r *rig) call(tool string, in args) (text string, failed bool) {
	r.Helper()
	res, err := r.mcp.CallTool(r.Context(), &mcp.CallToolParams{Name: tool, Arguments: in})
	if err != nil {
		r.Fatalf("%s %v: %v", tool, in, err)
	}
	if len(res.Content) != 1 {
		r.Fatalf("%s %v: %d contents", tool, in, len(res.Content))
	}
	text = res.Content[0].(*mcp.TextContent).Text
	if len(text) > MaxAnswer {
		r.Errorf("%s %v: the answer has %d bytes", tool, in, len(text))
	}
	return text, res.IsError
}

// ask calls a tool and reads its answer.
func (r *rig) ask(tool string, in args, into any) {
	r.Helper()
	text, failed := r.call(tool, in)
	if failed {
		r.Fatalf("%s %v: %s", tool, in, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		r.Fatalf("%s %v: %v in %s", tool, in, err, text)
	}
}

func story() []event.Event {
	return []event.Event{
		{Type: event.ActionRequested, ID: "e1", AgentID: "a1", SessionID: "s1", ActionID: "x1", Source: "transcript", Details: args{"tool_name": "Bash", "input": args{"command": "ls"}}},
		{Type: event.ActionExecuted, ID: "e2", AgentID: "a1", SessionID: "s1", ActionID: "x1", Outcome: event.OutcomeSuccess, Source: "transcript", Details: args{"tool_name": "Bash"}},
		{Type: event.ActionRequested, ID: "e3", AgentID: "a2", SessionID: "s2", ActionID: "x2", Details: args{"tool_name": "Write", "input": args{"file_path": "/etc/passwd"}}},
		{Type: event.ActionDenied, ID: "e4", AgentID: "a2", SessionID: "s2", ActionID: "x2", Decision: event.Deny, Details: args{"reasons": []any{"not yours"}}},
	}
}

func TestTools(t *testing.T) {
	r := newRig(t, story()...)
	tools, err := r.mcp.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range tools.Tools {
		names = append(names, tool.Name)
		if a := tool.Annotations; a == nil || !a.ReadOnlyHint || a.OpenWorldHint == nil || *a.OpenWorldHint {
			t.Errorf("%s does not say that it only reads", tool.Name)
		}
		properties, _ := tool.InputSchema.(args)["properties"].(args) // none where a tool takes nothing
		for member, schema := range properties {
			if one, ok := schema.(args)["type"].(string); !ok || schema.(args)["description"] == nil {
				t.Errorf("%s: the member %s is of type %q, or is not described: %v", tool.Name, member, one, schema)
			}
		}
	}
	if slices.Sort(names); !slices.Equal(names, []string{"query", "show", "stats", "stops", "timeline", "verify"}) {
		t.Errorf("the tools are %v", names)
	}

	var q queryAnswer
	r.ask("query", args{"agent": "a2"}, &q)
	if len(q.Entries) != 2 || q.Entries[0].Type != "action_denied" || q.Entries[0].Decision != "deny" || q.Entries[1].Summary != "Write: /etc/passwd" || q.More {
		t.Errorf("query: %+v", q)
	}
	r.ask("query", args{"session": "s1", "types": []string{"action_requested"}, "oldest": true, "since": "1h"}, &q)
	if len(q.Entries) != 1 || q.Entries[0].Source != "transcript" {
		t.Errorf("query of a session: %+v", q)
	}

	var tl timelineAnswer
	r.ask("timeline", args{"session": "s2"}, &tl)
	if len(tl.Items) != 1 || tl.Items[0].Action == nil || tl.Items[0].Action.Status != "denied" || tl.Actions["denied"] != 1 || tl.Imported != 0 {
		t.Errorf("timeline: %+v", tl)
	}
	tl = timelineAnswer{}
	if r.ask("timeline", args{"action": "x1"}, &tl); tl.Imported != 2 {
		t.Errorf("of the entries of x1, %d are said to be of transcripts; all 2 are", tl.Imported)
	}

	var one showAnswer
	r.ask("show", args{"id": "e4"}, &one)
	details, _ := one.Event.(args)["details"].(args)
	if one.Type != "action_denied" || details["reasons"] == nil {
		t.Errorf("show: %+v", one)
	}
	var same showAnswer
	if r.ask("show", args{"index": one.Index}, &same); !reflect.DeepEqual(one, same) {
		t.Errorf("by its index the entry is %+v", same)
	}

	var v verifyAnswer
	if r.ask("verify", nil, &v); !v.OK || v.Size != r.trail.Size() || !strings.Contains(v.Strength, "self-signed") {
		t.Errorf("verify: %+v", v)
	}
	var s statsAnswer
	if r.ask("stats", nil, &s); s.Size != r.trail.Size() || s.Parts != 1 || len(s.Types) == 0 {
		t.Errorf("stats: %+v", s)
	}
	var stops stopsAnswer
	if r.ask("stops", nil, &stops); len(stops.Stops) != 1 || stops.Stops[0].ID != "stop-1" || stops.Stops[0].Reason != "it deletes files" {
		t.Errorf("stops: %+v", stops)
	}
}

// What is recorded while the server runs is seen.
func TestRecordedMeanwhile(t *testing.T) {
	r := newRig(t, story()...)
	r.record(event.Event{Type: event.TurnStarted, SessionID: "s3"})
	var q queryAnswer
	if r.ask("query", args{"session": "s3"}, &q); len(q.Entries) != 1 {
		t.Errorf("%d entries are seen", len(q.Entries))
	}
}

// Whatever a trail holds, answers stay below the limit (as call checks) and what is left
// out can be reached.
func TestBounds(t *testing.T) {
	long := strings.Repeat("very long ", 20_000)
	var events []event.Event
	for i := range 120 {
		id := fmt.Sprintf("x%03d", i)
		events = append(events,
			event.Event{Type: event.ActionRequested, AgentID: "a", SessionID: "s", ActionID: id, Details: args{"tool_name": "Bash", "resource": long[:5000]}},
			event.Event{Type: event.ActionFailed, AgentID: "a", SessionID: "s", ActionID: id, Outcome: event.OutcomeFailure, Details: args{"error": long[:5000], "layer": "tool"}})
	}
	for range 100 { // of one action, with what JSON writes at length
		events = append(events, event.Event{Type: event.ActionFailed, AgentID: "loud", ActionID: "loud", Details: args{"error": strings.Repeat("\x01", 300), "layer": "tool"}})
	}
	many := args{}
	for i := range 5000 {
		many[fmt.Sprintf("member %d", i)] = long[:20]
	}
	events = append(events, event.Event{ID: "long", Type: event.TurnStarted, Details: args{"prompt": long}}, event.Event{ID: "many", Type: event.TurnStarted, Details: many})
	r := newRig(t, events...)

	seen := map[uint64]bool{}
	in := args{"agent": "a", "limit": 50}
	for pages := 1; ; pages++ {
		var q queryAnswer
		r.ask("query", in, &q)
		for _, e := range q.Entries {
			seen[e.Index] = true
		}
		if !q.More {
			break
		}
		if in["after"] = *q.Next; pages > 100 || q.Note == "" {
			t.Fatalf("page %d of the query says %q", pages, q.Note)
		}
	}
	if len(seen) != 240 {
		t.Errorf("the pages of the query have %d entries of 240", len(seen))
	}

	actions := map[string]bool{}
	in = args{"session": "s", "limit": 50}
	for pages := 1; ; pages++ {
		var a timelineAnswer
		r.ask("timeline", in, &a)
		if a.Total != 120 || a.Actions["failed"] != 120 {
			t.Fatalf("the timeline has %d items, %v", a.Total, a.Actions)
		}
		for _, item := range a.Items {
			actions[item.Action.ActionID] = true
		}
		if !a.More {
			break
		}
		if in["skip"] = a.Next; pages > 100 || a.Note == "" {
			t.Fatalf("page %d of the timeline says %q", pages, a.Note)
		}
	}
	if len(actions) != 120 {
		t.Errorf("the pages of the timeline have %d actions of 120", len(actions))
	}

	var loud timelineAnswer
	r.ask("timeline", args{"agent": "loud"}, &loud)
	if len(loud.Items) != 1 || len(loud.Items[0].Action.Steps)+loud.Items[0].Action.Other != 100 {
		t.Errorf("an action of 100 entries: %+v", loud)
	}

	for _, id := range []string{"long", "many"} {
		var one showAnswer
		if r.ask("show", args{"id": id}, &one); !strings.Contains(one.Note, "cut") {
			t.Errorf("show %s: nothing says that it is cut: %q", id, one.Note)
		}
	}
}

func TestMistakes(t *testing.T) {
	r := newRig(t, story()...)
	for _, c := range []struct {
		tool string
		in   args
		want string
	}{
		{"query", args{"limit": 1000}, "limit: 1000 is not within 1 and 200"},
		{"query", args{"since": "yesterday"}, `since: "yesterday" is no time`},
		{"query", args{"decision": "perhaps"}, "decision"},
		{"query", args{"types": []string{"No Type"}}, "types"},
		{"query", args{"colour": "blue"}, "colour"},
		{"timeline", nil, "exactly one"},
		{"timeline", args{"session": "s1", "agent": "a1"}, "exactly one"},
		{"timeline", args{"session": "s1", "skip": 7}, "skip: 7"},
		{"show", nil, "which entry"},
		{"show", args{"index": 99}, "there is no such entry"},
		{"show", args{"id": "nothing"}, "there is no such entry"},
	} {
		if text, failed := r.call(c.tool, c.in); !failed || !strings.Contains(text, c.want) {
			t.Errorf("%s %v: %q, failed %v; want an error with %q", c.tool, c.in, text, failed, c.want)
		}
	}
}

// A trail that does not check out is reported as an answer, not as a failure.
func TestDamage(t *testing.T) {
	r := newRig(t, story()...)
	flip(t, r.dir)
	var v verifyAnswer
	if r.ask("verify", nil, &v); v.OK || len(v.Findings) == 0 || v.Findings[0].Meaning == "" {
		t.Errorf("verify: %+v", v)
	}
}

// flip changes one byte in a payload of the trail.
func flip(t *testing.T, dir string) {
	t.Helper()
	changed := false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || changed {
			return err
		}
		b, err := os.ReadFile(path)
		if i := strings.Index(string(b), "/etc/passwd"); err == nil && i > 0 {
			b[i+1], changed = 'E', true
			return os.WriteFile(path, b, 0o600)
		}
		return err
	})
	if err != nil || !changed {
		t.Fatalf("no file was changed: %v", err)
	}
}

// slow is a trail whose verification does not end by itself.
type slow struct{ Trail }

func (slow) Verify(ctx context.Context, _ custody.VerifyOptions) (*custody.Report, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestVerifyTooLong(t *testing.T) {
	r := newRig(t, story()...)
	r.serve(Options{Trail: slow{r.trail}, VerifyFor: time.Millisecond})
	if text, failed := r.call("verify", nil); !failed || !strings.Contains(text, "not finished within 1ms") {
		t.Errorf("verify: %q", text)
	}
}

// Nothing that is asked changes a file of the trail, and Trail has no method that could.
func TestNothingWrites(t *testing.T) {
	r := newRig(t, story()...)
	before := files(t, r.dir)
	for tool, in := range map[string]args{"query": nil, "timeline": {"agent": "a1"}, "show": {"index": 0}, "verify": nil, "stats": nil, "stops": nil} {
		r.call(tool, in)
	}
	for _, uri := range []string{"custody://trail", "custody://trail/checkpoint", "custody://trail/entries/1", "custody://trail/events/e1", "custody://trail/actions/x1", "custody://trail/proofs/1"} {
		r.read(uri)
	}
	if after := files(t, r.dir); !reflect.DeepEqual(before, after) {
		t.Error("files of the trail have changed")
	}
	reads := []string{"Checkpoint", "Entries", "Entry", "EntryByID", "FirstKey", "Origin", "Prove", "Search", "Size", "Stats", "Verify"}
	var has []string
	for m := range reflect.TypeFor[Trail]().Methods() {
		has = append(has, m.Name)
	}
	if slices.Sort(has); !slices.Equal(has, reads) {
		t.Errorf("a server can call %v of a trail; those that only read are %v", has, reads)
	}
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}
