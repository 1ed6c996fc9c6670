package segment

import (
	"io"
	"testing"

	"github.com/custodylog/custody/evidence"
)

// BenchmarkAppendFrame is one commit of 64 entries; the number that counts is
// that for an entry.
func BenchmarkAppendFrame(b *testing.B) {
	batch := batch(0, 64)
	dst, places := appendFrame(b, nil, testNonce, batch)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := AppendFrame(dst[:0], testNonce, batch, places[:0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch.Items)), "ns/entry")
}

func BenchmarkParseFrame(b *testing.B) {
	frame, places := appendFrame(b, nil, testNonce, batch(0, 64))
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := ParseFrame(frame)
		if err != nil {
			b.Fatal(err)
		}
		for _, err := range f.Records() {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(places)), "ns/entry")
}

// BenchmarkSealedWriter writes whole segments.
func BenchmarkSealedWriter(b *testing.B) {
	s := fullSegment()
	b.ReportAllocs()
	for b.Loop() {
		w := NewSealedWriter(io.Discard, s.first)
		for i := range s.items {
			w.Add(s.items[i].Entry, s.items[i].Body, s.items[i].Hash, s.items[i].Time)
		}
		if _, err := w.Finish(s.checkpoints); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*Entries), "ns/entry")
}

// BenchmarkSealedScan reads whole segments, as a verification does.
func BenchmarkSealedScan(b *testing.B) {
	seg := fullSegment().open(b)
	b.ReportAllocs()
	var raw []byte
	var list [][]byte
	var hashes []evidence.Hash
	var err error
	for b.Loop() {
		for i := range seg.EntryBlocks() {
			if raw, list, err = seg.EntryBlock(i, raw[:0], list[:0]); err != nil {
				b.Fatal(err)
			}
			if hashes, err = seg.Hashes(hashes[:0], uint32(i*BlockEntries), BlockEntries); err != nil {
				b.Fatal(err)
			}
		}
		for i := range seg.PayloadBlocks() {
			if raw, list, err = seg.PayloadBlock(i, raw[:0], list[:0]); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*Entries), "ns/entry")
}

// BenchmarkSealedRead reads one entry and its payload, at random.
func BenchmarkSealedRead(b *testing.B) {
	seg := fullSegment().open(b)
	b.ReportAllocs()
	var raw []byte
	var list [][]byte
	var err error
	for pos := uint32(0); b.Loop(); pos = (pos*1664525 + 1013904223) % Entries {
		if raw, list, err = seg.EntryBlock(int(pos/BlockEntries), raw[:0], list[:0]); err != nil {
			b.Fatal(err)
		}
		if raw, list, err = seg.PayloadBlock(seg.PayloadBlockOf(pos), raw[:0], list[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
