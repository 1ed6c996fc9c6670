package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/custodylog/custody/event"
)

func TestGeneratedFilesAreCurrent(t *testing.T) {
	dir, err := root(".")
	if err != nil {
		t.Fatal(err)
	}
	if err := run(dir, true, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	if err := run(dir, true, io.Discard); err == nil {
		t.Error("missing files are not stale")
	}
	if err := run(dir, false, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, true, io.Discard); err != nil {
		t.Errorf("just written: %v", err)
	}
	file := filepath.Join(dir, "docs", "events.md")
	if err := os.WriteFile(file, []byte("edited"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, true, io.Discard); err == nil || !strings.Contains(err.Error(), "docs/events.md") {
		t.Errorf("edited: %v", err)
	}
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := schemaJSON()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("event.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("event.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// agree holds the schema against Check: both take the event or neither does.
// What is taken in lenient mode has a payload that fits the schema in any case.
func agree(t *testing.T, schema *jsonschema.Schema, what string, e event.Event) {
	t.Helper()
	problems := e.Check()
	if err := fits(t, schema, e); (err == nil) != (problems == nil) {
		t.Errorf("%s: Check says %q, the schema %v", what, problems, err)
	}
	n, err := e.Normalize(event.Lenient)
	if err != nil {
		t.Fatal(err)
	}
	if err := fits(t, schema, n); err != nil {
		t.Errorf("%s, normalized: %v", what, err)
	}
}

func fits(t *testing.T, schema *jsonschema.Schema, e event.Event) error {
	t.Helper()
	payload, err := e.AppendPayload(nil)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(doc)
}

func TestSchemaAgreesWithCheck(t *testing.T) {
	schema := compile(t)
	for _, spec := range event.Types() {
		name := string(spec.Type)
		e := complete(&spec)
		agree(t, schema, name, e)
		for _, d := range spec.Details {
			for _, v := range []any{nil, "", "x", 1, 1.5, true, []string{"x"}, []any{1}, map[string]any{}, "2026-01-01T00:00:00Z"} {
				changed := e
				changed.Details = maps.Clone(e.Details)
				changed.Details[d.Name] = v
				agree(t, schema, fmt.Sprintf("%s with %s %v", name, d.Name, v), changed)
			}
			without := e
			without.Details = maps.Clone(e.Details)
			delete(without.Details, d.Name)
			agree(t, schema, name+" without "+d.Name, without)
		}
		for _, r := range spec.Required {
			without := e
			set(&without, r, "")
			agree(t, schema, name+" without "+r, without)
		}
		for _, d := range event.Decisions() {
			changed := e
			changed.Decision = event.Decision(d.Value)
			agree(t, schema, name+" with "+d.Value, changed)
		}
	}
	base, _ := event.Lookup(event.SessionStarted)
	for what, change := range map[string]func(*event.Event){
		"unregistered type": func(e *event.Event) { e.Type = "deploy_started" },
		"bad type":          func(e *event.Event) { e.Type = "Deploy Started" },
		"bad decision":      func(e *event.Event) { e.Decision = "maybe" },
		"bad outcome":       func(e *event.Event) { e.Outcome = "maybe" },
		"bad source":        func(e *event.Event) { e.DecisionSource = "maybe" },
		"bad severity":      func(e *event.Event) { e.Severity = "maybe" },
		"long id":           func(e *event.Event) { e.UserID = strings.Repeat("x", event.MaxIDLen+1) },
		"longest id":        func(e *event.Event) { e.UserID = strings.Repeat("x", event.MaxIDLen) },
		"trace":             func(e *event.Event) { e.TraceID = "4bf92f3577b34da6a3ce929d0e0e4736" },
		"zero trace":        func(e *event.Event) { e.TraceID = strings.Repeat("0", 32) },
		"short span":        func(e *event.Event) { e.SpanID = "00f067aa0ba902b" },
		"span":              func(e *event.Event) { e.SpanID = "00f067aa0ba902b7" },
		"everything else": func(e *event.Event) {
			n := uint64(3)
			e.SourceSeq = &n
			e.OccurredAt = e.Timestamp
			e.Redactions = []event.Redaction{{Pointer: "/details/x", Rule: "r", Method: "mask"}}
		},
	} {
		e := complete(base)
		change(&e)
		agree(t, schema, what, e)
	}
}

// complete returns an event of the type that has all that is required.
func complete(spec *event.Spec) event.Event {
	e := event.Event{ID: "1", Type: spec.Type, Timestamp: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Details: map[string]any{"more": 1}}
	for _, name := range spec.Required {
		set(&e, name, "x")
	}
	if spec.Decision != "" {
		e.Decision = spec.Decision
	}
	for _, d := range spec.Details {
		if d.Required || slices.Contains(spec.OneOf, d.Name) {
			e.Details[d.Name] = sample(&d)
		}
	}
	return e
}

func set(e *event.Event, name, value string) {
	switch name {
	case "agent_id":
		e.AgentID = value
	case "action_id":
		e.ActionID = value
	case "session_id":
		e.SessionID = value
	case "user_id":
		e.UserID = value
	case "decision":
		if e.Decision = event.Allow; value == "" {
			e.Decision = ""
		}
	case "decision_source":
		if e.DecisionSource = event.ByPolicy; value == "" {
			e.DecisionSource = ""
		}
	case "outcome":
		if e.Outcome = event.OutcomeSuccess; value == "" {
			e.Outcome = ""
		}
	default:
		panic("no test value for " + name)
	}
}

func sample(d *event.Detail) any {
	switch d.Kind {
	case event.KindString:
		if d.Enum != nil {
			return d.Enum[0]
		}
		return "x"
	case event.KindNumber:
		return 1.5
	case event.KindInteger:
		return 3
	case event.KindBoolean:
		return true
	case event.KindStrings:
		return []string{"x"}
	case event.KindTime:
		return "2026-01-01T00:00:00Z"
	}
	return "any"
}

func TestMarkdownNamesEverything(t *testing.T) {
	page := string(eventsMarkdown())
	for _, spec := range event.Types() {
		if !strings.Contains(page, "| `"+string(spec.Type)+"` |") {
			t.Errorf("%s: no row", spec.Type)
		}
		for _, d := range spec.Details {
			if !strings.Contains(page, "| `"+d.Name+"` |") {
				t.Errorf("%s: no row for the detail %s", spec.Type, d.Name)
			}
		}
	}
	for _, a := range event.Aliases() {
		if !strings.Contains(page, "`"+a.Word+"`") {
			t.Errorf("alias %s: missing", a.Word)
		}
	}
	for _, m := range members {
		for _, name := range strings.Split(m[0], ", ") {
			schema, err := schemaJSON()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(schema, []byte(`"`+name+`": {`)) {
				t.Errorf("member %s: not in the schema", name)
			}
		}
	}
}
