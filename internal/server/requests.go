package server

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/dualcontrol"
	"github.com/custodylog/custody/retention"
)

// registerRequests serves
//
//	GET  /v1/requests
//	GET  /v1/requests/{request}
//	POST /v1/requests/{request}/approve
//	POST /v1/requests/{request}/refuse
//	POST /v1/requests/{request}/withdraw
func (s *Server) registerRequests() {
	const all, one = "/v1/requests", "/v1/requests/{request}"
	operation(s, huma.Operation{OperationID: "listRequests", Method: http.MethodGet, Path: all, Tags: []string{"removal"},
		Summary: "List the removals that were requested, the oldest first", Description: "Those that the sender may decide about. There are none where a removal takes one person only.", Errors: []int{422}}, s.listRequests)
	operation(s, huma.Operation{OperationID: "getRequest", Method: http.MethodGet, Path: one, Tags: []string{"removal"},
		Summary: "Get a removal that was requested", Errors: []int{404}}, s.getRequest)
	operation(s, huma.Operation{OperationID: "approveRequest", Method: http.MethodPost, Path: one + "/approve", Tags: []string{"removal"},
		Summary: "Approve a removal that somebody else requested", Description: "It takes the permission that the removal itself takes. The server does it when not_before has come; until then it can be refused or withdrawn.",
		Errors: []int{403, 404, 409, 503}}, s.approveRequest)
	operation(s, huma.Operation{OperationID: "refuseRequest", Method: http.MethodPost, Path: one + "/refuse", Tags: []string{"removal"},
		Summary: "Refuse a removal that was requested, or that was approved and is not done yet", Errors: []int{404, 409, 503}}, s.refuseRequest)
	operation(s, huma.Operation{OperationID: "withdrawRequest", Method: http.MethodPost, Path: one + "/withdraw", Tags: []string{"removal"},
		Summary: "Withdraw a removal that the sender has requested", Errors: []int{403, 404, 409, 503}}, s.withdrawRequest)
}

func locationOf(r *dualcontrol.Request) string { return "/v1/requests/" + r.ID }

// removing is what each kind of request takes of whoever makes it or decides about it.
var removing = map[dualcontrol.Kind]auth.Permission{dualcontrol.Erasure: auth.Erase, dualcontrol.Retention: auth.ManageRetention}

type requestsOutput struct {
	Body struct {
		Requests []dualcontrol.Request `json:"requests"`
	}
}

func (s *Server) listRequests(ctx context.Context, in *struct {
	Open bool `query:"open" doc:"Only those of which something may still come"`
}) (*requestsOutput, error) {
	out := &requestsOutput{}
	out.Body.Requests = []dualcontrol.Request{}
	if s.removal.requests == nil {
		return out, nil
	}
	for _, r := range s.removal.requests.List() {
		if auth.From(ctx).May(removing[r.Kind], r.Trail) && (r.State.Open() || !in.Open) {
			out.Body.Requests = append(out.Body.Requests, r)
		}
	}
	return out, nil
}

type inRequest struct {
	Request string `path:"request" doc:"Id of the request"`
}

type requestOutput struct{ Body dualcontrol.Request }

// request returns a request that whoever sends this one may decide about. Others do not
// learn whether there is one.
func (s *Server) request(ctx context.Context, id string) (dualcontrol.Request, error) {
	if s.removal.requests == nil {
		return dualcontrol.Request{}, newProblem(http.StatusNotFound, "not_found", "there are no requests: on this server a removal takes one person only (docs/server.md)")
	}
	r, err := s.removal.requests.Get(id)
	if err == nil && !auth.From(ctx).May(removing[r.Kind], r.Trail) {
		err = newProblem(http.StatusNotFound, "not_found", "%s: %.40q", dualcontrol.ErrNotFound, id)
	}
	return r, err
}

func (s *Server) getRequest(ctx context.Context, in *inRequest) (*requestOutput, error) {
	r, err := s.request(ctx, in.Request)
	return &requestOutput{r}, err
}

func (s *Server) approveRequest(ctx context.Context, in *inRequest) (*requestOutput, error) {
	if _, err := s.request(ctx, in.Request); err != nil {
		return nil, err
	}
	if err := isPerson(ctx); err != nil {
		return nil, err
	}
	r, err := s.removal.requests.Approve(in.Request, auth.From(ctx), s.telling(ctx, event.RemovalApproved, ""))
	s.removal.wakeUp()
	return &requestOutput{r}, err
}

func (s *Server) refuseRequest(ctx context.Context, in *inRequest) (*requestOutput, error) {
	if _, err := s.request(ctx, in.Request); err != nil {
		return nil, err
	}
	r, err := s.removal.requests.Refuse(in.Request, sender(ctx), s.telling(ctx, event.RemovalRefused, "refused"))
	return &requestOutput{r}, err
}

func (s *Server) withdrawRequest(ctx context.Context, in *inRequest) (*requestOutput, error) {
	r, err := s.request(ctx, in.Request)
	if err != nil {
		return nil, err
	}
	if r.By != sender(ctx) {
		return nil, newProblem(http.StatusForbidden, "forbidden", "%s asked for it, and nobody else can withdraw it; refuse it", r.By)
	}
	r, err = s.removal.requests.Withdraw(in.Request, sender(ctx), "", s.telling(ctx, event.RemovalRefused, "withdrawn"))
	return &requestOutput{r}, err
}

// isPerson refuses whoever has not shown who they are: that is anybody on this machine,
// so it may be the same person twice.
func isPerson(ctx context.Context) error {
	if p := auth.From(ctx); !p.Authenticated {
		return newProblem(http.StatusForbidden, "unidentified", "on this server a removal takes two persons, and %s can be anybody on its machine; send an API token", p.Name)
	}
	return nil
}

// telling returns what records in the trail system what becomes of a request. Nothing
// that the request asks for is in it.
func (s *Server) telling(ctx context.Context, typ event.Type, reason string) dualcontrol.Tell {
	return func(r *dualcontrol.Request) error {
		details := map[string]any{"request_id": r.ID, "kind": string(r.Kind), "digest": r.Digest}
		for name, value := range map[string]string{"trail": r.Trail, "by": sender(ctx), "by_person": auth.From(ctx).PersonID(), "reason": reason} {
			if value != "" {
				details[name] = value
			}
		}
		if typ != event.RemovalRequested {
			details["requested_by"] = r.By
		}
		return s.tell(ctx, event.Event{Type: typ, Details: details})
	}
}

// erasureParameters are what a request for an erasure asks for. Only the entries that
// matched when it was made are erased, so that whoever approves it knows which.
type erasureParameters struct {
	Erasure erasureBody `json:"erasure"`
	Entries string      `json:"entries"` // indices, such as 4,7-9
	Count   uint64      `json:"count"`
}

// retentionParameters are what a request to apply a policy asks for.
type retentionParameters struct {
	Policy   retention.Policy `json:"policy"`
	Digest   string           `json:"policy_digest"`
	Reason   string           `json:"reason,omitempty"`
	Shortens string           `json:"shortens,omitempty"` // of the policy of the configuration: what it removes earlier than the one in force
}

// ask takes in a request of whoever sends this one.
func (s *Server) ask(ctx context.Context, kind dualcontrol.Kind, trail string, parameters any) (*dualcontrol.Request, error) {
	if err := isPerson(ctx); err != nil {
		return nil, err
	}
	text, err := json.Marshal(parameters)
	if err != nil {
		return nil, err
	}
	r, err := s.removal.requests.Add(dualcontrol.Request{Kind: kind, Trail: trail, Parameters: text, By: sender(ctx), ByPerson: auth.From(ctx).Person.Line()}, s.telling(ctx, event.RemovalRequested, ""))
	s.removal.wakeUp() // it expires
	return &r, err
}

func (s *Server) askErasure(ctx context.Context, trail string, body *erasureBody, plan *custody.ErasurePlan) (*dualcontrol.Request, error) {
	if err := plan.Blocked(); err != nil && !body.ExceptHeld {
		return nil, err
	}
	if len(plan.Entries) == 0 {
		return nil, errNothingToErase()
	}
	return s.ask(ctx, dualcontrol.Erasure, trail, erasureParameters{Erasure: *body, Entries: plan.Entries.String(), Count: plan.Entries.Count()})
}

func errNothingToErase() error {
	return newProblem(http.StatusNotFound, "not_found", "no payload that is held, or may be erased, matches")
}
