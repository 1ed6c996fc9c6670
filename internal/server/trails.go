package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/wire"
)

// registerTrails serves
//
//	GET  /v1/trails
//	POST /v1/trails
//	GET  /v1/trails/{trail}
func (s *Server) registerTrails() {
	operation(s, huma.Operation{OperationID: "listTrails", Method: http.MethodGet, Path: "/v1/trails", Tags: []string{"trails"},
		Summary: "List the trails that the sender may do anything with", Description: "Their size is for those who may read or record in them."}, s.listTrails)
	operation(s, huma.Operation{OperationID: "createTrail", Method: http.MethodPost, Path: "/v1/trails", Tags: []string{"trails"}, DefaultStatus: http.StatusCreated,
		Summary: "Create a trail, with a key of its own", Errors: []int{400, 403, 409, 415, 422}}, s.createTrail)
	operation(s, huma.Operation{OperationID: "getTrail", Method: http.MethodGet, Path: "/v1/trails/{trail}", Tags: []string{"trails"},
		Summary: "Get a trail at a glance", Description: "None of it is verified.", Errors: []int{403, 404}}, s.getTrail)
}

type TrailInfo struct {
	Name     string  `json:"name"`
	Origin   string  `json:"origin" doc:"The trail's name in checkpoints"`
	Key      string  `json:"vkey" doc:"Verifier key that the trail began with; keep it where the server cannot change it"`
	Size     *uint64 `json:"size,omitempty" doc:"Number of entries. Left out for those who may neither read nor record in the trail"`
	Writable bool    `json:"writable"`
	Problem  string  `json:"problem,omitempty" doc:"Why it is not writable"`
}

// trailOf returns what p may know of a trail that concerns it.
func trailOf(p *auth.Principal, t *trails.Trail) TrailInfo {
	j := TrailInfo{Name: t.Name, Origin: t.Origin(), Key: t.FirstKey(), Writable: t.Err == nil}
	if p.May(auth.ReadEntries, t.Name) || p.May(auth.Append, t.Name) { // receipts tell it, too
		j.Size = new(t.Size())
	}
	if t.Err != nil {
		j.Problem = t.Err.Error()
	}
	return j
}

type trailsOutput struct {
	Body struct {
		Trails []TrailInfo `json:"trails"`
	}
}

func (s *Server) listTrails(ctx context.Context, _ *struct{}) (*trailsOutput, error) {
	out := &trailsOutput{}
	out.Body.Trails = []TrailInfo{}
	p := auth.From(ctx)
	for _, t := range s.trails.List() {
		if p.Concerned(t.Name) {
			out.Body.Trails = append(out.Body.Trails, trailOf(p, t))
		}
	}
	return out, nil
}

type trailOutput struct{ Body TrailInfo }

func (s *Server) createTrail(ctx context.Context, in *struct {
	Body struct {
		Name string `json:"name" maxLength:"63" pattern:"^[a-z0-9][a-z0-9_-]*$" doc:"Stands in addresses" example:"payments"`
	}
}) (*trailOutput, error) {
	t, err := s.trails.Create(in.Body.Name)
	if err != nil {
		return nil, err
	}
	s.noteTrail(ctx, t)
	return &trailOutput{trailOf(auth.From(ctx), t)}, nil
}

type trailStats struct {
	TrailInfo
	Stats   wire.Stats `json:"stats"`
	Guarded bool       `json:"guarded" doc:"The server keeps the last checkpoint that the trail handed out beside its key, so that an older copy of the trail is noticed"`
}

func (s *Server) getTrail(ctx context.Context, in *InTrail) (*struct{ Body trailStats }, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	stats, err := t.Stats(ctx)
	if err != nil {
		return nil, err
	}
	return &struct{ Body trailStats }{trailStats{trailOf(auth.From(ctx), t), wire.StatsOf(&stats), stats.Guard != ""}}, nil
}
