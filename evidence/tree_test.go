package evidence

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// storedHashes keeps the hashes of a tree as package tlog wants them.
type storedHashes struct {
	hashes []Hash
	n      int64
}

func (s *storedHashes) ReadHashes(indexes []int64) ([]Hash, error) {
	out := make([]Hash, len(indexes))
	for i, x := range indexes {
		out[i] = s.hashes[x]
	}
	return out, nil
}

func (s *storedHashes) add(t testing.TB, leaf Hash) {
	t.Helper()
	hashes, err := tlog.StoredHashesForRecordHash(s.n, leaf, s)
	if err != nil {
		t.Fatal(err)
	}
	s.hashes = append(s.hashes, hashes...)
	s.n++
}

func (s *storedHashes) root(t testing.TB, n int64) Hash {
	t.Helper()
	h, err := tlog.TreeHash(n, s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// leafOf is the leaf hash of entry i in these tests.
func leafOf(i uint64) Hash {
	return LeafHash(binary.BigEndian.AppendUint64(nil, i))
}

func treeOf(from, to uint64) (t Tree) {
	for i := from; i < to; i++ {
		t.Append(leafOf(i))
	}
	return t
}

// TestTreeIsThatOfTlog compares with golang.org/x/mod/sumdb/tlog at every size.
func TestTreeIsThatOfTlog(t *testing.T) {
	var tree Tree
	var stored storedHashes
	for n := uint64(0); n <= 600; n++ {
		if want := stored.root(t, int64(n)); tree.Root() != want || tree.Size() != n {
			t.Fatalf("size %d: root of %d leaves is %v, want %v", n, tree.Size(), tree.Root(), want)
		}
		tree.Append(leafOf(n))
		stored.add(t, leafOf(n))
	}
}

// TestTreeEmptyRoot: the root of no leaves is the SHA-256 of nothing, RFC 6962
// section 2.1.
func TestTreeEmptyRoot(t *testing.T) {
	var tree Tree
	if got := tree.Root().String(); got != "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" {
		t.Errorf("root of no leaves is %s", got)
	}
}

// TestTreeFromParts puts random trees together out of leaves, subtrees, trees
// and copies.
func TestTreeFromParts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	const most = 5000
	var stored storedHashes
	for i := range uint64(most) {
		stored.add(t, leafOf(i))
	}
	for range 60 {
		var tree Tree
		for tree.Size() < most {
			n := tree.Size()
			switch r.IntN(4) {
			case 0:
				tree.Append(leafOf(n))
			case 1: // a perfect subtree, as large as fits here
				level := r.IntN(7)
				for n%(1<<level) != 0 {
					level--
				}
				if n+1<<level > most {
					continue
				}
				sub := treeOf(n, n+1<<level)
				tree.AppendSubtree(level, sub.Root())
			case 2: // a tree of any size behind a border that it does not reach over
				level := r.IntN(8)
				if n%(1<<level) != 0 {
					continue
				}
				other := treeOf(n, min(n+r.Uint64N(1<<level+1), most))
				tree.Extend(&other)
			case 3:
				tree = tree.Clone()
			}
			if want := stored.root(t, int64(tree.Size())); tree.Root() != want {
				t.Fatalf("size %d: root %v, want %v", tree.Size(), tree.Root(), want)
			}
		}
	}
}

func TestTreeClone(t *testing.T) {
	for n := uint64(0); n < 70; n++ {
		tree := treeOf(0, n)
		clone := tree.Clone()
		tree.Append(leafOf(1000))
		tree.Append(leafOf(1001))
		want := treeOf(0, n)
		if clone.Root() != want.Root() || clone.Size() != n {
			t.Fatalf("size %d: the clone changed with the tree", n)
		}
		before := tree.Root()
		clone.Append(leafOf(n))
		if want.Append(leafOf(n)); clone.Root() != want.Root() {
			t.Fatalf("size %d: the clone does not grow as the tree does", n)
		}
		if tree.Root() != before {
			t.Fatalf("size %d: the tree changed with the clone", n)
		}
	}
}

func TestTreeRefusesWhatIsNotAligned(t *testing.T) {
	refuses := func(name string, f func(t *Tree)) {
		t.Helper()
		tree := treeOf(0, 6)
		before := tree.Root()
		defer func() {
			t.Helper()
			if recover() == nil {
				t.Errorf("%s: accepted", name)
			}
			if tree.Root() != before || tree.Size() != 6 {
				t.Errorf("%s: the tree was changed", name)
			}
		}()
		f(&tree)
	}
	refuses("subtree", func(tree *Tree) { tree.AppendSubtree(2, Hash{}) })
	refuses("tree", func(tree *Tree) {
		other := treeOf(0, 5)
		tree.Extend(&other)
	})
}

func TestTreeTakesNoMemory(t *testing.T) {
	tree := treeOf(0, 1<<12-1) // all levels are there
	leaf := leafOf(1)
	if n := testing.AllocsPerRun(100, func() { tree.Append(leaf); tree.Root() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
