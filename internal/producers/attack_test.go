package producers

import (
	"fmt"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// TestForeseenID: whoever takes the id that a gap will have silences neither it nor the
// gaps after it.
func TestForeseenID(t *testing.T) {
	r := newRig(t)
	r.record(numbered("a", 1), numbered("a", 3), numbered("b", 1), numbered("b", 4))
	r.clock += 11 * time.Second
	r.f.tracker.due(r.clock, r.trail.Size())
	r.catchUp()
	for _, due := range r.f.tracker.due(r.clock, r.trail.Size()) {
		e := event.Event{ID: due.event.ID, Type: event.TurnEnded, SessionID: "s"}
		if _, err := r.trail.Record(custody.WithPrincipal(t.Context(), "p"), e); err != nil {
			t.Fatal(err)
		}
	}
	must(t, r.f.tell(t.Context()))
	r.want("a missing 2 before 1 after 2", "b missing 2-3 before 3 after 4")
	r.catchUp()
	r.after(time.Minute)
	if n := len(r.gaps()); n != 2 {
		t.Errorf("%d gaps are told", n)
	}
}

// TestManyHoles: however many holes there are, each event that tells of them is small.
func TestManyHoles(t *testing.T) {
	tr := newTracker(Config{})
	key := streamKey{"p", "hook", "r"}
	n := uint64(maxSeq / 2)
	for i := range uint64(3*maxTold + 1) {
		seq := n + 2*i
		tr.see(i, time.Unix(0, 0), &event.Event{Type: event.TurnEnded, Principal: key.Principal, Source: key.Source, SourceRun: key.Run, SourceSeq: &seq}, 0)
	}
	tr.due(time.Minute, tr.next)
	due := tr.due(time.Minute, tr.next)
	if len(due) != 4 { // and the numbers before the first
		t.Errorf("%d events", len(due))
	}
	for _, d := range due {
		text, err := d.event.AppendPayload(nil)
		if err != nil || len(text) > 100_000 {
			t.Errorf("an event has %d bytes, %v", len(text), err)
		}
	}
}

// TestManyRuns: a principal that has run after run does not have those of another one
// forgotten, nor what is missing at their beginning.
func TestManyRuns(t *testing.T) {
	tr := newTracker(Config{})
	index := uint64(0)
	see := func(principal, run string, seq uint64) {
		tr.see(index, time.Unix(0, 0), &event.Event{Type: event.TurnEnded, Principal: principal, Source: "hook", SourceRun: run, SourceSeq: &seq}, 0)
		index++
	}
	see("victim", "old", 1)
	for i := range maxStreams + 10 {
		see("attacker", fmt.Sprint("run-", i), 1)
	}
	see("victim", "old", 3)
	see("victim", "new", 3)
	st, err := parseState(func() []byte { b, err := tr.encode("o", ""); must(t, err); return b }())
	must(t, err)
	for when, tr := range map[string]*tracker{"at once": tr, "after a restart": st.tracker(Config{}, 0)} {
		for _, run := range []string{"old", "new"} {
			if s := tr.streams[streamKey{"victim", "hook", run}]; s == nil || len(s.Open) != 1 {
				t.Errorf("%s: of the run %s is known %+v", when, run, s)
			}
		}
		if !tr.forgot["attacker"] || tr.forgot["victim"] {
			t.Errorf("%s: forgot %v", when, tr.forgot)
		}
	}
}

// TestManyRepeats: beyond those that are kept one by one, it is told up to where they go.
func TestManyRepeats(t *testing.T) {
	tr := newTracker(Config{})
	seq := uint64(1)
	const last = maxPending + 50
	for i := range uint64(last + 1) {
		tr.see(i, time.Unix(0, 0), &event.Event{Type: event.TurnEnded, Principal: "p", Source: "hook", SourceRun: "r", SourceSeq: &seq}, 0)
	}
	tr.due(time.Minute, tr.next)
	due := tr.due(time.Minute, tr.next)
	if len(due) != 1 || fmt.Sprint(due[0].event.Details["from_index"], due[0].event.Details["to_index"], due[0].event.Details["count"]) != fmt.Sprint(1, last+1, maxPending) {
		t.Errorf("told: %+v", due)
	}
}
