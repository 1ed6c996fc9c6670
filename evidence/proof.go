package evidence

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// HashReader reads the hashes of a tree by their place in storage, as
// [tlog.StoredHashIndex] numbers them.
type HashReader = tlog.HashReader

// maxTreeSize is the largest tree that package tlog computes with: beyond it, its
// search for a power of two does not end.
const maxTreeSize = 1<<62 - 1

// ProveInclusion returns the inclusion proof of the entry with that index in the
// tree of that size (RFC 6962 section 2.1.1): the sibling of the leaf first, the
// child of the root last. It reads each hash that it needs once, in one call.
func ProveInclusion(r HashReader, index, size uint64) ([]Hash, error) {
	if err := checkInclusionBounds(index, size); err != nil {
		return nil, err
	}
	proof, err := tlog.ProveRecord(int64(size), int64(index), r)
	if err != nil {
		return nil, fmt.Errorf("inclusion proof of entry %d in %d entries: %w", index, size, err)
	}
	return proof, nil
}

// CheckInclusion checks that proof leads from the leaf hash of the entry with
// that index to the root of the tree of that size.
func CheckInclusion(proof []Hash, index, size uint64, leaf, root Hash) error {
	if err := checkInclusionBounds(index, size); err != nil {
		return err
	}
	inner, border := pathLength(index, size)
	if want := inner + border; len(proof) != want {
		return fmt.Errorf("inclusion proof of entry %d in %d entries has %d hashes; it needs %d", index, size, len(proof), want)
	}
	if tlog.CheckRecord(proof, int64(size), root, int64(index), leaf) != nil {
		return fmt.Errorf("inclusion proof does not lead from the hash of entry %d to the root of %d entries: entry, index, proof or root is another one", index, size)
	}
	return nil
}

func checkInclusionBounds(index, size uint64) error {
	if size > maxTreeSize {
		return errTreeSize(size)
	}
	if index >= size {
		return fmt.Errorf("a tree of %d entries has no entry %d; the first is entry 0", size, index)
	}
	return nil
}

func errTreeSize(size uint64) error {
	return fmt.Errorf("a tree of %d entries is larger than %d, the most that is supported", size, uint64(maxTreeSize))
}

// ProveConsistency returns the consistency proof between the trees of two sizes
// (RFC 6962 section 2.1.2). It is empty when the sizes are equal and when old is
// 0. It reads each hash that it needs once, in one call.
func ProveConsistency(r HashReader, old, size uint64) ([]Hash, error) {
	if err := checkConsistencyBounds(old, size); err != nil || old == 0 {
		return nil, err
	}
	proof, err := tlog.ProveTree(int64(size), int64(old), r)
	if err != nil {
		return nil, fmt.Errorf("consistency proof from %d to %d entries: %w", old, size, err)
	}
	return proof, nil
}

// CheckConsistency checks that the tree of size entries begins with the entries
// of the tree of old entries. Every tree begins with the empty one, whose root is
// the hash of nothing.
func CheckConsistency(proof []Hash, old, size uint64, oldRoot, root Hash) error {
	if err := checkConsistencyBounds(old, size); err != nil {
		return err
	}
	if want := consistencyLength(old, size); len(proof) != want {
		return fmt.Errorf("consistency proof from %d to %d entries has %d hashes; it needs %d", old, size, len(proof), want)
	}
	switch {
	case old == 0 && oldRoot != emptyRoot:
		return fmt.Errorf("the root of a tree of no entries is %v, not %v", emptyRoot, oldRoot)
	case old == size && oldRoot != root:
		return fmt.Errorf("two trees of %d entries have different roots: they are not of one history", size)
	case old == 0 || old == size:
		return nil
	}
	if tlog.CheckTree(proof, int64(size), root, int64(old), oldRoot) != nil {
		return fmt.Errorf("consistency proof does not lead from the root of %d entries to that of %d: the proof is another one, or the trees are not of one history", old, size)
	}
	return nil
}

func checkConsistencyBounds(old, size uint64) error {
	if size > maxTreeSize {
		return errTreeSize(size)
	}
	if old > size {
		return fmt.Errorf("a tree of %d entries cannot begin with %d entries", size, old)
	}
	return nil
}

// pathLength is how many hashes the inclusion proof of an entry has: those below
// the point where its path meets that of the last entry, and those above, which
// are all on the left.
func pathLength(index, size uint64) (inner, border int) {
	inner = bits.Len64(index ^ (size - 1))
	return inner, bits.OnesCount64(index >> inner)
}

// consistencyLength is how many hashes a consistency proof has.
func consistencyLength(old, size uint64) int {
	if old == 0 || old == size {
		return 0
	}
	// It is the proof of the last entry of the old tree, from the largest perfect
	// subtree that ends with this entry. The root of that comes first, but when it
	// is the whole old tree, which the verifier knows.
	inner, border := pathLength(old-1, size)
	n := inner - bits.TrailingZeros64(old) + border
	if old&(old-1) != 0 {
		n++
	}
	return n
}
