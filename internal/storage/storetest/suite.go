package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/custodylog/custody/internal/storage"
)

// Opener says how the store of one trail is opened. The trail is empty when
// Open is called for the first time.
type Opener struct {
	// Open opens the trail for writing. The suite closes a store before it
	// opens the trail again. Where the store needs a storage.Extract it is
	// [Extract].
	Open func() (storage.Store, error)

	// OpenReader opens the trail for reading, while it is open for writing
	// or not.
	OpenReader func() (storage.Store, error)
}

// Run checks a store against the contract of package storage. newStore is
// called once for every trail that the suite needs.
func Run(t *testing.T, newStore func(t *testing.T) Opener) {
	for _, c := range small {
		t.Run(c.name, func(t *testing.T) {
			explain(t, c.why)
			c.test(&trail{T: t, Opener: newStore(t), w: NewWriter(1), ctx: t.Context()})
		})
	}
	t.Run("large", func(t *testing.T) { runLarge(t, newStore(t)) })
}

// smallCase is a case that gets a new, empty trail.
type smallCase struct {
	name string
	why  string // printed when the store fails it
	test func(*trail)
}

var small = []smallCase{
	{"an empty trail", "a trail without entries has size 0, the root of the empty tree, no checkpoint and nothing to read", testEmpty},
	{"attach", "documents are kept by kind and size", testAttach},
	{"remove", "payloads go for good, with what they were found by; entries stay; a note is kept meanwhile", testRemove},
	{"append", "once Append has returned, readers see the batch, and Head is where the next one continues", testAppend},
	{"conflict", "a batch that does not begin at the size is refused with ErrConflict, and nothing is changed", testConflict},
	{"nothing to append", "a batch without entries would be a commit of nothing, which no reader accepts: it is refused", testNothing},
	{"the caller's buffers", "the entries, payloads and keys of a batch belong to the caller again when Append returns", testBuffers},
	{"shapes of entries", "what was appended is what is read, byte by byte: without a payload, with an empty one, with a large one", testShapes},
	{"reopen", "what was acknowledged is there after Close and Open, and the trail goes on from there", testReopen},
	{"a change of key", "a checkpoint that two keys signed shows that the trail passed from one to the other; it is kept for ever", testRotation},
	{"changed", "the channel of Changed is closed once Size has grown beyond the size given, and not while nothing happens", testChanged},
	{"changed by close", "the channel of Changed is closed when the store is", testChangedClose},
	{"close", "a closed store takes no batch and says ErrClosed; closing it again gives the same result", testClose},
	{"reader", "a store that is open for reading takes no batch and says ErrReadOnly, and sees what the writer appends", testReader},
	{"selecting while appending", "Select yields what was there when it was called, and nothing that came later", testSelectSnapshot},
	{"cancelled", "a context that has ended ends whatever takes it, with the context's error", testCancelled},
	{"counts by hours", "counts are kept by whole hours, so anything else is refused rather than rounded", testCountsPeriod},
}

// explain prints what the contract says if the test fails.
func explain(t *testing.T, why string) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the contract of package storage: %s", why)
		}
	})
}

// trail is the store of a case and what was written to it.
type trail struct {
	*testing.T
	Opener
	w     *Writer
	ctx   context.Context
	byKey map[storage.Key][]uint64 // of the large trail: the entries that have a key
}

// open opens the trail for writing until the case ends.
func (t *trail) open() storage.Store { return t.opened(t.Open) }

// openReader opens the trail for reading until the case ends.
func (t *trail) openReader() storage.Store { return t.opened(t.OpenReader) }

func (t *trail) opened(open func() (storage.Store, error)) storage.Store {
	t.Helper()
	s, err := open()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		s.Close() // for the second time in most cases, which is fine
		s = nil   // the testing package holds on to this function
	})
	return s
}

func (t *trail) close(s storage.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// append appends batches of the sizes given.
func (t *trail) append(s storage.Store, sizes ...int) {
	t.Helper()
	for _, n := range sizes {
		if err := s.Append(t.w.Batch(n)); err != nil {
			t.Fatalf("append at %d: %v", s.Size(), err)
		}
	}
}

// check compares the store with everything that was written.
func (t *trail) check(s storage.Store) {
	t.Helper()
	if err := t.w.Check(t.ctx, s, t.w.Size()); err != nil {
		t.Fatalf("the store does not hold what was written: %v", err)
	}
}

func (t *trail) wantError(what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want one that wraps %q", what, err, want)
	}
}
