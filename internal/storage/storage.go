// Package storage is the contract between a trail and the place that keeps it.
//
// A store sees bytes and keys, never events. It appends a batch at a size or
// refuses, reads back what it was given, finds indices by key, and lets
// everything it holds be walked for verification. Two stores keep this
// contract; package storetest checks one against it.
package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/custodylog/custody/evidence"
)

// Key stands for one field having one value. It is a hash of 48 bits: a lookup
// by key gives candidates, and the caller compares the event itself.
type Key uint64

// KeyOf returns the key of value in the field numbered field. The numbers and
// the hash are part of the index format.
func KeyOf[T string | []byte](field uint8, value T) Key {
	var h uint64
	switch v := any(value).(type) {
	case string:
		h = xxhash.Sum64String(v)
	case []byte:
		h = xxhash.Sum64(v)
	}
	h ^= uint64(field) * 0x9e3779b97f4a7c15
	// Finaliser of MurmurHash3: spreads the field over all bits.
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	return Key(h >> 16)
}

// Item is one entry to append.
type Item struct {
	Entry []byte        // canonical bytes of the envelope
	Body  []byte        // salt and payload, one after the other
	Hash  evidence.Hash // leaf hash of Entry
	Time  int64         // the entry's time, microseconds since 1970
	Type  string        // the entry's type
	Keys  []Key         // what the entry can be found by
}

// Batch is what one commit appends.
type Batch struct {
	First      uint64 // index of the first item; the store's size, or it is refused
	Items      []Item
	Checkpoint []byte // signed over everything up to and including the batch
}

// Head is the end of a trail.
type Head struct {
	Tree evidence.Tree // over everything stored
	Hash evidence.Hash // leaf hash of the last entry; zero when there is none
	Time int64         // time of the last entry, microseconds since 1970
}

// Record is one stored entry. Entry and Body are valid until the next read into
// the same record.
type Record struct {
	Index uint64
	Entry []byte
	Body  []byte // salt and payload; nil when the payload is not held any more
	Hash  evidence.Hash

	Envelope evidence.Entry // Entry, decoded

	// Following is set by a reader who follows the end of the trail: what was
	// appended just now may come from the memory that it was appended from, where
	// it was hashed, instead of from where it is kept.
	Following bool

	// Kept belongs to the store: what it wants to find again at the next
	// read into this record, such as a block that was decompressed.
	Kept any
}

// Selection asks for indices.
type Selection struct {
	From, To uint64    // index range [From, To); To above the size means: up to the size
	Since    time.Time // zero: no bound; entries at or after it
	Until    time.Time // zero: no bound; entries before it
	All      [][]Key   // every group must match; a group matches when one of its keys does
	Reverse  bool      // newest first
}

// Bucket is the number of entries of one type within one period.
type Bucket struct {
	Start time.Time
	Type  string
	Count uint64
}

// Part is a run of entries that can be walked on its own.
type Part struct {
	First uint64
	Count uint64 // as far as known without reading it
	Name  string // for people, such as a file name
}

// Visitor receives what a walk over a part finds, in stored order.
type Visitor interface {
	// Entry is one stored entry. hash is the leaf hash that the store keeps
	// beside it, or nil. body is nil when no payload is held. The bytes of
	// the entry are valid until the next call of Entry has returned, those
	// of the body until this one has.
	Entry(entry, body []byte, hash *evidence.Hash)
	// Lost stands for n entries that were there but cannot be read.
	Lost(n uint64, cause evidence.Cause, where, detail string)
	// BodyLost says that the payload of the next entry is there but cannot
	// be read.
	BodyLost(where, detail string)
	// Node is a hash of the tree that the store keeps: the root over the
	// 2^level entries before it.
	Node(level int, hash evidence.Hash, where string)
	// Checkpoint is a signed checkpoint. It comes behind the entries that it
	// was committed with, or at the end if its size is none of this part.
	Checkpoint(signed []byte, where string)
	// Damage tells of damage beside the entries: headers, checksums,
	// directories. It concerns n entries from index on; a finding about one
	// of the entries themselves is more exact and replaces it.
	Damage(index, n uint64, cause evidence.Cause, where, detail string)
	// Pruned stands for 2^level entries that were pruned. hash is the root of the
	// tree over them; for level 0, their leaf hash.
	Pruned(level int, hash evidence.Hash)
}

// Store keeps one trail. Append and Close belong to one goroutine at a time;
// everything else may be called from any number of goroutines, also while a
// batch is being appended.
type Store interface {
	// Append makes a batch durable. When it returns nil, the batch survives
	// power loss. ErrConflict means that it was refused and nothing was
	// changed. After any other error the outcome is unknown and the store
	// takes no further batch. It does not keep the batch or the items: their
	// bytes may be used for the next batch once it has returned. The
	// checkpoint it may keep.
	Append(b *Batch) error

	// Size is the number of entries that readers see.
	Size() uint64

	// Head returns where the next batch continues.
	Head() Head

	// Checkpoint returns the newest signed checkpoint.
	Checkpoint() ([]byte, error)

	// TreeAt returns the tree over the first size entries, as the hashes that
	// are kept say, and the leaf hash of the last of them. It is for a caller
	// who knows which root to expect. Within what was pruned it gives
	// ErrPruned where too little was kept, and the zero hash where only the
	// last leaf hash is missing.
	TreeAt(ctx context.Context, size uint64) (evidence.Tree, evidence.Hash, error)

	// Nodes appends the hashes of n nodes of the tree, as they are kept: the roots
	// of n perfect subtrees of 2^level entries each, from number first on. level
	// is 0, 8 or 16, as in the tiles of C2SP tlog-tiles. It gives ErrNotFound where
	// the trail is too small and ErrPruned where the hashes of entries were not
	// kept.
	Nodes(ctx context.Context, dst []evidence.Hash, level int, first uint64, n int) ([]evidence.Hash, error)

	// Read reads the entry at index into r, whose buffers it may reuse.
	// The hash and the commitment are checked; ErrNotFound means that the
	// index is not below Size.
	Read(ctx context.Context, index uint64, r *Record) error

	// Lookup appends the indices from from on that may have key k, in no
	// particular order. It is Select for the one question that is asked for
	// every event with an id of its own.
	Lookup(dst []uint64, k Key, from uint64) ([]uint64, error)

	// Select yields the indices that match, in order. Hashing makes it
	// yield a few that do not: the caller checks the entry. It sees every
	// entry below the Size at the time of the call, and no later one.
	Select(ctx context.Context, s Selection) iter.Seq2[uint64, error]

	// Counts counts entries by type and period without reading them. Times
	// are rounded down to whole hours, so every must be a multiple of one.
	Counts(ctx context.Context, since, until time.Time, every time.Duration) ([]Bucket, error)

	// Parts lists what the store holds, and Walk reads one of them without
	// trusting anything in it.
	Parts(ctx context.Context) ([]Part, error)
	Walk(ctx context.Context, p Part, v Visitor) error

	// CheckIndex compares the search index of a part with keys, which were
	// taken from its entries, and says what is wrong; empty means nothing.
	CheckIndex(ctx context.Context, p Part, keys *KeySum) (string, error)

	// RemovePayloads removes the salts and payloads of entries for good, and what
	// they can be found by. Their entries stay. It passes over payloads that
	// are gone already; an index that is not below Size is ErrNotFound. When it
	// returns nil, nothing that the store holds has the bytes any more, and
	// that is durable. After an error or a crash some are removed and others
	// not, but never one that is not asked for, and calling it again finishes.
	// It may be called while everything else goes on.
	RemovePayloads(ctx context.Context, at evidence.Ranges) error

	// Prune removes the entries before index to, which is a multiple of PruneStep
	// and not beyond Prunable, and keeps of
	// them what it takes to prove the rest. Entries whose type keep reports
	// true for are kept, with their payload if they have it. One that has its
	// payload still and is not kept makes it fail before anything is changed.
	// After an error or a crash some segments are pruned, the oldest ones;
	// calling it again finishes. It may be called while everything else goes
	// on.
	Prune(ctx context.Context, to uint64, keep func(typ string) bool) error

	// Prunable is the largest index that Prune takes: what is before it lies in
	// whole segments.
	Prunable() uint64

	// First is the minimum index: the entries before it were pruned, but for
	// those that were kept. Read gives ErrPruned for the others; Select, Lookup
	// and Counts pass over them.
	First() uint64

	// SetIntent keeps a note, durably and in place of any other, of what is
	// about to be removed; nil takes it away. Intent returns it, nil when there
	// is none. The store does not look at it.
	SetIntent(note []byte) error
	Intent() ([]byte, error)

	// Attach keeps a document about the trail as it was at a size, durably and in
	// place of one of the same kind and size: a checkpoint that witnesses
	// cosigned, a time-stamp. kind is a word of lower-case letters. Attached lists
	// the sizes of which there is one, ascending, Attachment returns it
	// (ErrNotFound), Detach removes it. The store does not look at documents.
	// They can be attached to a store that was opened for reading.
	Attach(kind string, size uint64, content []byte) error
	Attached(kind string) ([]uint64, error)
	Attachment(kind string, size uint64) ([]byte, error)
	Detach(kind string, size uint64) error

	// Rewrites counts how often files of entries were replaced, by whichever process
	// that was. It grows once they were; while they are, there is an intent.
	Rewrites() uint64

	// Changed returns a channel that is closed when Size has grown beyond
	// size, or the store was closed.
	Changed(size uint64) <-chan struct{}

	// Anchors returns the signed checkpoints that are kept beside the entries:
	// the entries must extend every one of them.
	Anchors() ([][]byte, error)

	// Checkpoints returns the signed checkpoints that stay among the entries, the
	// newest first, limit at most (0: all): the last one of every full segment and
	// those that a change of key shows; and the newest, which the next commit
	// replaces. Those in files that cannot be read are missing: Walk tells of them.
	Checkpoints(limit int) [][]byte

	// Bytes is what the trail takes on disk.
	Bytes() (int64, error)

	Close() error
}

// KeySum is a sum over (key, index) pairs that does not depend on their order,
// for comparing an index with the entries it was made from. Sums differ from one
// process to the next: what is not known in advance cannot be aimed at.
type KeySum struct {
	N      uint64
	Sum    uint64
	Counts uint64 // the same over the counts of entries by type and hour
}

var sumSeed = [2]uint64{rand.Uint64(), rand.Uint64() | 1}

// Add adds one pair.
func (s *KeySum) Add(k Key, index uint64) {
	hi, lo := bits.Mul64((uint64(k)^sumSeed[0])*sumSeed[1], index^sumSeed[0]>>32^sumSeed[1])
	h := (hi ^ lo) * 0xd6e8feb86659fd93
	s.N++
	s.Sum += h ^ h>>32
}

// Count adds n entries of one type whose times, in microseconds since 1970, lie
// in the same hour as time.
func (s *KeySum) Count(typ []byte, time int64, n uint64) {
	const hour = 3600 * 1e6
	start := time - ((time%hour)+hour)%hour
	hi, lo := bits.Mul64((xxhash.Sum64(typ)^sumSeed[1])*sumSeed[1], uint64(start)^sumSeed[0])
	h := (hi ^ lo) * 0xd6e8feb86659fd93
	s.Counts += n * (h ^ h>>32)
}

// Extract takes the keys out of an entry's payload, for building an index
// again. It appends to keys. payload is nil when none is held.
type Extract func(keys []Key, typ string, payload []byte) ([]Key, error)

// PruneStep is what minimum indices are multiples of: the entries of one full tile
// of level 1 (C2SP tlog-tiles).
const PruneStep = 1 << 16

// Errors that callers branch on.
var (
	// ErrConflict: the batch does not start at the store's size.
	ErrConflict = errors.New("another writer was first: the batch does not continue the trail")
	// ErrNotFound: no such index, or no such trail.
	ErrNotFound = errors.New("not found")
	// ErrPruned: the entry was removed with all others of its time.
	ErrPruned = errors.New("the entry was pruned under a retention policy")
	// ErrFailed: an earlier write failed, so the store takes no more.
	ErrFailed = errors.New("the trail is read-only since an earlier write failed; reopen it")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the trail is closed")
	// ErrReadOnly: the store was opened for reading.
	ErrReadOnly = errors.New("the trail was opened for reading only")
	// ErrNewer: a file was written by a newer version of the format.
	ErrNewer = errors.New("written by a newer version of Custody")
	// ErrAltered: stored bytes do not check out.
	ErrAltered = errors.New("stored bytes do not check out")
	// ErrNoRecover: what is stored does not check out, so the trail cannot
	// be opened for writing.
	ErrNoRecover = errors.New("the trail does not check out and is not opened for writing; run verify")
)

// CheckVersion looks at the first line of a file, which every version begins
// with its kind and the number of the version: prefix, decimal digits, newline.
// It wraps ErrNewer for a version that is not known yet, and ErrAltered for
// anything else that is not the version asked for.
func CheckVersion(head []byte, prefix string, version int) error {
	rest, ok := bytes.CutPrefix(head, []byte(prefix))
	if !ok {
		return fmt.Errorf("%w: it does not start with %q", ErrAltered, prefix)
	}
	digits, _, ok := bytes.Cut(rest[:min(len(rest), 7)], []byte("\n"))
	v, err := strconv.ParseUint(string(digits), 10, 32)
	if !ok || err != nil || v == 0 || digits[0] == '0' {
		return fmt.Errorf("%w: no version stands behind %q", ErrAltered, prefix)
	}
	if v > uint64(version) {
		return fmt.Errorf("%w: it says %q, this program reads version %d", ErrNewer, prefix+string(digits), version)
	}
	if v < uint64(version) {
		return fmt.Errorf("%w: it says %q, which is not version %d", ErrAltered, prefix+string(digits), version)
	}
	return nil
}

// FormatError tells where stored bytes are not what they should be. It wraps
// ErrNewer or ErrAltered.
type FormatError struct {
	Err    error
	File   string
	Offset int64
	Detail string
}

func (e *FormatError) Error() string {
	if errors.Is(e.Err, ErrNewer) {
		return fmt.Sprintf("%s: %v: %s", e.File, e.Err, e.Detail)
	}
	return fmt.Sprintf("%s, byte %d: %v: %s", e.File, e.Offset, e.Err, e.Detail)
}

func (e *FormatError) Unwrap() error { return e.Err }
