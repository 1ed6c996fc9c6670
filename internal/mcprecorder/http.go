package mcprecorder

import (
	"bytes"
	"cmp"
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
	"path"
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
// (RFC 9110, section 7.6.1), for codings of Accept-Encoding that it does not read, and for
// a Location at the server.
type Proxy struct {
	r        *Recorder
	upstream *url.URL
	origins  []string // that pages may be of, beside loopback
	proxy    *httputil.ReverseProxy

	failed atomic.Bool // the server could not be reached last

	mu       sync.Mutex
	closed   bool           // guarded by mu, and so are the others
	running  sync.WaitGroup // requests; none is added when it is closed
	sessions map[string]*mcp.Conn
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

// Close waits for the requests that are under way, and records the end of all sessions.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.running.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.sessions {
		p.r.queue.put(c.Close(ErrEnded.Error()))
	}
	clear(p.sessions)
}

// exchange is one request and its answer.
type exchange struct {
	conn *mcp.Conn
	m    *mcp.Message // nil: the request has none
	key  string       // session that the request names
	none string       // why nothing is read of the answer; empty: it is
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.begin() {
		http.Error(w, "custody: "+ErrEnded.Error(), http.StatusServiceUnavailable)
		return
	}
	defer p.running.Done()
	if origin := r.Header.Get("Origin"); origin != "" && !p.allows(origin) {
		p.r.log.Warn("custody: a request of a page of another origin is refused", "origin", origin)
		http.Error(w, "custody: pages of this origin may not use this server; --allow-origin names some that may", http.StatusForbidden)
		return
	}
	x := &exchange{key: r.Header.Get(headerSession)}
	itself := p.isServer(r.URL.Path)
	if r.ContentLength != 0 && !p.admit(w, r, x, itself) {
		return
	}
	if itself && x.conn == nil {
		x.conn = p.conn(x.key)
	}
	p.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
}

// begin counts a request in, unless the proxy is closed.
func (p *Proxy) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.running.Add(1)
	}
	return !p.closed
}

// isServer reports whether a path is that of the server itself, as generously as servers
// read paths.
func (p *Proxy) isServer(name string) bool {
	return name == "/" || strings.EqualFold(path.Clean(name), path.Clean(p.upstream.Path))
}

// admit reads the body of a request, and reports whether it is to be forwarded; if not, it
// has answered.
func (p *Proxy) admit(w http.ResponseWriter, r *http.Request, x *exchange, itself bool) bool {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		http.Error(w, "custody: a message is recorded, and so has to come as it is, without Content-Encoding", http.StatusUnsupportedMediaType)
		return false
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxMessage))
	if long, ok := errors.AsType[*http.MaxBytesError](err); ok {
		why := fmt.Sprintf("a message may have %d bytes", long.Limit)
		if itself {
			m, c := mcp.Parse((&piece{text, first}).record()), p.conn(x.key)
			p.r.queue.put(c.FromClient(m))
			p.r.queue.put(c.Refused(m, why, map[string]any{"policy_id": "too_long"}))
		}
		http.Error(w, "custody: "+why, http.StatusRequestEntityTooLarge)
		return false
	} else if err != nil {
		http.Error(w, "custody: the request could not be read", http.StatusBadRequest)
		return false
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	// The server may listen under other paths as well, but what is there may be something
	// else: a form, or an object of another kind.
	m := mcp.Parse(recordOf(text))
	if len(text) == 0 || !itself && m.Err() != nil && (m.Foreign() || !mayBeJSON(r.Header, text)) {
		return true
	}
	x.m, x.conn = m, p.conn(x.key)
	reason := p.r.admit(r.Context(), x.conn, m)
	if reason == "" {
		return true
	}
	answer := m.Refuse(reason)
	if answer == nil {
		http.Error(w, reason, http.StatusForbidden)
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(answer)
	return false
}

// mayBeJSON reports whether a body begins as an object or an array does, or its headers
// say that it is JSON, or do not say what it is. Not every server looks at the headers.
func mayBeJSON(h http.Header, text []byte) bool {
	const space = " \t\r\n\x00\xef\xbb\xbf\xfe\xff" // and what UTF-16 and byte order marks add
	i := slices.IndexFunc(text, func(b byte) bool { return strings.IndexByte(space, b) < 0 })
	if i >= 0 && (text[i] == '{' || text[i] == '[') {
		return true
	}
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err != nil || strings.Contains(media, "json")
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
	if other := p.sessions[session]; other != nil {
		p.r.queue.put(other.Close("another session has its id"))
	}
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
	itself := r.In.URL.Path == "/"
	r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = p.upstream.Scheme, p.upstream.Host, ""
	if itself {
		r.Out.URL.Path, r.Out.URL.RawPath = p.upstream.Path, p.upstream.RawPath
	}
	r.Out.URL.RawQuery = r.In.URL.RawQuery // with what does not parse
	if r.Out.URL.RawQuery == "" && (itself || r.In.URL.Path == p.upstream.Path) {
		r.Out.URL.RawQuery = p.upstream.RawQuery
	}
	r.Out.Header.Del("Connection") // another protocol would go by unread
	r.Out.Header.Del("Upgrade")
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
	if x := exchangeOf(r.In.Context()); x.conn != nil {
		acceptReadable(r.Out.Header)
	}
}

// response has the answer of the server recorded as it goes by. An error keeps it from the
// client.
func (p *Proxy) response(resp *http.Response) error {
	x := exchangeOf(resp.Request.Context())
	if err := p.redirect(resp, x); err != nil {
		return err
	}
	p.failed.Store(false)
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
	}
	// As clients read it, which is not strictly.
	media := strings.ToLower(resp.Header.Get("Content-Type"))
	stream := strings.Contains(media, "text/event-stream")
	take := func(rec ingest.Record) { p.r.queue.put(x.conn.FromServer(mcp.Parse(rec))) }
	coding, length := resp.Header.Get("Content-Encoding"), resp.ContentLength
	if coding != "" {
		length = 0 // that of what is not decoded
	}
	var copied copyReader
	switch {
	case stream:
		copied = newEventSplitter(take)
	case strings.Contains(media, "application/json") && x.m != nil:
		copied = &bodyCollector{collector{limit: MaxMessage}, length, take}
	default:
		copied = discard{}
	}
	if copied = decode(coding, copied); copied == nil {
		copied = discard{}
		x.none = fmt.Sprintf("the answer has a coding that is not read, %.40q", coding)
	}
	resp.Body = &tee{ReadCloser: resp.Body, to: copied, ended: func(err error) {
		p.answered(x, resp, stream, err)
		if resp.StatusCode == http.StatusNotFound && x.key != "" {
			p.end(x.key, "the server does not know the session any more")
		}
	}}
	return nil
}

// redirect has a client that is sent to another address of the server come there by the
// recorder. One that is sent elsewhere with a message would go on unseen, which is an error.
func (p *Proxy) redirect(resp *http.Response, x *exchange) error {
	to, err := resp.Location()
	switch {
	case resp.StatusCode < 300 || resp.StatusCode > 399 || errors.Is(err, http.ErrNoLocation):
		return nil
	// Of //host/path, without the scheme and the host before it, host is another host.
	case err == nil && to.Scheme == p.upstream.Scheme && to.Host == p.upstream.Host && !strings.HasPrefix(to.EscapedPath(), "//"):
		to.Scheme, to.User, to.Host = "", nil, ""
		resp.Header.Set("Location", to.String())
		return nil
	case x.m == nil:
		return nil
	}
	return fmt.Errorf("it sends calls to another address, where they would not be recorded: %.200q", resp.Header.Get("Location"))
}

// answered records what became of the calls of a request that no answer came for, once
// nothing more comes. A session may bring an answer later, on another stream.
func (p *Proxy) answered(x *exchange, resp *http.Response, stream bool, err error) {
	if x.m == nil {
		return
	}
	resumable := stream && resp.Header.Get(headerSession)+x.key != ""
	switch {
	case resp.StatusCode >= 300:
		p.r.queue.put(x.conn.Lost(x.m, "the server answered with HTTP status "+resp.Status))
	case resp.Request.Context().Err() != nil:
		p.left(x, resp.Request.Context())
	case resumable:
	case err != nil:
		p.r.queue.put(x.conn.Lost(x.m, "the answer broke off: "+err.Error()))
	default:
		p.r.queue.put(x.conn.Lost(x.m, cmp.Or(x.none, "the answer ended, and had none to the call")))
	}
}

// ErrEnded is the cause that ends the contexts of requests with which the recorder does
// not go on. Without a cause it is the client that does not.
var ErrEnded = errors.New("the recorder ended")

// left records what became of the calls of a request whose context has ended.
func (p *Proxy) left(x *exchange, ctx context.Context) {
	if errors.Is(context.Cause(ctx), ErrEnded) {
		p.r.queue.put(x.conn.Lost(x.m, ErrEnded.Error()))
		return
	}
	p.r.queue.put(x.conn.Abandoned(x.m))
}

// unreachable answers a request that the server could not be asked.
func (p *Proxy) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	why := "the server cannot be reached: " + err.Error()
	switch {
	case x.m == nil:
	case r.Context().Err() != nil:
		p.left(x, r.Context())
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
