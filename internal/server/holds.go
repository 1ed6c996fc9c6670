package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/wire"
)

// registerHolds serves
//
//	GET  /v1/trails/{trail}/holds
//	POST /v1/trails/{trail}/holds
//	POST /v1/trails/{trail}/holds/{hold}/release
func (s *Server) registerHolds() {
	const all = "/v1/trails/{trail}/holds"
	operation(s, huma.Operation{OperationID: "listHolds", Method: http.MethodGet, Path: all, Tags: []string{"removal"},
		Summary: "List the legal holds in force, the oldest first", Errors: []int{403, 404}}, s.listHolds)
	operation(s, huma.Operation{OperationID: "placeHold", Method: http.MethodPost, Path: all, Tags: []string{"removal"}, DefaultStatus: http.StatusCreated,
		Summary: "Place a legal hold", Description: "Nothing that it covers expires, is pruned or erased while it is in force; that includes what is recorded later. It is placed in the name of whoever sends the request.",
		Errors: []int{400, 403, 404, 415, 422, 503}}, s.placeHold)
	operation(s, huma.Operation{OperationID: "releaseHold", Method: http.MethodPost, Path: all + "/{hold}/release", Tags: []string{"removal"},
		Summary: "Release a legal hold", Errors: []int{400, 403, 404, 415, 422, 503}}, s.releaseHold)
}

type holdsOutput struct {
	Body struct {
		Holds []wire.Hold `json:"holds"`
	}
}

func (s *Server) listHolds(ctx context.Context, in *InTrail) (*holdsOutput, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	holds, err := t.Holds(ctx)
	if err != nil {
		return nil, err
	}
	out := &holdsOutput{}
	out.Body.Holds = make([]wire.Hold, len(holds))
	for i := range holds {
		if out.Body.Holds[i], err = wire.HoldOf(&holds[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

type holdOutput struct{ Body wire.Hold }

func (s *Server) placeHold(ctx context.Context, in *struct {
	InTrail
	Body struct {
		Query  Filter `json:"query" required:"false" doc:"What it covers"`
		All    bool   `json:"all,omitempty" doc:"It covers the whole trail; then there is no query"`
		Reason string `json:"reason" minLength:"1" maxLength:"4096" doc:"It stays in the trail"`
	}
}) (*holdOutput, error) {
	t, err := s.changeable(in.Trail)
	if err != nil {
		return nil, err
	}
	if in.Body.All != in.Body.Query.empty() {
		return nil, invalid("body.query", "give a query with at least one filter, or all for the whole trail")
	}
	q, err := in.Body.Query.query("body.query")
	if err != nil {
		return nil, err
	}
	h, err := t.PlaceHold(asSender(ctx), custody.Hold{Query: q, Reason: in.Body.Reason, By: sender(ctx)})
	if err != nil {
		return nil, err
	}
	j, err := wire.HoldOf(&h)
	return &holdOutput{j}, err
}

type receiptOutput struct{ Body wire.Receipt }

func (s *Server) releaseHold(ctx context.Context, in *struct {
	InTrail
	Hold string `path:"hold" doc:"Id of the hold"`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"4096" doc:"It stays in the trail"`
	}
}) (*receiptOutput, error) {
	t, err := s.changeable(in.Trail)
	if err != nil {
		return nil, err
	}
	r, err := t.ReleaseHold(asSender(ctx), in.Hold, sender(ctx), in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &receiptOutput{wire.ReceiptOf(&r)}, nil
}

// changeable returns a trail whose holds and payloads can be changed.
func (s *Server) changeable(name string) (*trails.Trail, error) {
	t, err := s.trails.Get(name)
	if err != nil {
		return nil, err
	}
	return t, readOnly(t)
}
