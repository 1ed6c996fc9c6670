package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/histogram"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

// runCount prints how many entries match, by period and type.
func runCount(ctx context.Context, p *program, t trail, opts queryOptions, q custody.Query) error {
	counts, err := histogram.Count(ctx, t, q, opts.countBy)
	if err != nil {
		return err
	}
	if opts.countBy == "type" {
		// The most frequent first.
		slices.SortStableFunc(counts, func(a, b custody.Count) int { return cmp.Compare(b.Count, a.Count) })
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
