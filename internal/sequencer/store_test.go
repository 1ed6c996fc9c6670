package sequencer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

const origin = "example.org/trail"

// newSigner returns a signer whose key is known to everybody: for tests only.
func newSigner(t testing.TB, seed string) *evidence.Signer {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	s, err := evidence.NewSigner(origin, ed25519.NewKeyFromSeed(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// memStore is a store in memory: what of one the sequencer uses.
type memStore struct {
	storage.Store // nil: nothing else may be called

	// onAppend, if set, is called with each batch before it is looked at. Its
	// error is what Append returns; the batch is then not stored, unless stored
	// says that it is all the same.
	onAppend func(b *storage.Batch) error
	stored   bool
	// onLookup, likewise.
	onLookup func(k storage.Key) error

	mu      sync.Mutex
	commits []commit
	head    storage.Head
	byKey   map[storage.Key][]uint64
	appends int // calls of Append
	lookups int // calls of Lookup
}

// commit is one batch as it was stored.
type commit struct {
	first      uint64
	entries    [][]byte
	bodies     [][]byte
	checkpoint []byte
}

func newMemStore() *memStore { return &memStore{byKey: make(map[storage.Key][]uint64)} }

func (s *memStore) Append(b *storage.Batch) error {
	s.mu.Lock()
	s.appends++
	s.mu.Unlock()
	var err error
	if s.onAppend != nil {
		if err = s.onAppend(b); err != nil && !s.stored {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.First != s.head.Tree.Size() {
		return storage.ErrConflict
	}
	c := commit{first: b.First, checkpoint: bytes.Clone(b.Checkpoint)}
	for i, it := range b.Items {
		// Nothing of the batch is kept.
		c.entries, c.bodies = append(c.entries, bytes.Clone(it.Entry)), append(c.bodies, bytes.Clone(it.Body))
		for _, k := range it.Keys {
			s.byKey[k] = append(s.byKey[k], b.First+uint64(i))
		}
		s.head.Tree.Append(it.Hash)
		s.head.Hash, s.head.Time = it.Hash, it.Time
	}
	s.commits = append(s.commits, c)
	return err
}

func (s *memStore) Head() storage.Head {
	s.mu.Lock()
	defer s.mu.Unlock()
	return storage.Head{Tree: s.head.Tree.Clone(), Hash: s.head.Hash, Time: s.head.Time}
}

func (s *memStore) Checkpoint() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.commits) == 0 {
		return nil, nil
	}
	return s.commits[len(s.commits)-1].checkpoint, nil
}

func (s *memStore) Lookup(dst []uint64, k storage.Key, from uint64) ([]uint64, error) {
	s.mu.Lock()
	s.lookups++
	s.mu.Unlock()
	if s.onLookup != nil {
		if err := s.onLookup(k); err != nil {
			return dst, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range slices.Backward(s.byKey[k]) { // in no particular order
		if i >= from {
			dst = append(dst, i)
		}
	}
	return dst, nil
}

func (s *memStore) size() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head.Tree.Size()
}

// sizes returns how many entries each commit has.
func (s *memStore) sizes() (out []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.commits {
		out = append(out, len(c.entries))
	}
	return out
}

// check verifies everything that is stored: the chain, the bodies, and for every
// commit a checkpoint that is signed by the keys it should be. signers gives the
// keys for a size; nil means the first one always.
func (s *memStore) check(t testing.TB, signers func(size uint64) []*evidence.Signer) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.commits) == 0 {
		return
	}
	first := s.commits[0].first
	chain := evidence.NewChain(first, nil)
	var tree evidence.Tree
	if first > 0 {
		tree = startTree(first)
	}
	for _, c := range s.commits {
		for i, e := range c.entries {
			got := chain.Next(e)
			if got.Payload != evidence.CommitBody(c.bodies[i]) {
				t.Errorf("entry %d does not commit to its body %q", got.Index, c.bodies[i])
			}
			tree.Append(got.Hash)
		}
		want := []*evidence.Signer{newSigner(t, "first")}
		if signers != nil {
			want = signers(tree.Size())
		}
		var known []note.Verifier
		var ids []uint32
		for _, w := range want {
			known, ids = append(known, w.Verifier()), append(ids, w.KeyHash())
		}
		cp, by, err := evidence.OpenCheckpoint(c.checkpoint, known...)
		if err != nil {
			t.Errorf("the checkpoint behind %d entries: %v", tree.Size(), err)
			continue
		}
		all, err := evidence.SignatureKeys(c.checkpoint)
		if err != nil || !slices.Equal(by, ids) || !slices.Equal(all, ids) {
			t.Errorf("the checkpoint behind %d entries is signed by %x, %v, want %x", tree.Size(), all, err, ids)
		}
		if cp.Origin != origin || cp.Size != tree.Size() || cp.Root != tree.Root() {
			t.Errorf("the checkpoint behind %d entries with root %v: %+v", tree.Size(), tree.Root(), cp)
		}
	}
	for _, f := range chain.End() {
		t.Error(f)
	}
}

// startTree is a tree of n leaves that all are zero, for stores that begin there.
func startTree(n uint64) (t evidence.Tree) {
	for range n {
		t.Append(evidence.Hash{})
	}
	return t
}

// startAt makes the store one that holds n entries already, which nobody looks at.
func (s *memStore) startAt(n uint64, time int64) {
	s.head = storage.Head{Tree: startTree(n), Hash: evidence.LeafHash([]byte("the entry before")), Time: time}
}

var errDisk = errors.New("the disk does not answer")

// event returns an event with a body of its own.
func event(name string) Event {
	body := fmt.Appendf(nil, "salt, 16 bytes: %s", name)
	return Event{Body: body, Commitment: evidence.CommitBody(body), Type: "action_executed", Keys: []storage.Key{storage.KeyOf(3, "agent")}}
}

// withID returns an event whose id the caller chose.
func withID(id string, checked uint64) Event {
	e := event("with id " + id)
	e.IDKey, e.Checked = storage.KeyOf(1, id), checked
	e.Keys = append(e.Keys, e.IDKey)
	return e
}

// request returns a request of such events.
func request(names ...string) *Request {
	r := new(Request)
	r.Reset()
	for _, n := range names {
		r.Events = append(r.Events, event(n))
	}
	return r
}
