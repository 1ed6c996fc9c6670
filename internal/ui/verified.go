package ui

import (
	"strings"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/wire"
)

// ownTrail is the trail in which the server tells of itself.
const ownTrail = "system"

// verified is what a verification came to, as the server's own trail tells.
type verified struct {
	wire.Verified
	Failed *failed // nil: what it found is not known, or it found nothing
}

// failed is the event that tells of the first finding of a verification.
type failed struct {
	Trail string
	Index uint64 // of the event
	What  string
	At    uint64 // first bad entry
	Link  bool   // whoever asks may read it
}

// verified returns what the last verification of the trail came to that the server tells
// of, nil where there is none.
func (u *ui) verified(v *view) (*verified, error) {
	t, err := u.Trails.Get(ownTrail)
	if err != nil {
		return nil, nil
	}
	var done *verified
	for last, err := range wire.Verifications(v.ctx, t) {
		if err != nil {
			return nil, err
		}
		if last.Trail == v.name {
			done = &verified{Verified: last}
			break
		}
	}
	if done == nil || done.Findings == 0 || done.Index == 0 {
		return done, nil
	}
	// What it found is told right before its end.
	e, ev, err := v.lastOf(t, custody.Query{Types: []event.Type{event.VerificationFailed}, Newest: true, To: done.Index, Limit: wire.LookedBack})
	if err != nil || e == nil || wire.Number(ev.Details["findings"]) != done.Findings {
		return done, err
	}
	done.Failed = &failed{Trail: ownTrail, Index: e.Index, At: wire.Number(ev.Details["index"]), Link: u.May(v.r, auth.ReadEntries, ownTrail)}
	done.Failed.What, _ = ev.Details["what"].(string)
	done.Failed.What = strings.TrimPrefix(done.Failed.What, "trail "+v.name+": ")
	return done, nil
}

// lastOf returns the first entry of a query whose event is about the trail, nil where
// there is none.
func (v *view) lastOf(t *custody.Trail, q custody.Query) (*custody.Entry, event.Event, error) {
	for e, err := range t.Entries(v.ctx, q) {
		if err != nil {
			return nil, event.Event{}, err
		}
		ev, err := e.Event()
		if err != nil {
			return nil, event.Event{}, err
		}
		if ev.Details["trail"] == v.name {
			return &e, ev, nil
		}
	}
	return nil, event.Event{}, nil
}
