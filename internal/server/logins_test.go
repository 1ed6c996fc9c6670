package server

import (
	"net/http/httptest"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
)

// However often somebody logs in, and shows credentials that are good for nobody, few
// events tell of all of it, also when the server stops meanwhile.
func TestLoginsAreCounted(t *testing.T) {
	s, tokens := newTokenSite(t)
	const times = 30
	r := httptest.NewRequest("POST", "/login", nil)
	r.RemoteAddr = "192.0.2.1:1000"
	for _, name := range []string{"alice", "bob"} {
		token, _, err := tokens.Create(auth.TokenSpec{Name: name, Roles: []auth.Role{auth.Reader}, CreatedBy: "operator"})
		must(t, err)
		p, err := tokens.Check(token)
		must(t, err)
		for range times {
			s.api.LoggedIn(r, p, auth.Claims{})
		}
	}
	for range times {
		s.do("GET", events, "", "Authorization", "Bearer cst_00000000_x").problem(401, "bad_credentials")
	}
	counts := func(typ event.Type) (n, sum int) {
		for _, e := range s.noted(typ) {
			n++
			sum += int(e.Details["count"].(float64))
		}
		return n, sum
	}
	if n, sum := counts(event.LoggedIn); n != 2*toldLogins || sum != n {
		t.Errorf("the first of each are told by %d events of %d", n, sum)
	}
	s.api.Stop()
	s.api.Stop()
	if n, sum := counts(event.LoggedIn); n != 2*toldLogins+2 || sum != 2*times {
		t.Errorf("%d times to log in are told by %d events of %d", 2*times, n, sum)
	}
	if n, sum := counts(event.LoginFailed); n > 12 || sum != times {
		t.Errorf("%d failures are told by %d events of %d", times, n, sum)
	}
	first := s.noted(event.LoggedIn)[0]
	first.like(t, map[string]any{"method": "token", "by": "token:alice", "address": "192.0.2.1", "count": 1})
	if first.Principal != "token:alice" || first.Details["token_id"] == nil {
		t.Errorf("%+v", first)
	}
}
