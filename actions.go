package custody

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"time"

	"github.com/custodylog/custody/event"
)

// Action is something that an agent wants to do. Every event about it carries
// the same Action; what is empty is left out.
type Action struct {
	ID          string // joins the events of one action
	Tool        string // name of the tool, as the agent calls it
	Type        string // kind of action, such as "file_write"
	Resource    string // what it acts on, such as a path or URL
	Destructive bool   // whether it can destroy data

	// Input is the tool's input, as JSON values. The request holds it, after
	// redaction, and every event its digest.
	Input any

	// InputDigest is [Digest] of the input. Empty: it is computed from Input.
	InputDigest string

	AgentID       string
	ProjectID     string
	SessionID     string
	UserID        string // on whose behalf
	CorrelationID string
	TraceID       string // W3C trace context
	SpanID        string

	// Details are more details for the event. A name that the event fills in
	// itself is overwritten.
	Details map[string]any
}

// Verdict is what was decided about an action.
type Verdict struct {
	Decision      event.Decision       // default: allow, or deny in ActionDenied
	Source        event.DecisionSource // who decided; default: policy
	Reasons       []string
	PolicyID      string
	PolicyVersion string
}

// Execution is how an action ran. All of it is optional.
type Execution struct {
	Duration     time.Duration
	OutputDigest string
	OutputBytes  int64

	ErrorType   string // of a failure: its class
	Layer       string // of a failure: "transport", "protocol" or "tool"
	Interrupted bool   // of a failure: somebody stopped it
}

// Digest returns "sha256:" and the SHA-256 of the canonical JSON of v in hex. It
// fails for what event.AppendJSON refuses.
func Digest(v any) (string, error) {
	b, err := event.AppendJSON(nil, v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// event returns an event of type typ about the action, with its own details.
func (a *Action) event(typ event.Type, details map[string]any) (event.Event, error) {
	d := make(map[string]any, len(a.Details)+len(details)+6)
	maps.Copy(d, a.Details)
	for k, v := range map[string]string{"tool_name": a.Tool, "action_type": a.Type, "resource": a.Resource, "input_digest": a.InputDigest} {
		if v != "" {
			d[k] = v
		}
	}
	if a.Destructive {
		d["is_destructive"] = true
	}
	if a.InputDigest == "" && a.Input != nil {
		digest, err := Digest(a.Input)
		if err != nil {
			return event.Event{}, fmt.Errorf("the action's input: %w", err)
		}
		d["input_digest"] = digest
	}
	maps.Copy(d, details)
	return event.Event{Type: typ, ActionID: a.ID, AgentID: a.AgentID, ProjectID: a.ProjectID, SessionID: a.SessionID,
		UserID: a.UserID, CorrelationID: a.CorrelationID, TraceID: a.TraceID, SpanID: a.SpanID, Details: d}, nil
}

// set adds v under name unless it is the zero value of its type.
func set[T comparable](details map[string]any, name string, v T) {
	var zero T
	if v != zero {
		details[name] = v
	}
}

// milliseconds is how the details of an event write a duration.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Recorder has a method for each type of event that agents report, which fills in the
// event and records it. A [Trail] is one, and so is the client of a server's trail.
type Recorder struct {
	record func(context.Context, event.Event) (Receipt, error)
}

// NewRecorder returns a recorder whose events go to record, such as [Trail.Record].
func NewRecorder(record func(context.Context, event.Event) (Receipt, error)) Recorder {
	return Recorder{record}
}

// recordAction records an event about an action, after edit has changed it.
func (to Recorder) recordAction(ctx context.Context, a *Action, typ event.Type, details map[string]any, edit func(*event.Event)) (Receipt, error) {
	e, err := a.event(typ, details)
	if err != nil {
		return Receipt{}, err
	}
	if edit != nil {
		edit(&e)
	}
	return to.record(ctx, e)
}

// ActionRequested records that an agent asks for an action. Call it before
// anything runs.
func (to Recorder) ActionRequested(ctx context.Context, a Action) (Receipt, error) {
	d := map[string]any{}
	if a.Input != nil {
		d["input"] = a.Input
	}
	return to.recordAction(ctx, &a, event.ActionRequested, d, nil)
}

// ActionValidated records the decision about an action: as action_denied when
// the decision is deny, as action_validated otherwise.
func (to Recorder) ActionValidated(ctx context.Context, a Action, v Verdict) (Receipt, error) {
	if v.Decision == "" {
		v.Decision = event.Allow
	}
	typ := event.ActionValidated
	if v.Decision == event.Deny {
		typ = event.ActionDenied
	}
	if v.Source == "" {
		v.Source = event.ByPolicy
	}
	d := map[string]any{}
	if len(v.Reasons) > 0 {
		d["reasons"] = v.Reasons
	}
	set(d, "policy_id", v.PolicyID)
	set(d, "policy_version", v.PolicyVersion)
	return to.recordAction(ctx, &a, typ, d, func(e *event.Event) {
		e.Decision, e.DecisionSource = v.Decision, v.Source
		if typ == event.ActionDenied {
			e.Outcome = event.OutcomeDenied
		}
	})
}

// ActionDenied records that an action must not run, and why.
func (to Recorder) ActionDenied(ctx context.Context, a Action, v Verdict) (Receipt, error) {
	v.Decision = event.Deny
	return to.ActionValidated(ctx, a, v)
}

// ActionExecuted records that an action ran and did what was asked.
func (to Recorder) ActionExecuted(ctx context.Context, a Action, x Execution) (Receipt, error) {
	return to.recordAction(ctx, &a, event.ActionExecuted, x.details(), func(e *event.Event) { e.Outcome = event.OutcomeSuccess })
}

// ActionFailed records that an action ran, or tried to, and failed. That is an
// outcome: it says nothing about what had been decided.
func (to Recorder) ActionFailed(ctx context.Context, a Action, failure error, x Execution) (Receipt, error) {
	d := x.details()
	if failure != nil {
		d["error"] = failure.Error()
	}
	set(d, "error_type", x.ErrorType)
	set(d, "layer", x.Layer)
	set(d, "interrupted", x.Interrupted)
	return to.recordAction(ctx, &a, event.ActionFailed, d, func(e *event.Event) { e.Outcome = event.OutcomeFailure })
}

func (x *Execution) details() map[string]any {
	d := map[string]any{}
	if x.Duration > 0 {
		d["execution_time_ms"] = milliseconds(x.Duration)
	}
	set(d, "output_digest", x.OutputDigest)
	set(d, "output_bytes", x.OutputBytes)
	return d
}

// Approval is a question to somebody whether an action may run, and the answer.
// What is empty is left out.
type Approval struct {
	ID        string    // joins the events of one approval
	ExpiresAt time.Time // when the question lapses

	// Of the answer:
	DecidedBy      string // who
	ApproverKind   string // "human" (the default), "service" or "model"
	Scope          string // "once", "session" or "always"
	Reason         string
	Wait           time.Duration  // how long the answer took
	DefaultApplied event.Decision // when it expired: what was decided instead; default: deny
	Interrupt      bool           // when it was denied: the agent was stopped with it
}

// details returns what all events of an approval have.
func (p *Approval) details() map[string]any {
	d := map[string]any{}
	set(d, "approval_id", p.ID)
	set(d, "reason", p.Reason)
	set(d, "decided_by", p.DecidedBy)
	if !p.ExpiresAt.IsZero() {
		d["expires_at"] = p.ExpiresAt
	}
	return d
}

// decidedBy makes whoever decided the user of the event.
func (p *Approval) decidedBy(e *event.Event) {
	if p.DecidedBy != "" {
		e.UserID = p.DecidedBy
	}
}

// ApprovalRequested records that somebody is asked to approve an action.
func (to Recorder) ApprovalRequested(ctx context.Context, a Action, p Approval) (Receipt, error) {
	return to.recordAction(ctx, &a, event.ApprovalRequested, p.details(), func(e *event.Event) { e.Decision = event.RequireApproval })
}

// ApprovalGranted records that an action was approved, for the input with the
// action's digest.
func (to Recorder) ApprovalGranted(ctx context.Context, a Action, p Approval) (Receipt, error) {
	d := p.details()
	d["approver_kind"] = p.ApproverKind
	if p.ApproverKind == "" {
		d["approver_kind"] = "human"
	}
	set(d, "scope", p.Scope)
	if p.Wait > 0 {
		d["wait_ms"] = milliseconds(p.Wait)
	}
	return to.recordAction(ctx, &a, event.ApprovalGranted, d, func(e *event.Event) {
		e.Decision = event.Allow
		p.decidedBy(e)
	})
}

// ApprovalDenied records that an approval was refused.
func (to Recorder) ApprovalDenied(ctx context.Context, a Action, p Approval) (Receipt, error) {
	d := p.details()
	set(d, "interrupt", p.Interrupt)
	return to.recordAction(ctx, &a, event.ApprovalDenied, d, func(e *event.Event) {
		e.Decision = event.Deny
		p.decidedBy(e)
	})
}

// ApprovalExpired records that nobody answered in time.
func (to Recorder) ApprovalExpired(ctx context.Context, a Action, p Approval) (Receipt, error) {
	if p.DefaultApplied == "" {
		p.DefaultApplied = event.Deny
	}
	d := p.details()
	d["default_applied"] = string(p.DefaultApplied)
	return to.recordAction(ctx, &a, event.ApprovalExpired, d, func(e *event.Event) {
		e.Decision, e.DecisionSource = p.DefaultApplied, event.ByTimeout
	})
}

// Budget is how much of something an agent has used.
type Budget struct {
	AgentID   string
	Scope     string // what the limit covers, such as "session" or "agent"
	Usage     float64
	Limit     float64
	Unit      string  // of both; default: "tokens"
	Threshold float64 // percentage at which the warning is due; 0: not told
	Enforced  bool    // in BudgetExceeded: the agent was stopped by it

	ProjectID     string
	SessionID     string
	UserID        string
	CorrelationID string
	Details       map[string]any // more details
}

func (b *Budget) event(typ event.Type) event.Event {
	d := maps.Clone(b.Details)
	if d == nil {
		d = map[string]any{}
	}
	d["scope"], d["current_usage"], d["limit"], d["unit"] = b.Scope, b.Usage, b.Limit, b.Unit
	if b.Unit == "" {
		d["unit"] = "tokens"
	}
	if b.Limit > 0 {
		d["usage_percent"] = b.Usage / b.Limit * 100 // of no limit there is no part
	}
	set(d, "threshold", b.Threshold)
	return event.Event{Type: typ, AgentID: b.AgentID, ProjectID: b.ProjectID, SessionID: b.SessionID,
		UserID: b.UserID, CorrelationID: b.CorrelationID, Details: d}
}

// BudgetWarning records that a budget is nearly used up. The percentage that is
// used is computed; with a limit of 0 or less there is none.
func (to Recorder) BudgetWarning(ctx context.Context, b Budget) (Receipt, error) {
	return to.record(ctx, b.event(event.BudgetWarning))
}

// BudgetExceeded records that a budget is used up.
func (to Recorder) BudgetExceeded(ctx context.Context, b Budget) (Receipt, error) {
	e := b.event(event.BudgetExceeded)
	e.Details["enforced"] = b.Enforced
	return to.record(ctx, e)
}

// Stop is an emergency stop.
type Stop struct {
	Type           string // how far it reaches: "agent", "session", "project" or "global"
	TriggeredBy    string // who pulled it
	Reason         string
	AffectedAgents []string // a query for any of these agents finds the stop

	AgentID       string
	ProjectID     string
	SessionID     string
	CorrelationID string
	Details       map[string]any // more details
}

func (s *Stop) event(typ event.Type, by string) event.Event {
	d := maps.Clone(s.Details)
	if d == nil {
		d = map[string]any{}
	}
	d["reason"] = s.Reason
	if len(s.AffectedAgents) > 0 {
		d["affected_agents"] = s.AffectedAgents
	}
	return event.Event{Type: typ, UserID: by, AgentID: s.AgentID, ProjectID: s.ProjectID, SessionID: s.SessionID,
		CorrelationID: s.CorrelationID, Details: d}
}

// EmergencyStop records that agents were stopped.
func (to Recorder) EmergencyStop(ctx context.Context, s Stop) (Receipt, error) {
	e := s.event(event.EmergencyStop, s.TriggeredBy)
	e.Decision = event.DecisionEmergencyStop
	e.Details["stop_type"], e.Details["triggered_by"] = s.Type, s.TriggeredBy
	return to.record(ctx, e)
}

// EmergencyStopCleared records that the stop with the event id stopID was
// lifted. Of s, TriggeredBy and Type are those of the stop and not needed.
func (to Recorder) EmergencyStopCleared(ctx context.Context, stopID, clearedBy string, s Stop) (Receipt, error) {
	e := s.event(event.EmergencyStopCleared, clearedBy)
	e.Details["stop_event_id"], e.Details["cleared_by"] = stopID, clearedBy
	e.ParentID = stopID
	return to.record(ctx, e)
}

// Rollback is the undoing of actions.
type Rollback struct {
	ID           string // joins the events of one rollback
	CheckpointID string // the agent state to go back to
	Targets      any    // what is undone, where there is no checkpoint
	TriggeredBy  string

	RestoredDigest string // when completed: digest of the state that was restored
	Steps          any    // when completed: how many steps, or which
	ResidualState  string // when failed: what is left
}

func (r *Rollback) details() map[string]any {
	d := map[string]any{}
	set(d, "rollback_id", r.ID)
	set(d, "checkpoint_id", r.CheckpointID)
	set(d, "triggered_by", r.TriggeredBy)
	if r.Targets != nil {
		d["targets"] = r.Targets
	}
	return d
}

// RollbackStarted records that what an action did is being undone.
func (to Recorder) RollbackStarted(ctx context.Context, a Action, r Rollback) (Receipt, error) {
	return to.recordAction(ctx, &a, event.RollbackStarted, r.details(), nil)
}

// RollbackCompleted records that a rollback ended well.
func (to Recorder) RollbackCompleted(ctx context.Context, a Action, r Rollback) (Receipt, error) {
	d := r.details()
	set(d, "restored_digest", r.RestoredDigest)
	if r.Steps != nil {
		d["steps"] = r.Steps
	}
	return to.recordAction(ctx, &a, event.RollbackCompleted, d, func(e *event.Event) { e.Outcome = event.OutcomeSuccess })
}

// RollbackFailed records that a rollback failed.
func (to Recorder) RollbackFailed(ctx context.Context, a Action, r Rollback, failure error) (Receipt, error) {
	d := r.details()
	set(d, "residual_state", r.ResidualState)
	if failure != nil {
		d["error"] = failure.Error()
	}
	return to.recordAction(ctx, &a, event.RollbackFailed, d, func(e *event.Event) { e.Outcome = event.OutcomeFailure })
}
