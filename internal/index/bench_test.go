package index

import (
	"fmt"
	"testing"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// benchKeys are those of an event with an id, an action, an agent, a session, a
// project, a type and a decision.
func benchKeys() [][]key {
	keys := make([][]key, maxEntries)
	for i := range keys {
		keys[i] = []key{
			storage.KeyOf(4, fmt.Sprint("action ", i/2)),
			storage.KeyOf(3, fmt.Sprint("agent ", i%20)),
			storage.KeyOf(8, "allow"),
			storage.KeyOf(2, "action_executed"),
			storage.KeyOf(1, fmt.Sprint("id ", i)),
			storage.KeyOf(5, "project"),
			storage.KeyOf(6, fmt.Sprint("session ", i/500)),
		}
	}
	return keys
}

func fillBench(m *Memory, keys [][]key) {
	for i, k := range keys {
		m.Add(1_700_000_000_000_000+int64(i)*1000, "action_executed", k)
	}
}

func perEntry(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/entry")
}

func BenchmarkMemoryAdd(b *testing.B) {
	keys := benchKeys()
	m := NewMemory()
	fillBench(m, keys) // its memory is there, as it is from the second tail on
	b.ReportAllocs()
	for b.Loop() {
		m.Reset()
		fillBench(m, keys)
	}
	perEntry(b, len(keys))
}

func BenchmarkSeal(b *testing.B) {
	m := NewMemory()
	fillBench(m, benchKeys())
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		size = len(m.Seal(0, evidence.Hash{}))
	}
	perEntry(b, maxEntries)
	b.ReportMetric(float64(size)/maxEntries, "bytes/entry")
}

func BenchmarkSum(b *testing.B) {
	m := NewMemory()
	fillBench(m, benchKeys())
	s := openBytes(b, m.Seal(0, evidence.Hash{}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sum(); err != nil {
			b.Fatal(err)
		}
	}
	perEntry(b, maxEntries)
}

func BenchmarkAscending(b *testing.B) {
	m := NewMemory()
	keys := benchKeys()
	fillBench(m, keys)
	s := openBytes(b, m.Seal(0, evidence.Hash{}))
	b.ReportAllocs()
	var dst []uint32
	for i := 0; b.Loop(); i = (i + 7919) % len(keys) {
		var err error
		if dst, err = s.Ascending(dst[:0], keys[i][4]); err != nil || len(dst) != 1 {
			b.Fatal(dst, err)
		}
	}
}

func BenchmarkFilterMay(b *testing.B) {
	var f Filter
	bits := make([]byte, filterBytes)
	for n := range 64 {
		f.Add(n, bits)
	}
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		f.May(0, key(i*0x9e3779b97f4a7c15>>16))
	}
}
