// Package histogram counts entries by period and type.
package histogram

import (
	"context"
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// Trail is what is counted.
type Trail interface {
	Counts(ctx context.Context, since, until time.Time, every time.Duration) ([]custody.Count, error)
	Entries(context.Context, custody.Query) iter.Seq2[custody.Entry, error]
}

// Count counts the entries that match by type and by period: "hour", "day" (of UTC), or
// "type" for none. The bounds of the query are widened to whole hours. It counts by the
// index where that knows the answer, and otherwise by reading what matches. The order
// is that of time and type.
func Count(ctx context.Context, t Trail, q custody.Query, by string) ([]custody.Count, error) {
	every := 24 * time.Hour
	if by == "hour" {
		every = time.Hour
	}
	q.Since = q.Since.Truncate(time.Hour)
	if up := q.Until.Truncate(time.Hour); up.Before(q.Until) {
		q.Until = up.Add(time.Hour)
	}
	type key struct {
		start time.Time
		typ   event.Type
	}
	sums := map[key]uint64{}
	add := func(start time.Time, typ event.Type, n uint64) {
		if by == "type" {
			start = time.Time{}
		}
		sums[key{start, typ}] += n
	}
	if indexed(q) {
		counts, err := t.Counts(ctx, q.Since, q.Until, every)
		if err != nil {
			return nil, err
		}
		for _, c := range counts {
			if len(q.Types) == 0 || slices.Contains(q.Types, c.Type) {
				add(c.Start, c.Type, c.Count)
			}
		}
	} else {
		for e, err := range t.Entries(ctx, q) {
			if err != nil {
				return nil, err
			}
			add(e.Time.Truncate(every), e.Type, 1)
		}
	}
	counts := make([]custody.Count, 0, len(sums))
	for k, n := range sums {
		counts = append(counts, custody.Count{Start: k.start, Type: k.typ, Count: n})
	}
	slices.SortFunc(counts, func(a, b custody.Count) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return strings.Compare(string(a.Type), string(b.Type))
	})
	return counts, nil
}

// indexed reports whether only types and times are asked for, which can be counted
// without reading the entries.
func indexed(q custody.Query) bool {
	return reflect.DeepEqual(q, custody.Query{Types: q.Types, Since: q.Since, Until: q.Until, Newest: q.Newest})
}
