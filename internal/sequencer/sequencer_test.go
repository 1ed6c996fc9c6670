package sequencer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

func config(t testing.TB, store storage.Store) Config {
	return Config{Store: store, Signer: newSigner(t, "first"), Now: time.Now, MaxPending: 64 << 20}
}

func submit(t testing.TB, s *Sequencer, r *Request) {
	t.Helper()
	if err := s.Submit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// wait waits for a request and returns the size that its checkpoint covers.
func wait(t testing.TB, r *Request) uint64 {
	t.Helper()
	<-r.Done()
	signed, err := r.Result()
	if err != nil {
		t.Fatal(err)
	}
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		t.Fatal(err)
	}
	return c.Size
}

// failsWith waits for a request that is to fail.
func failsWith(t testing.TB, r *Request, want error) {
	t.Helper()
	<-r.Done()
	if signed, err := r.Result(); !errors.Is(err, want) || signed != nil {
		t.Errorf("checkpoint %q, %v, want %v", signed, err, want)
	}
}

// done reports whether a request is done, without waiting.
func done(r *Request) bool {
	select {
	case <-r.Done():
		return true
	default:
		return false
	}
}

// gate makes Append wait: each value that is sent to it lets one call go on.
func gate(store *memStore) chan error {
	c := make(chan error)
	store.onAppend = func(*storage.Batch) error { return <-c }
	return c
}

func TestOrder(t *testing.T) {
	store := newMemStore()
	s := New(config(t, store))
	defer s.Close()
	next := uint64(0)
	for i := range 100 {
		r := new(Request) // the zero value will do
		for j := range i % 4 {
			r.Events = append(r.Events, event(fmt.Sprint(i, " ", j)))
		}
		if len(r.Events) == 0 && i == 0 {
			continue // nothing is stored yet, so there is no checkpoint
		}
		submit(t, s, r)
		if size := wait(t, r); size != next+uint64(len(r.Events)) {
			t.Fatalf("request %d: checkpoint of %d entries, want %d", i, size, next+uint64(len(r.Events)))
		}
		for j, e := range r.Events {
			if e.Index != next || e.Taken {
				t.Fatalf("request %d, event %d: %+v, want index %d", i, j, e, next)
			}
			next++
		}
	}
	store.check(t, nil)
	// What the events were told is what is stored.
	r := request("last")
	submit(t, s, r)
	wait(t, r)
	last := store.commits[len(store.commits)-1]
	e, err := evidence.ParseEntry(last.entries[0])
	if err != nil || e.Time.UnixMicro() != r.Events[0].Time || evidence.LeafHash(last.entries[0]) != r.Events[0].Hash || e.Index != r.Events[0].Index {
		t.Errorf("stored %+v, %v, told %+v", e, err, r.Events[0])
	}
}

func TestEmptyTrailHasNoCheckpoint(t *testing.T) {
	s := New(config(t, newMemStore()))
	defer s.Close()
	r := request()
	submit(t, s, r)
	<-r.Done()
	if signed, err := r.Result(); signed != nil || err != nil {
		t.Errorf("%q, %v", signed, err)
	}
}

// TestGroupCommit: what gathers while the store is busy goes into one commit.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemStore()
		open := gate(store)
		s := New(config(t, store))
		first := request("first")
		submit(t, s, first)
		synctest.Wait() // it is being written
		var waiting []*Request
		for i := range 50 {
			r := request(fmt.Sprint(i), "and another")
			r.Lazy = i%2 == 0 // without an interval, nothing waits
			submit(t, s, r)
			waiting = append(waiting, r)
		}
		synctest.Wait()
		open <- nil
		if wait(t, first) != 1 {
			t.Error("the first commit holds more than the first request")
		}
		open <- nil
		for i, r := range waiting {
			if size := wait(t, r); size != 101 || r.Events[0].Index != uint64(1+2*i) {
				t.Errorf("request %d: index %d, size %d", i, r.Events[0].Index, size)
			}
		}
		s.Close()
		if got := store.sizes(); !slices.Equal(got, []int{1, 100}) {
			t.Errorf("commits of %v entries", got)
		}
		store.check(t, nil)
	})
}

func TestDuplicates(t *testing.T) {
	store := newMemStore()
	s := New(config(t, store))
	defer s.Close()

	// Twice in one request.
	r := new(Request)
	r.Events = []Event{withID("x", 0), event("between"), withID("x", 0), withID("y", 0)}
	submit(t, s, r)
	if size := wait(t, r); size != 3 {
		t.Errorf("size %d", size)
	}
	if e := r.Events; e[0].Taken || e[1].Taken || !e[2].Taken || e[2].Index != 0 || e[3].Taken || e[3].Index != 2 {
		t.Errorf("%+v", e)
	}

	// In the store, behind what the caller has looked at.
	r = new(Request)
	r.Events = []Event{withID("y", 1), withID("x", 1), withID("z", 3)}
	before := store.lookups
	submit(t, s, r)
	wait(t, r)
	if e := r.Events; !e[0].Taken || e[0].Index != 2 || e[1].Taken || e[1].Index != 3 || e[2].Taken || e[2].Index != 4 {
		t.Errorf("%+v", e)
	}
	if n := store.lookups - before; n != 2 {
		t.Errorf("%d lookups for two ids of which something may be new", n)
	}

	// Nothing but such: the answer is the newest checkpoint, which covers them.
	r = new(Request)
	r.Events = []Event{withID("x", 0)}
	submit(t, s, r)
	if size := wait(t, r); size != 5 || !r.Events[0].Taken || r.Events[0].Index != 0 {
		t.Errorf("size %d, %+v", size, r.Events[0])
	}
	// x is there twice; the first counts, whatever order the store gives.
	if n := len(store.byKey[storage.KeyOf(1, "x")]); n != 2 {
		t.Fatalf("x is stored %d times", n)
	}
	store.check(t, nil)
}

// TestDuplicatesInOneCommit: of two requests that gather with the same id, the
// first is stored.
func TestDuplicatesInOneCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemStore()
		open := gate(store)
		s := New(config(t, store))
		submit(t, s, request("busy"))
		synctest.Wait()
		a, b := new(Request), new(Request)
		a.Events, b.Events = []Event{withID("x", 0)}, []Event{withID("x", 0)}
		submit(t, s, a)
		submit(t, s, b)
		open <- nil
		open <- nil
		if wait(t, a) != 2 || wait(t, b) != 2 {
			t.Error("they are not answered with one checkpoint")
		}
		if a.Events[0].Taken || a.Events[0].Index != 1 || !b.Events[0].Taken || b.Events[0].Index != 1 {
			t.Errorf("%+v\n%+v", a.Events[0], b.Events[0])
		}
		s.Close()
		store.check(t, nil)
	})
}

// TestSegmentBoundary: no commit reaches over it.
func TestSegmentBoundary(t *testing.T) {
	store := newMemStore()
	store.startAt(segmentEntries-6, 0)
	s := New(config(t, store))
	r := new(Request)
	for i := range 20 {
		r.Events = append(r.Events, event(fmt.Sprint(i)))
	}
	submit(t, s, r)
	if size := wait(t, r); size != segmentEntries+14 {
		t.Errorf("size %d", size)
	}
	for i, e := range r.Events {
		if e.Index != uint64(segmentEntries-6+i) {
			t.Errorf("event %d has index %d", i, e.Index)
		}
	}
	s.Close()
	if got := store.sizes(); !slices.Equal(got, []int{6, 14}) {
		t.Errorf("commits of %v entries", got)
	}
	store.check(t, nil)
}

// TestLargeCommitsAreSplit: while one part is written, the next is encoded.
func TestLargeCommitsAreSplit(t *testing.T) {
	store := newMemStore()
	s := New(config(t, store))
	r := new(Request)
	for range 10 {
		e := event("large")
		e.Body = make([]byte, maxCommit/2)
		e.Commitment = evidence.CommitBody(e.Body)
		r.Events = append(r.Events, e)
	}
	submit(t, s, r)
	if size := wait(t, r); size != 10 {
		t.Errorf("size %d", size)
	}
	s.Close()
	// Two are just the limit with their entries, so a third begins the next.
	if got := store.sizes(); !slices.Equal(got, []int{2, 2, 2, 2, 2}) {
		t.Errorf("commits of %v entries", got)
	}
	store.check(t, nil)
}

func TestRotation(t *testing.T) {
	first, second, third := newSigner(t, "first"), newSigner(t, "second"), newSigner(t, "third")
	store := newMemStore()
	s := New(config(t, store))
	r := request("a", "rotate", "b", "c", "rotate again", "d")
	r.Events[1].Rotate, r.Events[4].Rotate = second, third
	submit(t, s, r)
	wait(t, r)
	last := request("e")
	submit(t, s, last)
	wait(t, last)
	s.Close()
	if got := store.sizes(); !slices.Equal(got, []int{2, 3, 1, 1}) {
		t.Errorf("commits of %v entries", got)
	}
	store.check(t, func(size uint64) []*evidence.Signer {
		switch size {
		case 2:
			return []*evidence.Signer{first, second}
		case 5:
			return []*evidence.Signer{second, third}
		}
		return []*evidence.Signer{third}
	})
}

// TestRotationThatIsNotStored: the key in force stays.
func TestRotationThatIsNotStored(t *testing.T) {
	store := newMemStore()
	s := New(config(t, store))
	defer s.Close()
	r := new(Request)
	r.Events = []Event{withID("x", 0)}
	submit(t, s, r)
	wait(t, r)
	store.onAppend = func(*storage.Batch) error { return storage.ErrConflict }
	rotate := request("rotate")
	rotate.Events[0].Rotate = newSigner(t, "second")
	submit(t, s, rotate)
	failsWith(t, rotate, storage.ErrConflict)
	store.onAppend = nil
	r = new(Request)
	r.Events = []Event{withID("x", 0), event("b")}
	r.Events[0].Rotate = newSigner(t, "second") // its id is taken
	submit(t, s, r)
	wait(t, r)
	store.check(t, nil)
}

func TestNotify(t *testing.T) {
	store := newMemStore()
	s := New(config(t, store))
	defer s.Close()
	told := make(chan *Request, 1)
	r := request("a")
	r.Notify = func(r *Request) { told <- r }
	submit(t, s, r)
	if got := <-told; got != r {
		t.Error("told of another request")
	}
	if checkpoint, err := r.Result(); checkpoint == nil || err != nil {
		t.Errorf("%q, %v", checkpoint, err)
	}
	if done(r) {
		t.Error("Done delivers as well")
	}
}

// TestManyAtOnce runs what callers do, from many goroutines, and checks what came
// of it.
func TestManyAtOnce(t *testing.T) {
	const goroutines, rounds = 64, 60
	store := newMemStore()
	var conflicts int
	store.onAppend = func(*storage.Batch) error {
		runtime.Gosched() // as a disk would
		if conflicts++; conflicts%50 == 0 {
			return storage.ErrConflict
		}
		return nil
	}
	cfg := config(t, store)
	cfg.FlushInterval = time.Millisecond
	cfg.MaxPending = 20_000 // less than all want at once
	s := New(cfg)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var callers sync.WaitGroup
	var mu sync.Mutex
	seen := make(map[uint64]bool) // indices that were acknowledged
	stored := 0
	for g := range uint64(goroutines) {
		callers.Go(func() {
			r := rand.New(rand.NewPCG(seed, g))
			req := new(Request)
			last := uint64(0)
			for i := range rounds {
				req.Reset()
				req.Lazy = r.IntN(3) == 0
				for j := range r.IntN(4) {
					if r.IntN(4) == 0 {
						req.Events = append(req.Events, withID(fmt.Sprint(r.IntN(40)), 0))
					} else {
						req.Events = append(req.Events, event(fmt.Sprint(g, " ", i, " ", j, strings.Repeat("x", r.IntN(300)))))
					}
				}
				if r.IntN(5) == 0 {
					if err := s.TrySubmit(req); err == ErrFull {
						continue
					} else if err != nil {
						t.Error(err)
						return
					}
				} else if err := s.Submit(t.Context(), req); err != nil {
					t.Error(err)
					return
				}
				<-req.Done()
				signed, err := req.Result()
				if err != nil {
					t.Error(err)
					return
				}
				if signed == nil && len(req.Events) == 0 {
					continue
				}
				c, err := evidence.PeekCheckpoint(signed)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, e := range req.Events {
					if e.Index >= c.Size {
						t.Errorf("index %d is answered with a checkpoint of %d entries", e.Index, c.Size)
					}
					if e.Taken {
						continue
					}
					if seen[e.Index] || e.Index < last {
						t.Errorf("index %d was given out before, or is out of order", e.Index)
					}
					seen[e.Index] = true
					last = e.Index
					stored++
				}
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	s.Close()
	if store.size() != uint64(stored) || len(seen) != stored {
		t.Errorf("%d entries are stored, %d were acknowledged", store.size(), stored)
	}
	for id := range 40 {
		if n := len(store.byKey[storage.KeyOf(1, fmt.Sprint(id))]); n > 1 {
			t.Errorf("id %d is stored %d times", id, n)
		}
	}
	t.Logf("%d entries in %d commits", stored, len(store.commits))
	store.check(t, nil)
}
