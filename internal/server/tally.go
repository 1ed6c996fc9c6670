package server

import "sync"

// tally counts what is told together at intervals, by key, so that many are one event.
type tally[K comparable, V any] struct {
	mu      sync.Mutex
	pending map[K]*V // guarded by mu
}

// at returns what is counted of a key, and whether it is the first time within the
// interval: then it is zero. The caller holds mu.
func (t *tally[K, V]) at(key K) (v *V, first bool) {
	if v = t.pending[key]; v != nil {
		return v, false
	}
	if t.pending == nil {
		t.pending = map[K]*V{}
	}
	v = new(V)
	t.pending[key] = v
	return v, true
}

// take returns what was counted since the last time.
func (t *tally[K, V]) take() map[K]*V {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.pending
	t.pending = nil
	return all
}
