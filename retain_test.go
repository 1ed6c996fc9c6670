package custody

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/testlong"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
	"github.com/custodylog/custody/retention"
)

// policyOf reads a policy.
func policyOf(t testing.TB, yaml string) retention.Policy {
	t.Helper()
	return get(retention.Parse("policy.yaml", []byte("version: 1\n"+yaml)))(t)
}

// ahead returns a clock that is ahead of that of the machine, which the first entry
// of a trail is made by.
func ahead() *clock { return &clock{at: time.Now().UTC().AddDate(0, 0, 1)} }

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

func TestRetention(t *testing.T) {
	c := ahead()
	trail := newTrail(t, Options{fs: vfstest.NewMem(), Signer: newKey(t), DiskWarning: -1, now: c.now})
	ask := func(project string) event.Event {
		return event.Event{Type: event.ApprovalRequested, AgentID: "a", ProjectID: project, Details: map[string]any{"approval_id": "x"}}
	}
	record(t, trail, about("u", "p1", 0), about("u", "p2", 0), ask("p1"), ask("p2")) // 1 to 4
	c.advance(days(20))
	record(t, trail, about("u", "p1", 1), about("u", "p2", 1), ask("p1")) // 5 to 7
	c.advance(days(20))
	record(t, trail, about("u", "p1", 2))                                                                                   // 8
	hold := get(trail.PlaceHold(t.Context(), Hold{Query: Query{ProjectID: "p1", To: 2}, Reason: "case", By: "counsel"}))(t) // 9

	p := policyOf(t, `
payloads: 30d
rules:
  - {name: approvals, families: [approval], projects: [p1], payloads: forever}
  - {name: p2, projects: [p2], payloads: 15d}
`)
	plan := get(trail.PlanRetention(t.Context(), p))(t)
	// Older than 30 days: 0 (the trail's own), 1 (held), 2 (p2), 3 (kept for
	// ever), 4 (p2). Older than 15 days and of p2: 6 as well.
	if got := plan.Payloads.String(); got != "2,4,6" {
		t.Errorf("would expire: %s", got)
	}
	var bytes int
	for i := range plan.Payloads.All() {
		bytes += len(get(trail.Entry(t.Context(), i))(t).Payload)
	}
	if plan.Bytes != uint64(bytes) {
		t.Errorf("%d bytes would expire, want %d", plan.Bytes, bytes)
	}
	if len(plan.Held) != 1 || plan.Held[0].Hold.ID != hold.ID || plan.Held[0].Entries.String() != "1" {
		t.Errorf("held: %+v", plan.Held)
	}
	if got := fmt.Sprintf("%s %d, %s %d", plan.Rules[0].Name, plan.Rules[0].Count, plan.Rules[1].Name, plan.Rules[1].Count); len(plan.Rules) != 2 || got != "p2 3, default 0" {
		t.Errorf("%s: %+v", got, plan.Rules)
	}
	size := trail.Size()
	run := get(trail.ApplyRetention(t.Context(), p, "operations"))(t)
	if len(run.Events) != 1 || trail.Size() != size+1 {
		t.Fatalf("%d events for one run", len(run.Events))
	}
	e := get(trail.Entry(t.Context(), run.Events[0]))(t)
	ev := get(e.Event())(t)
	if ev.Details["indices"] != "2,4,6" || ev.Details["policy"] != p.Name || fmt.Sprint(ev.Details["held"]) != "1" {
		t.Errorf("the event says %v", ev.Details)
	}
	var left []uint64
	for _, e := range all(t, trail, Query{}) {
		if e.Payload != nil {
			left = append(left, e.Index)
		}
	}
	if want := []uint64{0, 1, 3, 5, 7, 8, 9, 10}; !slices.Equal(left, want) {
		t.Errorf("payloads left: %v, want %v", left, want)
	}
	wantClean(t, trail)
	if run := get(trail.ApplyRetention(t.Context(), p, "operations"))(t); len(run.Events) != 0 {
		t.Errorf("applied again, it removed %s", run.Payloads)
	}
	get(trail.ReleaseHold(t.Context(), hold.ID, "counsel", "over"))(t)
	if run := get(trail.ApplyRetention(t.Context(), p, "operations"))(t); run.Payloads.String() != "1" {
		t.Errorf("after the hold, %s", run.Payloads)
	}
	report := get(trail.Verify(t.Context(), VerifyOptions{}))(t)
	if !report.OK() || len(report.Removed) != 2 || report.Removed[0].Gone != 3 || report.Removed[1].Gone != 1 {
		t.Errorf("%v %+v", report.Findings, report.Removed)
	}
}

// wantProvable proves an entry, with its payload if that is held.
func wantProvable(t *testing.T, trail *Trail, e Entry) {
	t.Helper()
	p, err := trail.Prove(t.Context(), e.Index, ProveOptions{Payload: e.Payload != nil})
	if err == nil {
		_, err = p.Check(believing(t, trail))
	}
	if err != nil {
		t.Fatalf("entry %d cannot be proved: %v", e.Index, err)
	}
}

// wantGone looks for salts in every file of a trail.
func wantGone(t *testing.T, disk *vfstest.Mem, salts [][]byte) {
	t.Helper()
	if len(salts) == 0 {
		return
	}
	for _, dir := range []string{"trail", "trail/tail", "trail/segments"} {
		names, err := disk.List(dir)
		must(t, err)
		for _, name := range names {
			b, err := vfs.ReadFile(disk, filepath.Join(dir, name), 1<<30)
			if err != nil {
				continue // a directory
			}
			for _, salt := range salts {
				if bytes.Contains(b, salt) {
					t.Fatalf("a salt that was removed is still in %s/%s", dir, name)
				}
			}
		}
	}
}

// TestScheduleRetention: a policy is applied at once and at every interval.
func TestScheduleRetention(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		trail := onMem(t, Options{})
		defer trail.Close()
		p := policyOf(t, "payloads: 30d")
		record(t, trail, about("u", "p", 0))
		s := get(trail.ScheduleRetention(p, "operations", 24*time.Hour))(t)
		synctest.Wait()
		if last := s.Status(); last.Err != nil || last.Run == nil || len(last.Run.Events) != 0 {
			t.Errorf("at once: %+v", last)
		}
		<-time.After(days(31))
		synctest.Wait()
		if e := get(trail.Entry(t.Context(), 1))(t); e.Payload != nil || len(get(trail.Removals(t.Context()))(t)) != 1 {
			t.Error("after 31 days the payload is there")
		}
		s.Stop()
		record(t, trail, about("u", "p", 1))
		<-time.After(days(40))
		synctest.Wait()
		if n := len(get(trail.Removals(t.Context()))(t)); n != 1 {
			t.Errorf("stopped, it went on: %d removals", n)
		}
		get(trail.ScheduleRetention(p, "operations", time.Hour))(t)
		must(t, trail.Close()) // does not wait for ever
		if _, err := trail.ScheduleRetention(p, "operations", time.Hour); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
	trail := newTrail(t, Options{})
	for what, call := range map[string]func() error{
		"name":     func() error { _, err := trail.ScheduleRetention(retention.Default(), "", time.Hour); return err },
		"interval": func() error { _, err := trail.ScheduleRetention(retention.Default(), "b", 0); return err },
		"policy":   func() error { _, err := trail.ScheduleRetention(retention.Policy{}, "b", time.Hour); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("without %s: %v", what, err)
		}
	}
}

// TestLifecycle does at random what may be done to a trail, crashes included. After
// each step the trail checks out, what is left can be read, and each payload that
// is missing is listed by exactly one event.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	disk, key := vfstest.NewMem(), newKey(t)
	get(Create("trail", CreateOptions{Origin: origin, Signer: key, fs: disk}))(t)
	lifecycle(t, disk, Options{Signer: key}, ahead(), 150, policyOf(t, "payloads: 30d\nrules: [{name: p1, projects: [p1], payloads: 10d}]"))
}

// TestLifecyclePruned does the same to a trail that is large enough to be pruned.
func TestLifecyclePruned(t *testing.T) {
	t.Parallel()
	disk, keys := expiredOnDisk(t)
	p := policyOf(t, "payloads: 30d\nentries: 30d\nrules: [{name: p1, projects: [p1], payloads: 10d}]")
	trail := lifecycle(t, disk, Options{KeyDir: keys}, later(), testlong.Of(8, 20), p)
	// If chance has not done it.
	get(trail.ApplyRetention(t.Context(), p, "operations"))(t)
	wantClean(t, trail)
	if trail.First() != 2*segment.Entries {
		t.Errorf("it was pruned up to %d", trail.First())
	}
}

// wantStops takes in the stops of a trail, and what lifted them. What is gone may not
// keep anybody from telling which of those that there were hold.
func wantStops(t *testing.T, entries []Entry, after string, stops map[string]*struct{ at, ends evidence.Ranges }) {
	t.Helper()
	var held evidence.Ranges // payloads
	for _, e := range entries {
		if e.Payload == nil {
			continue
		}
		held.Add(e.Index)
		ev := get(e.Event())(t)
		switch e.Type {
		case event.EmergencyStop:
			if stops[ev.ID] == nil {
				stops[ev.ID] = &struct{ at, ends evidence.Ranges }{at: evidence.RangesOf([]uint64{e.Index})}
			}
		case event.EmergencyStopCleared:
			s := stops[ev.Details["stop_event_id"].(string)]
			s.ends = s.ends.Union(evidence.RangesOf([]uint64{e.Index}))
		}
	}
	for id, s := range stops {
		there, ends := len(s.at.Intersect(held)) > 0, s.ends.Intersect(held)
		if !there && len(s.ends) == 0 {
			t.Fatalf("after %s: the payload of %s is gone, which nobody lifted", after, id)
		}
		if there && len(ends) < len(s.ends) {
			t.Fatalf("after %s: of %s, which lifted %s, only %s is left", after, s.ends, id, ends)
		}
	}
}

func lifecycle(t *testing.T, disk *vfstest.Mem, opts Options, c *clock, steps int, p retention.Policy) *Trail {
	rng := newRand(t)
	opts.DiskWarning, opts.now, opts.Logger = -1, c.now, quiet
	var trail *Trail
	open := func(decide func(vfstest.Op) vfstest.Fault) (err error) {
		o := opts
		o.fs = vfstest.Inject(disk, decide)
		trail, err = Open("trail", &o)
		return err
	}
	never := func(vfstest.Op) vfstest.Fault { return vfstest.None }
	must(t, open(never))
	t.Cleanup(func() { trail.Close() })
	users, projects := []string{"u1", "u2", "u3"}, []string{"p1", "p2"}
	stops := map[string]*struct{ at, ends evidence.Ranges }{} // that there were, by their ids
	one := func(from []string) string { return from[rng.IntN(len(from))] }
	step := func() string {
		ctx := t.Context()
		switch n := rng.IntN(12); {
		case n < 5:
			for range 1 + rng.IntN(8) {
				trail.Record(ctx, about(one(users), one(projects), rng.IntN(1<<30)))
			}
			return "record"
		case n == 10:
			stop := stopBy(fmt.Sprint("stop-", rng.IntN(1<<30)), one(users))
			stop.ProjectID = one(projects)
			trail.Record(ctx, stop)
			return "stop"
		case n == 11:
			if len(stops) > 0 {
				trail.Record(ctx, cleared("", one(slices.Sorted(maps.Keys(stops))), one(users)))
			}
			return "lift"
		case n == 5:
			c.advance(days(rng.IntN(12)))
			return "wait"
		case n == 6:
			trail.PlaceHold(ctx, Hold{Query: Query{UserID: one(users), ProjectID: one(projects)}, Reason: "r", By: "b"})
			return "hold"
		case n == 7:
			if holds, err := trail.Holds(ctx); err == nil && len(holds) > 0 {
				trail.ReleaseHold(ctx, holds[rng.IntN(len(holds))].ID, "b", "r")
			}
			return "release"
		case n == 8:
			trail.ApplyRetention(ctx, p, "b")
			return "expire"
		default:
			trail.Erase(ctx, Erasure{Query: Query{UserID: one(users)}, Ground: "g", By: "b", ExceptHeld: rng.IntN(2) == 0})
			return "erase"
		}
	}
	salts := map[uint64][]byte{} // of the payloads that were there
	for range steps * *rounds {
		what := ""
		if rng.IntN(3) == 0 {
			// Power is lost at some operation of the step.
			trail.Close()
			at, n := rng.IntN(60), 0
			var crashed *vfstest.Mem
			err := open(func(vfstest.Op) vfstest.Fault {
				if n++; n == at {
					crashed = disk.CrashClone(rng)
				}
				if n >= at {
					return vfstest.Fail
				}
				return vfstest.None
			})
			what = "opening, power lost"
			if err == nil {
				what = step() + ", power lost"
				trail.Close()
			}
			if crashed != nil {
				disk = crashed
			}
			must(t, open(never))
		} else {
			what = step()
		}
		report := get(trail.Verify(t.Context(), VerifyOptions{}))(t)
		if !report.OK() {
			t.Fatalf("after %s: %v", what, report.Findings)
		}
		listed := map[uint64]int{}
		for _, r := range report.Removed {
			if len(r.Left) > 0 {
				t.Fatalf("after %s: entry %d lists %s, which is still there", what, r.Event, r.Left)
			}
			if r.Minimum > 0 {
				continue // their payloads went before
			}
			for i := range r.Entries.All() {
				listed[i]++
			}
		}
		entries := all(t, trail, Query{})
		for _, e := range entries {
			if e.Payload == nil && listed[e.Index] != 1 || e.Payload != nil && listed[e.Index] != 0 {
				t.Fatalf("after %s: %d events list entry %d, whose payload is %q", what, listed[e.Index], e.Index, e.Payload)
			}
		}
		wantProvable(t, trail, entries[rng.IntN(len(entries))])
		wantStops(t, entries, what, stops)
		var gone [][]byte
		for _, e := range entries {
			if salt := salts[e.Index]; e.Payload == nil && salt != nil {
				gone = append(gone, salt)
				delete(salts, e.Index)
			} else if e.Payload != nil && e.Index < 1000 {
				salts[e.Index] = e.Salt
			}
		}
		wantGone(t, disk, gone)
	}
	if len(get(trail.Removals(t.Context()))(t)) == 0 {
		t.Error("nothing was removed")
	}
	return trail
}
