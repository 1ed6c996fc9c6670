package mcprecorder

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/ingest/mcp"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/agents"
	"github.com/custodylog/custody/internal/joiner"
	"github.com/custodylog/custody/internal/stops"
)

const (
	gateTimeout   = 500 * time.Millisecond
	recordTimeout = 10 * time.Second
)

// Sink is where sightings are recorded. Its methods may be called from several
// goroutines.
type Sink interface {
	// Record records sightings in order, and returns when they are on the disk. Those
	// that are refused, by their position, do not keep the others out. What fails may
	// be recorded again.
	Record(context.Context, []sighting.Sighting) (refused map[int]error, err error)

	// Stopped returns an emergency stop that holds, or nil.
	Stopped(context.Context, mcp.Actor) (*Stop, error)
}

// Stop is an emergency stop.
type Stop struct{ ID, By, Reason string }

// why says why a call is refused.
func (s *Stop) why() string {
	return stops.Why(s.By, s.Reason)
}

// Trail is a sink that is a trail in a directory.
type Trail struct {
	recorder *agents.Recorder
	stops    *stops.Set
	cancel   context.CancelFunc
	done     chan struct{}
}

// NewTrail returns the sink that is a trail, which is open for writing.
func NewTrail(ctx context.Context, t *custody.Trail, log *slog.Logger) (*Trail, error) {
	active, err := stops.Open(ctx, t)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Trail{agents.New(t, joiner.Options{}), active, cancel, make(chan struct{})}
	go func() {
		defer close(s.done)
		s.recorder.Run(ctx, func(err error) {
			log.Error("custody: calls without an end are not recorded", "err", err)
		})
	}()
	return s, nil
}

// Close ends the work of the sink. The trail stays open.
func (s *Trail) Close() {
	s.cancel()
	<-s.done
}

// Record implements [Sink].
func (s *Trail) Record(ctx context.Context, seen []sighting.Sighting) (map[int]error, error) {
	_, refused, err := s.recorder.Record(ctx, seen)
	return byPosition(refused, func(r agents.Refusal) (int, error) { return r.Position, r.Err }), err
}

// Stopped implements [Sink].
func (s *Trail) Stopped(_ context.Context, a mcp.Actor) (*Stop, error) {
	stop := s.stops.For(stops.Of(a))
	if stop == nil {
		return nil, nil
	}
	return &Stop{stop.ID, stop.By, stop.Reason}, nil
}

// Server is a sink that is a trail of a server, which joins what it is told with what
// hooks and telemetry tell.
type Server struct {
	server *client.Server
	trail  string
}

// NewServer returns the sink that is a trail of a server. The server should not try again
// by itself what fails.
func NewServer(s *client.Server) *Server { return &Server{s, s.TrailName()} }

// Record implements [Sink].
func (s *Server) Record(ctx context.Context, seen []sighting.Sighting) (map[int]error, error) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	refused, err := s.server.RecordSightings(ctx, s.trail, seen)
	switch {
	case !neverTaken(err):
	case len(seen) == 1:
		return map[int]error{0: err}, nil
	default: // which one it is, is seen one by one
		all := map[int]error{}
		for i := range seen {
			one, err := s.Record(ctx, seen[i:i+1])
			if err != nil {
				return nil, err // those before it are known to the server, which takes them once
			}
			if one[0] != nil {
				all[i] = one[0]
			}
		}
		return all, nil
	}
	return byPosition(refused, func(r client.SightingRefusal) (int, error) { return r.Position, refusal(r.Detail) }), err
}

// neverTaken reports whether a server does not take a request, however often it is sent.
func neverTaken(err error) bool {
	var p *client.Problem
	if !errors.As(err, &p) {
		return false
	}
	switch p.Status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return p.Code == codeAgent
}

// codeAgent is the code of a problem: the token is bound to other agents.
const codeAgent = "agent"

// Stopped implements [Sink].
func (s *Server) Stopped(ctx context.Context, a mcp.Actor) (*Stop, error) {
	stop, err := s.server.Gate(ctx, s.trail, a.Agent, a.Session, a.Project)
	if stop == nil || err != nil {
		return nil, err
	}
	return &Stop{stop.ID, stop.By, stop.Reason}, nil
}

// refusal is why a server did not record a sighting.
type refusal string

func (r refusal) Error() string { return string(r) }

func byPosition[R any](refused []R, of func(R) (int, error)) map[int]error {
	if len(refused) == 0 {
		return nil
	}
	all := map[int]error{}
	for _, r := range refused {
		at, err := of(r)
		all[at] = err
	}
	return all
}
