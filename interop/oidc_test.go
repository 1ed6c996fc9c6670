package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

const (
	outside      = "https://custody.example.com" // what browsers call the server
	clientID     = "custody"
	clientSecret = "the secret of the client"
	password     = "the password of everybody"
)

// fault is what a provider does wrong.
type fault string

const (
	otherNonce    fault = "nonce"
	otherAudience fault = "audience"
	expired       fault = "expired"
	otherKey      fault = "key"
)

// provider is an OpenID provider: that of zitadel/oidc, with the storage of its
// example, which has faults and groups beside.
type provider struct {
	*storage.Storage
	url string

	mu    sync.Mutex
	fault fault // guarded by mu
}

func (p *provider) has(f fault) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault == f
}

func (p *provider) set(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

func (p *provider) CreateAuthRequest(ctx context.Context, r *oidc.AuthRequest, user string) (op.AuthRequest, error) {
	if r.CodeChallenge == "" || r.CodeChallengeMethod != oidc.CodeChallengeMethodS256 || r.Nonce == "" || r.State == "" {
		return nil, fmt.Errorf("it asks without PKCE, a nonce or a state: %+v", r)
	}
	if p.has(otherNonce) {
		r.Nonce = "of somebody else"
	}
	return p.Storage.CreateAuthRequest(ctx, r, user)
}

func (p *provider) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	r, err := p.Storage.AuthRequestByCode(ctx, code)
	if err == nil && p.has(otherAudience) {
		r = &forOthers{AuthRequest: r}
	}
	return r, err
}

// forOthers becomes a request of another client once the code was checked.
type forOthers struct {
	op.AuthRequest
	checked bool
}

func (r *forOthers) GetClientID() string {
	if r.checked {
		return "another client"
	}
	return r.AuthRequest.GetClientID()
}

func (r *forOthers) GetAudience() []string { return []string{r.GetClientID()} }

func (p *provider) CreateAccessToken(ctx context.Context, r op.TokenRequest) (string, time.Time, error) {
	if r, ok := r.(*forOthers); ok {
		r.checked = true
	}
	return p.Storage.CreateAccessToken(ctx, r)
}

func (p *provider) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := p.Storage.GetClientByClientID(ctx, id)
	if err == nil && p.has(expired) {
		c = shortLived{c}
	}
	return c, err
}

type shortLived struct{ op.Client }

func (shortLived) IDTokenLifetime() time.Duration { return -time.Minute }

func (p *provider) SigningKey(ctx context.Context) (op.SigningKey, error) {
	if p.has(otherKey) {
		return storage.NewStorage(storage.NewUserStore(p.url)).SigningKey(ctx)
	}
	return p.Storage.SigningKey(ctx)
}

func (p *provider) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	err := p.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin)
	if subject == "id-erin" {
		info.AppendClaims("groups", []string{"everybody", "auditors"})
	}
	return err
}

// newProvider starts a provider that knows some people.
func newProvider(t *testing.T) *provider {
	t.Helper()
	users := map[string]*storage.User{}
	for name, verified := range map[string]bool{"alice": true, "bob": true, "mallory": false, "erin": false} {
		users["id-"+name] = &storage.User{ID: "id-" + name, Username: name, Password: password, Email: name + "@example.com", EmailVerified: verified}
	}
	b, err := json.Marshal(users)
	must(t, err)
	file := filepath.Join(t.TempDir(), "users.json")
	must(t, os.WriteFile(file, b, 0o600))
	store := get(storage.StoreFromFile(file))(t)
	p := &provider{Storage: storage.NewStorageWithClients(store, map[string]*storage.Client{clientID: storage.WebClient(clientID, clientSecret, outside+"/login/callback")})}
	h := httptest.NewUnstartedServer(nil)
	p.url = "http://" + h.Listener.Addr().String()
	h.Config.Handler = exampleop.SetupServer(p.url, p, slog.New(slog.DiscardHandler), false)
	h.Start()
	t.Cleanup(h.Close)
	return p
}

// served is custody serve, to which people log in by a provider.
type served struct {
	t      *testing.T
	data   string
	url    string // where it listens
	cmd    *exec.Cmd
	stderr strings.Builder
}

func serve(t *testing.T, issuer, secret string) *served {
	t.Helper()
	dir := t.TempDir()
	s := &served{t: t, data: filepath.Join(dir, "data")}
	must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte(secret+"\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "custody.yaml"), fmt.Appendf(nil, `
version: 1
data: %s
listen: 127.0.0.1:0
origin: example.org
unprotected: {behind_proxy: true}
external_url: %s
oidc:
  issuer: %s
  client_id: %s
  client_secret_file: %s
  rules:
    - {match: "email:alice@example.com", roles: [auditor], trails: [default]}
    - {match: "email:mallory@example.com", roles: [admin]}
    - {match: "group:auditors", roles: [reader]}
`, s.data, outside, issuer, clientID, filepath.Join(dir, "secret")), 0o600))
	s.cmd = exec.Command(filepath.Join(filepath.Dir(fsckProgram), "custody"), "serve", "--config", filepath.Join(dir, "custody.yaml"))
	s.cmd.Stderr = &s.stderr
	out := get(s.cmd.StdoutPipe())(t)
	must(t, s.cmd.Start())
	t.Cleanup(func() { s.cmd.Process.Kill() }) // if it has not ended
	for lines := bufio.NewScanner(out); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "  ")
		if name == "listening" {
			s.url = strings.TrimSpace(value)
		}
		if name == "description" {
			return s
		}
	}
	t.Fatalf("it does not start: %s", s.stderr.String())
	return nil
}

// stop ends the server, and returns the details of the events of its trail system of
// some type, and what is in its log.
func (s *served) stop() (func(event.Type) []map[string]any, string) {
	s.t.Helper()
	must(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	must(s.t, s.cmd.Wait())
	return func(typ event.Type) (all []map[string]any) {
		trail, err := custody.Open(filepath.Join(s.data, "trails", "system"), &custody.Options{ReadOnly: true})
		must(s.t, err)
		defer trail.Close()
		for e, err := range trail.Entries(s.t.Context(), custody.Query{Types: []event.Type{typ}}) {
			must(s.t, err)
			var payload struct{ Details map[string]any }
			must(s.t, json.Unmarshal(e.Payload, &payload))
			all = append(all, payload.Details)
		}
		return all
	}, s.stderr.String()
}

// browser is somebody's, who gets to the server through a proxy with TLS.
type browser struct {
	t      *testing.T
	client *http.Client
}

func (s *served) browser() *browser {
	jar := get(cookiejar.New(nil))(s.t)
	inside := get(url.Parse(s.url))(s.t)
	return &browser{s.t, &http.Client{Jar: jar, Transport: proxied{inside.Host},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// proxied takes what is for the server to where it listens.
type proxied struct{ host string }

func (p proxied) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.URL.Scheme == "https" {
		r.Host, r.URL.Scheme, r.URL.Host = r.URL.Host, "http", p.host
	}
	return http.DefaultTransport.RoundTrip(r)
}

// ask sends a request, with a form if there is one. to is where it leads.
func (b *browser) ask(address string, form url.Values) (status int, to, body string) {
	b.t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	r := get(http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(form.Encode())))(b.t)
	r.Header.Set("Accept", "text/html")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp := get(b.client.Do(r))(b.t)
	defer resp.Body.Close()
	content := get(io.ReadAll(resp.Body))(b.t)
	if to = resp.Header.Get("Location"); to != "" {
		to = get(r.URL.Parse(to))(b.t).String()
	}
	return resp.StatusCode, to, string(content)
}

// leave goes to the provider, logs in there, and returns the address that leads back.
func (b *browser) leave(next, user string) string {
	b.t.Helper()
	status, to, body := b.ask(outside+"/login/oidc?"+url.Values{"next": {next}}.Encode(), nil)
	if status != http.StatusSeeOther {
		b.t.Fatalf("it does not lead to the provider: %d: %s", status, body)
	}
	_, to, body = b.ask(to, nil)
	form := get(url.Parse(to))(b.t)
	if !strings.HasSuffix(form.Path, "/login/username") {
		b.t.Fatalf("the provider has no form at %s: %s", to, body)
	}
	id := form.Query().Get("authRequestID")
	form.RawQuery = ""
	_, to, body = b.ask(form.String(), url.Values{"username": {user}, "password": {password}, "id": {id}})
	if to == "" {
		b.t.Fatalf("the provider does not know %s: %s", user, body)
	}
	status, to, body = b.ask(to, nil)
	if !strings.HasPrefix(to, outside+"/login/callback?") {
		b.t.Fatalf("the provider leads to %q: %d: %s", to, status, body)
	}
	return to
}

// cookies are what the browser has for the server.
func (b *browser) cookies() []*http.Cookie {
	return b.client.Jar.Cookies(get(url.Parse(outside))(b.t))
}

// with returns an address with a parameter changed.
func with(t *testing.T, address, name, value string) string {
	t.Helper()
	u := get(url.Parse(address))(t)
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// People log in to the page by a provider, and may do what the rules say.
func TestOIDCLogin(t *testing.T) {
	p := newProvider(t)
	s := serve(t, p.url, clientSecret)
	b := s.browser()
	status, to, _ := b.ask(outside+"/trails/default/events?agent_id=a1", nil)
	if status != http.StatusSeeOther || !strings.HasPrefix(to, outside+"/login?next=") {
		t.Fatalf("without a session: %d, %s", status, to)
	}
	_, _, body := b.ask(to, nil)
	if !strings.Contains(body, `href="/login/oidc?next=%2Ftrails%2Fdefault%2Fevents%3Fagent_id%3Da1"`) {
		t.Fatalf("the page does not lead to the provider:\n%s", body)
	}
	back := b.leave("/trails/default/events?agent_id=a1", "alice")
	status, to, body = b.ask(back, nil)
	if status != http.StatusSeeOther || to != outside+"/trails/default/events?agent_id=a1" {
		t.Fatalf("back from the provider: %d, %s: %s", status, to, body)
	}
	if have := b.cookies(); len(have) != 1 || have[0].Name != "__Host-custody" {
		t.Errorf("the browser has the cookies %v", have)
	}
	if status, _, body = b.ask(to, nil); status != http.StatusOK || !strings.Contains(body, "oidc:alice@example.com") {
		t.Errorf("the page: %d: %s", status, body)
	}
	if status, _, body = b.ask(outside+"/trails/system", nil); status != http.StatusForbidden {
		t.Errorf("a trail that the rule is not for: %d: %s", status, body)
	}
	if status, to, _ = b.ask(outside+"/logout", url.Values{}); status != http.StatusSeeOther || to != outside+"/login" {
		t.Errorf("logging out: %d, %s", status, to)
	}
	if status, to, _ = b.ask(outside+"/trails/default", nil); status != http.StatusSeeOther || !strings.HasPrefix(to, outside+"/login?") {
		t.Errorf("after logging out: %d, %s", status, to)
	}

	// A group stands for somebody whose address is not verified, who is then known by
	// the subject.
	erin := s.browser()
	if status, to, body = erin.ask(erin.leave("//attacker.example/", "erin"), nil); status != http.StatusSeeOther || to != outside+"/" {
		t.Errorf("by a group: %d, %s: %s", status, to, body)
	}
	if status, _, body = erin.ask(outside+"/trails/default", nil); status != http.StatusOK || !strings.Contains(body, "oidc:sub:id-erin") {
		t.Errorf("the page: %d: %s", status, body)
	}

	told, log := s.stop()
	if log != "" {
		t.Errorf("its log has %s", log)
	}
	in := told(event.LoggedIn)
	if len(in) != 2 {
		t.Fatalf("logged in: %v", in)
	}
	for i, want := range []map[string]any{
		{"by": "oidc:alice@example.com", "method": "oidc", "issuer": p.url, "subject": "id-alice"},
		{"by": "oidc:sub:id-erin", "method": "oidc", "issuer": p.url, "subject": "id-erin"},
	} {
		for name, value := range want {
			if in[i][name] != value {
				t.Errorf("%s is %v, want %v", name, in[i][name], value)
			}
		}
	}
	if denied := told(event.AccessDenied); len(denied) != 1 || denied[0]["by"] != "oidc:alice@example.com" || denied[0]["trail"] != "system" {
		t.Errorf("denied: %v", denied)
	}
}

// Whoever comes back from a provider otherwise than this server sent them there is not
// let in, nor who is not meant by any rule.
func TestOIDCRefuses(t *testing.T) {
	p := newProvider(t)
	s := serve(t, p.url, clientSecret)
	failures := 0
	for _, tt := range []struct {
		name, user string
		fault      fault
		back       func(b *browser, address string) string // what becomes of the address that leads back
		says       string
	}{
		{name: "another state", user: "alice", back: func(b *browser, a string) string { return with(b.t, a, "state", "x") }, says: "this browser did not ask for it"},
		{name: "no state", user: "alice", back: func(b *browser, a string) string { return with(b.t, a, "state", "") }, says: "this browser did not ask for it"},
		{name: "another browser", user: "alice", back: func(b *browser, a string) string {
			b.client.Jar = get(cookiejar.New(nil))(b.t)
			return a
		}, says: "this browser did not ask for it"},
		{name: "the cookie of another attempt", user: "alice", back: func(b *browser, a string) string {
			b.leave("/", "bob")
			return a
		}, says: "this browser did not ask for it"},
		{name: "a code that was used", user: "alice", back: func(b *browser, a string) string {
			kept := b.cookies()
			if status, _, body := b.ask(a, nil); status != http.StatusSeeOther {
				b.t.Errorf("the first time: %d: %s", status, body)
			}
			b.ask(outside+"/logout", url.Values{})
			b.client.Jar.SetCookies(get(url.Parse(outside))(b.t), restored(kept))
			return a
		}, says: "does not take the code"},
		{name: "another code", user: "alice", back: func(b *browser, a string) string { return with(b.t, a, "code", "x") }, says: "does not take the code"},
		{name: "a code for somebody else's attempt", user: "alice", back: func(b *browser, a string) string {
			other := s.browser()
			stolen := get(url.Parse(other.leave("/", "alice")))(b.t).Query().Get("code")
			return with(b.t, a, "code", stolen)
		}, says: "does not take the code"}, // by PKCE
		{name: "another provider", user: "alice", back: func(b *browser, a string) string { return with(b.t, a, "iss", "https://attacker.example") }, says: "from another provider"},
		{name: "the provider refuses", user: "alice", back: func(b *browser, a string) string {
			return with(b.t, with(b.t, a, "code", ""), "error", "access_denied")
		}, says: "did not let you in: &#34;access_denied&#34;"},
		{name: "another nonce", user: "alice", fault: otherNonce, says: "its nonce is another one"},
		{name: "another audience", user: "alice", fault: otherAudience, says: "expected audience"},
		{name: "expired", user: "alice", fault: expired, says: "is too old"},
		{name: "an address that is not verified", user: "mallory", says: "has not verified that the address"},
		{name: "whom no rule is for", user: "bob", says: "no rule of this server is for you: the provider knows you as bob@example.com"},
		{name: "another key", user: "alice", fault: otherKey, says: "failed to verify"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.set(tt.fault)
			defer p.set("")
			b := s.browser()
			b.t = t
			address := b.leave("/trails/default", tt.user)
			if tt.back != nil {
				address = tt.back(b, address)
			}
			failures++
			status, to, body := b.ask(address, nil)
			if status != http.StatusUnauthorized || !strings.Contains(strings.ToLower(body), strings.ToLower(tt.says)) {
				t.Errorf("%d, %s, want %q: %s", status, to, tt.says, body)
			}
			if have := b.cookies(); len(have) != 0 {
				t.Errorf("the browser has the cookies %v", have)
			}
			if status, to, _ := b.ask(outside+"/trails/default", nil); status != http.StatusSeeOther || !strings.HasPrefix(to, outside+"/login?") {
				t.Errorf("a page: %d, %s", status, to)
			}
		})
	}
	told, log := s.stop()
	if log != "" {
		t.Errorf("its log has %s", log)
	}
	// The first ten have an event each; of the rest, which are from the same address, it is
	// told how many they were.
	each, counted := 0, 0
	for _, f := range told(event.LoginFailed) {
		n, _ := f["count"].(float64)
		counted += int(n)
		switch f["what"] {
		case "GET /login/callback":
			each++
		case "requests that were too many to tell of each":
		default:
			t.Errorf("%v", f)
		}
	}
	if each < 10 || counted != failures {
		t.Errorf("%d failures have %d events of their own, and %d are counted", failures, each, counted)
	}
}

// restored are cookies as a server sets them.
func restored(kept []*http.Cookie) []*http.Cookie {
	for _, c := range kept {
		c.Path, c.Secure = "/", true
	}
	return kept
}

// What is wrong at the server or the provider is in the log, and is nobody's fault who
// wants to log in.
func TestOIDCOutOfOrder(t *testing.T) {
	const says = "It cannot be found out at the moment who you are"
	p := newProvider(t)
	s := serve(t, p.url, "another secret")
	b := s.browser()
	if status, _, body := b.ask(b.leave("/", "alice"), nil); status != http.StatusServiceUnavailable || !strings.Contains(body, says) {
		t.Errorf("with another secret: %d: %s", status, body)
	}
	told, log := s.stop()
	if !strings.Contains(log, "invalid_client") || strings.Contains(log, "another secret") || len(told(event.LoginFailed)) != 0 {
		t.Errorf("its log has %s", log)
	}

	s = serve(t, "http://127.0.0.1:1", clientSecret)
	b = s.browser()
	if status, _, body := b.ask(outside+"/login/oidc", nil); status != http.StatusServiceUnavailable || !strings.Contains(body, says) {
		t.Errorf("without a provider: %d: %s", status, body)
	}
	if _, log := s.stop(); !strings.Contains(log, "connection refused") {
		t.Errorf("its log has %s", log)
	}
}
