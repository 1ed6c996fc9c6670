package custody

import (
	"testing"

	"github.com/custodylog/custody/event"
)

func TestCommits(t *testing.T) {
	tr := newTrail(t, Options{})
	before := tr.Commits().Entries
	for i := range 3 {
		record(t, tr, turns(5*i, 5*i+5)...)
	}
	got := tr.Commits()
	if e := got.Entries; e.Count != before.Count+3 || e.Sum != before.Sum+15 || e.Sizes[3] != before.Sizes[3]+3 { // 4 < 5 <= 8
		t.Errorf("three commits of 5 entries are counted as %+v, behind %+v", e, before)
	}
	if got.Receipts != got.Entries.Sum || got.Appends.Count != got.Entries.Count || got.Appends.Sum < got.Sync.Sum {
		t.Errorf("%d receipts, and the time until they were there is counted as %+v", got.Receipts, got.Appends)
	}
	again := event.Event{ID: "once", Type: event.TurnEnded, SessionID: "s"}
	for range 2 {
		_, err := tr.Record(t.Context(), again)
		must(t, err)
	}
	if after := tr.Commits(); after.Receipts != got.Receipts+2 || after.Appends.Count != got.Appends.Count+2 || after.Entries.Sum != got.Entries.Sum+1 {
		t.Errorf("an event that is recorded twice is counted as %+v, behind %+v", after, got)
	}
	if s := got.Sync; s.Count != got.Entries.Count || s.Sum == 0 {
		t.Errorf("the time of their flushes is counted as %+v", s)
	}
}
