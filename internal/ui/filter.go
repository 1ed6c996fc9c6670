package ui

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/textsearch"
)

// filter is which events are asked for, as the parameters of a page say it.
type filter struct {
	values url.Values // only parameters that have a value
	query  custody.Query
	words  textsearch.Words  // that events have to say beside
	fields map[string]string // values that they have to have beside, by JSON Pointer
}

// maxParameter bounds the value of a parameter, in bytes.
const maxParameter = 4096

// filterNames are the parameters of a filter: those of the API, the words and values that
// are searched for, and the columns of the table, which stay with the filter.
var filterNames = slices.Concat([]string{"event_type", "agent_id", "action_id", "session_id", "project_id", "user_id", "decision", "correlation_id", "since", "until",
	"occurred_since", "occurred_until", "from_index", "to_index", "text", "field", "columns"}, memberNames)

// memberNames are the parameters that are the value of the member of events that has the
// same name. There is no index of them: they are looked for as words are.
var memberNames = []string{"severity", "outcome", "decision_source", "source", "principal", "trace_id", "parent_id"}

// memberValues are the values that some members can have.
var memberValues = map[string][]string{"severity": valueNames(event.Severities()), "outcome": valueNames(event.Outcomes()), "decision_source": valueNames(event.DecisionSources())}

// badParameter says which parameter of a page is wrong, and how.
func badParameter(name, format string, args ...any) error {
	return &problem{http.StatusBadRequest, "The address does not make sense", fmt.Sprintf("Parameter %q: ", name) + fmt.Sprintf(format, args...)}
}

// parameters reads the parameters of a request. Those that are empty, as a form sends
// them, are left out; one that the page does not know is an error, since whoever
// misspells a filter must not take everything for what is left.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &problem{http.StatusBadRequest, "The address does not make sense", "Its parameters cannot be read: " + err.Error() + "."}
	}
	return checked(given, lists, known...)
}

// lists are the parameters that may be given several times, which is the same as all
// their values in one, separated by commas.
var lists = []string{"columns", "event_type"}

// checked returns the parameters that have a value, if all are known.
func checked(given url.Values, lists []string, known ...string) (url.Values, error) {
	values := url.Values{}
	for name, list := range given {
		text := strings.Join(slices.DeleteFunc(slices.Clone(list), func(one string) bool { return one == "" }), ",")
		switch {
		case !slices.Contains(known, name):
			return nil, badParameter(name, "this page has none of that name. It has %s.", strings.Join(known, ", "))
		case len(list) > 1 && !slices.Contains(lists, name):
			return nil, badParameter(name, "it is given %d times.", len(list))
		case len(text) > maxParameter:
			return nil, badParameter(name, "it has %d bytes, more than %d.", len(text), maxParameter)
		case !utf8.ValidString(text):
			return nil, badParameter(name, "it is not UTF-8.")
		}
		if v := strings.TrimSpace(text); v != "" {
			values.Set(name, v)
		}
	}
	return values, nil
}

// filter takes the filter out of the parameters of a request. Whoever may not read
// payloads may not ask what they say either.
func (v *view) filter(all url.Values) (filter, error) {
	f, err := v.filterOf(all)
	if err != nil {
		return f, err
	}
	for name := range f.inside() {
		if !v.payloads {
			return f, &problem{http.StatusForbidden, "You may not ask that", fmt.Sprintf("Parameter %q: it is about what events say, which you may not read. That takes the permission %s. Filter by type and time.", name, auth.ReadPayloads)}
		}
	}
	return f, nil
}

// filterOf takes the filter out of the parameters of a request, whoever sent it.
func (v *view) filterOf(all url.Values) (filter, error) {
	f := filter{values: url.Values{}}
	for _, name := range filterNames {
		if all.Has(name) {
			f.values.Set(name, all.Get(name))
		}
	}
	get := f.values.Get
	q := &f.query
	q.AgentID, q.ActionID, q.SessionID, q.ProjectID = get("agent_id"), get("action_id"), get("session_id"), get("project_id")
	q.UserID, q.CorrelationID = get("user_id"), get("correlation_id")
	for typ := range strings.SplitSeq(get("event_type"), ",") {
		if typ = strings.TrimSpace(typ); typ == "" {
			continue
		} else if !event.ValidType(typ) {
			return f, badParameter("event_type", "no type of event can be called %q. Give one or several, separated by commas, such as action_denied.", typ)
		}
		q.Types = append(q.Types, event.Type(typ))
	}
	var err error
	if f.words, err = textsearch.Parse(get("text")); err != nil {
		return f, badParameter("text", "%v.", err)
	}
	if text := get("decision"); text != "" {
		if q.Decision = event.Decision(text); !q.Decision.Valid() {
			return f, badParameter("decision", "%q is none of %s.", text, strings.Join(decisions(), ", "))
		}
	}
	for name, to := range map[string]*time.Time{"since": &q.Since, "until": &q.Until, "occurred_since": &q.OccurredSince, "occurred_until": &q.OccurredUntil} {
		if *to, err = parseTime(get(name), v.now); err != nil {
			return f, badParameter(name, "%v.", err)
		}
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return f, badParameter("until", "it is not after the time in %q, so nothing can match.", "since")
	}
	if !q.OccurredSince.IsZero() && !q.OccurredUntil.IsZero() && !q.OccurredSince.Before(q.OccurredUntil) {
		return f, badParameter("occurred_until", "it is not after the time in %q, so nothing can match.", "occurred_since")
	}
	for name, to := range map[string]*uint64{"from_index": &q.From, "to_index": &q.To} {
		if *to, _, err = parseIndex(f.values, name); err != nil {
			return f, err
		}
	}
	if q.To > 0 && q.From >= q.To {
		return f, badParameter("to_index", "it is not above the index in %q, so nothing can match.", "from_index")
	}
	return f, f.parseFields()
}

// parseFields reads the values that events have to have.
func (f *filter) parseFields() error {
	var given []string
	if text := f.values.Get("field"); text != "" {
		given = []string{text}
	}
	var err error
	if f.fields, err = textsearch.Fields(given); err != nil {
		return badParameter("field", "%v.", err)
	}
	for _, name := range memberNames {
		value := f.values.Get(name)
		if value == "" {
			continue
		}
		if known := memberValues[name]; known != nil && !slices.Contains(known, value) {
			return badParameter(name, "%q is none of %s.", value, strings.Join(known, ", "))
		}
		if f.fields == nil {
			f.fields = map[string]string{}
		}
		if other, twice := f.fields["/"+name]; twice && other != value {
			return badParameter("field", "%q asks for another value.", name)
		}
		f.fields["/"+name] = value
	}
	return nil
}

// search returns what the library looks for.
func (f *filter) search() custody.Search {
	return custody.Search{Query: f.query, Text: f.values.Get("text"), Fields: f.fields}
}

// reads reports whether what the filter asks for is in no index, so that the events have
// to be read that the rest of it finds.
func (f *filter) reads() bool {
	return len(f.words) > 0 || len(f.fields) > 0 || !f.query.OccurredSince.IsZero() || !f.query.OccurredUntil.IsZero()
}

// narrow reports whether more is asked for than types and times of recording.
func (f *filter) narrow() bool {
	return len(without(f.values, "event_type", "since", "until", "columns")) > 0
}

// typeNames returns the types of events that are registered.
func typeNames() []string {
	var names []string
	for _, spec := range event.Types() {
		names = append(names, string(spec.Type))
	}
	return names
}

func decisions() []string { return valueNames(event.Decisions()) }

func valueNames(docs []event.ValueDoc) []string {
	var names []string
	for _, d := range docs {
		names = append(names, d.Value)
	}
	return names
}

// timeForms are the forms of a time that are read: RFC 3339 and what the fields of a
// form send, which is UTC.
var timeForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", time.DateOnly}

// agoUnits are the units of how long ago something was.
var agoUnits = map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}

// parseTime reads a time, or how long ago it was, such as 24h. Empty is the zero time.
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, form := range timeForms {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), nil
		}
	}
	if unit, ok := agoUnits[text[len(text)-1]]; ok {
		n, err := strconv.ParseUint(text[:len(text)-1], 10, 16)
		if err == nil {
			return now.UTC().Add(-time.Duration(n) * unit), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.80q is no time; give one in UTC, such as 2026-01-31 or 2026-01-31T15:04, or how long ago, such as 24h or 7d", text)
}

// parseIndex reads an index from a parameter; it reports false when there is none.
func parseIndex(values url.Values, name string) (uint64, bool, error) {
	text := values.Get(name)
	if text == "" {
		return 0, false, nil
	}
	n, err := strconv.ParseUint(text, 10, 53)
	if err != nil {
		return 0, false, badParameter(name, "%.40q is not the index of an entry.", text)
	}
	return n, true, nil
}

// without returns the values but some of them.
func without(values url.Values, names ...string) url.Values {
	left := url.Values{}
	for name, list := range values {
		if !slices.Contains(names, name) {
			left[name] = list
		}
	}
	return left
}

// and returns the query of a filter with further names and values, encoded.
func (f *filter) and(parameters ...string) template.URL {
	q := without(f.values)
	for i := 0; i+1 < len(parameters); i += 2 {
		q.Set(parameters[i], parameters[i+1])
	}
	return template.URL(q.Encode())
}

// outside are the parameters of a filter that are about entries, and not about what
// their payloads say.
var outside = []string{"event_type", "since", "until", "from_index", "to_index", "columns"}

// inside returns the parameters that are about what payloads say.
func (f *filter) inside() url.Values { return without(f.values, outside...) }

// stream returns the query with which the API streams what may match: it does not look
// for words and values.
func (f *filter) stream(from uint64) string {
	q := without(f.inside(), append([]string{"text", "field"}, memberNames...)...)
	for _, t := range f.query.Types {
		q.Add("event_type", string(t))
	}
	for name, t := range map[string]time.Time{"since": f.query.Since, "occurred_since": f.query.OccurredSince, "occurred_until": f.query.OccurredUntil} {
		if !t.IsZero() {
			q.Set(name, t.Format(time.RFC3339Nano))
		}
	}
	q.Set("from_index", strconv.FormatUint(max(from, f.query.From), 10))
	return q.Encode()
}
