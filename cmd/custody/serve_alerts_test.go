package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hook is somebody who gets alerts.
type hook struct {
	t   *testing.T
	got chan told
	url string

	others []told // that nobody waited for
}

// told is what a webhook is told.
type told struct {
	id   string
	Type string
	Data struct {
		Code, Trail, Rule string
		Index             uint64
	}
}

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{t: t, got: make(chan told, 1000)}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		m := told{id: r.Header.Get("webhook-id")}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Errorf("an alert cannot be read: %v", err)
		}
		h.got <- m
	}))
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

// wait waits for what is told about something.
func (h *hook) wait(typ, about string) told {
	h.t.Helper()
	for timeout := time.After(20 * time.Second); ; {
		select {
		case m := <-h.got:
			if m.Type == typ && (m.Data.Code == about || m.Data.Rule == about) {
				return m
			}
			h.others = append(h.others, m)
		case <-timeout:
			h.t.Fatalf("nobody is told of %s, %s", typ, about)
		}
	}
}

// config writes a configuration with the webhook and a rule.
func (h *hook) config() (name string) {
	h.t.Helper()
	dir := h.t.TempDir()
	name = filepath.Join(dir, "custody.yaml")
	for file, content := range map[string]string{
		filepath.Join(dir, "secret"): hookSecret + "\n",
		name: fmt.Sprintf(`version: 1
alerts:
  every: 1s
  rules: [{name: stops, types: [emergency_stop]}, {name: denied, types: [action_denied]}]
  webhooks: [{name: ops, url: %q, secret_file: %q}]
`, h.url, filepath.Join(dir, "secret")),
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	return name
}

// answered makes a request and returns what was answered. Headers are name and value in
// turn.
func answered(t *testing.T, method, url, body string, headers ...string) (status int, header http.Header, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// wantRefused checks that nothing can be recorded any more, for one of some reasons,
// which it returns.
func wantRefused(t *testing.T, url string, codes ...string) string {
	t.Helper()
	status, header, body := answered(t, http.MethodPost, url+"/v1/trails/default/events", `{"event_type":"turn_ended","session_id":"s"}`)
	var problem struct{ Code string }
	if err := json.Unmarshal([]byte(body), &problem); err != nil || status != http.StatusServiceUnavailable || header.Get("Retry-After") != "60" {
		t.Errorf("recording is answered with %d, %v: %s", status, header, body)
	}
	for _, code := range codes {
		if problem.Code == code {
			return code
		}
	}
	t.Errorf("recording is answered with code %q, and not one of %q", problem.Code, codes)
	return problem.Code
}

// wantNotReady checks that the server says of itself why it cannot record.
func wantNotReady(t *testing.T, url, code string) {
	t.Helper()
	if status, _, body := answered(t, http.MethodGet, url+"/readyz", ""); status != http.StatusServiceUnavailable ||
		!strings.Contains(body, fmt.Sprintf(`"default":%q`, code)) || !strings.Contains(body, fmt.Sprintf(`{"code":%q,"trail":"default"`, code)) {
		t.Errorf("/readyz answers %d: %s", status, body)
	}
	if _, _, body := answered(t, http.MethodGet, url+"/metrics", ""); !strings.Contains(body, fmt.Sprintf(`custody_alerts_active{alert=%q,trail="default"} 1`, code)) {
		t.Error("/metrics does not show the alert")
	}
}

// What the rules of the configuration look for is told to its webhooks, also once the
// server was killed and started again, and every time under the same id.
func TestServerAlerts(t *testing.T) {
	h := newHook(t)
	data, config := filepath.Join(t.TempDir(), "data"), h.config()
	p, url := startServer(t, data, "--config", config)
	const stop = `{"event_type":"emergency_stop","session_id":"s","details":{"reason":"r","triggered_by":"t"}}`
	if status, _, body := answered(t, http.MethodPost, url+"/v1/trails/default/events", stop); status != http.StatusCreated {
		t.Fatalf("%d: %s", status, body)
	}
	first := h.wait("alert.raised", "stops")
	if first.id == "" || first.Data.Trail != "default" || first.Data.Index != 1 {
		t.Errorf("got %+v", first)
	}
	// It is recorded once it is on its way.
	page, want := "", `"alert-`+first.id+`"`
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(page, want); {
		if time.Now().After(deadline) {
			t.Fatalf("the trail system has %s", page)
		}
		_, _, page = answered(t, http.MethodGet, url+"/v1/trails/system/events?event_type=alert_raised", "")
	}
	p.cmd.Process.Kill()
	p.wait()
	p, url = startServer(t, data, "--config", config)
	const denied = `{"event_type":"action_denied","session_id":"s","agent_id":"a","action_id":"x","decision":"deny"}`
	if status, _, body := answered(t, http.MethodPost, url+"/v1/trails/default/events", denied); status != http.StatusCreated {
		t.Fatalf("%d: %s", status, body)
	}
	if second := h.wait("alert.raised", "denied"); second.id == first.id || second.Data.Index != 2 {
		t.Errorf("got %+v", second)
	}
	for _, m := range h.others {
		if m.Data.Rule == "stops" && m.id != first.id { // it may come once more
			t.Errorf("got %+v, after %+v", m, first)
		}
	}
	if status := p.end(syscall.SIGTERM); status != exitOK {
		t.Errorf("exit status %d; standard error:\n%s", status, p.stderr.String())
	}
	if strings.Contains(p.stderr.String(), strings.TrimPrefix(hookSecret, "whsec_")) {
		t.Error("the log has the secret")
	}
}

// A secret that cannot be used keeps the server from starting, and is not shown.
func TestServerNeedsSecret(t *testing.T) {
	h := newHook(t)
	config := h.config()
	secret := filepath.Join(filepath.Dir(config), "secret")
	for content, want := range map[string]string{"": "begins with whsec_", "whsec_c2hvcnQ=": "24 to 64 bytes", "removed": "no such file"} {
		err := os.WriteFile(secret, []byte(content), 0o600)
		if content == "removed" {
			err = os.Remove(secret)
		}
		if err != nil {
			t.Fatal(err)
		}
		p := start(t, "", t.TempDir(), "serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0", "--config", config)
		if status := p.wait(); status != exitFailure || !strings.Contains(p.stderr.String(), want) || !strings.Contains(p.stderr.String(), "alerts.webhooks[0]") || strings.Contains(p.stderr.String(), "c2hvcnQ") {
			t.Errorf("%q: exit status %d: %s", content, status, p.stderr.String())
		}
	}
}

// When the data directory is deleted nothing is acknowledged any more, on streams that
// were open neither, and people are told by another path than the trails.
func TestServerLosesItsData(t *testing.T) {
	h := newHook(t)
	data := filepath.Join(t.TempDir(), "data")
	_, url := startServer(t, data, "--config", h.config())
	if ok, err := post(url, "e1"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	body, feed := io.Pipe()
	defer feed.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/trails/default/events", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	line := func(id string) {
		if _, err := io.WriteString(feed, `{"event_type":"turn_ended","session_id":"s","id":"`+id+`"}`+"\n"); err != nil {
			t.Error(err)
		}
	}
	go line("e2")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answers := bufio.NewScanner(resp.Body)
	if !answers.Scan() || !strings.Contains(answers.Text(), `"receipt"`) {
		t.Fatalf("answered by %q, %v", answers.Text(), answers.Err())
	}
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	go line("e3")
	if !answers.Scan() || !strings.Contains(answers.Text(), `"code":"gone"`) {
		t.Errorf("the stream is answered by %q, %v", answers.Text(), answers.Err())
	}
	wantRefused(t, url, "gone")
	h.wait("operation.alert", "gone")
	wantNotReady(t, url, "gone")
	if _, err := os.Stat(data); err == nil {
		t.Error("the server made the directory again, which hides that it was deleted")
	}
}
