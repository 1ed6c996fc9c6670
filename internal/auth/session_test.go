package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/custodylog/custody/internal/vfs/vfstest"
)

func newSessions(t testing.TB, edit func(*SessionConfig)) *Sessions {
	t.Helper()
	cfg := SessionConfig{Idle: time.Hour, Longest: 12 * time.Hour, Secure: true}
	if edit != nil {
		edit(&cfg)
	}
	s, err := NewSessions(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// begin opens a session and returns its cookie as a browser sends it.
func begin(s *Sessions, p *Principal, had ...string) string {
	w := httptest.NewRecorder()
	s.Begin(w, with("POST", had...), p)
	c := w.Result().Cookies()[0]
	return c.Name + "=" + c.Value
}

// with makes a request with cookies, and headers as name: value.
func with(method string, cookiesAndHeaders ...string) *http.Request {
	r := httptest.NewRequest(method, "https://custody.example.org/", nil)
	for _, s := range cookiesAndHeaders {
		if name, value, ok := strings.Cut(s, ": "); ok {
			r.Header.Set(name, value)
		} else {
			r.Header.Add("Cookie", s)
		}
	}
	return r
}

// whoIs names who a request is from: "" when that is not known, or the reason of a
// refusal.
func whoIs(t testing.TB, s *Sessions, r *http.Request) string {
	t.Helper()
	p, err := s.Authenticate(r)
	if d, ok := errors.AsType[*Denied](err); ok {
		return string(d.Reason)
	}
	if err != nil {
		t.Fatal(err)
	}
	if p == nil {
		return ""
	}
	if !p.Session || !p.Authenticated {
		t.Errorf("the principal is %+v", p)
	}
	return p.Name
}

var alice = &Principal{Name: "oidc:alice@example.com", Kind: KindOIDC, Roles: []Role{Auditor}, Authenticated: true}

func TestSession(t *testing.T) {
	s := newSessions(t, func(c *SessionConfig) { c.Origin = "https://outside.example.org" })
	cookie := begin(s, alice)
	other := begin(s, &Principal{Name: "oidc:bob@example.com", Kind: KindOIDC, Authenticated: true})
	for _, tt := range []struct {
		name string
		r    *http.Request
		want string
	}{
		{"it", with("GET", cookie), "oidc:alice@example.com"},
		{"another one", with("GET", other), "oidc:bob@example.com"},
		{"none", with("GET"), ""},
		{"another secret", with("GET", cookie[:len(cookie)-1]+"*"), ""},
		{"an empty one", with("GET", "__Host-custody="), ""},
		{"without the prefix of its name", with("GET", strings.TrimPrefix(cookie, "__Host-")), ""},
		{"one that is over before it", with("GET", "__Host-custody=x", cookie), "oidc:alice@example.com"},
		{"with other credentials, which count", with("GET", cookie, "Authorization: Bearer x"), ""},
		{"a program that changes something", with("POST", cookie), "oidc:alice@example.com"},
		{"our page", with("POST", cookie, "Sec-Fetch-Site: same-origin"), "oidc:alice@example.com"},
		{"our page by its name outside", with("POST", cookie, "Origin: https://outside.example.org"), "oidc:alice@example.com"},
		{"a link elsewhere", with("GET", cookie, "Sec-Fetch-Site: cross-site"), "oidc:alice@example.com"},
		{"a form elsewhere", with("POST", cookie, "Sec-Fetch-Site: cross-site"), "cross_site"},
		{"a form of a sister site", with("POST", cookie, "Sec-Fetch-Site: same-site"), "cross_site"},
		{"a form elsewhere in an older browser", with("DELETE", cookie, "Origin: https://attacker.example"), "cross_site"},
	} {
		if got := whoIs(t, s, tt.r); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if alice.Session {
		t.Error("the principal that was given was changed")
	}

	if err := s.End(httptest.NewRecorder(), with("POST", cookie, "Sec-Fetch-Site: cross-site")); err == nil {
		t.Error("a page of another site logged somebody out")
	}
	w := httptest.NewRecorder()
	if err := s.End(w, with("POST", cookie)); err != nil {
		t.Fatal(err)
	}
	if got := whoIs(t, s, with("GET", cookie)); got != "" {
		t.Errorf("after logging out: %q", got)
	}
	if c := w.Result().Cookies()[0]; c.MaxAge >= 0 || c.Value != "" || c.Name != "__Host-custody" {
		t.Errorf("the browser keeps %v", c)
	}
	if again := begin(s, alice, other); whoIs(t, s, with("GET", other)) != "" || whoIs(t, s, with("GET", again)) != "oidc:alice@example.com" {
		t.Error("who logs in keeps the session of before")
	}
}

func TestSessionCookie(t *testing.T) {
	for _, tt := range []struct {
		secure bool
		want   string
	}{
		{true, "__Host-custody=v; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{false, "custody=v; Path=/; HttpOnly; SameSite=Lax"},
	} {
		s := newSessions(t, func(c *SessionConfig) { c.Secure = tt.secure })
		if got := s.Cookie("custody", "v").String(); got != tt.want {
			t.Errorf("secure %v: %s, want %s", tt.secure, got, tt.want)
		}
	}
	s := newSessions(t, nil)
	cookie := begin(s, alice)
	if len(cookie) != len("__Host-custody=")+43 {
		t.Errorf("%s is not 256 bits", cookie)
	}
	for key := range s.open {
		if strings.Contains(cookie, string(key[:])) {
			t.Error("the secret is kept as it is")
		}
	}
	if _, err := NewSessions(SessionConfig{Origin: "no origin"}); err == nil {
		t.Error("an origin that is none")
	}
}

func TestSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t, nil)
		cookie := begin(s, alice)
		for range 11 {
			time.Sleep(time.Hour - time.Nanosecond)
			if got := whoIs(t, s, with("GET", cookie)); got == "" {
				t.Fatal("it ended while it was used")
			}
		}
		time.Sleep(time.Hour - time.Second)
		if got := whoIs(t, s, with("GET", cookie)); got == "" {
			t.Error("it ended a second too early")
		}
		time.Sleep(2 * time.Second)
		if got := whoIs(t, s, with("GET", cookie)); got != "" {
			t.Error("it lasts longer than the longest")
		}
		cookie = begin(s, alice)
		time.Sleep(time.Hour - time.Second)
		stream := with("GET", cookie)
		if p, err := s.Authenticate(stream.WithContext(With(stream.Context(), alice))); p == nil {
			t.Fatalf("looked at again: %v", err)
		}
		time.Sleep(time.Second) // a stream that is open is no use of the session
		if got := whoIs(t, s, with("GET", cookie)); got != "" || len(s.open) != 0 {
			t.Errorf("it lasts although nobody used it; %d are open", len(s.open))
		}
	})
}

// A session that began with a token ends with it.
func TestSessionEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfstest.NewMem()
		tokens, command := openTokens(t, mem), openTokens(t, mem)
		s := newSessions(t, func(c *SessionConfig) { c.Tokens = tokens })
		logIn := func(edit func(*TokenSpec)) (cookie, id string) {
			sp := spec()
			edit(&sp)
			token, info := create(t, tokens, sp)
			p, err := tokens.Check(token)
			if err != nil {
				t.Fatal(err)
			}
			return begin(s, p), info.ID
		}
		expires, _ := logIn(func(s *TokenSpec) { s.Expires = time.Now().Add(10 * time.Minute) })
		revoked, id := logIn(func(*TokenSpec) {})
		removed, _ := logIn(func(*TokenSpec) {})
		for _, cookie := range []string{expires, revoked, removed} {
			if got := whoIs(t, s, with("GET", cookie)); got != "token:ci-agents" {
				t.Fatalf("%q", got)
			}
		}
		if _, err := command.Revoke(id, "operator"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recheck)
		if got := whoIs(t, s, with("GET", revoked)); got != "" {
			t.Errorf("revoked: %q", got)
		}
		time.Sleep(10 * time.Minute)
		if got := whoIs(t, s, with("GET", expires)); got != "" {
			t.Errorf("expired: %q", got)
		}
		if err := mem.WriteAll(tokensName, []byte("damaged")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recheck)
		if _, err := s.Authenticate(with("GET", removed)); err == nil {
			t.Error("a file that cannot be judged lets somebody in")
		}
		if err := mem.Remove(tokensName); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recheck)
		if got := whoIs(t, s, with("GET", removed)); got != "" || len(s.open) != 0 {
			t.Errorf("removed: %q; %d are open", got, len(s.open))
		}
	})
}

func TestManySessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t, nil)
		first := begin(s, alice)
		time.Sleep(time.Second)
		second := begin(s, alice)
		time.Sleep(time.Second)
		for i := range maxSessions - 2 {
			begin(s, &Principal{Name: fmt.Sprint("oidc:", i)})
		}
		whoIs(t, s, with("GET", first))
		begin(s, alice)
		if len(s.open) != maxSessions || whoIs(t, s, with("GET", first)) == "" || whoIs(t, s, with("GET", second)) != "" {
			t.Errorf("%d are open; the one that ends is the one that was not used for the longest time", len(s.open))
		}
	})
}

// Somebody who logs in again and again ends sessions of their own, and nobody else's.
func TestSessionsOfOnePerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t, nil)
		bob := begin(s, &Principal{Name: "token:bob"})
		first := begin(s, &Principal{Name: "token:alice"})
		time.Sleep(time.Second)
		second := begin(s, &Principal{Name: "token:alice"})
		for range maxOwnSessions - 1 {
			begin(s, &Principal{Name: "token:alice"})
		}
		open := func(cookie string) bool { return s.find(with("GET", cookie), time.Now()) != nil }
		if open(first) || !open(second) || !open(bob) {
			t.Error("another session than the first of alice is over")
		}
		if len(s.open) != maxOwnSessions+1 || s.own["token:alice"] != maxOwnSessions {
			t.Errorf("%d are open, and %v", len(s.open), s.own)
		}
		// What is over counts no more.
		time.Sleep(s.cfg.Idle)
		last := begin(s, &Principal{Name: "token:alice"})
		if len(s.open) != 1 || s.own["token:alice"] != 1 {
			t.Errorf("%d are open then, and %v", len(s.open), s.own)
		}
		if err := s.End(httptest.NewRecorder(), with("POST", last)); err != nil || s.own["token:alice"] != 0 {
			t.Errorf("%v, %v", s.own, err)
		}
	})
}

// Sessions of another person are other ones, though the person has the same name.
func TestSessionsOfOneName(t *testing.T) {
	s := newSessions(t, nil)
	named := func(person string) *Principal {
		return &Principal{Name: "oidc:sam", Person: newPerson(KindOIDC, person)}
	}
	other := begin(s, named("https://id.example.com|1"))
	for range maxOwnSessions + 1 {
		begin(s, named("https://id.example.com|2"))
	}
	if s.find(with("GET", other), time.Now()) == nil || len(s.open) != maxOwnSessions+1 {
		t.Errorf("one person has ended the session of another one; %d are open", len(s.open))
	}
}

// One session ends also where all were used after the time that was looked at.
func TestMakeRoomAmongUsed(t *testing.T) {
	s := newSessions(t, nil)
	before := time.Now().Add(-time.Second)
	begin(s, alice)
	begin(s, alice)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.makeRoom(before, 2, func(*session) bool { return true }); len(s.open) != 1 {
		t.Errorf("%d are open", len(s.open))
	}
}
