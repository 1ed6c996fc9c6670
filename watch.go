package custody

import (
	"time"

	"github.com/custodylog/custody/event"
)

// onClockStep records that the wall clock jumped. The sequencer calls it, so it
// must not wait for a commit.
func (t *Trail) onClockStep(want, got time.Time) {
	t.opts.Logger.Warn("custody: the clock of this machine jumped", "dir", t.dir, "from", want, "to", got)
	what := "forward"
	if got.Before(want) {
		what = "backward"
	}
	t.note(event.Event{Type: event.ClockStepped, Source: sourceSelf, Details: map[string]any{
		"what": what, "clock": got.UTC(), "last": want.UTC(), "step_ms": got.Sub(want).Milliseconds(),
	}})
}

// spaceWatch returns who is to be told how much room is left, or nil if nobody
// wants to be warned.
func (t *Trail) spaceWatch() func(free, total uint64) {
	if t.opts.DiskWarning < 0 || t.opts.ReadOnly {
		return nil
	}
	return t.onSpace
}

// onSpace is told how much room is left on the disk.
func (t *Trail) onSpace(free, total uint64) {
	if total == 0 {
		return
	}
	percent := 100 * float64(free) / float64(total)
	t.noteMu.Lock()
	low, was := percent < t.opts.DiskWarning, t.spaceLow
	if t.writing {
		t.spaceLow = low
	}
	t.noteMu.Unlock()
	if !low || was {
		return
	}
	t.note(event.Event{Type: event.DiskSpaceLow, Source: sourceSelf, Details: map[string]any{
		"free_bytes": free, "used_percent": 100 - percent, "threshold": 100 - t.opts.DiskWarning,
	}})
	t.opts.Logger.Warn("custody: the disk that the trail lies on is filling up; make room, or recording will stop", "dir", t.dir, "free_bytes", free, "used_percent", 100-percent)
}

// note records an event of the trail's own without waiting for it. It does
// nothing before the trail is open and once it is being closed.
func (t *Trail) note(e event.Event) {
	t.noteMu.Lock()
	defer t.noteMu.Unlock()
	if !t.writing {
		return
	}
	t.notes.Add(1)
	go func() {
		defer t.notes.Done()
		if _, err := t.recordSelf(t.ctx, e); err != nil {
			t.opts.Logger.Error("custody: an event of the trail itself is not recorded", "dir", t.dir, "type", e.Type, "err", err)
		}
	}()
}
