package server

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/custodylog/custody/event"
)

// All lines arrive, in order and with their events, however who reads and who records
// take turns; and no more wait than there is room for.
func TestArrivals(t *testing.T) {
	const n = 20 * streamBatch
	a := newArrivals()
	refused := errors.New("refused")
	go func() {
		defer a.end()
		for i := range n {
			l := line{number: i, size: 1}
			if i%7 == 0 {
				l.err = refused
			}
			if !a.put(t.Context(), l, &event.Event{ID: strconv.Itoa(i)}) {
				t.Error("a line was not taken")
			}
		}
	}()
	var batch lineBatch
	next := 0
	for a.take(&batch) {
		if len(batch.lines) > streamBatch {
			t.Errorf("%d lines at once", len(batch.lines))
		}
		events := batch.events
		for _, l := range batch.lines {
			if l.number != next || (l.err != nil) != (next%7 == 0) {
				t.Fatalf("line %d is %+v", next, l)
			}
			if l.err == nil {
				if events[0].ID != strconv.Itoa(next) {
					t.Fatalf("line %d comes with event %s", next, events[0].ID)
				}
				events = events[1:]
			}
			next++
		}
		if len(events) > 0 {
			t.Errorf("%d events too many", len(events))
		}
	}
	if next != n {
		t.Errorf("%d of %d lines arrived", next, n)
	}
}

// Who waits for room does so until its context ends.
func TestArrivalsFull(t *testing.T) {
	a := newArrivals()
	ctx, cancel := context.WithCancel(t.Context())
	for range streamBatch {
		if !a.put(ctx, line{}, &event.Event{}) {
			t.Fatal("a line was not taken")
		}
	}
	cancel()
	if a.put(ctx, line{}, &event.Event{}) {
		t.Error("a line was taken without room")
	}
}
