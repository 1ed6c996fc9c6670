package server

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
)

const (
	denialsInterval = 10 * time.Second // how long it takes at most until it is an event that somebody was denied something
	tokensInterval  = 2 * time.Second  // the same, of a token that another process created or revoked
)

// tellAccess records, now and then and when the server stops, who asked for what they
// may not do, and which tokens were created and revoked.
func (s *Server) tellAccess() {
	denied, tokens := time.NewTicker(denialsInterval), time.NewTicker(tokensInterval)
	defer denied.Stop()
	defer tokens.Stop()
	for {
		select {
		case <-denied.C:
			s.noteDenials()
			s.noteLogins()
			s.noteUnreported(false)
		case <-tokens.C:
			s.noteTokens()
		case <-s.stopped.Done():
			s.noteTokens() // the rest is told by Stop, when nobody is at work any more
			return
		}
	}
}

// Tell records an event of the server itself in the trail system.
func (s *Server) Tell(ctx context.Context, e event.Event) { s.note(ctx, e) }

// denials counts what was denied to whom, so that many are one event.
type denials struct {
	mu      sync.Mutex
	pending map[denial]*deniedRequests // guarded by mu
}

type denial struct {
	by, trail string
	needs     auth.Permission
}

type deniedRequests struct {
	what  string // the first one
	count int
}

// maxDenials is how many denials are told apart in an interval. The others are counted
// together.
const maxDenials = 1000

func (d *denials) add(key denial, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pending == nil {
		d.pending = map[denial]*deniedRequests{}
	}
	have := d.pending[key]
	if have == nil && len(d.pending) >= maxDenials {
		key, what = denial{}, "requests of several senders"
		have = d.pending[key]
	}
	if have == nil {
		have = &deniedRequests{what: what}
		d.pending[key] = have
	}
	have.count++
}

// take returns what was counted since the last time.
func (d *denials) take() map[denial]*deniedRequests {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.pending
	d.pending = nil
	return all
}

// Denied notes that somebody known asked for what they may not do; within ten seconds it
// is an event. trail is as in the request: there need not be one of that name.
func (s *Server) Denied(r *http.Request, needs auth.Permission, trail string) {
	p := auth.From(r.Context())
	if p == nil {
		return
	}
	if _, err := s.trails.Get(trail); err != nil {
		trail = "" // whoever asks for many names makes no more events
	}
	s.denials.add(denial{p.Name, trail, needs}, whatOf(r))
}

func (s *Server) noteDenials() {
	for d, n := range s.denials.take() {
		details := map[string]any{"what": n.what, "count": n.count}
		for name, value := range map[string]string{"permission": string(d.needs), "trail": d.trail, "by": d.by} {
			if value != "" {
				details[name] = value
			}
		}
		s.note(auth.With(context.Background(), &auth.Principal{Name: d.by}), event.Event{Type: event.AccessDenied, Details: details})
	}
}

// whatOf names a request: its method and path, without what it asks for.
func whatOf(r *http.Request) string {
	const longest = 200
	path := r.URL.EscapedPath()
	return r.Method + " " + path[:min(len(path), longest)]
}

// addressOf returns where a request comes from. It is empty for a Unix socket.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// recheck refuses a request that was let in and takes long to answer, once its sender's
// credentials are good no more.
func (s *Server) recheck(r *http.Request) error {
	if d := s.door.Recheck(r); d != nil {
		return newProblem(d.Status(), string(d.Reason), "%s", d.Detail)
	}
	return nil
}

// LoginFailed records that credentials were refused, but not of everybody who tries
// again and again (auth.Gate).
func (s *Server) LoginFailed(r *http.Request, d *auth.Denied) { s.door.Report(r, d) }

// noteFailure is told by the door.
func (s *Server) noteFailure(r *http.Request, d *auth.Denied) {
	details := map[string]any{"reason": string(d.Reason), "what": whatOf(r), "count": d.Unreported + 1}
	if address := addressOf(r); address != "" {
		details["address"] = address
	}
	if d.Principal != nil {
		details["by"] = d.Principal.Name
	}
	s.note(r.Context(), event.Event{Type: event.LoginFailed, Details: details})
}

// noteUnreported records the failures that noteFailure was not told of, as
// [auth.Gate.Unreported] counts them.
func (s *Server) noteUnreported(all bool) {
	if n := s.door.Unreported(all); n > 0 {
		s.note(context.Background(), event.Event{Type: event.LoginFailed, Details: map[string]any{
			"reason": string(auth.BadCredentials), "what": "requests that were too many to tell of each", "count": n}})
	}
}

// tokens are the API tokens, and which of them have events.
type tokens struct {
	file *auth.Tokens // nil: the server has none

	mu      sync.Mutex      // held while this server changes the file and tells of it
	noted   map[string]bool // ids of events that there are; guarded by mu
	problem string          // of the last time, so that it is logged once; guarded by mu
}

// noteTokens records which tokens were created and revoked, by whomever, and also while
// no server ran.
func (s *Server) noteTokens() {
	if s.tokens.file == nil {
		return
	}
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	s.noteChangedTokens(context.Background(), "")
}

// noteChangedTokens does it, and records the event with the id own as sent by the sender
// of a request; what others did meanwhile is theirs. The caller holds mu.
func (s *Server) noteChangedTokens(ctx context.Context, own string) {
	all, err := s.tokens.file.List()
	for i := 0; err == nil && i < len(all); i++ {
		for _, e := range tokenEvents(&all[i]) {
			by := context.Background()
			if e.ID == own {
				by = ctx
			}
			if err = s.noteOnce(by, e); err != nil {
				break
			}
		}
	}
	problem := ""
	if err != nil {
		problem = err.Error()
		if problem != s.tokens.problem {
			s.log.ErrorContext(ctx, "custody: tokens that were created or revoked have no events yet", "err", err)
		}
	}
	s.tokens.problem = problem
}

// createdID and revokedID are the ids of the events of the token with an id.
func createdID(id string) string { return "token-created-" + id }
func revokedID(id string) string { return "token-revoked-" + id }

// tokenEvents returns the events that tell of a token.
func tokenEvents(t *auth.TokenInfo) []event.Event {
	created := event.Event{Type: event.TokenCreated, ID: createdID(t.ID), OccurredAt: t.Created,
		Details: map[string]any{"token_id": t.ID, "name": t.Name, "roles": t.Roles, "by": t.CreatedBy}}
	if t.CreatedByPerson != "" {
		created.Details["by_person"] = t.CreatedByPerson
	}
	if len(t.Trails) > 0 {
		created.Details["trails"] = t.Trails
	}
	if len(t.Agents) > 0 {
		created.Details["agents"] = t.Agents
	}
	if !t.Expires.IsZero() {
		created.Details["expires"] = t.Expires.Format(time.RFC3339)
	}
	if t.Revoked.IsZero() {
		return []event.Event{created}
	}
	return []event.Event{created, {Type: event.TokenRevoked, ID: revokedID(t.ID), OccurredAt: t.Revoked,
		Details: map[string]any{"token_id": t.ID, "name": t.Name, "by": t.RevokedBy}}}
}

// noteOnce records an event unless the trail system has one with its id. The caller
// holds the mutex of tokens.
func (s *Server) noteOnce(ctx context.Context, e event.Event) error {
	if s.tokens.noted[e.ID] {
		return nil
	}
	t, err := s.trails.Get(trails.System)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(asSender(ctx))
	if _, err := t.EntryByID(ctx, e.ID); err != nil {
		e.Source = "server"
		if _, err := t.Record(ctx, e); err != nil {
			return err
		}
	}
	s.tokens.noted[e.ID] = true
	return nil
}

// toLogin leads a browser to the page for logging in. It reports whether it did: other
// requests are answered with an error.
func (s *Server) toLogin(w http.ResponseWriter, r *http.Request) bool {
	if !s.login || !isPage(r.URL.EscapedPath()) || r.Method != http.MethodGet || len(r.Header["Authorization"]) > 0 || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return false
	}
	http.Redirect(w, r, "/login?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
	return true
}

// isOpenPage reports whether a path is one of those parts of the web page that anybody
// gets: who logs in has not yet shown who they are.
func isOpenPage(path string) bool {
	return path == "/login" || path == "/logout" || strings.HasPrefix(path, "/login/") || strings.HasPrefix(path, "/assets/")
}

// noteTrail records that a trail was made.
func (s *Server) noteTrail(ctx context.Context, t *trails.Trail) {
	s.note(ctx, event.Event{Type: event.TrailCreated, Details: map[string]any{"trail": t.Name, "origin": t.Origin(), "vkey": t.FirstKey(), "by": sender(ctx)}})
}
