package client

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/dualcontrol"
	"github.com/custodylog/custody/internal/server"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// site is a server that listens, with two tokens: of somebody who may do everything,
// and of a reader who may not read payloads.
type site struct {
	t             *testing.T
	dir           string
	addr          string // once it has been started
	limits        server.Limits
	second        bool // removals take a second person
	token, reader string

	set  *trails.Set
	api  *server.Server
	http *httptest.Server

	// wrap, if not nil, stands before the server.
	wrap func(http.Handler) http.Handler
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), addr: "127.0.0.1:0", limits: server.Limits{Heartbeat: time.Hour}}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *site) start() {
	s.t.Helper()
	var err error
	s.set, err = trails.Open(trails.Config{Dir: s.dir, Origin: "example.org", Options: custody.Options{Logger: quiet, DiskWarning: -1}})
	must(s.t, err)
	tokens, err := auth.OpenTokens(vfs.OS{}, filepath.Join(s.dir, auth.TokensFile))
	must(s.t, err)
	if s.token == "" {
		s.token, _, err = tokens.Create(auth.TokenSpec{CreatedBy: "operator", Name: "everybody", Roles: auth.Roles})
		must(s.t, err)
		s.reader, _, err = tokens.Create(auth.TokenSpec{CreatedBy: "operator", Name: "reader", Roles: []auth.Role{"reader"}})
		must(s.t, err)
	}
	cfg := server.Config{Trails: s.set, Authenticators: []auth.Authenticator{tokens}, Tokens: tokens, Limits: s.limits, Logger: quiet}
	if s.second {
		cfg.Requests, err = dualcontrol.Open(vfs.OS{}, filepath.Join(s.dir, dualcontrol.FileName), dualcontrol.Rules{Expires: time.Hour})
		must(s.t, err)
	}
	s.api, err = server.New(cfg)
	must(s.t, err)
	s.api.CarryOut()
	l, err := net.Listen("tcp", s.addr)
	must(s.t, err)
	s.addr = l.Addr().String()
	handler := s.api.Handler()
	if s.wrap != nil {
		handler = s.wrap(handler)
	}
	s.http = &httptest.Server{Listener: l, Config: &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(quiet.Handler(), slog.LevelError)}}
	s.http.Start()
}

// stop ends the server as if it were killed: whatever is under way breaks off.
func (s *site) stop() {
	if s.api == nil {
		return
	}
	s.http.CloseClientConnections()
	s.api.Stop()
	s.http.Close()
	must(s.t, s.set.Close())
	s.api = nil
}

// restart puts another handler before the server.
func (s *site) restart(wrap func(http.Handler) http.Handler) {
	s.t.Helper()
	s.stop()
	s.wrap = wrap
	s.start()
}

func (s *site) open(opts *Options) *Trail {
	s.t.Helper()
	if opts == nil {
		opts = &Options{}
	}
	if opts.Token == "" {
		opts.Token = s.token
	}
	opts.Logger = quiet
	t, err := Open(s.t.Context(), "http://"+s.addr, opts)
	must(s.t, err)
	s.t.Cleanup(func() { t.Close() })
	return t
}

// trail returns the trail as the library has it.
func (s *site) trail() *custody.Trail {
	s.t.Helper()
	t, err := s.set.Get(trails.Default)
	must(s.t, err)
	return t.Trail
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// turn is an event.
func turn(id, session string) event.Event {
	return event.Event{Type: event.TurnEnded, ID: id, SessionID: session}
}

// refuseFirst answers the first n requests for which match holds with a status.
func refuseFirst(n int64, match func(*http.Request) bool, answer func(http.ResponseWriter)) (wrap func(http.Handler) http.Handler, asked *atomic.Int64) {
	asked = new(atomic.Int64)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if match(r) && asked.Add(1) <= n {
				answer(w)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, asked
}

func isPost(r *http.Request) bool { return r.Method == http.MethodPost }

// problem answers with a problem.
func problem(status int, code, again string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/problem+json")
		if again != "" {
			w.Header().Set("Retry-After", again)
		}
		w.WriteHeader(status)
		io.WriteString(w, `{"title": "t", "status": 503, "code": "`+code+`", "detail": "d"}`)
	}
}

// collect returns what a list yields.
func collect(t *testing.T, list func(func(custody.Entry, error) bool)) (all []custody.Entry) {
	t.Helper()
	for e, err := range list {
		must(t, err)
		all = append(all, e)
	}
	return all
}
