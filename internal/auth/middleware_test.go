package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// answers is an authenticator that always gives the same.
type answers struct {
	p   *Principal
	err error
}

func (a answers) Authenticate(*http.Request) (*Principal, error) { return a.p, a.err }

// pass runs a request through a gate. It returns who got through or why nobody did.
func pass(t *testing.T, r *http.Request, onFailure func(*http.Request, *Denied), authenticators ...Authenticator) (*Principal, *Denied, *httptest.ResponseRecorder) {
	t.Helper()
	var who *Principal
	var why *Denied
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { who = From(r.Context()) })
	deny := func(w http.ResponseWriter, _ *http.Request, d *Denied) {
		why = d
		w.WriteHeader(d.Status())
	}
	g := Middleware(next, deny, authenticators...)
	g.OnFailure = onFailure
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	if (who == nil) == (why == nil) {
		t.Fatalf("principal %v and reason %v: there should be one of them", who, why)
	}
	return who, why, w
}

func TestMiddleware(t *testing.T) {
	none, a1, a2 := answers{}, answers{p: &Principal{Name: "a1"}}, answers{p: &Principal{Name: "a2"}}
	bad := answers{err: &Denied{Reason: BadCredentials, Detail: "no"}}
	wrapped := answers{err: fmt.Errorf("somewhere: %w", &Denied{Reason: Expired, Detail: "late"})}
	broken := answers{err: errors.New("the disk is gone")}
	const challenge, invalid = `Bearer realm="custody"`, `Bearer realm="custody", error="invalid_token"`
	for _, tt := range []struct {
		name           string
		authenticators []Authenticator
		authorization  string
		who            string
		reason         Reason
		status         int
		challenge      string
		reported       bool
	}{
		{"nobody is asked", nil, "", "", NoCredentials, 401, challenge, false},
		{"nobody knows", []Authenticator{none, none}, "", "", NoCredentials, 401, challenge, false},
		{"nobody knows credentials of this kind", []Authenticator{none}, "Basic eDp5", "", BadCredentials, 401, invalid, true},
		{"the first that knows counts", []Authenticator{none, a1, a2}, "", "a1", "", 200, "", false},
		{"nobody is asked after the first that knows", []Authenticator{a1, bad}, "", "a1", "", 200, "", false},
		{"bad credentials are not made good by others", []Authenticator{bad, a2}, "", "", BadCredentials, 401, invalid, true},
		{"expired", []Authenticator{none, wrapped, a2}, "", "", Expired, 401, invalid, true},
		{"it cannot be found out", []Authenticator{broken, a2}, "", "", Unavailable, 503, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			reported := false
			who, why, w := pass(t, r, func(_ *http.Request, d *Denied) { reported = d.Reason == tt.reason }, tt.authenticators...)
			if who != nil && who.Name != tt.who || who == nil && tt.who != "" {
				t.Errorf("principal %v, want %q", who, tt.who)
			}
			if why != nil && why.Reason != tt.reason || why == nil && tt.reason != "" {
				t.Errorf("reason %v, want %q", why, tt.reason)
			}
			if w.Code != tt.status || w.Header().Get("WWW-Authenticate") != tt.challenge {
				t.Errorf("status %d, challenge %q, want %d, %q", w.Code, w.Header().Get("WWW-Authenticate"), tt.status, tt.challenge)
			}
			if reported != tt.reported {
				t.Errorf("reported: %v, want %v", reported, tt.reported)
			}
		})
	}
}

// What went wrong inside is for the operator; who sent the request is not told.
func TestUnavailableSaysNothingOfTheInside(t *testing.T) {
	broken := errors.New("/var/lib/secret/place")
	_, why, _ := pass(t, httptest.NewRequest("GET", "/", nil), nil, answers{err: broken})
	if !errors.Is(why, broken) {
		t.Errorf("%v does not wrap what went wrong", why)
	}
	if why.Detail == "" || why.Error() != "unavailable: "+why.Detail {
		t.Errorf("the error is %q", why)
	}
}

func TestFailuresAreReportedAtALimitedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reports := map[string][]int{} // unreported failures, by address
		deny := func(http.ResponseWriter, *http.Request, *Denied) {}
		g := Middleware(nil, deny, answers{err: &Denied{Reason: BadCredentials}})
		g.OnFailure = func(r *http.Request, d *Denied) { reports[r.RemoteAddr] = append(reports[r.RemoteAddr], d.Unreported) }
		fail := func(addr string, n int) {
			for range n {
				r := httptest.NewRequest("GET", "/", nil)
				r.RemoteAddr = addr
				g.ServeHTTP(httptest.NewRecorder(), r)
			}
		}
		fail("192.0.2.1:1", 100)
		fail("192.0.2.2:1", 1)
		if n := len(reports["192.0.2.1:1"]); n != failureBurst {
			t.Errorf("of 100 failures at once %d were reported, want %d", n, failureBurst)
		}
		if n := len(reports["192.0.2.2:1"]); n != 1 {
			t.Error("another address pays for the first")
		}
		fail("192.0.2.1:2", 1)
		if n := len(reports["192.0.2.1:2"]); n != 0 {
			t.Error("another port of the address counts on its own")
		}
		time.Sleep(failureEvery)
		fail("192.0.2.1:1", 5)
		if got := reports["192.0.2.1:1"]; len(got) != failureBurst+1 || got[failureBurst] != 91 {
			t.Errorf("ten seconds later: %v, want one more that tells of 91", got)
		}
		if n := g.Unreported(false); n != 0 {
			t.Errorf("%d failures are told of although the address is not quiet", n)
		}
		time.Sleep(failureBurst * failureEvery)
		if n, again := g.Unreported(false), g.Unreported(false); n != 4 || again != 0 {
			t.Errorf("%d failures and then %d were not reported, want 4 and then none", n, again)
		}
	})
}

func TestFailuresForgetAndStayBounded(t *testing.T) {
	f := &failures{}
	now := time.Unix(0, 0)
	addr := func(i int) string { return fmt.Sprintf("10.%d.%d.%d:1", i>>16&255, i>>8&255, i&255) }
	for i := range 3 * maxFailing {
		f.take(addr(i), now)
	}
	if len(f.by) > maxFailing+1 {
		t.Fatalf("%d addresses are kept", len(f.by))
	}
	// All that are too many share one limit, which is used up.
	if _, ok := f.take("198.51.100.1:1", now); ok {
		t.Error("an address too many has a limit of its own")
	}
	now = now.Add(failureEvery)
	if _, ok := f.take("198.51.100.1:1", now); !ok || len(f.by) != 2 {
		t.Errorf("quiet addresses are not forgotten: %d are kept, want this one and what stands for those too many", len(f.by))
	}
}

func TestFailuresCountANetworkOfIPv6AsOne(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"[2001:db8::1]:1", "[2001:db8::ffff:1]:2", true},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"[fe80::1%eth0]:1", "[fe80::2%eth1]:1", true},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"@", "", true},
	} {
		f := &failures{}
		now := time.Unix(0, 0)
		f.take(tt.a, now)
		f.take(tt.b, now)
		if same := len(f.by) == 1; same != tt.same {
			t.Errorf("%s and %s are counted as one: %v, want %v", tt.a, tt.b, same, tt.same)
		}
	}
}

func TestRecheck(t *testing.T) {
	alice, bob := &Principal{Name: "alice"}, &Principal{Name: "bob"}
	for name, c := range map[string]struct {
		now  answers
		want Reason
	}{
		"still good":    {answers{p: &Principal{Name: "alice"}}, ""},
		"revoked":       {answers{err: &Denied{Reason: Revoked}}, Revoked},
		"somebody else": {answers{p: bob}, Expired}, // who has other credentials as well
		"nobody":        {answers{}, NoCredentials},
		"not known":     {answers{err: errors.New("the disk is gone")}, Unavailable},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		d := Middleware(nil, nil, c.now).Recheck(r.WithContext(With(r.Context(), alice)))
		if got := d; (got == nil) != (c.want == "") || got != nil && got.Reason != c.want {
			t.Errorf("%s: %v, want %q", name, got, c.want)
		}
	}
}

// A browser shows a client certificate to whatever a page of another site has it send.
func TestOwnPages(t *testing.T) {
	s := newSessions(t, nil)
	p := &Principal{Name: "mtls:CN=bob"}
	for _, tt := range []struct {
		method, header string
		ok             bool
	}{
		{"POST", "", true}, // no browser
		{"POST", "Sec-Fetch-Site: same-origin", true},
		{"POST", "Origin: https://custody.example.org", true},
		{"GET", "Sec-Fetch-Site: cross-site", true}, // changes nothing, and the page does not see the answer
		{"POST", "Sec-Fetch-Site: cross-site", false},
		{"POST", "Sec-Fetch-Site: same-site", false},
		{"POST", "Origin: https://attacker.example", false},
		{"POST", "Origin: null", false},
	} {
		var headers []string
		if tt.header != "" {
			headers = []string{tt.header}
		}
		got, err := OwnPages(answers{p: p}, s.CheckOrigin).Authenticate(with(tt.method, headers...))
		if tt.ok && (err != nil || got != p) {
			t.Errorf("%s %s: %v, %v", tt.method, tt.header, got, err)
		}
		if d, denied := errors.AsType[*Denied](err); !tt.ok && (!denied || d.Reason != CrossSite || got != nil) {
			t.Errorf("%s %s: %v, %v", tt.method, tt.header, got, err)
		}
	}
	for _, without := range []answers{{}, {err: &Denied{Reason: BadCredentials}}} {
		if got, err := OwnPages(without, s.CheckOrigin).Authenticate(with("POST", "Sec-Fetch-Site: cross-site")); got != nil || err != without.err {
			t.Errorf("%v, %v", got, err)
		}
	}
}
