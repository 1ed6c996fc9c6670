package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/wire"
)

// registerTokens serves
//
//	GET  /v1/tokens
//	POST /v1/tokens
//	POST /v1/tokens/{id}/revoke
func (s *Server) registerTokens() {
	const all = "/v1/tokens"
	operation(s, huma.Operation{OperationID: "listTokens", Method: http.MethodGet, Path: all, Tags: []string{"tokens"},
		Summary: "List the API tokens, the oldest first", Description: "Those are among them that were revoked or expired.", Errors: []int{403, 404}}, s.listTokens)
	operation(s, huma.Operation{OperationID: "createToken", Method: http.MethodPost, Path: all, Tags: []string{"tokens"}, DefaultStatus: http.StatusCreated,
		Summary: "Create an API token", Description: "The answer has the token this once: the server keeps its hash only.",
		Errors: []int{400, 403, 404, 415, 422}}, s.createToken)
	operation(s, huma.Operation{OperationID: "revokeToken", Method: http.MethodPost, Path: all + "/{id}/revoke", Tags: []string{"tokens"},
		Summary: "Revoke an API token", Description: "It is good for nothing any more, and sessions end that began with it. One that was revoked before stays as it is.",
		Errors: []int{403, 404}}, s.revokeToken)
}

type tokensOutput struct {
	Body struct {
		Tokens []wire.Token `json:"tokens"`
	}
}

// errNoTokens is what a server answers that knows people otherwise only.
func errNoTokens() error {
	return newProblem(http.StatusNotFound, "not_found", "this server has no API tokens")
}

func (s *Server) listTokens(context.Context, *struct{}) (*tokensOutput, error) {
	if s.tokens.file == nil {
		return nil, errNoTokens()
	}
	all, err := s.tokens.file.List()
	if err != nil {
		return nil, err
	}
	out := &tokensOutput{}
	out.Body.Tokens = make([]wire.Token, len(all))
	for i := range all {
		out.Body.Tokens[i] = wire.TokenOf(&all[i], time.Now())
	}
	return out, nil
}

type tokenOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         wire.Token
}

func (s *Server) createToken(ctx context.Context, in *struct {
	Body struct {
		Name    string      `json:"name" minLength:"1" maxLength:"100" doc:"Who uses it: letters, digits and . _ - @" example:"ci-agents"`
		Roles   []auth.Role `json:"roles" minItems:"1" doc:"What it is for: submitter, reader, payload_reader, auditor, operator, admin"`
		Trails  []string    `json:"trails,omitempty" maxItems:"1000" doc:"The only trails that it is good for"`
		Agents  []string    `json:"agents,omitempty" maxItems:"1000" doc:"The only agents whose events it may record"`
		Expires time.Time   `json:"expires,omitzero" doc:"When it is good no more; without it never"`
	}
}) (*tokenOutput, error) {
	if s.tokens.file == nil {
		return nil, errNoTokens()
	}
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	b := &in.Body
	token, info, err := s.tokens.file.Create(auth.TokenSpec{Name: b.Name, Roles: b.Roles, Trails: b.Trails, Agents: b.Agents, Expires: b.Expires, CreatedBy: sender(ctx), CreatedByPerson: auth.From(ctx).PersonID()})
	if err != nil {
		return nil, err
	}
	s.noteChangedTokens(ctx, createdID(info.ID))
	out := &tokenOutput{"no-store", wire.TokenOf(&info, time.Now())}
	out.Body.Token = token
	return out, nil
}

func (s *Server) revokeToken(ctx context.Context, in *struct {
	ID string `path:"id" doc:"Id of the token"`
}) (*tokenOutput, error) {
	if s.tokens.file == nil {
		return nil, errNoTokens()
	}
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	info, err := s.tokens.file.Revoke(in.ID, sender(ctx))
	if err != nil {
		return nil, err
	}
	own := ""
	if info.RevokedBy == sender(ctx) {
		own = revokedID(info.ID)
	}
	s.noteChangedTokens(ctx, own)
	return &tokenOutput{"no-store", wire.TokenOf(&info, time.Now())}, nil
}
