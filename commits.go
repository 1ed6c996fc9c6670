package custody

import (
	"sync"
	"time"

	"github.com/custodylog/custody/internal/filestore"
)

// CommitStats is how the commits of a trail went since this process opened it. A commit
// makes all events durable that were waiting for it, with one flush of the disk.
type CommitStats struct {
	Entries Distribution // of each commit
	Sync    Distribution // microseconds until the disk had made it durable

	// Appends is how long events took, one or those that were recorded together, from
	// when the trail was given them until all were durable: microseconds. Receipts is how
	// many events were acknowledged so, those included that the trail held already. What
	// is recorded asynchronously is in neither.
	Appends  Distribution
	Receipts uint64
}

// Distribution counts values by their size, by powers of two.
type Distribution struct {
	// Count is how many values there are, and Sum what they add up to.
	Count, Sum uint64
	// Sizes[i] is how many are above 2^(i-1) and not above 2^i; the last one counts
	// all that are larger, too.
	Sizes [40]uint64
}

// Commits returns how the commits went. It is zero for a trail that was opened for
// reading only.
func (t *Trail) Commits() CommitStats {
	c := t.store.Commits()
	t.acknowledged.mu.Lock()
	defer t.acknowledged.mu.Unlock()
	return CommitStats{Entries: Distribution(c.Entries), Sync: Distribution(c.Sync), Appends: Distribution(t.acknowledged.took), Receipts: t.acknowledged.receipts}
}

// acknowledged counts what callers got receipts for.
type acknowledged struct {
	mu       sync.Mutex
	took     filestore.Distribution // guarded by mu
	receipts uint64                 // guarded by mu
}

// add counts events that were recorded together.
func (a *acknowledged) add(receipts int, took time.Duration) {
	if receipts == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.took.Add(uint64(took.Microseconds()))
	a.receipts += uint64(receipts)
}
