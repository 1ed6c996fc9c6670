package custody

import (
	"bytes"
	"crypto/sha256"
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
