// Package stops tells whether an emergency stop holds for an agent, by the events of the
// trail alone: emergency_stop and emergency_stop_cleared.
package stops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// Stop is an emergency stop that holds.
type Stop struct {
	ID     string // of its event
	Index  uint64
	At     time.Time // when it was recorded
	Type   string    // "agent", "session", "project" or "global"
	By     string
	Reason string

	Agents  []string // that are stopped; for the type "agent"
	Session string
	Project string
}

// Of says whom is asked about. What is not known is empty.
type Of struct{ Agent, Session, Project string }

// covers reports whether the stop holds for whom is asked about.
func (s *Stop) covers(of Of) bool {
	switch {
	case s.Type == "agent" && len(s.Agents) > 0:
		return of.Agent != "" && slices.Contains(s.Agents, of.Agent)
	case s.Type == "session" && s.Session != "":
		return s.Session == of.Session
	case s.Type == "project" && s.Project != "":
		return s.Project == of.Project
	}
	return true // global, and one of which it is not clear how far it reaches
}

// Why tells an agent why it may not go on, because of a stop by somebody, for a reason.
// Both may be empty.
func Why(by, reason string) string {
	why := "an emergency stop holds"
	if by != "" {
		why += ", by " + by
	}
	if reason != "" {
		why += ": " + reason
	}
	return why
}

// Set has the stops of one trail. Its methods may be called from several goroutines.
type Set struct {
	trail *custody.Trail

	mu     sync.Mutex
	active []Stop // guarded by mu; oldest first
	next   uint64 // guarded by mu: the first entry that is not taken
}

// Open reads the stops of a trail, and follows it until the trail is closed.
func Open(ctx context.Context, t *custody.Trail) (*Set, error) {
	s, size := &Set{trail: t}, t.Size()
	if err := s.read(ctx, size); err != nil {
		return nil, err
	}
	t.AddHandler(func(_ context.Context, e custody.Entry) error { return s.take(&e) }, custody.HandlerOptions{Name: "stops", Query: custody.Query{Types: told, From: size}})
	return s, nil
}

// told are the types of the events of stops.
var told = []event.Type{event.EmergencyStop, event.EmergencyStopCleared}

// read takes in what is not taken of the entries before an index.
func (s *Set) read(ctx context.Context, before uint64) error {
	s.mu.Lock()
	q := custody.Query{Types: told, From: s.next, To: before}
	s.mu.Unlock()
	if q.From >= q.To {
		return nil
	}
	for e, err := range s.trail.Entries(ctx, q) {
		if err == nil {
			err = s.take(&e)
		}
		if err != nil {
			return fmt.Errorf("reading which emergency stops hold: %w", err)
		}
	}
	return nil
}

// take takes in an entry, unless it was taken before: who follows the trail and who
// reads it both show them in order. A stop whose payload is gone was lifted: until then
// the trail keeps it.
func (s *Set) take(entry *custody.Entry) error {
	var e event.Event
	if entry.Payload != nil {
		var err error
		if e, err = entry.Event(); err != nil {
			return err
		}
	}
	text := func(name string) string { v, _ := e.Details[name].(string); return v }
	s.mu.Lock()
	defer s.mu.Unlock()
	if entry.Index < s.next {
		return nil
	}
	s.next = entry.Index + 1
	if entry.Payload == nil {
		return nil
	}
	if e.Type == event.EmergencyStopCleared {
		id := text("stop_event_id")
		s.active = slices.DeleteFunc(s.active, func(a Stop) bool { return a.ID == id })
		return nil
	}
	stop := Stop{ID: e.ID, Index: entry.Index, At: entry.Time, Type: text("stop_type"), By: cmp.Or(text("triggered_by"), e.UserID), Reason: text("reason"), Session: e.SessionID, Project: e.ProjectID}
	if e.AgentID != "" {
		stop.Agents = append(stop.Agents, e.AgentID)
	}
	if list, ok := e.Details["affected_agents"].([]any); ok {
		for _, v := range list {
			if id, ok := v.(string); ok {
				stop.Agents = append(stop.Agents, id)
			}
		}
	}
	s.active = append(s.active, stop)
	return nil
}

// Active returns the stops that hold, the oldest first.
func (s *Set) Active() []Stop {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.active)
}

// For returns a stop that holds for whom is asked about, or nil.
func (s *Set) For(of Of) *Stop {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.active {
		if s.active[i].covers(of) {
			stop := s.active[i]
			return &stop
		}
	}
	return nil
}

// Wait returns when the entry with that index, a stop or its end, is taken in: what is
// asked from then on is answered by it. It waits for nobody who follows the trail, and
// fails where the trail cannot be read.
func (s *Set) Wait(ctx context.Context, index uint64) error {
	if err := s.read(ctx, index+1); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next <= index {
		return fmt.Errorf("the trail has no entry %d that is an emergency stop or the end of one", index)
	}
	return nil
}

// LastAction returns the last thing that ran in spite of a stop, or nil.
func LastAction(ctx context.Context, t *custody.Trail, s *Stop) (*custody.Entry, error) {
	if s.Type == "agent" && len(s.Agents) > 0 {
		last, err := t.LastAction(ctx, s.Agents, s.Index+1)
		switch {
		case errors.Is(err, custody.ErrNotFound):
			return nil, nil
		case err != nil:
			return nil, err
		}
		return &last, nil
	}
	q := custody.Query{Types: []event.Type{event.ActionExecuted, event.ActionFailed}, From: s.Index + 1, Newest: true, Limit: 1}
	switch s.Type {
	case "session":
		q.SessionID = s.Session
	case "project":
		q.ProjectID = s.Project
	}
	for e, err := range t.Entries(ctx, q) {
		if err != nil {
			return nil, err
		}
		return &e, nil
	}
	return nil, nil
}
