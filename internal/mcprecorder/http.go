package mcprecorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/mcp"
)

// maxSessions bounds the sessions that are told apart.
const maxSessions = 10_000

const headerSession = "Mcp-Session-Id"

// Proxy is a reverse proxy in front of a server that speaks streamable HTTP. It stands
// for the whole origin of the server, so that what lies beside the server, such as the
// metadata of its authorization, is found as well; / is the server itself.
//
// It is an http.Handler. Headers are forwarded as they are, but for those of one hop
// (RFC 9110, section 7.6.1) and for codings of Accept-Encoding that it does not read.
type Proxy struct {
	r        *Recorder
	upstream *url.URL
	origins  []string // that pages may be of, beside loopback
	proxy    *httputil.ReverseProxy

	failed atomic.Bool // the server could not be reached last

	mu       sync.Mutex
	sessions map[string]*mcp.Conn // guarded by mu
}

// NewProxy returns a proxy in front of a server. origins are those of pages in a browser
// that may use it; those of the machine itself may anyway.
func NewProxy(r *Recorder, upstream *url.URL, origins []string) *Proxy {
	p := &Proxy{r: r, upstream: upstream, origins: origins, sessions: map[string]*mcp.Conn{}}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true // the client's headers say what it reads
	t.MaxIdleConnsPerHost = 64
	p.proxy = &httputil.ReverseProxy{
		Rewrite: p.rewrite, ModifyResponse: p.response, ErrorHandler: p.unreachable, Transport: t, FlushInterval: -1,
		ErrorLog: log.New(&logWriter{r.log}, "", 0),
	}
	return p
}

// Close records the end of all sessions.
func (p *Proxy) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.sessions {
		p.r.queue.put(c.Close("the recorder ended"))
	}
	clear(p.sessions)
}

// exchange is one request and its answer.
type exchange struct {
	conn *mcp.Conn
	m    *mcp.Message // nil: the request has none
	key  string       // session that the request names
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin != "" && !p.allows(origin) {
		p.r.log.Warn("custody: a request of a page of another origin is refused", "origin", origin)
		http.Error(w, "custody: pages of this origin may not use this server; --allow-origin names some that may", http.StatusForbidden)
		return
	}
	x := &exchange{key: r.Header.Get(headerSession)}
	itself := r.URL.Path == "/" || r.URL.Path == p.upstream.Path
	if r.Method == http.MethodPost {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxMessage))
		if err != nil {
			p.unread(w, err)
			return
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		m := mcp.Parse(recordOf(text))
		if coding := r.Header.Get("Content-Encoding"); itself && coding != "" && coding != "identity" {
			http.Error(w, "custody: a message is recorded, and so has to come as it is, without Content-Encoding", http.StatusUnsupportedMediaType)
			return
		}
		if itself || m.Err() == nil { // under whichever path a server may listen as well
			x.m, x.conn = m, p.conn(x.key)
			if reason := p.r.admit(r.Context(), x.conn, m); reason != "" {
				w.Header().Set("Content-Type", "application/json")
				w.Write(m.Refuse(reason))
				return
			}
		}
	} else if itself {
		x.conn = p.conn(x.key)
	}
	p.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
}

// unread answers a request whose body could not be read.
func (p *Proxy) unread(w http.ResponseWriter, err error) {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		http.Error(w, fmt.Sprintf("custody: a message may have %d bytes", long.Limit), http.StatusRequestEntityTooLarge)
		return
	}
	http.Error(w, "custody: the request could not be read", http.StatusBadRequest)
}

// allows reports whether pages of an origin may use the server. Those of other origins
// may not, so that a page that somebody happens to look at cannot (DNS rebinding).
func (p *Proxy) allows(origin string) bool {
	if slices.Contains(p.origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && IsLoopback(u.Hostname())
}

// IsLoopback reports whether a host is the machine itself.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// conn returns the connection of a session; without one, a new one.
func (p *Proxy) conn(session string) *mcp.Conn {
	if session == "" {
		return p.r.server.Exchange()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.sessions[session]
	if c == nil {
		c = p.r.server.Connect()
		p.add(session, c)
	}
	return c
}

// add keeps a session. The caller holds mu.
func (p *Proxy) add(session string, c *mcp.Conn) {
	for other, c := range p.sessions {
		if len(p.sessions) < maxSessions {
			break
		}
		delete(p.sessions, other)
		p.r.queue.put(c.Close("there are too many sessions"))
	}
	c.SetSession(session)
	p.sessions[session] = c
}

// end records the end of a session.
func (p *Proxy) end(session, why string) {
	p.mu.Lock()
	c := p.sessions[session]
	delete(p.sessions, session)
	p.mu.Unlock()
	if c != nil {
		p.r.queue.put(c.Close(why))
	}
}

// rewrite makes the request to the server.
func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	path := r.In.URL.Path
	r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = p.upstream.Scheme, p.upstream.Host, ""
	if path == "/" {
		r.Out.URL.Path, r.Out.URL.RawPath = p.upstream.Path, p.upstream.RawPath
	}
	if r.Out.URL.RawQuery == "" && (path == "/" || path == p.upstream.Path) {
		r.Out.URL.RawQuery = p.upstream.RawQuery
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
	if x := exchangeOf(r.In.Context()); x.conn != nil {
		acceptReadable(r.Out.Header)
	}
}

// response has the answer of the server recorded as it goes by.
func (p *Proxy) response(resp *http.Response) error {
	p.failed.Store(false)
	x := exchangeOf(resp.Request.Context())
	if x.conn == nil {
		return nil
	}
	session := resp.Header.Get(headerSession)
	switch {
	case x.m != nil && x.key == "" && session != "" && resp.StatusCode < 300:
		p.mu.Lock()
		p.add(session, x.conn)
		p.mu.Unlock()
	case resp.Request.Method == http.MethodDelete && resp.StatusCode < 300:
		p.end(x.key, "the client ended the session")
	case resp.StatusCode == http.StatusNotFound && x.key != "":
		p.end(x.key, "the server does not know the session any more")
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	take := func(rec ingest.Record) { p.r.queue.put(x.conn.FromServer(mcp.Parse(rec))) }
	coding, length := resp.Header.Get("Content-Encoding"), resp.ContentLength
	if coding != "" {
		length = 0 // that of what is not decoded
	}
	var copied copyReader
	switch {
	case media == "text/event-stream":
		copied = newEventSplitter(take)
	case media == "application/json" && resp.Request.Method == http.MethodPost:
		copied = &bodyCollector{collector{limit: MaxMessage}, length, take}
	default:
		copied = discard{}
	}
	resp.Body = &tee{ReadCloser: resp.Body, to: decode(coding, copied), ended: func(err error) {
		p.answered(x, resp, media, err)
	}}
	return nil
}

// answered records what became of the calls of a request that no answer came for, once
// nothing more comes. A session may bring an answer later, on another stream.
func (p *Proxy) answered(x *exchange, resp *http.Response, media string, err error) {
	if x.m == nil {
		return
	}
	resumable := media == "text/event-stream" && resp.Header.Get(headerSession)+x.key != ""
	switch {
	case resp.StatusCode >= 400:
		p.r.queue.put(x.conn.Lost(x.m, "the server answered with HTTP status "+resp.Status))
	case resp.Request.Context().Err() != nil:
		p.r.queue.put(x.conn.Abandoned(x.m))
	case resumable:
	case err != nil:
		p.r.queue.put(x.conn.Lost(x.m, "the answer broke off: "+err.Error()))
	default:
		p.r.queue.put(x.conn.Lost(x.m, "the answer ended, and had none to the call"))
	}
}

// unreachable answers a request that the server could not be asked.
func (p *Proxy) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	why := "the server cannot be reached: " + err.Error()
	switch {
	case x.m == nil:
	case r.Context().Err() != nil:
		p.r.queue.put(x.conn.Abandoned(x.m))
	default:
		p.r.queue.put(x.conn.Lost(x.m, why))
	}
	if r.Context().Err() == nil && !p.failed.Swap(true) {
		p.r.queue.put(one(p.r.server.Failed(why)))
		p.r.log.Warn("custody: "+why, "upstream", p.upstream.Redacted())
	}
	if x.m != nil {
		if answer := x.m.Refuse("custody: " + why); answer != nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadGateway)
			w.Write(answer)
			return
		}
	}
	http.Error(w, "custody: "+why, http.StatusBadGateway)
}

// logWriter takes what the proxy has to say.
type logWriter struct{ log *slog.Logger }

func (l *logWriter) Write(b []byte) (int, error) {
	l.log.Warn("custody: " + strings.TrimSpace(string(b)))
	return len(b), nil
}
