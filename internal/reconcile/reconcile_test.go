package reconcile

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/hooks"
	"github.com/custodylog/custody/ingest/transcript"
	"github.com/custodylog/custody/internal/joiner"
)

const data = "../../ingest/testdata/"

// transcripts returns the events of all real transcripts.
func transcripts(t *testing.T) []event.Event {
	t.Helper()
	files, err := filepath.Glob(data + "claude-code/*.jsonl.gz")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var all []event.Event
	for _, name := range files {
		f, err := ingest.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for item, err := range transcript.Read(f, ingest.Source{Name: name}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, item.Event)
		}
	}
	return all
}

// collect returns the calls of events, as they are in a trail.
func collect(events []event.Event, within *Scope) []*Call {
	c := Calls{Within: within}
	for i := range events {
		c.AddEvent(&events[i], time.Time{}, Call{Index: uint64(i)})
	}
	return c.All()
}

func every(*Call) bool { return true }

// summary is a result in lines.
func summary(r *Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "there %d, here %d, by id %d, by content %d\n", r.There, r.Here, r.ByID, r.ByContent)
	for _, c := range r.Missing {
		fmt.Fprintln(&b, "missing", c.ID, c.Tool, c.Outcome)
	}
	for _, c := range r.NotRun {
		fmt.Fprintln(&b, "not run", c.ID, c.Tool, c.Outcome)
	}
	for _, c := range r.Only {
		fmt.Fprintln(&b, "only here", c.ID, c.Tool, c.Outcome)
	}
	for _, d := range r.Differing {
		fmt.Fprintln(&b, "differs", d.There.ID, d.There.Tool, d.What, d.There.Outcome, d.Here.Outcome)
	}
	return b.String()
}

// A trail that lacks some calls of the transcripts, lacks exactly those; whether their ids
// are known in it or they are told apart by what they are.
func TestTranscripts(t *testing.T) {
	events := transcripts(t)
	there := collect(events, nil)
	if len(there) != 432 {
		t.Fatalf("the transcripts have %d calls, not 432", len(there))
	}
	dropped := map[string]bool{} // ids of calls of which the trail has nothing
	endless := there[5].ID       // and one of which it lacks the end
	changed := there[6].ID       // and one that ended otherwise there
	for i := 10; i < len(there); i += 40 {
		dropped[there[i].ID] = true
	}
	var held []event.Event
	for _, e := range events {
		switch phase := e.Type; {
		case e.ActionID != "" && dropped[e.ActionID], e.ActionID == endless && phase == event.ActionExecuted:
			continue
		case e.ActionID == changed && phase == event.ActionExecuted:
			e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
		}
		held = append(held, e)
	}
	held = append(held, event.Event{Type: event.ActionRequested, SessionID: there[0].Session, ActionID: "toolu_other", OccurredAt: there[1].At, Details: map[string]any{"tool_name": "Bash"}},
		event.Event{Type: event.ActionRequested, SessionID: "another session", ActionID: "toolu_elsewhere", OccurredAt: there[1].At, Details: map[string]any{"tool_name": "Bash"}})
	golden(t, "transcripts.golden", summary(Compare(there, collect(held, ScopeOf(there)), every)))

	// In a trail that does not know the ids, of calls that are the same in all else any
	// may be the one that is missing: they are told by their number.
	for i := range held {
		held[i].Source = "claude-code/hook"
		if held[i].ActionID = strings.Replace(held[i].ActionID, "toolu_", "call-", 1); held[i].Details["call_id"] != nil {
			t.Fatal("transcripts have call_id now: the test has to take it away")
		}
	}
	r := Compare(there, collect(held, ScopeOf(there)), every)
	if r.ByID != 0 || len(r.Missing) != len(dropped) || r.ByContent != len(there)-len(dropped) {
		t.Errorf("without ids: %d by id, %d by content, %d missing; %d are", r.ByID, r.ByContent, len(r.Missing), len(dropped))
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What agents told OpenTelemetry is found in what their hooks had recorded, and the other
// way round is missing where the hooks told nothing.
func TestTelemetry(t *testing.T) {
	for product, c := range map[string]struct{ hooks, logs string }{
		"claude-code": {"claude-code-2.1.197/v1_hooks_claude_code.ndjson", "claude-code-2.1.197/v1_logs.ndjson.gz"},
		"codex":       {"codex-cli-0.169.0/hooks.stdin.ndjson", "codex-cli-0.169.0/v1_logs.ndjson.gz"},
	} {
		t.Run(product, func(t *testing.T) {
			logs, err := ingest.Open(data + "captures/" + c.logs)
			if err != nil {
				t.Fatal(err)
			}
			defer logs.Close()
			var there Calls
			if n, err := there.ReadOTLP(logs, c.logs); err != nil || n.Unread > 0 || n.Records == 0 {
				t.Fatal(n, err)
			}
			if len(there.All()) == 0 {
				t.Fatal("the export has no call")
			}
			here := hooked(t, product, c.hooks)
			if r := Compare(there.All(), here, every); !r.OK() || r.ByID != len(there.All()) {
				t.Errorf("with the hooks recorded:\n%s", summary(r))
			}
			if r := Compare(there.All(), nil, every); r.OK() || len(r.Missing) != len(there.All()) {
				t.Errorf("with nothing recorded:\n%s", summary(r))
			}
		})
	}
}

// hooked returns the calls of a trail that has what an agent told its hooks.
func hooked(t *testing.T, product, name string) []*Call {
	t.Helper()
	f, err := ingest.Open(data + "captures/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var c Calls
	j := joiner.New(joiner.Options{})
	for s := bufio.NewScanner(f); s.Scan(); {
		told, err := hooks.Parse(product, "", s.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, seen := range told.Sightings {
			for _, e := range j.Join(time.Now(), seen) {
				c.AddEvent(&e, time.Now(), Call{})
			}
		}
	}
	return c.All()
}

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name        string
		there, here []*Call
		want        string
	}{
		{"the same id", []*Call{{ID: "1", Session: "s"}}, []*Call{{ID: "1", Session: "s"}}, "there 1, here 1, by id 1, by content 0\n"},
		{"the same id in another session", []*Call{{ID: "1", Session: "s", Tool: "T"}}, []*Call{{ID: "1", Session: "r", Tool: "T"}}, "there 1, here 1, by id 0, by content 0\nmissing 1 T \nonly here 1 T \n"},
		{"the same id of another tool", []*Call{{ID: "1", Tool: "T"}}, []*Call{{ID: "1", Tool: "U"}}, "there 1, here 1, by id 0, by content 0\nmissing 1 T \nonly here 1 U \n"},
		{"the same id twice", []*Call{{ID: "1", Session: "s"}, {ID: "1", Session: "s"}}, []*Call{{ID: "1", Session: "s"}}, "there 2, here 1, by id 1, by content 0\nmissing 1  \n"},
		{"the same but for the ids", []*Call{{ID: "1", Session: "s", Tool: "T", Input: "i"}}, []*Call{{ID: "2", Session: "s", Tool: "T", Input: "i"}}, "there 1, here 1, by id 0, by content 0\nmissing 1 T \nonly here 2 T \n"},
		{"an id of another kind", []*Call{{ID: "7", Tool: "T", Input: "i", At: at(0)}, {ID: "8", Tool: "T", Input: "j", At: at(0)}}, []*Call{{ID: "toolu_1", Session: "s", Tool: "T", Input: "i", At: at(1)}}, "there 2, here 1, by id 0, by content 1\nmissing 8 T \n"},
		{"twice there and once here", []*Call{{Session: "s", Tool: "T", Input: "i"}, {Session: "s", Tool: "T", Input: "i"}}, []*Call{{ID: "2", Session: "s", Tool: "T", Input: "i"}}, "there 2, here 1, by id 0, by content 1\nmissing  T \n"},
		{"in their order", []*Call{{Session: "s", Tool: "T", Input: "i", Outcome: "success"}, {Session: "s", Tool: "T", Input: "i", Outcome: "failure"}},
			[]*Call{{Session: "s", Tool: "T", Input: "i", Outcome: "success"}, {Session: "s", Tool: "T", Input: "i", Outcome: "failure"}}, "there 2, here 2, by id 0, by content 2\n"},
		{"another input", []*Call{{Tool: "T", Input: "i", At: noon}}, []*Call{{Tool: "T", Input: "j", At: noon}}, "there 1, here 1, by id 0, by content 0\nmissing  T \nonly here  T \n"},
		{"no session and no input, about the same time", []*Call{{Tool: "T", At: at(0)}, {Tool: "T", At: at(60)}}, []*Call{{Tool: "T", Session: "s", Input: "i", At: at(58)}}, "there 2, here 1, by id 0, by content 1\nmissing  T \n"},
		{"too late", []*Call{{Tool: "T", At: at(0)}}, []*Call{{Tool: "T", At: at(6)}}, "there 1, here 1, by id 0, by content 0\nmissing  T \n"},
		{"out of the times", []*Call{{Tool: "T", At: at(0)}, {Tool: "T", At: at(9)}}, []*Call{{Tool: "U", At: at(-1)}, {Tool: "U", At: at(5)}, {Tool: "U", At: at(10)}}, "there 2, here 3, by id 0, by content 0\nmissing  T \nmissing  T \nonly here  U \n"},
		{"no end here", []*Call{{ID: "1", Outcome: "success"}}, []*Call{{ID: "1"}}, "there 1, here 1, by id 1, by content 0\ndiffers 1  [end] success \n"},
		{"no end there", []*Call{{ID: "1"}}, []*Call{{ID: "1", Outcome: "success"}}, "there 1, here 1, by id 1, by content 0\n"},
		{"it ran there and was denied here", []*Call{{ID: "1", Decision: "allow", Outcome: "success"}}, []*Call{{ID: "1", Decision: "deny", Outcome: "denied"}}, "there 1, here 1, by id 1, by content 0\ndiffers 1  [decision outcome] success denied\n"},
		{"denied there, and here nothing says how it ended", []*Call{{ID: "1", Decision: "deny", Outcome: "denied"}}, []*Call{{ID: "1"}}, "there 1, here 1, by id 1, by content 0\n"},
		{"denied there, and allowed here", []*Call{{ID: "1", Decision: "deny", Outcome: "denied"}}, []*Call{{ID: "1", Decision: "allow"}}, "there 1, here 1, by id 1, by content 0\ndiffers 1  [decision] denied \n"},
		{"it failed there and was denied here", []*Call{{ID: "1", Outcome: "failure"}}, []*Call{{ID: "1", Decision: "deny", Outcome: "denied"}}, "there 1, here 1, by id 1, by content 0\n"},
		{"called off there", []*Call{{ID: "1", Outcome: "cancelled"}}, []*Call{{ID: "1"}}, "there 1, here 1, by id 1, by content 0\n"},
		{"refused by the agent itself", []*Call{{ID: "1", Outcome: "failure", Refused: true}, {ID: "2", Outcome: "failure", Refused: true}}, []*Call{{ID: "2"}}, "there 2, here 1, by id 1, by content 0\nnot run 1  failure\n"},
		{"answered there, and here it failed", []*Call{{ID: "1", Answered: true}}, []*Call{{ID: "1", Outcome: "failure"}}, "there 1, here 1, by id 1, by content 0\n"},
		{"answered there, and here nothing says how it ended", []*Call{{ID: "1", Answered: true}}, []*Call{{ID: "1"}}, "there 1, here 1, by id 1, by content 0\ndiffers 1  [end]  \n"},
		{"one number in two connections", []*Call{{ID: "1", Tool: "T", Input: "i", At: at(0)}, {ID: "1", Tool: "T", Input: "j", At: at(1)}, {ID: "1", Tool: "T", At: at(60)}},
			[]*Call{{ID: "1", Tool: "T", Input: "j", At: at(1)}, {ID: "1", Tool: "T", Input: "k", At: at(30)}, {ID: "1", Tool: "T", Input: "i", At: at(60)}}, "there 3, here 3, by id 2, by content 0\nmissing 1 T \nonly here 1 T \n"},
		{"denied for other reasons", []*Call{{ID: "1", Decision: "deny", Outcome: "denied"}}, []*Call{{ID: "1", Decision: "emergency_stop", Outcome: "denied"}}, "there 1, here 1, by id 1, by content 0\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := summary(Compare(c.there, c.here, every)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// What is chosen on one side is found on the other, where it may not be chosen.
func TestChosen(t *testing.T) {
	there := []*Call{{Session: "s", Tool: "T", Input: "i", At: at(0), Outcome: "failure"}, {Session: "s", Tool: "T", Input: "i", At: at(2)}, {Session: "s", Tool: "U", At: at(3)}}
	here := []*Call{{Session: "s", Tool: "T", Input: "i", At: at(0)}, {Session: "s", Tool: "T", Input: "i", At: at(1), Outcome: "success"}, {Session: "s", Tool: "V", At: at(0)}, {Session: "s", Tool: "V", At: at(3)}}
	got := summary(Compare(there, here, func(c *Call) bool { return !c.At.Before(at(2)) }))
	if want := "there 2, here 1, by id 0, by content 1\nmissing  U \nonly here  V \n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A call that Claude Code refuses itself never reaches its hooks.
func TestRefusedByAgent(t *testing.T) {
	const line = `{"type":%q,"sessionId":"s","uuid":"%d","timestamp":"2026-01-01T12:00:00Z","version":"2.1.197","message":{"content":[%s]}}` + "\n"
	text := ""
	for i, result := range []string{
		"<tool_use_error>InputValidationError: Read failed</tool_use_error>", "<tool_use_error>File has not been read yet.</tool_use_error>",
		"<tool_use_error>Error calling tool (Read): it broke</tool_use_error>", "File does not exist.",
	} {
		text += fmt.Sprintf(line, "assistant", 2*i, fmt.Sprintf(`{"type":"tool_use","id":"toolu_%d","name":"Read","input":{}}`, i)) +
			fmt.Sprintf(line, "user", 2*i+1, fmt.Sprintf(`{"type":"tool_result","tool_use_id":"toolu_%d","is_error":true,"content":%q}`, i, result))
	}
	var c Calls
	if _, err := c.ReadTranscript(strings.NewReader(text), "t", transcript.Read); err != nil {
		t.Fatal(err)
	}
	got := summary(Compare(c.All(), nil, every))
	if want := "there 4, here 0, by id 0, by content 0\nmissing toolu_2 Read failure\nmissing toolu_3 Read failure\nnot run toolu_0 Read failure\nnot run toolu_1 Read failure\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What an action comes to is what was said last, and observers only fill in.
func TestCallOfEvents(t *testing.T) {
	step := func(kind event.Type, edit func(*event.Event)) event.Event {
		e := event.Event{Type: kind, ActionID: "s/c", SessionID: "s", OccurredAt: noon, Source: "codex/hook", Details: map[string]any{"tool_name": "mcp__files__read", "call_id": "c"}}
		if edit != nil {
			edit(&e)
		}
		return e
	}
	calls := collect([]event.Event{
		step(event.ActionRequested, func(e *event.Event) { e.Details["input"] = map[string]any{"a": 1} }),
		step(event.ActionDenied, func(e *event.Event) { e.Decision, e.OccurredAt = event.Deny, at(1) }),
		step(event.ApprovalGranted, nil),
		step(event.ActionValidated, func(e *event.Event) { e.Decision = event.Allow }),
		step(event.ActionExecuted, nil),
		step(event.ActionObserved, func(e *event.Event) {
			e.Details["step"], e.Outcome, e.OccurredAt = "action_executed", event.OutcomeFailure, at(-1)
		}),
		{Type: event.TurnStarted, SessionID: "s"},
	}, nil)
	want := Call{ID: "c", Session: "s", Tool: "read", Input: ingest.Digest(map[string]any{"a": 1}), At: at(-1), Decision: event.Allow, Outcome: event.OutcomeSuccess}
	if len(calls) != 1 || *calls[0] != want {
		t.Errorf("got %+v", calls)
		for _, c := range calls {
			t.Errorf("%+v", *c)
		}
	}
}

func TestGap(t *testing.T) {
	c := Call{ID: "c", Session: "s", Tool: "Bash", At: noon, Outcome: event.OutcomeSuccess}
	e := c.Gap("otlp")
	if e.Type != event.GapDetected || e.ActionID != "s/c" || e.SessionID != "s" || e.Details["kind"] != "missing" || e.Details["tool_name"] != "Bash" {
		t.Errorf("%+v", e)
	}
	if again := c.Gap("otlp"); again.ID != e.ID {
		t.Error("its id is another one each time")
	}
	if c.Tool = "Read"; c.Gap("otlp").ID == e.ID {
		t.Error("another call has the same id")
	}
	if _, err := e.Normalize(event.Strict); err != nil {
		t.Error(err)
	}
}

const gateway = `{"ts":1767268800,"req":{"id":7,"method":"tools/call","params":{"name":"mcp__files__read","arguments":{"path":"/a"}}},"status":200,"s":"s1"}
{"ts":"2026-01-01T12:00:01Z","req":{"id":"x","params":{"name":"write"}},"ok":false}
{"ts":1767268802000,"req":{"id":"y","method":"tools/list"}}
no JSON
{"req":{"id":"x","method":"end"},"status":"cancelled"}
{"req":{"id":"x","params":{"name":"write"}},"status":200}
{"req":{"id":"x","params":{"name":"write"}},"status":500}
`

func TestLog(t *testing.T) {
	m, err := ParseMap([]string{"id=/req/id", "session=/s", "tool=/req/params/name", "input=/req/params/arguments", "time=/ts", "outcome=/status"})
	if err != nil {
		t.Fatal(err)
	}
	var c Calls
	n, err := c.ReadLog(strings.NewReader(gateway), "gateway.log", m)
	if err != nil || n != (Read{Records: 7, Unread: 1}) {
		t.Errorf("read %+v, %v", n, err)
	}
	want := []Call{
		{ID: "7", Session: "s1", Tool: "read", Input: ingest.Digest(map[string]any{"path": "/a"}), At: noon, Answered: true, Source: "gateway.log", Line: 1},
		{ID: "x", Tool: "write", At: noon.Add(time.Second), Outcome: event.OutcomeCancelled, Answered: true, Source: "gateway.log", Line: 2},
		{ID: "x", Tool: "write", Answered: true, Source: "gateway.log", Line: 6},
		{ID: "x", Tool: "write", Outcome: event.OutcomeFailure, Answered: true, Source: "gateway.log", Line: 7},
	}
	if !slices.EqualFunc(c.All(), want, func(a *Call, b Call) bool { return *a == b }) {
		for _, c := range c.All() {
			t.Errorf("%+v", *c)
		}
	}
	for _, bad := range [][]string{nil, {"id=/a"}, {"tool"}, {"tool=name"}, {"colour=/c", "tool=/t"}} {
		if m, err := ParseMap(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, m)
		}
	}
}

func TestEvents(t *testing.T) {
	lines := `{"index":3,"time":"2026-01-01T12:00:00.000000Z","hash":"h","type":"action_executed","event":{"event_type":"action_executed","action_id":"toolu_1","session_id":"s","outcome":"success","source":"claude-code/hook","details":{"tool_name":"Bash"}},"proof":"p"}
{"event_type":"action_requested","action_id":"call-x","session_id":"s","source":"gemini/hook","details":{"tool_name":"Bash"}}
{"event_type":"turn_started","session_id":"s"}
[]`
	var c Calls
	n, err := c.ReadEvents(strings.NewReader(lines), "other.ndjson")
	if err != nil || len(c.All()) != 2 || n.Records < 3 {
		t.Fatalf("%+v, %v, %d calls", n, err, len(c.All()))
	}
	if a, b := c.All()[0], c.All()[1]; a.ID != "toolu_1" || a.Outcome != event.OutcomeSuccess || b.ID != "" || b.Line != 2 {
		t.Errorf("%+v\n%+v", *a, *b)
	}
}

// Whatever is in them, logs are read to the end, and match themselves.
func FuzzRead(f *testing.F) {
	f.Add(gateway)
	f.Add(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"claude_code.tool_result"},"attributes":[{"key":"tool_use_id","value":{"stringValue":"toolu_1"}}]}]}]}]}`)
	f.Add(`{"event_type":"action_requested","action_id":"x","details":{"tool_name":"Bash","input":[1]}}`)
	m := Map{ID: "/req/id", Tool: "/req/params/name", Input: "/req", Time: "/ts", Outcome: "/status"}
	f.Fuzz(func(t *testing.T, text string) {
		for name, read := range map[string]func(*Calls) (Read, error){
			"log":    func(c *Calls) (Read, error) { return c.ReadLog(strings.NewReader(text), "fuzz", m) },
			"otlp":   func(c *Calls) (Read, error) { return c.ReadOTLP(strings.NewReader(text), "fuzz") },
			"events": func(c *Calls) (Read, error) { return c.ReadEvents(strings.NewReader(text), "fuzz") },
		} {
			var c Calls
			read(&c)
			if r := Compare(c.All(), c.All(), every); len(r.Missing) > 0 {
				t.Errorf("%s: calls do not match themselves: %s", name, summary(r))
			}
		}
	})
}
