package ui

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/timeline"
	"github.com/custodylog/custody/internal/wire"
)

// eventPage is one event with all that is known of it.
type eventPage struct {
	row
	Doc      string // what events of this type say
	Facts    []fact
	Life     *life
	JSON     []jsonPart
	Redacted []event.Redaction
	Defects  []string
	Envelope string
	Hash     string
	Size     uint64 // of the trail
	Beside   []beside
	Key      string // that signed what proves it; empty: it may not be proved to whoever asks
}

// beside is a link to the event before or behind the one of the page.
type beside struct {
	Rel, Text string
	Index     uint64
}

// fact is something that an event says.
type fact struct {
	Name   string
	Value  string
	Filter string // parameter by which to find all events that say the same; empty: none
	Tone   string
}

// event shows an event.
func (u *ui) event(w http.ResponseWriter, v *view) error {
	if _, err := parameters(v.r); err != nil {
		return err
	}
	index, err := strconv.ParseUint(v.r.PathValue("index"), 10, 53)
	if err != nil {
		return &problem{http.StatusBadRequest, "The address does not make sense", fmt.Sprintf("%.40q is not the index of an entry.", v.r.PathValue("index"))}
	}
	e, err := v.trail.Entry(v.ctx, index)
	if err != nil {
		return err
	}
	p := &eventPage{Envelope: string(e.Envelope), Hash: e.Hash.String(), Size: v.trail.Size()}
	if p.row, err = v.row(&e); err != nil {
		return err
	}
	ev, err := e.Event()
	if err != nil {
		return err
	}
	if spec, ok := event.Lookup(e.Type); ok {
		p.Doc = spec.Doc
	}
	if index > v.trail.First() {
		p.Beside = append(p.Beside, beside{"prev", "← " + number(index-1), index - 1})
	}
	if index+1 < p.Size {
		p.Beside = append(p.Beside, beside{"next", number(index+1) + " →", index + 1})
	}
	if e.Payload != nil {
		p.Facts, p.Redacted, p.Defects = factsOf(&ev, &p.Step), ev.Redactions, ev.Defects
		if p.JSON, err = indent(e.Payload, ev.Redactions); err != nil {
			return fmt.Errorf("entry %d: payload: %w", index, err)
		}
	}
	if ev.ActionID != "" {
		if p.Life, err = v.life(ev.ActionID, index); err != nil {
			return err
		}
	}
	if u.May(v.r, auth.Prove, v.name) {
		if p.Key, err = v.signer(index); err != nil {
			return err
		}
	}
	return u.show(w, v, "event.html", layout{Title: fmt.Sprintf("Event %d", index), Section: "events", Script: "event.js"}, p)
}

// signer returns the key, as the trail says itself, that signed the checkpoint that an
// entry is proved against: the newest that witnesses cosigned, if it covers the entry,
// or else the newest, which may be signed with a later key.
func (v *view) signer(index uint64) (string, error) {
	signed, err := v.trail.Published(v.ctx)
	if err != nil {
		return "", err
	}
	c, err := evidence.PeekCheckpoint(signed)
	if err == nil && c.Size <= index {
		signed, err = v.trail.Checkpoint(v.ctx)
	}
	if err != nil {
		return "", err
	}
	ids, err := evidence.SignatureKeys(signed)
	if err != nil {
		return "", err
	}
	keys, err := wire.KeysOf(v.ctx, v.trail)
	if err != nil {
		return "", err
	}
	for _, k := range slices.Backward(keys) {
		for _, id := range ids {
			if evidence.KeyID(id) == k.KeyID {
				return k.VKey, nil
			}
		}
	}
	return keys[len(keys)-1].VKey, nil // the browser finds that it did not sign
}

// factsOf returns what an event says, as far as people want to read it first.
func factsOf(e *event.Event, s *timeline.Step) []fact {
	all := []fact{
		{"What", s.Summary(), "", ""},
		{"Decision", string(e.Decision), "decision", tone(e.Decision)},
		{"Decided by", words(e.DecisionSource), "", ""},
		{"Outcome", string(e.Outcome), "", tone(e.Outcome)},
		{"Agent", e.AgentID, "agent_id", ""},
		{"Session", e.SessionID, "session_id", ""},
		{"Action", e.ActionID, "action_id", ""},
		{"User", e.UserID, "user_id", ""},
		{"Project", e.ProjectID, "project_id", ""},
		{"Correlation", e.CorrelationID, "correlation_id", ""},
		{"Sent by", e.Principal, "", ""},
		{"Source", timeline.PathText(e.Source), "", ""},
		{"Happened (UTC)", clock(custody.OccurredAt(e)), "", ""},
		{"Id", e.ID, "", ""},
	}
	var facts []fact
	for _, f := range all {
		if f.Value != "" {
			facts = append(facts, f)
		}
	}
	return facts
}

// life is what became of an action, from its request to its end.
type life struct {
	Steps    []lifeStep
	Status   timeline.Status
	Tone     string
	Against  bool // it ran although it was denied
	Disputed bool // what was recorded of it does not fit together
	Cut      bool // it has more steps than are shown
}

// lifeStep is a step of an action.
type lifeStep struct {
	row
	Current bool // it is the event of the page
}

// maxLife bounds the steps of an action that a page shows.
const maxLife = 50

// life finds the events of an action, and what it came to: by its newest events where it
// has more than are shown, as lists of actions judge.
func (v *view) life(action string, current uint64) (*life, error) {
	rows, err := v.events(custody.Query{ActionID: action, Limit: maxLife + 1})
	if err != nil {
		return nil, err
	}
	l := &life{Cut: len(rows) > maxLife}
	var steps []timeline.Step
	for _, r := range rows[:min(maxLife, len(rows))] {
		steps = append(steps, r.Step)
		l.Steps = append(l.Steps, lifeStep{r, r.Index == current})
	}
	a := judged(steps)
	if l.Cut {
		if a, err = v.action(action); err != nil {
			return nil, err
		}
	}
	if a != nil {
		l.Status, l.Tone, l.Against, l.Disputed = a.Status, statusTone(a.Status), a.Against, a.Disputed
	}
	return l, nil
}

// statusTone returns the class that the status of an action is shown in.
func statusTone(s timeline.Status) string {
	switch s {
	case timeline.Executed:
		return "good"
	case timeline.Failed, timeline.Denied:
		return "bad"
	}
	return "partial"
}
