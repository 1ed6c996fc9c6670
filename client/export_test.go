package client

import (
	"fmt"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/trails"
)

// An export has all that a list has, and the server records it once, for all its pages.
func TestExport(t *testing.T) {
	s := newSite(t)
	events := make([]event.Event, maxPage+5)
	for i := range events {
		events[i] = event.Event{Type: event.TurnEnded, SessionID: "s-1"}
	}
	_, err := s.trail().RecordBatch(t.Context(), events)
	must(t, err)
	remote := s.open(nil)
	q := custody.Query{SessionID: "s-1"}
	n := 0
	for e, err := range remote.Export(t.Context(), q, "csv") {
		must(t, err)
		if n++; e.Payload == nil {
			t.Fatalf("entry %d has no payload", e.Index)
		}
	}
	if n != len(events) {
		t.Errorf("%d entries were exported", n)
	}
	for _, err := range remote.Entries(t.Context(), q) {
		must(t, err)
	}
	system, err := s.set.Get(trails.System)
	must(t, err)
	told := 0
	for e, err := range system.Entries(t.Context(), custody.Query{Types: []event.Type{event.ExportCreated}}) {
		must(t, err)
		told++
		if ev, err := e.Event(); err != nil || fmt.Sprintf("%v %v %v", ev.Details["trail"], ev.Details["format"], ev.Details["query"]) != "default csv map[session_id:s-1]" || ev.Principal != "token:everybody" {
			t.Errorf("told is %+v, %v", ev, err)
		}
	}
	if told != 1 {
		t.Errorf("%d events tell of it", told)
	}
}
