package sequencer

import (
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/storage"
)

// TestAllocations reports what one event by itself takes.
func TestAllocations(t *testing.T) {
	s := New(config(t, discard{newMemStore()}))
	defer s.Close()
	r := new(Request)
	r.Reset()
	e := event("a")
	n := testing.AllocsPerRun(500, func() {
		r.Reset()
		r.Events = append(r.Events, e)
		submit(t, s, r)
		<-r.Done()
		if _, err := r.Result(); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%.1f allocations for an event in a commit of its own", n)
	if n > 12 {
		t.Errorf("%v allocations", n)
	}
}

// discard stores nothing, so that what is measured is the sequencer.
type discard struct{ *memStore }

func (discard) Append(*storage.Batch) error { return nil }

func BenchmarkRecordAlone(b *testing.B) {
	s := New(config(b, discard{newMemStore()}))
	defer s.Close()
	r := new(Request)
	e := event("a")
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		r.Events = append(r.Events, e)
		if err := s.Submit(b.Context(), r); err != nil {
			b.Fatal(err)
		}
		<-r.Done()
	}
}

// BenchmarkRecordBatch is one request of a thousand events.
func BenchmarkRecordBatch(b *testing.B) {
	const events = 1000
	s := New(config(b, discard{newMemStore()}))
	defer s.Close()
	r := new(Request)
	e := event(strings.Repeat("x", 600))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		for range events {
			r.Events = append(r.Events, e)
		}
		if err := s.Submit(b.Context(), r); err != nil {
			b.Fatal(err)
		}
		<-r.Done()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}
