package client

import (
	"context"
	"net/http"
	"time"

	"github.com/custodylog/custody"
)

// ActiveStop is an emergency stop that holds, with all that the server tells of it.
type ActiveStop struct {
	Stop
	Index   uint64    `json:"index"` // of its event
	Time    time.Time `json:"time"`  // when it was recorded
	Type    string    `json:"stop_type"`
	Agents  []string  `json:"agents"` // that are stopped; for the type "agent"
	Session string    `json:"session_id"`
	Project string    `json:"project_id"`

	// LastAction is the last thing that ran although the stop holds; nil: nothing did,
	// or the server was not asked.
	LastAction *LastAction `json:"last_action"`
}

// LastAction is what ran last after a stop.
type LastAction struct {
	Index uint64    `json:"index"`
	Time  time.Time `json:"time"`
}

// Stops returns the emergency stops that hold, the oldest first.
func (t *Trail) Stops(ctx context.Context) ([]ActiveStop, error) {
	var answer struct {
		Stops []ActiveStop `json:"stops"`
	}
	err := t.get(ctx, &answer, "stops")
	return answer.Stops, err
}

// StopAgents stops agents, in the name of whose token it is: TriggeredBy is not sent.
// When it returns, hooks, recorders and the gate of the server refuse what the stop
// covers. Of s, Type, Reason, AffectedAgents, SessionID and ProjectID count.
func (t *Trail) StopAgents(ctx context.Context, s custody.Stop) (ActiveStop, error) {
	var answer ActiveStop
	ask := struct {
		Type    string   `json:"stop_type"`
		Agents  []string `json:"agents,omitempty"`
		Session string   `json:"session_id,omitempty"`
		Project string   `json:"project_id,omitempty"`
		Reason  string   `json:"reason"`
	}{s.Type, s.AffectedAgents, s.SessionID, s.ProjectID, s.Reason}
	// Twice is no harm, and not at all is.
	err := t.conn.json(ctx, request{method: http.MethodPost, path: t.path("stops"), body: ask}, &answer)
	return answer, err
}

// ClearStop lifts an emergency stop, in the name of whose token it is. It fails with
// custody.ErrNotFound when none with that id holds.
func (t *Trail) ClearStop(ctx context.Context, id, reason string) (custody.Receipt, error) {
	var j receiptJSON
	ask := map[string]string{"reason": reason}
	if err := t.conn.json(ctx, request{method: http.MethodPost, path: t.path("stops", id, "clear"), body: ask, once: true}, &j); err != nil {
		return custody.Receipt{}, err
	}
	return t.receipt(&j)
}
