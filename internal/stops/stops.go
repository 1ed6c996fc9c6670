// Package stops tells whether an emergency stop holds for an agent, by the events of the
// trail alone: emergency_stop and emergency_stop_cleared.
package stops

import (
	"cmp"
	"context"
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
	switch s.Type {
	case "agent":
		return of.Agent != "" && slices.Contains(s.Agents, of.Agent)
	case "session":
		return of.Session != "" && s.Session == of.Session
	case "project":
		return of.Project != "" && s.Project == of.Project
	}
	return true // global, and one of which it is not clear how far it reaches
}

// Set has the stops of one trail. Its methods may be called from several goroutines.
type Set struct {
	mu     sync.Mutex
	active []Stop        // guarded by mu; oldest first
	next   uint64        // guarded by mu: the first entry that is not taken
	moved  chan struct{} // guarded by mu: closed when next has moved
}

// Open reads the stops of a trail, and follows it until the trail is closed.
func Open(ctx context.Context, t *custody.Trail) (*Set, error) {
	s := &Set{moved: make(chan struct{}), next: t.Size()}
	q := custody.Query{Types: []event.Type{event.EmergencyStop, event.EmergencyStopCleared}, To: s.next}
	if s.next > 0 {
		for e, err := range t.Entries(ctx, q) {
			if err != nil {
				return nil, err
			}
			if err := s.take(&e); err != nil {
				return nil, err
			}
		}
	}
	q.From, q.To = s.next, 0
	t.AddHandler(func(_ context.Context, e custody.Entry) error {
		err := s.take(&e)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.next = e.Index + 1
		close(s.moved)
		s.moved = make(chan struct{})
		return err
	}, custody.HandlerOptions{Name: "stops", Query: q})
	return s, nil
}

// take takes in an entry. One whose payload is gone holds no stop any more, which is why
// such payloads are kept as long as their stop is to hold.
func (s *Set) take(entry *custody.Entry) error {
	if entry.Payload == nil {
		return nil
	}
	e, err := entry.Event()
	if err != nil {
		return err
	}
	text := func(name string) string { v, _ := e.Details[name].(string); return v }
	s.mu.Lock()
	defer s.mu.Unlock()
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
// asked from then on is answered by it.
func (s *Set) Wait(ctx context.Context, index uint64) error {
	for {
		s.mu.Lock()
		next, moved := s.next, s.moved
		s.mu.Unlock()
		if next > index {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// LastAction returns the last thing that ran in spite of a stop, or nil.
func LastAction(ctx context.Context, t *custody.Trail, s *Stop) (*custody.Entry, error) {
	q := custody.Query{Types: []event.Type{event.ActionExecuted, event.ActionFailed}, From: s.Index + 1, Newest: true, Limit: 1}
	queries := []custody.Query{q}
	switch s.Type {
	case "session":
		queries[0].SessionID = s.Session
	case "project":
		queries[0].ProjectID = s.Project
	case "agent":
		queries = nil
		for _, id := range s.Agents {
			q.AgentID = id
			queries = append(queries, q)
		}
	}
	var last *custody.Entry
	for _, q := range queries {
		for e, err := range t.Entries(ctx, q) {
			if err != nil {
				return nil, err
			}
			if last == nil || e.Index > last.Index {
				last = &e
			}
		}
	}
	return last, nil
}
