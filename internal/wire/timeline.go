package wire

import (
	"time"

	"github.com/custodylog/custody/internal/timeline"
)

// Action is an action.
type Action struct {
	ActionID string  `json:"action_id"`
	AgentID  string  `json:"agent_id,omitempty"`
	Tool     string  `json:"tool_name,omitempty"`
	Resource string  `json:"resource,omitempty"`
	Status   string  `json:"status"`
	Open     bool    `json:"open"`
	Against  bool    `json:"against_decision,omitempty"`
	Disputed bool    `json:"disputed,omitempty" doc:"Paths that saw the action say different things of it, or a denial was recorded after it had run"`
	TookMS   float64 `json:"took_ms,omitempty"`
	WaitedMS float64 `json:"waited_ms,omitempty"`
	Other    int     `json:"other_entries,omitempty"`
	Steps    []Step  `json:"steps"`
}

// Step is one entry of a timeline.
type Step struct {
	Index          uint64 `json:"index"`
	Time           string `json:"time"`
	OccurredAt     string `json:"occurred_at"`
	Type           string `json:"type"`
	Severity       string `json:"severity,omitempty"`
	AgentID        string `json:"agent_id,omitempty"`
	UserID         string `json:"user_id,omitempty"`
	Decision       string `json:"decision,omitempty"`
	DecisionSource string `json:"decision_source,omitempty"`
	Outcome        string `json:"outcome,omitempty"`
	Source         string `json:"source,omitempty" doc:"The path by which the event came; transcript is evidence of lower trust"`
	Summary        string `json:"summary,omitempty"`
}

// Item is one thing on a timeline: one of the two.
type Item struct {
	Action *Action `json:"action,omitempty"`
	Event  *Step   `json:"event,omitempty"`
}

// ActionOf returns the JSON of an action.
func ActionOf(a *timeline.Action) Action {
	j := Action{ActionID: a.ID, AgentID: a.AgentID(), Status: string(a.Status), Open: a.Status.Open(), Against: a.Against, Disputed: a.Disputed,
		TookMS: milliseconds(a.Took()), WaitedMS: milliseconds(a.Waited()), Other: a.Other}
	for i := range a.Steps {
		s := &a.Steps[i]
		if j.Tool == "" {
			j.Tool = s.Tool
		}
		if j.Resource == "" {
			j.Resource = s.Resource
		}
		j.Steps = append(j.Steps, StepOf(s))
	}
	return j
}

// StepOf returns the JSON of a step.
func StepOf(s *timeline.Step) Step {
	return Step{Index: s.Index, Time: Time(s.Recorded), OccurredAt: Time(s.Time), Type: string(s.Type), Severity: string(s.Severity),
		AgentID: s.AgentID, UserID: s.UserID, Decision: string(s.Decision), DecisionSource: string(s.DecisionSource),
		Outcome: string(s.Outcome), Source: s.Source, Summary: s.Summary()}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// ItemsOf returns the JSON of a timeline. Steps that are not Main are left out unless
// all are asked for.
func ItemsOf(items []timeline.Item, all bool) []Item {
	list := []Item{}
	for i := range items {
		if a := items[i].Action; a != nil {
			j := ActionOf(a)
			list = append(list, Item{Action: &j})
		} else if s := items[i].Step; all || s.Main() {
			j := StepOf(s)
			list = append(list, Item{Event: &j})
		}
	}
	return list
}
