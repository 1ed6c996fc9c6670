package sequencer

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// otherWriter appends a commit as somebody else would.
func otherWriter(t testing.TB, store *memStore, e Event) {
	t.Helper()
	hook := store.onAppend
	store.onAppend = nil
	defer func() { store.onAppend = hook }()
	other := New(config(t, store))
	defer other.Close()
	r := &Request{Events: []Event{e}}
	submit(t, other, r)
	wait(t, r)
}

func TestConflict(t *testing.T) {
	store := newMemStore()
	s := New(config(t, store))
	defer s.Close()
	first := request("first")
	submit(t, s, first)
	wait(t, first)

	// Twice somebody else comes first, once with an id of ours.
	ids := []string{"theirs", "ours"}
	store.onAppend = func(*storage.Batch) error {
		if len(ids) > 0 {
			id := ids[0]
			ids = ids[1:]
			otherWriter(t, store, withID(id, 0))
			return storage.ErrConflict
		}
		return nil
	}
	r := new(Request)
	r.Events = []Event{event("a"), withID("ours", 1), event("b")}
	submit(t, s, r)
	if size := wait(t, r); size != 5 {
		t.Errorf("size %d", size)
	}
	if e := r.Events; e[0].Index != 3 || !e[1].Taken || e[1].Index != 2 || e[2].Index != 4 {
		t.Errorf("%+v", e)
	}
	store.check(t, nil)
}

// TestConflictWithoutEnd: when it is refused every time, the caller is told, and
// the trail goes on.
func TestConflictWithoutEnd(t *testing.T) {
	store := newMemStore()
	s := New(config(t, store))
	defer s.Close()
	store.onAppend = func(*storage.Batch) error { return fmt.Errorf("once more: %w", storage.ErrConflict) }
	r := request("a")
	submit(t, s, r)
	failsWith(t, r, storage.ErrConflict)
	if store.appends != maxAttempts+1 {
		t.Errorf("tried %d times", store.appends)
	}
	if s.Err() != nil {
		t.Errorf("failed: %v", s.Err())
	}
	store.onAppend = nil
	r.Reset()
	r.Events = append(r.Events, event("a"))
	submit(t, s, r)
	wait(t, r)
	store.check(t, nil)
}

// TestFailedAppend: after one write whose outcome is open, nothing is written or
// acknowledged any more, whether it is there or not.
func TestFailedAppend(t *testing.T) {
	for _, there := range []bool{false, true} {
		t.Run(fmt.Sprintf("there=%v", there), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newMemStore()
				open := gate(store)
				store.stored = there
				cfg := config(t, store)
				cfg.MaxPending = 10 * (entryRoom + 100)
				s := New(cfg)
				ok := request("ok")
				submit(t, s, ok)
				open <- nil
				wait(t, ok)

				// The commit that fails, what gathers behind it, and what waits for room.
				failing := request("failing")
				submit(t, s, failing)
				synctest.Wait()
				var waiting []*Request
				for i := range 4 {
					r := request(fmt.Sprint("waiting ", i), "b")
					r.Lazy = i%2 == 0
					submit(t, s, r)
					waiting = append(waiting, r)
				}
				late := make(chan error, 1)
				go func() {
					r := request("no room")
					r.Events[0].Body = make([]byte, 9*(entryRoom+100))
					late <- s.Submit(t.Context(), r)
				}()
				synctest.Wait()
				open <- errDisk
				failsWith(t, failing, storage.ErrFailed)
				if _, err := failing.Result(); !errors.Is(err, errDisk) {
					t.Errorf("it does not say why: %v", err)
				}
				for _, r := range waiting {
					failsWith(t, r, storage.ErrFailed)
				}
				if err := <-late; !errors.Is(err, storage.ErrFailed) {
					t.Errorf("what waited for room: %v", err)
				}
				// The disk is back, which does not help.
				store.onAppend = nil
				if err := s.Submit(t.Context(), request("later")); !errors.Is(err, storage.ErrFailed) {
					t.Errorf("later: %v", err)
				}
				if err := s.TrySubmit(request("later")); !errors.Is(err, storage.ErrFailed) {
					t.Errorf("later: %v", err)
				}
				if !errors.Is(s.Err(), storage.ErrFailed) || !errors.Is(s.Err(), errDisk) {
					t.Errorf("Err: %v", s.Err())
				}
				s.Close()
				want := uint64(1)
				if there {
					want = 2
				}
				if store.appends != 2 || store.size() != want {
					t.Errorf("%d appends, %d entries", store.appends, store.size())
				}
				store.check(t, nil)
			})
		})
	}
}

// unreliableKey is a key whose holder cannot be reached for a while.
type unreliableKey struct {
	crypto.Signer
	mu  sync.Mutex
	err error
}

func (k *unreliableKey) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

func (k *unreliableKey) Sign(rand io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return nil, k.err
	}
	return k.Signer.Sign(rand, msg, opts)
}

// TestSigningFails: nothing was written, so those in the commit are told and the
// trail goes on.
func TestSigningFails(t *testing.T) {
	store := newMemStore()
	key := &unreliableKey{Signer: newSigner(t, "first").Key()}
	signer, err := evidence.NewSigner(origin, key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t, store)
	cfg.Signer = signer
	s := New(cfg)
	defer s.Close()
	r := request("a")
	submit(t, s, r)
	wait(t, r)

	key.fail(errDisk)
	r = request("b", "c")
	submit(t, s, r)
	failsWith(t, r, errDisk)
	if _, err := r.Result(); errors.Is(err, storage.ErrFailed) || s.Err() != nil {
		t.Errorf("%v, %v", err, s.Err())
	}
	// One that does not fit into one commit fails as well.
	r = request("large", "large", "large", "large")
	for i := range r.Events {
		r.Events[i].Body = make([]byte, maxCommit)
		r.Events[i].Commitment = evidence.CommitBody(r.Events[i].Body)
	}
	submit(t, s, r)
	failsWith(t, r, errDisk)
	key.fail(nil)
	r = request("d")
	submit(t, s, r)
	if size := wait(t, r); size != 2 || r.Events[0].Index != 1 {
		t.Errorf("size %d, %+v", size, r.Events[0])
	}
	store.check(t, nil)
}

// TestLookupFails: only the request whose id cannot be looked up fails.
func TestLookupFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemStore()
		open := gate(store)
		store.onLookup = func(k storage.Key) error {
			if k == storage.KeyOf(1, "bad") {
				return errDisk
			}
			return nil
		}
		s := New(config(t, store))
		submit(t, s, request("busy"))
		synctest.Wait()
		before, bad, after := request("before"), new(Request), new(Request)
		bad.Events = []Event{event("before it"), withID("bad", 0), event("behind it")}
		after.Events = []Event{withID("good", 0)}
		for _, r := range []*Request{before, bad, after} {
			submit(t, s, r)
		}
		open <- nil
		open <- nil // before, and what stands before the bad one
		open <- nil // after
		wait(t, before)
		failsWith(t, bad, errDisk)
		if size := wait(t, after); size != 4 {
			t.Errorf("size %d", size)
		}
		if s.Err() != nil {
			t.Errorf("failed: %v", s.Err())
		}
		s.Close()
		if got := store.sizes(); !slices.Equal(got, []int{1, 2, 1}) {
			t.Errorf("commits of %v entries", got)
		}
		store.check(t, nil)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// That the sequencer's goroutine is gone after Close, synctest checks.
		store := newMemStore()
		open := gate(store)
		cfg := config(t, store)
		cfg.FlushInterval = time.Hour
		s := New(cfg)
		busy := request("busy")
		submit(t, s, busy)
		synctest.Wait()
		var waiting []*Request
		for i := range 5 {
			r := request(fmt.Sprint(i))
			r.Lazy = true
			submit(t, s, r)
			waiting = append(waiting, r)
		}
		var closing sync.WaitGroup
		for range 3 {
			closing.Go(s.Close)
		}
		synctest.Wait()
		if err := s.Submit(t.Context(), request("late")); !errors.Is(err, storage.ErrClosed) {
			t.Errorf("submitted while closing: %v", err)
		}
		open <- nil
		open <- nil
		closing.Wait()
		wait(t, busy)
		for _, r := range waiting {
			wait(t, r)
		}
		if err := s.TrySubmit(request("late")); !errors.Is(err, storage.ErrClosed) {
			t.Errorf("submitted after Close: %v", err)
		}
		if s.Err() != nil {
			t.Errorf("Err: %v", s.Err())
		}
		s.Close()
		if store.size() != 6 {
			t.Errorf("%d entries", store.size())
		}
		store.check(t, nil)
	})
}

func TestCloseWhileSomebodyWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemStore()
		open := gate(store)
		cfg := config(t, store)
		cfg.MaxPending = 100
		s := New(cfg)
		a := request("a")
		submit(t, s, a)
		result := make(chan error, 1)
		go func() { result <- s.Submit(t.Context(), request("b")) }()
		synctest.Wait()
		go s.Close()
		synctest.Wait()
		open <- nil
		wait(t, a)
		if err := <-result; !errors.Is(err, storage.ErrClosed) {
			t.Errorf("%v", err)
		}
		s.Close()
	})
}
