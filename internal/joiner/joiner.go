// Package joiner joins what several paths saw of the same calls into one action for
// each call (package sighting), and tells of calls of which nothing says how they ended.
//
// All it knows is in the events that it made: whoever starts again shows it those
// ([Joiner.Replay]), and it goes on where it was.
package joiner

import (
	"cmp"
	"crypto/rand"
	"maps"
	"slices"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/sighting"
)

// Options say how long to wait. Zero means the default.
type Options struct {
	// Grace is how long after the end of a turn or session a path that is late may
	// still tell how a call ended. Default: 15 s.
	Grace time.Duration

	// Timeout is how long a call may take without an end. Default: 1 hour.
	Timeout time.Duration

	// Memory is how long a call that has ended is known, so that sightings that come
	// late are joined to it. Default: 1 hour.
	Memory time.Duration

	// NewID gives ids to actions whose calls have none. Default: random ones.
	NewID func() string
}

// maxActions bounds how many actions are known at a time. Beyond it the oldest are
// forgotten: what is seen of them later makes actions of its own, and those that were
// open are told of as unresolved.
const maxActions = 100_000

// skew is how far apart the clocks of two paths may be.
const skew = 2 * time.Second

// Joiner knows the calls of the last while. It is not safe for concurrent use.
type Joiner struct {
	opts Options
	most int // maxActions

	byID   map[string]*action   // by the id of the action
	byOwn  map[own]*action      // by the id that a path gives it
	byTool map[string][]*action // by the name that all paths know; oldest first
	open   map[*action]bool
	all    []*action          // oldest first
	lost   map[string]*action // by id; open when they were forgotten, and not told of yet
}

// New returns a joiner that knows of no call.
func New(o Options) *Joiner {
	o.Grace, o.Timeout, o.Memory = cmp.Or(o.Grace, 15*time.Second), cmp.Or(o.Timeout, time.Hour), cmp.Or(o.Memory, time.Hour)
	if o.NewID == nil {
		o.NewID = func() string { return "call-" + rand.Text() }
	}
	return &Joiner{opts: o, most: maxActions, byID: map[string]*action{}, byOwn: map[own]*action{}, byTool: map[string][]*action{}, open: map[*action]bool{}, lost: map[string]*action{}}
}

// Join returns the events to record for a sighting, in order: none where all that it
// says is recorded already. bound are the only agents that whoever sends it may act for;
// none: it may act for all. It is not joined to what is of another agent.
func (j *Joiner) Join(now time.Time, s sighting.Sighting, bound ...string) []event.Event {
	j.forget(now)
	e := s.Event
	by := sender{e.AgentID, bound}
	if s.Call == nil {
		j.end(e.SessionID, s.Ends, by, now)
		return []event.Event{e}
	}
	at := now
	if t := custody.OccurredAt(&e); !t.IsZero() {
		at = t
	}
	a, id := j.find(s.Call, &e, by, at)
	if a == nil {
		if id == "" && j.byID[e.ActionID] == nil {
			id = e.ActionID
		}
		a = j.add(id, s.Call, e.Source, at)
		a.bound = bound
	}
	a.changed = now
	a.know(s.Call, &e)
	j.own(a, &e)
	e.ActionID, e.SessionID, e.AgentID, e.ProjectID = a.id, cmp.Or(e.SessionID, a.session), cmp.Or(e.AgentID, a.agent), cmp.Or(e.ProjectID, a.project)
	events := a.take(s.Call.Phase, e, at)
	j.settle(a)
	j.end(e.SessionID, s.Ends, by, now)
	return events
}

// named returns the id that a call gives its action, if any, and the action that has it.
// Where two sessions have the same id, it is made unique by the session of the later one,
// and where two agents that are not to be joined have it, by the later agent.
func (j *Joiner) named(c *sighting.Call, by sender) (a *action, id string) {
	id = c.ActionID()
	if id == "" {
		return nil, ""
	}
	own := c.Session + "/" + id
	if a := j.byID[own]; a != nil && a.isFor(by) {
		return a, own
	}
	a = j.byID[id]
	switch {
	case a == nil:
		return nil, id
	case a.elsewhere(c) && j.byID[own] == nil:
		return nil, own
	case !a.elsewhere(c) && a.isFor(by):
		return a, id
	}
	id = by.agent + "/" + id
	if a = j.byID[id]; a != nil && (!a.isFor(by) || a.elsewhere(c)) {
		return nil, "" // somebody has chosen that id for theirs
	}
	return a, id
}

// find returns the action that a call is, or nil, and the id that the call gives it, if
// any.
func (j *Joiner) find(c *sighting.Call, e *event.Event, by sender, at time.Time) (*action, string) {
	a, id := j.named(c, by)
	switch {
	case a != nil && (e.ActionID == "" || a.own[e.Source] == "" || a.own[e.Source] == e.ActionID):
		return a, id
	case a != nil:
		id = "" // the path has another call by it
	}
	if a := j.byOwn[own{e.Source, e.ActionID}]; a != nil && a.isFor(by) {
		return a, id
	}
	tool, _ := c.Name()
	var found, other *action
	for _, a := range j.byTool[tool] {
		switch {
		case !a.isFor(by), !a.mayBe(c, e.Source, at), e.ActionID != "" && a.own[e.Source] != "": // which the path tells apart
		case a.steps[c.Phase].kind != "" && a.steps[c.Phase].kind != e.Type:
			other = cmp.Or(other, a) // that ended otherwise, as far as is known
		case found == nil || c.Phase == sighting.Asked:
			// The oldest; but somebody is asked right after the agent wants it.
			found = a
		}
	}
	if found = cmp.Or(found, other); found != nil && id != "" {
		j.alias(found, c, id)
	}
	return found, id
}

// alias has an action known by the id that a call gives it, too.
func (j *Joiner) alias(a *action, c *sighting.Call, id string) {
	a.call, a.alias = c.ID, id
	j.byID[id] = a
}

// own is the id by which a path that sees none of the agent's tells its calls apart.
type own struct{ path, id string }

// own keeps that a path gives an action that id, if it gives it one that no other has.
func (j *Joiner) own(a *action, e *event.Event) {
	key := own{e.Source, e.ActionID}
	if e.ActionID != "" && a.own[e.Source] == "" && j.byOwn[key] == nil {
		a.own[e.Source] = e.ActionID
		j.byOwn[key] = a
	}
}

// add begins an action. Without an id it gets one.
func (j *Joiner) add(id string, c *sighting.Call, path string, at time.Time) *action {
	a := &action{id: id, call: c.ID, path: path, began: at, seen: map[string]phases{}, own: map[string]string{}, said: map[claim]bool{}}
	if id == "" {
		a.id = j.opts.NewID()
	}
	a.tool, _ = c.Name()
	delete(j.lost, a.id)
	j.byID[a.id] = a
	j.byTool[a.tool] = append(j.byTool[a.tool], a)
	j.all = append(j.all, a)
	return a
}

// settle keeps apart the actions that are waited for.
func (j *Joiner) settle(a *action) {
	if a.isOpen() {
		j.open[a] = true
	} else {
		delete(j.open, a)
	}
}

// end sets until when the ends of a session's calls are waited for.
func (j *Joiner) end(session string, what sighting.Ending, by sender, now time.Time) {
	if what == sighting.Nothing || session == "" {
		return
	}
	for a := range j.open {
		if a.session == session && a.due.IsZero() && a.isFor(by) {
			a.due, a.closedBy = now.Add(j.opts.Grace), string(what)
		}
	}
}

// Unresolved returns an event for each call of which nothing has told how it ended,
// although its turn or session is over or it takes too long.
func (j *Joiner) Unresolved(now time.Time) []event.Event {
	var events []event.Event
	unresolved := func(a *action, by string) {
		details := map[string]any{"tool_name": a.tool, "waited_ms": max(0, now.Sub(a.began).Milliseconds()), "closed_by": by}
		events = append(events, event.Event{Type: event.ActionUnresolved, ActionID: a.id, SessionID: a.session, ProjectID: a.project, AgentID: a.agent, Outcome: event.OutcomeUnknown, Source: a.path, Details: details})
	}
	for _, id := range slices.Sorted(maps.Keys(j.lost)) {
		unresolved(j.lost[id], "too_many")
	}
	clear(j.lost)
	for _, a := range j.all {
		if !j.open[a] {
			continue
		}
		by := a.closedBy
		if by == "" && now.Sub(a.changed) >= j.opts.Timeout {
			by = "timeout"
		} else if by == "" || now.Before(a.due) {
			continue
		}
		a.unresolved, a.changed = true, now
		delete(j.open, a)
		unresolved(a, by)
	}
	return events
}

// forget drops the oldest actions where they are not needed any more.
func (j *Joiner) forget(now time.Time) {
	for len(j.all) > 0 {
		a := j.all[0]
		if len(j.all) <= j.most && (j.open[a] || now.Sub(a.changed) < j.opts.Memory) {
			return
		}
		j.all[0] = nil
		j.all = j.all[1:]
		if j.open[a] {
			j.lost[a.id] = a
		}
		delete(j.open, a)
		for _, id := range []string{a.id, a.alias} {
			if j.byID[id] == a {
				delete(j.byID, id)
			}
		}
		for path, id := range a.own {
			delete(j.byOwn, own{path, id})
		}
		if same := j.byTool[a.tool][1:]; len(same) > 0 { // a is the oldest of them as well
			j.byTool[a.tool] = same
		} else {
			delete(j.byTool, a.tool)
		}
	}
}

// Replay shows the joiner an event that is recorded, in the order of the trail.
func (j *Joiner) Replay(e *event.Event, recorded time.Time) {
	j.forget(recorded)
	switch e.Type {
	case event.TurnEnded:
		j.end(e.SessionID, sighting.Turn, sender{agent: e.AgentID}, recorded)
		return
	case event.SessionEnded:
		j.end(e.SessionID, sighting.Session, sender{agent: e.AgentID}, recorded)
		return
	case event.ActionUnresolved:
		delete(j.lost, e.ActionID)
		if a := j.byID[e.ActionID]; a != nil {
			a.unresolved, a.changed = true, recorded
			j.settle(a)
		}
		return
	}
	step := e.Type
	if e.Type == event.ActionObserved {
		step = event.Type(text(e, "step"))
	}
	phase, ok := sighting.PhaseOf(step)
	if !ok || e.ActionID == "" {
		return
	}
	c := sighting.Call{ID: text(e, "call_id"), Session: e.SessionID, Tool: text(e, "tool_name"), Input: text(e, "input_digest"), Phase: phase}
	at := recorded
	if t := custody.OccurredAt(e); !t.IsZero() {
		at = t
	}
	a := j.byID[e.ActionID]
	if a == nil {
		a = j.add(e.ActionID, &c, e.Source, at)
		if c.ID == "" {
			j.own(a, e) // as far as it was the path that began it
		}
	}
	a.changed = recorded
	a.know(&c, e)
	if other, id := j.named(&c, sender{agent: e.AgentID}); other == nil && id != "" {
		j.alias(a, &c, id)
	}
	if e.Type == event.ActionObserved {
		a.steps[phase].learn(e)
		a.says(phase, e, event.Type(cmp.Or(text(e, "event_type"), string(step))))
	} else {
		a.note(phase, e, at)
	}
	j.settle(a)
}

func text(e *event.Event, name string) string {
	s, _ := e.Details[name].(string)
	return s
}
