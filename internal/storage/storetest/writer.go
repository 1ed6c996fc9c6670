package storetest

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// Origin is the name of every trail that a [Writer] makes.
const Origin = "example.com/storetest"

// Boundary: no batch of a [Writer] reaches over a multiple of it, as none of a
// sequencer does.
const Boundary = 1 << 16

// The fields by which the entries of a [Writer] are found.
const (
	FieldType uint8 = iota + 1
	FieldAgent
	FieldSession
	FieldID
)

// Types lists the types of the entries that a [Writer] makes.
var Types = []string{"action_requested", "action_validated", "action_denied", "action_executed", "action_failed", "budget_exceeded"}

// Writer makes the batches of one trail. It takes the place of the sequencer:
// it gives out indices and times, links and hashes entries and signs
// checkpoints. Equal seeds make equal trails.
//
// A Writer belongs to one goroutine; what it returned may be read by several
// while it makes no further batch.
type Writer struct {
	// PayloadSize pads every payload to about so many bytes. 0: none.
	PayloadSize int

	seed    uint64
	rng     *rand.Rand
	entries []storage.Item
	commits []Commit
	nodes   []tlog.Hash // as package tlog stores them
	time    int64
	session int
	keys    int                // signing keys used so far
	signers []*evidence.Signer // those that were asked for so far
	rotate  bool
	first   uint64 // entries before it were pruned, but for those of KeptType
	chunk   []byte // entries and bodies are cut from it
}

// Commit is what a batch leaves: the size of the trail and its checkpoint.
type Commit struct {
	Size       uint64
	Checkpoint []byte
}

// NewWriter returns the writer of an empty trail.
func NewWriter(seed uint64) *Writer {
	return &Writer{
		seed: seed,
		rng:  rand.New(rand.NewPCG(seed, 0)),
		time: time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC).UnixMicro(),
		keys: 1,
	}
}

// Fork returns a writer whose trail begins with the commits of w up to size,
// and then goes another way: what a sequencer does that was opened again after
// a crash. size must be that of a commit, or 0.
func (w *Writer) Fork(size uint64, seed uint64) *Writer {
	f := NewWriter(seed)
	f.PayloadSize, f.session = w.PayloadSize, w.session
	f.seed, f.keys, f.signers = w.seed, w.keys, slices.Clip(w.signers) // signed by the same keys
	f.entries, f.first = slices.Clip(w.entries[:size]), w.first
	if n, ok := w.findCommit(size); ok {
		f.commits = slices.Clip(w.commits[:n+1])
	} else if size > 0 {
		panic(fmt.Sprintf("storetest: no batch ends at size %d", size))
	}
	f.nodes = slices.Clip(w.nodes[:tlog.StoredHashCount(int64(size))])
	if size > 0 {
		f.time = f.entries[size-1].Time
	}
	return f
}

// commitAt returns the commit that made the trail size entries long.
func (w *Writer) commitAt(size uint64) (Commit, bool) {
	n, ok := w.findCommit(size)
	if !ok {
		return Commit{}, false
	}
	return w.commits[n], true
}

func (w *Writer) findCommit(size uint64) (n int, ok bool) {
	return slices.BinarySearchFunc(w.commits, size, func(c Commit, size uint64) int { return cmp.Compare(c.Size, size) })
}

// Forget takes the payloads of entries away, and what they are found by: what
// RemovePayloads does to a store. Forks made before are not concerned.
func (w *Writer) Forget(at evidence.Ranges) {
	w.entries = slices.Clone(w.entries)
	for i := range at.All() {
		e := &w.entries[i]
		e.Body = nil
		e.Keys, _ = Extract(nil, e.Type, nil)
	}
}

// KeptType is the type of entries that are kept when others are pruned. Those that
// [Writer.Batch] makes are all of other types.
const KeptType = "log_opened"

// Keep reports whether entries of a type are kept when others are pruned.
func Keep(typ string) bool { return typ == KeptType }

// Prune takes the entries before an index away, but for those that are kept: what
// Prune does to a store with [Keep].
func (w *Writer) Prune(to uint64) { w.first = to }

// Pruned reports whether an entry was pruned.
func (w *Writer) Pruned(i uint64) bool { return i < w.first && !Keep(w.entries[i].Type) }

// Prunable returns the entries before an index that have a payload and are not
// kept.
func (w *Writer) Prunable(to uint64) (at evidence.Ranges) {
	for i := range w.entries[:to] {
		if e := &w.entries[i]; e.Body != nil && !Keep(e.Type) {
			at.Add(uint64(i))
		}
	}
	return at
}

// Size is the number of entries made so far.
func (w *Writer) Size() uint64 { return uint64(len(w.entries)) }

// Entry returns the entry at an index.
func (w *Writer) Entry(i uint64) *storage.Item { return &w.entries[i] }

// Commits returns what each batch so far left.
func (w *Writer) Commits() []Commit { return w.commits }

// Verifier returns the verifier key that the trail begins with.
func (w *Writer) Verifier() string { return w.signer(0).VerifierKey() }

// Rotate makes the next batch the last one under the current signing key: its
// checkpoint is signed with that and the next.
func (w *Writer) Rotate() { w.rotate = true }

func (w *Writer) signer(n int) *evidence.Signer {
	for i := len(w.signers); i <= n; i++ {
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], w.seed)
		binary.BigEndian.PutUint64(b[8:], uint64(i))
		seed := sha256.Sum256(b[:])
		s, err := evidence.NewSigner(Origin, ed25519.NewKeyFromSeed(seed[:]))
		if err != nil {
			panic(err) // origin and key are ours
		}
		w.signers = append(w.signers, s)
	}
	return w.signers[n]
}

// Batch makes the next n entries, or those up to the next [Boundary] if they
// are fewer. The batch is a copy: whoever gets it may write over it.
func (w *Writer) Batch(n int) *storage.Batch {
	n = min(n, int(Boundary-w.Size()%Boundary))
	for range n {
		w.add(w.payload())
	}
	return w.commit()
}

// BatchOf makes a batch with an entry for each of the bodies given: a salt and
// a payload, or nil for one that is not held any more.
func (w *Writer) BatchOf(typ string, bodies ...[]byte) *storage.Batch {
	for _, body := range bodies {
		w.add(typ, body)
	}
	return w.commit()
}

// payload returns the type and the body of a random event. One in fifty has
// lost its payload.
func (w *Writer) payload() (typ string, body []byte) {
	if w.rng.IntN(40) == 0 {
		w.session++
	}
	typ = Types[min(w.rng.IntN(len(Types)), w.rng.IntN(len(Types)))]
	if w.rng.IntN(50) == 0 {
		return typ, nil
	}
	// Few agents do most of the work.
	agent := min(w.rng.IntN(30), w.rng.IntN(30), w.rng.IntN(30))
	body = w.room(evidence.SaltSize + 96 + w.PayloadSize)[:evidence.SaltSize]
	binary.BigEndian.PutUint64(body, w.rng.Uint64())
	binary.BigEndian.PutUint64(body[8:], w.rng.Uint64())
	body = fmt.Appendf(body, `{"agent_id":"agent-%02d","id":"%08x-%08x","session_id":"s-%d"`, agent, len(w.entries), w.rng.Uint32(), w.session)
	if w.PayloadSize > 0 {
		body = append(body, `,"text":"`...)
		for range w.PayloadSize {
			body = append(body, 'a'+byte(w.rng.IntN(16)))
		}
		body = append(body, '"')
	}
	body = append(body, '}')
	w.chunk = w.chunk[len(body):]
	return typ, body
}

// room returns memory for what has at most n bytes.
func (w *Writer) room(n int) []byte {
	if cap(w.chunk) < n {
		w.chunk = make([]byte, max(n, 1<<20))
	}
	return w.chunk[:n:n]
}

func (w *Writer) add(typ string, body []byte) {
	// Several entries may have the same time.
	switch w.rng.IntN(4) {
	case 0:
	case 1:
		w.time += int64(w.rng.IntN(1_000_000))
	default:
		w.time += int64(w.rng.IntN(300_000))
	}
	e := evidence.Entry{Index: w.Size(), Time: time.UnixMicro(w.time), Type: typ}
	if body == nil {
		binary.BigEndian.PutUint64(e.Payload[:], w.rng.Uint64())
	} else {
		e.Payload, _ = evidence.Commit(body[:evidence.SaltSize], body[evidence.SaltSize:])
	}
	if e.Index > 0 {
		e.Prev = w.entries[e.Index-1].Hash
	}
	entry := evidence.AppendEntry(w.room(240 + evidence.MaxTypeLen)[:0], &e)
	w.chunk = w.chunk[len(entry):]
	var payload []byte
	if body != nil {
		payload = body[evidence.SaltSize:]
	}
	keys, _ := Extract(nil, typ, payload)
	hash := tlog.RecordHash(entry)
	nodes, err := tlog.StoredHashesForRecordHash(int64(e.Index), hash, w)
	if err != nil {
		panic(err) // ReadHashes has them all
	}
	w.nodes = append(w.nodes, nodes...)
	w.entries = append(w.entries, storage.Item{Entry: slices.Clip(entry), Body: slices.Clip(body), Hash: hash, Time: w.time, Type: typ, Keys: keys})
}

func (w *Writer) commit() *storage.Batch {
	signers := []note.Signer{w.signer(w.keys - 1)}
	if w.rotate {
		w.rotate = false
		signers = append(signers, w.signer(w.keys))
		w.keys++
	}
	c := evidence.Checkpoint{Origin: Origin, Size: w.Size(), Root: w.Root(w.Size())}
	signed, err := evidence.SignCheckpoint(&c, signers...)
	if err != nil {
		panic(err) // the keys are in memory
	}
	w.commits = append(w.commits, Commit{w.Size(), signed})
	return w.Replay(len(w.commits) - 1)
}

// Replay returns the nth batch again.
func (w *Writer) Replay(n int) *storage.Batch {
	first := uint64(0)
	if n > 0 {
		first = w.commits[n-1].Size
	}
	b := &storage.Batch{First: first, Checkpoint: bytes.Clone(w.commits[n].Checkpoint)}
	for _, it := range w.entries[first:w.commits[n].Size] {
		it.Entry, it.Body, it.Keys = bytes.Clone(it.Entry), bytes.Clone(it.Body), slices.Clone(it.Keys)
		b.Items = append(b.Items, it)
	}
	return b
}

// Root returns the root of the tree over the first size entries, as package
// tlog computes it.
func (w *Writer) Root(size uint64) evidence.Hash {
	root, err := tlog.TreeHash(int64(size), w)
	if err != nil {
		panic(err) // ReadHashes has them all
	}
	return root
}

// Node returns the root over the 2^level entries that end at size, which is a
// multiple of that.
func (w *Writer) Node(level int, size uint64) evidence.Hash {
	return w.nodes[tlog.StoredHashIndex(level, int64(size>>level)-1)]
}

// ReadHashes implements tlog.HashReader.
func (w *Writer) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		hashes[i] = w.nodes[at]
	}
	return hashes, nil
}

// Extract is the storage.Extract for the entries of a [Writer].
func Extract(keys []storage.Key, typ string, payload []byte) ([]storage.Key, error) {
	keys = append(keys, storage.KeyOf(FieldType, typ))
	for _, f := range [...]struct {
		field  uint8
		before string
	}{{FieldAgent, `"agent_id":"`}, {FieldID, `"id":"`}, {FieldSession, `"session_id":"`}} {
		if _, value, ok := bytes.Cut(payload, []byte(f.before)); ok {
			if end := bytes.IndexByte(value, '"'); end >= 0 {
				keys = append(keys, storage.KeyOf(f.field, value[:end]))
			}
		}
	}
	return keys, nil
}
