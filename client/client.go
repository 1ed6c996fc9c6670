package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/redaction"
)

// Options says how a server is talked to. The zero value, and nil, are for a server
// that asks for no token.
type Options struct {
	// Token is the API token that requests are made with. It is sent to this server
	// only, unless HTTP follows redirects; over plain HTTP everybody on the way can
	// read it.
	Token string

	// TLS says whom to believe that they are the server, and may have a client
	// certificate. nil: the certificates that the system trusts.
	TLS *tls.Config

	// HTTP sends the requests, and then TLS has to be nil and the address none of a
	// Unix socket. Its Timeout should be zero: bundles and subscriptions take as long
	// as they do. nil: a client of its own.
	HTTP *http.Client

	// RetryFor is for how long what is not answered, or not now, is tried again.
	// Default: 30 s; negative: not at all.
	RetryFor time.Duration

	// Keys are the verifier keys (vkey) that the trail's checkpoints may be signed
	// with, from a place that the server cannot change: every checkpoint has to be
	// signed with one of them. After a change of key the new one has to be added.
	// None: signatures are not checked.
	Keys []string

	// Mode says whether the server is to refuse an event that breaks the rules of its
	// type (event.Strict), or to store it with its defects. Default: event.Lenient.
	Mode event.Mode

	// Redactor is applied to events before they leave this program. The server
	// applies its own all the same. nil: none.
	Redactor redaction.Redactor

	// ProveReceipts gives every receipt a proof, which is checked here. It takes a
	// request more for each event, and a token that may prove and read payloads.
	ProveReceipts bool

	// Logger gets what goes wrong where no caller waits for an error, such as that
	// something has to be tried again. Default: slog.Default().
	Logger *slog.Logger
}

// Server is a server of trails.
type Server struct {
	conn *conn
	addr address
	opts Options
	keys []note.Verifier
}

// NewServer returns the server at an address, without asking it for anything. The
// address is an URL, such as https://custody.example.org:8420, or unix: and the path
// of a socket; it may go on to a trail, as that of [Open]. opts may be nil.
func NewServer(addr string, opts *Options) (*Server, error) {
	a, err := parseAddress(addr)
	if err != nil {
		return nil, err
	}
	s := &Server{addr: a}
	if opts != nil {
		s.opts = *opts
	}
	for _, vkey := range s.opts.Keys {
		key, err := evidence.ParseVerifier(vkey)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, key)
	}
	c := &conn{base: a.base, http: s.opts.HTTP, token: s.opts.Token, retryFor: s.opts.RetryFor, batch: maxBatch, silence: silence, log: s.opts.Logger}
	if c.http == nil {
		c.http = newHTTP(a.socket, s.opts.TLS)
	} else if s.opts.TLS != nil || a.socket != "" {
		return nil, fmt.Errorf("%s: give either Options.HTTP, or TLS or a socket: an http.Client has its own ways", addr)
	}
	if c.retryFor == 0 {
		c.retryFor = 30 * time.Second
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	if strings.ContainsAny(c.token, "\r\n") {
		return nil, fmt.Errorf("the token has more than one line")
	}
	s.conn = c
	return s, nil
}

// newHTTP returns what sends requests. It follows no redirects: the token, and what is
// recorded, go to the server that was named.
func newHTTP(socket string, config *tls.Config) *http.Client {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if standard, ok := http.DefaultTransport.(*http.Transport); ok { // programs may put something else in its place
		t = standard.Clone()
	}
	t.TLSClientConfig = config
	t.MaxIdleConnsPerHost = 64
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	t.DialContext = dialer.DialContext
	if socket != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// TrailName returns the name of the trail that the server's address had; of one that
// had none, [DefaultTrail].
func (s *Server) TrailName() string { return s.addr.trail }

// Close ends idle connections. What is under way is not affected.
func (s *Server) Close() error {
	s.conn.http.CloseIdleConnections()
	return nil
}

// TrailInfo is a trail of a server.
type TrailInfo struct {
	Name     string `json:"name"`
	Origin   string `json:"origin"`
	Key      string `json:"vkey"` // verifier key that the trail began with, as the server says
	Size     uint64 `json:"size"` // number of entries; 0 to a token that may neither read nor record
	Writable bool   `json:"writable"`
	Problem  string `json:"problem"` // why it is not writable
}

// Trails returns the trails that the token may do anything with.
func (s *Server) Trails(ctx context.Context) ([]TrailInfo, error) {
	var answer struct {
		Trails []TrailInfo `json:"trails"`
	}
	err := s.conn.json(ctx, request{method: http.MethodGet, path: []string{"v1", "trails"}}, &answer)
	return answer.Trails, err
}

// CreateTrail makes a new trail, with a key of its own that stays on the server. It
// fails with fs.ErrExist when there is one of that name.
func (s *Server) CreateTrail(ctx context.Context, name string) (TrailInfo, error) {
	var info TrailInfo
	err := s.conn.json(ctx, request{method: http.MethodPost, path: []string{"v1", "trails"}, body: map[string]string{"name": name}, once: true}, &info)
	return info, err
}

// Trail is a trail on a server. [Open] returns one.
type Trail struct {
	custody.Recorder

	server   *Server
	conn     *conn
	info     TrailInfo
	size     atomic.Uint64
	withheld atomic.Bool
}

// Open finds a trail on the server. It fails with custody.ErrNotFound when the server
// has none of that name, or none that the token may do anything with.
func (s *Server) Open(ctx context.Context, name string) (*Trail, error) {
	all, err := s.Trails(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(t TrailInfo) bool { return t.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("trail %q: %w among the %d trails of %s that this token may use", name, custody.ErrNotFound, len(all), s.conn.base.Redacted())
	}
	t := &Trail{server: s, conn: s.conn, info: all[i]}
	t.Recorder = custody.NewRecorder(t.Record)
	t.size.Store(t.info.Size)
	return t, nil
}

// Open opens the trail at an address: https://HOST:PORT/trails/NAME, or
// unix:/PATH/TO/SOCKET/trails/NAME. Without a name it is the trail "default". It asks
// the server what the trail is, so an address or a token that is wrong is found out
// now. opts may be nil.
func Open(ctx context.Context, addr string, opts *Options) (*Trail, error) {
	s, err := NewServer(addr, opts)
	if err != nil {
		return nil, err
	}
	return s.Open(ctx, s.TrailName())
}

// Server returns the server that the trail is on.
func (t *Trail) Server() *Server { return t.server }

// Name returns the trail's name on the server.
func (t *Trail) Name() string { return t.info.Name }

// Address returns the trail's address as [Open] takes it.
func (t *Trail) Address() string {
	a := t.server.addr
	a.trail = t.info.Name
	return a.String()
}

// Origin returns the trail's name in checkpoints.
func (t *Trail) Origin() string { return t.info.Origin }

// FirstKey returns the verifier key that the trail began with, as the server says.
func (t *Trail) FirstKey() string { return t.info.Key }

// Size returns the number of entries, as the server told it last: there may be more.
// To a token that may neither read nor record it does not tell it.
func (t *Trail) Size() uint64 { return t.size.Load() }

// sized takes in a size that the server tells.
func (t *Trail) sized(size uint64) {
	for {
		have := t.size.Load()
		if size <= have || t.size.CompareAndSwap(have, size) {
			return
		}
	}
}

// Withheld reports whether the server has kept back a payload so far, since the token
// may not read it. To readers that looks as if the payload were not held any more.
func (t *Trail) Withheld() bool { return t.withheld.Load() }

// Flush is there for programs that work with either kind of trail: every event that
// was recorded is on the disk, so nothing waits.
func (t *Trail) Flush(context.Context) (int, error) { return 0, nil }

// Close ends idle connections to the server. What is under way is not affected.
func (t *Trail) Close() error { return t.server.Close() }

// path returns the path of something of the trail.
func (t *Trail) path(parts ...string) []string {
	return append([]string{"v1", "trails", t.info.Name}, parts...)
}

// get asks for something of the trail.
func (t *Trail) get(ctx context.Context, v any, parts ...string) error {
	return t.conn.json(ctx, request{method: http.MethodGet, path: t.path(parts...)}, v)
}
