package custody

import (
	"testing"

	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// A removal that took two persons says so. Retention as of a time removes, however often
// it is done, what had outlived its period by then.
func TestDualAuthorization(t *testing.T) {
	c := ahead()
	trail := newTrail(t, Options{fs: vfstest.NewMem(), Signer: newKey(t), DiskWarning: -1, now: c.now})
	record(t, trail, about("u", "p1", 0)) // 1
	c.advance(days(10))
	record(t, trail, about("v", "p1", 0), about("u", "p1", 1)) // 2, 3
	c.advance(days(25))
	begun := c.now()
	c.advance(days(10)) // 2 and 3 outlive the period
	two := DualAuthorization{Request: "r1", ApprovedBy: "token:b"}
	r := Retention{Policy: policyOf(t, "payloads: 30d"), By: "token:a", Authorization: two, Time: begun}
	run := get(trail.Retain(t.Context(), r))(t)
	if got := run.Payloads.String(); got != "1" || !run.Time.Equal(begun) {
		t.Errorf("%s is removed, as of %s", got, run.Time)
	}
	says := func(index uint64) {
		t.Helper()
		e := get(trail.Entry(t.Context(), index))(t)
		if d := get(e.Event())(t).Details; d["by"] != "token:a" || d["request_id"] != "r1" || d["approved_by"] != "token:b" {
			t.Errorf("entry %d says %v", index, d)
		}
	}
	says(run.Events[0])
	if again := get(trail.Retain(t.Context(), r))(t); len(again.Events) > 0 {
		t.Errorf("%s is removed when it is done again", again.Payloads)
	}
	receipt := get(trail.Erase(t.Context(), Erasure{Query: Query{UserID: "v"}, Ground: "g", By: "token:a", Authorization: two}))(t)
	says(receipt.Events[0].Index)
	r.Time = c.now().Add(days(100)) // that is not yet
	if run := get(trail.Retain(t.Context(), r))(t); run.Time.After(c.now()) || run.Payloads.String() != "3" {
		t.Errorf("%s is removed as of %s", run.Payloads, run.Time)
	}
}
