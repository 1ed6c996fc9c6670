package producers

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/vfs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// rig is a trail that is followed, under a clock that the test sets.
type rig struct {
	t     *testing.T
	trail *custody.Trail
	file  string
	clock time.Duration
	f     *Follower
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	_, err := custody.Create(filepath.Join(dir, "trail"), custody.CreateOptions{Origin: "example.org/gaps", KeyDir: keys})
	must(t, err)
	trail, err := custody.Open(filepath.Join(dir, "trail"), &custody.Options{KeyDir: keys, Logger: quiet, DiskWarning: -1})
	must(t, err)
	t.Cleanup(func() { trail.Close() })
	must(t, os.Mkdir(filepath.Join(dir, StateDir), 0o700))
	r := &rig{t: t, trail: trail, file: filepath.Join(dir, StateDir, "default.json")}
	r.restart()
	return r
}

// restart is what happens when the server is killed and started again.
func (r *rig) restart() {
	r.f = newFollower(r.trail, vfs.OS{}, r.file, Config{Grace: 10 * time.Second, Silence: 3}, quiet, func() time.Duration { return r.clock })
}

// catchUp lets the follower see all entries there are.
func (r *rig) catchUp() {
	r.t.Helper()
	size := r.trail.Size()
	if size == r.f.tracker.next {
		return
	}
	for e, err := range r.trail.Entries(r.t.Context(), custody.Query{From: r.f.tracker.next, To: size}) {
		must(r.t, err)
		must(r.t, r.f.see(r.t.Context(), e))
	}
}

// tell records what is due. Nothing may be due that the trail tells of already: the id
// of the event, which keeps it out, is for what cannot be foreseen.
func (r *rig) tell() {
	r.t.Helper()
	for _, due := range r.f.tracker.due(r.clock, r.trail.Size()) {
		if e, err := r.trail.EntryByID(r.t.Context(), due.event.ID); err == nil {
			r.t.Errorf("entry %d is to be recorded again", e.Index)
		}
	}
	must(r.t, r.f.tell(r.t.Context()))
}

// race records what is due, and right before each of it an event of the principal p that
// the follower has not seen.
func (r *rig) race(e event.Event) {
	r.t.Helper()
	for _, due := range r.f.tracker.due(r.clock, r.trail.Size()) {
		_, err := r.trail.Record(custody.WithPrincipal(r.t.Context(), "p"), e)
		must(r.t, err)
		_, err = r.trail.Record(custody.WithPrincipal(r.t.Context(), Principal), due.event)
		must(r.t, err)
		due.told()
	}
}

// after lets time pass, until nothing more is due.
func (r *rig) after(d time.Duration) {
	r.t.Helper()
	r.clock += d
	for size := uint64(0); size != r.trail.Size(); {
		size = r.trail.Size()
		r.catchUp()
		r.tell() // is due
		r.tell() // everything that was there then was seen
	}
}

// numbered is an event of a producer.
func numbered(run string, n uint64) event.Event {
	return event.Event{Type: event.TurnEnded, SessionID: "s", Source: "hook", SourceRun: run, SourceSeq: &n}
}

func heartbeat(run string, interval time.Duration, final bool) event.Event {
	e := event.Event{Type: event.Heartbeat, Source: "hook", SourceRun: run, Details: map[string]any{"interval_ms": interval.Milliseconds()}}
	if final {
		e.Details["final"] = true
	}
	return e
}

// record records events of the principal p and lets the follower see them.
func (r *rig) record(events ...event.Event) {
	r.t.Helper()
	for _, e := range events {
		_, err := r.trail.Record(custody.WithPrincipal(r.t.Context(), "p"), e)
		must(r.t, err)
	}
	r.catchUp()
}

// gaps returns the events of gaps, each as one line.
func (r *rig) gaps() (lines []string) {
	r.t.Helper()
	for _, e := range r.gapEvents() {
		d := detailsOf(&e)
		line := d.kind
		if d.key.Run != "" {
			line = d.key.Run + " " + line
		}
		if len(d.numbers) > 0 {
			line += " " + d.numbers.String()
		}
		for _, name := range []string{"before", "after"} {
			if v, ok := e.Details[name]; ok {
				line += fmt.Sprintf(" %s %v", name, v)
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func (r *rig) gapEvents() (all []event.Event) {
	r.t.Helper()
	for e, err := range r.trail.Entries(r.t.Context(), custody.Query{Types: []event.Type{event.GapDetected}}) {
		must(r.t, err)
		ev, err := e.Event()
		must(r.t, err)
		if ev.Principal != Principal {
			continue
		}
		if len(ev.Defects) > 0 || len(ev.Redactions) > 0 {
			r.t.Errorf("the event has defects or was redacted: %+v", ev)
		}
		all = append(all, ev)
	}
	return all
}

func (r *rig) want(lines ...string) {
	r.t.Helper()
	if got := r.gaps(); !slices.Equal(got, lines) {
		r.t.Errorf("the trail tells of\n%q\nwant\n%q", got, lines)
	}
}

// In each of these the trail has an entry of its own already, at index 0.
func TestGaps(t *testing.T) {
	const long = time.Minute
	for name, tt := range map[string]struct {
		do   func(r *rig)
		want []string
	}{
		"all there": {func(r *rig) {
			r.record(numbered("r", 0), numbered("r", 1), numbered("r", 2))
			r.after(long)
		}, nil},
		"a number is missing": {func(r *rig) {
			r.record(numbered("r", 1), numbered("r", 4))
			r.after(long)
			r.record(numbered("r", 5))
			r.after(long)
		}, []string{"r missing 2-3 before 1 after 2"}},
		"in another order, in time": {func(r *rig) {
			r.record(numbered("r", 3), numbered("r", 1), numbered("r", 0), numbered("r", 4), numbered("r", 2))
			r.after(long)
		}, nil},
		"not before the grace is over": {func(r *rig) {
			r.record(numbered("r", 0), numbered("r", 2))
			r.after(9 * time.Second)
			r.record(numbered("r", 1))
		}, nil},
		"the beginning is missing": {func(r *rig) {
			r.record(numbered("r", 3))
			r.after(long)
		}, []string{"r missing 1-2 after 1"}},
		"two holes are two events": {func(r *rig) {
			r.record(numbered("r", 0), numbered("r", 5), numbered("r", 3))
			r.after(long)
		}, []string{"r missing 1-2 before 1 after 3", "r missing 4 before 3 after 2"}},
		"many holes are one event": {func(r *rig) {
			for n := range uint64(30) {
				r.record(numbered("r", 2*n))
			}
			r.after(long)
		}, []string{"r missing 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33,35,37,39,41,43,45,47,49,51,53,55,57 before 1 after 30"}},
		"what was missing comes": {func(r *rig) {
			r.record(numbered("r", 0), numbered("r", 5))
			r.after(long)
			r.record(numbered("r", 2), numbered("r", 3))
			r.after(long)
			r.record(numbered("r", 4))
			r.after(long)
		}, []string{"r missing 1-4 before 1 after 2", "r filled 2-3 after 5", "r filled 4 after 7"}},
		"what was missing comes while that is recorded": {func(r *rig) {
			r.record(numbered("r", 0), numbered("r", 3))
			r.clock += long
			r.race(numbered("r", 1))
			r.after(long)
			r.after(long)
		}, []string{"r missing 1-2 before 1 after 2", "r filled 1 after 3"}},
		"a server that is behind": {func(r *rig) {
			r.record(numbered("r", 0), numbered("r", 2), heartbeat("r", time.Second, false))
			_, err := r.trail.Record(custody.WithPrincipal(r.t.Context(), "p"), numbered("r", 1))
			must(r.t, err) // it is there, and was not seen
			r.clock += long
			r.tell()
			r.tell()
			r.catchUp()
			r.record(heartbeat("r", time.Second, true))
			r.after(long)
		}, nil},
		"a number twice": {func(r *rig) {
			r.record(numbered("r", 0), numbered("r", 1), numbered("r", 1), numbered("r", 0))
			r.after(long)
			r.record(numbered("r", 1))
			r.after(long)
		}, []string{"r duplicate 0-1 after 3", "r duplicate 1 after 6"}},
		"runs count for themselves": {func(r *rig) {
			r.record(numbered("a", 0), numbered("b", 0), numbered("a", 1), numbered("b", 2), numbered("a", 2))
			r.after(long)
		}, []string{"b missing 1 before 2 after 4"}},
		"anew in another session": {func(r *rig) {
			next := numbered("", 0)
			next.SessionID = "s2"
			r.record(numbered("", 0), numbered("", 1), next, numbered("", 1), numbered("", 2))
			r.after(long)
		}, nil},
		"anew, and nothing says why": {func(r *rig) {
			r.record(numbered("", 1), numbered("", 3), numbered("", 1), numbered("", 2))
			r.after(long)
		}, []string{"missing 2 before 1 after 2", "restart 1 after 3"}},
		"late, when it was begun anew": {func(r *rig) {
			next := numbered("", 1)
			next.SessionID = "s2"
			r.record(numbered("", 1), numbered("", 2), numbered("", 3), numbered("", 5), next, numbered("", 4), numbered("", 2))
			r.after(long)
		}, nil},
		"the first number came late, and then again": {func(r *rig) {
			r.record(numbered("", 1), numbered("", 0), numbered("", 2), numbered("", 0), numbered("", 1))
			r.after(long)
		}, []string{"restart 0 after 4"}},
		"it speaks while its silence is recorded": {func(r *rig) {
			r.record(heartbeat("r", time.Second, false))
			r.clock += long
			r.race(heartbeat("r", time.Second, true))
			r.after(long)
		}, []string{"r silence before 1", "r resumed before 1 after 2"}},
		"a forged report counts for nothing": {func(r *rig) {
			r.record(numbered("r", 0), numbered("r", 2))
			r.record(event.Event{Type: event.GapDetected, Details: map[string]any{"kind": "missing", "producer": "p", "source": "hook", "run": "r", "from_seq": 1, "to_seq": 2}})
			r.after(long)
		}, []string{"r missing 1 before 1 after 2"}},
		"silence and its end": {func(r *rig) {
			r.record(heartbeat("r", 10*time.Second, false))
			r.after(29 * time.Second)
			r.record(event.Event{Type: event.TurnEnded, SessionID: "s", Source: "hook", SourceRun: "r"})
			r.after(29 * time.Second)
			r.record(heartbeat("r", 10*time.Second, false))
			r.after(31 * time.Second)
			r.after(long)
			r.record(numbered("r", 0))
			r.after(time.Second)
		}, []string{"r silence before 3", "r resumed before 3 after 5"}},
		"silent again": {func(r *rig) {
			r.record(heartbeat("r", time.Second, false))
			r.after(long)
			r.record(heartbeat("r", time.Second, false))
			r.after(0)
			r.after(long)
		}, []string{"r silence before 1", "r resumed before 1 after 3", "r silence before 3"}},
		"goodbye": {func(r *rig) {
			ended := event.Event{Type: event.SessionEnded, SessionID: "s1", Source: "hook", SourceRun: "s1"}
			r.record(heartbeat("r", time.Second, false), heartbeat("s1", time.Second, false), heartbeat("r", time.Second, true), ended)
			r.after(time.Hour)
		}, nil},
		"a restart of the server gives a full interval": {func(r *rig) {
			r.record(heartbeat("r", 10*time.Second, false))
			must(r.t, r.f.save())
			r.clock += time.Hour
			r.restart()
			r.after(29 * time.Second)
			r.want()
			r.after(2 * time.Second)
		}, []string{"r silence before 1"}},
		"killed behind its event": {func(r *rig) {
			r.record(numbered("r", 0), numbered("r", 2), numbered("r", 2), heartbeat("r", time.Second, false))
			must(r.t, r.f.save())
			r.clock += long
			r.tell()
			r.tell()
			r.restart() // the events are there, and nobody saw them
			r.after(long)
		}, []string{"r missing 1 before 1 after 2", "r duplicate 2 after 3", "r silence before 4"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			tt.do(r)
			r.want(tt.want...)
			// Whoever begins at the beginning finds the same, and tells of nothing new.
			must(t, os.RemoveAll(r.file))
			r.restart()
			r.after(0)
			r.after(11 * time.Second)
			r.want(tt.want...)
		})
	}
}

// A state that does not fit the trail is left, and the trail read again.
func TestStateOfAnotherTrail(t *testing.T) {
	r := newRig(t)
	r.record(numbered("r", 0), numbered("r", 2))
	must(t, r.f.save())
	for name, edit := range map[string]func(s string) string{
		"newer": func(s string) string { return `{"format":2}` },
		"torn":  func(s string) string { return s[:len(s)/2] },
		"of another": func(s string) string {
			return `{"format":1,"origin":"example.org/other","next":0,"whole":true,"streams":[]}`
		},
		"beyond": func(s string) string {
			return `{"format":1,"origin":"example.org/gaps","next":99,"hash":"x","whole":true,"streams":[]}`
		},
		"other entry": func(s string) string {
			return `{"format":1,"origin":"example.org/gaps","next":1,"hash":"x","whole":true,"streams":[]}`
		},
	} {
		t.Run(name, func(t *testing.T) {
			content, err := os.ReadFile(r.file)
			must(t, err)
			must(t, os.WriteFile(r.file, []byte(edit(string(content))), 0o600))
			defer os.WriteFile(r.file, content, 0o600)
			r.restart()
			if r.f.tracker.next != 0 {
				t.Error("it is believed")
			}
		})
	}
	r.restart()
	if r.f.tracker.next == 0 {
		t.Error("the whole one is not believed")
	}
	r.after(time.Minute)
	r.want("r missing 1 before 1 after 2")
}

// What is missing may have been erased: then there is no telling.
func TestErasedPayloads(t *testing.T) {
	r := newRig(t)
	r.record(numbered("r", 0))
	e := numbered("r", 1)
	e.AgentID = "a"
	r.record(e, numbered("r", 2))
	_, err := r.trail.Erase(t.Context(), custody.Erasure{Query: custody.Query{AgentID: "a"}, Ground: "test", By: "test"})
	must(t, err)
	r.restart()
	r.after(time.Minute)
	r.want()
	r.record(numbered("r", 5)) // this is seen as it comes
	r.after(time.Minute)
	told := "r missing 3-4 before 3 after 5"
	r.want(told)
	// Whoever has to read it all again knows what was told, and no more of the rest.
	must(t, os.RemoveAll(r.file))
	r.restart()
	r.after(time.Minute)
	r.record(numbered("r", 4))
	r.after(time.Minute)
	r.want(told, "r filled 4 after 7")
}

// Where runs were forgotten, nobody knows whether the first number of one is its first.
func TestForgottenRuns(t *testing.T) {
	tr := newTracker(Config{})
	n := uint64(3)
	for i := range uint64(maxStreams + 2) {
		e := numbered(fmt.Sprint("run-", i), n)
		e.Principal = "p"
		tr.see(i, time.Time{}, &e, 0)
	}
	if len(tr.streams) != maxStreams {
		t.Errorf("%d runs are remembered", len(tr.streams))
	}
	whole := 0
	for _, s := range tr.streams {
		whole += len(s.Open)
	}
	if whole != maxStreams-2 || len(tr.streams[streamKey{"p", "hook", fmt.Sprint("run-", maxStreams+1)}].Open) != 0 {
		t.Errorf("of %d runs the beginning is missing", whole)
	}
}

// Producers that lose, reorder and repeat, start anew, under a server that is killed:
// exactly what they lost is told of.
func TestRandomProducers(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t)
	type run struct {
		name       string
		next       uint64
		lost, late evidence.Ranges // late: recorded when it was told of, or not told of at all
		repeats    uint64
		onItsWay   []uint64
		waiting    []uint64 // very late ones
	}
	var all []*run
	var current []*run
	begin := func() *run {
		one := &run{name: fmt.Sprintf("run-%d", len(all)), next: random.Uint64N(2)}
		all = append(all, one)
		return one
	}
	for range 4 {
		current = append(current, begin())
	}
	deliver := func(one *run, i int) {
		n := one.onItsWay[i]
		one.onItsWay = slices.Delete(one.onItsWay, i, i+1)
		_, err := r.trail.Record(custody.WithPrincipal(context.Background(), "p"), numbered(one.name, n))
		must(t, err)
	}
	for range 1500 {
		i := random.IntN(len(current))
		one := current[i]
		switch p := random.IntN(1000); {
		case p < 600: // it sends
			n := one.next
			one.next++
			switch q := random.IntN(100); {
			case q < 5:
				one.lost = one.lost.Union(evidence.Ranges{{First: n, Last: n}})
			case q < 8:
				one.late = one.late.Union(evidence.Ranges{{First: n, Last: n}})
				one.waiting = append(one.waiting, n)
			default:
				one.onItsWay = append(one.onItsWay, n)
			}
		case p < 780 && len(one.onItsWay) > 0:
			deliver(one, random.IntN(len(one.onItsWay)))
		case p < 800 && one.next > 4: // a number that was used
			n := one.next - 2
			if !one.lost.Contains(n) && !one.late.Contains(n) && !slices.Contains(one.onItsWay, n) {
				one.repeats++
				r.record(numbered(one.name, n))
			}
		case p < 840: // time passes; what is on its way arrives first
			for _, c := range current {
				for len(c.onItsWay) > 0 {
					deliver(c, random.IntN(len(c.onItsWay)))
				}
			}
			r.after(time.Duration(random.IntN(15)) * time.Second)
		case p < 880 && len(one.waiting) > 0:
			r.record(numbered(one.name, one.waiting[0]))
			one.waiting = one.waiting[1:]
		case p < 900: // the producer starts again
			for len(one.onItsWay) > 0 {
				deliver(one, 0)
			}
			n := one.next // its last number comes, so that what is before it can be missed
			one.next++
			r.record(numbered(one.name, n))
			current[i] = begin()
		case p < 940: // the server is killed
			if random.IntN(2) == 0 {
				r.tell()
			}
			switch random.IntN(8) {
			case 0:
				must(t, os.RemoveAll(r.file))
			case 1, 2, 3:
				must(t, r.f.save())
			}
			r.restart()
		case p < 970:
			r.catchUp()
		default:
			r.tell()
		}
	}
	for _, one := range all {
		for len(one.onItsWay) > 0 {
			deliver(one, 0)
		}
		n := one.next
		one.next++
		r.record(numbered(one.name, n))
	}
	r.after(time.Minute)
	r.after(time.Minute)
	for _, one := range all {
		for _, n := range one.waiting {
			r.record(numbered(one.name, n))
		}
	}
	r.after(time.Minute)
	r.after(time.Minute)

	missing, filled, repeats := map[string]evidence.Ranges{}, map[string]evidence.Ranges{}, map[string]uint64{}
	for _, e := range r.gapEvents() {
		d := detailsOf(&e)
		switch run := d.key.Run; d.kind {
		case "missing":
			if twice := missing[run].Intersect(d.numbers); len(twice) > 0 {
				t.Errorf("%s: %s is told of twice", run, twice)
			}
			missing[run] = missing[run].Union(d.numbers)
		case "filled":
			if twice := filled[run].Intersect(d.numbers); len(twice) > 0 {
				t.Errorf("%s: %s was filled twice", run, twice)
			}
			filled[run] = filled[run].Union(d.numbers)
		case "duplicate":
			n, _ := e.Details["count"].(interface{ Int64() (int64, error) }).Int64()
			repeats[run] += uint64(n)
		default:
			t.Errorf("%s: an event of kind %s", run, d.kind)
		}
	}
	told := 0
	for _, one := range all {
		// 0 need not be the first number, so that nobody misses it.
		zero := evidence.Ranges{{First: 0, Last: 0}}
		lost, late := one.lost.Minus(zero), one.late.Minus(zero)
		got := missing[one.name].Minus(filled[one.name])
		if got.String() != lost.String() {
			t.Errorf("%s: lost %s, told of %s (%s missing, %s filled)", one.name, lost, got, missing[one.name], filled[one.name])
		}
		if other := missing[one.name].Minus(lost).Minus(late); len(other) > 0 {
			t.Errorf("%s: %s came in time and are told of", one.name, other)
		}
		if repeats[one.name] != one.repeats {
			t.Errorf("%s: %d repeats, told of %d", one.name, one.repeats, repeats[one.name])
		}
		told += len(missing[one.name])
	}
	if told == 0 || len(all) < 5 {
		t.Errorf("%d gaps in %d runs", told, len(all))
	}
}
