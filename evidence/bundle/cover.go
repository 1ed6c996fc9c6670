package bundle

import (
	"fmt"
	"math/bits"

	"github.com/custodylog/custody/evidence"
)

// Node is a perfect subtree of an RFC 6962 tree: that over the 2^Level leaves
// from Index × 2^Level on.
type Node struct {
	Level int
	Index uint64
}

// Cover returns the largest perfect subtrees without a disclosed leaf that a
// tree of that size has, from left to right. Their roots and the disclosed
// leaves are what the root of the tree is computed from: one inclusion proof for
// all of the leaves. There are fewer than 2×53 of them for each gap.
//
// Any perfect subtree of a tree is one of the subtrees that the recursion of RFC
// 6962, section 2.1, comes by, so a walk of the tree meets them in this order.
func Cover(size uint64, disclosed evidence.Ranges) []Node {
	var nodes []Node
	for _, gap := range gaps(size, disclosed) {
		for at := gap.First; at <= gap.Last; {
			level := min(bits.TrailingZeros64(at), bits.Len64(gap.Last-at+1)-1)
			nodes = append(nodes, Node{level, at >> level})
			at += 1 << level
		}
	}
	return nodes
}

// Root returns the root of a tree of that size from the hashes of the disclosed
// leaves and those of the nodes of [Cover], both in order.
func Root(size uint64, disclosed evidence.Ranges, leaves, nodes []evidence.Hash) (evidence.Hash, error) {
	if n := len(disclosed); n > 0 && disclosed[n-1].Last >= size {
		return evidence.Hash{}, fmt.Errorf("entry %d is disclosed, and the tree has %d", disclosed[n-1].Last, size)
	}
	if n := disclosed.Count(); n != uint64(len(leaves)) {
		return evidence.Hash{}, fmt.Errorf("%d entries are disclosed, and there are %d leaf hashes", n, len(leaves))
	}
	cover := Cover(size, disclosed)
	if len(cover) != len(nodes) {
		return evidence.Hash{}, fmt.Errorf("the gaps between the entries need the hashes of %d nodes, and there are %d", len(cover), len(nodes))
	}
	var tree evidence.Tree
	for i, node := range cover {
		for tree.Size() < node.Index<<node.Level {
			tree.Append(leaves[0])
			leaves = leaves[1:]
		}
		tree.AppendSubtree(node.Level, nodes[i])
	}
	for _, leaf := range leaves {
		tree.Append(leaf)
	}
	return tree.Root(), nil
}

// gaps returns the indices below size that are not disclosed.
func gaps(size uint64, disclosed evidence.Ranges) evidence.Ranges {
	if size == 0 {
		return nil
	}
	return evidence.Ranges{{First: 0, Last: size - 1}}.Minus(disclosed)
}
