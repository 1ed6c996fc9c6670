package ingest

// Recent remembers values by key, in bounded memory: at least those of the last
// RecentKeys different keys, and at most twice as many. The zero value is empty
// and ready for use. It is not for several goroutines at once.
type Recent[V any] struct {
	young, old map[string]V
}

// RecentKeys is how many keys a [Recent] remembers for certain.
const RecentKeys = 1 << 16

// Get returns the value of key, if it is remembered.
func (r *Recent[V]) Get(key string) (V, bool) {
	v, ok := r.young[key]
	if !ok {
		v, ok = r.old[key]
	}
	return v, ok
}

// Set remembers the value of key.
func (r *Recent[V]) Set(key string, v V) {
	if r.young == nil {
		r.young = map[string]V{}
	}
	if _, there := r.young[key]; !there && len(r.young) == RecentKeys {
		r.old, r.young = r.young, map[string]V{}
	}
	r.young[key] = v
}
