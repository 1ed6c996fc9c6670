package server

import (
	"context"
	"sync"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/agents"
	"github.com/custodylog/custody/internal/joiner"
	"github.com/custodylog/custody/internal/stops"
	"github.com/custodylog/custody/internal/trails"
)

// watched is what the server knows of the agents of one trail.
type watched struct {
	*agents.Recorder
	stops   *stops.Set
	exports chan struct{} // holds one for each export that is read and recorded
}

// maxExports is how many exports of a trail are read and recorded at a time. In memory
// each may have many times the bytes that it was sent with.
const maxExports = 2

// agentTrails has the trails that agents are recorded in.
type agentTrails struct {
	mu     sync.Mutex
	byName map[string]watched // guarded by mu
}

// watchAgents has the agents of every trail that can be written recorded.
func (s *Server) watchAgents() error {
	s.agents.byName = map[string]watched{}
	return s.trails.Attend(func(t *trails.Trail) error {
		if t.Err != nil || t.Name == trails.System {
			return nil
		}
		active, err := stops.Open(s.stopped, t.Trail)
		if err != nil {
			return err
		}
		w := watched{agents.New(t.Trail, joiner.Options{}), active, make(chan struct{}, maxExports)}
		s.agents.mu.Lock()
		s.agents.byName[t.Name] = w
		s.agents.mu.Unlock()
		s.working.Go(func() {
			w.Run(s.stopped, func(err error) {
				s.log.Error("custody: calls without an end are not recorded", "trail", t.Name, "err", err)
			})
		})
		return nil
	})
}

// agentsOf returns what is known of the agents of a trail that can be written.
func (s *Server) agentsOf(name string) (*trails.Trail, watched, error) {
	t, err := s.writable(name)
	if err != nil {
		return nil, watched{}, err
	}
	return t, s.agents.of(name), nil
}

// of returns what is known of the agents of a trail: nothing of one that cannot be
// written, and of [trails.System].
func (a *agentTrails) of(name string) watched {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byName[name]
}

// recordSightings records what was seen of agents. Sightings of agents that the sender
// may not record for are refused, all of them.
func (s *Server) recordSightings(ctx context.Context, t *trails.Trail, w watched, seen []sighting.Sighting) ([]custody.Receipt, []agents.Refusal, error) {
	admit := s.admitsUnsigned(ctx, t)
	for i := range seen {
		if err := admit(&seen[i].Event); err != nil {
			return nil, nil, err
		}
	}
	ctx, cancel := context.WithTimeout(asSender(ctx), s.limits.Request)
	defer cancel()
	receipts, refused, err := w.RecordAdmitted(ctx, seen, admit)
	for i := range refused {
		s.refuse(ctx, t.Name, refused[i].Err)
	}
	return receipts, refused, err
}
