package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/trails"
)

// Rule raises an alert when Count events that match were recorded in one trail within
// Window, by the times of their entries.
type Rule struct {
	Name     string
	Trails   []string          // empty: all
	Types    []event.Type      // empty: all
	Severity event.Severity    // the least; empty: any
	Where    map[string]string // members of the event and their values; all have to be so
	Count    int               // 0: 1
	Window   time.Duration     // 0: a minute

	// Cooldown is how long after an alert there is no other one. What matches
	// meanwhile counts for the next. 0: a minute.
	Cooldown time.Duration
}

func (r Rule) withDefaults() Rule {
	if r.Count == 0 {
		r.Count = 1
	}
	if r.Window == 0 {
		r.Window = time.Minute
	}
	if r.Cooldown == 0 {
		r.Cooldown = time.Minute
	}
	return r
}

// digest tells rules apart that have one name after the other.
func (r *Rule) digest() string {
	b, _ := json.Marshal(r) // it has nothing that cannot be written
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func (r *Rule) watches(trail string) bool {
	return len(r.Trails) == 0 || slices.Contains(r.Trails, trail)
}

// matches reports whether an event of a trail is one that the rule counts. Events about
// alerts are not, or alerts would lead to alerts.
func (r *Rule) matches(e *event.Event) bool {
	if e.Type == event.AlertRaised || e.Type == event.AlertFailed || len(r.Types) > 0 && !slices.Contains(r.Types, e.Type) {
		return false
	}
	if r.Severity != "" && !severityOf(e).AtLeast(r.Severity) {
		return false
	}
	for name, want := range r.Where {
		if member(e, name) != want {
			return false
		}
	}
	return true
}

// severityOf returns the severity that an event states, or that of its type.
func severityOf(e *event.Event) event.Severity {
	if e.Severity != "" {
		return e.Severity
	}
	if spec, ok := event.Lookup(e.Type); ok {
		return spec.SeverityOf(e.Details)
	}
	return event.SeverityInfo
}

// member returns what a rule can look at, by its name in the event.
func member(e *event.Event, name string) string {
	switch name {
	case "agent_id":
		return e.AgentID
	case "session_id":
		return e.SessionID
	case "project_id":
		return e.ProjectID
	case "user_id":
		return e.UserID
	case "decision":
		return string(e.Decision)
	case "outcome":
		return string(e.Outcome)
	case "tool_name":
		tool, _ := e.Details["tool_name"].(string)
		return tool
	}
	return ""
}

// query returns the least that has to be read of a trail for some rules.
func query(rules []Rule) custody.Query {
	var q custody.Query
	for i := range rules {
		if len(rules[i].Types) == 0 {
			return custody.Query{}
		}
		q.Types = append(q.Types, rules[i].Types...)
	}
	slices.Sort(q.Types)
	q.Types = slices.Compact(q.Types)
	return q
}

// window is how far a rule has come in one trail. It is a value: what it holds is never
// changed, so that a step that failed can be done again.
type window struct {
	Digest string      `json:"digest"`          // of the rule
	Times  []time.Time `json:"times,omitempty"` // of events that count for the next alert, the newest last
	Last   *Raised     `json:"last,omitempty"`  // the alert before
	Told   time.Time   `json:"told,omitzero"`   // when that was raised, by the clock of the server
}

// add counts an event that was recorded at a time, and returns how many make an alert, or
// 0. now is the time by the clock of the server.
func (w window) add(r *Rule, at, now time.Time) (window, int) {
	if digest := r.digest(); w.Digest != digest {
		w = window{Digest: digest} // a rule that was changed counts anew
	}
	recent := w.Times
	for len(recent) > 0 && (at.Sub(recent[0]) >= r.Window || len(recent) >= r.Count) {
		recent = recent[1:]
	}
	w.Times = append(slices.Clone(recent), at)
	if len(w.Times) < r.Count || w.cools(r, at, now) {
		return w, 0
	}
	w.Times, w.Told = nil, now
	return w, r.Count
}

// cools reports whether the alert before is too recent for another one, by the times of
// entries: so the same entries raise the same alerts, whenever they are read. But
// entries never go back in time. Where they are later than the clock, which was set
// back, their time stands still until that is caught up with, and would let nobody be
// told for as long; there it goes by the clock.
func (w *window) cools(r *Rule, at, now time.Time) bool {
	if w.Last == nil {
		return false
	}
	since := at.Sub(w.Last.Time)
	if at.After(now) {
		since = now.Sub(w.Told).Abs()
	}
	return since < r.Cooldown
}

// Raised is an alert that a rule raised.
type Raised struct {
	ID       string         `json:"id"` // the same whenever the same trail is read
	Rule     string         `json:"rule"`
	Trail    string         `json:"trail"`
	Origin   string         `json:"origin"` // of the trail
	Index    uint64         `json:"index"`  // of the event that it was raised by
	Time     time.Time      `json:"time"`   // at which that was recorded
	Type     event.Type     `json:"event_type"`
	Severity event.Severity `json:"severity"`
	Count    int            `json:"count"` // events that matched within the window
	WindowMS int64          `json:"window_ms"`
}

// count counts an entry that matches a rule, and returns the alert that it raises, if it
// does.
func (w window) count(r *Rule, t *trails.Trail, e *custody.Entry, severity event.Severity, now time.Time) (window, *Raised) {
	w, n := w.add(r, e.Time, now)
	if n == 0 {
		return w, nil
	}
	w.Last = &Raised{ID: idOf("rule", t.Origin(), r.Name, e.Hash.String()), Rule: r.Name, Trail: t.Name, Origin: t.Origin(), Index: e.Index, Time: e.Time,
		Type: e.Type, Severity: severity, Count: n, WindowMS: r.Window.Milliseconds()}
	return w, w.Last
}

// idOf makes an id of what it stands for.
func idOf(parts ...string) string {
	b, _ := json.Marshal(parts)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
