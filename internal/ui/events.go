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
	"github.com/custodylog/custody/event"
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
	Kinds        []column // the same, to choose several of
	OtherTypes   string   // that are asked for, and are in no box that is checked
	Decisions    []string
	Members      []memberField

	OccurredSince, OccurredUntil string
	Ranges                       []quickRange
	Columns                      []column
}

// column is a column of the table that can be left out.
type column struct {
	Name  string // in the address
	Title string
	Shown bool
}

// tableColumns are those that can be left out. Shown is what holds unless somebody chooses.
var tableColumns = []column{{"time", "Time", true}, {"agent", "Agent", true}, {"action", "Action", true}, {"session", "Session", true}, {"user", "User", false}, {"result", "Result", true}}

// memberField is a field for the value of a member of events.
type memberField struct {
	Name, Title string
	Value       string
	Values      []string // that it can have; nil: any
}

// members returns the fields of the members that no index is of.
func (f *filter) members() []memberField {
	titles := map[string]string{"decision_source": "Decided by", "trace_id": "Trace", "parent_id": "Parent"}
	var all []memberField
	for _, name := range memberNames {
		title := titles[name]
		if title == "" {
			title = strings.ToUpper(name[:1]) + name[1:]
		}
		all = append(all, memberField{name, title, f.values.Get(name), memberValues[name]})
	}
	return all
}

// kinds returns the types of events as boxes to check, and what is asked for beside them:
// a single type stands in a field of its own.
func (f *filter) kinds() (boxes []column, rest string) {
	var others []string
	for _, t := range f.query.Types {
		if _, known := event.Lookup(t); !known || len(f.query.Types) == 1 {
			others = append(others, string(t))
		}
	}
	for _, name := range typeNames() {
		boxes = append(boxes, column{name, words(name), len(f.query.Types) > 1 && slices.Contains(f.query.Types, event.Type(name))})
	}
	return boxes, strings.Join(others, ",")
}

// Several reports whether boxes of types are checked.
func (f *filterForm) Several() bool {
	return slices.ContainsFunc(f.Kinds, func(c column) bool { return c.Shown })
}

// More reports whether one of the fields is filled in that are put away.
func (f *filterForm) More() bool {
	for _, name := range slices.Concat([]string{"project_id", "user_id", "correlation_id", "occurred_since", "occurred_until", "from_index", "to_index", "field"}, memberNames) {
		if f.Values.Has(name) {
			return true
		}
	}
	return false
}

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

// find returns the rows of a query that match the rest of a filter, limit at most. What no
// index is of is looked for as far as the budget goes.
func (v *view) find(q custody.Query, f *filter, limit int, s custody.Search) (rows []row, p custody.Searched, err error) {
	q.Limit = limit
	if !f.reads() {
		rows, err = v.events(q)
		return rows, custody.Searched{Done: len(rows) < limit}, err
	}
	var wrong error
	s.Query, s.Text, s.Fields = q, f.values.Get("text"), f.fields
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
	newest := p.Newer == "" && !values.Has("before") // so that what comes follows on what is shown
	if newest && f.query.Until.IsZero() && f.query.To == 0 {
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
		p.Empty = "No event matches among those that were looked through so far."
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
	q.Newest = true
	if q.To == 0 || q.To > size {
		q.To = size
	}
	switch {
	case hasBefore && hasAfter:
		return badParameter("after", "it cannot be given together with %q.", "before")
	case hasAfter:
		q.Newest, q.From = false, max(q.From, after+1)
	case hasBefore:
		if q.To = min(q.To, before); q.To > 0 {
			p.Newer = f.and("after", strconv.FormatUint(q.To-1, 10))
		}
	}
	if q.From >= q.To {
		return nil
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
			p.Newer = p.Search.On
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
	if hasAfter && more {
		p.Newer = f.and("after", strconv.FormatUint(newest, 10))
	}
	return nil
}

// form fills the fields of the filter.
func (v *view) form(f *filter) filterForm {
	kinds, others := f.kinds()
	return filterForm{Values: f.values, Types: typeNames(), Kinds: kinds, OtherTypes: others, Decisions: decisions(), Members: f.members(),
		Since: fieldTime(f.query.Since), Until: fieldTime(f.query.Until), OccurredSince: fieldTime(f.query.OccurredSince), OccurredUntil: fieldTime(f.query.OccurredUntil),
		Ranges: f.ranges(), Columns: f.columns()}
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
	q.From = max(from, q.From)
	if q.To == 0 || q.To > p.Next {
		q.To = p.Next
	}
	looked := custody.Searched{Done: true}
	if q.From < q.To {
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
