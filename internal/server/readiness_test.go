package server

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
)

// Anybody learns whether the server is ready, and nobody the names of trails who may not.
func TestWhoLearnsWhatIsReady(t *testing.T) {
	s, tokens := newTokenSite(t)
	_, err := s.set.Create("payments")
	must(t, err)
	must(t, s.trail("payments").Close())
	token, _, err := tokens.Create(auth.TokenSpec{Name: "probe", Roles: []auth.Role{auth.Reader}, CreatedBy: "operator"})
	must(t, err)
	for _, tt := range []struct {
		name    string
		headers []string
		names   bool
	}{
		{"nobody", []string{"Test-Roles", ""}, false},
		{"a submitter", []string{"Test-Roles", "submitter"}, false},
		{"a reader of one trail", []string{"Test-Roles", "reader", "Test-Trails", "default"}, false},
		{"a reader", []string{"Test-Roles", "reader"}, true},
		{"a token", []string{"Test-Roles", "", "Authorization", "Bearer " + token}, true},
	} {
		a := s.do("GET", "/readyz", "", tt.headers...).want(503)
		j := decode[readiness](a)
		if j.Ready || j.Failing != 1 || j.Alerting != 0 {
			t.Errorf("%s: %s", tt.name, a.body)
		}
		for _, name := range []string{"payments", "default", "system", "alerts"} {
			if strings.Contains(string(a.body), `"`+name+`"`) != tt.names {
				t.Errorf("%s: %s", tt.name, a.body)
			}
		}
		if tt.names && (j.Trails["payments"] == "ok" || j.Trails[trails.Default] != "ok") {
			t.Errorf("%s: %s", tt.name, a.body)
		}
	}
	s.do("GET", "/readyz", "", "Authorization", "Bearer cst_00000000_x").problem(401, "bad_credentials")
}

// The disks are asked once a second, however many ask.
func TestReadinessIsFoundOnce(t *testing.T) {
	s := newSite(t, Limits{})
	var all sync.Map
	var asking sync.WaitGroup
	for range 50 {
		asking.Go(func() {
			x, err := s.api.writableTrails(t.Context())
			if err != nil {
				t.Error(err)
			}
			all.Store(x, true)
		})
	}
	asking.Wait()
	n := 0
	for range all.Range {
		n++
	}
	if n != 1 {
		t.Errorf("the disks are asked %d times", n)
	}
	first, err := s.api.writableTrails(t.Context())
	must(t, err)
	if first.isOver(first.found.Add(readyFor-time.Nanosecond)) || !first.isOver(first.found.Add(readyFor)) {
		t.Error("it is asked again at another time")
	}
	must(t, s.trail(trails.Default).Close())
	s.api.writing.mu.Lock()
	first.found = first.found.Add(-readyFor)
	s.api.writing.mu.Unlock()
	s.do("GET", "/readyz", "").want(503)
}

// A server that stops is not ready, whatever was found a moment ago.
func TestNotReadyWhenStopped(t *testing.T) {
	s := newSite(t, Limits{})
	s.do("GET", "/readyz", "").want(200)
	s.api.Stop()
	s.do("GET", "/readyz", "").want(503)
}
