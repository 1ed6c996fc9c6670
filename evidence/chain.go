package evidence

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
)

// Chain checks a run of entries in the order they are stored: that each is
// well formed, carries the next index, names the hash of the one before and is
// not older. It looks only at the entries, so it works on an export as on a
// trail; what the chain cannot see (a history rewritten from some point on, by
// somebody without the key) is what checkpoints are for.
//
// An entry is judged by those behind it: the next one names its hash, and
// carries the index after its own. So a finding may come a few entries late, and
// the last entry of a run is vouched for by nothing but what holds its hash: a
// checkpoint, or [Chain.Mark].
//
// Feed every entry to Next, then call End. A Chain belongs to one goroutine.
type Chain struct {
	first   uint64 // index the run starts at
	expect  uint64 // index the next entry should have
	head    Hash   // hash of the entry at expect-1
	linked  bool   // head is known
	started bool   // an entry, readable or not, was seen
	time    []byte // of the last entry that stands in its place, as written

	firstPrev Hash // prev of the first entry, to be linked by whoever holds the one before
	firstSeen bool // the first entry was there and well formed

	// What is still open about the entry at expect-1.
	bad      bool   // it was reported, so that its hash says nothing
	reversed string // how its time steps back; empty if it does not
	broken   bool   // it does not link to the one at expect-2; one of the two is bad
	restored Hash   // the hash it would have if it did
	before   Hash   // the hash of the entry at expect-2
	doubted  string // how the time of the entry at expect-2 steps back, unless that is bad

	// held is an entry that does not carry the index of its place, if held.ok.
	// Whether the entry there was altered, or something was put in, taken out
	// or moved, the entry behind it will tell.
	held held

	gaps   []gap   // indices that were skipped and have not turned up, ascending
	strays []stray // entries that stand in the place of another
	early  []stray // entries that stand before the one of their place, which follows
	marks  []mark

	findings []finding
	where    string
	whereAt  [2]string // of the entries at expect-2 and expect-1
	buf      []byte
}

type held struct {
	scanned
	ok     bool
	entry  []byte
	hash   Hash
	placed Hash // the hash it would have with the index of its place
	where  string
}

type gap struct {
	from, to uint64 // [from, to)
	where    string
}

type stray struct {
	place, index uint64
	where        string
}

type mark struct {
	place  uint64
	detail string
	where  string
}

// finding is a Finding that may not be the last word.
type finding struct {
	Finding
	either bool // it is about both ends of a link of which one may be good
}

// NewChain starts a run at index first. prev is the hash of the entry before
// it, or nil when the caller will check that link with [Chain.FirstPrev].
func NewChain(first uint64, prev *Hash) *Chain {
	c := &Chain{first: first, expect: first}
	if prev != nil {
		c.head, c.linked = *prev, true
	} else if first == 0 {
		c.linked = true // index 0 names the zero hash
	}
	return c
}

// SetWhere names the part of the store that the following entries come from.
func (c *Chain) SetWhere(where string) { c.where = where }

// Checked is what [Chain.Next] tells of one entry.
type Checked struct {
	Index   uint64 // as the entry says; meaningless unless OK
	Hash    Hash   // leaf hash of the bytes given
	Payload Hash   // commitment; meaningless unless OK
	Type    []byte // part of the bytes given; meaningless unless OK
	Time    []byte // the same, in TimeLayout
	OK      bool   // well formed
}

// Next takes the bytes of the next stored entry. The bytes must not change
// until the following call of Next or End has returned.
func (c *Chain) Next(entry []byte) Checked {
	got := Checked{Hash: LeafHash(entry)}
	c.started = true
	f, err := c.scan(entry)
	if err != nil {
		c.release(nil)
		c.settle(nil)
		cause := Altered
		if errors.Is(err, ErrEntryVersion) {
			cause = NewerFormat
		}
		c.report(cause, c.expect, 1, c.where, err.Error())
		c.pass(c.where) // the one after names the hash that the entry had: unknown
		return got
	}
	got.Index, got.Payload, got.Type, got.Time, got.OK = f.index, f.payload, f.typ, f.time, true
	if c.held.ok {
		c.release(&f)
	}
	if f.index == c.expect {
		c.link(&f, entry, got.Hash, c.where)
	} else {
		c.held = held{scanned: f, ok: true, entry: entry, hash: got.Hash, placed: c.hashWith(entry, c.expect, f.prev), where: c.where}
	}
	return got
}

// link takes an entry that stands in its place.
func (c *Chain) link(f *scanned, entry []byte, hash Hash, where string) {
	ok := !c.linked || f.prev == c.head
	bad := c.bad || c.broken // what is broken is settled now
	reversed := c.settle(&f.prev)
	if c.expect == c.first && !c.linked {
		c.firstPrev, c.firstSeen = f.prev, true
	}
	switch {
	case ok:
	case c.expect == c.first:
		// What stands before is given from outside, so it is right.
		c.report(Altered, c.expect, 1, where, "the entry does not name the hash of the entry before it")
	case bad:
	default:
		c.broken, c.before, c.doubted = true, c.head, reversed
		c.restored = c.hashWith(entry, f.index, c.head)
	}
	c.advance(f, hash, where)
	if !ok {
		c.reversed = "" // it is not known which of the two to believe
		c.bad = f.index == c.first
	}
}

// settle decides what is open about the entry at expect-1. next is the hash that
// the entry behind it names, nil if that cannot be told. It returns how the time
// of the entry steps back, if next says that the entry may be bad.
func (c *Chain) settle(next *Hash) (reversed string) {
	last := c.expect - 1
	if reversed, c.reversed = c.reversed, ""; reversed != "" && (next == nil || *next == c.head) {
		c.report(TimeReversed, last, 1, c.whereAt[1], reversed)
		reversed = ""
	}
	if !c.broken {
		return reversed
	}
	c.broken = false
	switch {
	case next != nil && *next == c.head:
		c.report(Altered, last-1, 1, c.whereAt[0], fmt.Sprintf("its hash is not the one that entry %d names", last))
	case next != nil && *next == c.restored:
		c.vouch()
		c.report(Altered, last, 1, c.whereAt[1], "its link to the entry before was changed")
	default:
		c.findings = merge(c.findings, finding{either: true, Finding: Finding{Cause: Altered, Index: last - 1, Count: 2, Where: c.whereAt[0],
			Detail: fmt.Sprintf("entry %d does not name the hash of entry %d", last, last-1)}})
	}
	return reversed
}

// vouch takes the entry at expect-2 for good.
func (c *Chain) vouch() {
	if c.doubted != "" {
		c.report(TimeReversed, c.expect-2, 1, c.whereAt[0], c.doubted)
		c.doubted = ""
	}
}

// release decides what the held entry is. next is the entry behind it, nil if
// there is none that can be read.
func (c *Chain) release(next *scanned) {
	if !c.held.ok {
		return
	}
	h := c.held
	c.held.ok = false
	inPlace := next != nil && next.index == c.expect+1 // what is behind it is as it should be
	switch {
	case c.linked && h.prev == c.head, inPlace && next.prev == h.placed:
		c.report(Altered, c.expect, 1, h.where, fmt.Sprintf("it says that it is entry %d", h.index))
		h.index = c.expect
		c.link(&h.scanned, h.entry, h.placed, h.where)
	case inPlace, next == nil && c.displaced(h.index):
		c.settle(nil)
		c.strays = append(c.strays, stray{c.expect, h.index, h.where})
		c.pass(h.where)
	case h.index > c.expect && next != nil && next.index == c.expect:
		c.early = append(c.early, stray{c.expect, h.index, h.where})
	case h.index > c.expect:
		c.settle(nil)
		c.gaps = append(c.gaps, gap{c.expect, h.index, h.where})
		c.advance(&h.scanned, h.hash, h.where)
	case h.index+1 == c.expect && c.broken && h.prev == c.before:
		// Of two with the same index, the first links to nothing. The second
		// vouches for the one before.
		c.vouch()
		c.report(Inserted, h.index, 1, c.whereAt[1], fmt.Sprintf("a second entry with index %d is stored", h.index))
		c.broken, c.head = false, h.hash
		c.time = append(c.time[:0], h.time...)
	default:
		c.settle(nil)
		if c.fill(h.index) {
			c.report(Reordered, h.index, 1, h.where, fmt.Sprintf("entry %d stands behind entry %d", h.index, c.expect-1))
			return
		}
		c.report(Inserted, h.index, 1, h.where, fmt.Sprintf("a second entry with index %d is stored", h.index))
		if h.index+1 == c.expect && h.hash != c.head {
			// What follows may go on from either of the two.
			c.linked = false
			if bytes.Compare(h.time, c.time) < 0 {
				c.time = append(c.time[:0], h.time...)
			}
		}
	}
}

// advance goes on behind an entry that stands in its place, or behind a gap.
func (c *Chain) advance(f *scanned, hash Hash, where string) {
	if bytes.Compare(f.time, c.time) < 0 {
		c.reversed = fmt.Sprintf("time %s is before %s of the entry before", f.time, c.time)
	}
	c.time = append(c.time[:0], f.time...)
	c.expect, c.head, c.linked, c.bad = f.index+1, hash, true, false
	c.whereAt = [2]string{c.whereAt[1], where}
}

// pass goes on behind a place whose entry is not known.
func (c *Chain) pass(where string) {
	c.expect, c.linked, c.bad = c.expect+1, false, false
	c.whereAt = [2]string{c.whereAt[1], where}
}

// displaced reports whether another entry stands in the place of the one with
// this index.
func (c *Chain) displaced(index uint64) bool {
	return slices.ContainsFunc(c.strays, func(s stray) bool { return s.place == index })
}

// fill takes an index out of the gaps. It reports false if it is in none.
func (c *Chain) fill(index uint64) bool {
	i := sort.Search(len(c.gaps), func(i int) bool { return c.gaps[i].to > index })
	if i == len(c.gaps) || index < c.gaps[i].from {
		return false
	}
	g := c.gaps[i]
	var left []gap
	if g.from < index {
		left = append(left, gap{g.from, index, g.where})
	}
	if index+1 < g.to {
		left = append(left, gap{index + 1, g.to, g.where})
	}
	c.gaps = slices.Replace(c.gaps, i, i+1, left...)
	return true
}

// report adds a finding. One that continues the last is added to that, so that
// damage without end takes no memory without end.
func (c *Chain) report(cause Cause, index, count uint64, where, detail string) {
	c.findings = merge(c.findings, finding{Finding: Finding{Cause: cause, Index: index, Count: count, Where: where, Detail: detail}})
}

// merge appends f to findings, or joins it with the last one if that is the same
// kind of damage to entries before it.
func merge(findings []finding, f finding) []finding {
	if n := len(findings); n > 0 {
		last := &findings[n-1]
		if last.Cause == f.Cause && last.Where == f.Where && last.Index <= f.Index && f.Index <= last.Index+last.Count {
			last.Count = max(last.Count, f.Index+f.Count-last.Index)
			last.either = last.either && f.either
			return findings
		}
	}
	return append(findings, f)
}

// Skip passes over n entries that could not be read. The caller reports why.
func (c *Chain) Skip(n uint64) {
	c.release(nil)
	c.settle(nil)
	c.expect += n
	c.linked, c.started = false, true
	c.whereAt = [2]string{c.where, c.where}
}

// Pass passes over n entries that were pruned. last is the leaf hash of the last of
// them, which the entry behind it has to name; nil: it is not known.
func (c *Chain) Pass(n uint64, last *Hash) {
	c.Skip(n)
	if last != nil {
		c.head, c.linked = *last, true
	}
}

// Mark says that the entry which carries index and stands in its place does not have
// the hash that was committed there, as somebody knows who holds that hash. One that
// carries another index, or cannot be read, needs no mark. End then reports it, if
// nothing else that was found tells why. It may be called at any time before End.
func (c *Chain) Mark(index uint64, detail string) {
	c.marks = append(c.marks, mark{index, detail, c.where})
}

// End closes the run and returns everything that was found, in the order of
// the indices.
func (c *Chain) End() []Finding {
	c.release(nil)
	c.settle(nil)
	c.resolve()
	for _, g := range c.gaps {
		c.report(Deleted, g.from, g.to-g.from, g.where, fmt.Sprintf("the entries from %d to %d are missing", g.from, g.to-1))
	}
	c.gaps = nil
	c.sort()
	c.applyMarks()
	out := make([]Finding, len(c.findings))
	for i, f := range c.findings {
		out[i] = f.Finding
	}
	return out
}

// resolve tells what was put in from what was moved, now that it is known which
// indices have not turned up.
func (c *Chain) resolve() {
	elsewhere := make(map[uint64]bool, len(c.strays))
	for _, s := range c.strays {
		elsewhere[s.index] = true
		if c.fill(s.index) {
			c.report(Reordered, s.index, 1, s.where, fmt.Sprintf("it stands in the place of entry %d", s.place))
		}
	}
	for _, s := range c.strays {
		cause := Altered
		if elsewhere[s.place] {
			cause = Reordered
		}
		c.report(cause, s.place, 1, s.where, fmt.Sprintf("entry %d stands in its place", s.index))
	}
	slices.SortStableFunc(c.early, func(a, b stray) int { return cmp.Compare(a.index, b.index) })
	for _, s := range c.early {
		moved := c.fill(s.index)
		if s.index == c.expect { // its place is the last
			moved = true
			c.expect, c.linked = c.expect+1, false
		}
		if moved {
			c.report(Reordered, s.place, s.index-s.place+1, s.where, fmt.Sprintf("entry %d stands before entry %d", s.index, s.place))
		} else {
			c.report(Inserted, s.place, 1, s.where, fmt.Sprintf("an entry that says it is entry %d stands before it", s.index))
		}
	}
	c.strays, c.early = nil, nil
}

// sort brings the findings into the order of their indices and joins those that
// continue each other.
func (c *Chain) sort() {
	slices.SortStableFunc(c.findings, func(a, b finding) int { return cmp.Compare(a.Index, b.Index) })
	joined := c.findings[:0]
	for _, f := range c.findings {
		joined = merge(joined, f)
	}
	c.findings = joined
}

// applyMarks adds what others know of single entries to the findings, which are
// sorted.
func (c *Chain) applyMarks() {
	if len(c.marks) == 0 {
		return
	}
	slices.SortStableFunc(c.marks, func(a, b mark) int { return cmp.Compare(a.place, b.place) })
	var kept, more []finding
	told, next := uint64(0), 0 // what is before told is explained; marks before next were looked at
	for _, f := range c.findings {
		known := c.marked(f.Index, f.Index+f.Count)
		switch {
		case f.either && len(known) > 0:
			continue // the marks say which of the two it is
		case f.Cause == TimeReversed:
			if uint64(len(known)) < f.Count { // else it is not the time that was committed
				kept = append(kept, f)
			}
			continue
		}
		for ; next < len(c.marks) && c.marks[next].place < f.Index; next++ {
			if c.marks[next].place >= told {
				more = append(more, c.marks[next].finding())
			}
		}
		told = max(told, f.Index+f.Count)
		kept = append(kept, f)
	}
	for _, m := range c.marks[next:] {
		if m.place >= told {
			more = append(more, m.finding())
		}
	}
	c.findings, c.marks = append(kept, more...), nil
	c.sort()
}

// marked returns the marks of the places [from, to).
func (c *Chain) marked(from, to uint64) []mark {
	at := func(place uint64) int {
		return sort.Search(len(c.marks), func(i int) bool { return c.marks[i].place >= place })
	}
	return c.marks[at(from):at(to)]
}

func (m mark) finding() finding {
	return finding{Finding: Finding{Cause: Altered, Index: m.place, Count: 1, Where: m.where, Detail: m.detail}}
}

// Head returns the index that the next entry should have and the hash of the
// last one, if it is known. It is right once End was called.
func (c *Chain) Head() (next uint64, head Hash, known bool) {
	return c.expect, c.head, c.linked && c.started
}

// FirstPrev returns the hash that the first entry of the run names as that of
// the entry before it, if the run began without one and the entry was there.
func (c *Chain) FirstPrev() (Hash, bool) { return c.firstPrev, c.firstSeen }

// scanned is an entry whose form was checked, its parts left where they stand.
type scanned struct {
	index         uint64
	payload, prev Hash
	time, typ     []byte
}

// scan is ParseEntry without building a time and a string, and with a short cut
// for the index that is expected: it is the inner loop of verification.
func (c *Chain) scan(entry []byte) (scanned, error) {
	// {"index":N,"payload":"<44>","prev":"<44>","time":"<27>","type":"…","v":1}
	const (
		prevAt = hashText + len(`","prev":"`)
		timeAt = prevAt + hashText + len(`","time":"`)
		typeAt = timeAt + len(TimeLayout) + len(`","type":"`)
	)
	c.buf = append(c.buf[:0], `{"index":`...)
	c.buf = strconv.AppendUint(c.buf, c.expect, 10)
	c.buf = append(c.buf, `,"payload":"`...)
	b, ok := bytes.CutPrefix(entry, c.buf)
	end := len(b) - len(`","v":1}`)
	if ok && end > typeAt && len(entry) <= MaxEntrySize && c.expect <= MaxIndex &&
		string(b[hashText:prevAt]) == `","prev":"` && string(b[prevAt+hashText:timeAt]) == `","time":"` &&
		string(b[timeAt+len(TimeLayout):typeAt]) == `","type":"` && string(b[end:]) == `","v":1}` {
		f := scanned{index: c.expect, time: b[timeAt : timeAt+len(TimeLayout)], typ: b[typeAt:end]}
		if decodeHash(&f.payload, b[:hashText]) == nil && decodeHash(&f.prev, b[prevAt:prevAt+hashText]) == nil &&
			ValidType(f.typ) && c.validTime(f.time) {
			return f, nil
		}
	}
	e, err := ParseEntry(entry)
	if err != nil {
		return scanned{}, err
	}
	return scanned{e.Index, e.Payload, e.Prev, AppendTime(nil, e.Time), []byte(e.Type)}, nil
}

// validTime is ParseTime, with a short cut for a time that differs from the last
// one only in its six fractional digits.
func (c *Chain) validTime(t []byte) bool {
	const frac = len("2006-01-02T15:04:05.")
	if len(c.time) == 0 || string(t[:frac]) != string(c.time[:frac]) || t[len(t)-1] != 'Z' {
		_, err := ParseTime(t)
		return err == nil
	}
	for _, d := range t[frac : len(t)-1] {
		if d < '0' || d > '9' {
			return false
		}
	}
	return true
}

// hashWith returns the hash that a well-formed entry would have with another
// index and another link.
func (c *Chain) hashWith(entry []byte, index uint64, prev Hash) Hash {
	e, err := ParseEntry(entry)
	if err != nil {
		return Hash{} // scan accepts what ParseEntry does, so this is never used
	}
	e.Index, e.Prev = index, prev
	c.buf = AppendEntry(c.buf[:0], &e)
	return LeafHash(c.buf)
}
