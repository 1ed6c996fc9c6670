package main

import (
	"context"
	"fmt"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/internal/auth"
)

// tokenStore is the tokens of a server: their file, or the server itself.
type tokenStore interface {
	Create(auth.TokenSpec) (token string, info auth.TokenInfo, err error)
	List() ([]auth.TokenInfo, error)
	Revoke(id, by string) (auth.TokenInfo, error)
}

// asksServer reports whether the tokens are those of the server that the trail of the
// command is on: unless --data names a directory.
func (p *program) asksServer(data *dataFlag) bool { return p.remote() && !data.given() }

// tokens opens the tokens of a server.
func (p *program) tokens(ctx context.Context, data *dataFlag) (tokenStore, error) {
	if !p.asksServer(data) {
		return data.open()
	}
	s, err := p.server(&custody.Options{ReadOnly: true})
	return &serverTokens{ctx, s}, err
}

// serverTokens are the tokens of a server that is asked.
type serverTokens struct {
	ctx    context.Context
	server *client.Server
}

// infoOf returns what is kept of a token.
func infoOf(t *client.Token) auth.TokenInfo {
	info := auth.TokenInfo{ID: t.ID, Name: t.Name, Trails: t.Trails, Agents: t.Agents, Created: t.Created, CreatedBy: t.CreatedBy, Expires: t.Expires,
		LastUsed: t.LastUsed, Revoked: t.Revoked, RevokedBy: t.RevokedBy}
	for _, name := range t.Roles {
		info.Roles = append(info.Roles, auth.Role(name)) // a newer server may have others
	}
	return info
}

// Create implements tokenStore.
func (s *serverTokens) Create(spec auth.TokenSpec) (string, auth.TokenInfo, error) {
	ask := client.TokenSpec{Name: spec.Name, Trails: spec.Trails, Agents: spec.Agents, Expires: spec.Expires}
	for _, role := range spec.Roles {
		ask.Roles = append(ask.Roles, string(role))
	}
	t, err := s.server.CreateToken(s.ctx, ask)
	return t.Token, infoOf(&t), err
}

// List implements tokenStore.
func (s *serverTokens) List() ([]auth.TokenInfo, error) {
	all, err := s.server.Tokens(s.ctx)
	list := make([]auth.TokenInfo, len(all))
	for i := range all {
		list[i] = infoOf(&all[i])
	}
	return list, err
}

// Revoke implements tokenStore.
func (s *serverTokens) Revoke(id, _ string) (auth.TokenInfo, error) {
	t, err := s.server.RevokeToken(s.ctx, id)
	if isNotFound(err) {
		err = fmt.Errorf("%w: %.40q", auth.ErrNoToken, id)
	}
	return infoOf(&t), err
}
