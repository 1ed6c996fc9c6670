package custody

import (
	"testing"

	"github.com/custodylog/custody/event"
)

// Who sends is recorded for each call, whatever the event claims.
func TestWithPrincipal(t *testing.T) {
	trail := newTrail(t, Options{Signer: newKey(t), Principal: "default"})
	for _, tt := range []struct {
		name, want string
		record     func(event.Event) (Receipt, error)
	}{
		{"the trail's", "default", func(e event.Event) (Receipt, error) { return trail.Record(t.Context(), e) }},
		{"the call's", "token:ci", func(e event.Event) (Receipt, error) {
			return trail.Record(WithPrincipal(t.Context(), "token:ci"), e)
		}},
		{"nobody", "", func(e event.Event) (Receipt, error) { return trail.Record(WithPrincipal(t.Context(), ""), e) }},
		{"batch", "mtls:CN=a", func(e event.Event) (Receipt, error) {
			receipts, err := trail.RecordBatch(WithPrincipal(t.Context(), "mtls:CN=a"), []event.Event{e})
			if err != nil {
				return Receipt{}, err
			}
			return receipts[0], nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := get(tt.record(event.Event{Type: event.TurnEnded, SessionID: "s", Principal: "claimed"}))(t)
			if e := eventAt(t, trail, r.Index); e.Principal != tt.want {
				t.Errorf("recorded as sent by %q, want %q", e.Principal, tt.want)
			}
		})
	}
}
