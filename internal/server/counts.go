package server

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/histogram"
	"github.com/custodylog/custody/internal/timeline"
	"github.com/custodylog/custody/internal/wire"
)

// registerCounts serves
//
//	GET /v1/trails/{trail}/counts
func (s *Server) registerCounts() {
	operation(s, huma.Operation{OperationID: "countEvents", Method: http.MethodGet, Path: "/v1/trails/{trail}/counts", Tags: []string{"events"},
		Summary:     "Count entries by period and type",
		Description: "since and until are widened to whole hours; days are those of UTC. Where only they and types are given, entries need not be read for that, however many there are.",
		Errors:      []int{403, 404, 422, 503}}, s.countEvents)
}

type countsOutput struct {
	Body struct {
		Counts []wire.Count `json:"counts" doc:"By start and type; periods and types without entries are left out"`
	}
}

func (s *Server) countEvents(ctx context.Context, in *struct {
	InTrail
	Filter
	WithoutText
	By string `query:"by" enum:"hour,day,type" default:"day" doc:"What to count by, beside the type"`
}) (*countsOutput, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(in.check("counts"), in.mayAsk(auth.From(ctx), in.Trail)); err != nil {
		return nil, err
	}
	q, err := in.query("query")
	if err != nil {
		return nil, err
	}
	counts, err := histogram.Count(ctx, t.Trail, q, in.By)
	if err != nil {
		return nil, err
	}
	out := &countsOutput{}
	out.Body.Counts = make([]wire.Count, len(counts))
	for i, c := range counts {
		out.Body.Counts[i] = wire.Count{Start: wire.Time(c.Start), Type: string(c.Type), Count: c.Count}
	}
	return out, nil
}

// registerTimeline serves
//
//	GET /v1/trails/{trail}/timeline
func (s *Server) registerTimeline() {
	operation(s, huma.Operation{OperationID: "getTimeline", Method: http.MethodGet, Path: "/v1/trails/{trail}/timeline", Tags: []string{"events"},
		Summary:     "Tell what happened in a session, what an agent did, or what became of an action",
		Description: "Actions, each with its steps and how it ended, and what else was recorded, by the time at which it happened. Give one of session_id, agent_id and action_id.",
		Errors:      []int{403, 404, 413, 422, 503}}, s.getTimeline)
}

// maxSteps bounds a timeline: it is made in memory.
const maxSteps = 50_000

type timelineOutput struct {
	Body struct {
		Items []wire.Item `json:"items"`
	}
}

func (s *Server) getTimeline(ctx context.Context, in *struct {
	InTrail
	SessionID string    `query:"session_id"`
	AgentID   string    `query:"agent_id"`
	ActionID  string    `query:"action_id"`
	Since     time.Time `query:"since" doc:"Recorded at or after this time"`
	Until     time.Time `query:"until" doc:"Recorded before this time"`
	All       bool      `query:"all" doc:"Entries of types that are not registered too"`
}) (*timelineOutput, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	given := 0
	for _, id := range []string{in.SessionID, in.AgentID, in.ActionID} {
		if id != "" {
			given++
		}
	}
	if given != 1 {
		return nil, invalid("query", "whose timeline? Give one of session_id, agent_id and action_id")
	}
	q := custody.Query{SessionID: in.SessionID, AgentID: in.AgentID, ActionID: in.ActionID, Since: in.Since, Until: in.Until, Limit: maxSteps + 1}
	var steps []timeline.Step
	reader := s.readerOf(ctx, in.Trail, WithBytes{})
	for e, err := range t.Entries(ctx, q) {
		if err != nil {
			return nil, err
		}
		if len(steps) == maxSteps {
			return nil, newProblem(http.StatusRequestEntityTooLarge, "too_large", "the timeline has more than %d entries; narrow it with since and until", maxSteps)
		}
		reader.read(&e)
		step, err := timeline.StepOf(&e)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	out := &timelineOutput{}
	out.Body.Items = wire.ItemsOf(timeline.Build(steps), in.All)
	return out, nil
}
