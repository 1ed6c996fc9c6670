package custody

// CommitStats is how the commits of a trail went since this process opened it. A commit
// makes all events durable that were waiting for it, with one flush of the disk.
type CommitStats struct {
	Entries Distribution // of each commit
	Sync    Distribution // microseconds until the disk had made it durable
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
	return CommitStats{Entries: Distribution(c.Entries), Sync: Distribution(c.Sync)}
}
