package custody

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/textsearch"
)

// Search is what [Trail.Search] looks for: of the entries that a query finds, those
// whose payload says some words and has some values.
type Search struct {
	// Query says among which entries, and in which order. Its Limit bounds how many
	// are found.
	Query Query

	// Text has the words, all of which have to be there, in any place and order and
	// whatever the case of their letters. White space parts them, but for what is in
	// double quotes. A payload says what is in its canonical JSON, names of members
	// included. Without a word everything is found.
	Text string

	// Fields are values that the payload has, by JSON Pointer, as in [Entry.HasFields].
	Fields map[string]string

	// MaxEntries and MaxTime bound how many entries are looked at, and how long that
	// takes. At least one is looked at. 0: no bound.
	MaxEntries uint64
	MaxTime    time.Duration

	// Progress, if it is not nil, is told every few entries how far the search is.
	Progress func(Searched)
}

// Searched is how far a search came. One that is not done goes on with the query
// Search.Query.After(Last).
type Searched struct {
	Entries uint64    // that were looked at
	Last    uint64    // index of the last of them, if there is any
	Time    time.Time // at which that was recorded
	Done    bool      // everything that was there when the search began was looked at
}

// searchedEach is after how many entries a search looks at the clock and tells how far
// it is.
const searchedEach = 16

// Search calls found with each entry that matches, until it returns false, the limit of
// the query or a bound is reached, or there are no more. There is no index of words and
// values, so every payload of what the query finds by its own index is read; one that is
// not held any more says nothing. Each entry is checked as [Trail.Entries] does, which
// ends the search at one that does not check out.
func (t *Trail) Search(ctx context.Context, s Search, found func(Entry) bool) (Searched, error) {
	words, err := textsearch.Parse(s.Text)
	if err != nil {
		return Searched{}, fmt.Errorf("text to search for: %w", err)
	}
	var (
		done  Searched
		began = time.Now()
		said  = words.Matcher()
		match = matcher{q: &s.Query, filters: s.Query.filters()}
		r     storage.Record
		n     = 0
	)
	for i, err := range t.store.Select(ctx, s.Query.selection()) {
		if done.Entries > 0 && done.Entries%searchedEach == 0 {
			if s.Progress != nil {
				s.Progress(done)
			}
			if s.MaxTime > 0 && time.Since(began) >= s.MaxTime {
				return done, nil
			}
		}
		if s.MaxEntries > 0 && done.Entries == s.MaxEntries {
			return done, nil
		}
		if err == nil {
			if err = t.store.Read(ctx, i, &r); errors.Is(err, storage.ErrPruned) {
				continue // since it was selected
			}
		}
		if err != nil {
			return done, t.closed(err)
		}
		done.Entries, done.Last, done.Time = done.Entries+1, i, r.Envelope.Time
		e := viewOf(&r)
		if len(words) > 0 && (e.Payload == nil || !said.Match(e.Payload)) {
			continue
		}
		ok, err := match.match(&e)
		if err == nil && ok {
			ok, err = e.HasFields(s.Fields)
		}
		if err != nil {
			return done, t.closed(err)
		}
		if !ok {
			continue
		}
		if n++; !found(e.clone()) || n == s.Query.Limit {
			return done, nil
		}
	}
	done.Done = true
	return done, nil
}
