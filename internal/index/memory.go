package index

import "sync"

// Memory is the index of a tail while it grows: a chained hash table whose
// chains run from the newest entry to the oldest, so that "the last hundred of
// this agent" touches little more than those. It takes a fixed table and 16
// bytes for each key of an entry.
//
// One goroutine adds; readers need the lock that its owner holds for adding.
type Memory struct {
	heads [memoryHeads]uint32 // number of the newest node + 1; 0: empty
	nodes []*nodePage         // in pages, so that they never move
	used  uint32              // nodes in use
	count uint32              // entries added

	types   []string // numbered in order of appearance
	buckets []hourCount
	typeOf  map[string]uint16
}

const (
	memoryHeads = 1 << 17
	pageNodes   = 1 << 12
)

type nodePage [pageNodes]node

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
	m.types, m.buckets, m.used, m.count = m.types[:0], m.buckets[:0], 0, 0
}

// Add adds the next entry: its time in microseconds, its type and its keys.
func (m *Memory) Add(time int64, typ string, keys []key) {
	for _, k := range keys {
		if m.used == uint32(len(m.nodes))*pageNodes {
			m.nodes = append(m.nodes, new(nodePage))
		}
		h := &m.heads[k%memoryHeads]
		*m.node(m.used) = node{k, m.count, *h}
		m.used++
		*h = m.used
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

func (m *Memory) node(n uint32) *node { return &m.nodes[n/pageNodes][n%pageNodes] }

// Count returns the number of entries added.
func (m *Memory) Count() uint32 { return m.count }

// Descending appends the positions of the entries with key k, newest first,
// that lie in [from, to). It stops after limit of them; 0 means all.
func (m *Memory) Descending(dst []uint32, k key, from, to uint32, limit int) []uint32 {
	n := len(dst)
	for at := m.heads[k%memoryHeads]; at != 0; {
		nd := m.node(at - 1)
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

// pairs calls use with every (key, position), sorted and without repeats.
func (m *Memory) pairs(use func([]node)) {
	buf := sortBuffers.Get().(*sortBuffer)
	defer sortBuffers.Put(buf)
	if cap(buf.nodes) < int(m.used) {
		buf.nodes, buf.spare = make([]node, m.used), make([]node, m.used)
	}
	nodes := buf.nodes[:0]
	for left := m.used; left > 0; {
		page := m.nodes[(m.used-left)/pageNodes]
		n := min(left, pageNodes)
		nodes = append(nodes, page[:n]...)
		left -= n
	}
	radixSort(nodes, buf.spare[:len(nodes)])
	n := 0
	for i := range nodes {
		if i == 0 || nodes[i].key != nodes[n-1].key || nodes[i].pos != nodes[n-1].pos {
			nodes[n] = nodes[i]
			n++
		}
	}
	use(nodes[:n])
}

// sortBuffer is room for sorting the nodes of one index, some ten megabytes.
type sortBuffer struct{ nodes, spare []node }

var sortBuffers = sync.Pool{New: func() any { return new(sortBuffer) }}

// radixSort sorts by key. Nodes of one key keep their order, which is that of
// their positions. spare has as many nodes.
func radixSort(nodes, spare []node) {
	const bits, keyBits = 12, 48 // an even number of rounds, so it ends in nodes
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
