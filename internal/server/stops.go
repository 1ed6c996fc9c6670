package server

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/stops"
	"github.com/custodylog/custody/internal/wire"
)

// registerStops serves
//
//	GET  /v1/trails/{trail}/stops
//	POST /v1/trails/{trail}/stops
//	POST /v1/trails/{trail}/stops/{stop}/clear
//	GET  /v1/gate
func (s *Server) registerStops() {
	const all = "/v1/trails/{trail}/stops"
	operation(s, huma.Operation{OperationID: "listStops", Method: http.MethodGet, Path: all, Tags: []string{"agents"},
		Summary: "List the emergency stops that hold, the oldest first", Errors: []int{403, 404}}, s.listStops)
	operation(s, huma.Operation{OperationID: "stop", Method: http.MethodPost, Path: all, Tags: []string{"agents"}, DefaultStatus: http.StatusCreated,
		Summary:     "Stop agents",
		Description: "When this is answered, hooks, recorders and the gate refuse what the stop covers. It is an event of the trail, in the name of whoever sends the request.",
		Errors:      []int{400, 403, 404, 415, 422, 503}}, s.stopAgents)
	operation(s, huma.Operation{OperationID: "clearStop", Method: http.MethodPost, Path: all + "/{stop}/clear", Tags: []string{"agents"},
		Summary: "Lift an emergency stop", Errors: []int{400, 403, 404, 415, 422, 503}}, s.clearStop)
	operation(s, huma.Operation{OperationID: "gate", Method: http.MethodGet, Path: "/v1/gate", Tags: []string{"agents"},
		Summary: "Ask whether an agent may go on", Description: "For gateways and agents that ask before each call. It takes the permission to record in the trail.", Errors: []int{403, 404}}, s.gate)
}

// StopInfo is an emergency stop.
type StopInfo struct {
	ID      string   `json:"id" doc:"Of its event"`
	Index   uint64   `json:"index"`
	Time    string   `json:"time"`
	Type    string   `json:"stop_type" enum:"agent,session,project,global"`
	By      string   `json:"by"`
	Reason  string   `json:"reason"`
	Agents  []string `json:"agents,omitempty"`
	Session string   `json:"session_id,omitempty"`
	Project string   `json:"project_id,omitempty"`

	LastAction *LastAction `json:"last_action,omitempty" doc:"The last thing that ran although it holds"`
}

// LastAction is what ran last after a stop.
type LastAction struct {
	Index   uint64  `json:"index"`
	Time    string  `json:"time"`
	AfterMS float64 `json:"after_ms" doc:"How long after the stop, in milliseconds"`
}

func stopOf(stop *stops.Stop) StopInfo {
	return StopInfo{ID: stop.ID, Index: stop.Index, Time: wire.Time(stop.At), Type: stop.Type, By: stop.By, Reason: stop.Reason, Agents: stop.Agents, Session: stop.Session, Project: stop.Project}
}

type stopsOutput struct {
	Body struct {
		Stops []StopInfo `json:"stops"`
	}
}

func (s *Server) listStops(ctx context.Context, in *InTrail) (*stopsOutput, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	out := &stopsOutput{}
	out.Body.Stops = []StopInfo{}
	w := s.agents.of(t.Name)
	if w.stops == nil {
		return out, nil
	}
	for _, stop := range w.stops.Active() {
		j := stopOf(&stop)
		last, err := stops.LastAction(ctx, t.Trail, &stop)
		if err != nil {
			return nil, err
		}
		if last != nil {
			j.LastAction = &LastAction{last.Index, wire.Time(last.Time), float64(last.Time.Sub(stop.At)) / float64(time.Millisecond)}
		}
		out.Body.Stops = append(out.Body.Stops, j)
	}
	return out, nil
}

type stopOutput struct{ Body StopInfo }

func (s *Server) stopAgents(ctx context.Context, in *struct {
	InTrail
	Body struct {
		Type    string   `json:"stop_type" enum:"agent,session,project,global" doc:"How far it reaches"`
		Agents  []string `json:"agents,omitempty" maxItems:"1000" doc:"Of the type agent: whom it stops"`
		Session string   `json:"session_id,omitempty" doc:"Of the type session"`
		Project string   `json:"project_id,omitempty" doc:"Of the type project"`
		Reason  string   `json:"reason" minLength:"1" maxLength:"4096"`
	}
}) (*stopOutput, error) {
	t, w, err := s.agentsOf(in.Trail)
	if err != nil {
		return nil, err
	}
	b := &in.Body
	if missing := map[string]bool{"agent": len(b.Agents) == 0 || slices.Contains(b.Agents, ""), "session": b.Session == "", "project": b.Project == ""}; missing[b.Type] {
		return nil, invalid("body", "nothing says which %s is to stop", b.Type)
	}
	receipt, err := t.EmergencyStop(asSender(ctx), custody.Stop{
		Type: b.Type, TriggeredBy: sender(ctx), Reason: b.Reason, AffectedAgents: b.Agents, SessionID: b.Session, ProjectID: b.Project,
	})
	if err == nil {
		err = w.stops.Wait(ctx, receipt.Index)
	}
	if err != nil {
		return nil, err
	}
	return &stopOutput{StopInfo{ID: receipt.ID, Index: receipt.Index, Time: wire.Time(receipt.Time), Type: b.Type, By: sender(ctx), Reason: b.Reason, Agents: b.Agents, Session: b.Session, Project: b.Project}}, nil
}

func (s *Server) clearStop(ctx context.Context, in *struct {
	InTrail
	Stop string `path:"stop" maxLength:"1024" doc:"Id of the stop's event"`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"4096"`
	}
}) (*struct{ Body wire.Receipt }, error) {
	t, w, err := s.agentsOf(in.Trail)
	if err != nil {
		return nil, err
	}
	for _, stop := range w.stops.Active() {
		if stop.ID != in.Stop {
			continue
		}
		receipt, err := t.EmergencyStopCleared(asSender(ctx), stop.ID, sender(ctx), custody.Stop{Reason: in.Body.Reason, AffectedAgents: stop.Agents, SessionID: stop.Session, ProjectID: stop.Project})
		if err == nil {
			err = w.stops.Wait(ctx, receipt.Index)
		}
		if err != nil {
			return nil, err
		}
		return &struct{ Body wire.Receipt }{wire.ReceiptOf(&receipt)}, nil
	}
	return nil, newProblem(http.StatusNotFound, "not_found", "no emergency stop %q holds", in.Stop)
}

type gateOutput struct {
	Body struct {
		Stopped bool      `json:"stopped"`
		Stop    *StopInfo `json:"stop,omitempty"`
	}
}

func (s *Server) gate(ctx context.Context, in *struct {
	Trail   string `query:"trail" default:"default"`
	Agent   string `query:"agent_id"`
	Session string `query:"session_id"`
	Project string `query:"project_id"`
}) (*gateOutput, error) {
	_, err := s.writable(in.Trail)
	w := s.agents.of(in.Trail)
	if w.stops == nil {
		return nil, err
	}
	out := &gateOutput{} // a stop holds in a trail that cannot be written any more, too
	if stop := w.stops.For(stops.Of{Agent: in.Agent, Session: in.Session, Project: in.Project}); stop != nil {
		j := stopOf(stop)
		out.Body.Stopped, out.Body.Stop = true, &j
	}
	return out, nil
}
