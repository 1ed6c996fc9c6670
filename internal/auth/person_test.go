package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// Whatever name somebody has, they are known by something that stays the same.
func TestPersons(t *testing.T) {
	people, err := NewOIDC([]Rule{{Match: "email:*@example.com", Roles: []Role{Operator}}, {Match: "group:g", Roles: []Role{Operator}}})
	if err != nil {
		t.Fatal(err)
	}
	oidc := func(c Claims) string {
		t.Helper()
		p, err := people.Principal(c)
		if err != nil {
			t.Fatal(err)
		}
		return p.PersonID()
	}
	const alice = "oidc:https://id.example.com|00u1"
	for name, c := range map[string]Claims{
		"an address":             {Issuer: "https://id.example.com", Subject: "00u1", Email: "alice@example.com", EmailVerified: true},
		"another address":        {Issuer: "https://id.example.com", Subject: "00u1", Email: "bob@example.com", EmailVerified: true},
		"one that is unverified": {Issuer: "https://id.example.com", Subject: "00u1", Email: "bob@example.com", Groups: []string{"g"}},
	} {
		if got := oidc(c); got != alice {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := oidc(Claims{Issuer: "https://id.example.com", Subject: "00u2", Email: "alice@example.com", EmailVerified: true}); got == alice {
		t.Error("somebody else with the address is the same person")
	}
	if got := oidc(Claims{Issuer: "https://id.example.com", Subject: strings.Repeat("x", 1<<16), Email: "alice@example.com", EmailVerified: true}); len(got) != len("oidc:sha256:")+64 {
		t.Errorf("a long subject is %.100q", got)
	}

	ca := newAuthority(t)
	certificate := func(template x509.Certificate, rule string) string {
		t.Helper()
		cert, _ := sign(t, &template, ca)
		r := httptest.NewRequest("GET", "/", nil)
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert, ca.cert}}}
		p, err := mustMTLS(t, submitter(rule)).Authenticate(r)
		if err != nil {
			t.Fatal(err)
		}
		return p.PersonID()
	}
	named := pkix.Name{CommonName: "alice"}
	want := "mtls:" + ca.cert.Subject.String() + "|CN=alice"
	for rule, template := range map[string]x509.Certificate{
		"subject:CN=alice":  {Subject: named},
		"dns:a.example.com": {Subject: named, DNSNames: []string{"a.example.com"}},
		"dns:b.example.com": {Subject: named, DNSNames: []string{"b.example.com"}},
	} {
		if got := certificate(template, rule); got != want {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
	if got, want := certificate(x509.Certificate{DNSNames: []string{"a.example.com"}}, "dns:a.example.com"), "mtls:"+ca.cert.Subject.String()+"|dns:a.example.com"; got != want {
		t.Errorf("without a subject: %q, want %q", got, want)
	}

	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(context.WithValue(r.Context(), credentialsKey{}, credentials{uid: 1000}))
	if p, err := (peers{rules: []Rule{{Roles: []Role{Reader}}}, matches: []peerMatch{{id: 1000}}}).Authenticate(r); err != nil || p.PersonID() != "unix:uid=1000" {
		t.Errorf("%+v, %v", p, err)
	}
	if local.PersonID() != "" || (*Principal)(nil).PersonID() != "" || len(local.Person.Line()) > 0 {
		t.Error("anybody on this machine is somebody in particular")
	}
}

// Of a token it is known who made it, and the token that made it, also when the file is
// read again.
func TestLineOfTokens(t *testing.T) {
	fsys := vfstest.NewMem()
	tokens := openTokens(t, fsys)
	made := func(name, by, person string) (string, string) {
		t.Helper()
		token, info := create(t, tokens, TokenSpec{Name: name, Roles: []Role{Admin}, CreatedBy: by, CreatedByPerson: person})
		return token, tokenPerson(info.ID)
	}
	const alice = "oidc:https://id.example.com|00u1"
	_, first := made("admin", "oidc:alice@example.com", alice)
	_, second := made("admin", "token:admin", first)
	token, third := made("ops", "token:admin", second)
	start := time.Now()
	late, _ := made("late", "operator", "")
	for _, tokens := range []*Tokens{tokens, openTokens(t, fsys)} {
		p, err := tokens.Check(token)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.Person.Line(), []string{third, "token:admin", second, first, "oidc:alice@example.com", alice}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if p, err = tokens.Check(late); err != nil || p.Person.Made.Before(start.Truncate(time.Microsecond)) || len(p.Person.Line()) != 2 {
			t.Errorf("%+v, %v", p.Person, err)
		}
	}
	if _, _, err := tokens.Create(TokenSpec{Name: "x", Roles: []Role{Admin}, CreatedBy: "a", CreatedByPerson: "\x00"}); err == nil {
		t.Error("made by a person with a control character")
	}
}

// A token that says to be made by itself, or by a later one, ends somewhere.
func TestLineEnds(t *testing.T) {
	persons := map[string]*Person{}
	infos := make([]TokenInfo, 3)
	for i := range infos {
		infos[i] = TokenInfo{ID: fmt.Sprintf("0000000%d", i), CreatedBy: "x", CreatedByPerson: tokenPerson(fmt.Sprintf("0000000%d", (i+1)%3))}
	}
	var last *Person
	for i := range infos {
		last = infos[i].person(persons)
	}
	if got, want := last.Line(), []string{"token_id:00000002", "x", "token_id:00000000", "token_id:00000001"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
