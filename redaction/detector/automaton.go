package detector

import (
	"cmp"
	"slices"
)

// automaton finds keywords without regard to the case of ASCII letters: the
// automaton of Aho and Corasick with its failure function worked into the
// transitions, so that each byte costs one look-up.
//
// It is our own because the ones to be had for Go return slices of matches, by
// which a text without any still costs memory, and know no case folding.
type automaton struct {
	class [256]uint8 // bytes that no keyword tells apart are one class
	next  []uint32   // by state + class; states are multiples of the number of classes
	first uint32     // states from here on end a keyword
	ends  [][]uint16 // the keywords that end in a state, by (state-first)/classes
	width uint32     // the number of classes
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// fold puts ASCII letters in lower case.
func fold(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}

// newAutomaton makes one for keywords in lower case.
func newAutomaton(keywords []string) *automaton {
	a := &automaton{width: 1}
	for _, k := range keywords {
		for i := range len(k) {
			if c := k[i]; a.class[c] == 0 {
				a.class[c] = uint8(a.width) // 0 is the class of all other bytes; at most 231 are used
				a.width++
			}
		}
	}
	for c := byte('A'); c <= 'Z'; c++ {
		a.class[c] = a.class[lower(c)]
	}

	// The trie of the keywords, in which 0 is both the root and "no child".
	type node struct {
		child []uint32
		fail  uint32
		ends  []uint16
	}
	nodes := []node{{child: make([]uint32, a.width)}}
	for n, k := range keywords {
		at := uint32(0)
		for i := range len(k) {
			c := a.class[k[i]]
			if nodes[at].child[c] == 0 {
				nodes[at].child[c] = uint32(len(nodes))
				nodes = append(nodes, node{child: make([]uint32, a.width)})
			}
			at = nodes[at].child[c]
		}
		nodes[at].ends = append(nodes[at].ends, uint16(n))
	}

	// Breadth first, so that the state to fall back to is complete.
	order := []uint32{0}
	for i := 0; i < len(order); i++ {
		at := order[i]
		fail := nodes[at].fail
		for c, child := range nodes[at].child {
			switch {
			case child == 0 && at != 0:
				nodes[at].child[c] = nodes[fail].child[c]
			case child != 0:
				if at != 0 {
					nodes[child].fail = nodes[fail].child[c]
				}
				back := nodes[nodes[child].fail].ends
				nodes[child].ends = append(slices.Clip(nodes[child].ends), back...)
				order = append(order, child)
			}
		}
	}

	// States that end a keyword come last: one comparison tells them.
	slices.SortStableFunc(order, func(x, y uint32) int {
		return cmp.Compare(min(1, len(nodes[x].ends)), min(1, len(nodes[y].ends)))
	})
	state := make([]uint32, len(nodes))
	for i, n := range order {
		state[n] = uint32(i) * a.width
	}
	a.first = uint32(len(nodes)) * a.width
	a.next = make([]uint32, len(nodes)*int(a.width))
	for _, n := range order {
		for c, child := range nodes[n].child {
			a.next[state[n]+uint32(c)] = state[child]
		}
		if len(nodes[n].ends) > 0 {
			a.first = min(a.first, state[n])
			a.ends = append(a.ends, nodes[n].ends)
		}
	}
	return a
}
