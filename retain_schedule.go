package custody

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/custodylog/custody/retention"
)

// RetentionSchedule applies a retention policy now and then, on a goroutine of its
// own. See [Trail.RetainEvery].
type RetentionSchedule struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	last RetentionStatus
}

// RetentionStatus tells of the last run of a schedule that has ended.
type RetentionStatus struct {
	Time time.Time // when it began; zero: none has ended yet
	Run  *RetentionRun
	Err  error // what ended it early; the next one finishes
}

// ScheduleRetention is RetainEvery without a second person, in the name of by.
func (t *Trail) ScheduleRetention(policy retention.Policy, by string, every time.Duration) (*RetentionSchedule, error) {
	return t.RetainEvery(Retention{Policy: policy, By: by}, every)
}

// RetainEvery applies a policy at once and then at every interval, as of then. What a
// run removes is recorded as by [Trail.Retain]; one that fails is logged, and the next
// one does what it left. Closing the trail stops it, after what is being removed.
func (t *Trail) RetainEvery(r Retention, every time.Duration) (*RetentionSchedule, error) {
	switch {
	case t.seq == nil:
		return nil, ErrReadOnly
	case r.By == "":
		return nil, errNoApplier
	case every <= 0:
		return nil, errors.New("a retention schedule needs an interval")
	}
	if err := r.Policy.Validate(); err != nil {
		return nil, err
	}
	r.Time = time.Time{}
	ctx, cancel := context.WithCancel(t.ctx)
	s := &RetentionSchedule{cancel: cancel, done: make(chan struct{})}
	started := t.inBackground(func() {
		defer close(s.done)
		for {
			s.run(ctx, t, r)
			select {
			case <-time.After(every):
			case <-ctx.Done():
				return
			}
		}
	})
	if !started {
		cancel()
		return nil, ErrClosed
	}
	return s, nil
}

func (s *RetentionSchedule) run(ctx context.Context, t *Trail, r Retention) {
	status := RetentionStatus{Time: t.opts.now().UTC()}
	status.Run, status.Err = t.Retain(ctx, r)
	if ctx.Err() != nil {
		return
	}
	if status.Err != nil {
		t.opts.Logger.Error("custody: a retention policy could not be applied; it is tried again at the next interval", "dir", t.dir, "policy", r.Policy.Name, "err", status.Err)
	}
	s.mu.Lock()
	s.last = status
	s.mu.Unlock()
}

// Status tells of the last run that has ended.
func (s *RetentionSchedule) Status() RetentionStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Stop ends the schedule and waits for a run that is under way, which stops after
// what is being removed.
func (s *RetentionSchedule) Stop() {
	s.cancel()
	<-s.done
}
