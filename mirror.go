package custody

import (
	"log/slog"

	"github.com/custodylog/custody/event"
)

// mirrored is an event for the mirror, as it is stored.
type mirrored struct {
	event    event.Event
	position int // in the batch
}

// mirrorAll writes the events of a job that is durable to the mirror, but for
// those that the trail held already.
func (t *Trail) mirrorAll(j *job, receipts []Receipt) {
	for i := range j.mirrored {
		if m := &j.mirrored[i]; !receipts[m.position].Duplicate {
			t.mirror(&m.event)
		}
	}
}

// mirror logs an event at the level of its severity.
func (t *Trail) mirror(e *event.Event) {
	level := e.Severity.Level()
	if !t.opts.Mirror.Enabled(t.ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	for _, a := range [...]struct{ key, value string }{
		{"audit_event", string(e.Type)}, {"event_id", e.ID}, {"agent_id", e.AgentID}, {"action_id", e.ActionID},
		{"project_id", e.ProjectID}, {"session_id", e.SessionID}, {"user_id", e.UserID}, {"correlation_id", e.CorrelationID},
		{"decision", string(e.Decision)}, {"outcome", string(e.Outcome)},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if len(e.Details) > 0 {
		attrs = append(attrs, slog.Any("details", e.Details))
	}
	t.opts.Mirror.LogAttrs(t.ctx, level, "audit", attrs...)
}
