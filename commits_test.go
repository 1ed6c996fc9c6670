package custody

import "testing"

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
	if s := got.Sync; s.Count != got.Entries.Count || s.Sum == 0 {
		t.Errorf("the time of their flushes is counted as %+v", s)
	}
}
