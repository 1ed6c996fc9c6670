package stops_test

import (
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/stops"
)

func open(t testing.TB, dir, keys string) *custody.Trail {
	t.Helper()
	trail, err := custody.Open(dir, &custody.Options{KeyDir: keys, Guard: custody.GuardOff, DiskWarning: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { trail.Close() })
	return trail
}

func TestStops(t *testing.T) {
	dir, keys := t.TempDir()+"/trail", t.TempDir()
	if _, err := custody.Create(dir, custody.CreateOptions{Origin: "example.org/stops", KeyDir: keys}); err != nil {
		t.Fatal(err)
	}
	trail := open(t, dir, keys)
	set, err := stops.Open(t.Context(), trail)
	if err != nil {
		t.Fatal(err)
	}
	stop := func(s custody.Stop) string {
		t.Helper()
		s.TriggeredBy, s.Reason = "operator", "it deletes files"
		r, err := trail.EmergencyStop(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if err := set.Wait(t.Context(), r.Index); err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	a1, s1, p1 := stops.Of{Agent: "a1"}, stops.Of{Agent: "a9", Session: "s1"}, stops.Of{Project: "p1"}
	if set.For(a1) != nil {
		t.Error("stopped before there is a stop")
	}
	agent := stop(custody.Stop{Type: "agent", AffectedAgents: []string{"a0", "a1"}})
	stop(custody.Stop{Type: "session", SessionID: "s1"})
	stop(custody.Stop{Type: "project", ProjectID: "p1"})
	for _, of := range []stops.Of{a1, s1, p1} {
		if s := set.For(of); s == nil || s.By != "operator" || s.Reason != "it deletes files" {
			t.Errorf("%+v: %+v", of, s)
		}
	}
	for _, of := range []stops.Of{{Agent: "a2"}, {Session: "s2"}, {Project: "p2"}, {}} {
		if s := set.For(of); s != nil {
			t.Errorf("%+v is stopped by %+v", of, s)
		}
	}
	r, err := trail.EmergencyStopCleared(t.Context(), agent, "operator", custody.Stop{Reason: "mended"})
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Wait(t.Context(), r.Index); err != nil {
		t.Fatal(err)
	}
	if set.For(a1) != nil {
		t.Error("stopped although the stop was lifted")
	}
	stop(custody.Stop{Type: "global"})
	if set.For(stops.Of{}) == nil {
		t.Error("a global stop does not hold for everybody")
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}

	// The trail is all that is needed to know it again.
	again, err := stops.Open(t.Context(), open(t, dir, keys))
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Active(); len(got) != 3 || got[0].Type != "session" || got[2].Type != "global" {
		t.Errorf("after a restart: %+v", got)
	}
}

// TestStopOfNobody: where it is not clear whom a stop is for, it holds for everybody.
func TestStopOfNobody(t *testing.T) {
	for _, kind := range []string{"agent", "session", "project", "building"} {
		t.Run(kind, func(t *testing.T) {
			dir, keys := t.TempDir()+"/trail", t.TempDir()
			if _, err := custody.Create(dir, custody.CreateOptions{Origin: "example.org/stops", KeyDir: keys}); err != nil {
				t.Fatal(err)
			}
			trail := open(t, dir, keys)
			set, err := stops.Open(t.Context(), trail)
			if err != nil {
				t.Fatal(err)
			}
			r, err := trail.EmergencyStop(t.Context(), custody.Stop{Type: kind, TriggeredBy: "operator", Reason: "drill"})
			if err != nil {
				t.Fatal(err)
			}
			if err := set.Wait(t.Context(), r.Index); err != nil {
				t.Fatal(err)
			}
			if set.For(stops.Of{Agent: "a", Session: "s", Project: "p"}) == nil {
				t.Error("it holds for nobody")
			}
		})
	}
}

// TestWaitForNothing: what never comes is not waited for.
func TestWaitForNothing(t *testing.T) {
	dir, keys := t.TempDir()+"/trail", t.TempDir()
	if _, err := custody.Create(dir, custody.CreateOptions{Origin: "example.org/stops", KeyDir: keys}); err != nil {
		t.Fatal(err)
	}
	trail := open(t, dir, keys)
	set, err := stops.Open(t.Context(), trail)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"open", "closed"} {
		if err := set.Wait(t.Context(), 5); err == nil {
			t.Errorf("%s: entry 5 is taken in, which there is not", state)
		}
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
