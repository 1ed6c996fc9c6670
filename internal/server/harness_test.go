package server

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/wire"
)

var update = flag.Bool("update", false, "write golden files anew")

// byHeader takes a request's word for who sends it.
type byHeader struct{}

func (byHeader) Authenticate(r *http.Request) (*auth.Principal, error) {
	roles := r.Header.Get("Test-Roles")
	if roles == "" {
		return nil, nil
	}
	p := &auth.Principal{Name: "test:" + roles, Kind: "test", Authenticated: true}
	for role := range strings.SplitSeq(roles, ",") {
		p.Roles = append(p.Roles, auth.Role(role))
	}
	if agents := r.Header.Get("Test-Agents"); agents != "" {
		p.Agents = strings.Split(agents, ",")
	}
	if names := r.Header.Get("Test-Trails"); names != "" {
		p.Trails = strings.Split(names, ",")
	}
	return p, nil
}

// site is a server that listens.
type site struct {
	t    *testing.T
	set  *trails.Set
	api  *Server
	http *httptest.Server
}

func newSite(t *testing.T, limits Limits) *site {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	set, err := trails.Open(trails.Config{Dir: t.TempDir(), Origin: "example.org", Options: custody.Options{Logger: log, DiskWarning: -1}})
	must(t, err)
	t.Cleanup(func() { set.Close() })
	tokens, err := auth.OpenTokens(vfs.OS{}, filepath.Join(set.Dir(), auth.TokensFile))
	must(t, err)
	return serveSet(t, set, Config{Limits: limits, Logger: log, Tokens: tokens, Authenticators: []auth.Authenticator{byHeader{}}})
}

func serveSet(t *testing.T, set *trails.Set, cfg Config) *site {
	t.Helper()
	cfg.Trails = set
	api, err := New(cfg)
	must(t, err)
	api.CarryOut()
	s := &site{t: t, set: set, api: api, http: httptest.NewServer(api.Handler())}
	t.Cleanup(func() {
		api.Stop()
		s.http.Close()
	})
	return s
}

// with returns the same server for a subtest.
func (s *site) with(t *testing.T) *site {
	sub := *s
	sub.t = t
	return &sub
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// everybody has every role.
var everybody = func() string {
	names := make([]string, len(auth.Roles))
	for i, r := range auth.Roles {
		names[i] = string(r)
	}
	return strings.Join(names, ",")
}()

// answer is an answer that was read.
type answer struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   []byte
}

// request makes a request of somebody with all roles. Headers are name and value in
// turn; an empty value removes one.
func (s *site) request(method, path, body string, headers ...string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.http.URL+path, strings.NewReader(body))
	must(s.t, err)
	if body == "" {
		r.Body = http.NoBody
	}
	r.Header.Set("Test-Roles", everybody)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", typeJSON)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return r
}

func (s *site) do(method, path, body string, headers ...string) *answer {
	s.t.Helper()
	return s.send(s.request(method, path, body, headers...))
}

func (s *site) send(r *http.Request) *answer {
	s.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	must(s.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(s.t, err)
	return &answer{s.t, r.Method + " " + r.URL.Path, resp.StatusCode, resp.Header, b}
}

// want checks the status.
func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d: %s", a.what, a.status, status, a.body)
	}
	return a
}

// problem checks that the answer is a problem with a code, and returns it.
func (a *answer) problem(status int, code string) *Problem {
	a.t.Helper()
	a.want(status)
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Errorf("%s: type %q", a.what, got)
	}
	p := decode[Problem](a)
	if p.Code != code || p.Status != status || p.Detail == "" || p.Title == "" {
		a.t.Errorf("%s: %s, want code %s", a.what, a.body, code)
	}
	return &p
}

func decode[T any](a *answer) (v T) {
	a.t.Helper()
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		a.t.Fatalf("%s: %v: %s", a.what, err, a.body)
	}
	return v
}

const events = "/v1/trails/default/events"

// turn is an event as JSON.
func turn(id, session string) string {
	return fmt.Sprintf(`{"event_type":"turn_ended","id":%q,"session_id":%q}`, id, session)
}

// record records an event.
func (s *site) record(event string) wire.Receipt {
	s.t.Helper()
	return decode[wire.Receipt](s.do("POST", events, event).want(201))
}

func (s *site) trail(name string) *trails.Trail {
	s.t.Helper()
	t, err := s.set.Get(name)
	must(s.t, err)
	return t
}

func (s *site) size() uint64 { return s.trail(trails.Default).Size() }
