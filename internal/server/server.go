// Package server serves the trails of a data directory over HTTP: the API below /v1
// (docs/http.md, docs/openapi.json), each trail as a C2SP tiled log below /t, and what
// operators look at.
//
// Handlers translate between HTTP and the library, and decide nothing. Which
// permission a route needs is in one table (permissions.go), what an error is answered
// with in one function (problem.go).
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/alert"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/dualcontrol"
	"github.com/custodylog/custody/internal/producers"
	"github.com/custodylog/custody/internal/textsearch"
	"github.com/custodylog/custody/internal/trails"
)

// Config says what a server serves, and to whom.
type Config struct {
	// Trails stay the caller's, who closes them after [Server.Stop].
	Trails *trails.Set

	// Authenticators find out who sends a request. Without any, nothing but the
	// public routes can be used.
	Authenticators []auth.Authenticator

	// Local lets in whoever is on this machine, with all permissions, and keeps out the
	// web pages that they have open (auth.Local, auth.LocalGuard).
	Local bool

	// Page answers what is below / and is no route of the API, to whom Authenticators
	// and Local let in: it looks at what they may do itself (auth.From). nil: nothing.
	Page http.Handler

	// Login says that the page has /login, to which browsers are led that do not say
	// who sends a request.
	Login bool

	// Tokens are those that the API manages, and whose changes are events. They stay
	// the caller's. nil: none.
	Tokens *auth.Tokens

	// Alerts is shown, and told what verifications find. It stays the caller's. nil: none.
	Alerts *alert.Alerts

	// Logger gets what goes wrong. Default: slog.Default().
	Logger *slog.Logger

	Limits Limits

	// Requests, if not nil, has removals done only once a second person has approved
	// them. They stay the caller's, and are this server's alone.
	Requests *dualcontrol.Requests

	// Policy is a trust policy (C2SP tlog-policy) that says whose cosignatures count in
	// verifications that are given none. Of a trail that it has no key of, the keys are
	// those that the trail itself names. nil: cosignatures are not checked then.
	Policy []byte

	// Producers says how patient the server is with producers whose events are missing.
	Producers producers.Config
}

// Limits bound what clients can ask for. Zero means the default.
type Limits struct {
	// Body is how many bytes a body that is read as a whole may have, once it is
	// decompressed. Default: 16 MiB.
	Body int64

	// Line is how many bytes a line of NDJSON may have. Default: 8 MiB.
	Line int

	// Batch is how many events an array may have. Default: 10,000.
	Batch int

	// Pending is how many bytes of events of one trail may be on their way to its
	// disk. Beyond that, requests are answered with 503 and streams wait. Default:
	// 64 MiB.
	Pending int64

	// Followers is how many streams and long polls may wait at the same time.
	// Default: 2,000.
	Followers int

	// Searched is how many entries a request looks through for words, which ends
	// after a second in any case. Default: 500,000.
	Searched int

	// Slow is how long nothing may come from a client that has something to send, or
	// go to one that has something to read. Default: 30 s.
	Slow time.Duration

	// Request is how long an answer may take, but for those that have no bound.
	// Default: 30 s.
	Request time.Duration

	// Heartbeat is how long a stream may be silent. Default: 15 s.
	Heartbeat time.Duration
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		value     *int64
		otherwise int64
	}{{&l.Body, 16 << 20}, {&l.Pending, 64 << 20}} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	for _, d := range []struct {
		value     *int
		otherwise int
	}{{&l.Line, 8 << 20}, {&l.Batch, 10_000}, {&l.Followers, 2000}, {&l.Searched, textsearch.MaxEntries}} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&l.Slow, 30 * time.Second}, {&l.Request, 30 * time.Second}, {&l.Heartbeat, 15 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	return l
}

// Server answers requests. It has to be stopped with [Server.Stop].
type Server struct {
	trails    *trails.Set
	limits    Limits
	log       *slog.Logger
	api       huma.API
	mux       *http.ServeMux
	handler   http.Handler
	metrics   *metrics
	alerts    *alert.Alerts // nil: none
	jobs      *jobs
	intake    intake
	deadlines deadlines           // of recording
	bodies    *semaphore.Weighted // bytes of larger bodies that are being answered
	reads     reads
	denials   denials
	logins    logins
	tokens    tokens
	door      *auth.Gate
	login     bool
	agents    agentTrails

	exported *prometheus.CounterVec // by registerOTLP

	refused refusals
	removal removal
	writing writing
	policy  []byte
	signers enrolled
	openapi []byte

	served     []string // patterns
	undeclared []string // patterns that routes does not have

	followers chan struct{} // holds a value for each follower

	stopped context.Context
	stop    context.CancelFunc
	working sync.WaitGroup // verifications, and what tells of reading
}

// New returns a server.
func New(cfg Config) (*Server, error) {
	s := &Server{trails: cfg.Trails, limits: cfg.Limits.withDefaults(), log: cfg.Logger, mux: http.NewServeMux()}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.stopped, s.stop = context.WithCancel(context.Background())
	s.followers = make(chan struct{}, s.limits.Followers)
	s.intake = newIntake(s.limits.Pending)
	s.deadlines.after = s.limits.Request
	s.bodies = semaphore.NewWeighted(max(bodiesRoom, s.limits.Body))
	s.metrics = newMetrics(s)
	if s.alerts = cfg.Alerts; s.alerts != nil {
		s.metrics.registry.MustRegister(s.alerts)
	}
	s.jobs = newJobs()
	s.recallVerified(s.stopped)
	s.login = cfg.Login
	s.tokens = tokens{file: cfg.Tokens, noted: map[string]bool{}}
	if err := s.watchAgents(); err != nil {
		return nil, err
	}
	s.removal = newRemoval(cfg.Requests)
	s.policy = cfg.Policy

	s.api = humago.New(s, apiConfig())
	s.registerTrails()
	s.registerRecord()
	s.registerEvents()
	s.registerCounts()
	s.registerTimeline()
	s.registerStream()
	s.registerVerifications()
	s.registerEvidence()
	s.registerProofs()
	s.registerAttesting()
	s.registerHolds()
	s.registerErasures()
	s.registerRetention()
	s.registerRequests()
	s.registerProducers()
	s.registerLog()
	s.registerHealth()
	s.registerTokens()
	s.registerHooks()
	s.registerSightings()
	s.registerOTLP()
	s.registerOTLPGRPC()
	s.registerStops()
	s.HandleFunc("GET /metrics", s.metrics.serve)
	if err := s.registerOpenAPI(); err != nil {
		return nil, err
	}
	if len(s.undeclared) > 0 {
		return nil, fmt.Errorf("nothing says who may use %s", strings.Join(s.undeclared, ", "))
	}
	for pattern := range routes {
		if !slices.Contains(s.served, pattern) {
			return nil, fmt.Errorf("nothing serves %s", pattern)
		}
	}

	authenticators := slices.Clone(cfg.Authenticators)
	if cfg.Local {
		authenticators = append(authenticators, auth.Local{})
	}
	s.door = auth.Middleware(s.inside(cfg.Page), s.deny, authenticators...)
	s.door.OnFailure = s.noteFailure
	compress, err := gzhttp.NewWrapper(gzhttp.ContentTypeFilter(compressible))
	if err != nil {
		return nil, err
	}
	s.handler = compress(s.open(cfg.Page))
	if cfg.Local {
		s.handler = auth.LocalGuard(s.handler, s.deny)
	}
	s.handler = s.observe(s.handler)
	if err := s.watchProducers(cfg.Producers); err != nil {
		s.Stop()
		return nil, err
	}
	s.working.Go(s.tellReads)
	s.working.Go(s.tellAccess)
	return s, nil
}

// Handler returns what answers all requests.
func (s *Server) Handler() http.Handler { return s.handler }

// Stop ends streams, long polls and verifications, and waits for the last of these.
// What is being recorded is recorded. It may be called more than once: the last time
// when no request is under way any more, so that what was read is recorded too.
func (s *Server) Stop() {
	s.stop()
	s.working.Wait()
	s.noteReads() // by requests that were under way
	s.noteDenials()
	s.noteLogins()
	s.noteUnreported(true)
	s.noteRefusals()
}

// open serves public routes, and what anybody gets of the page, without asking who sends
// a request. page is nil where there is none.
func (s *Server) open(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nowhere, pattern := s.mux.Handler(r)
		switch _, serves := nowhere.(http.HandlerFunc); {
		case !serves:
			// A handler of the mux itself, which would lead to the path as it should be.
			s.fail(w, r, newProblem(http.StatusNotFound, "not_found", "there is no %s %.500s; a path has no empty segments and none that are . or .., and ends as /openapi.json says", r.Method, r.URL.Path))
		case pattern == "" && page != nil && isOpenPage(r.URL.EscapedPath()):
			page.ServeHTTP(w, r)
		case pattern == "" && (page == nil || !isPage(r.URL.EscapedPath())):
			a := statusOnly{header: w.Header()} // 404, or 405 with the header Allow
			nowhere.ServeHTTP(&a, r)
			s.fail(w, r, newProblem(a.status, statusCode(a.status), "there is no %s %s; /openapi.json lists what there is", r.Method, r.URL.Path))
		case routes[pattern].asks:
			s.door.Open(w, r)
		case routes[pattern].public:
			s.mux.ServeHTTP(w, r)
		default:
			seen(r.Context()).page = pattern == ""
			s.door.ServeHTTP(w, r)
		}
	})
}

// inside serves those of whom it is known who they are: routes, and the page where none
// is meant.
func (s *Server) inside(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen(r.Context()).page {
			page.ServeHTTP(w, r)
			return
		}
		s.mux.ServeHTTP(w, r)
	})
}

// isPage reports whether a path, as it was sent, is one of the web page (package ui), whose
// own routes go by that too.
func isPage(path string) bool {
	return path == "/" || strings.HasPrefix(path, "/trails/") || strings.HasPrefix(path, "/server/") || isOpenPage(path)
}

// statusOnly keeps the status of an answer, and drops its body.
type statusOnly struct {
	header http.Header
	status int
}

func (a *statusOnly) Header() http.Header         { return a.header }
func (a *statusOnly) WriteHeader(status int)      { a.status = status }
func (a *statusOnly) Write(b []byte) (int, error) { return len(b), nil }

// deny answers a request of which it is not known who sent it.
func (s *Server) deny(w http.ResponseWriter, r *http.Request, d *auth.Denied) {
	if d.Reason == auth.Unavailable {
		s.log.ErrorContext(r.Context(), "custody: it could not be found out who sends a request", "err", d.Err)
	}
	if d.Status() == http.StatusUnauthorized && s.toLogin(w, r) {
		return
	}
	s.fail(w, r, newProblem(d.Status(), string(d.Reason), "%s", d.Detail))
}

// HandleFunc implements humago.Mux: it serves a pattern to whom the table of routes
// allows it.
func (s *Server) HandleFunc(pattern string, handle func(http.ResponseWriter, *http.Request)) {
	a, ok := routes[pattern]
	if !ok {
		s.undeclared = append(s.undeclared, pattern)
		return
	}
	s.served = append(s.served, pattern)
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		seen(r.Context()).route = pattern
		trail := r.PathValue("trail")
		if a.byQuery {
			trail = trailAskedFor(r)
		}
		if err := a.allows(auth.From(r.Context()), trail); err != nil {
			s.Denied(r, a.needs, trail)
			s.fail(w, r, err)
			return
		}
		done, err := s.bound(a, w, &r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		defer done()
		handle(w, r)
	})
}

// trailAskedFor returns the trail that a request names in its query.
func trailAskedFor(r *http.Request) string { return cmp.Or(r.URL.Query().Get("trail"), trails.Default) }

// ServeHTTP implements humago.Mux.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// allows returns a *Problem unless p may use the route on a trail.
func (a *access) allows(p *auth.Principal, trail string) error {
	if a.public || a.own || p.May(a.needs, trail) {
		return nil
	}
	what := "this server"
	if trail != "" {
		what = fmt.Sprintf("trail %q", trail)
	}
	return newProblem(http.StatusForbidden, "forbidden", "%s may not %s on %s; an administrator of the server gives permissions", p.Name, strings.ReplaceAll(string(a.needs), "_", " "), what)
}

// bound limits time and body of a request.
func (s *Server) bound(a access, w http.ResponseWriter, r **http.Request) (done func(), err error) {
	closeBody, err := s.openBody(a.body, w, *r)
	if err != nil {
		return nil, err
	}
	if a.long {
		return closeBody, nil
	}
	ctx, cancel := context.WithTimeout((*r).Context(), s.limits.Request)
	*r = (*r).WithContext(ctx)
	return func() { cancel(); closeBody() }, nil
}

// untilStopped returns a context that also ends when the server stops.
func (s *Server) untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	detach := context.AfterFunc(s.stopped, cancel)
	return ctx, func() { detach(); cancel() }
}

// operation registers an operation whose errors are answered as all are.
func operation[I, O any](s *Server, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.RejectUnknownQueryParameters = true
	op.BodyReadTimeout = s.limits.Slow
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = 1 << 20
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
}

// InTrail is the part of a path that names a trail.
type InTrail struct {
	Trail string `path:"trail" doc:"Name of the trail" example:"default"`
}

// note records in the system trail what the server has to tell, by who sends the
// request. That it could not be is logged.
func (s *Server) note(ctx context.Context, e event.Event) {
	if err := s.tell(ctx, e); err != nil && !errors.Is(err, custody.ErrClosed) {
		s.log.ErrorContext(ctx, "custody: an event of the server is not recorded", "type", e.Type, "err", err)
	}
}

// tell is note, where nothing goes on unless it is recorded.
func (s *Server) tell(ctx context.Context, e event.Event) error {
	e.Source = "server"
	t, err := s.trails.Get(trails.System)
	if err == nil {
		_, err = t.Record(context.WithoutCancel(asSender(ctx)), e)
	}
	return err
}

// asSender returns a context under which events are recorded as sent by whoever sends
// the request.
func asSender(ctx context.Context) context.Context { return custody.WithPrincipal(ctx, sender(ctx)) }

// sender names who sends the request.
func sender(ctx context.Context) string {
	if p := auth.From(ctx); p != nil {
		return p.Name
	}
	return ""
}
