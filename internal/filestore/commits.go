package filestore

import (
	"math/bits"
	"sync"
	"time"
)

// Commits is how the commits of this process went.
type Commits struct {
	Entries Distribution // of each
	Sync    Distribution // microseconds until the disk had made it durable
}

// Distribution counts values by size.
type Distribution struct {
	Count, Sum uint64
	Sizes      [40]uint64 // Sizes[i]: of values above 2^(i-1) and up to 2^i; the last one: of all others too
}

// Add counts a value.
func (d *Distribution) Add(v uint64) {
	d.Count++
	d.Sum += v
	d.Sizes[min(bits.Len64(max(v, 1)-1), len(d.Sizes)-1)]++
}

// committed counts the commits of a store.
type committed struct {
	mu sync.Mutex
	Commits
}

func (c *committed) add(entries int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Entries.Add(uint64(entries))
	c.Sync.Add(uint64(took.Microseconds()))
}

// Commits returns how the commits went since the store was opened.
func (s *Store) Commits() Commits {
	s.committed.mu.Lock()
	defer s.committed.mu.Unlock()
	return s.committed.Commits
}
