package evidence

import (
	"fmt"
	"math/bits"
)

// Tree is the RFC 6962 hash tree over a growing list of leaf hashes, as its
// compact range: the roots of the perfect subtrees that make it up, largest
// first. It holds at most 64 hashes however large it grows. The zero value is
// the empty tree. Two trees that both grow must not come from one by assignment:
// use [Tree.Clone].
type Tree struct {
	size  uint64
	nodes []Hash // one for each one bit of size, most significant first
}

// Size returns the number of leaves.
func (t *Tree) Size() uint64 { return t.size }

// NewTree returns the tree of a size from the roots of its perfect subtrees, the
// largest first, as [Tree.Nodes] gives them.
func NewTree(size uint64, nodes []Hash) (Tree, error) {
	if bits.OnesCount64(size) != len(nodes) {
		return Tree{}, fmt.Errorf("a tree of %d leaves has %d perfect subtrees, not %d", size, bits.OnesCount64(size), len(nodes))
	}
	t := Tree{size: size, nodes: nodes}
	return t.Clone(), nil
}

// Nodes returns the roots of the perfect subtrees that make up the tree, the
// largest first: one for each one bit of its size.
func (t *Tree) Nodes() []Hash { return append([]Hash(nil), t.nodes...) }

// Append adds a leaf hash.
func (t *Tree) Append(leaf Hash) {
	// Each trailing one bit of size is a subtree that the new leaf completes.
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.nodes) - 1
		leaf = NodeHash(t.nodes[last], leaf)
		t.nodes = t.nodes[:last]
	}
	t.nodes = append(t.nodes, leaf)
	t.size++
}

// AppendSubtree adds a perfect subtree of 2^level leaves by its root. The
// size must be a multiple of 2^level; otherwise it panics, since the result
// would not be the tree of any list.
func (t *Tree) AppendSubtree(level int, root Hash) {
	if t.size&(1<<level-1) != 0 {
		panic("evidence: subtree is not aligned to its size")
	}
	for n := t.size >> level; n&1 == 1; n >>= 1 {
		last := len(t.nodes) - 1
		root = NodeHash(t.nodes[last], root)
		t.nodes = t.nodes[:last]
	}
	t.nodes = append(t.nodes, root)
	t.size += 1 << level
}

// Root returns the tree's root hash. The root of the empty tree is the hash of
// nothing (RFC 6962 section 2.1).
func (t *Tree) Root() Hash {
	if t.size == 0 {
		return emptyRoot
	}
	last := len(t.nodes) - 1
	root := t.nodes[last]
	for i := last - 1; i >= 0; i-- {
		root = NodeHash(t.nodes[i], root)
	}
	return root
}

// Join returns the root of the tree over perfect subtrees of 2^level leaves each,
// given their roots. The last of them may be fewer than a power of two.
func Join(level int, roots []Hash) Hash {
	var t Tree
	for _, h := range roots {
		t.AppendSubtree(level, h)
	}
	return t.Root()
}

// Clone returns a copy that grows on its own.
func (t *Tree) Clone() Tree {
	return Tree{size: t.size, nodes: append(make([]Hash, 0, bits.Len64(t.size)+1), t.nodes...)}
}

// Extend adds the leaves of other behind those of t. The size of t must be a
// multiple of a power of two not smaller than the size of other, as it is
// when other begins at a segment boundary of t; otherwise it panics.
func (t *Tree) Extend(other *Tree) {
	i := 0
	for level := bits.Len64(other.size) - 1; level >= 0; level-- {
		if other.size>>level&1 == 1 {
			t.AppendSubtree(level, other.nodes[i])
			i++
		}
	}
}

var emptyRoot = Hash{
	0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
	0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
}
