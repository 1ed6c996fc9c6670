// Package recording records events that come one after the other and may be refused one
// by one, in as few commits as that allows.
package recording

import (
	"context"
	"errors"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// Recorder is a trail that events are recorded in.
type Recorder interface {
	RecordBatch(context.Context, []event.Event) ([]custody.Receipt, error)
}

// Record records events in order, as many as come before one that is refused. An error
// is about the event behind those of the receipts, or about the trail: see [IsRefusal].
func Record(ctx context.Context, t Recorder, events []event.Event) ([]custody.Receipt, error) {
	receipts := make([]custody.Receipt, 0, len(events))
	for len(receipts) < len(events) {
		run := events[len(receipts):]
		run = run[:together(run)]
		recorded, err := t.RecordBatch(ctx, run)
		var refused *custody.BatchError
		if errors.As(err, &refused) && IsRefusal(refused.Err) {
			// None of the run was recorded: those before it are, now, without it.
			// Only of a batch that went to a server in parts, the first parts are.
			err = refused.Err
			receipts = append(receipts, recorded...)
			run, recorded = run[len(recorded):refused.Position], nil
			if len(run) > 0 {
				var again error
				if recorded, again = t.RecordBatch(ctx, run); again != nil {
					return receipts, again
				}
			}
		}
		receipts = append(receipts, recorded...)
		if err != nil {
			return receipts, err
		}
	}
	return receipts, nil
}

// together returns how many events from the first one on can go in one batch:
// in it every id is there once.
func together(events []event.Event) int {
	ids := make(map[string]bool, len(events))
	for i := range events {
		id := events[i].ID
		if ids[id] {
			return i
		}
		if id != "" {
			ids[id] = true
		}
	}
	return len(events)
}

// IsRefusal reports whether an error is about the event, not about the trail.
func IsRefusal(err error) bool {
	var field *event.FieldError
	var invalid *event.ValidationError
	var size *custody.PayloadSizeError
	return errors.As(err, &field) || errors.As(err, &invalid) || errors.As(err, &size) || errors.Is(err, custody.ErrConflict)
}
