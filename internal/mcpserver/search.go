package mcpserver

import (
	"context"
	"iter"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/textsearch"
)

// search yields the entries of a query that say some words, as far as these are looked
// for in one call, and notes how far that is.
func (r *reader) search(ctx context.Context, q custody.Query, text string, done *custody.Searched) iter.Seq2[custody.Entry, error] {
	return func(yield func(custody.Entry, error) bool) {
		s := custody.Search{Query: q, Text: text, MaxEntries: textsearch.MaxEntries, MaxTime: textsearch.MaxTime}
		more := true
		var err error
		*done, err = r.Trail.Search(ctx, s, func(e custody.Entry) bool {
			more = yield(e, nil)
			return more
		})
		if err != nil && more {
			yield(custody.Entry{}, err)
		}
	}
}
