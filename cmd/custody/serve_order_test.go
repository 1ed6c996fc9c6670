package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/dualcontrol"
	"github.com/custodylog/custody/internal/vfs"
)

// What is due when a server starts is removed once the start has been told.
func TestNothingIsRemovedBeforeTheStart(t *testing.T) {
	dir := t.TempDir()
	data, config := filepath.Join(dir, "data"), filepath.Join(dir, "custody.yaml")
	if err := os.WriteFile(config, []byte("version: 1\nremoval: {second_person: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, url := startServer(t, data, "--config", config)
	if ok, err := post(url, "e1"); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	bob := newToken(t, data, "bob", "operator,auditor")
	if status := p.end(syscall.SIGTERM); status != exitOK {
		t.Fatalf("exit status %d; standard error:\n%s", status, p.stderr.String())
	}
	requests, err := dualcontrol.Open(vfs.OS{}, filepath.Join(data, dualcontrol.FileName), dualcontrol.Rules{Expires: time.Hour, Now: func() time.Time { return time.Now().Add(-time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	tell := func(*dualcontrol.Request) error { return nil }
	r, err := requests.Add(dualcontrol.Request{Kind: dualcontrol.Erasure, Trail: "default", By: "token:alice", Parameters: json.RawMessage(`{"erasure":{"query":{"session_id":"s"},"ground":"g"},"entries":"1","count":1}`)}, tell)
	if err == nil {
		_, err = requests.Approve(r.ID, &auth.Principal{Name: "token:bob"}, tell)
	}
	if err != nil {
		t.Fatal(err)
	}

	p, url = startServer(t, data, "--config", config)
	for deadline := time.Now().Add(20 * time.Second); ; {
		status, b := call(t, bob, "GET", url+"/v1/requests/"+r.ID, "")
		if strings.Contains(string(b), `"state":"executed"`) {
			break
		}
		if status != http.StatusOK || time.Now().After(deadline) {
			t.Fatalf("it is not done: %d %s", status, b)
		}
	}
	if status := p.end(syscall.SIGTERM); status != exitOK {
		t.Fatalf("exit status %d; standard error:\n%s", status, p.stderr.String())
	}
	started, erased := timesOf(t, data, "system", event.ServerStarted), timesOf(t, data, "default", event.PayloadErased)
	if len(started) != 2 || len(erased) != 1 || !erased[0].After(started[1]) {
		t.Errorf("the server started at %v, and erased at %v", started, erased)
	}
}

// timesOf returns when the entries of a type of a trail were made that no server has open.
func timesOf(t *testing.T, data, trail string, typ event.Type) (all []time.Time) {
	t.Helper()
	opened, err := custody.Open(filepath.Join(data, "trails", trail), &custody.Options{ReadOnly: true, KeyDir: filepath.Join(data, "keys")})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	for e, err := range opened.Entries(t.Context(), custody.Query{Types: []event.Type{typ}}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Time)
	}
	return all
}
