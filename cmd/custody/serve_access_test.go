package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// startConfigured starts custody serve with a configuration, and returns its address.
func startConfigured(t *testing.T, config string) (p *process, url string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "custody.yaml")
	writeFile(t, file, config)
	p = start(t, "", t.TempDir(), "serve", "--config", file)
	for url == "" {
		if field, value, _ := strings.Cut(p.line(), "  "); strings.TrimSpace(field) == "listening" {
			url = strings.TrimSpace(value)
		}
	}
	return p, url
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// systemEvents returns the details of the events of a type that the trail system of a
// server that has stopped holds.
func systemEvents(t *testing.T, data string, types ...event.Type) (all []map[string]any) {
	t.Helper()
	trail, err := custody.Open(filepath.Join(data, "trails", "system"), &custody.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	for e, err := range trail.Entries(t.Context(), custody.Query{Types: types}) {
		if err != nil {
			t.Fatal(err)
		}
		var payload struct{ Details map[string]any }
		if err := json.Unmarshal(e.Payload, &payload); err != nil {
			t.Fatal(err)
		}
		all = append(all, payload.Details)
	}
	return all
}

// authority certifies clients.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: true}
	a.cert = a.certify(template, template, key)
	return a
}

func (a *authority) certify(template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// pem is the file with the authority.
func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

// client returns a certificate for a client, with its key.
func (a *authority) client(name string, until time.Time) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	cert := a.certify(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, a.cert, key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// Clients with certificates may do what the rules say, and others what their tokens do;
// the server takes new authorities, and a new certificate and key of its own, without
// being started again.
func TestServerKnowsClientsByCertificates(t *testing.T) {
	dir := t.TempDir()
	name := func(base string) string { return filepath.Join(dir, base) }
	server := newCertificateFiles(t, name("cert.pem"), name("key.pem"))
	ours, next := newAuthority(t, "ours"), newAuthority(t, "next")
	writeFile(t, name("ca.pem"), ours.pem())
	p, url := startConfigured(t, fmt.Sprintf(`
version: 1
data: %s
listen: 127.0.0.1:0
origin: example.org
unprotected: {behind_proxy: true}
tls:
  certificate: %s
  key: %s
  client_ca: %s
  rules:
    - {match: "subject:CN=agent-1", roles: [submitter], agents: [a1]}
    - {match: "subject:CN=auditor", roles: [auditor]}
`, name("data"), name("cert.pem"), name("key.pem"), name("ca.pem")))

	// as sends a request over a connection of its own, with a certificate if there is one.
	site := "" // header Sec-Fetch-Site
	as := func(body string, certificates ...tls.Certificate) (answer string, err error) {
		roots := x509.NewCertPool()
		roots.AddCert(server)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certificates) == 0 {
				return &tls.Certificate{}, nil
			}
			return &certificates[0], nil
		}}}}
		defer client.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/trails/default/events", strings.NewReader(body))
		if err != nil {
			return "", err
		}
		r.Header.Set("Content-Type", "application/json")
		if site != "" {
			r.Header.Set("Sec-Fetch-Site", site)
		}
		resp, err := client.Do(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		var code struct{ Code string }
		json.Unmarshal(b, &code)
		return fmt.Sprint(resp.StatusCode, " ", code.Code), err
	}
	hour := time.Now().Add(time.Hour)
	agent := ours.client("agent-1", hour)
	for _, tt := range []struct {
		name, agent  string
		certificates []tls.Certificate
		want         string // empty: the server ends the connection
	}{
		{"an agent", "a1", []tls.Certificate{agent}, "201 "},
		{"an agent that claims to be another", "a2", []tls.Certificate{agent}, "403 agent"},
		{"an auditor", "a1", []tls.Certificate{ours.client("auditor", hour)}, "403 forbidden"},
		{"one whom no rule is for", "a1", []tls.Certificate{ours.client("agent-2", hour)}, "401 bad_credentials"},
		{"none", "a1", nil, "401 no_credentials"},
		{"one that expired", "a1", []tls.Certificate{ours.client("agent-1", time.Now().Add(-time.Minute))}, ""},
		{"one of an authority that is not ours", "a1", []tls.Certificate{next.client("agent-1", hour)}, ""},
	} {
		got, err := as(fmt.Sprintf(`{"event_type":"turn_ended","session_id":"s","agent_id":%q}`, tt.agent), tt.certificates...)
		if (err != nil) != (tt.want == "") || got != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}

	const turn = `{"event_type":"turn_ended","session_id":"s","agent_id":"a1"}`
	for from, want := range map[string]string{"cross-site": "403 cross_site", "same-origin": "201 "} {
		site = from
		if got, err := as(turn, agent); err != nil || got != want {
			t.Errorf("a browser that a page has send it, %s: %q, %v", from, got, err)
		}
	}
	site = ""
	writeFile(t, name("ca.pem"), next.pem()+"\n") // which is of another length, should the clock be coarse
	if got, err := as(turn, next.client("agent-1", hour)); err != nil || got != "201 " {
		t.Errorf("of the new authority: %q, %v", got, err)
	}
	if got, err := as(turn, agent); err == nil {
		t.Errorf("of the old authority: %q", got)
	}
	writeFile(t, name("ca.pem"), "none")
	if got, err := as(turn, next.client("agent-1", hour)); err != nil || got != "201 " {
		t.Errorf("with a file that cannot be read: %q, %v", got, err)
	}
	old := server
	server = newCertificateFiles(t, name("cert.pem"), name("key.pem"))
	if got, err := as(turn, next.client("agent-1", hour)); err != nil || got != "201 " {
		t.Errorf("with a new certificate of the server: %q, %v", got, err)
	}
	renewed := server
	server = old
	if got, err := as(turn, next.client("agent-1", hour)); err == nil {
		t.Errorf("the old certificate of the server is still shown: %q", got)
	}
	server = renewed
	newCertificateFiles(t, name("other.pem"), name("key.pem")) // a key that does not fit
	if got, err := as(turn, next.client("agent-1", hour)); err != nil || got != "201 " {
		t.Errorf("with a key that does not fit: %q, %v", got, err)
	}
	if status := p.end(syscall.SIGTERM); status != exitOK || !strings.Contains(p.stderr.String(), "ca.pem") || !strings.Contains(p.stderr.String(), "private key does not match") {
		t.Errorf("it exits with %d, and the files that cannot be used are not in its log:\n%s", status, p.stderr.String())
	}
	rejected := systemEvents(t, name("data"), event.IngestRejected)
	if b, err := json.Marshal(rejected); err != nil || len(rejected) != 1 || !strings.Contains(string(b), "mtls:CN=agent-1") {
		t.Errorf("the agent that claimed to be another is told of by %s, %v", b, err)
	}
	failed := systemEvents(t, name("data"), event.LoginFailed)
	if len(failed) != 1 || failed[0]["reason"] != "bad_credentials" {
		t.Errorf("the certificate that no rule is for is told of by %v", failed)
	}
}

// browser keeps cookies as a browser does, and does not follow where it is led.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Somebody logs in to the page with a token, and out again.
func TestLogIn(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p, server := startConfigured(t, fmt.Sprintf("version: 1\ndata: %s\nlisten: 127.0.0.1:0\norigin: example.org\nunprotected: {behind_proxy: true}\nsession: {idle: 1h}\n", data))
	create := start(t, "", t.TempDir(), "token", "create", "--data", data, "--name", "alice", "--roles", "auditor,admin", "--by", "operator", "--json")
	var token struct{ ID, Token string }
	if err := json.Unmarshal([]byte(create.line()), &token); err != nil {
		t.Fatal(err)
	}
	create.wait()
	// The cookie is for TLS, which the proxy in front speaks; this jar believes that.
	client := browser(t)
	client.Transport = throughProxy{}
	outside := strings.Replace(server, "http://", "https://", 1)
	do := func(method, path string, form url.Values, headers ...string) (status int, location, body string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, outside+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header.Get("Location"), string(b)
	}
	expect := func(what string, gotStatus int, gotLocation, body string, status int, location string, says ...string) {
		t.Helper()
		if gotStatus != status || gotLocation != location {
			t.Errorf("%s: %d, %q, want %d, %q", what, gotStatus, gotLocation, status, location)
		}
		for _, s := range says {
			if !strings.Contains(body, s) {
				t.Errorf("%s: the page has no %q:\n%s", what, s, body)
			}
		}
	}
	const wanted = "/trails/default/events?agent_id=a1"
	status, location, body := do("GET", wanted, nil)
	expect("without a session", status, location, body, 303, "/login?next=%2Ftrails%2Fdefault%2Fevents%3Fagent_id%3Da1")
	login := location
	status, location, body = do("GET", login, nil)
	expect("the form", status, location, body, 200, "", `name="next" value="/trails/default/events?agent_id=a1"`, `action="/login"`)
	if strings.Contains(body, "/login/oidc") {
		t.Errorf("it leads to a provider that there is not:\n%s", body)
	}
	status, location, body = do("POST", "/login", url.Values{"next": {wanted}, "token": {"cst_" + token.ID + "_wrong"}})
	expect("a wrong token", status, location, body, 401, "", `role="alert"`, "The API token is not whole", wanted)
	status, location, body = do("POST", "/login", url.Values{"next": {wanted}, "token": {token.Token}}, "Sec-Fetch-Site", "cross-site")
	expect("a form of another site", status, location, body, 403, "")
	status, location, body = do("POST", "/login", url.Values{"next": {"https://attacker.example/"}, "token": {" " + token.Token + "\n"}})
	expect("a link that leads elsewhere afterwards", status, location, body, 303, "/")
	status, location, body = do("POST", "/login", url.Values{"next": {wanted}, "token": {token.Token}})
	expect("the token", status, location, body, 303, wanted)
	status, location, body = do("GET", wanted, nil)
	expect("the page", status, location, body, 200, "", "token:alice", `action="/logout"`)
	status, _, body = do("GET", "/v1/trails/default/events", nil)
	expect("the API that the page uses", status, "", body, 200, "", `"entries"`)
	status, _, body = do("POST", "/v1/trails", nil, "Content-Type", "application/json", "Sec-Fetch-Site", "cross-site")
	expect("the API, asked by another site", status, "", body, 403, "", "cross_site")
	status, location, body = do("POST", "/logout", nil, "Sec-Fetch-Site", "cross-site")
	expect("another site logs out", status, location, body, 403, "")
	status, location, body = do("POST", "/logout", nil)
	expect("logging out", status, location, body, 303, "/login")
	status, location, body = do("GET", wanted, nil)
	expect("after logging out", status, location, body, 303, login)

	do("POST", "/login", url.Values{"token": {token.Token}})
	if status := start(t, "", t.TempDir(), "token", "revoke", token.ID, "--data", data, "--by", "operator").wait(); status != exitOK {
		t.Fatal(status)
	}
	for deadline := time.Now().Add(20 * time.Second); ; { // the server looks at the file once a second
		if status, _, body = do("GET", "/v1/trails", nil); status == 401 || time.Now().After(deadline) {
			break
		}
	}
	expect("with a token that was revoked", status, "", body, 401, "", "no_credentials")
	if status := p.end(syscall.SIGTERM); status != exitOK || p.stderr.Len() > 0 {
		t.Errorf("it exits with %d:\n%s", status, p.stderr.String())
	}
	in := systemEvents(t, data, event.LoggedIn)
	if len(in) != 3 || in[0]["method"] != "token" || in[0]["by"] != "token:alice" || in[0]["token_id"] != token.ID || in[0]["address"] != "127.0.0.1" {
		t.Errorf("logged in: %v", in)
	}
	if failed := systemEvents(t, data, event.LoginFailed); len(failed) != 1 || failed[0]["what"] != "POST /login" {
		t.Errorf("failed: %v", failed)
	}
	if made := systemEvents(t, data, event.TokenCreated, event.TokenRevoked); len(made) != 2 {
		t.Errorf("tokens: %v", made)
	}
}

// throughProxy speaks plain HTTP with the server, as a proxy in front of it that speaks
// TLS outside.
type throughProxy struct{}

func (throughProxy) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	return http.DefaultTransport.RoundTrip(r)
}

// A server tells when it began, with which settings, what changed since the last time,
// and when it stopped.
func TestServerTellsOfItself(t *testing.T) {
	dir := t.TempDir()
	data, policy := filepath.Join(dir, "data"), filepath.Join(dir, "retention.yaml")
	run := func(args ...string) {
		t.Helper()
		p, _ := startServer(t, data, args...)
		if status := p.end(syscall.SIGTERM); status != exitOK || p.stderr.Len() > 0 {
			t.Fatalf("it exits with %d:\n%s", status, p.stderr.String())
		}
	}
	run()
	run()
	if changed := systemEvents(t, data, event.ServerConfigChanged); len(changed) != 0 {
		t.Errorf("with the same settings: %v", changed)
	}
	writeFile(t, policy, "version: 1\npayloads: 30d\n")
	t.Setenv("CUSTODY_RETENTION_POLICY", policy)
	t.Setenv("CUSTODY_LIMITS_BODY", "32MiB")
	run()
	writeFile(t, policy, "version: 1\npayloads: 60d\n")
	run()
	if err := os.Remove(filepath.Join(data, settingsFile)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CUSTODY_LIMITS_BODY", "16MiB")
	run()
	started, stopped := systemEvents(t, data, event.ServerStarted), systemEvents(t, data, event.ServerStopped)
	if len(started) != 5 || len(stopped) != 5 {
		t.Fatalf("started: %v\nstopped: %v", started, stopped)
	}
	if s := started[0]; s["version"] == "" || s["trails"] != 2.0 || !strings.HasPrefix(fmt.Sprint(s["listen"]), "http://127.0.0.1:") {
		t.Errorf("%v", s)
	}
	if s := stopped[0]; s["uptime_ms"] == nil || s["reason"] != "it was told to stop" {
		t.Errorf("%v", s)
	}
	changed := systemEvents(t, data, event.ServerConfigChanged)
	var names []string
	for i, c := range changed {
		names = append(names, fmt.Sprint(c["changed"]))
		if c["before"] != started[i+1]["config_digest"] || c["digest"] != started[i+2]["config_digest"] {
			t.Errorf("%v does not fit to %v", c, started)
		}
	}
	if want := []string{"[limits.body retention.policy]", "[retention.policy]", "<nil>"}; !slices.Equal(names, want) {
		t.Errorf("changed: %q, want %q", names, want)
	}
}
