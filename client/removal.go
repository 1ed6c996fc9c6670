package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/retention"
)

// ranges are indices as the server writes them, such as 0-41,43.
type ranges struct{ evidence.Ranges }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *ranges) UnmarshalText(b []byte) (err error) {
	if len(b) > 0 {
		r.Ranges, err = evidence.ParseRanges(string(b))
	}
	return err
}

// holdJSON is a legal hold as the server gives it.
type holdJSON struct {
	ID     string    `json:"id"`
	Query  queryJSON `json:"query"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Placed moment    `json:"placed"`
	Index  uint64    `json:"index"`
}

func (j *holdJSON) hold() custody.Hold {
	return custody.Hold{ID: j.ID, Query: j.Query.query(), Reason: j.Reason, By: j.By, Placed: j.Placed.Time, Index: j.Index}
}

// queryJSON is a query by the names that its filters have in events.
type queryJSON struct {
	Types         []event.Type   `json:"event_type"`
	AgentID       string         `json:"agent_id"`
	ActionID      string         `json:"action_id"`
	ProjectID     string         `json:"project_id"`
	SessionID     string         `json:"session_id"`
	UserID        string         `json:"user_id"`
	Decision      event.Decision `json:"decision"`
	CorrelationID string         `json:"correlation_id"`
	Since         time.Time      `json:"since"`
	Until         time.Time      `json:"until"`
	OccurredSince time.Time      `json:"occurred_since"`
	OccurredUntil time.Time      `json:"occurred_until"`
	From          uint64         `json:"from_index"`
	To            uint64         `json:"to_index"`
}

func (j *queryJSON) query() custody.Query {
	return custody.Query{Types: j.Types, AgentID: j.AgentID, ActionID: j.ActionID, ProjectID: j.ProjectID, SessionID: j.SessionID, UserID: j.UserID,
		Decision: j.Decision, CorrelationID: j.CorrelationID, Since: j.Since, Until: j.Until, OccurredSince: j.OccurredSince, OccurredUntil: j.OccurredUntil,
		From: j.From, To: j.To}
}

// Holds returns the legal holds in force, as custody.Trail.Holds does.
func (t *Trail) Holds(ctx context.Context) ([]custody.Hold, error) {
	var answer struct {
		Holds []holdJSON `json:"holds"`
	}
	if err := t.get(ctx, &answer, "holds"); err != nil {
		return nil, err
	}
	var holds []custody.Hold
	for i := range answer.Holds {
		holds = append(holds, answer.Holds[i].hold())
	}
	return holds, nil
}

// PlaceHold places a legal hold, as custody.Trail.PlaceHold does. It is placed by
// whose token it is: By is not sent, and is the server's in what is returned.
func (t *Trail) PlaceHold(ctx context.Context, h custody.Hold) (custody.Hold, error) {
	query, err := h.Query.Members()
	if err != nil {
		return h, fmt.Errorf("hold: %w", err)
	}
	ask := struct {
		Query  map[string]any `json:"query,omitempty"`
		All    bool           `json:"all,omitempty"`
		Reason string         `json:"reason"`
	}{query, len(query) == 0, h.Reason}
	var placed holdJSON
	if err := t.conn.json(ctx, request{method: http.MethodPost, path: t.path("holds"), body: ask, once: true}, &placed); err != nil {
		return h, err
	}
	return placed.hold(), nil
}

// ReleaseHold ends a hold, as custody.Trail.ReleaseHold does, in the name of whose
// token it is: the name given is not sent.
func (t *Trail) ReleaseHold(ctx context.Context, id, _, reason string) (custody.Receipt, error) {
	var j receiptJSON
	ask := map[string]string{"reason": reason}
	if err := t.conn.json(ctx, request{method: http.MethodPost, path: t.path("holds", id, "release"), body: ask, once: true}, &j); err != nil {
		return custody.Receipt{}, err
	}
	return t.receipt(&j)
}

// heldJSON is what a hold keeps, or an emergency stop.
type heldJSON struct {
	Hold    string `json:"hold"`
	Stop    string `json:"stop"`
	Reason  string `json:"reason"`
	Entries ranges `json:"entries"`
}

func coveredOf(held []heldJSON) []custody.Covered {
	var all []custody.Covered
	for _, h := range held {
		c := custody.Covered{Stop: h.Stop, Reason: h.Reason, Entries: h.Entries.Ranges}
		if h.Hold != "" {
			c.Hold = custody.Hold{ID: h.Hold, Reason: h.Reason}
		}
		all = append(all, c)
	}
	return all
}

// PendingError says that a removal takes a second person: nothing was removed yet. The
// server does it by itself once somebody else has approved the request.
type PendingError struct {
	Request string    // its id
	Expires time.Time // until when it can be approved
}

func (e *PendingError) Error() string {
	return fmt.Sprintf("nothing was removed: that takes a second person, who has to approve request %s before %s", e.Request, e.Expires.UTC().Format(time.RFC3339))
}

// pendingJSON is a request that waits for somebody's approval.
type pendingJSON struct {
	ID      string    `json:"id"`
	Expires time.Time `json:"expires"`
}

// pending returns the error of a removal that was not done; nil: it was.
func (j *pendingJSON) pending() error {
	if j == nil {
		return nil
	}
	return &PendingError{Request: j.ID, Expires: j.Expires}
}

// erasureJSON is an erasure, or its plan, as the server gives it.
type erasureJSON struct {
	Entries ranges                   `json:"entries"`
	Bytes   uint64                   `json:"bytes"`
	Types   map[event.Type]uint64    `json:"types"`
	Held    []heldJSON               `json:"held"`
	Own     ranges                   `json:"own"`
	Receipt *evidence.ErasureReceipt `json:"receipt"`
	Request *pendingJSON             `json:"request"`
}

// erasureAsk is what is asked for. By is not sent: it is whose token it is.
type erasureAsk struct {
	Query      map[string]any    `json:"query,omitempty"`
	Fields     map[string]string `json:"fields,omitempty"`
	Indices    string            `json:"indices,omitempty"`
	Ground     string            `json:"ground,omitempty"`
	Requester  string            `json:"requester,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	ExceptHeld bool              `json:"except_held,omitempty"`
}

func askErasure(r *custody.Erasure) (erasureAsk, error) {
	query, err := r.Query.Members()
	if err != nil {
		return erasureAsk{}, fmt.Errorf("erasure: %w", err)
	}
	return erasureAsk{Query: query, Fields: r.Fields, Indices: r.Entries.String()}, nil
}

// PlanErasure finds out what an erasure would remove, as custody.Trail.PlanErasure
// does. Of the holds in Held only ID and Reason are known.
func (t *Trail) PlanErasure(ctx context.Context, r custody.Erasure) (*custody.ErasurePlan, error) {
	ask, err := askErasure(&r)
	if err != nil {
		return nil, err
	}
	var j erasureJSON
	if err := t.conn.json(ctx, request{method: http.MethodPost, path: t.path("erasures", "plan"), body: ask, long: true}, &j); err != nil {
		return nil, err
	}
	return &custody.ErasurePlan{Entries: j.Entries.Ranges, Bytes: j.Bytes, Types: j.Types, Held: coveredOf(j.Held), Own: j.Own.Ranges}, nil
}

// Erase removes payloads for good, as custody.Trail.Erase does, in the name of whose
// token it is: By is not sent. With [Options].Keys the receipt is checked. Where the
// server asks for a second person it fails with a *[PendingError].
func (t *Trail) Erase(ctx context.Context, r custody.Erasure) (*custody.ErasureReceipt, error) {
	ask, err := askErasure(&r)
	if err != nil {
		return nil, err
	}
	ask.Ground, ask.Requester, ask.Reason, ask.ExceptHeld = r.Ground, r.Requester, r.Reason, r.ExceptHeld
	var j erasureJSON
	if err := t.conn.json(ctx, request{method: http.MethodPost, path: t.path("erasures"), body: ask, once: true, long: true}, &j); err != nil {
		return nil, err
	}
	if err := j.Request.pending(); err != nil {
		return nil, err
	}
	if j.Receipt == nil {
		return nil, altered("it has no receipt of the erasure")
	}
	if len(t.server.keys) > 0 {
		if _, err := j.Receipt.Check(t.server.keys...); err != nil {
			return j.Receipt, altered("the receipt of the erasure: %w", err)
		}
	}
	return j.Receipt, nil
}

// retentionJSON is a run of a policy, or its plan, as the server gives it.
type retentionJSON struct {
	Digest  string `json:"policy_digest"`
	Time    moment `json:"time"`
	Entries ranges `json:"entries"`
	Bytes   uint64 `json:"bytes"`
	Rules   []struct {
		Name   string `json:"name"`
		Before moment `json:"before"`
		Count  uint64 `json:"count"`
	} `json:"rules"`
	Held      []heldJSON `json:"held"`
	Events    []uint64   `json:"events"`
	First     uint64     `json:"first_index"`
	Pruned    ranges     `json:"pruned"`
	Minimum   uint64     `json:"minimum_index"`
	NotPruned string     `json:"not_pruned"`

	Request *pendingJSON `json:"request"`
}

// policyVersion is that of the files of policies (docs/retention.md).
const policyVersion = 1

// retention asks for a policy to be planned or applied.
func (t *Trail) retention(ctx context.Context, policy retention.Policy, r request) (*custody.RetentionRun, error) {
	if err := policy.Validate(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(struct { // JSON is YAML
		Version int `json:"version"`
		retention.Policy
	}{policyVersion, policy})
	if err != nil {
		return nil, err
	}
	r.method, r.body, r.long = http.MethodPost, map[string]string{"policy": string(text)}, true
	var j retentionJSON
	if err := t.conn.json(ctx, r, &j); err != nil {
		return nil, err
	}
	if err := j.Request.pending(); err != nil {
		return nil, err
	}
	if j.Digest != policy.Digest() {
		return nil, altered("it is about another policy")
	}
	run := &custody.RetentionRun{Events: j.Events, RetentionPlan: custody.RetentionPlan{Policy: policy, Time: j.Time.Time, Payloads: j.Entries.Ranges, Bytes: j.Bytes,
		Held: coveredOf(j.Held), First: j.First, Minimum: j.Minimum, Pruned: j.Pruned.Ranges, Kept: j.NotPruned}}
	for _, rule := range j.Rules {
		run.Rules = append(run.Rules, custody.RetentionRule{Name: rule.Name, Cutoff: rule.Before.Time, Count: rule.Count})
	}
	return run, nil
}

// PlanRetention finds out what a policy would remove, as custody.Trail.PlanRetention
// does. Of the holds in Held only ID and Reason are known.
func (t *Trail) PlanRetention(ctx context.Context, policy retention.Policy) (*custody.RetentionPlan, error) {
	run, err := t.retention(ctx, policy, request{path: t.path("retention", "plan")})
	if err != nil {
		return nil, err
	}
	return &run.RetentionPlan, nil
}

// ApplyRetention removes what PlanRetention lists, as custody.Trail.ApplyRetention
// does, in the name of whose token it is: the name given is not sent. Where the server
// asks for a second person it fails with a *[PendingError].
func (t *Trail) ApplyRetention(ctx context.Context, policy retention.Policy, _ string) (*custody.RetentionRun, error) {
	return t.retention(ctx, policy, request{path: t.path("retention", "apply"), once: true})
}
