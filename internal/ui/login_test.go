package ui

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/chromiumtest"
	"github.com/custodylog/custody/internal/openid"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

func TestLocalPath(t *testing.T) {
	for path, want := range map[string]string{
		"/":                                 "/",
		"/trails/default/events?agent_id=a": "/trails/default/events?agent_id=a",
		"/trails/default?q=//x":             "/trails/default?q=//x",
		"/trails/default#part":              "/trails/default",

		"":                                 "/",
		"trails":                           "/",
		"//attacker.example/":              "/",
		"///attacker.example/":             "/",
		"/\\attacker.example/":             "/",
		"\\\\attacker.example/":            "/",
		"/%2Fattacker.example":             "/",
		"/%5Cattacker.example":             "/",
		"/../trails":                       "/",
		"/\tx":                             "/",
		"/\n/attacker.example":             "/",
		"https://attacker.example/":        "/",
		"https:attacker.example":           "/",
		"javascript:alert(1)":              "/",
		"/login":                           "/",
		"/login/oidc":                      "/",
		"/logout":                          "/",
		"/" + strings.Repeat("x", maxPath): "/",
		"/\x00":                            "/",
		"%":                                "/",
	} {
		if got := localPath(path); got != want {
			t.Errorf("%q leads to %q, want %q", path, got, want)
		}
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/trails/a?b=c", "//x", "/\\x", "/%2f", "/;x", "/?//"} {
		f.Add(s)
	}
	base, err := url.Parse("https://custody.example.org/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		to, err := base.Parse(localPath(s))
		if err != nil || to.Host != base.Host || to.Scheme != base.Scheme || strings.HasPrefix(localPath(s), "//") || strings.HasPrefix(localPath(s), "/\\") {
			t.Errorf("%q leads to %v, %v", s, to, err)
		}
	})
}

// loginSite serves the page as somebody sees it who has to log in. It returns a token
// that is good.
func loginSite(t *testing.T, provider *openid.Provider) (address, token string, refused *[]auth.Denied) {
	t.Helper()
	tokens, err := auth.OpenTokens(vfstest.NewMem(), "/tokens.json")
	if err != nil {
		t.Fatal(err)
	}
	token, _, err = tokens.Create(auth.TokenSpec{Name: "alice@example.com", Roles: []auth.Role{auth.Auditor}, CreatedBy: "operator"})
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := auth.NewSessions(auth.SessionConfig{Idle: time.Hour, Longest: time.Hour, Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	refused = new([]auth.Denied)
	people, err := auth.NewOIDC(nil)
	if err != nil {
		t.Fatal(err)
	}
	page := New(Config{Trails: set{"default": newTrail(t, story()...)}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		May: func(r *http.Request, p auth.Permission, trail string) bool {
			return auth.From(r.Context()).May(p, trail)
		},
		Login: &Login{Sessions: sessions, Tokens: tokens, Provider: provider, People: people,
			LoggedIn: func(*http.Request, *auth.Principal, auth.Claims) {},
			Refused:  func(_ *http.Request, d *auth.Denied) { *refused = append(*refused, *d) }}})
	known := auth.Middleware(page, func(w http.ResponseWriter, r *http.Request, d *auth.Denied) {
		http.Redirect(w, r, "/login?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
	}, tokens, sessions)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/log") || strings.HasPrefix(r.URL.Path, "/assets/") {
			page.ServeHTTP(w, r)
			return
		}
		known.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	return h.URL, token, refused
}

// unreachable is a provider that is not there.
func unreachable() *openid.Provider {
	return openid.New(openid.Config{Issuer: "http://127.0.0.1:1", ClientID: "custody"})
}

// TestLoginForm fills in the form as somebody would who has a keyboard only.
func TestLoginForm(t *testing.T) {
	address, token, refused := loginSite(t, nil)
	b := chromiumtest.New(t)
	enter := func(text string) {
		b.Call("Input.insertText", map[string]any{"text": text}, nil)
		b.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}, nil)
		b.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": "Enter", "windowsVirtualKeyCode": 13}, nil)
	}
	b.Open(address + "/login?next=%2Ftrails%2Fdefault%2Fevents%3Fevent_type%3Daction_denied")
	b.Becomes(`document.activeElement.id === "token"`)
	shoot(b, "login")
	enter("cst_00000000_" + strings.Repeat("A", 43))
	b.Becomes(`document.querySelector("[role=alert]")?.textContent.includes("There is no API token with the id 00000000")`)
	shoot(b, "login-refused")
	chromiumtest.Eval[bool](b, `document.getElementById("token").focus(); true`)
	enter(token)
	b.Becomes(`location.pathname === "/trails/default/events" && document.querySelector(".user")`)
	if got := chromiumtest.Eval[string](b, `location.search + " " + document.querySelector(".user").innerText`); !strings.HasPrefix(got, "?event_type=action_denied token:alice@example.com") {
		t.Errorf("after logging in: %q", got)
	}
	if got := chromiumtest.Eval[string](b, `document.cookie`); got != "" {
		t.Errorf("a script sees %q", got)
	}
	shoot(b, "logged-in")
	chromiumtest.Eval[bool](b, `document.querySelector(".user button").click(); true`)
	b.Becomes(`location.pathname === "/login"`)
	if got := chromiumtest.Eval[string](b, `fetch("/trails/default").then((r) => r.url)`); got != address+"/login?next=%2Ftrails%2Fdefault" {
		t.Errorf("after logging out a page is at %s", got)
	}
	if len(*refused) != 1 || (*refused)[0].Reason != auth.BadCredentials {
		t.Errorf("refused: %+v", *refused)
	}
	for _, c := range b.Complaints() {
		if !strings.HasPrefix(c, "Failed to load resource: the server responded with a status of 401") && !strings.Contains(c, "/v1/") && !strings.Contains(c, "404") {
			t.Error(c)
		}
	}
}

// TestLoginRefuses asks for what is not given.
func TestLoginRefuses(t *testing.T) {
	address, token, _ := loginSite(t, unreachable())
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, tt := range []struct {
		name, method, path, form string
		header                   string // of Sec-Fetch-Site
		status                   int
		contains                 string
	}{
		{"the form", "GET", "/login?next=/trails/default", "", "", 200, `href="/login/oidc?next=%2Ftrails%2Fdefault"`},
		{"markup", "GET", "/login?next=" + url.QueryEscape(`/"><script>alert(1)</script>`), "", "", 200, "%22%3E%3Cscript%3E"},
		{"no token", "POST", "/login", "token=", "", 422, "Enter an API token"},
		{"no form", "POST", "/login", "%", "", 400, "could not be read"},
		{"a long form", "POST", "/login", "token=" + strings.Repeat("x", maxForm), "", 400, "could not be read"},
		{"markup for a token", "POST", "/login", "token=<b>", "", 401, "The API token is not whole"},
		{"another site", "POST", "/login", "token=" + token, "cross-site", 403, ""},
		{"logging out by a link", "GET", "/logout", "", "", 404, ""},
		{"logging out by another site", "POST", "/logout", "", "cross-site", 403, ""},
		{"a page by the path of an asset", "GET", "/assets/%2e%2e/trails/default", "", "", 404, ""},
		{"a page by the path to log in", "GET", "/login/%2e%2e/trails/default", "", "", 404, ""},
		{"a provider that is not there", "GET", "/login/oidc", "", "", 503, "cannot be found out at the moment"},
		{"back from the provider without having been there", "GET", "/login/callback?code=x&state=", "", "", 401, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, address+tt.path, strings.NewReader(tt.form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if tt.header != "" {
			r.Header.Set("Sec-Fetch-Site", tt.header)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || !strings.Contains(string(b), tt.contains) || strings.Contains(string(b), "<script>alert") || strings.Contains(string(b), "<b>") {
			t.Errorf("%s: %d, %v:\n%s", tt.name, resp.StatusCode, err, b)
		}
		for _, c := range resp.Cookies() {
			if c.Value != "" {
				t.Errorf("%s: it sets %v", tt.name, c)
			}
		}
	}
}

// A proxy in front that changes the header Host does not make the page's own forms those
// of another site.
func TestFormsBehindAProxy(t *testing.T) {
	sessions, err := auth.NewSessions(auth.SessionConfig{Origin: "https://custody.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	h := New(Config{Trails: set{}, May: allowed, Login: &Login{Sessions: sessions}, Logger: slog.New(slog.DiscardHandler)})
	for origin, want := range map[string]int{"https://custody.example.org": http.StatusSeeOther, "https://attacker.example": http.StatusForbidden} {
		r := httptest.NewRequest(http.MethodPost, "http://10.0.0.1:8420/logout", nil)
		r.Header.Set("Origin", origin) // of a browser that sends no Sec-Fetch-Site
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("a form of %s: %d, want %d", origin, w.Code, want)
		}
	}
}
