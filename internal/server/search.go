package server

import (
	"context"
	"net/http"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/textsearch"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/wire"
)

// WithText looks for words and values beside a filter.
type WithText struct {
	Text   string   `query:"text" maxLength:"1024" doc:"Words that payloads say, all of them, in any order and whatever their case; what is in double quotes is one word. Every payload that the filter finds is read, so a page ends when a request has looked through as many as it may: search says how far that was, and next goes on there"`
	Fields []string `query:"field,explode" maxItems:"16" doc:"Values that payloads have, each as POINTER=VALUE with a JSON Pointer (RFC 6901), such as /severity=critical; one that is no string is compared as JSON. Looked for as text is"`
}

// given reports whether anything is looked for.
func (in *WithText) given() bool { return in.Text != "" || len(in.Fields) > 0 }

// fields returns the values that payloads have to have.
func (in *WithText) fields() (map[string]string, error) {
	fields, err := textsearch.Fields(in.Fields)
	if err != nil {
		return nil, invalid("query.field", "%s", err)
	}
	return fields, nil
}

// maySearch refuses to look into payloads for somebody who may not read them: whoever could
// ask for words would come to know what is written by asking often enough.
func (in *WithText) maySearch(p *auth.Principal, trail string) error {
	if !in.given() || p.May(auth.ReadPayloads, trail) {
		return nil
	}
	return newProblem(http.StatusForbidden, "forbidden", "%s may not read payloads on trail %q, so may not look for words in them; leave text and field out, and filter by type, time of recording and index", p.Name, trail)
}

// WithoutText refuses words where nothing looks for them.
type WithoutText struct {
	Text   string   `query:"text" hidden:"true"`
	Fields []string `query:"field,explode" hidden:"true"`
}

func (in *WithoutText) check(what string) error {
	if in.Text == "" && len(in.Fields) == 0 {
		return nil
	}
	field := "query.text"
	if in.Text == "" {
		field = "query.field"
	}
	return invalid(field, "%s cannot be chosen by words or fields; GET /v1/trails/{trail}/events looks for them", what)
}

// searched is how far the words and values were looked for.
type searched struct {
	Entries  uint64 `json:"entries" doc:"Entries that were looked through for this page"`
	Last     uint64 `json:"last" doc:"Index of the last of them; 0 where there were none"`
	LastTime string `json:"last_time,omitempty" doc:"When that was recorded; left out where there were none"`
	Stopped  bool   `json:"stopped,omitempty" doc:"The page ended since a request may look through no more, not since it is full: next goes on behind last"`
}

// searchPage is page for a list with words or values.
func (s *Server) searchPage(ctx context.Context, t *trails.Trail, q custody.Query, c cursor, in *listInput) (page, error) {
	p := page{Entries: []entry{}, Size: c.size, Search: &searched{}}
	if q.From >= q.To {
		return s.lastPage(p, q), nil
	}
	fields, err := in.fields()
	if err != nil {
		return p, err
	}
	reader, bytes := s.readerOf(ctx, t.Name, in.WithBytes), 0
	q.Limit = in.Limit
	search := custody.Search{Query: q, Text: in.Text, Fields: fields, MaxEntries: uint64(s.limits.Searched), MaxTime: min(textsearch.MaxTime, s.limits.Request/2)}
	full := false
	done, err := t.Search(ctx, search, func(e custody.Entry) bool {
		p.Entries = append(p.Entries, reader.entry(&e))
		bytes += len(e.Payload)
		full = len(p.Entries) == in.Limit || bytes > maxPageBytes
		return !full
	})
	if err != nil {
		return p, err
	}
	*p.Search = searched{Entries: done.Entries, Last: done.Last, Stopped: !done.Done && !full}
	if done.Entries > 0 {
		p.Search.LastTime = wire.Time(done.Time)
	}
	if done.Done {
		return s.lastPage(p, q), nil
	}
	c.index = done.Last
	p.Next = c.String()
	return p, nil
}
