package custody

import "sync/atomic"

var defaultTrail atomic.Pointer[Trail]

// Default returns the process-wide trail, or nil if none was set.
func Default() *Trail { return defaultTrail.Load() }

// SetDefault makes t the process-wide trail and returns the one before, which
// the caller closes when nobody uses it any more. t may be nil.
func SetDefault(t *Trail) (previous *Trail) { return defaultTrail.Swap(t) }
