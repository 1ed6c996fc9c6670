package mcpserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/internal/textsearch"
	"github.com/custodylog/custody/internal/timeline"
	"github.com/custodylog/custody/internal/wire"
)

// Bounds of what is listed.
const (
	defaultEntries = 20
	maxEntries     = 200
	defaultItems   = 30
	maxItems       = 200
	maxSteps       = 20_000  // entries that a timeline is made of
	maxItem        = 8 << 10 // bytes of an action, beyond which the last of its steps are only counted
	maxText        = 300     // bytes of a text in a list
)

type queryInput struct {
	Types         []string `json:"types,omitempty" jsonschema:"only events of one of these types, such as action_denied, action_failed, approval_requested"`
	Agent         string   `json:"agent,omitempty" jsonschema:"only events of the agent with this id"`
	Action        string   `json:"action,omitempty" jsonschema:"only events of the action with this id"`
	Session       string   `json:"session,omitempty" jsonschema:"only events of the session with this id"`
	Project       string   `json:"project,omitempty" jsonschema:"only events of the project with this id"`
	User          string   `json:"user,omitempty" jsonschema:"only events of the user with this id"`
	Correlation   string   `json:"correlation,omitempty" jsonschema:"only events with this correlation id"`
	Decision      string   `json:"decision,omitempty" jsonschema:"only events with this decision: allow, deny, require_approval, allow_modified, audit_only, emergency_stop"`
	Since         string   `json:"since,omitempty" jsonschema:"only entries recorded at or after this time: RFC 3339, or how long ago, such as 90m or 48h"`
	Until         string   `json:"until,omitempty" jsonschema:"only entries recorded before this time, written like since"`
	OccurredSince string   `json:"occurred_since,omitempty" jsonschema:"only events that happened, as their producer says, at or after this time"`
	OccurredUntil string   `json:"occurred_until,omitempty" jsonschema:"only events that happened, as their producer says, before this time"`
	Text          string   `json:"text,omitempty" jsonschema:"only events that say all of these words, in any order and whatever their case; what is in double quotes is one word"`
	After         *uint64  `json:"after,omitempty" jsonschema:"go on behind the entry with this index, in the same order: next of an answer that was cut"`
	Oldest        bool     `json:"oldest,omitempty" jsonschema:"the oldest entries first"`
	Limit         int      `json:"limit,omitempty" jsonschema:"at most so many entries, 1 to 200 (default 20)"`
}

// row is one entry in a list.
type row struct {
	Index    uint64 `json:"index"`
	Time     string `json:"time"` // of the trail
	Type     string `json:"type"`
	Severity string `json:"severity,omitempty"`
	Agent    string `json:"agent,omitempty"`
	Session  string `json:"session,omitempty"`
	Action   string `json:"action,omitempty"`
	User     string `json:"user,omitempty"`
	Decision string `json:"decision,omitempty"`
	By       string `json:"decision_source,omitempty"`
	Outcome  string `json:"outcome,omitempty"`
	Source   string `json:"source,omitempty"`
	Summary  string `json:"summary,omitempty"`
	Gone     bool   `json:"payload_not_held,omitempty"`
}

type queryAnswer struct {
	marked
	Entries []row   `json:"entries"`
	Size    uint64  `json:"trail_size"`
	More    bool    `json:"more"`
	Next    *uint64 `json:"next,omitempty"` // where there is more
	Note    string  `json:"note,omitempty"`
}

func (r *reader) query(ctx context.Context, in queryInput) (any, error) {
	q, err := in.query(time.Now())
	if err != nil {
		return nil, err
	}
	limit, err := bounded("limit", in.Limit, defaultEntries, maxEntries)
	if err != nil {
		return nil, err
	}
	q.Limit = limit + 1 // one more shows that there is more
	a := queryAnswer{marked: marked{untrusted}, Entries: []row{}}
	left, done := newRoom(), custody.Searched{Done: true}
	entries := r.Trail.Entries(ctx, q)
	if in.Text != "" {
		s := custody.Search{Query: q, Text: in.Text, MaxEntries: textsearch.MaxEntries, MaxTime: textsearch.MaxTime}
		entries = wire.Found(func(found func(custody.Entry) bool) (custody.Searched, error) { return r.Trail.Search(ctx, s, found) }, &done)
	}
	for e, err := range entries {
		if err != nil {
			return nil, err
		}
		line, err := rowOf(&e)
		if err != nil {
			return nil, err
		}
		fits, err := left.take(line)
		if err != nil {
			return nil, err
		}
		if len(a.Entries) == limit || !fits { // one line has room whatever it says
			last := a.Entries[len(a.Entries)-1].Index
			a.More, a.Next = true, &last
			a.Note = fmt.Sprintf("cut: call again with after=%d for what follows", last)
			break
		}
		a.Entries = append(a.Entries, line)
	}
	if !done.Done && !a.More {
		a.More, a.Next = true, &done.Last
		a.Note = fmt.Sprintf("the words were looked for in %d entries, as far as entry %d: call again with after=%d to look further", done.Entries, done.Last, done.Last)
	}
	if slices.ContainsFunc(a.Entries, func(line row) bool { return line.Gone }) {
		a.Note = strings.TrimPrefix(a.Note+"; payload_not_held: "+notHeld, "; ")
	}
	a.Size = r.Trail.Size() // a server has told it now
	return a, nil
}

// notHeld says why an entry may come without what its event says.
const notHeld = "the payload was erased, has expired, or may not be seen with this token"

// query makes the query of an input.
func (in *queryInput) query(now time.Time) (custody.Query, error) {
	q := custody.Query{AgentID: in.Agent, ActionID: in.Action, SessionID: in.Session, ProjectID: in.Project, UserID: in.User,
		CorrelationID: in.Correlation, Newest: !in.Oldest}
	for _, t := range in.Types {
		if !event.ValidType(t) {
			return q, fmt.Errorf("types: %.60q is no name of a type; the tool stats lists those that the trail has", t)
		}
		q.Types = append(q.Types, event.Type(t))
	}
	if in.Decision != "" {
		var ok bool
		if q.Decision, ok = event.ParseDecision(in.Decision); !ok {
			return q, fmt.Errorf("decision: %.60q is none", in.Decision)
		}
	}
	if err := times(now, []moment{{"since", in.Since, &q.Since}, {"until", in.Until, &q.Until},
		{"occurred_since", in.OccurredSince, &q.OccurredSince}, {"occurred_until", in.OccurredUntil, &q.OccurredUntil}}); err != nil {
		return q, err
	}
	if in.After != nil {
		q = q.After(*in.After)
	}
	return q, nil
}

type moment struct {
	name, text string
	to         *time.Time
}

// times reads times as RFC 3339 writes them, or how long before now they were.
func times(now time.Time, all []moment) error {
	for _, m := range all {
		if m.text == "" {
			continue
		}
		if ago, err := time.ParseDuration(m.text); err == nil && ago >= 0 {
			*m.to = now.Add(-ago)
		} else if *m.to, err = time.Parse(time.RFC3339, m.text); err != nil {
			return fmt.Errorf("%s: %.60q is no time: expected RFC 3339, such as 2026-01-31T15:04:05Z, or how long ago, such as 90m", m.name, m.text)
		}
	}
	return nil
}

// bounded returns a number that may be left out.
func bounded(name string, n, usual, most int) (int, error) {
	if n < 0 || n > most {
		return 0, fmt.Errorf("%s: %d is not within 1 and %d", name, n, most)
	}
	return cmp.Or(n, usual), nil
}

// rowOf returns the line of an entry.
func rowOf(e *custody.Entry) (row, error) {
	s, err := timeline.StepOf(e)
	if err != nil {
		return row{}, err
	}
	return row{Index: s.Index, Time: wire.Time(s.Recorded), Type: text(s.Type), Severity: text(s.Severity), Agent: text(s.AgentID), Session: text(s.SessionID),
		Action: text(s.ActionID), User: text(s.UserID), Decision: text(s.Decision), By: text(s.DecisionSource), Outcome: text(s.Outcome),
		Source: text(s.Source), Summary: text(s.Summary()), Gone: s.Erased}, nil
}

func text[T ~string](s T) string { return ingest.Short(string(s), maxText) }

type timelineInput struct {
	Session string `json:"session,omitempty" jsonschema:"the session with this id; give exactly one of session, agent and action"`
	Agent   string `json:"agent,omitempty" jsonschema:"the agent with this id"`
	Action  string `json:"action,omitempty" jsonschema:"the action with this id"`
	Since   string `json:"since,omitempty" jsonschema:"only what was recorded at or after this time: RFC 3339, or how long ago, such as 90m or 48h"`
	Until   string `json:"until,omitempty" jsonschema:"only what was recorded before this time, written like since"`
	To      uint64 `json:"to,omitempty" jsonschema:"only entries with an index below this: to of an answer that was cut, so that what is recorded meanwhile shifts nothing"`
	Skip    int    `json:"skip,omitempty" jsonschema:"leave out so many items at the beginning: next of an answer that was cut"`
	Limit   int    `json:"limit,omitempty" jsonschema:"at most so many items, 1 to 200 (default 30)"`
}

type timelineAnswer struct {
	marked
	Items    []wire.Item    `json:"items"`
	Total    int            `json:"total_items"`
	Actions  map[string]int `json:"actions_by_status"` // of all items
	More     bool           `json:"more"`
	Next     int            `json:"next,omitempty"` // where there is more
	To       uint64         `json:"to,omitempty"`   // behind the last entry that it is made of
	Note     string         `json:"note,omitempty"`
	Imported int            `json:"entries_from_transcripts,omitempty"`
}

func (r *reader) timeline(ctx context.Context, in timelineInput) (*timelineAnswer, error) {
	q := custody.Query{SessionID: in.Session, AgentID: in.Agent, ActionID: in.Action, To: in.To, Limit: maxSteps + 1}
	given := 0
	for _, id := range []string{in.Session, in.Agent, in.Action} {
		if id != "" {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("whose timeline? Give exactly one of session, agent and action")
	}
	if err := times(time.Now(), []moment{{"since", in.Since, &q.Since}, {"until", in.Until, &q.Until}}); err != nil {
		return nil, err
	}
	limit, err := bounded("limit", in.Limit, defaultItems, maxItems)
	if err != nil {
		return nil, err
	}
	a := &timelineAnswer{marked: marked{untrusted}, Items: []wire.Item{}, Actions: map[string]int{}}
	var steps []timeline.Step
	for e, err := range r.Trail.Entries(ctx, q) {
		if err != nil {
			return nil, err
		}
		if len(steps) == maxSteps {
			a.Note = fmt.Sprintf("made of the first %d entries only: narrow it with since and until. ", maxSteps)
			break
		}
		s, err := timeline.StepOf(&e)
		if err != nil {
			return nil, err
		}
		if s.Transcript() {
			a.Imported++
		}
		a.To = e.Index + 1
		steps = append(steps, s)
	}
	items := wire.ItemsOf(timeline.Build(steps), false)
	a.Total = len(items)
	for i := range items {
		if action := items[i].Action; action != nil {
			a.Actions[action.Status]++
		}
	}
	if in.Skip < 0 || in.Skip > len(items) {
		return nil, fmt.Errorf("skip: %d is not within 0 and %d, which is how many items there are", in.Skip, len(items))
	}
	left := newRoom()
	for _, item := range items[in.Skip:] {
		if err := shorten(&item); err != nil {
			return nil, err
		}
		fits, err := left.take(item)
		if err != nil {
			return nil, err
		}
		if len(a.Items) == limit || !fits { // one item has room whatever it says
			a.More, a.Next = true, in.Skip+len(a.Items)
			a.Note += fmt.Sprintf("cut: call again with skip=%d and to=%d for what follows", a.Next, a.To)
			break
		}
		a.Items = append(a.Items, item)
	}
	return a, nil
}

// shorten bounds an item. The last steps of an action that has many are only counted.
func shorten(item *wire.Item) error {
	if item.Event != nil {
		shortenStep(item.Event)
		return nil
	}
	a := item.Action
	a.ActionID, a.AgentID, a.Tool, a.Resource = text(a.ActionID), text(a.AgentID), text(a.Tool), text(a.Resource)
	left := room(maxItem)
	for i := range a.Steps {
		shortenStep(&a.Steps[i])
		if fits, err := left.take(a.Steps[i]); err != nil {
			return err
		} else if !fits && i > 0 {
			a.Steps, a.Other = a.Steps[:i], a.Other+len(a.Steps)-i
			break
		}
	}
	return nil
}

func shortenStep(s *wire.Step) {
	for _, member := range []*string{&s.Type, &s.Severity, &s.AgentID, &s.UserID, &s.Decision, &s.DecisionSource, &s.Outcome, &s.Source, &s.Summary} {
		*member = text(*member)
	}
}
