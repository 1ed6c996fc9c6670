package server

import (
	"context"
	"net/http"
	"sync"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
)

// logins counts who logs in to the page again and again, so that nobody fills the trail
// system by it.
type logins struct {
	mu      sync.Mutex
	pending map[login]int // how often within the interval; guarded by mu
}

// toldLogins is how many log-ins of somebody within the interval are told one by one, with
// the address.
const toldLogins = 3

// login is one way of somebody to log in. There are as many as API tokens and people.
type login struct{ method, by, tokenID, issuer, subject string }

// add reports whether this one is to be told now.
func (l *logins) add(one login) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		l.pending = map[login]int{}
	}
	l.pending[one]++
	return l.pending[one] <= toldLogins
}

// take returns what was counted since the last time.
func (l *logins) take() map[login]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.pending
	l.pending = nil
	return all
}

// LoggedIn records that somebody logged in to the page: the first few times within ten
// seconds at once, and the others together after them.
func (s *Server) LoggedIn(r *http.Request, p *auth.Principal, claims auth.Claims) {
	one := login{p.Kind, p.Name, p.TokenID, claims.Issuer, claims.Subject}
	if s.logins.add(one) {
		s.noteLogin(r.Context(), one, addressOf(r), 1)
	}
}

func (s *Server) noteLogins() {
	for one, n := range s.logins.take() {
		if n > toldLogins {
			s.noteLogin(context.Background(), one, "", n-toldLogins)
		}
	}
}

func (s *Server) noteLogin(ctx context.Context, one login, address string, n int) {
	details := map[string]any{"method": one.method, "by": one.by, "count": n}
	for name, value := range map[string]string{"address": address, "token_id": one.tokenID, "issuer": one.issuer, "subject": one.subject} {
		if value != "" {
			details[name] = value
		}
	}
	s.note(auth.With(ctx, &auth.Principal{Name: one.by}), event.Event{Type: event.LoggedIn, Details: details})
}
