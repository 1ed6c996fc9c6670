package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

// runCount prints how many entries match, by period and type.
func runCount(ctx context.Context, p *program, t *custody.Trail, opts queryOptions, q custody.Query) error {
	counts, err := countEntries(ctx, t, opts, q)
	if err != nil {
		return err
	}
	if len(counts) == 0 {
		p.nothing(t, opts.filter.describe())
		return nil
	}
	if opts.json {
		for _, c := range counts {
			if err := writeJSON(p.out, wire.Count{Start: wire.Time(c.Start), Type: string(c.Type), Count: c.Count}); err != nil {
				return err
			}
		}
		return nil
	}
	columns := []terminal.Column{{Title: "COUNT", Right: true}, {Title: "TYPE"}}
	layout := ""
	switch opts.countBy {
	case "hour":
		columns, layout = slices.Insert(columns, 0, terminal.Column{Title: "HOUR"}), "2006-01-02 15:00Z"
	case "day":
		columns, layout = slices.Insert(columns, 0, terminal.Column{Title: "DAY"}), "2006-01-02"
	}
	table := p.out.NewTable(columns...)
	for _, c := range counts {
		row := []terminal.Cell{{Text: terminal.Count(c.Count)}, {Text: string(c.Type)}}
		if layout != "" {
			row = slices.Insert(row, 0, terminal.Cell{Text: c.Start.Format(layout), Style: terminal.Dim})
		}
		table.Row(row...)
	}
	return table.Flush()
}

// countEntries counts by the index where that knows the answer, and otherwise by
// reading what matches. The order is that of time and type; without periods the
// most frequent type comes first.
func countEntries(ctx context.Context, t *custody.Trail, opts queryOptions, q custody.Query) ([]custody.Count, error) {
	every := 24 * time.Hour
	if opts.countBy == "hour" {
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
	add := func(c custody.Count) {
		if opts.countBy == "type" {
			c.Start = time.Time{}
		}
		sums[key{c.Start, c.Type}] += c.Count
	}
	if opts.filter.plain() {
		counts, err := t.Counts(ctx, q.Since, q.Until, every)
		if err != nil {
			return nil, err
		}
		for _, c := range counts {
			if len(q.Types) == 0 || slices.Contains(q.Types, c.Type) {
				add(c)
			}
		}
	} else {
		for e, err := range t.Entries(ctx, q) {
			if err != nil {
				return nil, err
			}
			add(custody.Count{Start: e.Time.Truncate(every), Type: e.Type, Count: 1})
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
		if opts.countBy == "type" && a.Count != b.Count {
			if a.Count > b.Count {
				return -1
			}
			return 1
		}
		return strings.Compare(string(a.Type), string(b.Type))
	})
	return counts, nil
}
