package client

import (
	"context"
	"net/http"
	"time"
)

// TokenSpec says what a new API token is.
type TokenSpec struct {
	Name    string    // who uses it: letters, digits and . _ - @
	Roles   []string  // what it is for, such as "submitter" (docs/http.md)
	Trails  []string  // the only trails that it is good for; none: all
	Agents  []string  // the only agents whose events it may record; none: any
	Expires time.Time // when it is good no more; zero: never
}

// Token is an API token of a server.
type Token struct {
	TokenSpec

	// Token is the token itself, in the answer of CreateToken only: the server keeps
	// its hash.
	Token string

	ID        string
	Created   time.Time
	CreatedBy string
	LastUsed  time.Time // a minute old at most; zero: never
	Revoked   time.Time // zero: it was not
	RevokedBy string
}

// tokenJSON is a token as the server gives it.
type tokenJSON struct {
	Token     string   `json:"token"`
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Roles     []string `json:"roles"`
	Trails    []string `json:"trails"`
	Agents    []string `json:"agents"`
	Created   moment   `json:"created"`
	CreatedBy string   `json:"created_by"`
	Expires   moment   `json:"expires"`
	LastUsed  moment   `json:"last_used"`
	Revoked   moment   `json:"revoked"`
	RevokedBy string   `json:"revoked_by"`
}

func (j *tokenJSON) record() Token {
	return Token{TokenSpec: TokenSpec{Name: j.Name, Roles: j.Roles, Trails: j.Trails, Agents: j.Agents, Expires: j.Expires.Time}, Token: j.Token,
		ID: j.ID, Created: j.Created.Time, CreatedBy: j.CreatedBy, LastUsed: j.LastUsed.Time, Revoked: j.Revoked.Time, RevokedBy: j.RevokedBy}
}

// Tokens returns the API tokens of the server, the oldest first. Those are among them
// that were revoked or expired.
func (s *Server) Tokens(ctx context.Context) ([]Token, error) {
	var answer struct {
		Tokens []tokenJSON `json:"tokens"`
	}
	if err := s.conn.json(ctx, request{method: http.MethodGet, path: []string{"v1", "tokens"}}, &answer); err != nil {
		return nil, err
	}
	tokens := make([]Token, len(answer.Tokens))
	for i := range answer.Tokens {
		tokens[i] = answer.Tokens[i].record()
	}
	return tokens, nil
}

// CreateToken creates an API token, in the name of whose token asks for it.
func (s *Server) CreateToken(ctx context.Context, spec TokenSpec) (Token, error) {
	ask := struct {
		Name    string    `json:"name"`
		Roles   []string  `json:"roles"`
		Trails  []string  `json:"trails,omitempty"`
		Agents  []string  `json:"agents,omitempty"`
		Expires time.Time `json:"expires,omitzero"`
	}{spec.Name, spec.Roles, spec.Trails, spec.Agents, spec.Expires}
	var j tokenJSON
	err := s.conn.json(ctx, request{method: http.MethodPost, path: []string{"v1", "tokens"}, body: ask, once: true}, &j)
	return j.record(), err
}

// RevokeToken makes an API token good for nothing any more. It fails with
// custody.ErrNotFound when there is none with that id.
func (s *Server) RevokeToken(ctx context.Context, id string) (Token, error) {
	var j tokenJSON
	err := s.conn.json(ctx, request{method: http.MethodPost, path: []string{"v1", "tokens", id, "revoke"}}, &j)
	return j.record(), err
}
