package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
)

// ownTrail is the trail in which the server tells of itself, and lookedBack how many
// verifications of all trails are looked through there for one of a trail.
const (
	ownTrail   = "system"
	lookedBack = 1000
)

// verified is what a verification came to, as the server's own trail tells.
type verified struct {
	Time     time.Time
	Findings uint64
	Size     uint64 // entries that the trail had
	Strength string
	By       string // who asked for it; empty: it does not say
	Failed   *failed
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
	e, ev, err := v.lastOf(t, custody.Query{Types: []event.Type{event.VerificationCompleted}, Newest: true, Limit: lookedBack})
	if err != nil || e == nil {
		return nil, err
	}
	done := &verified{Time: e.Time, Findings: count(ev.Details["findings"]), Size: count(ev.Details["size"])}
	done.Strength, _ = ev.Details["strength"].(string)
	done.By, _ = ev.Details["by"].(string)
	if done.Findings == 0 || e.Index == 0 {
		return done, nil
	}
	// What it found is told right before its end.
	e, ev, err = v.lastOf(t, custody.Query{Types: []event.Type{event.VerificationFailed}, Newest: true, To: e.Index, Limit: lookedBack})
	if err != nil || e == nil || count(ev.Details["findings"]) != done.Findings {
		return done, err
	}
	done.Failed = &failed{Trail: ownTrail, Index: e.Index, At: count(ev.Details["index"]), Link: u.May(v.r, auth.ReadEntries, ownTrail)}
	done.Failed.What, _ = ev.Details["what"].(string)
	done.Failed.What = strings.TrimPrefix(done.Failed.What, "trail "+v.name+": ")
	return done, nil
}

// lastOf returns the first entry of a query whose event is about the trail, nil where
// there is none. That a part of the trail checked out says nothing of the trail.
func (v *view) lastOf(t *custody.Trail, q custody.Query) (*custody.Entry, event.Event, error) {
	for e, err := range t.Entries(v.ctx, q) {
		if err != nil {
			return nil, event.Event{}, err
		}
		ev, err := e.Event()
		if err != nil {
			return nil, event.Event{}, err
		}
		part := ev.Type == event.VerificationCompleted && count(ev.Details["from_index"]) > 0 && count(ev.Details["findings"]) == 0
		if ev.Details["trail"] == v.name && !part {
			return &e, ev, nil
		}
	}
	return nil, event.Event{}, nil
}

// count reads a number of an event's details; what is none is 0.
func count(v any) uint64 {
	n, _ := strconv.ParseUint(fmt.Sprint(v), 10, 64)
	return n
}
