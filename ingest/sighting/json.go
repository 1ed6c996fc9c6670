package sighting

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/custodylog/custody/event"
)

// phaseNames are the names of the phases in JSON.
var phaseNames = [...]string{Requested: "requested", Asked: "asked", Answered: "answered", Decided: "decided", Finished: "finished"}

// sightingJSON is a sighting in JSON, as docs/http.md describes it.
type sightingJSON struct {
	Event    json.RawMessage `json:"event"` // as docs/events.md describes it
	Call     *callJSON       `json:"call,omitempty"`
	Ends     Ending          `json:"ends,omitempty"`
	Unmapped bool            `json:"unmapped,omitempty"`
}

type callJSON struct {
	ID      string `json:"id,omitempty"`
	Session string `json:"session_id,omitempty"`
	Tool    string `json:"tool"`
	Input   string `json:"input_digest,omitempty"`
	Phase   string `json:"phase"`
	Endless bool   `json:"endless,omitempty"`
}

// MarshalJSON writes the sighting as a recorder sends it to a server.
func (s Sighting) MarshalJSON() ([]byte, error) {
	text, err := s.Event.AppendPayload(nil)
	if err != nil {
		return nil, err
	}
	j := sightingJSON{Event: text, Ends: s.Ends, Unmapped: !s.Mapped}
	if c := s.Call; c != nil {
		if c.Phase < 0 || int(c.Phase) >= len(phaseNames) {
			return nil, fmt.Errorf("call.phase: %d is none", c.Phase)
		}
		j.Call = &callJSON{c.ID, c.Session, c.Tool, c.Input, phaseNames[c.Phase], c.Endless}
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads a sighting. Members that it does not know are errors, and so is an
// event whose source is no path (see [IsPath]), or that is numbered or signed: what is
// joined is not recorded as it was sent, and what says nothing new is not recorded.
func (s *Sighting) UnmarshalJSON(text []byte) error {
	var j sightingJSON
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return err
	}
	if j.Event == nil {
		return errors.New("event: a sighting needs one")
	}
	e, notes, err := event.Decode(j.Event)
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	if !IsPath(e.Source) {
		return fmt.Errorf("event.source: %.100q is no path; it is %q, or an agent's name and /hook or /otel", e.Source, Recorder)
	}
	switch {
	case e.SourceSeq != nil:
		return errors.New("event.source_seq: sightings are not numbered, since one that says nothing new is not recorded; leave it out")
	case e.Signature != nil:
		return errors.New("event.signature: sightings are not signed, since they are joined before they are recorded; leave it out, or record the event itself")
	}
	switch j.Ends {
	case Nothing, Turn, Session:
	default:
		return fmt.Errorf("ends: %.40q is neither %s nor %s", j.Ends, Turn, Session)
	}
	e.Defects = append(e.Defects, notes...)
	*s = Sighting{Event: e, Ends: j.Ends, Mapped: !j.Unmapped}
	if c := j.Call; c != nil {
		phase := slices.Index(phaseNames[:], c.Phase)
		if phase < 0 {
			return fmt.Errorf("call.phase: %.40q is none of %q", c.Phase, phaseNames)
		}
		s.Call = &Call{ID: c.ID, Session: c.Session, Tool: c.Tool, Input: c.Input, Phase: Phase(phase), Endless: c.Endless}
	}
	return nil
}
