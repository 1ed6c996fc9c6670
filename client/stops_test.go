package client

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// TestErasureOfStop: what an emergency stop keeps comes over the wire as the library
// tells it.
func TestErasureOfStop(t *testing.T) {
	s := newSite(t)
	c, l, ctx := s.open(nil), s.trail(), t.Context()
	stop, err := c.StopAgents(ctx, custody.Stop{Type: "agent", AffectedAgents: []string{"agent-1"}, Reason: "enough"})
	must(t, err)
	ask := custody.Erasure{Query: custody.Query{Types: []event.Type{event.EmergencyStop, event.EmergencyStopCleared}}, Ground: "g"}
	same := func() {
		t.Helper()
		plan, err := c.PlanErasure(ctx, ask)
		must(t, err)
		want, err := l.PlanErasure(ctx, ask)
		must(t, err)
		if !reflect.DeepEqual(plan, want) {
			t.Errorf("plan\n%+v\nwant\n%+v", plan, want)
		}
	}
	same()
	var held *custody.HeldError
	if _, err := c.Erase(ctx, ask); !errors.As(err, &held) || !slices.Equal(held.Stops, []string{stop.ID}) || len(held.Holds) > 0 || held.Entries.String() != "1" {
		t.Errorf("held: %v, %+v", err, held)
	}
	_, err = c.ClearStop(ctx, stop.ID, "mended")
	must(t, err)
	same()
	receipt, err := c.Erase(ctx, ask)
	must(t, err)
	if len(receipt.Events) != 1 {
		t.Errorf("%d events tell of it", len(receipt.Events))
	}
}
