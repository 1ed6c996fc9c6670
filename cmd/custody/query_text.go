package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/terminal"
)

// runSearch prints the entries of a query that say the words of --text and have the values
// of --field. What was found before an error, or Ctrl-C, is printed too.
func runSearch(ctx context.Context, p *program, t trail, opts queryOptions, q custody.Query) error {
	w := newEntryWriter(p, opts.json)
	q.Limit = opts.limit
	n, size := 0, t.Size()
	progress := p.err.NewProgress("searching")
	defer progress.Done()
	s := custody.Search{Query: q, Text: opts.text, Fields: opts.fields.want, Progress: func(s custody.Searched) {
		done, total := searchedPart(&q, s.Last, size)
		progress.Set(done, total, func(elapsed time.Duration) string {
			return fmt.Sprintf("%s found, %s", terminal.Count(uint64(n)), terminal.PerSecond(s.Entries, elapsed))
		})
		if opts.json {
			p.out.Flush() // an error stays, and ends it at the next entry
		}
	}}
	var unwritten error
	done, err := t.Search(ctx, s, func(e custody.Entry) bool {
		n++
		unwritten = w.write(&e)
		return unwritten == nil
	})
	progress.Done()
	if unwritten != nil {
		return unwritten
	}
	if n > 0 || opts.json {
		if ferr := w.flush(); ferr != nil {
			return ferr
		}
	}
	if w.imported > 0 {
		p.note("%s", lowerTrust(w.imported))
	}
	switch {
	case err != nil && done.Entries > 0:
		p.note("%s found in the %s up to entry %d; --after %d goes on", terminal.Plural(n, "entry", "entries"), terminal.Plural(done.Entries, "entry", "entries"), done.Last, done.Last)
	case err != nil:
	case n == 0:
		p.nothing(t, opts.describe())
	case !done.Done && !opts.json:
		p.note("%s shown; there may be more: --after %d goes on, --limit 0 shows all", terminal.Plural(n, "entry", "entries"), done.Last)
	}
	return interrupted(ctx, err)
}

// searchedPart returns how many of the indices that a query is about a search has left
// behind, and how many there are.
func searchedPart(q *custody.Query, last, size uint64) (done, total uint64) {
	to := size
	if q.To > 0 {
		to = min(to, q.To)
	}
	switch {
	case last < q.From || last >= to: // recorded since
		return 0, 0
	case q.Newest:
		return to - last, to - q.From
	}
	return last + 1 - q.From, to - q.From
}

// describe says in words what was asked for.
func (o *queryOptions) describe() string {
	var parts []string
	if asked := o.filter.describe(); asked != "" {
		parts = append(parts, asked)
	}
	if o.text != "" {
		parts = append(parts, "text "+o.text)
	}
	for _, field := range o.fields.given {
		parts = append(parts, "field "+field)
	}
	return strings.Join(parts, ", ")
}
