package alert

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/trails"
)

// mark is an entry that the rules have seen.
type mark struct {
	Index uint64        `json:"index"`
	Hash  evidence.Hash `json:"hash"` // RFC 6962 leaf hash
}

// markOf returns the mark of the entry before an index; the zero mark if there is none
// that can be read.
func markOf(t *trails.Trail, next uint64) mark {
	if next == 0 {
		return mark{}
	}
	e, err := t.Entry(context.Background(), next-1)
	if err != nil {
		return mark{}
	}
	return mark{e.Index, e.Hash}
}

// marks are entries that the rules have seen, the newest last: many that are near, and
// fewer the farther back. They show where a trail parts from the one that was followed.
// A slice is never changed.
type marks []mark

// with returns the marks with a newer one. Of those whose distance to it has the same
// number of bits the oldest and the newest are kept, so the number grows with the
// logarithm of the index.
func (m marks) with(newest mark) marks {
	if newest.Hash == (evidence.Hash{}) || len(m) > 0 && newest.Index <= m[len(m)-1].Index {
		return m
	}
	class := func(i int) int { return bits.Len64(newest.Index - m[i].Index) }
	var kept marks
	for i := range m {
		if i == 0 || i == len(m)-1 || class(i-1) != class(i) || class(i) != class(i+1) {
			kept = append(kept, m[i])
		}
	}
	return append(kept, newest)
}

// fit says why the marks are none of a position that has come as far as next.
func (m marks) fit(next uint64) error {
	for i := range m {
		if m[i].Index >= next || i > 0 && m[i].Index <= m[i-1].Index {
			return fmt.Errorf("the entries that were seen up to entry %d are not in order", next)
		}
	}
	if len(m) > 0 && m[len(m)-1].Index != next-1 {
		return fmt.Errorf("the last entry that was seen is not the one before entry %d", next)
	}
	return nil
}

// errReplaced says that a trail is not the one that was followed.
var errReplaced = errors.New("the trail is another one than was followed")

// resume returns where in a trail to go on that was followed up to next, and the marks of
// what is before: there, if the trail still has the last entry that was seen, or it
// cannot be told. Otherwise it fails with errReplaced, and returns the index behind the
// newest mark that the trail has; its end, if it has none.
func (m marks) resume(t *trails.Trail, next uint64) (uint64, marks, error) {
	size := t.Size()
	if next <= size {
		if len(m) == 0 {
			return next, nil, nil
		}
		last := m[len(m)-1]
		if e, err := t.Entry(context.Background(), last.Index); err != nil || e.Hash == last.Hash {
			return next, m, nil // what cannot be read is for a verification to tell
		}
	}
	for i, o := range slices.Backward(m) {
		if e, err := t.Entry(context.Background(), o.Index); err == nil && e.Hash == o.Hash {
			return o.Index + 1, m[: i+1 : i+1], errReplaced
		}
	}
	return size, nil, errReplaced
}
