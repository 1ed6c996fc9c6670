package server

import (
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
)

// Filter chooses entries: in an address, or in a body. Every part that is given has to
// match.
type Filter struct {
	Types         []string  `query:"event_type,explode" json:"event_type,omitempty" required:"false" doc:"One of these types"`
	AgentID       string    `query:"agent_id" json:"agent_id,omitempty" doc:"Also finds emergency stops that name the agent as affected"`
	ActionID      string    `query:"action_id" json:"action_id,omitempty"`
	ProjectID     string    `query:"project_id" json:"project_id,omitempty"`
	SessionID     string    `query:"session_id" json:"session_id,omitempty"`
	UserID        string    `query:"user_id" json:"user_id,omitempty"`
	Decision      string    `query:"decision" json:"decision,omitempty"`
	CorrelationID string    `query:"correlation_id" json:"correlation_id,omitempty"`
	Since         time.Time `query:"since" json:"since,omitzero" required:"false" doc:"Recorded at or after this time"`
	Until         time.Time `query:"until" json:"until,omitzero" required:"false" doc:"Recorded before this time"`
	OccurredSince time.Time `query:"occurred_since" json:"occurred_since,omitzero" required:"false" doc:"Happened, as the producer says, at or after this time"`
	OccurredUntil time.Time `query:"occurred_until" json:"occurred_until,omitzero" required:"false" doc:"Happened, as the producer says, before this time"`
	From          uint64    `query:"from_index" json:"from_index,omitempty" required:"false" doc:"From this index on"`
	To            uint64    `query:"to_index" json:"to_index,omitempty" required:"false" doc:"Before this index; 0: up to the end"`
}

// query returns what the filter asks for. Locations of what is wrong with it begin
// with where, such as query.
func (f *Filter) query(where string) (custody.Query, error) {
	q := custody.Query{AgentID: f.AgentID, ActionID: f.ActionID, ProjectID: f.ProjectID, SessionID: f.SessionID, UserID: f.UserID,
		CorrelationID: f.CorrelationID, Since: f.Since, Until: f.Until, OccurredSince: f.OccurredSince, OccurredUntil: f.OccurredUntil, From: f.From, To: f.To}
	for _, t := range f.Types {
		if !event.ValidType(t) {
			return q, invalid(where+".event_type", "no type has the name %q", t)
		}
		q.Types = append(q.Types, event.Type(t))
	}
	if f.Decision != "" {
		var ok bool
		if q.Decision, ok = event.ParseDecision(f.Decision); !ok {
			return q, invalid(where+".decision", "%q is no decision; docs/events.md has them", f.Decision)
		}
	}
	if _, err := q.Members(); err != nil {
		return q, invalid(where, "%s", err)
	}
	return q, nil
}

// empty reports whether the filter lets everything through.
func (f *Filter) empty() bool { return reflect.ValueOf(*f).IsZero() }

// looksInside reports whether the filter asks what payloads say.
func (f *Filter) looksInside() bool {
	outside := Filter{Types: f.Types, Since: f.Since, Until: f.Until, From: f.From, To: f.To}
	return !reflect.DeepEqual(outside, *f)
}

// mayAsk refuses a filter that would tell somebody what payloads say who may not read
// them.
func (f *Filter) mayAsk(p *auth.Principal, trail string) error {
	if !f.looksInside() || p.May(auth.ReadPayloads, trail) {
		return nil
	}
	return newProblem(http.StatusForbidden, "forbidden", "%s may not read payloads on trail %q, and the filter is about what they say; filter by type, time of recording and index", p.Name, trail)
}

// invalid is the problem of a request that has something wrong at one place.
func invalid(location, format string, args ...any) *Problem {
	message := fmt.Sprintf(format, args...)
	p := newProblem(http.StatusUnprocessableEntity, "invalid", "%s: %s", location, message)
	p.Errors = []Fault{{location, message}}
	return p
}
