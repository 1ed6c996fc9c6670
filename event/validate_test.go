package event

import (
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// valid returns an event of the type that has all that is required.
func valid(spec *Spec) Event {
	e := Event{ID: "1", Type: spec.Type, Timestamp: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Details: map[string]any{}}
	for _, name := range spec.Required {
		*e.text(name) = "x"
	}
	if e.Decision != "" {
		if e.Decision = Allow; spec.Decision != "" {
			e.Decision = spec.Decision
		}
	}
	if e.DecisionSource != "" {
		e.DecisionSource = ByPolicy
	}
	if e.Outcome != "" {
		e.Outcome = OutcomeSuccess
	}
	for _, d := range spec.Details {
		if d.Required || slices.Contains(spec.OneOf, d.Name) {
			e.Details[d.Name] = sample(d)
		}
	}
	return e
}

func sample(d Detail) any {
	switch d.Kind {
	case KindString:
		if d.Enum != nil {
			return d.Enum[len(d.Enum)-1]
		}
		return "x"
	case KindNumber:
		return 1.5
	case KindInteger:
		return 3
	case KindBoolean:
		return false
	case KindStrings:
		return []string{"x"}
	case KindTime:
		return "2026-01-01T00:00:00Z"
	}
	return map[string]any{"any": 1}
}

func TestEveryType(t *testing.T) {
	for _, spec := range Types() {
		t.Run(string(spec.Type), func(t *testing.T) {
			e := valid(&spec)
			n, err := e.Normalize(Strict)
			if err != nil {
				t.Fatal(err)
			}
			if n.Severity != spec.Severity || n.Defects != nil {
				t.Errorf("severity %s, defects %q", n.Severity, n.Defects)
			}
			for _, name := range spec.Required {
				bad := e
				*bad.text(name) = ""
				wantDefect(t, &bad, name+": required for "+string(spec.Type)+" but empty")
			}
			for _, d := range spec.Details {
				with := func(v any) *Event {
					bad := e
					bad.Details = maps.Clone(e.Details)
					bad.Details[d.Name] = v
					return &bad
				}
				if p := with(sample(d)).Check(); p != nil {
					t.Errorf("details.%s = %v: %q", d.Name, sample(d), p)
				}
				if d.Required {
					wantDefect(t, with(nil), "details."+d.Name+": required for")
					wantDefect(t, with(""), "details."+d.Name+": required for")
				}
				if d.Kind != KindAny {
					wantDefect(t, with(map[string]any{}), "details."+d.Name+": should be")
				}
				if d.Enum != nil {
					wantDefect(t, with("none of them"), "details."+d.Name+`: "none of them" is none of`)
				}
			}
		})
	}
}

func wantDefect(t *testing.T, e *Event, want string) {
	t.Helper()
	problems := e.Check()
	if len(problems) != 1 || !strings.HasPrefix(problems[0], want) {
		t.Errorf("problems %q, want %q", problems, want)
	}
	var ve *ValidationError
	if _, err := e.Normalize(Strict); !errors.As(err, &ve) || !slices.Equal(ve.Problems, problems) {
		t.Errorf("strict: %v, want %q", err, problems)
	}
	n, err := e.Normalize(Lenient)
	if err != nil || !slices.Equal(n.Defects, problems) {
		t.Errorf("lenient: %q, %v, want %q", n.Defects, err, problems)
	}
}

func TestRegistry(t *testing.T) {
	seen := map[Type]bool{}
	families := Families()
	if !slices.Equal(families, slices.Compact(slices.Clone(families))) || len(families) != len(slices.Compact(slices.Sorted(slices.Values(families)))) {
		t.Errorf("a family stands in two places: %q", families)
	}
	for _, spec := range Types() {
		if seen[spec.Type] {
			t.Errorf("%s: twice", spec.Type)
		}
		seen[spec.Type] = true
		if got, ok := Lookup(spec.Type); !ok || got.Type != spec.Type {
			t.Errorf("%s: not found", spec.Type)
		}
		if !ValidType(string(spec.Type)) || !spec.Severity.Valid() || spec.Doc == "" || spec.Family == "" {
			t.Errorf("%+v: incomplete", spec)
		}
		names := map[string]bool{}
		for _, d := range spec.Details {
			if d.Name == "" || d.Doc == "" || names[d.Name] {
				t.Errorf("%s: detail %+v", spec.Type, d)
			}
			names[d.Name] = true
		}
		for _, name := range spec.OneOf {
			if !names[name] {
				t.Errorf("%s: one of %s, which it has not", spec.Type, name)
			}
		}
		var e Event
		for _, name := range spec.Required {
			if e.text(name) == nil {
				t.Errorf("%s: requires %s, which events have not", spec.Type, name)
			}
		}
	}
	// What the Python logger could write.
	for _, name := range strings.Fields(`action_requested action_validated action_denied action_executed action_failed
		approval_requested approval_granted approval_denied approval_expired budget_warning budget_exceeded
		policy_violation emergency_stop rollback_failed`) {
		if !seen[Type(name)] {
			t.Errorf("%s: missing", name)
		}
	}
}

func TestNormalizeMovesMisfits(t *testing.T) {
	details := map[string]any{"decision_raw": "old"}
	defects := make([]string, 1, 8)
	defects[0] = "noted"
	long := strings.Repeat("a", MaxIDLen+1)
	e := Event{Type: "No Such Type!", Decision: "maybe", DecisionSource: "moon", Outcome: "?", Severity: "loud", AgentID: long,
		TraceID: "4BF92F3577B34DA6A3CE929D0E0E4736", SpanID: "0000000000000000", Details: details, Defects: defects}
	if _, err := e.Normalize(Strict); err == nil || strings.Count(err.Error(), "; ") != 8 {
		t.Errorf("strict: %v", err)
	}
	n, err := e.Normalize(Lenient)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"decision_raw": "old", "_decision_raw": "maybe", "decision_source_raw": "moon", "outcome_raw": "?",
		"severity_raw": "loud", "agent_id_raw": long, "trace_id_raw": "4BF92F3577B34DA6A3CE929D0E0E4736", "span_id_raw": "0000000000000000"}
	if !reflect.DeepEqual(n.Details, want) {
		t.Errorf("details %v", n.Details)
	}
	if n.Type != Unregistered || n.Decision != "" || n.DecisionSource != "" || n.Outcome != "" || n.Severity != SeverityNotice ||
		n.AgentID != "" || n.TraceID != "" || n.SpanID != "" {
		t.Errorf("%+v", n)
	}
	if len(n.Defects) != 10 || n.Defects[0] != "noted" || !slices.Contains(n.Defects, DefectUnregistered) ||
		!strings.Contains(strings.Join(n.Defects, "\n"), `event_type: "No Such Type!" cannot name a type`) ||
		!strings.Contains(strings.Join(n.Defects, "\n"), `kept as details._decision_raw`) {
		t.Errorf("defects %q", n.Defects)
	}
	if len(details) != 1 || defects[:2][1] != "" || e.Decision != "maybe" {
		t.Error("the caller's event was modified")
	}
	if again, err := n.Normalize(Lenient); err != nil || !reflect.DeepEqual(again, n) {
		t.Errorf("twice: %+v, %v", again, err)
	}
}

func TestNormalizeUnregistered(t *testing.T) {
	for _, mode := range []Mode{Lenient, Strict} {
		n, err := Event{Type: "deploy_started"}.Normalize(mode)
		if err != nil || n.Type != "deploy_started" || !slices.Equal(n.Defects, []string{DefectUnregistered}) || n.Severity != SeverityNotice {
			t.Errorf("%v: %+v, %v", mode, n, err)
		}
	}
	if _, err := (Event{}).Normalize(Strict); err == nil || !strings.Contains(err.Error(), "event_type: required but empty") {
		t.Errorf("no type: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		change func(*Event)
		want   string
	}{
		{func(e *Event) { e.Decision = Allow }, "decision: allow, but action_denied means deny"},
		{func(e *Event) { e.Details["is_destructive"] = "yes" }, "details.is_destructive: should be a boolean"},
		{func(e *Event) { e.Details["reasons"] = []any{"a", 1} }, "details.reasons: should be an array of strings"},
		{func(e *Event) { e.ID = strings.Repeat("i", 1025) }, "id: 1025 bytes"},
	} {
		e := typical()
		tt.change(&e)
		if got := e.Check(); len(got) != 1 || !strings.HasPrefix(got[0], tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	spec, _ := Lookup(RollbackStarted)
	e := valid(spec)
	delete(e.Details, "checkpoint_id")
	if p := e.Check(); p != nil {
		t.Errorf("targets alone: %q", p)
	}
	delete(e.Details, "targets")
	if p := e.Check(); len(p) != 1 || p[0] != "details: rollback_started needs one of checkpoint_id, targets" {
		t.Errorf("neither: %q", p)
	}
}

func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		kind Kind
		v    any
		want bool
	}{
		{KindInteger, json.Number("3"), true}, {KindInteger, json.Number("-3"), true}, {KindInteger, json.Number("3.0"), true},
		{KindInteger, json.Number("3e2"), true}, {KindInteger, json.Number("3.5"), false}, {KindInteger, 3.0, true}, {KindInteger, 3.5, false},
		{KindInteger, float32(3.5), false}, {KindInteger, uint8(3), true}, {KindInteger, "3", false}, {KindNumber, json.Number("3.5"), true},
		{KindTime, time.Now(), true}, {KindTime, "2026-01-01T00:00:00.5+01:00", true}, {KindTime, "soon", false},
		{KindString, []string{"a"}, false}, {KindStrings, "a", false}, {KindStrings, []any{}, true}, {KindBoolean, 0, false},
		{KindString, ActionDenied, true}, {KindNumber, time.Second, true}, {KindNumber, map[string]string{}, false},
	} {
		if got := tt.kind.holds(tt.v); got != tt.want {
			t.Errorf("%s holds %T %v: %v", tt.kind, tt.v, tt.v, got)
		}
	}
}

func TestSeverity(t *testing.T) {
	for mode, want := range map[string]Severity{"plan": SeverityNotice, "bypassPermissions": SeverityWarning, "BYPASS_PERMISSIONS": SeverityWarning,
		"yolo": SeverityWarning, "danger-full-access": SeverityWarning, "yolo2": SeverityNotice, "": SeverityNotice} {
		e := Event{Type: PermissionModeChanged, SessionID: "s", Details: map[string]any{"from_mode": "default", "to_mode": mode}}
		if n, _ := e.Normalize(Lenient); n.Severity != want {
			t.Errorf("%q: %s, want %s", mode, n.Severity, want)
		}
	}
	if n, _ := (Event{Type: ActionDenied, Severity: SeverityInfo}).Normalize(Lenient); n.Severity != SeverityInfo {
		t.Errorf("a severity that was given became %s", n.Severity)
	}
	last := slog.Level(-100)
	for _, s := range Severities() {
		if l := Severity(s.Value).Level(); l <= last {
			t.Errorf("%s: level %v", s.Value, l)
		} else {
			last = l
		}
	}
	if SeverityNotice.Level() != slog.LevelInfo+2 || SeverityCritical.Level() != slog.LevelError+4 || Severity("").Level() != slog.LevelInfo {
		t.Error("levels")
	}
	if !SeverityError.AtLeast(SeverityWarning) || SeverityInfo.AtLeast(SeverityNotice) || Severity("x").AtLeast(SeverityInfo) {
		t.Error("AtLeast")
	}
	for _, set := range []struct {
		values []ValueDoc
		valid  func(string) bool
	}{
		{Decisions(), func(s string) bool { return Decision(s).Valid() }},
		{Outcomes(), func(s string) bool { return Outcome(s).Valid() }},
		{DecisionSources(), func(s string) bool { return DecisionSource(s).Valid() }},
		{Severities(), func(s string) bool { return Severity(s).Valid() }},
	} {
		for _, v := range set.values {
			if !set.valid(v.Value) || v.Doc == "" {
				t.Errorf("%+v", v)
			}
		}
		if set.valid("") || set.valid("x") {
			t.Errorf("%v has values that it has not", set.values)
		}
	}
}
