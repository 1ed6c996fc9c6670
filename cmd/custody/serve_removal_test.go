package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// newToken makes a token of a data directory.
func newToken(t *testing.T, data, name, roles string) string {
	t.Helper()
	p := start(t, "", t.TempDir(), "token", "create", "--data", data, "--name", name, "--roles", roles, "--by", "operations", "--json")
	var made struct{ Token string }
	if err := json.Unmarshal([]byte(p.line()), &made); err != nil || made.Token == "" {
		t.Fatalf("%+v, %v", made, err)
	}
	if status := p.wait(); status != exitOK {
		t.Fatalf("exit status %d", status)
	}
	return made.Token
}

// call sends a request with a token and returns the answer.
func call(t *testing.T, token, method, url, body string) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if r.Header.Set("Authorization", "Bearer "+token); body != "" {
		r.Header.Set("Content-Type", "application/json")
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
	return resp.StatusCode, b
}

// eventsOf returns the events of some types of a trail that no server has open.
func eventsOf(t *testing.T, data, trail string, types ...event.Type) (all []event.Event) {
	t.Helper()
	opened, err := custody.Open(filepath.Join(data, "trails", trail), &custody.Options{ReadOnly: true, KeyDir: filepath.Join(data, "keys")})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	for e, err := range opened.Entries(t.Context(), custody.Query{Types: types}) {
		if err != nil {
			t.Fatal(err)
		}
		ev, err := e.Event()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ev)
	}
	return all
}

// One person asks for an erasure and another one approves it, each at a server that is
// then killed; the next one does it, once.
func TestSecondPersonAtTheServer(t *testing.T) {
	dir := t.TempDir()
	data, config, policy := filepath.Join(dir, "data"), filepath.Join(dir, "custody.yaml"), filepath.Join(dir, "retention.yaml")
	for name, content := range map[string]string{config: "version: 1\nremoval: {second_person: true, delay: 1s}\nretention: {policy: " + policy + "}\n", policy: "version: 1\nname: short\npayloads: 30d\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, url := startServer(t, data, "--config", config)
	alice, bob := newToken(t, data, "alice", "operator,auditor"), newToken(t, data, "bob", "operator,auditor")
	if ok, err := post(url, "e1"); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	const erasure = `{"query":{"session_id":"s"},"ground":"GDPR Art. 17(1)(b)"}`
	status, b := call(t, alice, "POST", url+"/v1/trails/default/erasures", erasure)
	var asked struct{ Request struct{ ID string } }
	if err := json.Unmarshal(b, &asked); err != nil || status != http.StatusAccepted {
		t.Fatalf("%d: %s", status, b)
	}
	kill := func() {
		t.Helper()
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		p.wait()
		p, url = startServer(t, data, "--config", config)
	}
	kill()
	request := "/v1/requests/" + asked.Request.ID
	if status, b := call(t, alice, "POST", url+request+"/approve", ""); status != http.StatusForbidden || !strings.Contains(string(b), "same_person") {
		t.Errorf("whoever asked approves: %d: %s", status, b)
	}
	if status, b := call(t, bob, "POST", url+request+"/approve", ""); status != http.StatusOK {
		t.Fatalf("%d: %s", status, b)
	}
	kill()
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, b := call(t, bob, "GET", url+request, "")
		if strings.Contains(string(b), `"state":"executed"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is not done: %s", b)
		}
	}
	// The policy of the configuration waits for somebody to approve it.
	if _, b := call(t, bob, "GET", url+"/v1/requests?open=true", ""); strings.Count(string(b), `"by":"configuration"`) != 1 || !strings.Contains(string(b), "30d instead of forever") {
		t.Errorf("open are %s", b)
	}
	// What the page shows and hands out is told, too.
	for _, path := range []string{"/trails/default/events/0", "/trails/default/events.csv", "/trails/default/events.ndjson"} {
		if status, b := call(t, bob, "GET", url+path, ""); status != http.StatusOK {
			t.Errorf("%s: %d: %s", path, status, b)
		}
	}
	if status := p.end(syscall.SIGTERM); status != exitOK {
		t.Errorf("exit status %d; standard error:\n%s", status, p.stderr.String())
	}
	erased := eventsOf(t, data, "default", event.PayloadErased)
	if len(erased) != 1 || erased[0].Details["by"] != "token:alice" || erased[0].Details["approved_by"] != "token:bob" || erased[0].Details["request_id"] != asked.Request.ID {
		t.Errorf("the events are %+v", erased)
	}
	var told []string
	for _, e := range eventsOf(t, data, "system", event.RemovalRequested, event.RemovalApproved, event.RemovalRefused, event.AccessRead, event.ExportCreated) {
		line := fmt.Sprint(e.Type, " by ", e.Details["by"])
		if e.Type == event.ExportCreated {
			line += fmt.Sprint(" ", e.Details["format"])
		}
		if told = append(told, line); len(e.Defects) > 0 {
			t.Errorf("the event is %+v", e)
		}
	}
	want := "removal_requested by configuration\nremoval_requested by token:alice\nremoval_approved by token:bob\nexport_created by token:bob csv\nexport_created by token:bob ndjson\naccess_read by token:bob"
	if got := strings.Join(told, "\n"); got != want {
		t.Errorf("told are\n%s\nwant\n%s", got, want)
	}
}
