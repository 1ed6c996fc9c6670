package ui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/timeline"
)

const (
	approvalBudget = 1000 // entries about approvals that are looked at for what waits
	actionBudget   = 2000 // entries about actions that are looked at for what is open
	agentBudget    = 1000 // entries that are looked at for who is busy
	maxListed      = 10   // of each list
	maxChecked     = 50   // actions that look open, and of which the rest is read
	maxSteps       = 100  // entries of one action that are read then, the newest
)

// looked says what a list was made of: the newest entries of a time.
type looked struct {
	Entries int
	More    bool   // there are older ones
	Erased  int    // entries of which the payload is not held any more, so that they tell nothing
	About   string // what kind of entries, such as " about actions"; empty: any
	All     bool   // of the trail; otherwise of a part of its time
}

// Of says of what the entries are.
func (l looked) Of() string {
	if l.All {
		return "of this trail"
	}
	return "in this time"
}

// In is where nothing was found.
func (l looked) In() string {
	if l.All {
		return "in this trail"
	}
	return "in this time"
}

// Words name it, after "judging by".
func (l looked) Words() string {
	words := fmt.Sprintf("all %s events%s %s", number(l.Entries), l.About, l.Of())
	switch {
	case l.More:
		words = fmt.Sprintf("the newest %s%s %s", plural(l.Entries, "event", "events"), l.About, l.Of())
	case l.Entries == 1:
		words = fmt.Sprintf("the only event%s %s", l.About, l.Of())
	}
	if l.Erased > 0 {
		words += fmt.Sprintf(", of which %s no payload any more", plural(l.Erased, "has", "have"))
	}
	return words
}

// look gives the newest entries of a filter's time, at most budget, to see.
func (v *view) look(f *filter, types []event.Type, about string, budget int, see func(*custody.Entry) error) (looked, error) {
	l := looked{About: about, All: f.query.Since.IsZero() && f.query.Until.IsZero()}
	for e, err := range v.trail.Entries(v.ctx, custody.Query{Types: types, Since: f.query.Since, Until: f.query.Until, Newest: true, Limit: budget + 1}) {
		if err != nil {
			return l, err
		}
		if l.Entries == budget {
			l.More = true
			break
		}
		l.Entries++
		if e.Payload == nil {
			l.Erased++
		} else if err := see(&e); err != nil {
			return l, fmt.Errorf("entry %d: payload: %w", e.Index, err)
		}
	}
	return l, nil
}

// approvalTypes are the types that say what became of an approval, actionTypes those that
// say what became of an action.
var (
	approvalTypes = ofFamilies("approval")
	actionTypes   = append(ofFamilies("action", "approval"), event.RollbackCompleted)
)

func ofFamilies(families ...string) (types []event.Type) {
	for _, spec := range event.Types() {
		if slices.Contains(families, spec.Family) {
			types = append(types, spec.Type)
		}
	}
	return types
}

// openActions are the actions of which nothing says how they ended.
type openActions struct {
	Waiting    openList // for an approval
	Unresolved openList
}

// openList is the newest of them.
type openList struct {
	Actions []openAction
	More    bool // there may be others among what was looked at
	looked  looked
	none    string // says that there is none
}

// Sentence says what the list was made of, and what it is not.
func (l openList) Sentence() string {
	switch judged := "udging by " + l.looked.Words() + "."; {
	case len(l.Actions) > 0 && l.More:
		return "There may be more, j" + judged
	case len(l.Actions) > 0:
		return "J" + judged
	case l.More:
		return "There may be some that were not looked into, j" + judged
	case l.looked.Entries == 0:
		return fmt.Sprintf("No event%s was recorded %s.", l.looked.About, l.looked.In())
	default:
		return l.none + ", j" + judged
	}
}

// openAction is an action of which nothing says how it ended.
type openAction struct {
	*timeline.Action
	Trail string
	Index uint64 // of its last event
	Since time.Time
}

// openActions looks for actions that are open: by the types of the newest entries about
// approvals and actions in a time, and then, of those that look open, at all that the
// trail has. Of the first nothing is shown; only the others are told as read.
func (v *view) openActions(f *filter) (o openActions, err error) {
	o.Waiting.none = "No action waits for an approval"
	o.Unresolved.none = "It is known how every action ended, or that it waits for an approval"
	var steps []timeline.Step // as much of them as says what is open
	see := func(e *custody.Entry) error {
		s := timeline.Step{Index: e.Index, Type: e.Type}
		err := event.ScanFields(e.Payload, func(f event.Field, value []byte) {
			switch f {
			case event.FieldAction:
				s.ActionID = string(value)
			case event.FieldDecision:
				s.Decision = event.Decision(value)
			}
		})
		steps = append(steps, s)
		return err
	}
	if o.Waiting.looked, err = v.look(f, approvalTypes, " about approvals", approvalBudget, see); err != nil {
		return o, err
	}
	if o.Unresolved.looked, err = v.look(f, actionTypes, " about actions", actionBudget, see); err != nil {
		return o, err
	}
	byIndex := func(a, b timeline.Step) int { return cmp.Compare(a.Index, b.Index) }
	slices.SortFunc(steps, byIndex)
	steps = slices.CompactFunc(steps, func(a, b timeline.Step) bool { return a.Index == b.Index })
	var open []*timeline.Action
	for _, item := range timeline.Build(steps) {
		if a := item.Action; a != nil && a.Status.Open() {
			open = append(open, a)
		}
	}
	last := func(a *timeline.Action) timeline.Step { return a.Steps[len(a.Steps)-1] }
	slices.SortFunc(open, func(a, b *timeline.Action) int { return byIndex(last(b), last(a)) })
	checked := 0
	for _, a := range open {
		if l := o.of(a.Status); len(l.Actions) == maxListed || checked == maxChecked {
			l.More = true
			continue
		}
		checked++
		whole, err := v.action(a.ID)
		if err != nil {
			return o, err
		}
		if whole == nil || !whole.Status.Open() {
			continue
		}
		l, s := o.of(whole.Status), last(whole)
		if len(l.Actions) == maxListed {
			l.More = true
			continue
		}
		l.Actions = append(l.Actions, openAction{whole, v.name, s.Index, s.Recorded})
	}
	return o, nil
}

func (o *openActions) of(s timeline.Status) *openList {
	if s == timeline.Waiting {
		return &o.Waiting
	}
	return &o.Unresolved
}

// action reads an action, nil if nothing tells of it any more.
func (v *view) action(id string) (*timeline.Action, error) {
	rows, err := v.events(custody.Query{ActionID: id, Newest: true, Limit: maxSteps})
	if err != nil {
		return nil, err
	}
	var steps []timeline.Step
	for i := range slices.Backward(rows) {
		steps = append(steps, rows[i].Step)
	}
	return judged(steps), nil
}

// judged returns the action that steps are of, nil if they tell of none.
func judged(steps []timeline.Step) *timeline.Action {
	for _, item := range timeline.Build(steps) {
		if item.Action != nil {
			return item.Action
		}
	}
	return nil
}

// busiest are the agents that most events name.
type busiest struct {
	Looked looked
	Agents []agentCount
}

// agentCount is how many events name an agent.
type agentCount struct {
	ID    string
	Count int
}

// busiest counts the agents that the newest entries of a time name.
func (v *view) busiest(f *filter) (b busiest, err error) {
	byAgent := map[string]int{}
	var named []string // in one event
	b.Looked, err = v.look(f, nil, "", agentBudget, func(e *custody.Entry) error {
		v.entry(e)
		named = named[:0]
		err := event.ScanFields(e.Payload, func(f event.Field, value []byte) {
			if f == event.FieldAgent && !slices.Contains(named, string(value)) {
				named = append(named, string(value))
			}
		})
		for _, id := range named {
			byAgent[id]++
		}
		return err
	})
	for id, n := range byAgent {
		b.Agents = append(b.Agents, agentCount{id, n})
	}
	slices.SortFunc(b.Agents, func(x, y agentCount) int { return cmp.Or(y.Count-x.Count, strings.Compare(x.ID, y.ID)) })
	b.Agents = b.Agents[:min(maxListed, len(b.Agents))]
	return b, err
}
