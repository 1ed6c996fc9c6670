package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startServer starts custody serve in a data directory and returns its address.
func startServer(t *testing.T, data string, args ...string) (p *process, url string) {
	t.Helper()
	p = start(t, "", t.TempDir(), append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--origin", "example.org"}, args...)...)
	said := map[string]string{}
	for said["description"] == "" {
		name, value, _ := strings.Cut(p.line(), "  ")
		said[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return p, said["listening"]
}

// A server that is killed under load has every event that it acknowledged, however it
// was sent.
func TestServerIsKilled(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for round := range 3 {
		p, url := startServer(t, data)
		acknowledged := load(t, url, fmt.Sprint("r", round), 1000, func() { p.cmd.Process.Kill() })
		p.wait()
		for way, n := range byWay(acknowledged) {
			if n == 0 {
				t.Fatalf("nothing was acknowledged of %s; standard error:\n%s", way, p.stderr.String())
			}
		}
		checkAcknowledged(t, data, acknowledged)
	}
}

// A server that is told to stop under load answers what is under way, and exits well.
func TestServerStops(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			p, url := startServer(t, data)
			// What would wait for ever ends as well.
			stream, err := http.Get(url + "/v1/trails/default/stream?from_index=0")
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Body.Close()
			acknowledged := load(t, url, "s", 500, func() { p.cmd.Process.Signal(sig) })
			if status := p.wait(); status != exitOK || p.stderr.Len() > 0 {
				t.Errorf("exit status %d; standard error:\n%s", status, p.stderr.String())
			}
			if b, err := io.ReadAll(stream.Body); err != nil || !bytes.Contains(b, []byte("id: 0\n")) {
				t.Errorf("the stream had %.60q and ended with %v", b, err)
			}
			checkAcknowledged(t, data, acknowledged)
		})
	}
}

// A second signal ends a server at once that waits for a client.
func TestSecondSignal(t *testing.T) {
	p, url := startServer(t, filepath.Join(t.TempDir(), "data"))
	body, feed := io.Pipe()
	defer feed.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/trails/default/events", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	go io.WriteString(feed, `{"event_type":"turn_ended","session_id":"s","id":"e"}`+"\n")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answers := bufio.NewScanner(resp.Body)
	if !answers.Scan() || !strings.Contains(answers.Text(), `"receipt"`) {
		t.Fatalf("answered by %q, %v", answers.Text(), answers.Err())
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	// It takes no connections any more when it has the first signal.
	for {
		resp, err := http.Get(url + "/healthz")
		if err != nil {
			break
		}
		resp.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	}
	if status := p.end(os.Interrupt); status == exitOK {
		t.Error("it ended well, although somebody was still sending")
	}
	if answers.Scan(); answers.Err() == nil {
		t.Error("the request was not cut off")
	}
}

// One server works in a data directory at a time; other commands read there.
func TestSecondServer(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	first, url := startServer(t, data)
	if ok, err := post(url, "e1"); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	second := start(t, "", t.TempDir(), "serve", "--data", data, "--listen", "127.0.0.1:0")
	if status := second.wait(); status != exitFailure {
		t.Errorf("exit status %d", status)
	}
	for _, want := range []string{fmt.Sprintf("pid %d on ", first.cmd.Process.Pid), "hint: one server works in a data directory at a time"} {
		if !strings.Contains(second.stderr.String(), want) {
			t.Errorf("standard error has no %q:\n%s", want, second.stderr.String())
		}
	}
	show := start(t, filepath.Join(data, "trails", "default"), t.TempDir(), "show", "e1", "--json")
	var shown struct{ Index uint64 }
	if err := json.Unmarshal([]byte(show.line()), &shown); err != nil || shown.Index != 1 {
		t.Errorf("%+v, %v", shown, err)
	}
	show.wait()
	if ok, err := post(url, "e2"); !ok || err != nil {
		t.Errorf("the first server: %v, %v", ok, err)
	}
}

// It does not listen where others than this machine can reach it.
func TestServerListensOnLoopback(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, "", t.TempDir(), "serve", "--data", data, "--listen", "0.0.0.0:0")
	if status := p.wait(); status != exitFailure || !strings.Contains(p.stderr.String(), "can be reached by others") {
		t.Errorf("exit status %d; standard error:\n%s", status, p.stderr.String())
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it made %s: %v", data, err)
	}
}

// Whoever sends a token may do what that allows, and events name who it is; a token
// that was revoked meanwhile is refused.
func TestServerTakesTokens(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	_, url := startServer(t, data)
	create := start(t, "", t.TempDir(), "token", "create", "--data", data, "--name", "ci", "--roles", "submitter", "--by", "operator", "--json")
	var token struct{ ID, Token string }
	if err := json.Unmarshal([]byte(create.line()), &token); err != nil {
		t.Fatal(err)
	}
	create.wait()
	with := func(method, body string) (status int, answer string) {
		t.Helper()
		status, _, answer = answered(t, method, url+"/v1/trails/default/events", body, "Authorization", "Bearer "+token.Token)
		return status, answer
	}
	const turn = `{"event_type":"turn_ended","session_id":"s","id":"e1"}`
	if status, answer := with(http.MethodPost, turn); status != http.StatusCreated {
		t.Fatalf("%d: %s", status, answer)
	}
	if status, answer := with(http.MethodGet, ""); status != http.StatusForbidden {
		t.Errorf("%d: %s", status, answer)
	}
	resp, err := http.Get(url + "/v1/trails/default/ids/e1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || !bytes.Contains(b, []byte(`"principal":"token:ci"`)) {
		t.Errorf("%s, %v", b, err)
	}
	if status := start(t, "", t.TempDir(), "token", "revoke", token.ID, "--data", data, "--by", "operator").wait(); status != exitOK {
		t.Fatalf("revoking exits with %d", status)
	}
	// The server looks at the file once a second.
	status, answer := with(http.MethodPost, turn)
	for deadline := time.Now().Add(20 * time.Second); status != http.StatusUnauthorized && time.Now().Before(deadline); {
		status, answer = with(http.MethodPost, turn)
	}
	if status != http.StatusUnauthorized || !strings.Contains(answer, `"code":"revoked"`) {
		t.Errorf("%d: %s", status, answer)
	}
}

// The page is where the server is, for people on this machine and for whoever sends a
// token, and for no web page of others.
func TestServerShowsThePage(t *testing.T) {
	p, url := startServer(t, filepath.Join(t.TempDir(), "data"))
	if ok, err := post(url, "shown-1"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, c := range []struct {
		path, host, token string
		status            int
		contains          string
	}{
		{"/", "", "", http.StatusOK, "<html"},
		{"/trails/default/events", "", "", http.StatusOK, "turn_ended"},
		{"/trails/default/integrity", "", "", http.StatusOK, "example.org/default"},
		{"/trails/nowhere", "", "", http.StatusNotFound, ""},
		{"/trails/default/events", "elsewhere.example", "", http.StatusForbidden, ""},
		{"/trails/default/events", "", "cst_00000000_x", http.StatusUnauthorized, ""},
	} {
		req, err := http.NewRequest(http.MethodGet, url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.host != "" {
			req.Host = c.host
		}
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.contains) {
			t.Errorf("%+v: %s %.200q (%v)", c, resp.Status, body, err)
		}
	}
	if status := p.end(syscall.SIGTERM); status != exitOK {
		t.Errorf("it exits with %d:\n%s", status, p.stderr.String())
	}
}

// TestServerConfigured speaks TLS with the certificate of the configuration, takes a new
// one without being started again, knows nobody without a token, and has its trails
// cosigned.
func TestServerConfigured(t *testing.T) {
	dir := t.TempDir()
	name := func(base string) string { return filepath.Join(dir, base) }
	write := func(base, content string) {
		t.Helper()
		if err := os.WriteFile(name(base), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := newCertificateFiles(t, name("cert.pem"), name("key.pem"))
	write("retention.yaml", "version: 1\npayloads: 30d\n")
	write("custody.yaml", fmt.Sprintf(`
version: 1
data: %s
listen: 127.0.0.1:0
origin: example.org
tls: {certificate: %s, key: %s}
unprotected: {behind_proxy: true}
retention: {policy: %s, every: 1h, by: operations}
`, name("data"), name("cert.pem"), name("key.pem"), name("retention.yaml")))
	p := start(t, "", t.TempDir(), "serve", "--config", name("custody.yaml"))
	url := ""
	for url == "" {
		if field, value, _ := strings.Cut(p.line(), "  "); strings.TrimSpace(field) == "listening" {
			url = strings.TrimSpace(value)
		}
	}
	get := func(certificate *x509.Certificate) (int, error) {
		roots := x509.NewCertPool()
		roots.AddCert(certificate)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
		defer client.CloseIdleConnections()
		resp, err := client.Get(url + "/v1/trails")
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.StatusCode, nil
	}
	if status, err := get(first); status != http.StatusUnauthorized || !strings.HasPrefix(url, "https://") {
		t.Errorf("%s: without a token: %d (%v)", url, status, err)
	}
	second := newCertificateFiles(t, name("cert.pem"), name("key.pem"))
	if status, err := get(second); status != http.StatusUnauthorized {
		t.Errorf("with the new certificate: %d (%v)", status, err)
	}
	if _, err := get(first); err == nil {
		t.Error("the old certificate is still shown")
	}
	write("cert.pem", "no certificate")
	if status, err := get(second); status != http.StatusUnauthorized {
		t.Errorf("with a certificate that cannot be read: %d (%v)", status, err)
	}
	if status := p.end(syscall.SIGTERM); status != exitOK {
		t.Errorf("it exits with %d:\n%s", status, p.stderr.String())
	}
	for what, settings := range map[string][]string{
		"certificate": {"CUSTODY_TLS_CERTIFICATE=" + name("none"), "CUSTODY_TLS_KEY=" + name("none")},
		"policy":      {"CUSTODY_RETENTION_POLICY=" + name("none")},
		"witnesses":   {"CUSTODY_WITNESSES_POLICY=" + name("custody.yaml")},
		"redaction":   {"CUSTODY_REDACTION=" + name("none")},
	} {
		t.Run(what, func(t *testing.T) {
			for _, s := range settings {
				variable, value, _ := strings.Cut(s, "=")
				t.Setenv(variable, value)
			}
			p := start(t, "", t.TempDir(), "serve", "--listen", "127.0.0.1:0", "--data", name("data"))
			if status := p.wait(); status != exitFailure || p.stderr.Len() == 0 {
				t.Errorf("it exits with %d: %s", status, p.stderr.String())
			}
		})
	}
}

// newCertificateFiles makes a certificate for 127.0.0.1 and writes it with its key.
func newCertificateFiles(t *testing.T, cert, key string) *x509.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
