package event

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Event
		notes    []string // parts of each
	}{
		{"own names", `{"event_type":"action_denied","agent_id":"a1","action_id":"x","decision":"deny","details":{"tool_name":"Bash","n":1.0}}`,
			Event{Type: ActionDenied, AgentID: "a1", ActionID: "x", Decision: Deny,
				Details: map[string]any{"tool_name": "Bash", "n": json.Number("1.0")}}, nil},
		{"Python logger", `{"id": "1", "event_type": "AuditEventType.ACTION_DENIED", "timestamp": "2026-11-23T22:10:00.5", "agent_id": "a", "user_id": null,
			"decision": "SafetyDecision.DENY", "details": {"reasons": [], "_hash": "00"}, "correlation_id": null}`,
			Event{ID: "1", Type: ActionDenied, AgentID: "a", Decision: Deny, Timestamp: time.Date(2026, 11, 23, 22, 10, 0, 5e8, time.UTC),
				Details: map[string]any{"reasons": []any{}, "_hash": "00"}}, []string{"timestamp: has no time zone"}},
		{"upper case", `{"type":"EMERGENCY_STOP","decision":"ALLOW","outcome":"SUCCESS","severity":"WARN","decision_source":"user_permanent"}`,
			Event{Type: EmergencyStop, Decision: Allow, Outcome: OutcomeSuccess, Severity: SeverityWarning, DecisionSource: ByUserAlways}, nil},
		{"camel case", `{"eventType":"ActionDenied","agentId":"a","sessionId":"s","traceId":"4BF92F3577B34DA6A3CE929D0E0E4736","sourceSeq":"7"}`,
			Event{Type: ActionDenied, AgentID: "a", SessionID: "s", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", SourceSeq: seq(7)}, nil},
		{"alias beside the name", `{"agent":"other","event":"x","agent_id":"a","event_type":"y"}`,
			Event{Type: "y", AgentID: "a", Details: map[string]any{"agent": "other", "event": "x"}},
			[]string{"details.agent", "details.event"}},
		{"unknown members", `{"event_type":"x","tool":"Bash","details":{"tool":"old"},"model":{"n":1}}`,
			Event{Type: "x", Details: map[string]any{"tool": "old", "_tool": "Bash", "model": map[string]any{"n": json.Number("1")}}},
			[]string{"kept as details._tool", "kept as details.model"}},
		{"wrong kinds", `{"event_type":"x","agent_id":42,"user_id":{"name":"m"},"source_seq":"many","details":[1],"timestamp":"soon"}`,
			Event{Type: "x", AgentID: "42", Details: map[string]any{"details_raw": []any{json.Number("1")}, "user_id": map[string]any{"name": "m"},
				"source_seq": "many", "timestamp": "soon"}},
			[]string{"details: not an object", "agent_id: a number", "user_id: ", "source_seq: ", "timestamp: "}},
		{"alias word", `{"event_type":"x","decision":"approved_for_session"}`,
			Event{Type: "x", Decision: Allow}, []string{`decision: "approved_for_session" read as allow`}},
		{"word that needs its source", `{"event_type":"x","decision":"resolved","outcome":"?"}`,
			Event{Type: "x", Decision: "resolved", Outcome: "?"}, nil},
		{"nulls", `{"event_type":"x","details":null,"decision":null,"other":null}`, Event{Type: "x"}, nil},
		{"unregistered enum member", `{"event_type":"DEPLOY_STARTED"}`, Event{Type: "deploy_started"}, nil},
		{"type that is none", `{"event_type":"Deploy Started!"}`, Event{Type: "Deploy Started!"}, nil},
		{"defects and redactions", `{"defects":["d"],"redactions":[{"pointer":"/p","rule":"r"}]}`,
			Event{Defects: []string{"d"}, Redactions: []Redaction{{Pointer: "/p", Rule: "r"}}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, notes, err := Decode([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			if len(notes) != len(tt.notes) {
				t.Fatalf("notes %q, want %q", notes, tt.notes)
			}
			for i := range notes {
				if !strings.Contains(notes[i], tt.notes[i]) {
					t.Errorf("note %q, want …%s…", notes[i], tt.notes[i])
				}
			}
		})
	}
}

func TestDecodeTimes(t *testing.T) {
	want := time.Date(2026, 11, 23, 22, 10, 0, 123456000, time.UTC)
	whole := want.Truncate(time.Second)
	for in, w := range map[string]time.Time{
		`"2026-11-23T22:10:00.123456Z"`:      want,
		`"2026-11-23T22:10:00.123456789Z"`:   want,
		`"2026-11-23T23:10:00.123456+01:00"`: want,
		`"2026-11-23T23:10:00.123456+0100"`:  want,
		`"2026-11-23T22:10:00.123456"`:       want,
		`"2026-11-23 22:10:00.123456"`:       want,
		`"2026-11-23 22:10:00.123456+00:00"`: want,
		`"2026-11-23T22:10:00"`:              whole,
		`1795471800`:                         whole,
		`1795471800.123456`:                  want,
		`1795471800123`:                      want.Truncate(time.Millisecond),
		`1795471800123.456`:                  want,
		`1795471800123456`:                   want,
		`1795471800123456789`:                want,
		`"1795471800"`:                       whole,
		`0`:                                  time.Unix(0, 0).UTC(),
		`"0001-01-01T00:00:00Z"`:             {},
		`-1`:                                 {},
		`1e300`:                              {},
		`true`:                               {},
		`""`:                                 {},
		`"2026-11-23"`:                       {},
		`"` + strings.Repeat("2026-11-23", 9) + `"`: {},
	} {
		e, notes, err := Decode([]byte(`{"timestamp":` + in + `}`))
		if err != nil || !e.Timestamp.Equal(w) {
			t.Errorf("%s: got %v, %v; want %v", in, e.Timestamp, err, w)
		}
		if w.IsZero() && (len(notes) != 1 || e.Details["timestamp"] == nil) {
			t.Errorf("%s: lost (%q, %v)", in, notes, e.Details)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{"agent_id":"a","agent_id":"b"}`, `byte 16: the name "agent_id" stands twice`},
		{`{"details":{"a":{"b":1,"b":1}}}`, `byte 23: the name "b" stands twice`},
		{`{"agent_id":"a"`, "byte 15: it ends where ',' or '}' should be"},
		{`"x"`, "byte 0"},
		{`null`, "byte 0"},
		{`{}{}`, "byte 2"},
		{"\xef\xbb\xbf{}", "byte 0"},
	} {
		if _, _, err := Decode([]byte(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want …%s…", tt.in, err, tt.want)
		}
	}
}

func TestDecodeBoundsNotes(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		b.WriteString(`,"` + strings.Repeat("k", i+1) + `":0`)
	}
	e, notes, err := Decode([]byte("{" + b.String()[1:] + "}"))
	if err != nil || len(e.Details) != 1000 || len(notes) != maxNotes+1 {
		t.Errorf("%d details, %d notes, %v", len(e.Details), len(notes), err)
	}
}

func TestParseDecision(t *testing.T) {
	for in, want := range map[string]Decision{
		"allow": Allow, "ALLOW": Allow, "Approve": Allow, "accept": Allow, "approved": Allow,
		"DENY": Deny, "reject": Deny, "block": Deny, "decline": Deny, "abort": Deny, "expired": Deny,
		"ask": RequireApproval, "ASK_USER": RequireApproval, "REQUIRE_APPROVAL": RequireApproval, "review": RequireApproval,
		"require-approval": RequireApproval, "edit": AllowModified, "respond": AllowModified, "REDACT": AllowModified,
		"ALLOW_WITH_CONDITIONS": AllowModified, "AUDIT_ONLY": AuditOnly, "EMERGENCY_STOP": DecisionEmergencyStop,
		"rate_limit": RateLimit, "defer": Defer, "SafetyDecision.REQUIRE_APPROVAL": RequireApproval,
		"": "", "maybe": "", "resolved": "", "pending": "",
	} {
		if got, ok := ParseDecision(in); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v; want %q", in, got, ok, want)
		}
	}
	for _, a := range Aliases() {
		if got, ok := ParseDecisionFrom(a.Source, strings.ToUpper(a.Word)); !ok || got != a.Decision {
			t.Errorf("%s %s: %q, %v; want %q", a.Source, a.Word, got, ok, a.Decision)
		}
		if Decision(a.Word).Valid() || !a.Decision.Valid() {
			t.Errorf("alias %q of %q", a.Word, a.Decision)
		}
		// A word means the same everywhere unless it says that it does not.
		for _, b := range Aliases() {
			if a.Word == b.Word && a.Decision != b.Decision && !(a.NeedsSource && b.NeedsSource) {
				t.Errorf("%q is ambiguous", a.Word)
			}
		}
	}
	if d, ok := ParseDecisionFrom("microsoft", "pending"); d != RequireApproval || !ok {
		t.Errorf("microsoft pending: %q", d)
	}
}

func TestParseWords(t *testing.T) {
	for in, want := range map[string]Outcome{"SUCCESS": OutcomeSuccess, "ok": OutcomeSuccess, "error": OutcomeFailure, "canceled": OutcomeCancelled,
		"timeout": OutcomeTimedOut, "timed-out": OutcomeTimedOut, "rejected": OutcomeDenied, "": "", "maybe": ""} {
		if got, ok := ParseOutcome(in); got != want || ok != (want != "") {
			t.Errorf("outcome %q: %q, %v", in, got, ok)
		}
	}
	for in, want := range map[string]DecisionSource{"Config": ByConfigRule, "user_permanent": ByUserAlways, "user_temporary": ByUserOnce,
		"user_reject": ByUserReject, "HOOK": ByHook, "user": "", "": ""} {
		if got, ok := ParseDecisionSource(in); got != want || ok != (want != "") {
			t.Errorf("decision source %q: %q, %v", in, got, ok)
		}
	}
	for in, want := range map[string]Severity{"WARN": SeverityWarning, "err": SeverityError, "fatal": SeverityCritical, "debug": SeverityInfo,
		"Notice": SeverityNotice, "": "", "loud": ""} {
		if got, ok := ParseSeverity(in); got != want || ok != (want != "") {
			t.Errorf("severity %q: %q, %v", in, got, ok)
		}
	}
}
