package joiner

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/sighting"
)

// action is what is known of one call.
type action struct {
	id      string
	call    string // the agent's id of it; empty: it has none
	alias   string // by which else it is known; empty: none
	session string // empty: not known yet
	agent   string
	project string // empty: not known yet
	tool    string // as all paths know it
	input   string // digest; empty: not known yet
	path    string // that saw it first

	bound []string // the only agents that whoever saw it first may act for; none: all of them

	began   time.Time // when the first path says that it saw it
	ended   time.Time // and when the end
	changed time.Time // when something was heard of it last

	due        time.Time // when its turn or session has been over for long enough
	closedBy   string
	unresolved bool // that was told
	endless    bool // nothing will tell how it ended

	seen  map[string]phases // by path
	own   map[string]string // by path: the id that it gives the action
	said  map[claim]bool    // what each path says
	steps [sighting.Finished + 1]step
}

// phases are those that a path has seen.
type phases uint8

func (p phases) has(ph sighting.Phase) bool    { return p&(1<<ph) != 0 }
func (p phases) with(ph sighting.Phase) phases { return p | 1<<ph }

// step is what is recorded of a phase.
type step struct {
	kind     event.Type // empty: nothing
	decision event.Decision
	source   event.DecisionSource
	outcome  event.Outcome
	took     bool // how long is known
}

// claim is what a path says of a phase.
type claim struct {
	path  string
	phase sighting.Phase
	input string // digest
	step
}

// says keeps what a path says of a phase, and reports whether it said so before.
func (a *action) says(phase sighting.Phase, e *event.Event, kind event.Type) (again bool) {
	c := claim{e.Source, phase, text(e, "input_digest"), step{kind: kind, decision: e.Decision, source: e.DecisionSource, outcome: e.Outcome}}
	again = a.said[c]
	a.said[c] = true
	a.seen[e.Source] = a.seen[e.Source].with(phase)
	return again
}

// mayBe reports whether a call that a path tells of may be this action, where no id
// says so.
func (a *action) mayBe(c *sighting.Call, path string, at time.Time) bool {
	p := a.seen[path]
	switch {
	case a.elsewhere(c),
		a.input != "" && c.Input != "" && a.input != c.Input,
		a.call != "" && c.ID != "" && a.call != c.ID: // the path by which it is known has another id
		return false
	case p.has(c.Phase), c.Phase == sighting.Requested && p != 0:
		return false // the path tells of another call
	case at.Before(a.began.Add(-skew)), !a.ended.IsZero() && at.After(a.ended.Add(skew)):
		return false
	case c.Phase == sighting.Asked || c.Phase == sighting.Answered:
		return a.isOpen()
	}
	return true
}

// sender is whoever sends a sighting.
type sender struct {
	agent string   // that it names; empty: none
	bound []string // as in [Joiner.Join]
}

// isFor reports whether what somebody sends may be of the action: neither they nor whoever
// began it act for an agent that is not theirs. Whether somebody is bound is not known of
// what was recorded before a start.
func (a *action) isFor(by sender) bool {
	return mayName(by.bound, a.agent) && mayName(a.bound, by.agent)
}

// mayName reports whether somebody who is bound to agents acts for one; empty: for whom is
// not known.
func mayName(bound []string, agent string) bool {
	return len(bound) == 0 || agent == "" || slices.Contains(bound, agent)
}

// elsewhere reports whether a call is one of another session.
func (a *action) elsewhere(c *sighting.Call) bool {
	return a.session != "" && c.Session != "" && a.session != c.Session
}

// know takes over what the action did not know of itself.
func (a *action) know(c *sighting.Call, e *event.Event) {
	a.session, a.input, a.agent = cmp.Or(a.session, c.Session, e.SessionID), cmp.Or(a.input, c.Input), cmp.Or(a.agent, e.AgentID)
	a.project = cmp.Or(a.project, e.ProjectID)
	a.endless = a.endless || c.Endless || e.Details["endless"] == true
}

func (a *action) isOpen() bool {
	return a.steps[sighting.Requested].kind != "" && a.steps[sighting.Finished].kind == "" &&
		a.steps[sighting.Decided].kind != event.ActionDenied && !a.unresolved && !a.endless
}

// take returns the events to record for what a path tells of a phase.
func (a *action) take(phase sighting.Phase, e event.Event, at time.Time) []event.Event {
	if phase == sighting.Asked || phase == sighting.Answered {
		e.Details = with(e.Details, "approval_id", a.id+"/approval")
	}
	if a.steps[phase].kind != "" {
		observed, ok := a.observed(phase, &e)
		if !ok {
			return nil
		}
		return []event.Event{observed}
	}
	var events []event.Event
	if answer, ok := a.answer(phase, &e); ok {
		a.note(sighting.Answered, &answer, at)
		events = append(events, answer)
	}
	a.note(phase, &e, at)
	return append(events, e)
}

// note keeps what is recorded of a phase.
func (a *action) note(phase sighting.Phase, e *event.Event, at time.Time) {
	a.says(phase, e, e.Type)
	_, took := e.Details["execution_time_ms"]
	a.steps[phase] = step{e.Type, e.Decision, e.DecisionSource, e.Outcome, took}
	if phase == sighting.Finished {
		a.ended = at
	}
}

// learn takes over what was not known of the step.
func (s *step) learn(e *event.Event) {
	_, took := e.Details["execution_time_ms"]
	s.decision, s.source, s.outcome, s.took = cmp.Or(s.decision, e.Decision), cmp.Or(s.source, e.DecisionSource), cmp.Or(s.outcome, e.Outcome), s.took || took
}

// answer returns the answer to an approval that somebody was asked for, where a
// decision of a person is all that tells of it.
func (a *action) answer(phase sighting.Phase, e *event.Event) (event.Event, bool) {
	if phase != sighting.Decided || a.steps[sighting.Asked].kind == "" || a.steps[sighting.Answered].kind != "" || !strings.HasPrefix(string(e.DecisionSource), "user_") {
		return event.Event{}, false
	}
	answer := *e
	answer.ID, answer.SourceSeq = "", nil // the number is that of e
	if e.ID != "" {
		answer.ID = e.ID + "/answer"
	}
	answer.Type, answer.Details = event.ApprovalGranted, map[string]any{
		"approval_id": a.id + "/approval", "decided_by": cmp.Or(e.UserID, "user"), "approver_kind": "human", "tool_name": e.Details["tool_name"], "input_digest": a.input,
	}
	if e.DecisionSource == event.ByUserAlways {
		answer.Details["scope"] = "always"
	}
	if e.Type == event.ActionDenied {
		answer.Type = event.ApprovalDenied
		answer.Details["reason"] = string(e.DecisionSource)
		answer.Details["interrupt"] = e.DecisionSource == event.ByUserAbort
	}
	return answer, true
}

// observed returns an event with what a path tells of a phase that is recorded, where
// it knows more than is recorded, or something else, and has not said so before.
func (a *action) observed(phase sighting.Phase, e *event.Event) (event.Event, bool) {
	s := &a.steps[phase]
	var contradicts []string
	for _, v := range []struct{ name, have, says string }{
		{"event_type", string(s.kind), string(e.Type)},
		{"decision", string(s.decision), string(e.Decision)},
		{"decision_source", string(s.source), string(e.DecisionSource)},
		{"outcome", string(s.outcome), string(e.Outcome)},
	} {
		if v.have != "" && v.says != "" && v.have != v.says && !(v.name == "decision_source" && byPolicyHook(v.have, v.says)) {
			contradicts = append(contradicts, v.name)
		}
	}
	before, input := a.seen[e.Source].has(phase), text(e, "input_digest")
	if before && phase == sighting.Requested && a.input != "" && input != "" && a.input != input {
		contradicts = append(contradicts, "input_digest")
	}
	known := *s
	s.learn(e)
	if again := a.says(phase, e, e.Type); again || len(contradicts) == 0 && (before || *s == known) {
		return event.Event{}, false
	}
	o := *e
	o.Type, o.Severity, o.Details = event.ActionObserved, "", with(e.Details, "step", string(s.kind))
	if len(contradicts) > 0 {
		o.Severity = event.SeverityWarning
		o.Details["contradicts"] = contradicts
		o.Details["event_type"] = string(e.Type)
	}
	return o, true
}

// byPolicyHook reports whether one decision is meant: a policy that decides by the
// agent's hook is a hook to the agent.
func byPolicyHook(a, b string) bool {
	policy, hook := string(event.ByPolicy), string(event.ByHook)
	return a == policy && b == hook || a == hook && b == policy
}

// with returns a copy of details with one more, where it is not there.
func with(details map[string]any, name string, value any) map[string]any {
	d := maps.Clone(details)
	if d == nil {
		d = map[string]any{}
	}
	if d[name] == nil {
		d[name] = value
	}
	return d
}
