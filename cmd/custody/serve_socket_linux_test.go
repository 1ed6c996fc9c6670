package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// overSocket is a client that sends everything over a Unix socket.
func overSocket(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
}

// Who connects to the socket may do what the rules say of their user; the socket is the
// server's alone, and is gone when the server is.
func TestServerListensAtASocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "custody") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "socket")
	configured := func(data, rules string) string {
		return fmt.Sprintf("version: 1\ndata: %s\nlisten: 127.0.0.1:0\norigin: example.org\nsocket: {path: %s, mode: 0600, rules: [%s]}\n", filepath.Join(dir, data), path, rules)
	}
	ask := func(client *http.Client, method, address, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(r)
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
	const turn, events = `{"event_type":"turn_ended","session_id":"s","id":"e1"}`, "/v1/trails/default/events"

	p, url := startConfigured(t, configured("data", fmt.Sprintf(`{match: "uid:%d", roles: [submitter]}`, os.Getuid())))
	client := overSocket(path)
	if status, body := ask(client, "POST", "http://custody"+events, turn); status != http.StatusCreated {
		t.Errorf("%d: %s", status, body)
	}
	if status, body := ask(client, "GET", "http://custody"+events, ""); status != http.StatusForbidden || !strings.Contains(body, fmt.Sprintf("unix:uid=%d may not", os.Getuid())) {
		t.Errorf("%d: %s", status, body)
	}
	if status, body := ask(http.DefaultClient, "GET", url+"/v1/trails/default/ids/e1", ""); !strings.Contains(body, fmt.Sprintf(`"principal":"unix:uid=%d"`, os.Getuid())) {
		t.Errorf("%d: %s", status, body)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	// Another server does not take it away, and says why.
	file := filepath.Join(dir, "other.yaml")
	writeFile(t, file, configured("other", ""))
	other := start(t, "", t.TempDir(), "serve", "--config", file)
	if status := other.wait(); status != exitFailure || !strings.Contains(other.stderr.String(), "another server listens at this socket") {
		t.Errorf("it exits with %d:\n%s", status, other.stderr.String())
	}
	if status, body := ask(client, "POST", "http://custody"+events, strings.Replace(turn, "e1", "e2", 1)); status != http.StatusCreated {
		t.Errorf("%d: %s", status, body)
	}

	// What a server leaves that is killed is no obstacle.
	p.cmd.Process.Kill()
	p.wait()
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("it was to be left: %v", err)
	}
	client.CloseIdleConnections()
	p, _ = startConfigured(t, configured("data", `{match: "uid:4294967294", roles: [submitter]}`))
	if status, body := ask(client, "POST", "http://custody"+events, turn); status != http.StatusUnauthorized || !strings.Contains(body, "no rule of this server is for the user") {
		t.Errorf("%d: %s", status, body)
	}
	if status := p.end(syscall.SIGTERM); status != exitOK {
		t.Errorf("it exits with %d:\n%s", status, p.stderr.String())
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}

	// What is no socket, or somebody else's, stays.
	refused := func(want string) {
		t.Helper()
		p := start(t, "", t.TempDir(), "serve", "--config", file)
		if status := p.wait(); status != exitFailure || !strings.Contains(p.stderr.String(), want) {
			t.Errorf("it exits with %d:\n%s", status, p.stderr.String())
		}
	}
	writeFile(t, path, "a file")
	refused("is there and is no socket")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	refused("another program listens")
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}
