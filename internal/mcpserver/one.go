package mcpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/internal/wire"
)

type showInput struct {
	Index *uint64 `json:"index,omitempty" jsonschema:"index of the entry; give this or id"`
	ID    string  `json:"id,omitempty" jsonschema:"id of the event"`
}

type showAnswer struct {
	marked
	Index uint64 `json:"index"`
	Time  string `json:"time"`
	Hash  string `json:"hash"`
	Type  string `json:"type"`
	Event any    `json:"event"` // null: the payload is not held
	Note  string `json:"note,omitempty"`
}

func (r *reader) show(ctx context.Context, in showInput) (any, error) {
	if (in.Index == nil) == (in.ID == "") {
		return nil, errors.New("which entry? Give its index, or the id of its event")
	}
	var e custody.Entry
	var err error
	if in.Index != nil {
		e, err = r.Trail.Entry(ctx, *in.Index)
	} else {
		e, err = r.Trail.EntryByID(ctx, in.ID)
	}
	if errors.Is(err, custody.ErrNotFound) {
		return nil, fmt.Errorf("%w: there is no such entry; the trail has %d, with indices from 0 on", custody.ErrNotFound, r.Trail.Size())
	} else if err != nil {
		return nil, err
	}
	a := showAnswer{marked: marked{untrusted}, Index: e.Index, Time: wire.Time(e.Time), Hash: e.Hash.String(), Type: text(e.Type)}
	if e.Payload == nil {
		a.Note = notHeld
		return a, nil
	}
	var cut bool
	if a.Event, cut, err = shortened(e.Payload); cut {
		a.Note = fmt.Sprintf("long texts are cut and end in …; custody show %d --payload has all %d bytes", e.Index, len(e.Payload))
	}
	return a, err
}

// cuts are how long texts may be, tried in order until all fits.
var cuts = [...]int{8000, 2000, 500, 100}

// shortened returns a payload with its texts cut until it has room in an answer.
func shortened(payload []byte) (v any, cut bool, err error) {
	most := int(newRoom())
	if whole, err := encode(json.RawMessage(payload)); err != nil || len(whole) <= most {
		return json.RawMessage(payload), false, err
	}
	for _, n := range cuts {
		d := json.NewDecoder(strings.NewReader(string(payload)))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			return nil, false, err
		}
		v = cutTexts(v, n)
		text, err := encode(v)
		if err != nil {
			return nil, false, err
		}
		if len(text) <= most {
			return v, true, nil
		}
	}
	return ingest.Short(string(payload), most/4), true, nil // of many members
}

// cutTexts cuts all texts in v that have more than n bytes.
func cutTexts(v any, n int) any {
	switch x := v.(type) {
	case string:
		return ingest.Short(x, n)
	case []any:
		for i := range x {
			x[i] = cutTexts(x[i], n)
		}
	case map[string]any:
		for name := range x {
			x[name] = cutTexts(x[name], n)
		}
	}
	return v
}

type none struct{}

// maxFindings bounds how many findings, removals and the like an answer has.
const maxFindings = 20

type verifyAnswer struct {
	wire.Report
	Note string `json:"note,omitempty"`
}

func (r *reader) verify(ctx context.Context, _ none) (any, error) {
	select { // one at a time: it reads everything
	case r.verifying <- struct{}{}:
		defer func() { <-r.verifying }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, r.VerifyFor)
	defer cancel()
	report, err := r.Trail.Verify(limited, r.Verify)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("the verification was not finished within %s, which says nothing about the trail; a person can run custody verify", r.VerifyFor)
	} else if err != nil {
		return nil, err
	}
	a := verifyAnswer{Report: wire.ReportOf(report)}
	left, cut := newRoom()-4<<10, false
	a.Findings, cut = first(&left, a.Findings, cut)
	a.Unchecked, cut = first(&left, a.Unchecked, cut)
	a.Breaks, cut = first(&left, a.Breaks, cut)
	a.Removed, cut = first(&left, a.Removed, cut)
	a.Keys, cut = first(&left, a.Keys, cut)
	a.Witnessed, cut = first(&left, a.Witnessed, cut)
	if a.Stamped, cut = first(&left, a.Stamped, cut); cut {
		a.Note = fmt.Sprintf("of %d findings and %d removals not all are listed; custody verify --json has all", len(report.Findings), len(report.Removed))
	}
	return a, nil
}

// first returns the items of a list that have room, at most maxFindings.
func first[T any](left *room, list []T, cut bool) ([]T, bool) {
	for i := range list {
		if fits, err := left.take(list[i]); i == maxFindings || err != nil || !fits {
			return list[:i], true
		}
	}
	return list, cut
}

type statsAnswer struct {
	wire.Stats
	FirstKey string `json:"first_key"` // the verifier key that it began with, as it says itself
	Parts    int    `json:"parts"`     // how many files hold it
	Note     string `json:"note,omitempty"`
}

func (r *reader) stats(ctx context.Context, _ none) (any, error) {
	s, err := r.Trail.Stats(ctx)
	if err != nil {
		return nil, err
	}
	a := statsAnswer{Stats: wire.StatsOf(&s), FirstKey: r.Trail.FirstKey(), Parts: len(s.Parts)}
	left := newRoom() - 4<<10
	a.KeyIDs, _ = first(&left, a.KeyIDs, false)
	for _, by := range []*wire.Claimed{a.Cosigned, a.Stamped} {
		if by != nil {
			by.By, _ = first(&left, by.By, false)
		}
	}
	for i := range a.Types {
		if fits, err := left.take(a.Types[i]); err != nil {
			return nil, err
		} else if !fits {
			a.Note = fmt.Sprintf("of %d types these are the most frequent", len(a.Types))
			a.Types = a.Types[:i]
			break
		}
	}
	return a, nil
}

// stop is an emergency stop that holds.
type stop struct {
	ID         string   `json:"id"`
	Index      uint64   `json:"index"`
	Time       string   `json:"time"`
	Of         string   `json:"stops"` // agent, session, project or global
	Agents     []string `json:"agents,omitempty"`
	Session    string   `json:"session,omitempty"`
	Project    string   `json:"project,omitempty"`
	By         string   `json:"by"`
	Reason     string   `json:"reason"`
	LastAction *uint64  `json:"last_ran_after_it,omitempty"` // index
}

type stopsAnswer struct {
	marked
	Stops []stop `json:"stops"`
	Total int    `json:"total"`
	Note  string `json:"note,omitempty"`
}

func (r *reader) stops(ctx context.Context, _ none) (any, error) {
	active, err := r.Stops(ctx)
	if err != nil {
		return nil, err
	}
	a := stopsAnswer{marked: marked{untrusted}, Stops: []stop{}, Total: len(active)}
	left := newRoom()
	for i := range active {
		x := &active[i]
		s := stop{ID: text(x.ID), Index: x.Index, Time: wire.Time(x.Time), Of: text(x.Type), Session: text(x.Session), Project: text(x.Project), By: text(x.By), Reason: text(x.Reason)}
		for _, agent := range x.Agents[:min(len(x.Agents), maxFindings)] {
			s.Agents = append(s.Agents, ingest.Short(agent, maxText/3)) // so that one stop has room
		}
		if len(x.Agents) > maxFindings {
			s.Agents = append(s.Agents, fmt.Sprintf("… and %d more", len(x.Agents)-maxFindings))
		}
		if x.LastAction != nil {
			s.LastAction = &x.LastAction.Index
		}
		if fits, err := left.take(s); err != nil {
			return nil, err
		} else if !fits {
			a.Note = "cut: custody stop list has all"
			break
		}
		a.Stops = append(a.Stops, s)
	}
	return a, nil
}
