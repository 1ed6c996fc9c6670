package timeline

import (
	"slices"
	"time"

	"github.com/custodylog/custody/event"
)

// Status is what an action came to.
type Status string

// The statuses. The first three are open: nothing says yet how it ended.
const (
	Unresolved Status = "unresolved" // asked for; nothing more is known
	Waiting    Status = "waiting"    // somebody was asked to approve it
	Allowed    Status = "allowed"    // it may run; nothing says that it did

	Executed   Status = "executed"
	Failed     Status = "failed"
	Denied     Status = "denied"
	Cancelled  Status = "cancelled"
	TimedOut   Status = "timed_out"
	RolledBack Status = "rolled_back"
)

// Open reports whether nothing says how the action ended.
func (s Status) Open() bool { return s == Unresolved || s == Waiting || s == Allowed }

// Item is one line of a timeline: an action with all that belongs to it, or an
// event that belongs to none. Exactly one of the two is set.
type Item struct {
	Action *Action
	Step   *Step
}

// Time returns when the item began.
func (i *Item) Time() time.Time {
	if i.Action != nil {
		return i.Action.Began()
	}
	return i.Step.Time
}

// Index returns the index of the item's first entry.
func (i *Item) Index() uint64 {
	if i.Action != nil {
		return i.Action.Steps[0].Index
	}
	return i.Step.Index
}

// Action is everything that was recorded of one action.
type Action struct {
	ID     string
	Steps  []Step // in the order of the trail; at least one
	Other  int    // further entries that carry the action's id, such as its progress
	Status Status

	// Against is set when the action ran although the last decision about
	// it was to deny it.
	Against bool

	// Disputed is set when paths that saw the action say different things of it, and
	// when a denial was recorded after it had run.
	Disputed bool
}

// Build groups steps, which must be in the order of the trail. Items come in the
// order of their times; where these are equal, of the trail. A step that is not
// [Step.Main] becomes an item only if it belongs to no action.
func Build(steps []Step) []Item {
	actions := map[string]*Action{}
	var items []Item
	for _, s := range steps {
		if s.ActionID == "" {
			items = append(items, Item{Step: &s})
			continue
		}
		a := actions[s.ActionID]
		if a == nil {
			a = &Action{ID: s.ActionID}
			actions[s.ActionID] = a
		}
		if !s.Main() {
			a.Other++
			continue
		}
		if len(a.Steps) == 0 {
			items = append(items, Item{Action: a})
		}
		a.Steps = append(a.Steps, s)
	}
	for _, a := range actions {
		a.judge()
	}
	slices.SortStableFunc(items, func(x, y Item) int { return x.Time().Compare(y.Time()) })
	return items
}

// Main reports whether a timeline is about such steps: those of a registered
// type, without what only records the agent's state.
func (s *Step) Main() bool { return s.Type.Registered() && s.Type != event.CheckpointCreated }

// judge says what the action came to.
func (a *Action) judge() {
	a.Status = Unresolved
	denied, ended := false, false
	for i := range a.Steps {
		s := &a.Steps[i]
		if d := decided(s); d != "" {
			if d != Waiting {
				denied = d == Denied
			}
			if !ended {
				a.Status = d
			} else if d == Denied && s.Type != event.ApprovalRevoked {
				a.Disputed = a.Disputed || a.Status == Executed || a.Status == Failed
			}
			continue
		}
		switch s.Type {
		case event.ApprovalRequested, event.ApprovalEscalated:
			if a.Status.Open() {
				a.Status = Waiting
			}
		case event.ApprovalCancelled:
			if a.Status == Waiting {
				a.Status = Unresolved
			}
		case event.ActionExecuted, event.ActionFailed, event.ActionCancelled:
			a.Status, ended = endOf(s), true
			a.Against = a.Against || denied && (a.Status == Executed || a.Status == Failed)
		case event.RollbackCompleted:
			a.Status, ended = RolledBack, true
		case event.ActionObserved:
			a.Disputed = a.Disputed || s.Severity != event.SeverityInfo
		}
	}
}

// decided returns the status that a decision gives an action that has not ended. Empty:
// the step decides nothing.
func decided(s *Step) Status {
	switch s.Type {
	case event.ActionDenied, event.ApprovalDenied, event.ApprovalRevoked:
		return Denied
	case event.ActionValidated, event.ApprovalGranted, event.ApprovalExpired:
		switch s.Decision {
		case event.Deny, event.DecisionEmergencyStop:
			return Denied
		case event.Allow, event.AllowModified, event.AuditOnly:
			return Allowed
		case event.RequireApproval:
			return Waiting
		}
	}
	return ""
}

// endOf returns the status that an outcome gives.
func endOf(s *Step) Status {
	switch s.Outcome {
	case event.OutcomeSuccess:
		return Executed
	case event.OutcomeFailure:
		return Failed
	case event.OutcomeDenied:
		return Denied
	case event.OutcomeCancelled:
		return Cancelled
	case event.OutcomeTimedOut:
		return TimedOut
	}
	switch s.Type {
	case event.ActionFailed:
		return Failed
	case event.ActionCancelled:
		return Cancelled
	}
	return Executed
}

// Began returns the time of the action's first step.
func (a *Action) Began() time.Time { return a.Steps[0].Time }

// Took returns how long the action ran: as the event of its end says, or else
// from its request, or the last go-ahead, to its end. 0: it did not run, or did
// not end.
func (a *Action) Took() time.Duration {
	from := a.Steps[0].Time
	for i := range a.Steps {
		switch s := &a.Steps[i]; s.Type {
		case event.ActionValidated, event.ApprovalGranted:
			from = s.Time
		case event.ActionExecuted, event.ActionFailed, event.ActionCancelled:
			took := s.Took
			for _, o := range a.Steps[i+1:] {
				if took == 0 && o.Type == event.ActionObserved { // another path knows it
					took = o.Took
				}
			}
			if took > 0 || i == 0 {
				return took
			}
			return max(0, s.Time.Sub(from))
		}
	}
	return 0
}

// Waited returns how long the action waited for an approval: as the answer says,
// or else from the question to the answer.
func (a *Action) Waited() time.Duration {
	var asked time.Time
	for i := range a.Steps {
		switch s := &a.Steps[i]; s.Type {
		case event.ApprovalRequested:
			asked = s.Time
		case event.ApprovalGranted, event.ApprovalDenied, event.ApprovalExpired:
			if s.Took > 0 {
				return s.Took
			}
			if !asked.IsZero() {
				return max(0, s.Time.Sub(asked))
			}
		}
	}
	return 0
}

// Subject returns what the action is about: the most that one of its steps says.
func (a *Action) Subject() string {
	var whole Step
	for i := range a.Steps {
		s := &a.Steps[i]
		if whole.Tool == "" {
			whole.Tool = s.Tool
		}
		if whole.Resource == "" {
			whole.Resource = s.Resource
		}
		if whole.dir == "" {
			whole.dir = s.dir
		}
	}
	if whole.Tool == "" && whole.Resource == "" {
		return "action " + a.ID
	}
	return whole.Subject()
}

// AgentID returns the agent that the action belongs to.
func (a *Action) AgentID() string {
	for i := range a.Steps {
		if id := a.Steps[i].AgentID; id != "" {
			return id
		}
	}
	return ""
}
