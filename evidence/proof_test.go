package evidence

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// What follows is RFC 6962 section 2.1 as it is written there, over leaf hashes.

// mth is MTH(D[n]).
func mth(d []Hash) Hash {
	switch len(d) {
	case 0:
		return emptyRoot
	case 1:
		return d[0]
	}
	k := split(len(d))
	return NodeHash(mth(d[:k]), mth(d[k:]))
}

// split is the largest power of two smaller than n.
func split(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

// auditPath is PATH(m, D[n]).
func auditPath(m int, d []Hash) []Hash {
	if len(d) == 1 {
		return nil
	}
	if k := split(len(d)); m < k {
		return append(auditPath(m, d[:k]), mth(d[k:]))
	} else {
		return append(auditPath(m-k, d[k:]), mth(d[:k]))
	}
}

// subproof is SUBPROOF(m, D[n], b).
func subproof(m int, d []Hash, b bool) []Hash {
	if m == len(d) {
		if b {
			return nil
		}
		return []Hash{mth(d)}
	}
	if k := split(len(d)); m <= k {
		return append(subproof(m, d[:k], b), mth(d[k:]))
	} else {
		return append(subproof(m-k, d[k:], false), mth(d[:k]))
	}
}

func leaves(n int) []Hash {
	d := make([]Hash, n)
	for i := range d {
		d[i] = leafOf(uint64(i))
	}
	return d
}

func stored(t testing.TB, n int) *storedHashes {
	t.Helper()
	var s storedHashes
	for _, leaf := range leaves(n) {
		s.add(t, leaf)
	}
	return &s
}

// TestInclusion proves every entry of every tree up to a size, by the definition.
func TestInclusion(t *testing.T) {
	const most = 70
	r, d := stored(t, most), leaves(most)
	for size := 1; size <= most; size++ {
		root := mth(d[:size])
		for i := range size {
			proof, err := ProveInclusion(r, uint64(i), uint64(size))
			if err != nil || !slices.Equal(proof, auditPath(i, d[:size])) {
				t.Fatalf("entry %d in %d: %v, %v, want %v", i, size, proof, err, auditPath(i, d[:size]))
			}
			if err := CheckInclusion(proof, uint64(i), uint64(size), d[i], root); err != nil {
				t.Fatal(err)
			}
			// In a tree of another size the same proof says nothing, nor at another index.
			for _, other := range []struct{ index, size int }{{i, size + 1}, {i, size - 1}, {i + 1, size}, {i - 1, size}} {
				if CheckInclusion(proof, uint64(other.index), uint64(other.size), d[i], root) == nil && !sameShape(i, size, other.index, other.size) {
					t.Fatalf("the proof of entry %d in %d passes for entry %d in %d", i, size, other.index, other.size)
				}
			}
		}
	}
}

// sameShape reports whether two paths have the same turns. The proof of an entry
// says nothing about the size as long as the turns stay: the checkpoint does.
func sameShape(i, n, j, m int) bool {
	return i >= 0 && j >= 0 && i < n && j < m && turns(i, n) == turns(j, m)
}

func turns(i, n int) string {
	if n == 1 {
		return ""
	}
	if k := split(n); i < k {
		return "l" + turns(i, k)
	} else {
		return "r" + turns(i-k, n-k)
	}
}

// TestConsistency proves every pair of trees up to a size, by the definition.
func TestConsistency(t *testing.T) {
	const most = 70
	r, d := stored(t, most), leaves(most)
	for size := range most + 1 {
		root := mth(d[:size])
		for old := range size + 1 {
			proof, err := ProveConsistency(r, uint64(old), uint64(size))
			var want []Hash
			if old > 0 {
				want = subproof(old, d[:size], true)
			}
			if err != nil || !slices.Equal(proof, want) {
				t.Fatalf("from %d to %d: %v, %v, want %v", old, size, proof, err, want)
			}
			oldRoot := mth(d[:old])
			if err := CheckConsistency(proof, uint64(old), uint64(size), oldRoot, root); err != nil {
				t.Fatal(err)
			}
			wrong := oldRoot
			wrong[31] ^= 1
			if CheckConsistency(proof, uint64(old), uint64(size), wrong, root) == nil {
				t.Fatalf("from %d to %d: passes for another old root", old, size)
			}
			wrong = root
			wrong[31] ^= 1
			if old > 0 && CheckConsistency(proof, uint64(old), uint64(size), oldRoot, wrong) == nil {
				t.Fatalf("from %d to %d: passes for another root", old, size)
			}
			if old > 0 && CheckConsistency(proof, uint64(old-1), uint64(size), oldRoot, root) == nil {
				t.Fatalf("from %d to %d: passes for another old size", old, size)
			}
		}
	}
}

// TestProofsRefuseChanges takes a hash away, adds one and flips a bit in each.
func TestProofsRefuseChanges(t *testing.T) {
	const size = 45
	r, d := stored(t, size), leaves(size)
	root := mth(d)
	changes := func(proof []Hash) (all [][]Hash) {
		all = append(all, append(slices.Clone(proof), Hash{}), append([]Hash{{}}, proof...))
		for i := range proof {
			flipped := slices.Clone(proof)
			flipped[i][0] ^= 0x80
			all = append(all, flipped, slices.Delete(slices.Clone(proof), i, i+1))
		}
		if len(proof) > 1 {
			swapped := slices.Clone(proof)
			swapped[0], swapped[1] = swapped[1], swapped[0]
			all = append(all, swapped)
		}
		return all
	}
	for i := range uint64(size) {
		proof, err := ProveInclusion(r, i, size)
		if err != nil {
			t.Fatal(err)
		}
		for n, changed := range changes(proof) {
			if CheckInclusion(changed, i, size, d[i], root) == nil {
				t.Errorf("inclusion of %d: change %d passes", i, n)
			}
		}
		old := i + 1
		if proof, err = ProveConsistency(r, old, size); err != nil {
			t.Fatal(err)
		}
		for n, changed := range changes(proof) {
			if CheckConsistency(changed, old, size, mth(d[:old]), root) == nil {
				t.Errorf("consistency from %d: change %d passes", old, n)
			}
		}
	}
}

func TestProofErrors(t *testing.T) {
	r, d := stored(t, 8), leaves(8)
	root, failing := mth(d), tlog.HashReaderFunc(func([]int64) ([]Hash, error) { return nil, errors.New("the disk is gone") })
	short := tlog.HashReaderFunc(func([]int64) ([]Hash, error) { return nil, nil })
	errOf := func(_ []Hash, err error) error { return err }
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"prove behind the end", errOf(ProveInclusion(r, 8, 8)), "a tree of 8 entries has no entry 8"},
		{"prove in nothing", errOf(ProveInclusion(r, 0, 0)), "a tree of 0 entries has no entry 0"},
		{"prove in too many", errOf(ProveInclusion(r, 0, math.MaxUint64)), "larger than 4611686018427387903"},
		{"hashes that cannot be read", errOf(ProveInclusion(failing, 3, 8)), "entry 3 in 8 entries: the disk is gone"},
		{"hashes that are not there", errOf(ProveInclusion(short, 3, 8)), "inclusion proof of entry 3"},
		{"check behind the end", CheckInclusion(nil, 8, 8, d[0], root), "has no entry 8"},
		{"check in too many", CheckInclusion(nil, 0, 1<<62, d[0], root), "larger than"},
		{"check beyond 63 bits", CheckInclusion(nil, math.MaxInt64+1, math.MaxInt64+2, d[0], root), "larger than"},
		{"too few hashes", CheckInclusion(d[:2], 0, 8, d[0], root), "has 2 hashes; it needs 3"},
		{"other root", CheckInclusion(d[:3], 0, 8, d[0], root), "does not lead from the hash of entry 0 to the root of 8 entries"},

		{"prove to fewer", errOf(ProveConsistency(r, 9, 8)), "a tree of 8 entries cannot begin with 9"},
		{"prove to too many", errOf(ProveConsistency(r, 1, 1<<62)), "larger than"},
		{"consistency that cannot be read", errOf(ProveConsistency(failing, 3, 8)), "from 3 to 8 entries: the disk is gone"},
		{"check to fewer", CheckConsistency(nil, 9, 8, root, root), "cannot begin with 9"},
		{"check to too many", CheckConsistency(nil, 1, math.MaxInt64+1, root, root), "larger than"},
		{"hashes from nothing", CheckConsistency(d[:1], 0, 8, emptyRoot, root), "has 1 hashes; it needs 0"},
		{"hashes to the same", CheckConsistency(d[:1], 8, 8, root, root), "has 1 hashes; it needs 0"},
		{"root of nothing", CheckConsistency(nil, 0, 8, root, root), "the root of a tree of no entries is 47DEQpj8"},
		{"two roots of nothing", CheckConsistency(nil, 0, 0, emptyRoot, root), "two trees of 0 entries have different roots"},
		{"fork", CheckConsistency(nil, 8, 8, root, d[0]), "two trees of 8 entries have different roots: they are not of one history"},
		{"fork behind", CheckConsistency(d[:3], 4, 8, root, root), "has 3 hashes; it needs 1"},
		{"other roots", CheckConsistency(d[:1], 4, 8, root, root), "does not lead from the root of 4 entries to that of 8"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, tt.err, tt.want)
		}
	}
	if err := CheckConsistency(nil, 0, 8, emptyRoot, root); err != nil {
		t.Error(err)
	}
	if err := CheckConsistency(nil, 0, 0, emptyRoot, emptyRoot); err != nil {
		t.Error(err)
	}
}

// TestProofsOfLargestTree: sizes as large as are supported are checked in no time.
// The trees are all zeros up to the last entry, so that their hashes are few.
func TestProofsOfLargestTree(t *testing.T) {
	perfect := make([]Hash, 63) // perfect[i]: root of 2^i leaves that are zero
	for i := 1; i < len(perfect); i++ {
		perfect[i] = NodeHash(perfect[i-1], perfect[i-1])
	}
	zeros := tlog.HashReaderFunc(func(at []int64) ([]Hash, error) {
		out := make([]Hash, len(at))
		for i, x := range at {
			level, _ := tlog.SplitStoredHashIndex(x)
			out[i] = perfect[level]
		}
		return out, nil
	})
	rootOf := func(size uint64) Hash {
		var tree Tree
		for level := 62; level >= 0; level-- {
			if size>>level&1 == 1 {
				tree.AppendSubtree(level, perfect[level])
			}
		}
		return tree.Root()
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	sizes := []uint64{maxTreeSize, maxTreeSize - 1, 1 << 61, 1<<61 + 1, 1<<53 + 1}
	for range 20 {
		sizes = append(sizes, rnd.Uint64N(maxTreeSize)+1)
	}
	for _, size := range sizes {
		for _, i := range []uint64{0, size - 1, rnd.Uint64N(size)} {
			t.Run(fmt.Sprint(i, " of ", size), func(t *testing.T) {
				proof, err := ProveInclusion(zeros, i, size)
				if err != nil || len(proof) > maxProofHashes {
					t.Fatal(len(proof), err)
				}
				if err := CheckInclusion(proof, i, size, Hash{}, rootOf(size)); err != nil {
					t.Error(err)
				}
				if proof, err = ProveConsistency(zeros, i+1, size); err != nil || len(proof) > maxProofHashes {
					t.Fatal(len(proof), err)
				}
				if err := CheckConsistency(proof, i+1, size, rootOf(i+1), rootOf(size)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func FuzzConsistency(f *testing.F) {
	const most = 40
	r, d := stored(f, most), leaves(most)
	f.Add(uint64(3), uint64(8), []byte{})
	f.Add(uint64(0), uint64(8), make([]byte, 32))
	f.Add(uint64(1<<62), uint64(math.MaxUint64), make([]byte, 64))
	f.Fuzz(func(t *testing.T, old, size uint64, raw []byte) {
		var proof []Hash
		for ; len(raw) >= 32; raw = raw[32:] {
			proof = append(proof, Hash(raw[:32]))
		}
		// Any sizes and hashes: an error or none, in no time.
		_ = CheckConsistency(proof, old, size, Hash{}, Hash{1})
		_ = CheckInclusion(proof, old, size, Hash{}, Hash{1})
		// Sizes of the tree, and hashes that are not those of the proof: an error.
		old, size = old%most+1, size%most+1
		oldRoot, root := mth(d[:old]), mth(d[:size])
		want, err := ProveConsistency(r, old, size)
		if (err == nil) != (old <= size) {
			t.Fatalf("from %d to %d: %v", old, size, err)
		}
		if err == nil && CheckConsistency(want, old, size, oldRoot, root) != nil {
			t.Fatalf("from %d to %d: the proof fails", old, size)
		}
		if passes := CheckConsistency(proof, old, size, oldRoot, root) == nil; passes != (err == nil && slices.Equal(proof, want)) {
			t.Fatalf("from %d to %d: %v passes: %v", old, size, proof, passes)
		}
	})
}
