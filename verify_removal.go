package custody

import (
	"github.com/custodylog/custody/evidence"
)

// Removed is a removal as verification found it.
type Removed struct {
	Removal

	// Gone is how many of its entries have lost their payload, of those that
	// were read.
	Gone uint64

	// Left are entries that it lists and that still have their payload: it was
	// not finished, or somebody brought them back. Opening the trail for
	// writing finishes what a crash left.
	Left evidence.Ranges
}

// explain tells payloads that were removed lawfully from those that are just
// missing. A removal explains entries before the event that tells of it, and each
// entry is explained by the first removal that lists it.
func (v *verification) explain() {
	var missing evidence.Ranges
	var removals []Removal
	for _, p := range v.parts {
		missing = missing.Union(p.missing)
		removals = append(removals, p.removals...)
	}
	var read evidence.Ranges
	if v.size > v.since {
		read = evidence.Ranges{{First: v.since, Last: v.size - 1}}
	}
	left := missing
	for _, r := range removals {
		v.report.Removed = append(v.report.Removed, Removed{
			Removal: r,
			Gone:    left.Intersect(r.Entries).Count(),
			Left:    r.Entries.Intersect(read).Minus(missing),
		})
		left = left.Minus(r.Entries)
	}
	for _, x := range left {
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
