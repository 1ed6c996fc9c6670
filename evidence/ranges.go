package evidence

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Range is a run of entries: First, Last and everything between.
type Range struct{ First, Last uint64 }

// Ranges is a set of indices: ranges in ascending order that neither overlap nor
// touch, so that a set has one form only. Events that tell of removed payloads
// list them so (docs/format/removal.md).
type Ranges []Range

// ParseRanges reads the form that [Ranges.String] writes, and no other.
func ParseRanges(text string) (Ranges, error) {
	if text == "" {
		return nil, nil
	}
	r := make(Ranges, 0, min(strings.Count(text, ",")+1, 1<<20))
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, err := parseIndex(first)
		if err != nil {
			return nil, fmt.Errorf("range %q: %w", part, err)
		}
		b, err := parseIndex(last)
		if err != nil {
			return nil, fmt.Errorf("range %q: %w", part, err)
		}
		if a > b || isRange && a == b {
			return nil, fmt.Errorf("range %q: a range goes from an index to a larger one", part)
		}
		if n := len(r); n > 0 && (a <= r[n-1].Last || a == r[n-1].Last+1) {
			return nil, fmt.Errorf("range %q does not come behind %d with a gap", part, r[n-1].Last)
		}
		r = append(r, Range{a, b})
	}
	return r, nil
}

// ParseListed reads the entries that the event with index says were removed: their
// indices, as text, and the digest of that, in hexadecimal. All of them have to be
// before the event.
func ParseListed(text, digest string, index uint64) (Ranges, error) {
	r, err := ParseRanges(text)
	if err != nil {
		return nil, fmt.Errorf("indices: %w", err)
	}
	if d := r.Digest(); digest != hex.EncodeToString(d[:]) {
		return nil, errors.New("the digest is not that of the indices that it lists")
	}
	if n := len(r); n > 0 && r[n-1].Last >= index {
		return nil, fmt.Errorf("it lists entry %d, which is not before it", r[n-1].Last)
	}
	return r, nil
}

func parseIndex(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%q is no index", s)
	}
	return n, nil
}

// String writes the set as "0-41,43,50-99"; the empty set is "".
func (r Ranges) String() string {
	var b []byte
	for i, x := range r {
		if i > 0 {
			b = append(b, ',')
		}
		b = x.append(b)
	}
	return string(b)
}

func (r Range) append(b []byte) []byte {
	b = strconv.AppendUint(b, r.First, 10)
	if r.Last > r.First {
		b = strconv.AppendUint(append(b, '-'), r.Last, 10)
	}
	return b
}

// Digest is the SHA-256 of String.
func (r Ranges) Digest() Hash { return sha256.Sum256([]byte(r.String())) }

// Count is the number of indices.
func (r Ranges) Count() (n uint64) {
	for _, x := range r {
		n += x.Last - x.First + 1
	}
	return n
}

// Add adds an index that is larger than all that the set has.
func (r *Ranges) Add(index uint64) {
	if n := len(*r); n > 0 && (*r)[n-1].Last+1 == index {
		(*r)[n-1].Last = index
		return
	}
	*r = append(*r, Range{index, index})
}

// RangesOf returns the set of some indices, in any order, with repeats.
func RangesOf(indices []uint64) Ranges {
	sorted := slices.Clone(indices)
	slices.Sort(sorted)
	var r Ranges
	for _, i := range slices.Compact(sorted) {
		r.Add(i)
	}
	return r
}

// Contains reports whether an index is in the set.
func (r Ranges) Contains(index uint64) bool {
	_, found := slices.BinarySearchFunc(r, index, func(x Range, i uint64) int {
		switch {
		case x.Last < i:
			return -1
		case x.First > i:
			return 1
		}
		return 0
	})
	return found
}

// All yields the indices in order.
func (r Ranges) All() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for _, x := range r {
			for i := x.First; ; i++ {
				if !yield(i) {
					return
				}
				if i == x.Last {
					break
				}
			}
		}
	}
}

// Between returns the part of the set that is in [from, to), which may be empty.
func (r Ranges) Between(from, to uint64) Ranges {
	if from >= to {
		return nil
	}
	var out Ranges
	i, _ := slices.BinarySearchFunc(r, from, func(x Range, at uint64) int { return cmp.Compare(x.Last, at) })
	for _, x := range r[i:] {
		if x.First >= to {
			break
		}
		out = append(out, Range{max(x.First, from), min(x.Last, to-1)})
	}
	return out
}

// Union returns what is in one of the sets or in both.
func (r Ranges) Union(other Ranges) Ranges {
	var out Ranges
	add := func(x Range) {
		if n := len(out); n > 0 && x.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, x.Last)
			return
		}
		out = append(out, x)
	}
	i, j := 0, 0
	for i < len(r) || j < len(other) {
		if j == len(other) || i < len(r) && r[i].First <= other[j].First {
			add(r[i])
			i++
		} else {
			add(other[j])
			j++
		}
	}
	return out
}

// Minus returns what is in r and not in other.
func (r Ranges) Minus(other Ranges) Ranges {
	var out Ranges
	j := 0
	for _, x := range r {
		from := x.First
		for j > 0 && other[j-1].Last >= from { // the one before may reach over x too
			j--
		}
		for ; j < len(other) && other[j].First <= x.Last; j++ {
			if other[j].Last < from {
				continue
			}
			if other[j].First > from {
				out = append(out, Range{from, other[j].First - 1})
			}
			from = other[j].Last + 1
		}
		if from <= x.Last {
			out = append(out, Range{from, x.Last})
		}
	}
	return out
}

// Intersect returns what is in both sets.
func (r Ranges) Intersect(other Ranges) Ranges { return r.Minus(r.Minus(other)) }

// Split cuts the set into sets whose text has at most n bytes each, n being large
// enough for any single range.
func (r Ranges) Split(n int) []Ranges {
	var out []Ranges
	var room []byte
	start, size := 0, 0
	for i, x := range r {
		room = x.append(room[:0])
		if size+1+len(room) > n && i > start {
			out = append(out, r[start:i:i])
			start, size = i, 0
		}
		size += 1 + len(room)
	}
	if start < len(r) {
		out = append(out, r[start:])
	}
	return out
}
