package bundle

import (
	"fmt"
	"time"

	"github.com/custodylog/custody/evidence"
)

// Completeness says what of the question's range a bundle discloses, and whether
// it is proven that nothing which the question asks for was left out.
type Completeness struct {
	Asked     Set    `json:"asked"`     // events that the question asks for
	Disclosed Set    `json:"disclosed"` // entries disclosed, neighbours of the range among them
	Erased    Set    `json:"erased"`    // entries of the range whose payload was erased on request
	Events    Set    `json:"events"`    // payloads disclosed
	Expired   Set    `json:"expired"`   // entries of the range whose payload has outlived its period
	From      uint64 `json:"from"`      // of the range
	Held      Set    `json:"held"`      // entries of the range that legal holds cover
	Proven    bool   `json:"proven"`
	Pruned    Set    `json:"pruned"`   // entries before the range that are gone, which the question would reach
	Reason    string `json:"reason"`   // why it is proven, or not, in words
	To        uint64 `json:"to"`       // of the range
	Withheld  Set    `json:"withheld"` // entries of the range that are not disclosed
}

// Removed returns the entries of the range whose payload the trail does not hold any
// more, by its own account.
func (c *Completeness) Removed() evidence.Ranges { return c.Erased.Union(c.Expired.Ranges) }

// account fills in what removals and holds come to in the range, which is given.
// Each entry is explained by the first event that lists it.
func (c *Completeness) account(removals []Removal, holds []Hold) {
	span := Span{c.From, c.To}.ranges()
	c.Erased, c.Expired, c.Held, c.Pruned = Set{}, Set{}, Set{}, Set{}
	for _, r := range removals {
		left := r.Entries.Intersect(span).Minus(c.Removed())
		switch {
		case r.Minimum > 0:
			c.Pruned.Ranges = c.Pruned.Union(r.Entries.Ranges)
		case r.Type == payloadErased:
			c.Erased.Ranges = c.Erased.Union(left)
		default:
			c.Expired.Ranges = c.Expired.Union(left)
		}
	}
	for _, h := range holds {
		c.Held.Ranges = c.Held.Union(h.Entries.Intersect(span))
	}
}

// judge fills in what follows from the rest: Withheld, Proven and Reason. size
// is that of the tree, and timeOf gives the time of a disclosed entry.
func (c *Completeness) judge(scope *Scope, size uint64, timeOf func(uint64) (time.Time, bool)) {
	span := Span{c.From, c.To}.ranges()
	c.Withheld = Set{span.Minus(c.Disclosed.Ranges)}
	c.Proven, c.Reason = true, ""
	switch missing := span.Minus(c.Asked.Ranges); {
	case len(scope.Fields) > 0:
		c.Proven = false
		c.Reason = "The question asks for events with certain values. What other entries of the range hold is not disclosed: that none of them belongs here is the word of whoever made the bundle."
	case len(missing) > 0:
		c.Proven = false
		c.Reason = fmt.Sprintf("The bundle does not give all events of the range: from entry %d on some are left out.", missing[0].First)
	case scope.Since.IsZero() && scope.Until.IsZero():
		c.Reason = "Every entry of the range is disclosed, and each index of the tree has one entry."
		if len(c.Pruned.Ranges) > 0 {
			c.Reason += fmt.Sprintf(" What was before entry %d was pruned under a retention policy, and cannot be shown any more.", c.From)
		}
	default:
		c.judgeTime(scope, size, timeOf)
	}
}

// judgeTime is for a question about a time of which every entry is disclosed. As
// times never step back along a trail, the neighbours of the range vouch for the
// rest.
func (c *Completeness) judgeTime(scope *Scope, size uint64, timeOf func(uint64) (time.Time, bool)) {
	fail := func(format string, args ...any) {
		c.Proven, c.Reason = false, fmt.Sprintf(format, args...)
	}
	since, until := scope.Since.Time, scope.Until.Time
	for i := range (Span{c.From, c.To}).ranges().Intersect(c.Disclosed.Ranges).All() {
		if at, ok := timeOf(i); ok && (at.Before(since) || !until.IsZero() && !at.Before(until)) {
			fail("Entry %d, which is in the range, is outside the time asked for.", i)
			return
		}
	}
	if len(c.Pruned.Ranges) > 0 {
		fail("What was before entry %d was pruned under a retention policy. Whether any of it is within the time asked for cannot be seen.", c.From)
		return
	}
	if c.From > 0 {
		if at, ok := timeOf(c.From - 1); !ok || since.IsZero() || !at.Before(since) {
			fail("The entry before the range, %d, is not shown to be older than the time asked for.", c.From-1)
			return
		}
	}
	if c.To < size {
		if at, ok := timeOf(c.To); !ok || until.IsZero() || at.Before(until) {
			fail("The entry behind the range, %d, is not shown to be later than the time asked for.", c.To)
			return
		}
	}
	c.Reason = "Every entry of the range is disclosed, and each index of the tree has one entry. The entries before and behind the range are outside the time asked for, and the times of a trail never step back."
	if c.To == size {
		c.Reason += " The range ends where the checkpoint does: what was recorded later is not covered."
	}
}
