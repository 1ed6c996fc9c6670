package index

import (
	"math/bits"
	"sync"
)

// A segment's filter is a Bloom filter of 2^20 bits, four for each key. A
// segment of 65,536 entries with two new keys each fills it to two fifths, so
// one segment in forty is looked into for nothing.
const (
	filterBits  = 1 << 20
	filterBytes = filterBits / 8
	filterCount = 4
)

func filterBitsOf(k key) [filterCount]uint32 {
	a, b := uint32(k), uint32(k>>20)|1
	var out [filterCount]uint32
	for i := range out {
		out[i] = (a + uint32(i)*b) % filterBits
	}
	return out
}

// Filter tells which of all segments may hold a key. It keeps the filters of 64
// segments bit by bit in one word each, so that one lookup reads four words for
// 64 segments. It takes 8 MiB for each 64 segments (4.2 million entries), which
// is two bytes for an entry. It is safe for concurrent use.
type Filter struct {
	mu     sync.RWMutex
	groups [][]uint64 // guarded by mu; of 64 segments each
	known  []uint64   // guarded by mu; bit set: the segment's filter was added
}

// Add adds the filter of segment number n.
func (f *Filter) Add(n int, filter []byte) {
	if len(filter) != filterBytes {
		return // the segment stays unknown, so every lookup looks into it
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.groups) <= n/64 {
		f.groups = append(f.groups, nil)
		f.known = append(f.known, 0)
	}
	if f.groups[n/64] == nil {
		f.groups[n/64] = make([]uint64, filterBits)
	}
	group, bit := f.groups[n/64], uint64(1)<<(n%64)
	for i, b := range filter {
		for ; b != 0; b &= b - 1 {
			group[i*8+bits.TrailingZeros8(b)] |= bit
		}
	}
	f.known[n/64] |= bit
}

// May returns, as one bit for each, which of the segments 64*group to
// 64*group+63 may hold the key. Those not added may.
func (f *Filter) May(group int, k key) uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if group >= len(f.groups) || f.groups[group] == nil {
		return ^uint64(0)
	}
	mask := ^uint64(0)
	for _, bit := range filterBitsOf(k) {
		mask &= f.groups[group][bit]
	}
	return mask | ^f.known[group]
}
