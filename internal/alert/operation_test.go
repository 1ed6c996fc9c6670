package alert

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// A data directory that is taken away while the server runs is told of without it, and
// so is that it is back.
func TestGone(t *testing.T) {
	s := newSite(t, Config{})
	s.start()
	must(t, os.Rename(s.dir, s.dir+".away"))
	var codes []string
	for range 3 {
		got := s.get()
		if got.Type != "operation.alert" || got.id == "" {
			t.Errorf("got %s", got.body)
		}
		codes = append(codes, got.Alert.Code+" "+got.Alert.Trail)
	}
	// Nor can be said how much room is left.
	if slices.Sort(codes); strings.Join(codes, ", ") != "disk_unknown , gone default, gone system" {
		t.Errorf("got %q", codes)
	}
	if active := s.alerts.Active(); len(active) != 3 || !active[0].Stops || active[0].Code != "gone" || active[2].Stops {
		t.Errorf("the page shows %+v", active)
	}
	if got := s.metric("custody_alerts_active"); got != 3 {
		t.Errorf("the metrics show %g", got)
	}
	must(t, os.Rename(s.dir+".away", s.dir))
	for range 3 {
		if got := s.get(); got.Type != "operation.recovered" {
			t.Errorf("got %s", got.body)
		}
	}
	s.none()
}

func TestVerified(t *testing.T) {
	s := newSite(t, Config{})
	s.start()
	s.alerts.Verified(trails.Default, 2)
	if got := s.get(); got.Alert.Code != "verification_failed" || got.Alert.Trail != "default" || !strings.Contains(got.Alert.Detail, "2 findings") {
		t.Errorf("got %s", got.body)
	}
	s.alerts.Verified(trails.Default, 0)
	if got := s.get(); got.Type != "operation.recovered" {
		t.Errorf("got %s", got.body)
	}
}

// A disk on which nothing can be kept delays no alert, and is told of.
func TestNothingCanBeKept(t *testing.T) {
	s := newSite(t, Config{Rules: denials(1)})
	s.start()
	s.stop()
	s.start()
	var tries atomic.Int32 // to note it
	s.alerts.fs = vfstest.Inject(vfs.OS{}, func(op vfstest.Op) vfstest.Fault {
		if op.Kind != vfstest.Create {
			return vfstest.None
		}
		if strings.Contains(op.Name, "default.json") {
			tries.Add(1)
		}
		return vfstest.Fail
	})
	s.alerts.queue.fs = s.alerts.fs
	s.deny("a")
	if got := s.get(); got.Type != "alert.raised" {
		t.Errorf("got %s", got.body)
	}
	s.until("following fails", func() bool {
		s.alerts.mu.Lock()
		defer s.alerts.mu.Unlock()
		for _, f := range s.alerts.followers {
			if !f.failing.IsZero() {
				f.failing = f.failing.Add(-failingFor) // for long
				return true
			}
		}
		return false
	})
	if got := s.get(); got.Alert.Code != "follower_failing" {
		t.Errorf("got %s", got.body)
	}
	s.until("it was tried to note it again", func() bool { return tries.Load() >= 3 })
	if raised := s.metric("custody_alerts_raised_total"); raised != 2 {
		t.Errorf("%g alerts were raised", raised)
	}
	s.none()
}

// A trail that is open for reading only stops the recording in it alone.
func TestTrouble(t *testing.T) {
	s := newSite(t, Config{})
	s.start()
	if code, _ := trouble(t.Context(), s.trail(trails.Default), time.Minute); code != "" {
		t.Errorf("a trail that works has %q", code)
	}
	reading := &trails.Trail{Trail: s.trail(trails.Default).Trail, Err: errors.New("its key is missing")}
	if code, detail := trouble(t.Context(), reading, time.Minute); code != "read_only" || !strings.Contains(detail, "its key is missing") {
		t.Errorf("got %s: %s", code, detail)
	}
	must(t, s.trail(trails.Default).Close())
	if code, detail := trouble(t.Context(), s.trail(trails.Default), time.Minute); code != "" {
		t.Errorf("a trail that is closed has %s: %s", code, detail)
	}
	for code, err := range map[string]error{
		"disk_full": syscall.ENOSPC, "failed": syscall.EROFS, "timeout": context.DeadlineExceeded, "": nil,
	} {
		got, detail := failure(err, time.Minute)
		if got != code || code == "timeout" && detail != "the disk has not answered for 1m0s" {
			t.Errorf("%v is %s: %s", err, got, detail)
		}
	}
}

// Entries that no witness cosigns for long are told of.
func TestUnwitnessed(t *testing.T) {
	s := newSite(t, Config{})
	s.start()
	watching := &Alerts{trails: s.set, witnesses: true, wait: time.Minute, asked: inquiries{}, late: map[string]time.Duration{}}
	for patience, want := range map[time.Duration]bool{0: true, time.Hour: false} {
		watching.witnessed, watching.patience = time.Time{}, patience
		if _, late := watching.look(t.Context())[key{"witness_late", trails.Default}]; late != want {
			t.Errorf("with a patience of %s: %t", patience, late)
		}
	}
}

// A disk that hangs under one trail is told of as that of this trail alone, and what is
// wrong with the others is told all the same.
func TestHangingDisk(t *testing.T) {
	set, err := trails.Open(trails.Config{Dir: t.TempDir(), Origin: "example.org", Options: custody.Options{Logger: slog.New(slog.DiscardHandler), DiskWarning: -1}})
	must(t, err)
	t.Cleanup(func() { set.Close() })
	system, err := set.Get(trails.System)
	must(t, err)
	system.Err = errors.New("its key is missing")
	watching := &Alerts{trails: set, wait: 500 * time.Millisecond, asked: inquiries{}, late: map[string]time.Duration{}}
	hang := make(chan answer, 1)
	watching.asked[trails.Default] = hang // asked before, and not answered
	if now := watching.look(t.Context()); len(now) != 2 || now[key{"timeout", trails.Default}].Detail != "the disk has not answered for 500ms" || !now[key{"timeout", trails.Default}].Stops || !now[key{"read_only", trails.System}].Stops {
		t.Errorf("%+v", now)
	}
	hang <- answer{}
	watching.asked[""] = make(chan answer)
	if now := watching.look(t.Context()); len(now) != 2 || !strings.Contains(now[key{"disk_unknown", ""}].Detail, "not answered") || now[key{"read_only", trails.System}].Code == "" {
		t.Errorf("%+v", now)
	}
}

// While the place of the rules in a new trail is written, which a disk may take long
// for, what is wrong can be asked.
func TestSlowStateFile(t *testing.T) {
	s := newSite(t, Config{Rules: denials(1)})
	s.start()
	writing, written := make(chan struct{}), make(chan struct{})
	begins := sync.OnceFunc(func() { close(writing) })
	s.alerts.fs = vfstest.Inject(vfs.OS{}, func(op vfstest.Op) vfstest.Fault {
		if op.Kind == vfstest.Create && strings.Contains(op.Name, "slow.json") {
			begins()
			<-written
		}
		return vfstest.None
	})
	made := make(chan error, 1)
	go func() {
		_, err := s.set.Create("slow")
		made <- err
	}()
	<-writing
	asked := make(chan []Alert, 1)
	go func() { asked <- s.alerts.Active() }()
	select {
	case all := <-asked:
		if len(all) > 0 {
			t.Errorf("%+v", all)
		}
	case <-time.After(20 * time.Second):
		t.Error("it has to wait for the disk")
	}
	close(written)
	must(t, <-made)
}
