package vfstest

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sector is the unit that a disk writes whole or not at all, in bytes.
const sector = 512

// CrashClone returns what a machine could find after losing power now:
// everything that was synced, and of the rest a part that rng chooses.
//
//   - Of a file, each write since its last Sync survives whole, not at all, or
//     in some of its sectors; a later one may survive an earlier one.
//   - The length is that after the last Sync, or one that the file had since.
//     What was not written within it reads as zeros.
//   - Of a directory, the first few changes since its last SyncDir survive, in
//     order. A rename survives in both directories or in neither. A file whose
//     name does not survive is lost, even if it was synced itself.
//
// With a nil rng nothing survives but what was synced. All that the clone holds
// is durable in it and nothing is locked. The file system it was taken from
// lives on, with its open files, and shares nothing with the clone. Equal
// histories and seeds give equal clones.
func (m *Mem) CrashClone(rng *rand.Rand) *Mem {
	m.mu.Lock() // files become shared
	defer m.mu.Unlock()
	c := NewMem()
	c.total = m.total
	names := m.survivingNames(rng)
	var fill func(into, from *dir)
	fill = func(into, from *dir) {
		for _, name := range slices.Sorted(maps.Keys(names(from))) { // in an order that repeats
			switch n := names(from)[name].(type) {
			case *dir:
				d := newDir()
				fill(d, n)
				into.now[name], into.synced[name] = d, d
			case *file:
				f := &file{data: n.surviving(rng), shared: true}
				f.synced = f.data
				c.occupy(f, int64(len(f.data)))
				into.now[name], into.synced[name] = f, f
			}
		}
	}
	fill(c.root, m.root)
	return c
}

// survivingNames chooses what is left of the journal, and returns what is then
// in each directory.
func (m *Mem) survivingNames(rng *rand.Rand) func(*dir) map[string]node {
	changes := map[*dir]int{}
	var order []*dir
	for _, c := range m.journal {
		for _, d := range c.dirs() {
			if changes[d] == 0 {
				order = append(order, d)
			}
			changes[d]++
		}
	}
	left := map[*dir]int{} // how many more changes of a directory survive
	for _, d := range order {
		left[d] = some(rng, changes[d])
	}
	after := map[*dir]map[string]node{}
	names := func(d *dir) map[string]node {
		if after[d] == nil {
			after[d] = maps.Clone(d.synced)
		}
		return after[d]
	}
	for _, c := range m.journal {
		lost := slices.ContainsFunc(c.dirs(), func(d *dir) bool { return left[d] == 0 })
		for _, d := range c.dirs() {
			if lost {
				left[d] = 0 // nor what comes after it there
			} else {
				left[d]--
			}
		}
		if !lost {
			c.apply(names)
		}
	}
	return names
}

// surviving returns what is left of a file, which may be its own bytes.
func (f *file) surviving(rng *rand.Rand) []byte {
	if rng == nil || len(f.pending) == 0 {
		f.shared = true
		return f.synced
	}
	b := slices.Clone(f.synced)
	var (
		size     = int64(len(b))
		lengths  = some(rng, len(f.pending)) // so many changes of the length survive
		ordered  = rng.IntN(3) == 0          // the disk wrote in order, as far as it came
		frontier = some(rng, len(f.pending)) // of an ordered disk: the write it was at
	)
	for i, c := range f.pending {
		if i < lengths {
			size = c.length(size)
		}
		switch {
		case c.data == nil:
			if i < lengths {
				b = c.apply(b)
			}
		case ordered && i < frontier:
			b = c.apply(b)
		case ordered && i > frontier:
			// The disk did not come that far.
		case ordered:
			b = c.tear(b, rng)
		default:
			switch rng.IntN(3) {
			case 0:
				b = c.apply(b)
			case 1:
				b = c.tear(b, rng)
			}
		}
	}
	return resize(b, size)
}

// tear makes a write in some of its sectors.
func (c change) tear(b []byte, rng *rand.Rand) []byte {
	for rest, at := c.data, c.at; len(rest) > 0; {
		n := min(int64(len(rest)), sector-at%sector)
		if rng.IntN(2) == 0 {
			b = paint(b, at, rest[:n])
		}
		rest, at = rest[n:], at+n
	}
	return b
}

// some returns a number from 0 to n. That nothing or everything survives is
// made likelier than what lies between, since programs differ most there.
func some(rng *rand.Rand, n int) int {
	if rng == nil {
		return 0
	}
	switch rng.IntN(4) {
	case 0:
		return 0
	case 1:
		return n
	}
	return rng.IntN(n + 1)
}

// Clone returns a copy with everything in it, synced or not. Nothing is locked
// in it, and no open file leads to it.
func (m *Mem) Clone() *Mem {
	m.mu.Lock() // files become shared
	defer m.mu.Unlock()
	copies := map[node]node{} // a node may be in several maps, under several names
	var copyOf func(node) node
	copyNames := func(names map[string]node) map[string]node {
		c := make(map[string]node, len(names))
		for name, n := range names {
			c[name] = copyOf(n)
		}
		return c
	}
	copyOf = func(n node) node {
		if c, ok := copies[n]; ok {
			return c
		}
		switch n := n.(type) {
		case *dir:
			d := new(dir)
			copies[n] = d
			d.now, d.synced = copyNames(n.now), copyNames(n.synced)
		case *file:
			n.shared = true
			f := *n
			// What a pending change holds is never written to.
			f.pending = slices.Clone(n.pending)
			f.locked = false
			copies[n] = &f
		}
		return copies[n]
	}
	c := &Mem{root: copyOf(m.root).(*dir), used: m.used, total: m.total}
	for _, change := range m.journal {
		if change.from != nil {
			change.from = copyOf(change.from).(*dir)
		}
		if change.to != nil {
			change.to = copyOf(change.to).(*dir)
		}
		change.node = copyOf(change.node)
		c.journal = append(c.journal, change)
	}
	return c
}
