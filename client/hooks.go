package client

import (
	"context"
	"net/http"
	"net/url"
)

// HookMessage is what an agent told its hook.
type HookMessage struct {
	Trail   string // name of the trail
	Agent   string // which agent it is, such as "claude-code"
	Event   string // that the hook is for, where the agent does not say it itself; may be empty
	ID      string // names the message: sent again under the same id it is recorded once
	Project string // that the agent works in; may be empty
	Body    []byte
}

// Hook has the server record what an agent told its hook, and returns what the agent is
// to be told.
func (s *Server) Hook(ctx context.Context, m HookMessage) (answer []byte, err error) {
	query := url.Values{"trail": {m.Trail}, "id": {m.ID}}
	if m.Event != "" {
		query.Set("event", m.Event)
	}
	if m.Project != "" {
		query.Set("project", m.Project)
	}
	return s.conn.text(ctx, request{method: http.MethodPost, path: []string{"v1", "hooks", m.Agent}, query: query, body: m.Body})
}

// URL returns the address of something on the server, for programs that ask by
// themselves; empty: the server is at a socket, where they may not be able to.
func (s *Server) URL(path ...string) string {
	if s.addr.socket != "" {
		return ""
	}
	return s.addr.base.JoinPath(escaped(path)...).String()
}
