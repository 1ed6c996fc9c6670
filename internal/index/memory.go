package index

import (
	"slices"
	"sync"
)

// Memory is the index of a tail while it grows: a chained hash table whose
// chains run from the newest entry to the oldest, so that "the last hundred of
// this agent" touches little more than those. It takes a fixed table and 12
// bytes for each key of an entry.
//
// One goroutine adds; readers need the lock that its owner holds for adding.
type Memory struct {
	heads [memoryHeads]uint32 // number of the newest node + 1; 0: empty
	nodes []*nodePage         // in pages, so that they never move
	used  uint32              // nodes in use
	count uint32              // entries added

	types   []string // numbered in order of appearance
	typeOf  map[string]uint16
	buckets []hourCount
	newest  []uint32 // for each type, the number of its newest bucket
}

const (
	memoryHeads = 1 << 17
	pageNodes   = 1 << 12
)

type nodePage struct {
	pairs [pageNodes]pair
	next  [pageNodes]uint32 // number of the next older node of the chain + 1
}

// pair is a key in the upper 48 bits and a position in the lower 16, so pairs
// sort by key and then by position.
type pair uint64

func pairOf(k key, pos uint32) pair { return pair(k)<<16 | pair(pos) }

func (p pair) key() key    { return key(p >> 16) }
func (p pair) pos() uint32 { return uint32(p & 0xffff) }

type hourCount struct {
	hour  int64
	typ   uint16
	count uint64
}

// NewMemory returns an empty index.
func NewMemory() *Memory {
	m := new(Memory) // a literal would have heads written to, for which it is enough to be new
	m.typeOf = make(map[string]uint16)
	return m
}

// Reset empties the index and keeps its memory.
func (m *Memory) Reset() {
	clear(m.heads[:])
	clear(m.typeOf)
	m.types, m.buckets, m.newest, m.used, m.count = m.types[:0], m.buckets[:0], m.newest[:0], 0, 0
}

// Add adds the next entry, of at most 65,536: its time in microseconds, its type
// and its keys.
func (m *Memory) Add(time int64, typ string, keys []key) {
	for _, k := range keys {
		if m.used == uint32(len(m.nodes))*pageNodes {
			m.nodes = append(m.nodes, new(nodePage))
		}
		h := &m.heads[k%memoryHeads]
		page := m.nodes[m.used/pageNodes]
		page.pairs[m.used%pageNodes], page.next[m.used%pageNodes] = pairOf(k, m.count), *h
		m.used++
		*h = m.used
	}
	m.count++
	// Times never decrease, so the bucket is the newest of its type.
	hour := HourOf(time)
	n, ok := m.typeOf[typ]
	switch {
	case !ok:
		n = uint16(len(m.types)) // at most one type for each of 65,536 entries
		m.types, m.newest = append(m.types, typ), append(m.newest, 0)
		m.typeOf[typ] = n
	case m.buckets[m.newest[n]].hour == hour:
		m.buckets[m.newest[n]].count++
		return
	}
	m.newest[n] = uint32(len(m.buckets))
	m.buckets = append(m.buckets, hourCount{hour, n, 1})
}

// Count returns the number of entries added.
func (m *Memory) Count() uint32 { return m.count }

// Descending appends the positions of the entries with key k, newest first,
// that lie in [from, to). It stops after limit of them; 0 means all.
func (m *Memory) Descending(dst []uint32, k key, from, to uint32, limit int) []uint32 {
	n := len(dst)
	for at := m.heads[k%memoryHeads]; at != 0; {
		page, i := m.nodes[(at-1)/pageNodes], (at-1)%pageNodes
		p := page.pairs[i]
		pos := p.pos()
		if pos < from {
			break
		}
		if p.key() == k && pos < to && (len(dst) == n || dst[len(dst)-1] != pos) {
			dst = append(dst, pos)
			if limit > 0 && len(dst)-n == limit {
				break
			}
		}
		at = page.next[i]
	}
	return dst
}

// Buckets appends the counts by type and hour.
func (m *Memory) Buckets(dst []Bucket) []Bucket {
	for _, b := range m.buckets {
		dst = append(dst, Bucket{b.hour, m.types[b.typ], b.count})
	}
	return dst
}

// pairs calls use with every (key, position), sorted and without repeats.
func (m *Memory) pairs(use func([]pair)) {
	buf := sortBuffers.Get().(*sortBuffer)
	defer sortBuffers.Put(buf)
	if cap(buf.pairs) < int(m.used) {
		buf.pairs, buf.spare = make([]pair, m.used), make([]pair, m.used)
	}
	pairs := buf.pairs[:0]
	for left := m.used; left > 0; {
		page := m.nodes[(m.used-left)/pageNodes]
		n := min(left, pageNodes)
		pairs = append(pairs, page.pairs[:n]...)
		left -= n
	}
	radixSort(pairs, buf.spare[:len(pairs)])
	use(slices.Compact(pairs))
}

// sortBuffer is room for sorting the pairs of one index, some ten megabytes.
type sortBuffer struct{ pairs, spare []pair }

var sortBuffers = sync.Pool{New: func() any { return new(sortBuffer) }}

// radixSort sorts by key. Pairs of one key keep their order, which is that of
// their positions. spare is as long as pairs.
func radixSort(pairs, spare []pair) {
	const bits = 12 // four rounds for the 48 bits of the key, so it ends in pairs
	for shift := 16; shift < 64; shift += bits {
		var at [1 << bits]uint32
		for _, p := range pairs {
			at[p>>shift&(1<<bits-1)]++
		}
		sum := uint32(0)
		for i, n := range at {
			at[i] = sum
			sum += n
		}
		for _, p := range pairs {
			b := p >> shift & (1<<bits - 1)
			spare[at[b]] = p
			at[b]++
		}
		pairs, spare = spare, pairs
	}
}
