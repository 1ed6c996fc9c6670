package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/payload/*.json anew")

func seq(n uint64) *uint64 { return &n }

// typical is the event that the benchmarks encode: about 600 bytes.
func typical() Event {
	return Event{
		ID:             "019ab0c2-7b1e-7c3a-9d2f-4f6e8a1b2c3d",
		Type:           ActionDenied,
		Timestamp:      time.Date(2026, 11, 23, 22, 10, 0, 123456000, time.UTC),
		AgentID:        "agent-7f3a",
		ActionID:       "toolu_01A09q90qw90lq917835lq9",
		ProjectID:      "billing-service",
		SessionID:      "5f1c9a52-6d2b-4a3e-8f61-0c7d5b9e2a14",
		UserID:         "maria",
		Decision:       Deny,
		DecisionSource: ByPolicy,
		Severity:       SeverityWarning,
		Source:         "hook",
		Details: map[string]any{
			"tool_name":      "Bash",
			"action_type":    "shell",
			"resource":       "/srv/billing/data",
			"is_destructive": true,
			"reasons":        []string{"recursive delete outside the workspace"},
			"policy_id":      "no-destructive-shell",
			"policy_version": "14",
			"score":          0.97,
		},
	}
}

var goldenEvents = map[string]Event{
	"empty":   {},
	"typical": typical(),
	"every_member": {
		ID: "1", Type: EmergencyStop, AgentID: "a", ActionID: "b", ProjectID: "c", SessionID: "d", UserID: "e",
		Timestamp:     time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		OccurredAt:    time.Date(2026, 1, 2, 4, 4, 5, 999999999, time.FixedZone("", 3600)),
		CorrelationID: "f", Decision: DecisionEmergencyStop, DecisionSource: ByUserAbort, Outcome: OutcomeCancelled,
		Severity: SeverityCritical, Source: "http", Principal: "key:1", SourceSeq: seq(0),
		TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", SpanID: "00f067aa0ba902b7", ParentID: "0",
		Details: map[string]any{"stop_type": "global", "triggered_by": "e", "reason": "drill",
			"affected_agents": []string{"a1", "a\"2", ""}},
		Redactions: []Redaction{{Pointer: "/details/env/API_KEY", Rule: "key:api_key", Method: "mask"}},
		Defects:    []string{"unregistered"},
	},
	"signed": {ID: "1", Type: TurnEnded, Source: "hook", SourceRun: "run-1", SourceSeq: seq(1), Signature: &Signature{
		KeyID: "0123abcd", Sig: bytes.Repeat([]byte{0xff}, 64), Commitment: [32]byte{1}, Salt: bytes.Repeat([]byte{2}, 16), Unsigned: []string{"principal", "timestamp"},
	}},
	"signed_redacted": {ID: "1", Signature: &Signature{KeyID: "0123abcd", Sig: make([]byte, 64)}},
	"numbers": {Type: "x", Details: map[string]any{
		"max": int64(1 << 53), "min": int64(-1 << 53), "tenth": 0.1, "tiny": 5e-324, "big": 1e21, "half": float32(0.5),
		"zero": 0, "text": json.Number("1.50"), "below": 1e-7,
	}},
	"text": {Type: "x", AgentID: "zoë \"q\" \\ 😀", Details: map[string]any{
		"\ufb33": 1, "😀": 2, "\r": 3, "1": 4, "": 5, "control": "\x00\x1f\x7f\u2028<>&\b\f\n\r\t",
		"nested": map[string]any{"b": []any{nil, true, "x", map[string]any{}}, "a": time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
	}},
}

// The bytes of a payload are hashed: once released, these files never change.
func TestGoldenPayloads(t *testing.T) {
	for name, e := range goldenEvents {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", "payload", name+".json")
			got, err := e.AppendPayload(nil)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			roundTrip(t, &e, got)
		})
	}
}

// roundTrip holds e against its payload: reading gives an event with the same
// payload and fields, and canonicalizing changes nothing.
func roundTrip(t *testing.T, e *Event, payload []byte) {
	t.Helper()
	back, err := ParsePayload(payload)
	if err != nil {
		t.Fatalf("ParsePayload(%s): %v", payload, err)
	}
	again, err := back.AppendPayload(nil)
	if err != nil || !bytes.Equal(again, payload) {
		t.Fatalf("payload %s\nread and written %s, %v", payload, again, err)
	}
	canonical, err := Canonicalize(nil, payload)
	if err != nil || !bytes.Equal(canonical, payload) {
		t.Fatalf("payload %s\ncanonical %s, %v", payload, canonical, err)
	}
	scanned, err := scan(payload)
	if err != nil {
		t.Fatalf("ScanFields(%s): %v", payload, err)
	}
	if visited := visit(e); !slices.Equal(visited, scanned) {
		t.Fatalf("payload %s\nvisited %v\nscanned %v", payload, visited, scanned)
	}
	if visited := visit(&back); !slices.Equal(visited, scanned) {
		t.Fatalf("payload %s\nvisited after reading %v\nscanned %v", payload, visited, scanned)
	}
}

type fieldValue struct {
	f Field
	v string
}

func visit(e *Event) (out []fieldValue) {
	e.VisitFields(func(f Field, v string) { out = append(out, fieldValue{f, v}) })
	return out
}

func scan(payload []byte) (out []fieldValue, err error) {
	err = ScanFields(payload, func(f Field, v []byte) { out = append(out, fieldValue{f, string(v)}) })
	return out, err
}

func TestParsePayload(t *testing.T) {
	e := goldenEvents["every_member"]
	b, err := e.AppendPayload(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParsePayload(b)
	if err != nil {
		t.Fatal(err)
	}
	want := e
	want.OccurredAt = e.OccurredAt.UTC().Truncate(time.Microsecond)
	want.Details = map[string]any{"stop_type": "global", "triggered_by": "e", "reason": "drill",
		"affected_agents": []any{"a1", "a\"2", ""}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	got, err = ParsePayload([]byte(`{"agent_id":"a","added_in_2030":{"x":[1]},"source_seq":9007199254740994}`))
	if err != nil || got.AgentID != "a" || got.Details != nil || *got.SourceSeq != 9007199254740994 {
		t.Errorf("newer payload: %+v, %v", got, err)
	}
}

func TestParsePayloadRefuses(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{``, "byte 0"},
		{`[]`, "'{'"},
		{`{} {}`, "byte 3"},
		{`{"agent_id":1}`, "/agent_id: "},
		{`{"agent_id":null}`, "/agent_id: "},
		{`{"decision":[]}`, "/decision: "},
		{`{"details":[]}`, "/details: "},
		{`{"defects":["a",1]}`, "/defects: "},
		{`{"redactions":[1]}`, "/redactions: "},
		{`{"redactions":[{"rule":1}]}`, "/redactions: "},
		{`{"timestamp":"yesterday"}`, "/timestamp: "},
		{`{"occurred_at":5}`, "/occurred_at: "},
		{`{"signature":"x"}`, "/signature: "},
		{`{"signature":{"key_id":"0123abcd"}}`, "/signature: "},
		{`{"source_run":1}`, "/source_run: "},
		{`{"source_seq":-1}`, "/source_seq: "},
		{`{"source_seq":1.5}`, "/source_seq: "},
		{`{"id":"a","id":"a"}`, `the name "id" stands twice`},
		{`{"new":1,"new":2}`, `the name "new" stands twice`},
	} {
		_, err := ParsePayload([]byte(tt.in))
		var se *SyntaxError
		var fe *FieldError
		if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.As(err, &se) && !errors.As(err, &fe) {
			t.Errorf("%s: got %v, want …%s…", tt.in, err, tt.want)
		}
	}
	many := strings.Builder{}
	for i := range 60 {
		many.WriteString(`,"` + strings.Repeat("k", i+1) + `":0`)
	}
	if _, err := ParsePayload([]byte("{" + many.String()[1:] + "}")); err != nil {
		t.Errorf("60 names: %v", err)
	}
	if _, err := ParsePayload([]byte("{" + many.String()[1:] + many.String()[:8] + "}")); err == nil {
		t.Error("a duplicate after 60 names: accepted")
	}
}

func TestFields(t *testing.T) {
	e := goldenEvents["every_member"]
	want := []fieldValue{{FieldAction, "b"}, {FieldAgent, "a"}, {FieldCorrelation, "f"}, {FieldDecision, "emergency_stop"},
		{FieldType, "emergency_stop"}, {FieldID, "1"}, {FieldProject, "c"}, {FieldSession, "d"}, {FieldUser, "e"},
		{FieldAgent, "a1"}, {FieldAgent, `a"2`}}
	if got := visit(&e); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	for _, agents := range []any{
		nil, "a1", "", []any{"a1", 2, nil, "a2", []any{"in"}}, []Type{"a1"}, json.RawMessage(`["a1"]`), map[string]any{"a": "b"},
		[]any{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), errors.New("e")}, 7,
	} {
		for _, typ := range []Type{EmergencyStop, EmergencyStopCleared, ActionDenied} {
			e := Event{Type: typ, Details: map[string]any{affectedAgents: agents, "z": map[string]any{affectedAgents: "no"}}}
			b, err := e.AppendPayload(nil)
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, &e, b)
			if typ == ActionDenied && len(visit(&e)) != 1 {
				t.Errorf("%s: %v", typ, visit(&e))
			}
		}
	}
	// An empty member is none, even where a foreign payload spells it out.
	if got, err := scan([]byte(`{"agent_id":"","details":{"affected_agents":["",""]},"event_type":"emergency_stop","id":""}`)); err != nil || len(got) != 1 {
		t.Errorf("empty members: %v, %v", got, err)
	}
	// The numbers are on disk.
	for name, f := range map[string]Field{"id": 1, "event_type": 2, "agent_id": 3, "action_id": 4, "project_id": 5,
		"session_id": 6, "user_id": 7, "decision": 8, "correlation_id": 9} {
		if got, ok := ParseField(name); !ok || got != f || f.String() != name {
			t.Errorf("%s: field %d, %s", name, got, f)
		}
	}
	if _, ok := ParseField(""); ok || Field(0).String() != "field(0)" || Field(10).String() != "field(10)" {
		t.Error("fields that are none have names")
	}
}

func TestScanFieldsRefuses(t *testing.T) {
	for _, in := range []string{``, `{`, `}`, `[]`, `{"id"}`, `{"id":}`, `{"id":1}`, `{"id":"a"`, `{"id":"a"]`, `{"id":"a"}}`, `{"id":"a"} `,
		` {"id":"a"}`, `{"id":"a",}`, `{,}`, `{"id":"\x"}`, `{"id":"\ud800"}`, `{"details":{"a":"}`, `{"details":{]`, `{"x":}`, `{"id":"a"x}`,
		`{"id":"\"}`, `{"details":{"a":1]},"event_type":"emergency_stop"}`} {
		if got, err := scan([]byte(in)); err == nil {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestSkipString(t *testing.T) {
	for before := range 20 {
		for after := range 20 {
			for _, mid := range []string{"", `\"`, `\\`, `\\\"`, `\n`, `\u0022`} {
				in := `"` + strings.Repeat("a", before) + mid + strings.Repeat("b", after) + `"`
				if got := skipString([]byte(in+`,"more":"x"`), 0); got != len(in) {
					t.Errorf("%s with more: %d, want %d", in, got, len(in))
				}
				if got := skipString([]byte(in), 0); got != len(in) {
					t.Errorf("%s: %d, want %d", in, got, len(in))
				}
				if got := skipString([]byte(in[:len(in)-1]), 0); got != -1 {
					t.Errorf("%s without its end: %d", in, got)
				}
			}
		}
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	e := typical()
	b, err := e.AppendPayload(nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	if n := testing.AllocsPerRun(100, func() {
		if err := ScanFields(b, func(f Field, v []byte) { sum += len(v) }); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("ScanFields: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if b, err = e.AppendPayload(b[:0]); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("AppendPayload: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := e.Normalize(Strict); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Normalize: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { e.VisitFields(func(f Field, v string) { sum += len(v) }) }); n != 0 {
		t.Errorf("VisitFields: %v allocations", n)
	}
}

func BenchmarkAppendPayload(b *testing.B) {
	e := typical()
	buf, err := e.AppendPayload(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = e.AppendPayload(buf[:0])
	}
}

func BenchmarkScanFields(b *testing.B) {
	e := typical()
	buf, err := e.AppendPayload(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	sum := 0
	for b.Loop() {
		if err := ScanFields(buf, func(f Field, v []byte) { sum += len(v) }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVisitFields(b *testing.B) {
	e := typical()
	b.ReportAllocs()
	sum := 0
	for b.Loop() {
		e.VisitFields(func(f Field, v string) { sum += len(v) })
	}
}

func BenchmarkNormalize(b *testing.B) {
	e := typical()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Normalize(Strict); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParsePayload(b *testing.B) {
	e := typical()
	buf, err := e.AppendPayload(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePayload(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	e := typical()
	buf, err := e.AppendPayload(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}
