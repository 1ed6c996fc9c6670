package server

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/wire"
)

// notedEvent is an event of the trail system.
type notedEvent struct {
	ID, Principal string
	Type          event.Type `json:"event_type"`
	OccurredAt    string     `json:"occurred_at"`
	Details       map[string]any
}

// noted returns the events of some types that the trail system has.
func (s *site) noted(types ...event.Type) (all []notedEvent) {
	s.t.Helper()
	for e, err := range s.trail(trails.System).Entries(s.t.Context(), custody.Query{Types: types}) {
		must(s.t, err)
		var one notedEvent
		must(s.t, json.Unmarshal(e.Payload, &one))
		all = append(all, one)
	}
	return all
}

// like checks details of an event.
func (e *notedEvent) like(t *testing.T, want map[string]any) {
	t.Helper()
	for name, v := range want {
		if fmt.Sprint(e.Details[name]) != fmt.Sprint(v) {
			t.Errorf("%s: %s is %v, want %v", e.Type, name, e.Details[name], v)
		}
	}
}

// newTokenSite is a site that takes tokens, and whose page is a text.
func newTokenSite(t *testing.T) (*site, *auth.Tokens) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	set, err := trails.Open(trails.Config{Dir: t.TempDir(), Origin: "example.org", Options: custody.Options{Logger: log, DiskWarning: -1}})
	must(t, err)
	t.Cleanup(func() { set.Close() })
	tokens, err := auth.OpenTokens(vfs.OS{}, filepath.Join(set.Dir(), auth.TokensFile))
	must(t, err)
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "page "+sender(r.Context())) })
	return serveSet(t, set, Config{Logger: log, Tokens: tokens, Authenticators: []auth.Authenticator{tokens, byHeader{}}, Page: page, Login: true}), tokens
}

// Tokens are created, used, listed and revoked, and all of it is told.
func TestTokens(t *testing.T) {
	s, _ := newTokenSite(t)
	a := s.do("POST", "/v1/tokens", `{"name":"ci","roles":["submitter","reader"],"trails":["default"],"agents":["a1"],"expires":"2099-01-01T00:00:00Z"}`).want(201)
	token := decode[wire.Token](a)
	if a.header.Get("Cache-Control") != "no-store" || token.State != "good" || token.CreatedBy != "test:"+everybody || token.Token == "" {
		t.Errorf("%+v, %v", token, a.header)
	}
	with := []string{"Test-Roles", "", "Authorization", "Bearer " + token.Token}
	s.do("GET", events, "", with...).want(200)
	list := decode[struct{ Tokens []wire.Token }](s.do("GET", "/v1/tokens", "").want(200)).Tokens
	if len(list) != 1 || list[0].ID != token.ID || list[0].Token != "" || list[0].LastUsed == "" {
		t.Errorf("the list is %+v", list)
	}
	for range 2 {
		if revoked := decode[wire.Token](s.do("POST", "/v1/tokens/"+token.ID+"/revoke", "").want(200)); revoked.State != "revoked" || revoked.RevokedBy != "test:"+everybody {
			t.Errorf("%+v", revoked)
		}
	}
	s.do("GET", events, "", with...).problem(401, "revoked")
	s.do("POST", "/v1/tokens/"+token.ID+"x/revoke", "").problem(404, "not_found")
	for body, where := range map[string]string{
		`{"name":"a b","roles":["reader"]}`:                                     "name",
		`{"name":"a","roles":["king"]}`:                                         "king",
		`{"name":"a","roles":[]}`:                                               "roles",
		`{"name":"a","roles":["reader"],"expires":"2001-01-01T00:00:00Z"}`:      "not in the future",
		`{"name":"a","roles":["reader"],"created_by":"somebody"}`:               "created_by",
		`{"name":"a","roles":["reader"],"trails":["default","default"]}`:        "twice",
		`{"name":"a","roles":["reader"],"expires":"tomorrow"}`:                  "expires",
		`{"name":"` + strings.Repeat("n", 101) + `","roles":["reader","king"]}`: "name",
	} {
		if p := s.do("POST", "/v1/tokens", body).problem(422, "invalid"); !strings.Contains(fmt.Sprint(p), where) {
			t.Errorf("%s: %+v", body, p)
		}
	}

	all := s.noted(event.TokenCreated, event.TokenRevoked)
	if len(all) != 2 {
		t.Fatalf("told of: %+v", all)
	}
	all[0].like(t, map[string]any{"token_id": token.ID, "name": "ci", "roles": "[submitter reader]", "trails": "[default]", "agents": "[a1]", "expires": "2099-01-01T00:00:00Z", "by": token.CreatedBy})
	all[1].like(t, map[string]any{"token_id": token.ID, "name": "ci", "by": token.CreatedBy})
	if all[0].Principal != token.CreatedBy || all[1].Type != event.TokenRevoked {
		t.Errorf("%+v", all)
	}
	if b, err := json.Marshal(s.noted()); err != nil || strings.Contains(string(b), token.Token[len(token.Token)-43:]) {
		t.Errorf("the trail holds the secret (%v)", err)
	}
}

// What the command line does to the tokens is told, and once, however often the server
// is started.
func TestTokensOfTheCommandLine(t *testing.T) {
	s, server := newTokenSite(t)
	command, err := auth.OpenTokens(vfs.OS{}, filepath.Join(s.set.Dir(), auth.TokensFile))
	must(t, err)
	_, info, err := command.Create(auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Submitter}, CreatedBy: "operator"})
	must(t, err)
	s.waitNoted(1, event.TokenCreated)
	_, err = command.Revoke(info.ID, "somebody else")
	must(t, err)
	s.api.noteTokens()
	s.api.Stop()
	again := serveSet(t, s.set, Config{Tokens: server})
	_, _, err = command.Create(auth.TokenSpec{Name: "next", Roles: []auth.Role{auth.Submitter}, CreatedBy: "operator"})
	must(t, err)
	again.api.noteTokens()
	all := s.noted(event.TokenCreated, event.TokenRevoked)
	if len(all) != 3 {
		t.Fatalf("told of: %+v", all)
	}
	all[0].like(t, map[string]any{"token_id": info.ID, "by": "operator"})
	all[1].like(t, map[string]any{"token_id": info.ID, "by": "somebody else"})
	if all[0].Principal != "" || all[0].OccurredAt == "" {
		t.Errorf("who created it is not known by any credentials, but when: %+v", all[0])
	}
}

// waitNoted waits until the trail system has so many events of a type.
func (s *site) waitNoted(n int, typ event.Type) {
	s.t.Helper()
	for _, err := range s.trail(trails.System).Subscribe(s.t.Context(), custody.Query{Types: []event.Type{typ}, Limit: n}) {
		must(s.t, err)
	}
}

// Credentials that are refused are told of, but not each of many.
func TestLoginFailures(t *testing.T) {
	s, tokens := newTokenSite(t)
	token, info, err := tokens.Create(auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Reader}, CreatedBy: "operator"})
	must(t, err)
	_, err = tokens.Revoke(info.ID, "operator")
	must(t, err)
	s.do("GET", events+"?limit=1", "", "Authorization", "Bearer "+token).problem(401, "revoked")
	const more = 30
	for range more {
		s.do("GET", "/trails/default", "", "Authorization", "Bearer cst_00000000_x").problem(401, "bad_credentials")
	}
	s.do("GET", events, "", "Test-Roles", "").problem(401, "no_credentials") // is no failure
	all := s.noted(event.LoginFailed)
	if len(all) < 2 || len(all) > 11 {
		t.Fatalf("%d failures have %d events", more+1, len(all))
	}
	all[0].like(t, map[string]any{"reason": "revoked", "what": "GET " + events, "address": "127.0.0.1", "count": 1, "by": "token:ci"})
	all[1].like(t, map[string]any{"reason": "bad_credentials", "what": "GET /trails/default", "by": nil})
}

// What somebody is denied is told of, however much it is, by few events.
func TestDenials(t *testing.T) {
	s, _ := newTokenSite(t)
	for i := range 50 {
		s.do("GET", fmt.Sprintf("/v1/trails/none%d", i), "", "Test-Roles", "submitter").problem(403, "forbidden")
		s.do("GET", events, "", "Test-Roles", "submitter").problem(403, "forbidden")
	}
	s.do("POST", "/v1/trails", `{"name":"t2"}`, "Test-Roles", "auditor").problem(403, "forbidden")
	s.api.Stop()
	all := s.noted(event.AccessDenied)
	if len(all) != 3 {
		t.Fatalf("told of: %+v", all)
	}
	for _, e := range all {
		switch {
		case e.Principal == "test:auditor":
			e.like(t, map[string]any{"what": "POST /v1/trails", "permission": "create_trails", "trail": nil, "count": 1, "by": "test:auditor"})
		case e.Details["trail"] == nil:
			e.like(t, map[string]any{"what": "GET /v1/trails/none0", "permission": "read_entries", "count": 50, "by": "test:submitter"})
		default:
			e.like(t, map[string]any{"what": "GET " + events, "permission": "read_entries", "trail": "default", "count": 50, "by": "test:submitter"})
		}
	}
}

func TestManyDenials(t *testing.T) {
	var d denials
	for i := range 3 * maxDenials {
		d.add(denial{by: fmt.Sprint("p", i)}, "GET /")
	}
	all := d.take()
	if len(all) != maxDenials+1 || all[denial{}].count != 2*maxDenials {
		t.Errorf("%d, the others together %+v", len(all), all[denial{}])
	}
}

func TestTrailCreated(t *testing.T) {
	s := newSite(t, Limits{})
	s.do("POST", "/v1/trails", `{"name":"t2"}`).want(201)
	s.do("POST", "/v1/trails", `{"name":"t2"}`).want(409)
	all := s.noted(event.TrailCreated)
	if len(all) != 1 {
		t.Fatalf("told of: %+v", all)
	}
	all[0].like(t, map[string]any{"trail": "t2", "origin": "example.org/t2", "vkey": s.trail("t2").FirstKey(), "by": "test:" + everybody})
}

// Browsers that do not say who they are are led to the page for logging in, and nobody
// else is.
func TestLedToLogin(t *testing.T) {
	s, _ := newTokenSite(t)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	const html = "text/html,application/xhtml+xml;q=0.9"
	for _, tt := range []struct {
		method, path, accept, roles, token string
		status                             int
		location, body                     string
	}{
		{"GET", "/trails/default/events?agent_id=a%261", html, "", "", 303, "/login?next=%2Ftrails%2Fdefault%2Fevents%3Fagent_id%3Da%25261", ""},
		{"GET", "/", html, "", "", 303, "/login?next=%2F", ""},
		{"GET", "/trails/default", html, "reader", "", 200, "", "page test:reader"},
		{"GET", "/trails/default", "*/*", "", "", 401, "", "no_credentials"},
		{"GET", "/trails/default", html, "", "cst_00000000_x", 401, "", "bad_credentials"},
		{"POST", "/trails/default", html, "", "", 401, "", "no_credentials"},
		{"GET", events, html, "", "", 401, "", "no_credentials"},
		{"GET", "/elsewhere", html, "", "", 404, "", "not_found"},
		{"GET", "/login", html, "", "", 200, "", "page "},
		{"POST", "/login", html, "", "", 200, "", "page "},
		{"GET", "/login/callback", html, "", "", 200, "", "page "},
		{"POST", "/logout", html, "", "", 200, "", "page "},
		{"GET", "/assets/x/custody.css", "text/css", "", "", 200, "", "page "},
	} {
		r := s.request(tt.method, tt.path, "", "Test-Roles", tt.roles, "Accept", tt.accept)
		if tt.token != "" {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}
		resp, err := client.Do(r)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		must(t, err)
		if resp.StatusCode != tt.status || resp.Header.Get("Location") != tt.location || !strings.Contains(string(body), tt.body) {
			t.Errorf("%+v: %d, %q, %.200s", tt, resp.StatusCode, resp.Header.Get("Location"), body)
		}
	}
}
