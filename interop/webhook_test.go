package interop

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// An alert of the server is one that the library of Standard Webhooks takes with the
// secret, and with no other one.
func TestWebhook(t *testing.T) {
	const secret, other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	verified := make(chan [2]error, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		verified <- [2]error{get(standardwebhooks.NewWebhook(secret))(t).Verify(body, r.Header), get(standardwebhooks.NewWebhook(other))(t).Verify(body, r.Header)}
	}))
	defer receiver.Close()

	dir := t.TempDir()
	config := fmt.Sprintf("version: 1\ndata: %q\nlisten: 127.0.0.1:0\norigin: example.org\nalerts:\n"+
		"  rules: [{name: stops, types: [emergency_stop]}]\n  webhooks: [{name: ops, url: %q, secret_env: WEBHOOK_SECRET}]\n", filepath.Join(dir, "data"), receiver.URL)
	must(t, os.WriteFile(filepath.Join(dir, "custody.yaml"), []byte(config), 0o600))
	server := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(fsckProgram), "custody"), "serve", "--config", filepath.Join(dir, "custody.yaml"))
	server.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret)
	server.Stderr = t.Output()
	out := get(server.StdoutPipe())(t)
	must(t, server.Start())
	defer func() {
		must(t, server.Process.Signal(os.Interrupt))
		must(t, server.Wait())
	}()
	url := ""
	for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), "  "); name == "listening" {
			url = strings.TrimSpace(value)
		}
	}
	resp := get(http.Post(url+"/v1/trails/default/events", "application/json", strings.NewReader(`{"event_type":"emergency_stop","session_id":"s"}`)))(t)
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status)
	}
	select {
	case errs := <-verified:
		if errs[0] != nil || errs[1] == nil {
			t.Errorf("with the secret: %v; with another: %v", errs[0], errs[1])
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no alert came")
	}
}
