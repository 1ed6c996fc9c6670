package custody

import (
	"github.com/custodylog/custody/evidence"
)

// Removed is a removal as verification found it.
type Removed struct {
	Removal

	// Gone is how many of its entries have lost their payload, or are pruned, of
	// those that were read.
	Gone uint64

	// Left are entries that it lists and that are still there, or still have
	// their payload: it was not finished, or somebody brought them back. Opening
	// the trail for writing finishes what a crash left.
	Left evidence.Ranges
}

// explain tells what was removed lawfully, payloads and entries, from what is just
// missing. A removal explains entries before the event that tells of it, and each
// entry is explained by the first removal that lists it.
func (v *verification) explain() {
	var missing, pruned evidence.Ranges
	var removals []Removal
	for _, p := range v.parts {
		missing, pruned = missing.Union(p.missing), pruned.Union(p.pruned)
		removals = append(removals, p.removals...)
	}
	var read evidence.Ranges
	if v.size > v.since {
		read = evidence.Ranges{{First: v.since, Last: v.size - 1}}
	}
	missing = missing.Union(pruned) // what was pruned has lost its payload before
	lost, cut := missing, pruned    // and nothing explains it yet
	for _, r := range removals {
		gone, unexplained := missing, &lost
		if r.Minimum > 0 {
			gone, unexplained = pruned, &cut
		}
		v.report.Removed = append(v.report.Removed, Removed{
			Removal: r,
			Gone:    unexplained.Intersect(r.Entries).Count(),
			Left:    r.Entries.Intersect(read).Minus(gone),
		})
		*unexplained = unexplained.Minus(r.Entries)
	}
	for _, x := range cut {
		v.found(evidence.Deleted, x.First, x.Last-x.First+1, v.partOf(x.First), "the entries were pruned, and no event records why")
	}
	for _, x := range lost.Minus(cut) {
		v.found(evidence.PayloadMissing, x.First, x.Last-x.First+1, v.partOf(x.First), "the payload is not held, and no event records why")
	}
}

// partOf names the part that an entry stands in.
func (v *verification) partOf(index uint64) string {
	for _, p := range v.parts {
		if index >= p.p.First && index-p.p.First < p.p.Count {
			return p.p.Name
		}
	}
	return ""
}
