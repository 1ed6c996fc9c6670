package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
)

// act is an action with all that it can have.
var act = Action{
	ID: "toolu_01", Tool: "Bash", Type: "shell", Resource: "/srv/billing", Destructive: true,
	Input:   map[string]any{"command": "rm -rf build", "env": map[string]any{"API_KEY": "s3cr3t"}},
	AgentID: "agent-7", ProjectID: "billing", SessionID: "session-1", UserID: "alice", CorrelationID: "ticket-9",
	TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", SpanID: "00f067aa0ba902b7", Details: map[string]any{"cwd": "/srv", "tool_name": "overwritten"},
}

var (
	verdict1 = Verdict{Source: event.ByHook, Reasons: []string{"outside the workspace", "destructive"}, PolicyID: "no-rm", PolicyVersion: "14"}
	question = Approval{ID: "approval-1", ExpiresAt: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Reason: "destructive"}
	answer   = Approval{ID: "approval-1", DecidedBy: "bob", Scope: "once", Reason: "it is a build", Wait: 90 * time.Second}
	budget   = Budget{AgentID: "agent-7", Scope: "session", Usage: 80, Limit: 100, Threshold: 75, ProjectID: "billing", SessionID: "session-1", UserID: "alice", CorrelationID: "ticket-9"}
	stop     = Stop{Type: "project", TriggeredBy: "alice", Reason: "runaway", AffectedAgents: []string{"agent-7", "agent-8"}, ProjectID: "billing", CorrelationID: "ticket-9", Details: map[string]any{"button": 1}}
	undo     = Rollback{ID: "rollback-1", CheckpointID: "state-3", Targets: []string{"toolu_01"}, TriggeredBy: "alice"}
)

// helpers are all methods that fill in an event.
var helpers = []struct {
	name string
	call func(ctx context.Context, t *Trail) (Receipt, error)
}{
	{"ActionRequested", func(ctx context.Context, t *Trail) (Receipt, error) { return t.ActionRequested(ctx, act) }},
	{"ActionValidated", func(ctx context.Context, t *Trail) (Receipt, error) {
		return t.ActionValidated(ctx, act, Verdict{Reasons: []string{"on the list"}})
	}},
	{"ActionValidated with a condition", func(ctx context.Context, t *Trail) (Receipt, error) {
		return t.ActionValidated(ctx, act, Verdict{Decision: event.RequireApproval, Source: event.ByClassifier})
	}},
	{"ActionValidated that denies", func(ctx context.Context, t *Trail) (Receipt, error) {
		return t.ActionValidated(ctx, act, Verdict{Decision: event.Deny, Reasons: []string{"no"}})
	}},
	{"ActionDenied", func(ctx context.Context, t *Trail) (Receipt, error) { return t.ActionDenied(ctx, act, verdict1) }},
	{"ActionExecuted", func(ctx context.Context, t *Trail) (Receipt, error) {
		return t.ActionExecuted(ctx, act, Execution{Duration: 1234567 * time.Nanosecond, OutputDigest: "sha256:00", OutputBytes: 42})
	}},
	{"ActionFailed", func(ctx context.Context, t *Trail) (Receipt, error) {
		return t.ActionFailed(ctx, act, errors.New("exit status 1"), Execution{Duration: time.Second, ErrorType: "ExitError", Layer: "tool", Interrupted: true})
	}},
	{"ApprovalRequested", func(ctx context.Context, t *Trail) (Receipt, error) { return t.ApprovalRequested(ctx, act, question) }},
	{"ApprovalGranted", func(ctx context.Context, t *Trail) (Receipt, error) { return t.ApprovalGranted(ctx, act, answer) }},
	{"ApprovalDenied", func(ctx context.Context, t *Trail) (Receipt, error) {
		return t.ApprovalDenied(ctx, act, Approval{ID: "approval-1", DecidedBy: "bob", Interrupt: true})
	}},
	{"ApprovalExpired", func(ctx context.Context, t *Trail) (Receipt, error) { return t.ApprovalExpired(ctx, act, question) }},
	{"BudgetWarning", func(ctx context.Context, t *Trail) (Receipt, error) { return t.BudgetWarning(ctx, budget) }},
	{"BudgetWarning without a limit", func(ctx context.Context, t *Trail) (Receipt, error) {
		b := budget
		b.Limit, b.Unit = 0, "usd"
		return t.BudgetWarning(ctx, b)
	}},
	{"BudgetExceeded", func(ctx context.Context, t *Trail) (Receipt, error) {
		b := budget
		b.Usage, b.Enforced = 120, true
		return t.BudgetExceeded(ctx, b)
	}},
	{"EmergencyStop", func(ctx context.Context, t *Trail) (Receipt, error) { return t.EmergencyStop(ctx, stop) }},
	{"EmergencyStopCleared", func(ctx context.Context, t *Trail) (Receipt, error) {
		return t.EmergencyStopCleared(ctx, "stop-1", "bob", stop)
	}},
	{"RollbackStarted", func(ctx context.Context, t *Trail) (Receipt, error) { return t.RollbackStarted(ctx, act, undo) }},
	{"RollbackCompleted", func(ctx context.Context, t *Trail) (Receipt, error) {
		r := undo
		r.RestoredDigest, r.Steps = "sha256:00", 3
		return t.RollbackCompleted(ctx, act, r)
	}},
	{"RollbackFailed", func(ctx context.Context, t *Trail) (Receipt, error) {
		r := undo
		r.ResidualState = "half of it"
		return t.RollbackFailed(ctx, act, r, errors.New("conflict"))
	}},
}

// Each helper, given what it asks for, passes strict mode, and stores exactly the
// payload in testdata/helpers.golden, where the trail's own id and time are
// written as ID and TIME.
func TestHelpers(t *testing.T) {
	c := &clock{at: time.Now().Add(time.Hour)}
	trail := onMem(t, Options{Mode: event.Strict, now: c.now, Principal: "token:gate"})
	var got bytes.Buffer
	for _, h := range helpers {
		r, err := h.call(t.Context(), trail)
		if err != nil {
			t.Errorf("%s: %v", h.name, err)
			continue
		}
		e := get(trail.Entry(t.Context(), r.Index))(t)
		payload := strings.ReplaceAll(string(e.Payload), `"`+r.ID+`"`, `"ID"`)
		at := c.at.UTC().Format("2006-01-02T15:04:05.000000Z")
		payload = strings.ReplaceAll(payload, `"`+at+`"`, `"TIME"`)
		fmt.Fprintf(&got, "%s\n%s\n", h.name, payload)
	}
	golden(t, "helpers", got.Bytes())
	wantClean(t, trail)
}

// A failure is an outcome: it says nothing about what had been decided.
func TestFailureIsNoDenial(t *testing.T) {
	trail := onMem(t, Options{})
	r := get(trail.ActionFailed(t.Context(), act, errors.New("exit status 1"), Execution{}))(t)
	if e := eventAt(t, trail, r.Index); e.Decision != "" || e.Outcome != event.OutcomeFailure || e.UserID != "alice" {
		t.Errorf("stored is %+v", e)
	}
	r = get(trail.ActionExecuted(t.Context(), act, Execution{}))(t)
	if e := eventAt(t, trail, r.Index); e.Decision != "" || e.Outcome != event.OutcomeSuccess || e.UserID != "alice" {
		t.Errorf("stored is %+v", e)
	}
}

func TestUsagePercent(t *testing.T) {
	trail := onMem(t, Options{})
	for _, tt := range []struct {
		usage, limit float64
		want         any
	}{{80, 100, "80"}, {1, 3, "33.33333333333333"}, {150, 100, "150"}, {0, 10, "0"}, {5, 0, nil}, {5, -1, nil}} {
		r := get(trail.BudgetWarning(t.Context(), Budget{AgentID: "a", Scope: "s", Usage: tt.usage, Limit: tt.limit}))(t)
		got := eventAt(t, trail, r.Index).Details["usage_percent"]
		if got != nil {
			got = fmt.Sprint(got)
		}
		if tt.want == nil && got != nil || tt.want != nil && got != tt.want {
			t.Errorf("%v of %v: %v percent, want %v", tt.usage, tt.limit, got, tt.want)
		}
	}
	var field *event.FieldError
	if _, err := trail.BudgetWarning(t.Context(), Budget{AgentID: "a", Scope: "s", Usage: math.NaN(), Limit: 1}); !errors.As(err, &field) {
		t.Errorf("NaN: %v", err)
	}
}

// What a caller hands in is not changed, so it can be used for the next event.
func TestHelpersLeaveTheirArguments(t *testing.T) {
	before := fmt.Sprintf("%+v %+v %+v %+v %+v", act, budget, stop, undo, verdict1)
	trail := onMem(t, Options{})
	for _, h := range helpers {
		get(h.call(t.Context(), trail))(t)
	}
	if after := fmt.Sprintf("%+v %+v %+v %+v %+v", act, budget, stop, undo, verdict1); after != before {
		t.Errorf("before %s\nafter  %s", before, after)
	}
}

func TestDigest(t *testing.T) {
	// printf '{"a":1,"b":[true,null]}' | sha256sum
	const want = "sha256:1cc69c7fa23616ca2ec3ee70d24390a6225c8832db8a4c814c7e0e7f942f8668"
	one := get(Digest(map[string]any{"b": []any{true, nil}, "a": 1}))(t)
	two := get(Digest(map[string]any{"a": 1.0, "b": []any{true, nil}}))(t)
	if one != want || two != want {
		t.Errorf("got %s and %s, want %s", one, two, want)
	}
	if _, err := Digest(map[string]any{"f": func() {}}); err == nil {
		t.Error("a function has a digest")
	}
	trail := onMem(t, Options{})
	a := Action{ID: "x", Input: map[string]any{"f": func() {}}}
	if _, err := trail.ActionRequested(t.Context(), a); err == nil || !strings.Contains(err.Error(), "input") {
		t.Errorf("an input that cannot be encoded: %v", err)
	}
	a = Action{ID: "x", AgentID: "a", SessionID: "s", Tool: "t", InputDigest: "sha256:mine", Input: 1}
	r := get(trail.ActionRequested(t.Context(), a))(t)
	if e := eventAt(t, trail, r.Index); e.Details["input_digest"] != "sha256:mine" {
		t.Errorf("the digest is %v", e.Details["input_digest"])
	}
}
