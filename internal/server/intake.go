package server

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/recording"
	"github.com/custodylog/custody/internal/trails"
)

// intake bounds the bytes of events that are on their way into each trail. It is
// tighter than the trail's own bound, so that a request is refused before anything of
// it is taken.
type intake struct {
	limit int64
	mu    *sync.Mutex
	rooms map[string]*semaphore.Weighted // guarded by mu; by trail
}

func newIntake(limit int64) intake {
	return intake{limit: limit, mu: new(sync.Mutex), rooms: map[string]*semaphore.Weighted{}}
}

func (in *intake) room(trail string) *semaphore.Weighted {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.rooms[trail] == nil {
		in.rooms[trail] = semaphore.NewWeighted(in.limit)
	}
	return in.rooms[trail]
}

// enter takes room for some bytes. Where there is none it fails with custody.ErrFull.
func (in *intake) enter(trail string, bytes int) (leave func(), err error) {
	room, n := in.room(trail), min(int64(bytes), in.limit)
	if !room.TryAcquire(n) {
		return nil, custody.ErrFull
	}
	return func() { room.Release(n) }, nil
}

// readEvent reads one event as a producer sends it. What had to be interpreted is
// among its defects, or with strict refused.
func readEvent(text []byte, strict bool) (event.Event, error) {
	e, notes, err := event.Decode(text)
	if err != nil {
		return e, err
	}
	return noted(e, notes, strict)
}

// noted returns an event with what had to be interpreted of it among its defects, or
// with strict the error that it is refused with, where it breaks any rule.
func noted(e event.Event, notes []string, strict bool) (event.Event, error) {
	if !strict {
		e.Defects = append(e.Defects, notes...)
		return e, nil
	}
	if len(notes) > 0 {
		return e, &event.ValidationError{Problems: notes}
	}
	now := time.Now()
	checked := e
	if checked.ID == "" {
		checked.ID = "the trail gives one"
	}
	if checked.Timestamp.IsZero() {
		checked.Timestamp = now
	}
	_, err := checked.Normalize(event.Strict)
	return e, err
}

// claims refuses an event that names another agent than its sender may record for,
// and counts that.
func (s *Server) claims(ctx context.Context, t *trails.Trail, e *event.Event) error {
	p := auth.From(ctx)
	if (e.Type == event.EmergencyStop || e.Type == event.EmergencyStopCleared) && !p.May(auth.Stop, t.Name) {
		return newProblem(http.StatusForbidden, "forbidden", "%s may not stop agents, or let them go on, on trail %q; an administrator of the server gives permissions", p.Name, t.Name)
	}
	if p.MayClaim(e.AgentID) {
		return nil
	}
	s.refused.add(refusedBy{p.Name, t.Name, codeAgent}, e.AgentID)
	fault := newProblem(http.StatusForbidden, codeAgent, "%s may not record for agent %q; it is bound to others", p.Name, e.AgentID)
	fault.Errors = []Fault{{"body/agent_id", "not an agent of this sender"}}
	return fault
}

// result is what became of one event.
type result struct {
	receipt custody.Receipt
	err     error
}

// recordEach records events in order, each for itself: one that is refused does not
// keep the others out. The results are in the order of the events.
func recordEach(ctx context.Context, t *trails.Trail, events []event.Event) []result {
	if err := readOnly(t); err != nil { // since the stream began
		return slices.Repeat([]result{{err: err}}, len(events))
	}
	results := make([]result, 0, len(events))
	for len(results) < len(events) {
		receipts, err := recording.Record(ctx, t.Trail, events[len(results):])
		for _, r := range receipts {
			results = append(results, result{receipt: r})
		}
		switch {
		case err == nil:
		case recording.IsRefusal(err):
			results = append(results, result{err: err})
		default:
			for len(results) < len(events) {
				results = append(results, result{err: err})
			}
		}
	}
	return results
}

// writable returns a trail that events can be recorded in.
func (s *Server) writable(name string) (*trails.Trail, error) {
	t, err := s.trails.Get(name)
	if err != nil {
		return nil, err
	}
	if name == trails.System {
		return nil, newProblem(http.StatusForbidden, "system", "the server alone records in the trail %s; choose another one", name)
	}
	return t, readOnly(t)
}

// readOnly says why a trail cannot be changed, or nil.
func readOnly(t *trails.Trail) error {
	if err := t.Gone(); err != nil {
		return err
	}
	if t.Err == nil {
		return nil
	}
	p := newProblem(http.StatusServiceUnavailable, "read_only", "trail %s is open for reading only, since it could not be opened for writing: %s", t.Name, t.Err).again(60)
	p.err = t.Err
	return p
}
