package main

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/config"
	"github.com/custodylog/custody/internal/openid"
	"github.com/custodylog/custody/internal/ui"
	"github.com/custodylog/custody/internal/vfs"
)

// access is how the server finds out who sends a request.
type access struct {
	tokens   *auth.Tokens
	sessions *auth.Sessions
	ways     []auth.Authenticator // in the order in which they are asked
}

// newAccess opens the tokens, and makes what the configuration asks for.
func (s *service) newAccess() (err error) {
	a := &s.access
	if a.tokens, err = auth.OpenTokens(vfs.OS{}, filepath.Join(s.cfg.Data, auth.TokensFile)); err != nil {
		return err
	}
	a.tokens.OnProblem = func(err error) { s.log.Warn("custody: when tokens were used last is not written", "err", err) }
	idle, longest := s.cfg.Session.Lasts()
	if a.sessions, err = auth.NewSessions(auth.SessionConfig{Idle: idle, Longest: longest, Secure: s.cfg.SecureCookies(), Origin: s.cfg.ExternalURL, Tokens: a.tokens}); err != nil {
		return err
	}
	a.ways = []auth.Authenticator{a.tokens, a.sessions}
	if s.cfg.TLS.ClientCA != "" {
		clients, err := auth.MTLS(config.Rules(s.cfg.TLS.Rules))
		if err != nil {
			return err
		}
		a.ways = append(a.ways, auth.OwnPages(clients, a.sessions.CheckOrigin))
	}
	if len(s.cfg.Socket.Rules) > 0 {
		peers, err := auth.Peer(config.Rules(s.cfg.Socket.Rules))
		if err != nil {
			return err
		}
		a.ways = append(a.ways, peers)
	}
	return nil
}

// newLogin returns how people log in to the page. What it tells of goes to the server,
// which need not be there yet.
func (s *service) newLogin() (*ui.Login, error) {
	l := &ui.Login{Sessions: s.access.sessions, Tokens: s.access.tokens,
		LoggedIn: func(r *http.Request, p *auth.Principal, c auth.Claims) { s.api.LoggedIn(r, p, c) },
		Refused:  func(r *http.Request, d *auth.Denied) { s.api.LoginFailed(r, d) }}
	o := &s.cfg.OIDC
	if !o.On() {
		return l, nil
	}
	var err error
	if l.People, err = auth.NewOIDC(config.Rules(o.Rules)); err != nil {
		return nil, err
	}
	c := openid.Config{Issuer: o.Issuer, ClientID: o.ClientID, RedirectURL: s.cfg.ExternalURL + "/login/callback", Scopes: o.Scopes, GroupsClaim: o.GroupsClaim}
	if o.ClientSecretFile != "" {
		c.Secret = func() (string, error) { return readClientSecret(o.ClientSecretFile) }
		if _, err := c.Secret(); err != nil {
			return nil, fmt.Errorf("oidc.client_secret_file: %w", err)
		}
	}
	l.Provider = openid.New(c)
	return l, nil
}

// maxClientSecret bounds the file of the secret, in bytes.
const maxClientSecret = 4096

// readClientSecret reads the secret that the OpenID provider knows the server by. It is
// read each time it is needed, so that it can be changed while the server runs.
func readClientSecret(name string) (string, error) {
	b, err := vfs.ReadFile(vfs.OS{}, name, maxClientSecret)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if secret == "" {
		return "", errors.New(name + " is empty")
	}
	return secret, nil
}

// denied is told what somebody asked the page for that they may not do.
func (s *service) denied(r *http.Request, perm auth.Permission, trail string) {
	s.api.Denied(r, perm, trail)
}
