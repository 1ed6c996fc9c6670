package ui

import (
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/server"
	"github.com/custodylog/custody/internal/trails"
)

// hostile is what a producer may send as any text.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'&{{.}}` + "\u202e"

// set is trails by name.
type set map[string]*custody.Trail

func (s set) List() []string {
	var names []string
	for name := range s {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (s set) Get(name string) (*custody.Trail, error) {
	if t := s[name]; t != nil {
		return t, nil
	}
	return nil, errors.New("there is no such trail")
}

// newTrail makes a trail with events.
func newTrail(tb testing.TB, events ...event.Event) *custody.Trail {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "trail")
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := custody.Create(dir, custody.CreateOptions{Origin: "example.com/agents", Signer: key}); err != nil {
		tb.Fatal(err)
	}
	t, err := custody.Open(dir, &custody.Options{Signer: key, DiskWarning: -1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { t.Close() })
	record(tb, t, events...)
	return t
}

func record(tb testing.TB, t *custody.Trail, events ...event.Event) {
	tb.Helper()
	if _, err := t.RecordBatch(tb.Context(), events); err != nil {
		tb.Fatal(err)
	}
}

// story is events of two agents: an action that is approved and runs, one that is
// denied, one that is not resolved, one that fails, and some that belong to none.
func story() []event.Event {
	of := func(typ event.Type, agent, action string, edit func(*event.Event)) event.Event {
		e := event.Event{Type: typ, AgentID: agent, ActionID: action, SessionID: "session-1", Details: map[string]any{"tool_name": "shell"}}
		if edit != nil {
			edit(&e)
		}
		return e
	}
	detail := func(name string, v any) func(*event.Event) {
		return func(e *event.Event) { e.Details[name] = v }
	}
	events := []event.Event{
		of(event.SessionStarted, "planner", "", detail("cwd", "/srv/app")),
		of(event.ActionRequested, "planner", "a-1", func(e *event.Event) {
			e.Details["resource"], e.Details["input_digest"] = "rm -rf build", "sha256:00"
			e.Details["input"] = map[string]any{"command": "rm -rf build", "api_key": "not-a-real-key"}
		}),
		of(event.ApprovalRequested, "planner", "a-1", detail("approval_id", "p-1")),
		of(event.ApprovalGranted, "planner", "a-1", func(e *event.Event) {
			e.Decision, e.DecisionSource, e.UserID, e.Details["decided_by"] = event.Allow, event.ByUserOnce, "operator@example.com", "operator@example.com"
		}),
		of(event.ActionExecuted, "planner", "a-1", func(e *event.Event) { e.Outcome, e.Details["execution_time_ms"] = event.OutcomeSuccess, 1250 }),
		of(event.SubagentStarted, "worker", "", detail("parent_agent_id", "planner")),
		of(event.ActionRequested, "worker", "a-2", detail("resource", "/etc/passwd")),
		of(event.ActionDenied, "worker", "a-2", func(e *event.Event) {
			e.Decision, e.DecisionSource, e.Details["reasons"] = event.Deny, event.ByPolicy, []string{"outside of the project"}
		}),
		of(event.ActionRequested, "worker", "a-3", detail("resource", "https://example.com/")),
		of(event.ActionRequested, "worker", "a-4", detail("resource", "make test")),
		of(event.ActionFailed, "worker", "a-4", func(e *event.Event) { e.Outcome, e.Details["error"] = event.OutcomeFailure, "exit status 2" }),
		of(event.PolicyViolation, "worker", "", func(e *event.Event) { e.Details["rule"], e.Severity = "no-network", event.SeverityError }),
		of(event.EmergencyStop, "planner", "", func(e *event.Event) {
			e.Details["stop_type"], e.Details["triggered_by"], e.Details["reason"] = "global", "operator@example.com", "drill"
		}),
	}
	for i := range events {
		events[i].Timestamp = time.Date(2026, 1, 2, 9, 0, i*i, 0, time.UTC)
	}
	return events
}

// imported is a session of which a transcript tells a part: a prompt, one action that only
// the transcript knows, one whose end only it knows, and one that hooks reported.
func imported() []event.Event {
	of := func(typ event.Type, source, action, resource string) event.Event {
		e := event.Event{Type: typ, AgentID: "planner", ActionID: action, SessionID: "session-2", Source: source, Details: map[string]any{"tool_name": "shell", "resource": resource}}
		if typ == event.ActionExecuted {
			e.Outcome = event.OutcomeSuccess
		}
		return e
	}
	events := []event.Event{
		{Type: event.TurnStarted, AgentID: "planner", SessionID: "session-2", Source: "transcript", Details: map[string]any{"prompt": "tidy up, then test"}},
		of(event.ActionRequested, "transcript", "t-1", "git status"),
		of(event.ActionExecuted, "transcript", "t-1", "git status"),
		of(event.ActionRequested, "hooks", "t-2", "rm -rf build"),
		of(event.ActionExecuted, "transcript", "t-2", "rm -rf build"),
		of(event.ActionRequested, "hooks", "t-3", "make test"),
		of(event.ActionExecuted, "hooks", "t-3", "make test"),
	}
	for i := range events {
		events[i].Timestamp = time.Date(2026, 1, 2, 10, 0, 8*i, 0, time.UTC)
	}
	return events
}

// hostileEvent has markup in every field that takes text.
func hostileEvent() event.Event {
	return event.Event{Type: event.ActionRequested, AgentID: hostile, ActionID: hostile, SessionID: hostile, ProjectID: hostile, UserID: hostile,
		CorrelationID: hostile, Source: hostile, Details: map[string]any{"tool_name": hostile, "resource": hostile, hostile: hostile, "input_digest": hostile}}
}

// allowed lets everybody do everything.
func allowed(*http.Request, auth.Permission, string) bool { return true }

// only lets everybody do something.
func only(perms ...auth.Permission) func(*http.Request, auth.Permission, string) bool {
	return func(_ *http.Request, p auth.Permission, _ string) bool { return slices.Contains(perms, p) }
}

func handler(trails Trails, may func(*http.Request, auth.Permission, string) bool) http.Handler {
	sessions, err := auth.NewSessions(auth.SessionConfig{})
	if err != nil {
		panic(err)
	}
	return New(Config{Trails: trails, May: may, Login: &Login{Sessions: sessions, Provider: unreachable()}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

// get asks for a page.
func get(tb testing.TB, h http.Handler, path string) (status int, body string) {
	tb.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// mustGet asks for a page that has to be there.
func mustGet(tb testing.TB, h http.Handler, path string) string {
	tb.Helper()
	status, body := get(tb, h, path)
	if status != http.StatusOK {
		tb.Fatalf("%s: %d\n%s", path, status, body)
	}
	return body
}

// contains reports what a page does not say.
func contains(tb testing.TB, body string, wants ...string) {
	tb.Helper()
	for _, want := range wants {
		if !strings.Contains(body, want) {
			tb.Errorf("the page does not have %q:\n%s", want, body)
		}
	}
}

// lacks reports what a page should not say.
func lacks(tb testing.TB, body string, unwanted ...string) {
	tb.Helper()
	for _, u := range unwanted {
		if strings.Contains(body, u) {
			tb.Errorf("the page has %q:\n%s", u, body)
		}
	}
}

// site is the server as it runs: its API, and the pages beside it.
type site struct {
	url    string
	trails set
	api    http.Handler // may be replaced by one that lies

	restart func() // has another server serve the same trails
}

// newSite serves a data directory whose trail default has events.
func newSite(tb testing.TB, events ...event.Event) *site {
	tb.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	all, err := trails.Open(trails.Config{Dir: tb.TempDir(), Origin: "example.com", Options: custody.Options{Logger: quiet, DiskWarning: -1}})
	if err != nil {
		tb.Fatal(err)
	}
	s := &site{trails: set{}}
	var srv *server.Server
	s.restart = func() {
		if srv != nil {
			srv.Stop()
		}
		if srv, err = server.New(server.Config{Trails: all, Local: true, Logger: quiet}); err != nil {
			tb.Fatal(err)
		}
		s.api = srv.Handler()
	}
	s.restart()
	for _, t := range all.List() {
		s.trails[t.Name] = t.Trail
	}
	record(tb, s.trails["default"], events...)
	mux := http.NewServeMux()
	page := handler(s.trails, allowed)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		page.ServeHTTP(w, r.WithContext(auth.With(r.Context(), &auth.Principal{Name: "token:operator@example.com", Session: true})))
	})
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) { s.api.ServeHTTP(w, r) })
	h := httptest.NewServer(mux)
	s.url = h.URL
	tb.Cleanup(func() {
		srv.Stop()
		h.CloseClientConnections()
		h.Close()
		all.Close()
	})
	return s
}

// tamper makes the API alter what it answers.
func (s *site) tamper(alter func(path string, body []byte) []byte) {
	honest := s.api
	s.api = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		r.Header.Del("Accept-Encoding")
		honest.ServeHTTP(answer, r)
		for name, values := range answer.Header() {
			if name != "Content-Length" {
				w.Header()[name] = values
			}
		}
		w.WriteHeader(answer.Code)
		w.Write(alter(r.URL.Path, answer.Body.Bytes()))
	})
}
