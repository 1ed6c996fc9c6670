package ui

import (
	"cmp"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/textsearch"
	"github.com/custodylog/custody/internal/timeline"
)

// pageSize is how many events a page shows.
const pageSize = 100

// eventsPage is the table of events.
type eventsPage struct {
	Trail     string
	Filter    filterForm
	Histogram *histogram
	Rows      []row
	Empty     string // why there are none
	Hidden    bool   // the payloads may not be shown

	Older, Newer template.URL // queries of the pages beside this one; empty: there is none
	Query        template.URL // of the filter alone
	Search       *search      // how far words were looked for; nil: as far as was needed
	Next         uint64       // index of the first entry that the first page does not have yet
	Stream       string       // query of what comes from there on; empty: nothing that comes belongs to this page
}

// search is how far it was looked for words before that had taken too long.
type search struct {
	custody.Searched
	On template.URL // query that goes on from there
}

// searchBudget bounds how far a page looks for words.
var searchBudget = custody.Search{MaxEntries: textsearch.MaxEntries, MaxTime: textsearch.MaxTime}

// filterForm is what the fields of the filter hold.
type filterForm struct {
	Values       url.Values
	Since, Until string // as a field for a time takes them
	Types        []string
	Decisions    []string
	Ranges       []quickRange
	Columns      []column
}

// column is a column of the table that can be left out.
type column struct {
	Name  string // in the address
	Title string
	Shown bool
}

// tableColumns are those that can be left out. Shown is what holds unless somebody chooses.
var tableColumns = []column{{"time", "Time", true}, {"agent", "Agent", true}, {"action", "Action", true}, {"session", "Session", true}, {"user", "User", false}, {"result", "Result", true}}

// columns returns the columns as the filter has them.
func (f *filter) columns() []column {
	chosen := list(f.values.Get("columns"))
	all := slices.Clone(tableColumns)
	for i := range all {
		if len(chosen) > 0 {
			all[i].Shown = slices.Contains(chosen, all[i].Name)
		}
	}
	return all
}

// Hides are the classes of a table that leaves columns out.
func (f *filterForm) Hides() string {
	var classes []string
	for _, c := range f.Columns {
		if !c.Shown {
			classes = append(classes, "no-"+c.Name)
		}
	}
	return strings.Join(classes, " ")
}

// quickRange is a link to the same filter with another time.
type quickRange struct {
	Name    string
	Query   template.URL
	Current bool
}

// row is one event of the table.
type row struct {
	timeline.Step
	Trail  string
	Hidden bool // its payload may not be shown
}

// Result returns what happened, or else what was decided.
func (r *row) Result() string {
	if r.Outcome != "" {
		return string(r.Outcome)
	}
	return string(r.Decision)
}

func (v *view) events(q custody.Query) ([]row, error) {
	var rows []row
	for e, err := range v.trail.Entries(v.ctx, q) {
		if err != nil {
			return nil, err
		}
		r, err := v.row(&e)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// find returns the rows of a query that say the words of a filter, limit at most. Words
// are looked for as far as the budget goes.
func (v *view) find(q custody.Query, f *filter, limit int, s custody.Search) (rows []row, p custody.Searched, err error) {
	q.Limit = limit
	if len(f.words) == 0 {
		rows, err = v.events(q)
		return rows, custody.Searched{Done: len(rows) < limit}, err
	}
	var wrong error
	s.Query, s.Text = q, f.values.Get("text")
	p, err = v.trail.Search(v.ctx, s, func(e custody.Entry) bool {
		r, err := v.row(&e)
		rows, wrong = append(rows, r), err
		return err == nil
	})
	return rows, p, cmp.Or(err, wrong)
}

func (v *view) row(e *custody.Entry) (row, error) {
	hidden := !v.payloads && e.Payload != nil
	v.entry(e)
	s, err := timeline.StepOf(e)
	if s.Severity == "" {
		s.Severity = severityOf(s.Type)
	}
	return row{Step: s, Trail: v.name, Hidden: hidden}, err
}

func (u *ui) events(w http.ResponseWriter, v *view) error {
	values, err := parameters(v.r, append(slices.Clone(filterNames), "before", "after")...)
	if err != nil {
		return err
	}
	f, err := v.filter(values)
	if err != nil {
		return err
	}
	size := v.trail.Size() // what comes from now on is for the live tail
	p := &eventsPage{Trail: v.name, Filter: v.form(&f), Query: f.and(), Next: size, Hidden: !v.payloads}
	if err := v.fill(p, &f, values, size); err != nil {
		return err
	}
	if p.Newer == "" && f.query.Until.IsZero() {
		p.Stream = f.stream(size)
	}
	if p.Histogram, err = v.histogram(&f); err != nil {
		return err
	}
	switch {
	case len(p.Rows) > 0:
	case size == 0:
		p.Empty = "Nothing is recorded in this trail yet. Events appear here as soon as they are."
	case p.Search != nil:
		p.Empty = "No event says that among those that were looked through so far."
	default:
		p.Empty = "No event matches. Widen the time or take a filter away."
	}
	return u.show(w, v, "events.html", layout{Title: "Events", Section: "events", Script: "events.js"}, p)
}

// fill reads the events of a page, the newest first, and finds out whether there are
// pages beside it.
func (v *view) fill(p *eventsPage, f *filter, values url.Values, size uint64) error {
	before, hasBefore, err := parseIndex(values, "before")
	if err != nil {
		return err
	}
	after, hasAfter, err := parseIndex(values, "after")
	if err != nil {
		return err
	}
	q := f.query
	q.To, q.Newest = size, true
	switch {
	case hasBefore && hasAfter:
		return badParameter("after", "it cannot be given together with %q.", "before")
	case size == 0:
		return nil
	case hasAfter:
		q.Newest = false
		q = q.After(after)
	case hasBefore && before < size:
		q = q.After(before)
	}
	var looked custody.Searched
	if p.Rows, looked, err = v.find(q, f, pageSize+1, searchBudget); err != nil { // one more shows that there are more
		return err
	}
	more := len(p.Rows) > pageSize
	if !more && !looked.Done {
		p.Search = &search{looked, f.and("before", strconv.FormatUint(looked.Last, 10))}
		if hasAfter {
			p.Search.On = f.and("after", strconv.FormatUint(looked.Last, 10))
		}
	}
	p.Rows = p.Rows[:min(pageSize, len(p.Rows))]
	if !q.Newest {
		slices.Reverse(p.Rows)
	}
	if len(p.Rows) == 0 {
		return nil
	}
	newest, oldest := p.Rows[0].Index, p.Rows[len(p.Rows)-1].Index
	if hasAfter || more {
		p.Older = f.and("before", strconv.FormatUint(oldest, 10))
	}
	if hasBefore || hasAfter && more {
		p.Newer = f.and("after", strconv.FormatUint(newest, 10))
	}
	return nil
}

// form fills the fields of the filter.
func (v *view) form(f *filter) filterForm {
	return filterForm{Values: f.values, Types: typeNames(), Decisions: decisions(), Since: fieldTime(f.query.Since), Until: fieldTime(f.query.Until), Ranges: f.ranges(), Columns: f.columns()}
}

// ranges returns the filter with other times.
func (f *filter) ranges() []quickRange {
	rest := filter{values: without(f.values, "since", "until")}
	var ranges []quickRange
	for _, r := range [][2]string{{"Last hour", "1h"}, {"24 hours", "24h"}, {"7 days", "7d"}, {"30 days", "30d"}} {
		ranges = append(ranges, quickRange{r[0], rest.and("since", r[1]), f.values.Get("since") == r[1] && !f.values.Has("until")})
	}
	return append(ranges, quickRange{"All", rest.and(), f.query.Since.IsZero() && f.query.Until.IsZero()})
}

// fieldTime writes a time as a field for one takes it, up to seconds.
func fieldTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05")
}

// rowsPage is rows that a live table has not got yet.
type rowsPage struct {
	Rows []row
	Next uint64 // where to go on
	More bool   // there are more already
}

// rows gives the rows of the table from an index on, the newest first.
func (u *ui) rows(w http.ResponseWriter, v *view) error {
	values, err := parameters(v.r, append(slices.Clone(filterNames), "from")...)
	if err != nil {
		return err
	}
	f, err := v.filter(values)
	if err != nil {
		return err
	}
	from, given, err := parseIndex(values, "from")
	if err != nil {
		return err
	}
	if !given {
		return badParameter("from", "it is missing.")
	}
	p := rowsPage{Next: max(from, v.trail.Size())}
	q := f.query
	q.From, q.To = from, p.Next
	looked := custody.Searched{Done: true}
	if from < p.Next {
		if p.Rows, looked, err = v.find(q, &f, pageSize, searchBudget); err != nil {
			return err
		}
	}
	if !looked.Done {
		p.Next = looked.Last + 1
		if len(p.Rows) == pageSize {
			p.Next = p.Rows[pageSize-1].Index + 1
		}
		p.More = p.Next < v.trail.Size()
	}
	slices.Reverse(p.Rows)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return templates["events.html"].ExecuteTemplate(w, "rows", p)
}
