package evidence

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
)

// Chain checks a run of entries in the order they are stored: that each is
// well formed, carries the next index, names the hash of the one before and is
// not older. It looks only at the entries, so it works on an export as on a
// trail; what the chain cannot see (a history rewritten from some point on, by
// somebody without the key) is what checkpoints are for.
//
// Feed every entry to Next, then call End. A Chain belongs to one goroutine.
type Chain struct {
	first   uint64 // index the run starts at
	expect  uint64 // index the next entry should have
	head    Hash   // hash of the entry at expect-1
	started bool
	linked  bool // head is known: either given, or an entry was seen

	firstPrev Hash   // prev of the first entry, to be linked by whoever holds the one before
	firstSeen bool   // the first entry was there and well formed
	lastTime  []byte // time of the entry at expect-1, as written

	last     []byte // bytes of the entry at expect-1, for telling which end of a broken link is bad
	lastPrev Hash   // hash of the entry at expect-2
	broken   bool   // the link from expect-2 to expect-1 is broken, not yet judged

	gaps     []span // indices that were skipped and have not turned up
	findings []Finding

	where string
	buf   []byte
}

type span struct{ from, to uint64 } // [from, to)

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
	OK      bool   // well formed
}

// Next takes the bytes of the next stored entry. The bytes must not change
// until the following call of Next or End has returned.
func (c *Chain) Next(entry []byte) Checked {
	got := Checked{Hash: LeafHash(entry)}
	c.started = true
	f, err := c.scan(entry)
	if err != nil {
		c.judge(false, nil)
		cause := Altered
		if f.newer {
			cause = NewerFormat
		}
		c.report(cause, c.expect, 1, err.Error())
		// The one after names the hash that the entry had: unknown.
		c.linked, c.last = false, nil
		c.expect++
		return got
	}
	got.Index, got.Payload, got.Type, got.OK = f.index, f.payload, f.typ, true

	switch {
	case f.index == c.expect:
		c.link(f, entry, got.Hash)
	case f.index > c.expect:
		c.judge(false, nil)
		c.gaps = append(c.gaps, span{c.expect, f.index})
		c.advance(f, entry, got.Hash)
	default:
		c.judge(false, nil)
		c.misplaced(f, got.Hash)
	}
	return got
}

// link takes an entry that carries the expected index.
func (c *Chain) link(f scanned, entry []byte, hash Hash) {
	ok := !c.linked || f.prev == c.head
	c.judge(true, &f.prev)
	if c.expect == c.first && !c.linked {
		c.firstPrev, c.firstSeen = f.prev, true
	}
	if !ok {
		if c.last == nil {
			// Nothing of ours stands before: the link given from outside is wrong.
			c.report(Altered, c.expect, 1, "the entry does not name the hash of the entry before it")
		} else {
			c.broken = true
		}
	}
	if c.lastTime != nil && bytes.Compare(f.time, c.lastTime) < 0 {
		c.report(TimeReversed, c.expect, 1, fmt.Sprintf("time %s is before %s of the entry before", f.time, c.lastTime))
	}
	c.lastPrev = c.head
	c.advance(f, entry, hash)
}

// judge decides which end of a broken link is bad, now that the entry behind
// it is known (next is the hash which that one names), or that there is none.
func (c *Chain) judge(consecutive bool, next *Hash) {
	if !c.broken {
		return
	}
	c.broken = false
	bad := c.expect - 1 // the entry that names a hash its predecessor does not have
	if consecutive && *next == c.head {
		// The entry behind vouches for it, so its predecessor was altered.
		c.report(Altered, bad-1, 1, fmt.Sprintf("its hash is not the one that entry %d names", bad))
		return
	}
	if consecutive {
		// Neither link holds. Had only its prev been altered, then with the
		// right one it has the hash that the entry behind it names.
		if e, err := ParseEntry(c.last); err == nil {
			e.Prev = c.lastPrev
			c.buf = AppendEntry(c.buf[:0], &e)
			if LeafHash(c.buf) == *next {
				c.report(Altered, bad, 1, "its link to the entry before was changed")
				return
			}
		}
		c.report(Altered, bad-1, 2, fmt.Sprintf("entries %d and %d do not link to each other nor to the one behind", bad-1, bad))
		return
	}
	// Nothing stands behind it. Either end may be bad; all before bad-1 is linked.
	c.report(Altered, bad-1, 2, fmt.Sprintf("entry %d does not name the hash of entry %d", bad, bad-1))
}

func (c *Chain) advance(f scanned, entry []byte, hash Hash) {
	c.head, c.linked, c.last = hash, true, entry
	c.lastTime = append(c.lastTime[:0], f.time...)
	c.expect = f.index + 1
}

// misplaced takes an entry whose index was passed already.
func (c *Chain) misplaced(f scanned, hash Hash) {
	for i, g := range c.gaps {
		if f.index < g.from || f.index >= g.to {
			continue
		}
		c.report(Reordered, f.index, 1, fmt.Sprintf("entry %d stands behind entry %d", f.index, c.expect-1))
		c.gaps = slices.Delete(c.gaps, i, i+1)
		if f.index > g.from {
			c.gaps = append(c.gaps, span{g.from, f.index})
		}
		if f.index+1 < g.to {
			c.gaps = append(c.gaps, span{f.index + 1, g.to})
		}
		return
	}
	c.report(Inserted, f.index, 1, fmt.Sprintf("a second entry with index %d is stored", f.index))
	if f.index+1 == c.expect {
		// What follows may link to either of the two.
		c.head, c.last, c.linked = hash, nil, false
	}
}

func (c *Chain) report(cause Cause, index, count uint64, detail string) {
	c.findings = append(c.findings, Finding{Cause: cause, Index: index, Count: count, Where: c.where, Detail: detail})
}

// End closes the run and returns everything that was found, in the order of
// the indices.
func (c *Chain) End() []Finding {
	c.judge(false, nil)
	for _, g := range c.gaps {
		c.report(Deleted, g.from, g.to-g.from, fmt.Sprintf("the entries from %d to %d are missing", g.from, g.to-1))
	}
	c.gaps = nil
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		if a.Index < b.Index {
			return -1
		} else if a.Index > b.Index {
			return 1
		}
		return 0
	})
	return c.findings
}

// Head returns the index that the next entry should have and the hash of the
// last one, if it is known.
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
	newer         bool
}

// scan is ParseEntry without building times and strings, and with a short cut
// for the index that is expected: it is the inner loop of verification.
func (c *Chain) scan(entry []byte) (scanned, error) {
	var f scanned
	b := entry
	// {"index":N,"payload":"<44>","prev":"<44>","time":"<27>","type":"…","v":1}
	c.buf = append(c.buf[:0], `{"index":`...)
	c.buf = strconv.AppendUint(c.buf, c.expect, 10)
	c.buf = append(c.buf, `,"payload":"`...)
	const (
		prevAt = 44 + len(`","prev":"`)
		timeAt = prevAt + 44 + len(`","time":"`)
		typeAt = timeAt + len(TimeLayout) + len(`","type":"`)
	)
	head := len(c.buf)
	end := len(b) - len(`","v":1}`)
	if end > head+typeAt && len(b) <= MaxEntrySize && bytes.Equal(b[:head], c.buf) {
		b := b[head:]
		end -= head
		if string(b[44:prevAt]) == `","prev":"` && string(b[prevAt+44:timeAt]) == `","time":"` &&
			string(b[timeAt+len(TimeLayout):typeAt]) == `","type":"` && string(b[end:]) == `","v":1}` &&
			ValidType(b[typeAt:end]) && decodeHash(&f.payload, b[:44]) == nil {
			prev := b[prevAt : prevAt+44]
			var want [44]byte
			base64.StdEncoding.Encode(want[:], c.head[:])
			if c.linked && bytes.Equal(prev, want[:]) {
				f.prev = c.head
			} else if decodeHash(&f.prev, prev) != nil {
				goto slow
			}
			f.time = b[timeAt : timeAt+len(TimeLayout)]
			if !sameSecond(f.time, c.lastTime) {
				if _, err := ParseTime(f.time); err != nil {
					goto slow
				}
			}
			f.index, f.typ = c.expect, b[typeAt:end]
			return f, nil
		}
	}
slow:
	e, err := ParseEntry(entry)
	if err != nil {
		f.newer = isNewer(err)
		return f, err
	}
	f.index, f.payload, f.prev = e.Index, e.Payload, e.Prev
	f.time = AppendTime(nil, e.Time)
	f.typ = []byte(e.Type)
	return f, nil
}

// sameSecond reports whether a is a valid time because it differs from the
// valid time b only in its six fractional digits.
func sameSecond(a, b []byte) bool {
	const frac = len("2006-01-02T15:04:05.")
	if len(b) != len(TimeLayout) || string(a[:frac]) != string(b[:frac]) || a[len(a)-1] != 'Z' {
		return false
	}
	for _, d := range a[frac : len(a)-1] {
		if d < '0' || d > '9' {
			return false
		}
	}
	return true
}

// Skip passes over n entries that could not be read. The caller reports why.
func (c *Chain) Skip(n uint64) {
	c.judge(false, nil)
	c.expect += n
	c.linked, c.last, c.started = false, nil, true
}
