package custody

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/guard"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
	"github.com/custodylog/custody/redaction"
)

// guardName is the name of the file in the key directory that keeps the last
// checkpoint of a fixture's trail.
func guardName(t testing.TB, f *fixture) string {
	return evidence.KeyID(get(evidence.ParseVerifier(f.vkey))(t).KeyHash()) + ".last"
}

// TestReanchor restores yesterday's copy of a trail, and goes on from it.
func TestReanchor(t *testing.T) {
	dir, keys := filepath.Join(t.TempDir(), "trail"), t.TempDir()
	vkey := get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	opts := func() *Options { return &Options{KeyDir: keys, Logger: quiet} }
	trail := get(Open(dir, opts()))(t)
	record(t, trail, turns(1, 5)...)
	must(t, trail.Close())
	yesterday := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(yesterday, os.DirFS(dir)))
	who := Reanchoring{By: "operator", Reason: "the disk failed"}
	if _, err := Reanchor(dir, opts(), who); err == nil || !strings.Contains(err.Error(), "nothing to accept") {
		t.Errorf("nothing was lost: %v", err)
	}
	trail = get(Open(dir, opts()))(t)
	lost := record(t, trail, turns(5, 9)...)
	must(t, trail.Close())
	must(t, os.RemoveAll(dir))
	must(t, os.CopyFS(dir, os.DirFS(yesterday)))

	_, err := Open(dir, opts())
	if !errors.Is(err, ErrRolledBack) || !strings.Contains(err.Error(), "has 5 entries, and a checkpoint of 9 was handed out") || !strings.Contains(err.Error(), "reanchor") {
		t.Fatalf("an older copy: %v", err)
	}
	if got := verify(t, openTrail(t, dir, Options{ReadOnly: true, KeyDir: keys, Guard: filepath.Join(keys, evidence.KeyID(get(evidence.ParseVerifier(vkey))(t).KeyHash())+".last")}), VerifyOptions{}); got != "rolled_back 5" {
		t.Errorf("verification finds %q", got)
	}
	for _, r := range []Reanchoring{{By: "operator"}, {Reason: "r"}} {
		if _, err := Reanchor(dir, opts(), r); err == nil {
			t.Errorf("accepted by %+v", r)
		}
	}
	receipt := get(Reanchor(dir, opts(), who))(t)
	if receipt.Index != 5 {
		t.Errorf("entry %d tells of it", receipt.Index)
	}
	trail = get(Open(dir, opts()))(t)
	record(t, trail, turns(10, 16)...)
	report := wantClean(t, trail)
	if len(report.Breaks) != 1 || report.Breaks[0].Event != 5 || report.Breaks[0].By != "operator" || report.Breaks[0].Reason != who.Reason ||
		string(report.Breaks[0].Lost) != string(lost[len(lost)-1].Checkpoint) {
		t.Errorf("%+v", report.Breaks)
	}
	if got := verify(t, trail, VerifyOptions{Checkpoints: [][]byte{lost[0].Checkpoint}}); got != "forked 0" {
		t.Errorf("against what was lost: %q", got)
	}
	must(t, trail.Close())
	must(t, get(Open(dir, opts()))(t).Close())
	if _, err := Reanchor(dir, opts(), who); err == nil {
		t.Error("accepted a second time")
	}
}

// TestReanchorComesFirst: whatever else opening an older copy has to record, the break
// comes before it. If there is nothing to accept, opening is all that happens.
func TestReanchorComesFirst(t *testing.T) {
	f := get(smallTrail())(t)
	dir, last := f.copyOf(t), filepath.Join(t.TempDir(), "last")
	tear(t, dir, f.size())
	rules := get(redaction.New(redaction.Rules{Common: redaction.Common{Keys: redaction.KeyRules{Extra: []string{"pin"}}}}))(t)
	opts := func() *Options {
		return &Options{KeyDir: f.keys, Guard: last, Redactor: rules, DiskWarning: 100, Logger: quiet}
	}
	types := func(dir string, from uint64) string {
		var types []event.Type
		for _, e := range all(t, openTrail(t, dir, Options{ReadOnly: true, Guard: GuardOff}), Query{From: from}) {
			types = append(types, e.Type)
		}
		return fmt.Sprint(types)
	}

	kept := filepath.Join(t.TempDir(), "kept")
	copyTrail(t, kept, dir)
	must(t, guard.Replace(vfs.OS{}, last, f.earlier))
	if _, err := Reanchor(kept, opts(), Reanchoring{By: "operator", Reason: "r"}); err == nil || !strings.Contains(err.Error(), "nothing to accept") {
		t.Errorf("of a trail that lost nothing: %v", err)
	}
	if got := types(kept, f.size()); !strings.Contains(got, "log_recovered") || strings.Contains(got, "trail_reanchored") {
		t.Errorf("behind a trail that lost nothing come %s", got)
	}

	longer := filepath.Join(t.TempDir(), "longer")
	must(t, os.CopyFS(longer, os.DirFS(f.copyOf(t))))
	trail := openTrail(t, longer, Options{KeyDir: f.keys, Guard: last})
	record(t, trail, turns(100, 110)...)
	must(t, trail.Close())
	receipt := get(Reanchor(dir, opts(), Reanchoring{By: "operator", Reason: "r"}))(t)
	if got := types(dir, f.size()); receipt.Index != f.size() || !strings.HasPrefix(got, "[trail_reanchored ") ||
		!strings.Contains(got, "log_recovered") || !strings.Contains(got, "redaction_changed") {
		t.Errorf("the break is entry %d of a trail that had %d; behind those come %s", receipt.Index, f.size(), got)
	}
	must(t, openTrail(t, dir, *opts()).Close())
}

// TestReanchorEmpty: a trail that lost all of its entries begins as every trail does.
func TestReanchorEmpty(t *testing.T) {
	f := get(smallTrail())(t)
	dir, last := filepath.Join(t.TempDir(), "trail"), filepath.Join(t.TempDir(), "last")
	must(t, filestore.Create(vfs.OS{}, dir, filestore.Meta{Origin: origin, Key: f.vkey}))
	must(t, guard.Replace(vfs.OS{}, last, f.earlier))
	receipt := get(Reanchor(dir, &Options{KeyDir: f.keys, Guard: last, Logger: quiet}, Reanchoring{By: "operator", Reason: "r"}))(t)
	trail := openTrail(t, dir, Options{KeyDir: f.keys, Guard: last})
	if e := eventAt(t, trail, 0); e.Type != event.LogOpened || receipt.Index != 1 {
		t.Errorf("it begins with %s, and the break is entry %d", e.Type, receipt.Index)
	}
	if report := wantClean(t, trail); len(report.Breaks) != 1 {
		t.Errorf("%+v", report.Breaks)
	}
}

// TestGuardDamaged: a record that cannot be read stops the trail, and an operator can
// go on without it.
func TestGuardDamaged(t *testing.T) {
	dir, keys := filepath.Join(t.TempDir(), "trail"), t.TempDir()
	vkey := get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	name := filepath.Join(keys, evidence.KeyID(get(evidence.ParseVerifier(vkey))(t).KeyHash())+".last")
	replace(t, name, []byte("something else"))
	if _, err := Open(dir, &Options{KeyDir: keys, Logger: quiet}); err == nil || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), "reanchor") {
		t.Fatalf("%v", err)
	}
	trail := openTrail(t, dir, Options{ReadOnly: true, Guard: name})
	if report := verifyReport(t, trail, VerifyOptions{}); len(report.Unchecked) != 1 || !report.OK() {
		t.Errorf("%+v", report)
	}
	get(Reanchor(dir, &Options{KeyDir: keys, Logger: quiet}, Reanchoring{By: "b", Reason: "r"}))(t)
	trail = get(Open(dir, &Options{KeyDir: keys, Logger: quiet}))(t)
	defer trail.Close()
	if report := wantClean(t, trail); len(report.Breaks) != 1 || report.Breaks[0].Lost != nil {
		t.Errorf("%+v", report.Breaks)
	}
}

// TestGuardCrash: whenever power is lost, the trail extends what is kept, and a kill
// of the process loses nothing of it.
func TestGuardCrash(t *testing.T) {
	rng := newRand(t)
	disk, key := vfstest.NewMem(), newKey(t)
	get(Create("trail", CreateOptions{Origin: origin, Signer: key, fs: disk}))(t)
	opts := Options{Signer: key, Guard: "keys/last", DiskWarning: -1, Logger: quiet}
	var crashes []*vfstest.Mem
	opts.fs = vfstest.Inject(disk, func(vfstest.Op) vfstest.Fault {
		crashes = append(crashes, disk.CrashClone(rng))
		return vfstest.None
	})
	trail := get(Open("trail", &opts))(t)
	for n := range 20 {
		record(t, trail, turn(n))
	}
	must(t, trail.Close())
	for n, crashed := range crashes {
		o := opts
		o.fs = crashed
		again, err := Open("trail", &o)
		if err != nil {
			t.Fatalf("crash %d of %d: %v", n, len(crashes), err)
		}
		must(t, again.Close())
	}
	// A disk of the keys that is full, or gone, stops no event.
	failing := false
	opts.fs = vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
		if failing && strings.HasPrefix(op.Name, "keys") {
			return vfstest.Fail
		}
		return vfstest.None
	})
	log := &lines{}
	opts.Logger = slog.New(slog.NewTextHandler(log, nil))
	trail = get(Open("trail", &opts))(t)
	failing = true
	record(t, trail, turn(100), turn(101))
	trail.Close()
	if !strings.Contains(log.String(), "last checkpoint") {
		t.Errorf("it is not said: %s", log)
	}
}

// TestGuardAfterRotation: a copy from before a change of key is an older copy.
func TestGuardAfterRotation(t *testing.T) {
	dir, keys := filepath.Join(t.TempDir(), "trail"), t.TempDir()
	get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	next := newKey(t)
	guarded := filepath.Join(keys, "last")
	trail := openTrail(t, dir, Options{KeyDir: keys, Guard: guarded})
	older := filepath.Join(t.TempDir(), "older")
	must(t, os.CopyFS(older, os.DirFS(dir)))
	get(trail.RotateKey(t.Context(), next, "operator", "yearly"))(t)
	record(t, trail, turns(1, 5)...)
	must(t, trail.Close())
	if got := verify(t, openTrail(t, older, Options{ReadOnly: true, Guard: guarded}), VerifyOptions{}); got != "rolled_back 1" {
		t.Errorf("verification finds %q", got)
	}
	if got := verify(t, openTrail(t, dir, Options{ReadOnly: true, Guard: guarded}), VerifyOptions{}); got != "" {
		t.Errorf("of the trail itself it finds %q", got)
	}
}

// TestBreaksAreShown whatever a verification begins at, and no policy removes them.
func TestBreaksAreShown(t *testing.T) {
	c := ahead()
	trail := newTrail(t, Options{now: c.now})
	get(trail.recordSelf(t.Context(), event.Event{Type: event.TrailReanchored, Source: sourceSelf, Details: map[string]any{"by": "b", "reason": "r", "size": 1}}))(t)
	record(t, trail, turns(1, 5)...)
	c.advance(days(100))
	get(trail.ApplyRetention(t.Context(), policyOf(t, "payloads: 10d"), "operations"))(t)
	for _, opts := range []VerifyOptions{{}, {Since: get(trail.Checkpoint(t.Context()))(t)}} {
		if report := verifyReport(t, trail, opts); !report.OK() || len(report.Breaks) != 1 || report.Breaks[0].Reason != "r" {
			t.Errorf("%s: %+v", findings(report), report.Breaks)
		}
	}
}

// TestGuardOlderThanPruned: a record that is older than what was pruned since says
// nothing any more.
func TestGuardOlderThanPruned(t *testing.T) {
	t.Parallel()
	f := get(expiredTrail())(t)
	dir, guarded := f.copyOf(t), filepath.Join(t.TempDir(), "last")
	must(t, guard.Replace(vfs.OS{}, guarded, f.earlier))
	trail := openTrail(t, dir, Options{KeyDir: f.keys, now: later().now})
	get(trail.ApplyRetention(t.Context(), policyOf(t, pruneAll), "operations"))(t)
	must(t, trail.Close())
	if got := verify(t, openTrail(t, dir, Options{ReadOnly: true, Guard: guarded}), VerifyOptions{}); got != "" {
		t.Errorf("verification finds %q", got)
	}
	must(t, openTrail(t, dir, Options{KeyDir: f.keys, Guard: guarded}).Close())
}

func TestReanchorIsReserved(t *testing.T) {
	trail := newTrail(t, Options{})
	if _, err := trail.Record(t.Context(), event.Event{Type: event.TrailReanchored}); err == nil {
		t.Error("a producer recorded a break")
	}
}
