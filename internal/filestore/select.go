package filestore

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
	"sort"
	"time"

	"github.com/custodylog/custody/internal/index"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
)

// Lookup implements storage.Store.
func (s *Store) Lookup(dst []uint64, k storage.Key, from uint64) ([]uint64, error) {
	v := s.current()
	size := v.size()
	groups := [][]storage.Key{{k}}
	var room [8]uint32
	for n := from / segment.Entries; n*segment.Entries < size; n++ {
		if n < uint64(len(v.sealed)) {
			// One that does not exist yet may hold anything, so this does
			// not pass over the tails.
			if skip := uint64(bits.TrailingZeros64(s.mayHold(n, groups))); skip > 0 {
				n = min(n+skip, (n|63)+1) - 1
				continue
			}
		}
		lo, hi := clip(n, from, size)
		found, _, err := s.find(n, room[:0], groups, lo, hi, 0)
		if err != nil {
			return dst, err
		}
		for _, pos := range found {
			dst = append(dst, n*segment.Entries+uint64(pos))
		}
	}
	return dst, nil
}

// clip returns the positions in part n that lie in the index range [from, to).
func clip(n, from, to uint64) (lo, hi uint32) {
	first := n * segment.Entries
	if from > first {
		lo = uint32(min(from-first, segment.Entries))
	}
	return lo, uint32(min(to-first, segment.Entries))
}

// mayHold returns which of the segments n to n|63 may hold an entry with a key
// of every group, one bit for each from n on.
func (s *Store) mayHold(n uint64, groups [][]storage.Key) uint64 {
	mask := ^uint64(0)
	for _, g := range groups {
		any := uint64(0)
		for _, k := range g {
			any |= s.filter.May(int(n/64), k)
		}
		mask &= any
	}
	return mask >> (n % 64)
}

// Select implements storage.Store.
func (s *Store) Select(ctx context.Context, sel storage.Selection) iter.Seq2[uint64, error] {
	to := min(sel.To, s.Size())
	return func(yield func(uint64, error) bool) {
		if sel.From >= to {
			return
		}
		n, last, step := sel.From/segment.Entries, (to-1)/segment.Entries, uint64(1)
		if sel.Reverse {
			n, last, step = last, n, ^uint64(0)
		}
		for ; ; n += step {
			if err := ctx.Err(); err != nil {
				yield(0, err)
				return
			}
			lo, hi := clip(n, sel.From, to)
			if !s.selectPart(n, lo, hi, &sel, yield) || n == last {
				return
			}
		}
	}
}

// selectPart yields what matches among the positions [lo, hi) of part n, and
// reports whether to go on.
func (s *Store) selectPart(n uint64, lo, hi uint32, sel *storage.Selection, yield func(uint64, error) bool) bool {
	first := n * segment.Entries
	lo, hi, err := s.timeBounds(n, lo, hi, sel.Since, sel.Until)
	if err != nil {
		return yield(first+uint64(lo), err)
	}
	if lo >= hi {
		return true
	}
	part, _ := s.view.Load().part(n)
	isPruned := part != nil && part.pruned != nil
	if len(sel.All) == 0 && !isPruned {
		for i := range hi - lo {
			pos := lo + i
			if sel.Reverse {
				pos = hi - 1 - i
			}
			if !yield(first+uint64(pos), nil) {
				return false
			}
		}
		return true
	}
	if n < uint64(len(s.view.Load().sealed)) && s.mayHold(n, sel.All)&1 == 0 {
		return true
	}
	if sel.Reverse {
		return s.selectNewest(n, lo, hi, sel, yield)
	}
	found, _, err := s.find(n, nil, sel.All, lo, hi, 0)
	if err != nil {
		return yield(first+uint64(lo), err)
	}
	for _, pos := range found {
		if !yield(first+uint64(pos), nil) {
			return false
		}
	}
	return true
}

// selectNewest goes backwards in steps that grow, since whoever asks for the
// newest entries seldom wants them all.
func (s *Store) selectNewest(n uint64, lo, hi uint32, sel *storage.Selection, yield func(uint64, error) bool) bool {
	first := n * segment.Entries
	for limit := 128; ; limit *= 8 {
		found, more, err := s.find(n, nil, sel.All, lo, hi, limit)
		if err != nil {
			return yield(first+uint64(lo), err)
		}
		for _, pos := range slices.Backward(found) {
			if !yield(first+uint64(pos), nil) {
				return false
			}
		}
		if !more {
			return true
		}
		hi = found[0]
	}
}

// find appends the positions in [lo, hi) of part n that have a key of every
// group, ascending. If limit is not 0, it may stop at the newest limit of them,
// and reports whether there may be more.
func (s *Store) find(n uint64, dst []uint32, groups [][]storage.Key, lo, hi uint32, limit int) (found []uint32, more bool, err error) {
	for {
		switch seg, t := s.view.Load().part(n); {
		case t != nil:
			found, more, ok := t.find(dst, groups, lo, hi, limit)
			if !ok {
				continue // sealed meanwhile
			}
			return found, more, nil
		case seg != nil && seg.pruned != nil:
			return seg.pruned.find(dst, groups, lo, hi), false, nil
		case seg != nil:
			if !seg.acquire() {
				continue // replaced meanwhile
			}
			found, err = s.findSealed(seg, dst, groups, lo, hi)
			seg.release()
			return found, false, err
		default:
			return dst, false, fmt.Errorf("%w: the entries from %d on are missing", storage.ErrAltered, n*segment.Entries)
		}
	}
}

// find reports ok false when the tail was given up.
func (t *tail) find(dst []uint32, groups [][]storage.Key, lo, hi uint32, limit int) (found []uint32, more, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.memory == nil {
		return dst, false, false
	}
	idx := t.memory.index
	if len(groups) == 1 && len(groups[0]) == 1 {
		n := len(dst)
		dst = idx.Descending(dst, groups[0][0], lo, hi, limit)
		slices.Reverse(dst[n:])
		return dst, limit > 0 && len(dst)-n == limit, true
	}
	// The list function cannot fail.
	found, _ = intersect(dst, groups, lo, hi, func(dst []uint32, k storage.Key) ([]uint32, error) {
		n := len(dst)
		dst = idx.Descending(dst, k, lo, hi, 0)
		slices.Reverse(dst[n:])
		return dst, nil
	})
	return found, false, true
}

func (s *Store) findSealed(p *sealed, dst []uint32, groups [][]storage.Key, lo, hi uint32) ([]uint32, error) {
	idx, err := s.indexOf(p)
	if err != nil {
		return dst, err
	}
	found, err := intersect(dst, groups, lo, hi, idx.Ascending)
	if brokenIndex(err) {
		if idx, err = s.rebuild(p, idx, err); err != nil {
			return dst, err
		}
		found, err = intersect(dst, groups, lo, hi, idx.Ascending)
	}
	return found, err
}

// intersect appends the positions in [lo, hi) that list gives for a key of
// every group. list appends the positions of a key, ascending.
func intersect(dst []uint32, groups [][]storage.Key, lo, hi uint32, list func([]uint32, storage.Key) ([]uint32, error)) ([]uint32, error) {
	start := len(dst)
	var room [256]uint32
	for i, g := range groups {
		got := room[:0]
		if i == 0 {
			got = dst
		}
		n := len(got)
		var err error
		for _, k := range g {
			if got, err = list(got, k); err != nil {
				return dst, err
			}
		}
		if len(g) > 1 {
			slices.Sort(got[n:])
			got = append(got[:n], slices.Compact(got[n:])...)
		}
		if i == 0 {
			dst = got
			continue
		}
		// Keep of dst what is in got; both are sorted.
		keep, j := start, 0
		for _, pos := range dst[start:] {
			for j < len(got) && got[j] < pos {
				j++
			}
			if j < len(got) && got[j] == pos {
				dst[keep] = pos
				keep++
			}
		}
		if dst = dst[:keep]; keep == start {
			return dst, nil
		}
	}
	from := start + sort.Search(len(dst)-start, func(i int) bool { return dst[start+i] >= lo })
	to := start + sort.Search(len(dst)-start, func(i int) bool { return dst[start+i] >= hi })
	return append(dst[:start], dst[from:to]...), nil
}

// timeBounds narrows the positions [lo, hi) of part n to those whose entries
// lie in [since, until). Times never decrease along a trail.
func (s *Store) timeBounds(n uint64, lo, hi uint32, since, until time.Time) (uint32, uint32, error) {
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	if !since.IsZero() {
		// Entries have whole microseconds: one that is later than since by
		// less is at the next.
		from = since.Add(time.Microsecond - 1).UnixMicro()
	}
	if !until.IsZero() {
		to = until.Add(time.Microsecond - 1).UnixMicro()
	}
	if from == math.MinInt64 && to == math.MaxInt64 {
		return lo, hi, nil
	}
	for {
		switch seg, t := s.view.Load().part(n); {
		case t != nil:
			t.mu.RLock()
			m := t.memory
			if m == nil {
				t.mu.RUnlock()
				continue // sealed meanwhile
			}
			a := sort.Search(len(m.times), func(i int) bool { return m.times[i] >= from })
			b := sort.Search(len(m.times), func(i int) bool { return m.times[i] >= to })
			t.mu.RUnlock()
			return max(lo, uint32(a)), min(hi, uint32(b)), nil
		case seg != nil && seg.err != nil:
			return lo, hi, seg.err
		case seg != nil && seg.pruned != nil:
			a, b := seg.pruned.timeBounds(from, to)
			return max(lo, a), min(hi, b), nil
		case seg != nil:
			if seg.seg.LastTime < from || seg.seg.FirstTime >= to {
				return hi, hi, nil
			}
			if !seg.acquire() {
				continue // replaced meanwhile
			}
			a, err := seg.firstAt(from)
			var b uint32
			if err == nil {
				b, err = seg.firstAt(to)
			}
			seg.release()
			if err != nil {
				return lo, hi, err
			}
			return max(lo, a), min(hi, b), nil
		default:
			return lo, hi, nil // find says what is wrong
		}
	}
}

// firstAt returns the position of the first entry at or after a time.
func (p *sealed) firstAt(time int64) (uint32, error) {
	// It is in the last block that begins before that time, or begins the one
	// behind it.
	block := sort.Search(len(p.seg.BlockTimes), func(i int) bool { return p.seg.BlockTimes[i] >= time }) - 1
	if block < 0 {
		return 0, nil
	}
	_, entries, err := p.seg.EntryBlock(block, nil, nil)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.name, err)
	}
	i := sort.Search(len(entries), func(i int) bool { return timeOf(entries[i]) >= time })
	return uint32(block*segment.BlockEntries + i), nil
}

// Counts implements storage.Store.
func (s *Store) Counts(ctx context.Context, since, until time.Time, every time.Duration) ([]storage.Bucket, error) {
	const hour = time.Hour
	if every <= 0 || every%hour != 0 {
		return nil, fmt.Errorf("counts are kept by whole hours; %s is not a multiple of one", every)
	}
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	if !since.IsZero() {
		from = index.HourOf(since.UnixMicro())
	}
	if !until.IsZero() {
		to = index.HourOf(until.Add(hour - 1).UnixMicro())
	}
	type slot struct {
		start int64
		typ   string
	}
	width := int64(every / hour)
	sums := make(map[slot]uint64)
	v := s.current()
	var buckets []index.Bucket
	for n := uint64(0); n*segment.Entries < v.size(); n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if buckets, err = s.bucketsOf(n, buckets[:0], from, to); err != nil {
			return nil, err
		}
		for _, b := range buckets {
			if b.Hour >= from && b.Hour < to {
				start := b.Hour - ((b.Hour%width)+width)%width
				sums[slot{start, b.Type}] += b.Count
			}
		}
	}
	out := make([]storage.Bucket, 0, len(sums))
	for k, n := range sums {
		out = append(out, storage.Bucket{Start: time.Unix(k.start*3600, 0).UTC(), Type: k.typ, Count: n})
	}
	slices.SortFunc(out, func(a, b storage.Bucket) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		if a.Type < b.Type {
			return -1
		}
		return 1 // each type once in a period
	})
	return out, nil
}

// bucketsOf appends the counts of part n, which may be none where the part
// lies outside of the hours [from, to).
func (s *Store) bucketsOf(n uint64, dst []index.Bucket, from, to int64) ([]index.Bucket, error) {
	for {
		switch seg, t := s.view.Load().part(n); {
		case t != nil:
			t.mu.RLock()
			if t.memory == nil {
				t.mu.RUnlock()
				continue // sealed meanwhile
			}
			dst = t.memory.index.Buckets(dst)
			t.mu.RUnlock()
			return dst, nil
		case seg == nil:
			return dst, fmt.Errorf("%w: the entries from %d on are missing", storage.ErrAltered, n*segment.Entries)
		case seg.err != nil:
			return dst, seg.err
		case seg.pruned != nil:
			return seg.pruned.buckets(dst), nil
		default:
			if index.HourOf(seg.seg.LastTime) < from || index.HourOf(seg.seg.FirstTime) >= to {
				return dst, nil
			}
			if !seg.acquire() {
				continue // replaced meanwhile
			}
			defer seg.release()
			idx, err := s.indexOf(seg)
			if err != nil {
				return dst, err
			}
			got, err := idx.Buckets(dst)
			if brokenIndex(err) {
				if idx, err = s.rebuild(seg, idx, err); err == nil {
					got, err = idx.Buckets(dst)
				}
			}
			return got, err
		}
	}
}
