package custody

import "time"

// SetClock gives the trails that are opened with o another clock.
func (o *Options) SetClock(now func() time.Time) { o.now = now }

// StepClock tells the trail of a step of the wall clock, as its sequencer does.
func (t *Trail) StepClock(want, got time.Time) { t.onClockStep(want, got) }
