package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// moment is a time as the server writes it; empty: the zero time.
type moment struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(b []byte) (err error) {
	if len(b) > 0 {
		m.Time, err = evidence.ParseTime(b)
	}
	return err
}

// entryJSON is an entry as the server gives it with bytes=true.
type entryJSON struct {
	Index    uint64          `json:"index"`
	Time     moment          `json:"time"`
	Hash     evidence.Hash   `json:"hash"`
	Type     event.Type      `json:"type"`
	Event    json.RawMessage `json:"event"`
	Withheld bool            `json:"withheld"`
	Bytes    string          `json:"entry"`
	Salt     []byte          `json:"salt"`
}

// entry checks an entry and returns it as the library does.
func (t *Trail) entry(j *entryJSON) (custody.Entry, error) {
	e := custody.Entry{Index: j.Index, Hash: j.Hash, Time: j.Time.Time, Type: j.Type, Envelope: []byte(j.Bytes)}
	disclosed := evidence.Disclosed{Entry: e.Envelope}
	if len(j.Event) > 0 && string(j.Event) != "null" {
		e.Payload, e.Salt = j.Event, j.Salt
		disclosed.Payload, disclosed.Salt = e.Payload, e.Salt
	}
	said, err := disclosed.Open()
	switch {
	case err != nil:
		return e, altered("entry %d: %w", j.Index, err)
	case evidence.LeafHash(e.Envelope) != j.Hash:
		return e, altered("entry %d does not have the hash that is given", j.Index)
	case said.Index != j.Index || !said.Time.Equal(e.Time) || said.Type != string(j.Type):
		return e, altered("entry %d is given with another index, time or type than its bytes say", j.Index)
	}
	if j.Withheld {
		t.withheld.Store(true)
	}
	t.sized(j.Index + 1)
	return e, nil
}

// one asks for one entry.
func (t *Trail) one(ctx context.Context, parts ...string) (custody.Entry, error) {
	var j entryJSON
	r := request{method: http.MethodGet, path: t.path(parts...), query: url.Values{"bytes": {"true"}}}
	if err := t.conn.json(ctx, r, &j); err != nil {
		return custody.Entry{}, err
	}
	return t.entry(&j)
}

// Entry returns the entry at an index, as custody.Trail.Entry does.
func (t *Trail) Entry(ctx context.Context, index uint64) (custody.Entry, error) {
	e, err := t.one(ctx, "events", strconv.FormatUint(index, 10))
	if err == nil && e.Index != index {
		err = altered("it is entry %d, and %d was asked for", e.Index, index)
	}
	return e, err
}

// EntryByID returns the entry of the event with that id, as custody.Trail.EntryByID
// does.
func (t *Trail) EntryByID(ctx context.Context, id string) (custody.Entry, error) {
	e, err := t.one(ctx, "ids", id)
	if err != nil {
		return e, err
	}
	ev, err := e.Event()
	if err == nil && ev.ID != id {
		err = altered("entry %d is of event %q, and %q was asked for", e.Index, ev.ID, id)
	}
	return e, err
}

// filterOf returns the parameters of an address that a query is written in.
func filterOf(q *custody.Query) (url.Values, error) {
	members, err := q.Members()
	if err != nil {
		return nil, err
	}
	values := url.Values{}
	for name, v := range members {
		switch v := v.(type) {
		case string:
			values.Set(name, v)
		case []string:
			values[name] = v
		case uint64:
			values.Set(name, strconv.FormatUint(v, 10))
		}
	}
	return values, nil
}

// maxPage is how many entries the server puts on a page.
const maxPage = 1000

// Entries yields the entries that match, as custody.Trail.Entries does. They are
// fetched page by page, and show the trail as it was when the first page was made.
func (t *Trail) Entries(ctx context.Context, q custody.Query) iter.Seq2[custody.Entry, error] {
	return t.entries(ctx, q, "")
}

// Export is Entries for somebody who makes a file of them, of a format that is "ndjson" or
// "csv": the server records that, once.
func (t *Trail) Export(ctx context.Context, q custody.Query, format string) iter.Seq2[custody.Entry, error] {
	return t.entries(ctx, q, format)
}

func (t *Trail) entries(ctx context.Context, q custody.Query, export string) iter.Seq2[custody.Entry, error] {
	return func(yield func(custody.Entry, error) bool) {
		l, err := t.list(&q)
		if err != nil {
			return // the bounds leave nothing
		}
		if export != "" {
			l.values.Set("export", export)
		}
		for first := true; first || l.more(); first = false {
			entries, err := l.page(ctx)
			for i := range entries {
				if !yield(entries[i], nil) {
					return
				}
			}
			if err != nil {
				yield(custody.Entry{}, err)
				return
			}
		}
	}
}

// list is a list of entries that is fetched page by page.
type list struct {
	t      *Trail
	values url.Values
	order  inOrder
	limit  int    // of the list; 0: none
	left   int    // of it
	next   string // cursor of the next page; empty: there is none

	search searched // of the page before
}

// searched is how far a page looked for words.
type searched struct {
	Entries  uint64 `json:"entries"`
	Last     uint64 `json:"last"`
	LastTime moment `json:"last_time"`
}

// list begins a list. It fails where the bounds of the query leave nothing.
func (t *Trail) list(q *custody.Query) (*list, error) {
	values, err := filterOf(q)
	if err != nil {
		return nil, err
	}
	values.Set("bytes", "true")
	if q.Newest {
		values.Set("newest", "true")
	}
	return &list{t: t, values: values, order: inOrder{newest: q.Newest}, limit: q.Limit, left: q.Limit}, nil
}

// more reports whether behind the page that was fetched last there is one that is wanted.
func (l *list) more() bool { return l.next != "" && (l.limit == 0 || l.left > 0) }

// page fetches the next page. With an error it returns what stands on it before that.
func (l *list) page(ctx context.Context) ([]custody.Entry, error) {
	var page struct {
		Entries []entryJSON `json:"entries"`
		Next    string      `json:"next"`
		Size    uint64      `json:"size"`
		Search  searched    `json:"search"`
	}
	size := maxPage
	if l.limit > 0 {
		size = min(size, l.left)
	}
	l.values.Set("limit", strconv.Itoa(size))
	if l.next != "" {
		l.values.Set("cursor", l.next)
	}
	if err := l.t.conn.json(ctx, request{method: http.MethodGet, path: l.t.path("events"), query: l.values}, &page); err != nil {
		return nil, err
	}
	l.t.sized(page.Size)
	entries := make([]custody.Entry, 0, len(page.Entries))
	for i := range page.Entries {
		e, err := l.t.entry(&page.Entries[i])
		if err == nil {
			err = l.order.next(e.Index)
		}
		if err != nil {
			return entries, err
		}
		entries = append(entries, e)
	}
	l.left -= len(entries)
	l.next, l.search = page.Next, page.Search
	return entries, nil
}

// inOrder checks that no index is given twice or out of order.
type inOrder struct {
	newest bool
	any    bool
	last   uint64
}

func (o *inOrder) next(index uint64) error {
	if o.any && (index == o.last || index < o.last != o.newest) {
		return altered("entry %d comes behind entry %d", index, o.last)
	}
	o.any, o.last = true, index
	return nil
}

// ActionHistory yields what an agent asked for and did, as custody.Trail.ActionHistory
// does.
func (t *Trail) ActionHistory(ctx context.Context, agentID string, limit int) iter.Seq2[custody.Entry, error] {
	return t.Entries(ctx, custody.HistoryOf(agentID, limit))
}
