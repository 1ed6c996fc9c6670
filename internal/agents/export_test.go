package agents

import "time"

// SetClock has the recorder take the time from now.
func (r *Recorder) SetClock(now func() time.Time) { r.now = now }

// Occupy takes the turn, as somebody who waits for the disk has it.
func (r *Recorder) Occupy() { r.turn <- struct{}{} }
