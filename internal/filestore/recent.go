package filestore

import (
	"math/bits"
	"sync"
)

const (
	minRecent = 64 << 10
	maxRecent = 4 << 20
)

// recent holds the end of the tail that is being written, from the memory that it was
// hashed in. Whoever follows the trail reads it here, without the file, and need not
// compare it with the hashes that were made of it just now. The zero value is ready.
type recent struct {
	mu       sync.RWMutex
	tail     *tail // whose end it is
	from, to int64 // offsets in its file
	ring     []byte
}

// add appends a frame that is durable now, at an offset of the file of t.
func (r *recent) add(t *tail, at int64, frame []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if want := min(max(minRecent, 1<<bits.Len(uint(4*len(frame)))), maxRecent); want > len(r.ring) {
		r.ring, r.tail = make([]byte, want), nil // some commits of this size
	}
	if r.tail != t || r.to != at {
		r.tail, r.from = t, at
	}
	r.to = at + int64(len(frame))
	r.from = max(r.from, r.to-int64(len(r.ring)))
	frame = frame[max(0, len(frame)-len(r.ring)):]
	n := copy(r.ring[r.position(r.to-int64(len(frame))):], frame)
	copy(r.ring, frame[n:])
}

// read fills b with what stands at an offset of the file of t, if it is held.
func (r *recent) read(t *tail, b []byte, at int64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.tail != t || at < r.from || at+int64(len(b)) > r.to {
		return false
	}
	n := copy(b, r.ring[r.position(at):])
	copy(b[n:], r.ring)
	return true
}

// forget drops everything: some of it may have been removed from the trail.
func (r *recent) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.ring)
	r.tail = nil
}

func (r *recent) position(offset int64) int { return int(offset % int64(len(r.ring))) }
