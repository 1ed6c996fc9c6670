package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/dualcontrol"
	"github.com/custodylog/custody/internal/trails"
)

// removal is what the server removes by itself: what a second person has approved, and
// what outlives the policy of the configuration.
type removal struct {
	requests *dualcontrol.Requests // nil: a removal takes one person
	wake     chan struct{}         // has a value when a request was made or approved
	schedule *schedule
}

func newRemoval(requests *dualcontrol.Requests) removal {
	return removal{requests, make(chan struct{}, 1), &schedule{mu: new(sync.Mutex), running: map[*trails.Trail]*custody.RetentionSchedule{}}}
}

func (r *removal) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// retryRemoval is how long it takes until the server tries again what it could not do,
// and might be able to later.
const retryRemoval = time.Minute

// CarryOut begins to do what was approved when its time has come, until the server stops.
// It is to be called once, when the trail system tells that the server has started, so
// that nothing is removed before.
func (s *Server) CarryOut() {
	if s.removal.requests != nil {
		s.working.Go(s.carryOut)
	}
}

func (s *Server) carryOut() {
	for s.stopped.Err() == nil {
		timer := time.NewTimer(s.carryOutDue())
		select {
		case <-timer.C:
		case <-s.removal.wake:
		case <-s.stopped.Done():
		}
		timer.Stop()
	}
}

// carryOutDue does what is due, and returns how long to wait then.
func (s *Server) carryOutDue() time.Duration {
	requests := s.removal.requests
	problem := func(err error) bool {
		if err != nil && s.stopped.Err() == nil {
			s.log.Error("custody: a removal that was requested could not be done; it is tried again in a minute", "err", err)
		}
		return err != nil
	}
	failed := problem(requests.Expire(s.telling(s.stopped, event.RemovalRefused, "nobody approved it in time")))
	due, wait := requests.Due()
	for _, r := range due {
		if s.stopped.Err() != nil {
			return wait
		}
		failed = problem(s.carryOutRequest(s.stopped, r)) || failed
	}
	if failed {
		return min(wait, retryRemoval)
	}
	return wait
}

// carryOutRequest does what was approved. A server that is killed meanwhile does it again
// when it is next started, which removes what is left of it and nothing else: of an
// erasure the entries are fixed, and of retention the time. An error means that it can
// be tried again.
func (s *Server) carryOutRequest(ctx context.Context, r dualcontrol.Request) error {
	if r.Trail == "" {
		return s.adoptPolicy(r)
	}
	t, err := s.changeable(r.Trail)
	if errors.Is(err, trails.ErrNotFound) {
		return s.removalFailed(ctx, r, err)
	}
	if err != nil {
		return err
	}
	if r, err = s.removal.requests.Begin(r.ID); err != nil {
		return stopped(err)
	}
	remove := s.eraseRequested
	if r.Kind == dualcontrol.Retention {
		remove = s.retainRequested
	}
	err = remove(custody.WithPrincipal(ctx, r.By), t, &r)
	switch {
	case err == nil:
		_, err = s.removal.requests.Executed(r.ID)
		return err
	case ctx.Err() != nil, errors.Is(err, custody.ErrFailed), errors.Is(err, custody.ErrReadOnly), errors.Is(err, custody.ErrClosed), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("request %s on trail %s: %w", r.ID, r.Trail, err)
	}
	return s.removalFailed(ctx, r, err)
}

// stopped is nil where somebody has refused or withdrawn a request meanwhile.
func stopped(err error) error {
	if errors.Is(err, dualcontrol.ErrState) {
		return nil
	}
	return err
}

// removalFailed gives up a request.
func (s *Server) removalFailed(ctx context.Context, r dualcontrol.Request, cause error) error {
	s.log.Error("custody: a removal that was approved cannot be done", "request", r.ID, "trail", r.Trail, "err", cause)
	_, err := s.removal.requests.Failed(r.ID, cause.Error(), s.telling(ctx, event.RemovalRefused, "it could not be done"))
	return stopped(err)
}

func (s *Server) eraseRequested(ctx context.Context, t *trails.Trail, r *dualcontrol.Request) error {
	var p erasureParameters
	if err := json.Unmarshal(r.Parameters, &p); err != nil {
		return fmt.Errorf("what the request asks for cannot be read: %w", err)
	}
	erasure, err := p.Erasure.erasure(r.By)
	if err != nil {
		return err
	}
	if erasure.Entries, err = evidence.ParseRanges(p.Entries); err != nil {
		return fmt.Errorf("what the request asks for cannot be read: %w", err)
	}
	erasure.Authorization = custody.DualAuthorization{Request: r.ID, ApprovedBy: r.DecidedBy}
	_, err = t.Erase(ctx, erasure)
	if errors.Is(err, custody.ErrNotFound) {
		if told, terr := tellsOf(ctx, t, r.ID); terr != nil || told {
			return terr // it was done before the server was killed
		}
	}
	return err
}

// tellsOf reports whether a trail has an event of a removal that a request asked for.
func tellsOf(ctx context.Context, t *trails.Trail, request string) (bool, error) {
	for e, err := range t.Entries(ctx, custody.Query{Types: []event.Type{event.PayloadErased, event.RetentionApplied}, Newest: true}) {
		if err != nil {
			return false, err
		}
		ev, err := e.Event()
		if err != nil {
			return false, err
		}
		if ev.Details["request_id"] == request {
			return true, nil
		}
	}
	return false, nil
}

func (s *Server) retainRequested(ctx context.Context, t *trails.Trail, r *dualcontrol.Request) error {
	var p retentionParameters
	if err := json.Unmarshal(r.Parameters, &p); err != nil {
		return fmt.Errorf("what the request asks for cannot be read: %w", err)
	}
	_, err := t.Retain(ctx, custody.Retention{Policy: p.Policy, By: r.By, Time: r.Begun, Authorization: custody.DualAuthorization{Request: r.ID, ApprovedBy: r.DecidedBy}})
	return err
}
