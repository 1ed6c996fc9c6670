package custody

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/evidence/bundle"
)

// BenchmarkBundle measures how many events of a bundle are checked in a second, against
// one SHA-256 over all files of it.
func BenchmarkBundle(b *testing.B) {
	const events = 10_000
	trail := newTrail(b, Options{})
	record(b, trail, turns(0, events)...)
	var zip bytes.Buffer
	must(b, trail.Bundle(b.Context(), &zip, BundleOptions{Query: Query{From: 1}}))
	believed := []note.Verifier{get(evidence.ParseVerifier(trail.FirstKey()))(b)}
	var unpacked uint64
	for b.Loop() {
		r := get(bundle.Check(bytes.NewReader(zip.Bytes()), int64(zip.Len()), &bundle.CheckOptions{Keys: believed}))(b)
		if !r.OK() {
			b.Fatal(r.Findings)
		}
		if unpacked == 0 {
			for _, f := range r.Manifest.Files {
				unpacked += uint64(f.Size)
			}
		}
	}
	elapsed := b.Elapsed().Seconds() / float64(b.N)
	data := make([]byte, unpacked)
	began := time.Now()
	sha256.Sum256(data)
	b.ReportMetric(events/elapsed, "events/s")
	b.ReportMetric(elapsed/time.Since(began).Seconds(), "of-one-hash")
}

// bundleOf makes a bundle, checks it under the trail's key, and returns the report.
func bundleOf(t *testing.T, trail *Trail, q Query) *bundle.Report {
	t.Helper()
	var b bytes.Buffer
	must(t, trail.Bundle(t.Context(), &b, BundleOptions{Query: q}))
	believed := []note.Verifier{get(evidence.ParseVerifier(trail.FirstKey()))(t)}
	r := get(bundle.Check(bytes.NewReader(b.Bytes()), int64(b.Len()), &bundle.CheckOptions{Keys: believed}))(t)
	if !r.OK() || !r.Trusted {
		t.Fatalf("%v", r.Findings)
	}
	return r
}

// accounts is what a bundle says of its range beside what it discloses.
func accounts(r *bundle.Report) string {
	c := &r.Completeness
	return fmt.Sprintf("erased %s, expired %s, held %s, pruned %s", c.Erased, c.Expired, c.Held, c.Pruned)
}

// TestBundleAccounts: a bundle says what of its range was erased, has expired, and is
// under a legal hold in force.
func TestBundleAccounts(t *testing.T) {
	c := ahead()
	trail := newTrail(t, Options{now: c.now})
	record(t, trail, about("u1", "p1", 0), about("u2", "p1", 1), about("u3", "p2", 2), about("u4", "p2", 3)) // 1 to 4
	hold := get(trail.PlaceHold(t.Context(), Hold{Query: Query{UserID: "u3"}, Reason: "case 12", By: "legal"}))(t)
	over := get(trail.PlaceHold(t.Context(), Hold{Query: Query{UserID: "u4"}, Reason: "case 13", By: "legal"}))(t)
	get(trail.ReleaseHold(t.Context(), over.ID, "legal", "closed"))(t) // 5 to 7
	erase(t, trail, "u2")                                              // 8
	c.advance(days(100))
	record(t, trail, about("u3", "p1", 4))                                                        // 9
	get(trail.ApplyRetention(t.Context(), policyOf(t, "payloads: 10d"), "operations"))(t)         // 10
	get(trail.PlaceHold(t.Context(), Hold{Query: Query{From: 9}, Reason: "all", By: "legal"}))(t) // 11
	for _, tt := range []struct {
		query Query
		want  string
	}{
		{Query{}, "erased 2, expired 1,4, held 3,9-11, pruned "},
		{Query{From: 3, To: 5}, "erased , expired 4, held 3, pruned "},
		{Query{From: 5, To: 8}, "erased , expired , held , pruned "},
		{Query{UserID: "u3"}, "erased 2, expired 1,4, held 3,9-11, pruned "},
	} {
		r := bundleOf(t, trail, tt.query)
		if got := accounts(r); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.query, got, tt.want)
		}
		if tt.want == "erased , expired , held , pruned " {
			continue
		}
		if r.Holds[0].ID != hold.ID || r.Holds[0].Event != 5 {
			t.Errorf("%+v: the hold is %+v", tt.query, r.Holds[0])
		}
	}
}

// TestBundleOfPruned: a bundle tells of what was pruned before its range, where the
// question would reach that.
func TestBundleOfPruned(t *testing.T) {
	f := get(expiredTrail())(t)
	trail := openTrail(t, f.copyOf(t), Options{KeyDir: f.keys, Guard: GuardOff, now: later().now})
	run := get(trail.ApplyRetention(t.Context(), policyOf(t, pruneAll), "operations"))(t)
	whole := bundleOf(t, trail, Query{})
	c := &whole.Completeness
	if want := "erased , expired " + c.Expired.String() + ", held , pruned " + run.Pruned.String(); accounts(whole) != want || c.From != trail.First() || !c.Proven || !strings.Contains(c.Reason, "was pruned under a retention policy") {
		t.Errorf("%s, from %d, %s; want %s", accounts(whole), c.From, c.Reason, want)
	}
	for _, q := range []Query{{From: trail.First()}, {From: trail.First() + 2}, {Since: get(trail.Entry(t.Context(), trail.Size()-1))(t).Time}} {
		if r := bundleOf(t, trail, q); len(r.Completeness.Pruned.Ranges) > 0 || !r.Completeness.Proven {
			t.Errorf("%+v: %s; %s", q, accounts(r), r.Completeness.Reason)
		}
	}
	if r := bundleOf(t, trail, Query{Since: get(trail.Entry(t.Context(), 0))(t).Time}); len(r.Completeness.Pruned.Ranges) == 0 || r.Completeness.Proven {
		t.Errorf("since the beginning: %s; %s", accounts(r), r.Completeness.Reason)
	}
}
