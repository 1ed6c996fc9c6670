package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/custodylog/custody"
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

// post records an event and reports whether the server acknowledged it.
func post(url, id string) (acknowledged bool, err error) {
	body := fmt.Sprintf(`{"event_type":"turn_ended","session_id":"s","id":%q}`, id)
	resp, err := http.Post(url+"/v1/trails/default/events", "application/json", strings.NewReader(body))
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusCreated, nil
}

// load records one event after the other from several connections until the server is
// gone, and returns the ids of those that it acknowledged. It calls reached once there
// are enough.
func load(t *testing.T, url, tag string, enough int, reached func()) map[string]bool {
	t.Helper()
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	var senders sync.WaitGroup
	for c := range 8 {
		senders.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%s-%d-%d", tag, c, n)
				ok, err := post(url, id)
				if err != nil {
					return // it is gone
				}
				if !ok {
					continue
				}
				mu.Lock()
				acknowledged[id] = true
				if len(acknowledged) == enough {
					reached()
				}
				mu.Unlock()
			}
		})
	}
	senders.Wait()
	return acknowledged
}

// checkAcknowledged checks that a trail holds events, and checks out.
func checkAcknowledged(t *testing.T, data string, acknowledged map[string]bool) {
	t.Helper()
	trail, err := custody.Open(filepath.Join(data, "trails", "default"), &custody.Options{KeyDir: filepath.Join(data, "keys"), DiskWarning: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	for id := range acknowledged {
		if _, err := trail.EntryByID(t.Context(), id); err != nil {
			t.Errorf("it was acknowledged: %v", err)
		}
	}
	report, err := trail.Verify(t.Context(), custody.VerifyOptions{})
	if err != nil || !report.OK() {
		t.Errorf("verification: %v, %v", report, err)
	}
}

// A server that is killed under load has every event that it acknowledged.
func TestServerIsKilled(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for round := range 3 {
		p, url := startServer(t, data)
		acknowledged := load(t, url, fmt.Sprint("r", round), 200, func() { p.cmd.Process.Kill() })
		p.wait()
		if len(acknowledged) < 200 {
			t.Fatalf("%d events were acknowledged; standard error:\n%s", len(acknowledged), p.stderr.String())
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
			acknowledged := load(t, url, "s", 100, func() { p.cmd.Process.Signal(sig) })
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
	for listen, ok := range map[string]bool{
		"127.0.0.1:0": true, "[::1]:0": true, "localhost:0": true, "127.1.2.3:80": true,
		"0.0.0.0:0": false, "[::]:0": false, ":8420": false, "192.0.2.1:1": false, "example.org:80": false, "nowhere": false, "localhost.example.org:1": false,
	} {
		if err := loopbackOnly(listen); (err == nil) != ok {
			t.Errorf("%s: %v", listen, err)
		}
	}
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, "", t.TempDir(), "serve", "--data", data, "--listen", "0.0.0.0:0")
	if status := p.wait(); status != exitFailure || !strings.Contains(p.stderr.String(), "can be reached from other machines") {
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
		r, err := http.NewRequestWithContext(t.Context(), method, url+"/v1/trails/default/events", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token.Token)
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
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
