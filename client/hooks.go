package client

import (
	"context"
	"net/http"
	"net/url"
)

// Hook has the server record what an agent told its hook, and returns what the agent is
// to be told. hook is the event that the hook is for, where the agent does not say it
// itself; it may be empty. id names the message: sent again under the same id it is
// recorded once.
func (s *Server) Hook(ctx context.Context, trail, agent, hook, id string, message []byte) (answer []byte, err error) {
	query := url.Values{"trail": {trail}, "id": {id}}
	if hook != "" {
		query.Set("event", hook)
	}
	return s.conn.text(ctx, request{method: http.MethodPost, path: []string{"v1", "hooks", agent}, query: query, body: message})
}

// URL returns the address of something on the server, for programs that ask by
// themselves; empty: the server is at a socket, where they may not be able to.
func (s *Server) URL(path ...string) string {
	if s.addr.socket != "" {
		return ""
	}
	return s.addr.base.JoinPath(escaped(path)...).String()
}
