package ndjson

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/ingesttest"
)

func read(t testing.TB, text string) []ingest.Item {
	t.Helper()
	items, err := ingesttest.Read(Read).All(strings.NewReader(text), ingest.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ingesttest.Check(items, "ndjson"); err != nil {
		t.Fatal(err)
	}
	return items
}

// The events of testdata/python-logger.ndjson have the form that the original
// Python logger wrote, hashes included.
func TestPythonLogger(t *testing.T) {
	data, err := os.ReadFile("testdata/python-logger.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	items := read(t, string(data))
	want := []string{
		`action_validated id=5f0e7a52-4d0c-4a80-8f0e-0a4d0f6f2b11 agent_id=agent-1 action_id=act-1 decision=require_approval timestamp=2025-11-03T09:15:00.123456Z occurred_at=2025-11-03T09:15:00.123456Z tool_name=deploy _hash=11eb38cd7e468beacc60ec69f8c68b0e30e219661d676baa4d34a7107c1289bf _prev_hash=<nil>`,
		`action_denied decision=deny reasons=[destructive] _prev_hash=11eb38cd7e468beacc60ec69f8c68b0e30e219661d676baa4d34a7107c1289bf user_id=operator`,
		`emergency_stop user_id=operator stop_type=global affected_agents=[agent-1 agent-2]`,
	}
	if err := ingesttest.Compare(items, want); err != nil {
		t.Error(err)
	}
	for _, item := range items {
		if d := strings.Join(item.Event.Defects, ";"); !strings.Contains(d, "no time zone") {
			t.Errorf("defects %q", d)
		}
	}
	if err := ingesttest.Read(Read).Again(data, items); err != nil {
		t.Error(err)
	}
	if err := ingesttest.Read(Read).Growing(data, items); err != nil {
		t.Error(err)
	}

	// json.dumps of the whole list, with and without indent.
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	list := append(append([]byte("["), bytes.Join(lines, []byte(", "))...), ']')
	var indented bytes.Buffer
	if err := json.Indent(&indented, list, "", "  "); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(list), indented.String()} {
		again := read(t, text)
		for i := range min(len(items), len(again)) {
			again[i].Line = items[i].Line
		}
		if err := ingesttest.Same(items, again); err != nil {
			t.Error(err)
		}
	}
}

// What a trail stores comes back as it was, but for how it came.
func TestOwnEvents(t *testing.T) {
	e := event.Event{ID: "1", Type: event.ActionExecuted, AgentID: "a", ActionID: "x", Outcome: event.OutcomeSuccess, Source: "hook", Principal: "key:1",
		Details: map[string]any{"tool_name": "Bash", "source": "details have one too"}, Defects: []string{"d"}}
	payload, err := e.AppendPayload(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, string(payload))[0].Event
	e.Source, e.Principal = "ndjson", ""
	e.Details["_source"], e.Details["principal"] = "hook", "key:1"
	want, err := e.AppendPayload(nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := got.AppendPayload(nil); err != nil || !bytes.Equal(b, want) {
		t.Errorf("got  %s, %v\nwant %s", b, err, want)
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("i", event.MaxIDLen+1)
	items := read(t, strings.Join([]string{
		`{"event_type":"x"}`,
		`{"event_type":"x"}`,
		``,
		`{"event_type":"x","occurred_at":"2026-01-02T03:04:05Z","n":[9007199254740993]}`,
		`{"event_type":"x","text":"cut \ud83d"}`,
		`{"event_type":"x","id":"` + long + `"}`,
		`{"event_type":"x"`,
		`[2026-01-02 03:04:05] not JSON at all`,
		`{"a":1,"a":2}`,
		`"text"`,
		"\xff\xfe",
	}, "\r\n"))
	if err := ingesttest.Compare(items, []string{
		`x`, `x`, `x timestamp=2026-01-02T03:04:05Z n=[9007199254740993]`, `x text=cut \ud83d`, `x id=` + items[4].Event.ID,
		`ndjson_line raw={"event_type":"x"`, `ndjson_line raw=[2026-01-02 03:04:05] not JSON at all`, `ndjson_line raw={"a":1,"a":2}`,
		`ndjson_line raw="text"`, `ndjson_line raw_base64=//4=`,
	}); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(items[0].Event.ID, "ndjson:") || items[4].Event.Details["id"] != long {
		t.Errorf("ids %q, %q", items[0].Event.ID, ingest.Short(items[4].Event.ID, 100))
	}
	for i, want := range map[int]string{2: "/n/0: a number", 3: "surrogate", 4: "id: 1025 bytes", 5: "was it cut off?", 7: "stands twice"} {
		if d := strings.Join(items[i].Event.Defects, ";"); !strings.Contains(d, want) {
			t.Errorf("item %d: defects %q, want …%s…", i, d, want)
		}
	}
}

// An event with more defects than fit is kept as its text.
func TestManyDefects(t *testing.T) {
	text := `{"id":"1","event_type":"x","defects":["` + strings.Repeat(`d","`, 10_000) + `"]}`
	items, err := ingesttest.Read(Read).All(strings.NewReader(text), ingest.Source{MaxPayload: 10_000})
	if err != nil || len(items) != 1 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	if err := ingesttest.Check(items, "ndjson"); err != nil {
		t.Error(err)
	}
	b, err := items[0].Event.AppendPayload(nil)
	if err != nil || len(b) > 10_000 || items[0].Mapped || !strings.Contains(items[0].Event.Details["raw"].(string), `"d","d"`) {
		t.Errorf("%s, %v", ingest.Short(string(b), 500), err)
	}
}

func FuzzRead(f *testing.F) {
	data, err := os.ReadFile("testdata/python-logger.ndjson")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`[{"event_type":"x","id":"a"},{"source":"s","details":{"source":1}}]{"principal":"p"}`))
	f.Add([]byte(`{"a":` + strings.Repeat("[", 120) + "1e999" + strings.Repeat("]", 120) + `}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		src := ingest.Source{MaxRecord: 1 << 20, MaxPayload: 20_000}
		items, err := ingesttest.Read(Read).All(bytes.NewReader(data), src)
		seen := map[string]bool{}
		for i := range items {
			// Ids that events bring need not differ.
			if id := items[i].Event.ID; seen[id] {
				items = items[:i]
				break
			}
			seen[items[i].Event.ID] = true
		}
		if err := ingesttest.Check(items, "ndjson"); err != nil {
			t.Fatal(err)
		}
		again, err2 := ingesttest.Read(Read).All(ingesttest.OneByte(bytes.NewReader(data)), src)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%v, then %v", err, err2)
		}
		if err := ingesttest.Same(items, again); err != nil {
			t.Fatal(err)
		}
	})
}
