package bundle

import (
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody/evidence"
)

// walk gives the nodes that a walk of the tree of RFC 6962, section 2.1, comes by:
// the first on each path that is perfect and has no disclosed leaf.
func walk(from, to uint64, disclosed evidence.Ranges) []Node {
	n := to - from
	if n == 0 {
		return nil
	}
	if n&(n-1) == 0 && len(disclosed.Between(from, to)) == 0 {
		level := 0
		for ; n > 1; n /= 2 {
			level++
		}
		return []Node{{level, from >> level}}
	}
	if n == 1 {
		return nil
	}
	k := uint64(1)
	for 2*k < n {
		k *= 2
	}
	return append(walk(from, from+k, disclosed), walk(from+k, to, disclosed)...)
}

func TestCover(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var stored, leaves []evidence.Hash
	read := tlog.HashReaderFunc(func(at []int64) ([]evidence.Hash, error) {
		out := make([]evidence.Hash, len(at))
		for i, n := range at {
			out[i] = stored[n]
		}
		return out, nil
	})
	for size := range uint64(130) {
		for density := range 5 {
			var disclosed evidence.Ranges
			var shown []evidence.Hash
			for i := range size {
				if random.IntN(4) < density {
					disclosed.Add(i)
					shown = append(shown, leaves[i])
				}
			}
			cover := Cover(size, disclosed)
			if want := walk(0, size, disclosed); !slices.Equal(cover, want) {
				t.Fatalf("size %d, %v: got %v, want %v", size, disclosed, cover, want)
			}
			nodes := make([]evidence.Hash, len(cover))
			for i, n := range cover {
				nodes[i] = stored[tlog.StoredHashIndex(n.Level, int64(n.Index))]
			}
			want, err := tlog.TreeHash(int64(size), read)
			if err != nil {
				t.Fatal(err)
			}
			if root, err := Root(size, disclosed, shown, nodes); err != nil || root != want {
				t.Fatalf("size %d, %v: root %v, %v; want %v", size, disclosed, root, err, want)
			}
			for _, hashes := range [][]evidence.Hash{shown, nodes} {
				if len(hashes) == 0 {
					continue
				}
				hashes[random.IntN(len(hashes))][0] ^= 1
				if root, err := Root(size, disclosed, shown, nodes); err != nil || root == want {
					t.Fatalf("size %d, %v: an altered hash gives the same root, or %v", size, disclosed, err)
				}
			}
			if _, err := Root(size, disclosed, shown, append(nodes, want)); err == nil {
				t.Fatalf("size %d, %v: a node too many is taken", size, disclosed)
			}
			if _, err := Root(size, disclosed, append(shown, want), nodes); err == nil {
				t.Fatalf("size %d, %v: a leaf too many is taken", size, disclosed)
			}
		}
		leaf := evidence.LeafHash([]byte{byte(size)})
		more, err := tlog.StoredHashesForRecordHash(int64(size), leaf, read)
		if err != nil {
			t.Fatal(err)
		}
		leaves, stored = append(leaves, leaf), append(stored, more...)
	}
	if _, err := Root(3, evidence.Ranges{{First: 3, Last: 3}}, make([]evidence.Hash, 1), nil); err == nil {
		t.Error("an entry behind the end is taken")
	}
}

// TestCoverOfLargeTree holds that a cover is small, however large the tree.
func TestCoverOfLargeTree(t *testing.T) {
	const size = evidence.MaxIndex
	cover := Cover(size, evidence.Ranges{{First: 12345, Last: 12345}, {First: size - 1, Last: size - 1}})
	at := uint64(0)
	for _, n := range cover {
		if at == 12345 {
			at++
		}
		if n.Index<<n.Level != at {
			t.Fatalf("node %v begins at %d, not at %d", n, n.Index<<n.Level, at)
		}
		at += 1 << n.Level
	}
	if at != size-1 || len(cover) > 3*53 {
		t.Errorf("%d nodes reach to %d", len(cover), at)
	}
}
