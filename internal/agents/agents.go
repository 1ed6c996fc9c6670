// Package agents records in a trail what agents were seen doing: sightings by their
// hooks, their telemetry and the recorders in front of their tool servers, joined into
// one action for each call.
package agents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/joiner"
	"github.com/custodylog/custody/internal/recording"
)

// Recorder records sightings in one trail. Its methods may be called from several
// goroutines; sightings are taken in one after the other, since each is joined to what
// is recorded before it.
type Recorder struct {
	trail *custody.Trail
	opts  joiner.Options
	now   func() time.Time

	turn   chan struct{}       // holds one while somebody uses joiner: who waits for a slow disk can give up
	joiner *joiner.Joiner      // guarded by turn; nil: what it knows has to be read from the trail
	silent ingest.Recent[bool] // guarded by turn; sightings with ids that said nothing new, and so left no event
}

// New returns a recorder. What is open in the trail is read when it is needed first.
func New(t *custody.Trail, o joiner.Options) *Recorder {
	return &Recorder{trail: t, opts: o, now: time.Now, turn: make(chan struct{}, 1)}
}

// take takes the turn, and has the joiner know what the trail holds. Unless it fails,
// the caller gives the turn back.
func (r *Recorder) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("waiting for what others record of agents: %w", ctx.Err())
	}
	err := r.ready(ctx)
	if err != nil {
		r.give()
	}
	return err
}

func (r *Recorder) give() { <-r.turn }

// past is how far back the trail is read to know what is open, from the last of what
// tells of it: nobody may have recorded anything for longer than that.
const past = 2 * time.Hour

// telling are the types of what the joiner knows calls by.
var telling = []event.Type{
	event.ActionRequested, event.ActionValidated, event.ActionDenied, event.ActionExecuted, event.ActionFailed, event.ActionCancelled,
	event.ActionUnresolved, event.ActionObserved, event.TurnEnded, event.SessionEnded,
	event.ApprovalRequested, event.ApprovalGranted, event.ApprovalDenied, event.ApprovalExpired, event.ApprovalCancelled,
}

// ready has the joiner know what the trail holds. The caller has the turn.
func (r *Recorder) ready(ctx context.Context) error {
	if r.joiner != nil {
		return nil
	}
	j := joiner.New(r.opts)
	q := custody.Query{Since: r.now(), Types: telling}
	for last, err := range r.trail.Entries(ctx, custody.Query{Types: telling, Newest: true, Limit: 1}) {
		if err != nil {
			return fmt.Errorf("reading which calls are open: %w", err)
		}
		if last.Time.Before(q.Since) {
			q.Since = last.Time
		}
	}
	q.Since = q.Since.Add(-past)
	for entry, err := range r.trail.Entries(ctx, q) {
		if err != nil {
			return fmt.Errorf("reading which calls are open: %w", err)
		}
		if !maySight(entry.Payload) {
			continue
		}
		e, err := entry.Event()
		if err != nil {
			return fmt.Errorf("entry %d: %w", entry.Index, err)
		}
		if sighting.IsPath(e.Source) && e.Signature == nil { // sightings are not signed
			j.Replay(&e, entry.Time)
		}
	}
	r.joiner = j
	return nil
}

// Refusal is why one sighting is not recorded.
type Refusal struct {
	Position int // of the sighting
	Err      error
}

// Record records sightings in order, and returns the receipts of their events: none for
// one that says nothing new. What the trail refuses, such as an event that is too large,
// is in refused, and does not keep the others out. An error says that nothing more of
// them could be recorded. Where ctx carries a principal ([auth.From]) that is bound to
// agents, it adds nothing to the actions of others.
func (r *Recorder) Record(ctx context.Context, seen []sighting.Sighting) (receipts []custody.Receipt, refused []Refusal, err error) {
	return r.RecordAdmitted(ctx, seen, nil)
}

// RecordAdmitted is Record for a sender who may not record everything. An event that
// names no agent is of the agent whose call it tells of: before it is recorded, admit is
// asked about it as it is then. What it refuses is in refused.
func (r *Recorder) RecordAdmitted(ctx context.Context, seen []sighting.Sighting, admit func(*event.Event) error) (receipts []custody.Receipt, refused []Refusal, err error) {
	if err := r.take(ctx); err != nil {
		return nil, nil, err
	}
	defer r.give()
	before := make([]bool, len(seen)) // was recorded
	for i := range seen {
		if before[i], err = r.recorded(ctx, &seen[i].Event); err != nil {
			return nil, nil, err
		}
	}
	now := r.now()
	var bound []string // agents of the sender
	if p := auth.From(ctx); p != nil {
		bound = p.Agents
	}
	var events []event.Event
	var of []int        // position of the sighting of each event
	var silent []string // what said nothing new, if all of events is recorded
	unlearn := false    // the joiner believes in what is not recorded
	for i := range seen {
		if before[i] {
			continue
		}
		joined := r.joiner.Join(now, seen[i], bound...) // from here on it believes that they are recorded
		if err := admitted(admit, &seen[i].Event, joined); err != nil {
			refused, unlearn = append(refused, Refusal{i, err}), true
			continue
		}
		if e := &seen[i].Event; len(joined) == 0 && e.ID != "" {
			silent = append(silent, message(e))
		}
		for _, e := range joined {
			if e.Timestamp.IsZero() {
				e.Timestamp = now
			}
			events, of = append(events, e), append(of, i)
		}
	}
	defer func() {
		if unlearn {
			r.joiner = nil
			return
		}
		for _, m := range silent {
			r.silent.Set(m, true)
		}
	}()
	for len(events) > 0 {
		done, err := recording.Record(ctx, r.trail, events)
		receipts = append(receipts, done...)
		if err == nil {
			break
		}
		unlearn = true
		if !recording.IsRefusal(err) {
			return receipts, refused, err
		}
		// An earlier call may have given up before its commit was done.
		late := false
		if errors.Is(err, custody.ErrConflict) {
			var failed error
			if late, failed = r.recorded(ctx, &events[len(done)]); failed != nil {
				return receipts, refused, failed
			}
		}
		if !late {
			refused = append(refused, Refusal{of[len(done)], err})
		}
		events, of = events[len(done)+1:], of[len(done)+1:]
	}
	return receipts, refused, nil
}

// message is what a sighting is known by that is sent again: whoever chooses an id for
// one agent does not thereby take it from another one.
func message(e *event.Event) string { return e.Source + "\x00" + e.AgentID + "\x00" + e.ID }

// admitted asks about the events of a sighting that took over the agent of its call.
func admitted(admit func(*event.Event) error, sent *event.Event, joined []event.Event) error {
	if admit == nil || sent.AgentID != "" {
		return nil
	}
	for i := range joined {
		if joined[i].AgentID == "" {
			continue
		}
		if err := admit(&joined[i]); err != nil {
			return err
		}
	}
	return nil
}

// recorded reports whether the trail has the event by its id: what was sent before. An
// event of another path or agent that has the id is not it.
func (r *Recorder) recorded(ctx context.Context, e *event.Event) (bool, error) {
	if e.ID == "" {
		return false, nil
	}
	if said, _ := r.silent.Get(message(e)); said {
		return true, nil
	}
	entry, err := r.trail.EntryByID(ctx, e.ID)
	switch {
	case errors.Is(err, custody.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	was, err := entry.Event()
	return was.Source == e.Source && (e.AgentID == "" || was.AgentID == e.AgentID), err
}

// Settle records which calls nothing has told the end of, although their turn or session
// is over or they take too long.
func (r *Recorder) Settle(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	events := r.joiner.Unresolved(r.now())
	if len(events) == 0 {
		return nil
	}
	if _, err := recording.Record(ctx, r.trail, events); err != nil {
		r.joiner = nil
		return err
	}
	return nil
}

// maySight reports whether the event of a payload may be a sighting. It need not be decoded
// otherwise, which is most of what reading many costs.
func maySight(payload []byte) bool {
	for rest, found := payload, true; ; {
		if _, rest, found = bytes.Cut(rest, []byte(`"source":"`)); !found {
			return false
		}
		source, _, _ := bytes.Cut(rest, []byte(`"`))
		if bytes.IndexByte(source, '\\') >= 0 || sighting.IsPath(string(source)) {
			return true
		}
	}
}

// settleEvery is how often the server looks for calls without an end.
const settleEvery = 5 * time.Second

// Run settles now and then until ctx ends. failed is told what goes wrong.
func (r *Recorder) Run(ctx context.Context, failed func(error)) {
	// What the trail holds is read now, while little else is to be done. What is open is
	// not judged yet: those who could not reach the server have its end.
	if err := r.take(ctx); err == nil {
		r.give()
	} else if ctx.Err() == nil && !errors.Is(err, custody.ErrClosed) {
		failed(err)
	}
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := r.Settle(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, custody.ErrClosed) {
			failed(err)
		}
	}
}
