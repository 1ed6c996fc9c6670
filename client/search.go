package client

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/custodylog/custody"
)

// Search looks for words and values, as custody.Trail.Search does; the token has to be one that may
// read payloads. The server looks through a part of the trail for each request.
// Progress is told, and the bounds are checked, between two of them, so more may be
// looked at than MaxEntries and for longer than MaxTime.
func (t *Trail) Search(ctx context.Context, s custody.Search, found func(custody.Entry) bool) (custody.Searched, error) {
	l, err := t.list(&s.Query)
	if err != nil {
		return custody.Searched{Done: true}, nil // the bounds leave nothing
	}
	l.values.Set("text", cmp.Or(s.Text, " ")) // where it is empty a list is no search
	for pointer, value := range s.Fields {
		if strings.Contains(pointer, "=") {
			return custody.Searched{}, fmt.Errorf("field %q: a server cannot be asked for a member whose name has a =", pointer)
		}
		l.values.Add("field", pointer+"="+value)
	}
	var done custody.Searched
	began, steps := time.Now(), inOrder{newest: s.Query.Newest}
	for {
		entries, err := l.page(ctx)
		for i := range entries {
			if !found(entries[i]) {
				done.Entries += l.search.Entries
				done.Last, done.Time = entries[i].Index, entries[i].Time
				return done, nil
			}
		}
		if err != nil {
			return done, err
		}
		if l.search.Entries > 0 {
			done.Entries += l.search.Entries
			done.Last, done.Time = l.search.Last, l.search.LastTime.Time
			if err := steps.next(done.Last); err != nil {
				return done, err
			}
		} else if l.next != "" {
			return done, altered("a page for which nothing was looked at leads on to another one")
		}
		if done.Done = l.next == ""; done.Done || !l.more() {
			return done, nil
		}
		if s.Progress != nil {
			s.Progress(done)
		}
		if s.MaxEntries > 0 && done.Entries >= s.MaxEntries || s.MaxTime > 0 && time.Since(began) >= s.MaxTime {
			return done, nil
		}
	}
}
