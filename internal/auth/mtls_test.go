package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// authority signs certificates of clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	return a
}

// sign makes a certificate that is good for an hour, signed by the authority or itself.
func sign(t *testing.T, template *x509.Certificate, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	template.NotBefore = time.Now().Add(-time.Minute)
	template.NotAfter = time.Now().Add(time.Hour)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	parent, parentKey := template, key
	if by != nil {
		parent, parentKey = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func mustMTLS(t *testing.T, rules ...Rule) Authenticator {
	t.Helper()
	a, err := MTLS(rules)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func submitter(match string) Rule { return Rule{Match: match, Roles: []Role{Submitter}} }

func TestMTLSMatch(t *testing.T) {
	a := newAuthority(t)
	uris := func(raw ...string) (us []*url.URL) {
		for _, s := range raw {
			u, err := url.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			us = append(us, u)
		}
		return us
	}
	// A subject with two common names, of which pkix.Name keeps the last.
	cn := asn1.ObjectIdentifier{2, 5, 4, 3}
	two := pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: cn, Value: "other"}, {Type: cn, Value: "agent-1"}}}
	for _, tt := range []struct {
		name  string
		cert  x509.Certificate
		match string
		want  string // name of the principal, or "bad_credentials"
	}{
		{"subject", x509.Certificate{Subject: pkix.Name{CommonName: "agent-1", Organization: []string{"Example"}}}, "subject:CN=agent-1,O=Example", "mtls:CN=agent-1,O=Example"},
		{"only a part of the subject", x509.Certificate{Subject: pkix.Name{CommonName: "agent-1", Organization: []string{"Example"}}}, "subject:CN=agent-1", "bad_credentials"},
		{"subject in other case", x509.Certificate{Subject: pkix.Name{CommonName: "Agent-1"}}, "subject:CN=agent-1", "bad_credentials"},
		{"subject whose common name looks like two attributes", x509.Certificate{Subject: pkix.Name{CommonName: "agent-1,O=Example"}}, "subject:CN=agent-1,O=Example", "bad_credentials"},
		{"subject with two common names", x509.Certificate{Subject: two}, "subject:CN=agent-1", "bad_credentials"},
		{"* in a subject stands for itself", x509.Certificate{Subject: pkix.Name{CommonName: "agent-1"}}, "subject:CN=*", "bad_credentials"},

		{"DNS name", x509.Certificate{DNSNames: []string{"x.example.com", "a1.example.com"}}, "dns:a1.example.com", "mtls:dns:a1.example.com"},
		{"DNS name in other case", x509.Certificate{DNSNames: []string{"A1.Example.com"}}, "dns:a1.eXample.com", "mtls:dns:a1.example.com"},
		{"any first label", x509.Certificate{DNSNames: []string{"a1.example.com"}}, "dns:*.example.com", "mtls:dns:a1.example.com"},
		{"two labels", x509.Certificate{DNSNames: []string{"b.a1.example.com"}}, "dns:*.example.com", "bad_credentials"},
		{"no label", x509.Certificate{DNSNames: []string{"example.com"}}, "dns:*.example.com", "bad_credentials"},
		{"another domain that ends like it", x509.Certificate{DNSNames: []string{"a1.badexample.com"}}, "dns:*.example.com", "bad_credentials"},
		{"a certificate for all names", x509.Certificate{DNSNames: []string{"*.example.com"}}, "dns:*.example.com", "bad_credentials"},
		{"common name for DNS name", x509.Certificate{Subject: pkix.Name{CommonName: "a1.example.com"}}, "dns:a1.example.com", "bad_credentials"},

		{"URI", x509.Certificate{URIs: uris("spiffe://example.com/agents/a1")}, "uri:spiffe://example.com/agents/a1", "mtls:uri:spiffe://example.com/agents/a1"},
		{"any last segment", x509.Certificate{URIs: uris("spiffe://example.com/agents/a1")}, "uri:spiffe://example.com/agents/*", "mtls:uri:spiffe://example.com/agents/a1"},
		{"two segments", x509.Certificate{URIs: uris("spiffe://example.com/agents/a1/x")}, "uri:spiffe://example.com/agents/*", "bad_credentials"},
		{"no segment", x509.Certificate{URIs: uris("spiffe://example.com/agents/")}, "uri:spiffe://example.com/agents/*", "bad_credentials"},
		{"the segment above", x509.Certificate{URIs: uris("spiffe://example.com/agents/..")}, "uri:spiffe://example.com/agents/*", "bad_credentials"},
		{"the segment above, escaped", x509.Certificate{URIs: uris("spiffe://example.com/agents/%2e%2e")}, "uri:spiffe://example.com/agents/*", "bad_credentials"},
		{"two segments, escaped", x509.Certificate{URIs: uris("spiffe://example.com/agents/a1%2fx")}, "uri:spiffe://example.com/agents/*", "bad_credentials"},
		{"a query", x509.Certificate{URIs: uris("spiffe://example.com/agents/a1?admin")}, "uri:spiffe://example.com/agents/*", "bad_credentials"},
		{"another host that begins like it", x509.Certificate{URIs: uris("spiffe://example.com.attacker.example/agents/a1")}, "uri:spiffe://example.com/*", "bad_credentials"},

		{"email address", x509.Certificate{EmailAddresses: []string{"agent@example.com"}}, "email:agent@example.com", "mtls:email:agent@example.com"},
		{"another email address", x509.Certificate{EmailAddresses: []string{"agent@example.com.attacker.example"}}, "email:agent@example.com", "bad_credentials"},
		{"a name of another kind", x509.Certificate{EmailAddresses: []string{"a1.example.com"}}, "dns:a1.example.com", "bad_credentials"},
		{"more names than are looked at", x509.Certificate{DNSNames: append(make100("x.example.com"), "a1.example.com")}, "dns:a1.example.com", "bad_credentials"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cert, _ := sign(t, &tt.cert, a)
			r := httptest.NewRequest("GET", "/", nil)
			r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert, a.cert}}}
			got := ""
			p, err := mustMTLS(t, submitter(tt.match)).Authenticate(r)
			if d, ok := err.(*Denied); ok {
				got = string(d.Reason)
			} else if err != nil {
				t.Fatal(err)
			} else {
				got = p.Name
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func make100(s string) []string {
	return strings.Split(strings.TrimSuffix(strings.Repeat(s+" ", 100), " "), " ")
}

func TestMTLSFirstRuleCounts(t *testing.T) {
	a := newAuthority(t)
	cert, _ := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "a1"}, DNSNames: []string{"a1.example.com"}}, a)
	r := httptest.NewRequest("GET", "/", nil)
	r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert, a.cert}}}
	bound := Rule{Match: "dns:a1.example.com", Roles: []Role{Submitter}, Trails: []string{"a"}, Agents: []string{"a1"}}
	p, err := mustMTLS(t, submitter("dns:other.example.com"), bound, Rule{Match: "subject:CN=a1", Roles: []Role{Admin}}).Authenticate(r)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Authenticated || p.Kind != KindMTLS || p.May(ManageTokens, "") || !p.May(Append, "a") || p.May(Append, "b") || p.MayClaim("a2") {
		t.Errorf("the principal is %+v", p)
	}
}

func TestMTLSWithoutVerifiedCertificate(t *testing.T) {
	cert, _ := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "a1"}}, nil)
	auth := mustMTLS(t, submitter("subject:CN=a1"))
	for name, state := range map[string]*tls.ConnectionState{
		"no TLS":                      nil,
		"no certificate":              {},
		"one that nobody vouched for": {PeerCertificates: []*x509.Certificate{cert}},
		"an empty chain":              {VerifiedChains: [][]*x509.Certificate{{}}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.TLS = state
		if p, err := auth.Authenticate(r); p != nil || err != nil {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

// A connection may outlive the certificate that it began with.
func TestMTLSExpired(t *testing.T) {
	a := newAuthority(t)
	cert, _ := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "a1"}}, a)
	cert.NotAfter = time.Now().Add(-time.Second)
	r := httptest.NewRequest("GET", "/", nil)
	r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert, a.cert}}}
	_, err := mustMTLS(t, submitter("subject:CN=a1")).Authenticate(r)
	if d, ok := err.(*Denied); !ok || d.Reason != Expired || d.Principal == nil {
		t.Errorf("%v", err)
	}
}

func TestMTLSRules(t *testing.T) {
	for match, want := range map[string]string{
		"":                             "expected subject:",
		"CN=a1":                        "expected subject:",
		"cn:a1":                        "expected subject:",
		"dns:":                         "expected subject:",
		"dns:*":                        "* may only be",
		"dns:*.":                       "* may only be",
		"dns:a*.example.com":           "* may only be",
		"dns:*.*.example.com":          "* may only be",
		"uri:spiffe://example.com/*/x": "* may only be",
		"uri:*":                        "* may only be",
		"uri:/*":                       "* may only be",
		"email:*@example.com":          "* may only be",
		"subject:CN=\x00":              "control characters",
	} {
		_, err := MTLS([]Rule{submitter("dns:a1.example.com"), submitter(match)})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "rule 2") {
			t.Errorf("%q: %v, want an error with %q", match, err, want)
		}
	}
	if _, err := MTLS([]Rule{{Match: "dns:a1.example.com"}}); err == nil || !strings.Contains(err.Error(), "roles: ") {
		t.Errorf("a rule without roles: %v", err)
	}
}

// With a real handshake: only who has the key of a certificate that the authority
// signed gets in.
func TestMTLSOnAServer(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	deny := func(w http.ResponseWriter, _ *http.Request, d *Denied) { http.Error(w, string(d.Reason), d.Status()) }
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Principal", From(r.Context()).Name) })
	s := httptest.NewUnstartedServer(Middleware(who, deny, mustMTLS(t, submitter("dns:a1.example.com"))))
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	s.TLS = &tls.Config{ClientCAs: roots, ClientAuth: tls.VerifyClientCertIfGiven}
	s.Config.ErrorLog = discardLog()
	s.StartTLS()
	defer s.Close()
	get := func(by *authority, dnsName string) (status int, principal string, err error) {
		transport := s.Client().Transport.(*http.Transport).Clone()
		defer transport.CloseIdleConnections()
		if by != nil {
			cert, key := sign(t, &x509.Certificate{DNSNames: []string{dnsName}}, by)
			// Send it whether or not the server says that it trusts the authority.
			transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, nil
			}
		}
		res, err := (&http.Client{Transport: transport}).Get(s.URL)
		if err != nil {
			return 0, "", err
		}
		res.Body.Close()
		return res.StatusCode, res.Header.Get("Principal"), nil
	}
	if status, principal, err := get(ours, "a1.example.com"); status != 200 || principal != "mtls:dns:a1.example.com" {
		t.Errorf("ours: %d, %q, %v", status, principal, err)
	}
	if status, principal, err := get(ours, "a2.example.com"); status != 401 {
		t.Errorf("one that no rule is for: %d, %q, %v", status, principal, err)
	}
	if status, principal, err := get(nil, ""); status != 401 {
		t.Errorf("none: %d, %q, %v", status, principal, err)
	}
	if status, principal, err := get(theirs, "a1.example.com"); err == nil {
		t.Errorf("one of another authority: %d, %q", status, principal)
	}
}
