package server

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/dualcontrol"
	"github.com/custodylog/custody/internal/wire"
	"github.com/custodylog/custody/retention"
)

// registerErasures serves
//
//	POST /v1/trails/{trail}/erasures/plan
//	POST /v1/trails/{trail}/erasures
func (s *Server) registerErasures() {
	const all = "/v1/trails/{trail}/erasures"
	operation(s, huma.Operation{OperationID: "planErasure", Method: http.MethodPost, Path: all + "/plan", Tags: []string{"removal"},
		Summary: "Show what an erasure would remove", Description: "It changes nothing.", Errors: []int{400, 403, 404, 415, 422}}, s.planErasure)
	operation(s, huma.Operation{OperationID: "erase", Method: http.MethodPost, Path: all, Tags: []string{"removal"},
		Summary:     "Erase payloads for good",
		Description: "The entries stay, and so does every proof. The erasure is an event of the trail, in the name of whoever sends the request. Where a legal hold covers any of what is asked for, or an emergency stop needs it, nothing is erased, unless except_held is set.",
		Responses:   s.requested("The erasure takes a second person: nothing was erased, the answer has the plan and the request", typeOf[erasureAnswer]()),
		Errors:      []int{400, 403, 404, 409, 413, 415, 422, 503}}, s.erase)
}

// Selection says whose payloads are to go.
type Selection struct {
	Query   Filter            `json:"query" required:"false"`
	Fields  map[string]string `json:"fields,omitempty" doc:"Any members of the payload, by JSON Pointer (RFC 6901), such as /details/email. Every event that query finds is read"`
	Indices string            `json:"indices,omitempty" doc:"Indices of entries, such as 4,7-9" maxLength:"65536"`
}

func (sel *Selection) erasure() (r custody.Erasure, err error) {
	if sel.Query.empty() && len(sel.Fields) == 0 && sel.Indices == "" {
		return r, invalid("body", "nothing says which entries; give a query, fields or indices")
	}
	if r.Query, err = sel.Query.query("body.query"); err != nil {
		return r, err
	}
	for pointer := range sel.Fields {
		if pointer == "" || pointer[0] != '/' {
			return r, invalid("body.fields", "%q is no JSON Pointer; it begins with a slash, as /details/email", pointer)
		}
	}
	r.Fields = sel.Fields
	if sel.Indices != "" {
		if r.Entries, err = evidence.ParseRanges(sel.Indices); err != nil {
			return r, invalid("body.indices", "%s", err)
		}
	}
	return r, nil
}

type erasureAnswer struct {
	wire.Erasure
	Receipt any                  `json:"receipt,omitempty" doc:"Proves what was erased and that nothing else changed (docs/format/removal.md)"`
	Request *dualcontrol.Request `json:"request,omitempty" doc:"Where it takes a second person, who has to approve this"`
}

type erasureOutput struct {
	Status   int
	Location string `header:"Location" doc:"Where to look for what becomes of the request, if it is one"`
	Body     erasureAnswer
}

// requested describes the answer to a removal that takes a second person.
func (s *Server) requested(what string, body reflect.Type) map[string]*huma.Response {
	schema := s.api.OpenAPI().Components.Schemas.Schema(body, true, "")
	return map[string]*huma.Response{"202": {Description: what, Content: map[string]*huma.MediaType{typeJSON: {Schema: schema}}}}
}

func (s *Server) planErasure(ctx context.Context, in *struct {
	InTrail
	Body Selection
}) (*erasureOutput, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	r, err := in.Body.erasure()
	if err != nil {
		return nil, err
	}
	plan, err := t.PlanErasure(ctx, r)
	if err != nil {
		return nil, err
	}
	return &erasureOutput{http.StatusOK, "", erasureAnswer{Erasure: wire.ErasureOf(plan, nil)}}, nil
}

// erasureBody asks for an erasure.
type erasureBody struct {
	Selection
	Ground     string `json:"ground" minLength:"1" maxLength:"4096" doc:"On what ground; it stays in the trail" example:"GDPR Art. 17(1)(b)"`
	Requester  string `json:"requester,omitempty" maxLength:"4096" doc:"Who asked for it. It stays, so it must not name the data subject"`
	Reason     string `json:"reason,omitempty" maxLength:"4096"`
	ExceptHeld bool   `json:"except_held,omitempty" doc:"Erase what no legal hold covers and no emergency stop needs"`
}

// erasure returns what is asked for, in the name of by.
func (b *erasureBody) erasure(by string) (custody.Erasure, error) {
	r, err := b.Selection.erasure()
	r.Ground, r.Requester, r.Reason, r.ExceptHeld, r.By = b.Ground, b.Requester, b.Reason, b.ExceptHeld, by
	return r, err
}

func (s *Server) erase(ctx context.Context, in *struct {
	InTrail
	Body erasureBody
}) (*erasureOutput, error) {
	t, err := s.changeable(in.Trail)
	if err != nil {
		return nil, err
	}
	r, err := in.Body.erasure(sender(ctx))
	if err != nil {
		return nil, err
	}
	plan, err := t.PlanErasure(ctx, r)
	if err != nil {
		return nil, err
	}
	if s.removal.requests != nil {
		request, err := s.askErasure(ctx, t.Name, &in.Body, plan)
		if err != nil {
			return nil, err
		}
		return &erasureOutput{http.StatusAccepted, locationOf(request), erasureAnswer{Erasure: wire.ErasureOf(plan, nil), Request: request}}, nil
	}
	receipt, err := t.Erase(asSender(ctx), r)
	if err != nil {
		return nil, err
	}
	return &erasureOutput{http.StatusOK, "", erasureAnswer{Erasure: wire.ErasureOf(plan, receipt), Receipt: receipt}}, nil
}

// registerRetention serves
//
//	POST /v1/trails/{trail}/retention/plan
//	POST /v1/trails/{trail}/retention/apply
func (s *Server) registerRetention() {
	const all = "/v1/trails/{trail}/retention"
	operation(s, huma.Operation{OperationID: "planRetention", Method: http.MethodPost, Path: all + "/plan", Tags: []string{"removal"},
		Summary: "Show what a retention policy would remove", Description: "It changes nothing.", Errors: []int{400, 403, 404, 415, 422}}, s.planRetention)
	operation(s, huma.Operation{OperationID: "applyRetention", Method: http.MethodPost, Path: all + "/apply", Tags: []string{"removal"},
		Summary: "Remove what has outlived its period", Description: "Events of the trail list what went, and name the policy and who sends the request.",
		Responses: s.requested("The removal takes a second person: nothing was removed, the answer has the plan and the request", typeOf[retentionAnswer]()),
		Errors:    []int{400, 403, 404, 409, 415, 422, 503}}, s.applyRetention)
}

// PolicyChoice is a retention policy, given in one of two ways.
type PolicyChoice struct {
	Preset string `json:"preset,omitempty" doc:"Name of a policy that comes with the program" example:"ai-act-logs"`
	Policy string `json:"policy,omitempty" doc:"A policy in YAML (docs/retention.md)" maxLength:"65536"`
}

func (p *PolicyChoice) policy() (retention.Policy, error) {
	switch {
	case (p.Preset == "") == (p.Policy == ""):
		return retention.Policy{}, invalid("body", "give either preset or policy")
	case p.Preset != "":
		preset, err := retention.FindPreset(p.Preset)
		if err != nil {
			return retention.Policy{}, invalid("body.preset", "%s", err)
		}
		return preset.Policy, nil
	}
	policy, err := retention.Parse("policy", []byte(p.Policy))
	if err != nil {
		return policy, invalid("body.policy", "%s", err)
	}
	return policy, nil
}

type retentionAnswer struct {
	wire.Retention
	Request *dualcontrol.Request `json:"request,omitempty" doc:"Where it takes a second person, who has to approve this"`
}

type retentionOutput struct {
	Status   int
	Location string `header:"Location" doc:"Where to look for what becomes of the request, if it is one"`
	Body     retentionAnswer
}

func (s *Server) planRetention(ctx context.Context, in *struct {
	InTrail
	Body PolicyChoice
}) (*retentionOutput, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	policy, err := in.Body.policy()
	if err != nil {
		return nil, err
	}
	plan, err := t.PlanRetention(ctx, policy)
	if err != nil {
		return nil, err
	}
	return &retentionOutput{http.StatusOK, "", retentionAnswer{Retention: wire.RetentionOf(plan, nil)}}, nil
}

func (s *Server) applyRetention(ctx context.Context, in *struct {
	InTrail
	Body struct {
		PolicyChoice
		Reason string `json:"reason,omitempty" maxLength:"4096" doc:"Where it takes a second person: what that one is told"`
	}
}) (*retentionOutput, error) {
	t, err := s.changeable(in.Trail)
	if err != nil {
		return nil, err
	}
	policy, err := in.Body.policy()
	if err != nil {
		return nil, err
	}
	if s.removal.requests != nil {
		plan, err := t.PlanRetention(ctx, policy)
		if err != nil {
			return nil, err
		}
		request, err := s.ask(ctx, dualcontrol.Retention, t.Name, retentionParameters{Policy: policy, Digest: policy.Digest(), Reason: in.Body.Reason})
		if err != nil {
			return nil, err
		}
		return &retentionOutput{http.StatusAccepted, locationOf(request), retentionAnswer{wire.RetentionOf(plan, nil), request}}, nil
	}
	run, err := t.ApplyRetention(asSender(ctx), policy, sender(ctx))
	if err != nil {
		return nil, err
	}
	return &retentionOutput{http.StatusOK, "", retentionAnswer{Retention: wire.RetentionOf(&run.RetentionPlan, run.Events)}}, nil
}
