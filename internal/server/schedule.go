package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/dualcontrol"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/retention"
)

// schedule applies a policy to all trails now and then.
type schedule struct {
	mu      *sync.Mutex
	by      string                                       // guarded by mu
	every   time.Duration                                // guarded by mu; 0: nothing is scheduled
	current *custody.Retention                           // guarded by mu; nil: nothing may be removed yet
	running map[*trails.Trail]*custody.RetentionSchedule // guarded by mu; nil values: trails without
}

// byConfiguration is who asks for a policy that is in the configuration. The server does
// not know who wrote it there.
const byConfiguration = "configuration"

// ScheduleRetention has a policy applied to every trail that can be written, but for the
// server's own, now and at every interval. nil: none is. Where a removal takes a second
// person, one that removes anything earlier than the policy that was applied until now,
// which at first is none, is a request that somebody has to approve; until then the
// other one goes on. It may be called once.
func (s *Server) ScheduleRetention(policy *retention.Policy, by string, every time.Duration) error {
	c := s.removal.schedule
	c.mu.Lock()
	current, err := s.scheduled(policy, by)
	if policy != nil && err == nil {
		c.by, c.every, c.current = by, every, current
	}
	c.mu.Unlock()
	if policy == nil || err != nil {
		return err
	}
	return s.trails.Attend(func(t *trails.Trail) error {
		if t.Err != nil || t.Name == trails.System {
			return nil
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running[t] = nil
		return c.start(t)
	})
}

// scheduled returns what may be applied, nil if nothing may yet. What has to be approved
// for policy it asks for, and takes back what was asked for another one.
func (s *Server) scheduled(policy *retention.Policy, by string) (*custody.Retention, error) {
	requests := s.removal.requests
	if requests == nil {
		if policy == nil {
			return nil, nil
		}
		return &custody.Retention{Policy: *policy, By: by}, nil
	}
	inForce := false
	var err error
	if policy == nil {
		err = requests.Unschedule()
	} else {
		inForce, err = requests.Lengthen(*policy)
	}
	if err != nil {
		return nil, err
	}
	waiting := false
	for _, r := range requests.List() {
		if r.Trail != "" || !r.State.Open() {
			continue
		}
		var p retentionParameters
		if err := json.Unmarshal(r.Parameters, &p); err != nil {
			return nil, fmt.Errorf("request %s: what it asks for cannot be read: %w", r.ID, err)
		}
		if policy != nil && !inForce && p.Policy.Digest() == policy.Digest() && (r.State == dualcontrol.Approved || time.Now().Before(r.Expires)) {
			waiting = true
			continue
		}
		const why = "the configuration has another policy now"
		if _, err := requests.Withdraw(r.ID, byConfiguration, why, s.telling(s.stopped, event.RemovalRefused, why)); stopped(err) != nil {
			return nil, err
		}
	}
	now := requests.Schedule()
	before := retention.Policy{Payloads: retention.Period{Forever: true}}
	if now != nil {
		before = now.Policy
	}
	if policy != nil && !inForce {
		if !waiting {
			ctx := auth.With(s.stopped, &auth.Principal{Name: byConfiguration, Authenticated: true})
			if _, err := s.ask(ctx, dualcontrol.Retention, "", retentionParameters{Policy: *policy, Digest: policy.Digest(), Shortens: policy.Shortens(&before)}); err != nil {
				// The one before goes on, so nothing is lost by that.
				s.log.Error("custody: it could not be requested that the retention policy of the configuration comes into force; that is tried again at the next start", "policy", policy.Name, "err", err)
				return retentionOf(now, by), nil
			}
		}
		s.log.Warn("custody: the retention policy of the configuration has to be approved by a second person; until then the one before goes on", "policy", policy.Name, "because", policy.Shortens(&before))
	}
	return retentionOf(now, by), nil
}

func retentionOf(c *dualcontrol.Schedule, by string) *custody.Retention {
	if c == nil {
		return nil
	}
	return &custody.Retention{Policy: c.Policy, By: by, Authorization: custody.DualAuthorization{Request: c.Request, ApprovedBy: c.ApprovedBy}}
}

// start begins to apply what may be applied to a trail. The caller holds mu.
func (c *schedule) start(t *trails.Trail) (err error) {
	if c.current != nil {
		c.running[t], err = t.RetainEvery(*c.current, c.every)
	}
	return err
}

// adoptPolicy makes the policy that a request asks for the one that is applied.
func (s *Server) adoptPolicy(r dualcontrol.Request) error {
	var p retentionParameters
	if err := json.Unmarshal(r.Parameters, &p); err != nil {
		return s.removalFailed(s.stopped, r, fmt.Errorf("what the request asks for cannot be read: %w", err))
	}
	c := s.removal.schedule
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := s.removal.requests.Begin(r.ID); err != nil {
		return stopped(err)
	}
	if _, err := s.removal.requests.Adopt(r.ID, p.Policy); err != nil {
		return err
	}
	if c.every == 0 {
		return nil // the server has not come to that yet
	}
	c.current = retentionOf(s.removal.requests.Schedule(), c.by)
	var errs []error
	for t, running := range c.running {
		if running != nil {
			running.Stop()
		}
		if err := c.start(t); err != nil {
			errs = append(errs, fmt.Errorf("trail %s: %w", t.Name, err))
		}
	}
	return errors.Join(errs...)
}
