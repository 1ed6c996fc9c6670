package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/tsatest"
	"github.com/custodylog/custody/internal/wire"
)

// run runs the program to its end and returns what it writes, and its exit status.
func run(t *testing.T, dir, keys string, args ...string) (out string, status int) {
	t.Helper()
	p := start(t, dir, keys, args...)
	for p.out.Scan() {
		out += p.out.Text() + "\n"
	}
	status = p.wait()
	return out + p.stderr.String(), status
}

// TestAttested has a trail cosigned by custody witness, time-stamped by OpenSSL and
// published by custody serve-log, and checks all of that.
func TestAttested(t *testing.T) {
	dir, keys := newTrail(t)
	trail, err := custody.Open(dir, &custody.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	vkey := trail.FirstKey()
	trail.Close()
	home := t.TempDir()
	w, _, line := startWitness(t, home, "--log", vkey, "--name", "witness.example.org/w1")
	policy := filepath.Join(home, "policy.txt")
	if err := os.WriteFile(policy, []byte("log "+vkey+"\n"+line+"\nquorum witness.example.org/w1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := func(status int, contains string, args ...string) {
		t.Helper()
		out, got := run(t, dir, keys, args...)
		if got != status || !strings.Contains(out, contains) {
			t.Errorf("custody %s: exit status %d, want %d and %q:\n%s", strings.Join(args, " "), got, status, contains, out)
		}
	}
	want(exitOK, "cosigned", "cosign", "--policy", policy)
	authority := tsatest.New(t, tsatest.Options{})
	tsa := httptest.NewServer(authority)
	defer tsa.Close()
	roots := filepath.Join(authority.Dir, "root.pem")
	want(exitFailure, "127.0.0.1:1", "timestamp", "--tsa", "http://127.0.0.1:1")
	want(exitOK, "is time-stamped", "timestamp", "--tsa", tsa.URL)
	want(exitOK, "witnessed up to entry 0 at ", "verify", "--policy", policy)
	want(exitOK, "time-stamped up to entry 0 at ", "verify", "--policy", policy, "--tsa-roots", roots)
	want(exitOK, "not checked", "verify")
	want(exitOK, "", "record", "--quiet", "--type", "turn_started", "--agent", "a1")
	want(exitOK, "entries 1 to 1 not witnessed", "verify", "--policy", policy)
	want(exitOK, "witnessed up to entry 1 at ", "verify", "--policy", policy, "--witness", "all")
	want(exitFailure, "holds no certificate", "verify", "--tsa-roots", policy)
	want(exitOK, "witness.example.org/w1", "stats")

	// A case with all of it, for somebody who has the policy and the roots.
	zip := filepath.Join(home, "case.zip")
	want(exitOK, "wrote", "bundle", "--to", "1", "--policy", policy, "--out", zip)
	want(exitOK, "witness.example.org/w1 at ", "check", zip, "--policy", policy, "--tsa-roots", roots)

	// What is published is what the witness cosigned.
	served := start(t, dir, keys, "serve-log", "--listen", "127.0.0.1:0")
	url := ""
	for url == "" {
		if name, value, ok := strings.Cut(served.line(), "  "); ok && strings.TrimSpace(name) == "listening" {
			url = strings.TrimSpace(value)
		}
	}
	resp, err := http.Get(url + "/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	published, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || bytes.Count(published, []byte("— ")) != 2 {
		t.Errorf("published is %s (%v)", published, err)
	}
	want(exitOK, "entries 0 to 0 also by a checkpoint that was kept elsewhere", "verify", "--against", url)
	want(exitFailure, "404", "verify", "--against", url+"/nowhere")
	if status := served.end(syscall.SIGTERM); status != exitOK {
		t.Errorf("told to stop, it exits with %d:\n%s", status, served.stderr.String())
	}

	// Without the witness nothing is cosigned, and what is there stays.
	if status := w.end(syscall.SIGTERM); status != exitOK {
		t.Errorf("the witness exits with %d", status)
	}
	want(exitFailure, "no witness cosigned", "cosign", "--policy", policy)
	want(exitOK, "witnessed up to entry 0 at ", "verify", "--policy", policy)
	out, _ := run(t, dir, keys, "verify", "--policy", policy, "--witness", "all", "--json")
	var report wire.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || !report.OK || len(report.Unchecked) == 0 {
		t.Errorf("%s, %v", out, err)
	}
}
