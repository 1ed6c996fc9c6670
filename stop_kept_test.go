package custody

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// stopBy is an emergency stop by somebody, cleared is its end.
func stopBy(id, user string) event.Event {
	return event.Event{ID: id, Type: event.EmergencyStop, UserID: user, AgentID: "a", Details: map[string]any{"stop_type": "agent", "reason": "it deletes files"}}
}

func cleared(id, stop, user string) event.Event {
	return event.Event{ID: id, Type: event.EmergencyStopCleared, UserID: user, Details: map[string]any{"stop_event_id": stop, "reason": "mended"}}
}

// stays says what stays of what is asked for, and why.
func stays(covered []Covered) string {
	var all []string
	for _, c := range covered {
		by := c.Stop
		if by == "" {
			by = "hold"
		}
		all = append(all, fmt.Sprintf("%s for %s: %s", c.Entries, by, c.Reason))
	}
	return strings.Join(all, "; ")
}

// payloads returns whose payloads are held, of a trail's events after the first.
func payloads(t testing.TB, trail *Trail, q Query) string {
	t.Helper()
	var held evidence.Ranges
	for _, e := range all(t, trail, q) {
		if e.Payload != nil && !isKept(e.Type) {
			held.Add(e.Index)
		}
	}
	return held.String()
}

// TestEraseStops: the payload of a stop stays while it holds, and that of its end for as
// long as that of the stop.
func TestEraseStops(t *testing.T) {
	const holds, lifts = "an emergency stop that holds", "it lifts an emergency stop whose own payload stays"
	keeping := Hold{Query: Query{From: 1, To: 2}, Reason: "case 12", By: "counsel"}
	// The first has index 1.
	holding := []event.Event{stopBy("s1", "u1"), about("u1", "p", 0)}
	lifted := append(slices.Clone(holding), cleared("c1", "s1", "u2"), about("u2", "p", 0))
	twice := append(slices.Clone(lifted), cleared("c2", "s1", "u2"))
	for name, c := range map[string]struct {
		events []event.Event
		ask    Erasure
		hold   bool
		stays  string
		goes   string
	}{
		"by filter":                     {holding, Erasure{Query: Query{UserID: "u1"}}, false, "1 for s1: " + holds, "2"},
		"by the agent":                  {holding, Erasure{Query: Query{AgentID: "a"}}, false, "1 for s1: " + holds, ""},
		"by index":                      {holding, Erasure{Entries: evidence.Ranges{{First: 0, Last: 2}}}, false, "1 for s1: " + holds, "2"},
		"by member":                     {holding, Erasure{Fields: map[string]string{"/details/reason": "it deletes files"}}, false, "1 for s1: " + holds, ""},
		"another's":                     {holding, Erasure{Query: Query{UserID: "u2"}}, false, "", ""},
		"one that was lifted":           {lifted, Erasure{Query: Query{UserID: "u1"}}, false, "", "1-2"},
		"only its end":                  {lifted, Erasure{Query: Query{UserID: "u2"}}, false, "3 for s1: " + lifts, "4"},
		"with its end":                  {lifted, Erasure{Entries: evidence.Ranges{{First: 1, Last: 4}}}, false, "", "1-4"},
		"one that was lifted twice":     {twice, Erasure{Query: Query{UserID: "u2"}}, false, "3,5 for s1: " + lifts, "4"},
		"with its end, but held":        {lifted, Erasure{Entries: evidence.Ranges{{First: 1, Last: 4}}}, true, "1 for hold: case 12; 3 for s1: " + lifts, "2,4"},
		"one that holds and is held":    {holding, Erasure{Query: Query{UserID: "u1"}}, true, "1 for hold: case 12", "2"},
		"the end of what there is not":  {[]event.Event{cleared("c1", "s1", "u1")}, Erasure{Query: Query{UserID: "u1"}}, false, "", "1"},
		"an end that came before it":    {[]event.Event{cleared("c1", "s1", "u2"), stopBy("s1", "u1")}, Erasure{Query: Query{UserID: "u1"}}, false, "2 for s1: " + holds, ""},
		"the end of another":            {append(slices.Clone(holding), cleared("c1", "s2", "u1")), Erasure{Query: Query{UserID: "u1"}}, false, "1 for s1: " + holds, "2-3"},
		"an end that does not say what": {append(slices.Clone(holding), event.Event{Type: event.EmergencyStopCleared, UserID: "u1"}), Erasure{Query: Query{UserID: "u1"}}, false, "1 for s1: " + holds, "2-3"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, keys := filepath.Join(t.TempDir(), "trail"), t.TempDir()
			vkey := get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
			trail := openTrail(t, dir, Options{KeyDir: keys})
			record(t, trail, c.events...)
			if c.hold {
				get(trail.PlaceHold(t.Context(), keeping))(t)
			}
			ask := c.ask
			ask.Ground, ask.By = "g", "b"
			plan := get(trail.PlanErasure(t.Context(), ask))(t)
			if got := stays(plan.Held); got != c.stays || plan.Entries.String() != c.goes {
				t.Errorf("%s goes; stays %s; want %s; %s", plan.Entries, got, c.goes, c.stays)
			}
			before := payloads(t, trail, Query{})
			var held *HeldError
			switch _, err := trail.Erase(t.Context(), ask); {
			case c.stays == "" && c.goes == "":
				if !errors.Is(err, ErrNotFound) {
					t.Errorf("nothing is to be erased: %v", err)
				}
				return
			case c.stays != "":
				if !errors.As(err, &held) || held.Entries.String() != coveredEntries(plan.Held).String() || payloads(t, trail, Query{}) != before {
					t.Fatalf("not refused: %v", err)
				}
				if strings.Contains(c.stays, "for s1") != slices.Equal(held.Stops, []string{"s1"}) || strings.Contains(err.Error(), "emergency stop s1") != (len(held.Stops) > 0) {
					t.Errorf("stops %q: %v", held.Stops, err)
				}
			default:
				must(t, err)
			}
			if ask.ExceptHeld = true; c.stays != "" && c.goes != "" {
				receipt := get(trail.Erase(t.Context(), ask))(t)
				if erased := get(receipt.Check(get(evidence.ParseVerifier(vkey))(t)))(t); erased.String() != c.goes {
					t.Errorf("the receipt proves %s", erased)
				}
			}
			must(t, trail.Close())
			again := openTrail(t, dir, Options{KeyDir: keys})
			want := get(evidence.ParseRanges(before))(t)
			if goes, _ := evidence.ParseRanges(c.goes); payloads(t, again, Query{}) != want.Minus(goes).String() {
				t.Errorf("held are %s", payloads(t, again, Query{}))
			}
			for _, r := range wantClean(t, again).Removed {
				if r.Entries.String() != c.goes || len(r.Left) > 0 {
					t.Errorf("entry %d lists %s, of which %s is left", r.Event, r.Entries, r.Left)
				}
			}
		})
	}
}

// TestStopExpires: no period ends a stop, and none its end before the stop.
func TestStopExpires(t *testing.T) {
	c := ahead()
	disk, key := vfstest.NewMem(), newKey(t)
	trail := newTrail(t, Options{fs: disk, Signer: key, DiskWarning: -1, now: c.now})
	p := policyOf(t, "payloads: 30d\nrules: [{name: ends, types: [emergency_stop_cleared], payloads: 5d}]")
	run := func(goes, kept, told string) {
		t.Helper()
		plan := get(trail.PlanRetention(t.Context(), p))(t)
		r := get(trail.ApplyRetention(t.Context(), p, "operations"))(t)
		if got := stays(r.Held); r.Payloads.String() != goes || got != kept || stays(plan.Held) != kept {
			t.Errorf("%s goes; stays %s; want %s; %s", r.Payloads, got, goes, kept)
		}
		if goes == "" {
			return
		}
		e := get(trail.Entry(t.Context(), r.Events[0]))(t)
		ev := get(e.Event())(t)
		if got := fmt.Sprint(ev.Details["held"], " ", ev.Details["held_for_stops"]); got != told || len(ev.Defects) > 0 {
			t.Errorf("the event counts %s, want %s: %v", got, told, ev.Defects)
		}
		if report := wantClean(t, trail); report.Removed[len(report.Removed)-1].Entries.String() != goes {
			t.Errorf("%+v", report.Removed)
		}
	}
	record(t, trail, stopBy("s1", "u"), about("u", "p", 0)) // 1 and 2
	c.advance(days(40))
	run("2", "1 for s1: an emergency stop that holds", "<nil> 1") // told by 3
	must(t, trail.Close())
	trail = openTrail(t, "trail", Options{fs: disk, Signer: key, DiskWarning: -1, now: c.now})
	run("", "1 for s1: an emergency stop that holds", "")
	record(t, trail, stopBy("s2", "u"), cleared("c1", "s1", "u"), cleared("c2", "s2", "u")) // 4 to 6
	run("1", "", "<nil> <nil>")                                                             // told by 7
	c.advance(days(10))
	run("5", "6 for s2: it lifts an emergency stop whose own payload stays", "<nil> 1") // told by 8
	get(trail.PlaceHold(t.Context(), Hold{Query: Query{From: 4, To: 5}, Reason: "case", By: "counsel"}))(t)
	c.advance(days(30))
	record(t, trail, about("u", "p", 1))
	run("", "4 for hold: case; 6 for s2: it lifts an emergency stop whose own payload stays", "")
	get(trail.ReleaseHold(t.Context(), get(trail.Holds(t.Context()))(t)[0].ID, "counsel", "over"))(t)
	run("4,6", "", "<nil> <nil>")
}

// TestStopIsNotPruned: a stop that holds keeps its segment, and says so.
func TestStopIsNotPruned(t *testing.T) {
	t.Parallel()
	disk, key, c := vfstest.NewMem(), newKey(t), ahead()
	sealed := make(chan struct{}, 1)
	opts := Options{Signer: key, DiskWarning: -1, now: c.now, fs: vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
		if op.Kind == vfstest.Rename && filepath.Base(op.Name) == "spare" {
			sealed <- struct{}{} // the segment took the place of a tail
		}
		return vfstest.None
	})}
	trail := newTrail(t, opts)
	record(t, trail, turn(-1), stopBy("s1", "u")) // the stop is 2
	small := slices.Repeat([]event.Event{{Type: event.TurnStarted}}, 4096)
	for trail.Size() < segment.Entries+10 {
		record(t, trail, small...)
	}
	c.advance(days(100))
	<-sealed
	p := policyOf(t, pruneAll)
	run := get(trail.ApplyRetention(t.Context(), p, "operations"))(t)
	if run.Minimum != 0 || run.Kept != "entry 2 stays for stop s1: an emergency stop that holds" {
		t.Errorf("pruned up to %d: %s", run.Minimum, run.Kept)
	}
	must(t, trail.Close())
	trail = openTrail(t, "trail", opts)
	if got := payloads(t, trail, Query{To: segment.Entries}); got != "2" {
		t.Errorf("held are %s", got)
	}
	wantClean(t, trail)
	record(t, trail, cleared("c1", "s1", "u"))
	run = get(trail.ApplyRetention(t.Context(), p, "operations"))(t)
	if run.Minimum != segment.Entries || run.Payloads.String() != "2" || trail.First() != segment.Entries {
		t.Errorf("lifted: pruned up to %d, of payloads %s: %s", run.Minimum, run.Payloads, run.Kept)
	}
	wantClean(t, trail)
}
