package index

import "slices"

// Memory is the index of a tail while it grows: a chained hash table whose
// chains run from the newest entry to the oldest, so that "the last hundred of
// this agent" touches little more than those. It takes a fixed table and 16
// bytes for each key of an entry.
//
// One goroutine adds; readers need the lock that its owner holds for adding.
type Memory struct {
	heads [memoryHeads]uint32 // number of the newest node + 1; 0: empty
	nodes []node
	count uint32 // entries added

	types   []string // numbered in order of appearance
	buckets []hourCount
	typeOf  map[string]uint16
}

const memoryHeads = 1 << 17

type node struct {
	key  key
	pos  uint32
	next uint32 // number of the next older node of the chain + 1
}

type hourCount struct {
	hour  int64
	typ   uint16
	count uint64
}

// NewMemory returns an empty index.
func NewMemory() *Memory { return &Memory{typeOf: make(map[string]uint16)} }

// Reset empties the index and keeps its memory.
func (m *Memory) Reset() {
	clear(m.heads[:])
	clear(m.typeOf)
	m.nodes, m.types, m.buckets, m.count = m.nodes[:0], m.types[:0], m.buckets[:0], 0
}

// Add adds the next entry: its time in microseconds, its type and its keys.
func (m *Memory) Add(time int64, typ string, keys []key) {
	for _, k := range keys {
		h := &m.heads[k%memoryHeads]
		m.nodes = append(m.nodes, node{k, m.count, *h})
		*h = uint32(len(m.nodes))
	}
	m.count++
	n, ok := m.typeOf[typ]
	if !ok {
		n = uint16(len(m.types)) // at most one type for each of 65,536 entries
		m.types = append(m.types, typ)
		m.typeOf[typ] = n
	}
	// Times never decrease, so the bucket is among the last ones.
	hour := HourOf(time)
	for i := len(m.buckets) - 1; i >= 0 && m.buckets[i].hour == hour; i-- {
		if m.buckets[i].typ == n {
			m.buckets[i].count++
			return
		}
	}
	m.buckets = append(m.buckets, hourCount{hour, n, 1})
}

// Count returns the number of entries added.
func (m *Memory) Count() uint32 { return m.count }

// Descending appends the positions of the entries with key k, newest first,
// that lie in [from, to). It stops after limit of them; 0 means all.
func (m *Memory) Descending(dst []uint32, k key, from, to uint32, limit int) []uint32 {
	n := len(dst)
	for at := m.heads[k%memoryHeads]; at != 0; {
		nd := &m.nodes[at-1]
		if nd.pos < from {
			break
		}
		if nd.key == k && nd.pos < to && (len(dst) == n || dst[len(dst)-1] != nd.pos) {
			dst = append(dst, nd.pos)
			if limit > 0 && len(dst)-n == limit {
				break
			}
		}
		at = nd.next
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

// pairs returns every (key, position), sorted and without repeats.
func (m *Memory) pairs() []node {
	sorted := slices.Clone(m.nodes)
	radixSort(sorted)
	return slices.CompactFunc(sorted, func(a, b node) bool { return a.key == b.key && a.pos == b.pos })
}

// radixSort sorts by key. Nodes of one key keep their order, which is that of
// their positions.
func radixSort(nodes []node) {
	const bits, keyBits = 12, 48
	spare := make([]node, len(nodes))
	for shift := 0; shift < keyBits; shift += bits {
		var at [1 << bits]uint32
		for i := range nodes {
			at[nodes[i].key>>shift&(1<<bits-1)]++
		}
		sum := uint32(0)
		for i, n := range at {
			at[i] = sum
			sum += n
		}
		for i := range nodes {
			b := nodes[i].key >> shift & (1<<bits - 1)
			spare[at[b]] = nodes[i]
			at[b]++
		}
		nodes, spare = spare, nodes
	}
}
