package ui

import (
	"encoding/csv"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
)

func TestEvents(t *testing.T) {
	trail := newTrail(t, story()...)
	h := handler(set{"default": trail, "other": trail}, allowed)
	body := mustGet(t, h, "/trails/default/events")
	contains(t, body, "planner", "worker", "action denied", `href="/trails/default/events/7"`, "outside of the project", "emergency stop",
		`href="/trails/other"`, `aria-current="page">Events`, "One bar is 1 minute", `<rect class="critical"`, `data-from="14"`)
	if first, last := strings.Index(body, `data-index="13"`), strings.Index(body, `data-index="0"`); first < 0 || last < first {
		t.Error("the newest event is not above the oldest")
	}
	for name, wants := range map[string][]string{
		"event_type=action_denied,action_failed":      {"11", "8"},
		"agent_id=planner&event_type=action_executed": {"5"},
		"session_id=session-1&action_id=a-2":          {"8", "7"},
		"decision=deny":                               {"8"},
		"user_id=operator@example.com":                {"4"},
		"since=2000-01-01&until=2000-01-02":           nil,
		"since=1h&decision=allow":                     {"4"},
		"project_id=none":                             nil,
		"correlation_id=none":                         nil,
	} {
		body := mustGet(t, h, "/trails/default/events?"+name)
		if got := indices(body); fmt.Sprint(got) != fmt.Sprint(wants) {
			t.Errorf("%s: events %v, want %v", name, got, wants)
		}
		if wants == nil {
			contains(t, body, "No event matches.")
		}
	}
}

// indices returns the indices of the rows of a page.
func indices(body string) []string {
	var found []string
	for _, part := range strings.Split(body, `data-index="`)[1:] {
		index, _, _ := strings.Cut(part, `"`)
		found = append(found, index)
	}
	return found
}

// TestPaging goes through all events by the links of the pages, while others come.
func TestPaging(t *testing.T) {
	trail := newTrail(t)
	var events []event.Event
	for i := range 2*pageSize + 20 {
		events = append(events, event.Event{Type: event.MessageSent, AgentID: fmt.Sprint(i % 2)})
	}
	record(t, trail, events...)
	h := handler(set{"default": trail}, allowed)
	for _, filter := range []string{"", "agent_id=1"} {
		q := custody.Query{}
		if filter != "" {
			q.AgentID = "1"
		}
		want := map[string]bool{}
		for e := range trail.Entries(t.Context(), q) {
			want[fmt.Sprint(e.Index)] = true
		}
		seen := map[string]bool{}
		path := "/trails/default/events?" + filter
		var back string
		for n := 0; path != ""; n++ {
			if n > 5 {
				t.Fatal("the way does not end")
			}
			body := mustGet(t, h, path)
			for _, i := range indices(body) {
				if seen[i] {
					t.Errorf("event %s is shown twice", i)
				}
				seen[i] = true
			}
			record(t, trail, event.Event{Type: event.MessageSent, AgentID: "1"})
			back, path = link(body, "prev"), link(body, "next")
		}
		if !maps.Equal(seen, want) {
			t.Errorf("%q: %d events are shown, and are not the %d that were there", filter, len(seen), len(want))
		}
		for n := 0; back != ""; n++ {
			if n > 5 {
				t.Fatal("the way back does not end")
			}
			back = link(mustGet(t, h, back), "prev")
		}
	}
}

// link returns the address of a link to another page, or nothing.
func link(body, rel string) string {
	head, _, ok := strings.Cut(body, `" rel="`+rel+`"`)
	if !ok {
		return ""
	}
	return "/trails/default/events" + html.UnescapeString(head[strings.LastIndex(head, `"`)+1:])
}

func TestHostileEvents(t *testing.T) {
	trail := newTrail(t, hostileEvent())
	h := handler(set{"default": trail}, allowed)
	q := url.Values{}
	for _, name := range []string{"agent_id", "action_id", "session_id", "project_id", "user_id", "correlation_id"} {
		q.Set(name, hostile)
	}
	for _, path := range []string{"/trails/default/events", "/trails/default/events?" + q.Encode(), "/trails/default/events/rows?from=0"} {
		body := mustGet(t, h, path)
		lacks(t, body, "<script>", "<img")
		if got := indices(body); got[0] != "1" {
			t.Errorf("%s: events %v", path, got)
		}
	}
}

func TestEmptyTrail(t *testing.T) {
	body := mustGet(t, handler(set{"default": newTrail(t)}, allowed), "/trails/default/events?agent_id=nobody")
	contains(t, body, "No event matches.")
	contains(t, mustGet(t, handler(set{"default": newTrail(t)}, allowed), "/trails/default/events"), "log opened")
}

func TestBadRequests(t *testing.T) {
	h := handler(set{"default": newTrail(t)}, allowed)
	for _, tt := range []struct {
		query string
		name  string // of the parameter that the page has to tell of
	}{
		{"event_type=UPPER", "event_type"}, {"decision=maybe", "decision"}, {"since=yesterday", "since"}, {"until=1x", "until"},
		{"until=99999999999h", "until"}, {"since=2026-01-02&until=2026-01-01", "until"}, {"before=-1", "before"}, {"after=x", "after"},
		{"before=18446744073709551615", "before"}, {"before=1&after=1", "after"}, {"agent=a", "agent"}, {"agent_id=a&agent_id=b", "agent_id"},
		{"user_id=%ff", "user_id"}, {"action_id=" + strings.Repeat("a", maxParameter+1), "action_id"},
		{url.QueryEscape("<script>") + "=1", "<script>"},
	} {
		status, body := get(t, h, "/trails/default/events?"+tt.query)
		if status != http.StatusBadRequest {
			t.Errorf("%s: %d", tt.query, status)
		}
		contains(t, body, html.EscapeString(fmt.Sprintf("Parameter %q", tt.name)), `href="/trails/default/integrity"`)
	}
	for path, want := range map[string]int{
		"/trails/default/events?a=%zz": 400, "/trails/default/events/rows": 400, "/trails/default/events/rows?from=a": 400,
		"/trails/default/events.csv?x=1": 400, "/trails/default/events.ndjson?since=never": 400,
		"/trails/none/events": 404, "/trails/none/events.csv": 404, "/nothing": 404, "/trails/default/nothing": 404, "/assets/0/custody.css": 404,
	} {
		if status, body := get(t, h, path); status != want || !strings.Contains(body, "Back to the start") {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

func TestExport(t *testing.T) {
	trail := newTrail(t, story()...)
	record(t, trail, event.Event{Type: event.MessageSent, AgentID: "=1+1"})
	h := handler(set{"default": trail}, allowed)
	lines := strings.Split(strings.TrimSpace(mustGet(t, h, "/trails/default/events.ndjson?agent_id=worker")), "\n")
	if len(lines) != 7 || !strings.HasPrefix(lines[0], `{"index":6,`) || !strings.Contains(lines[0], `"parent_agent_id":"planner"`) {
		t.Errorf("NDJSON:\n%s", strings.Join(lines, "\n"))
	}
	table, err := csv.NewReader(strings.NewReader(mustGet(t, h, "/trails/default/events.csv"))).ReadAll()
	if err != nil || len(table) != 1+int(trail.Size()) {
		t.Fatalf("CSV: %d lines, %v", len(table), err)
	}
	if last := table[len(table)-1]; last[2] != "message_sent" || last[4] != "'=1+1" {
		t.Errorf("CSV: %q", last)
	}
}

// TestPermissions shows what somebody sees who may not see everything.
func TestPermissions(t *testing.T) {
	trails := set{"default": newTrail(t, story()...), "other": newTrail(t)}
	h := handler(trails, only(auth.ReadEntries))
	for _, path := range []string{"/trails/default/events", "/trails/default/events/rows?from=0", "/trails/default/events.csv", "/trails/default/events.ndjson"} {
		body := mustGet(t, h, path)
		lacks(t, body, "planner", "outside of the project", "operator@example.com", "session-1")
		contains(t, body, "denied")
	}
	status, body := get(t, h, "/trails/default/events?agent_id=planner")
	if status != http.StatusForbidden {
		t.Errorf("a filter by agent: %d", status)
	}
	contains(t, body, "agent_id", "read_payloads")
	nothing := handler(trails, only())
	for _, path := range []string{"/", "/trails/default/events", "/trails/none/events", "/trails/default/events.csv"} {
		if status, _ := get(t, nothing, path); status != http.StatusForbidden {
			t.Errorf("%s without any permission: %d", path, status)
		}
	}
	one := handler(trails, func(_ *http.Request, _ auth.Permission, trail string) bool { return trail == "other" })
	lacks(t, mustGet(t, one, "/trails/other/events"), "/trails/default")
	if status, _ := get(t, one, "/"); status != http.StatusSeeOther {
		t.Errorf("/: %d", status)
	}
}

func TestHeaders(t *testing.T) {
	h := handler(set{"default": newTrail(t)}, allowed)
	body := mustGet(t, h, "/trails/default/events")
	lacks(t, body, "<style", " style=", " onclick=", "javascript:")
	for name, a := range assets {
		if mustGet(t, h, a.path(name)) == "" {
			t.Errorf("%s is empty", name)
		}
	}
}

// TestSearch looks for words, and says how far it came.
func TestSearch(t *testing.T) {
	trail := newTrail(t)
	var events []event.Event
	for i := range 350 {
		note := "common"
		if i%50 == 0 {
			note = "Rare word"
		}
		events = append(events, event.Event{Type: event.MessageSent, AgentID: "a", Details: map[string]any{"note": note, "n": i}})
	}
	record(t, trail, events...)
	h := handler(set{"default": trail}, allowed)
	rows := func(body string) int { return strings.Count(body, "<tr data-index=") }
	const page = "/trails/default/events?text="
	body := mustGet(t, h, page+url.QueryEscape(`rare "rare word"`))
	if n := rows(body); n != 7 {
		t.Errorf("%d rows, want 7", n)
	}
	lacks(t, body, "Looked through", ">Older<")
	contains(t, body, `value="rare &#34;rare word&#34;"`, `aria-label="7 events from`, `data-stream="from_index=351"`)
	contains(t, mustGet(t, h, page+"nowhere"), "No event matches")
	body = mustGet(t, h, page+"common")
	if n := rows(body); n != pageSize {
		t.Errorf("%d rows on a page of many", n)
	}
	contains(t, body, ">Older<")

	// With a budget the page says where it stopped, and goes on there.
	defer func(b custody.Search) { searchBudget = b }(searchBudget)
	searchBudget = custody.Search{MaxEntries: 120}
	next, found := page+"rare", 0
	for pages := 0; next != ""; pages++ {
		body = mustGet(t, h, next)
		found += rows(body)
		m := regexp.MustCompile(`Looked through 120 events, as far as entry \d+ of .*<a class="button" href="([^"]+)"`).FindStringSubmatch(body)
		next = ""
		if m != nil {
			next = "/trails/default/events" + html.UnescapeString(m[1])
		}
		if pages > 3 {
			t.Fatal("it goes on for ever")
		}
	}
	if found != 7 {
		t.Errorf("%d were found over all pages", found)
	}
	contains(t, mustGet(t, h, page+"nowhere"), "No event matches among those that were looked through so far.", "Look further")
	body = mustGet(t, h, page+"rare&after=10")
	contains(t, body, "Looked through 120 events, as far as entry 130 ", "after=130", `rel="prev">Newer</a>`, `href="?text=rare">Newest</a>`)
	lacks(t, body, "data-stream") // what is between would be left out
	body = mustGet(t, h, page+"nowhere&after=10")
	contains(t, body, `href="?after=130&amp;text=nowhere" rel="prev">Newer</a>`)
	lacks(t, body, "data-stream")
	contains(t, mustGet(t, h, page+"rare&after=300"), `data-stream="from_index=351"`, "Older")

	// Live rows and exports search too.
	body = mustGet(t, h, "/trails/default/events/rows?text=rare&from=1")
	contains(t, body, `data-next="121" data-more`)
	if n := rows(body); n != 3 {
		t.Errorf("%d rows", n)
	}
	if n := strings.Count(mustGet(t, h, "/trails/default/events.ndjson?text=rare"), "\n"); n != 7 {
		t.Errorf("%d lines are exported", n)
	}
	if status, _ := get(t, h, page+url.QueryEscape(`"open`)); status != 400 {
		t.Errorf("an open quote: %d", status)
	}
	if status, _ := get(t, handler(set{"default": trail}, only(auth.ReadEntries)), page+"rare"); status != 403 {
		t.Errorf("without the permission to read payloads: %d", status)
	}
}

// TestPagesWithoutRows: an older page on which nothing matches leads to newer ones, and what
// comes does not belong to it.
func TestPagesWithoutRows(t *testing.T) {
	h := handler(set{"default": newTrail(t, story()...)}, allowed)
	const page = "/trails/default/events?event_type=emergency_stop" // which entry 13 is, of 14
	for query, newer := range map[string]string{"&before=5": "4", "&before=13": "12", "&before=900": "13", "&from_index=5&before=5": "4"} {
		body := mustGet(t, h, page+query)
		contains(t, body, `href="?after=`+newer+`&amp;event_type=emergency_stop`, `rel="prev">Newer</a>`, ">Newest</a>")
		lacks(t, body, "data-stream")
	}
	lacks(t, mustGet(t, h, page+"&before=0"), "data-stream", ">Newer</a>")
	for _, query := range []string{"", "&after=0", "&after=13", "&after=900"} {
		body := mustGet(t, h, page+query)
		contains(t, body, `data-stream="event_type=emergency_stop&amp;from_index=14"`)
		lacks(t, body, ">Newer</a>")
	}
}

func TestColumns(t *testing.T) {
	h := handler(set{"default": newTrail(t, story()...)}, allowed)
	contains(t, mustGet(t, h, "/trails/default/events"), `<table class="events no-user" id="events"`, `value="agent" checked`, `value="user">`)
	body := mustGet(t, h, "/trails/default/events?columns=agent&columns=user&since=7d")
	contains(t, body, `<table class="events no-time no-action no-session no-result" id="events"`, `columns=agent%2Cuser&amp;since=1h`, `value="user" checked`, `value="time">`)
	if status, _ := get(t, h, "/trails/default/events?since=1h&since=2h"); status != 400 {
		t.Errorf("a filter that is given twice: %d", status)
	}
}

// TestMoreFilters: the page has the filters of the API, and values of members that no
// index is of; what it exports and shows live matches as well.
func TestMoreFilters(t *testing.T) {
	trail := newTrail(t, story()...)
	record(t, trail, event.Event{Type: event.MessageSent, AgentID: "worker", ParentID: "p-1", TraceID: strings.Repeat("ab", 16), Source: "hooks", Severity: event.SeverityCritical, Timestamp: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)})
	h := handler(set{"default": trail}, allowed)
	for query, want := range map[string]string{
		"severity=critical":                                             "[14 13]",
		"severity=critical&agent_id=worker":                             "[14]",
		"outcome=success":                                               "[5]",
		"decision_source=user_once":                                     "[4]",
		"source=hooks":                                                  "[14]",
		"parent_id=p-1&trace_id=" + strings.Repeat("ab", 16):            "[14]",
		"source=other":                                                  "[]",
		"field=/details/resource=/etc/passwd":                           "[7]",
		"field=/details/resource=/etc/passwd&severity=error":            "[]",
		"text=shell&outcome=success":                                    "[5]",
		"from_index=4&to_index=7":                                       "[6 5 4]",
		"from_index=4&to_index=700&before=6":                            "[5 4]",
		"from_index=4&to_index=7&after=2":                               "[6 5 4]",
		"from_index=4&to_index=7&before=600":                            "[6 5 4]",
		"to_index=3":                                                    "[2 1 0]",
		"before=0":                                                      "[]",
		"occurred_since=2026-02-01":                                     "[14 0]", // the trail was opened today
		"occurred_since=2026-01-02T09:02:00&occurred_until=2026-02-01":  "[13 12]",
		"event_type=action_failed&event_type=action_denied&event_type=": "[11 8]",
	} {
		body := mustGet(t, h, "/trails/default/events?"+query)
		if got := fmt.Sprint(indices(body)); got != want {
			t.Errorf("%s: events %s, want %s", query, got, want)
		}
		if strings.Contains(query, "before") || strings.Contains(query, "after") {
			continue // that is of the page
		}
		if got := strings.Count(mustGet(t, h, "/trails/default/events.ndjson?"+query), "\n"); got != len(indices(body)) {
			t.Errorf("%s: %d events are exported", query, got)
		}
	}
	if got := fmt.Sprint(indices(mustGet(t, h, "/trails/default/events/rows?from=3&severity=critical&from_index=14"))); got != "[14]" {
		t.Errorf("live rows: %s", got)
	}

	body := mustGet(t, h, "/trails/default/events?severity=critical&event_type=message_sent,x.own,emergency_stop&occurred_since=2026-01-01&from_index=2")
	contains(t, body, `<option value="critical" selected>`, `name="event_type" value="message_sent" checked>`, `name="event_type" id="filter-first" value="x.own"`, `<details open>
<summary>Several types`, `<details open>
<summary>More filters`, `name="occurred_since" value="2026-01-01T00:00:00"`, `name="from_index" value="2"`,
		`data-stream="event_type=message_sent&amp;event_type=x.own&amp;event_type=emergency_stop&amp;from_index=15&amp;occurred_since=2026-01-01T00%3A00%3A00Z"`)
	body = mustGet(t, h, "/trails/default/events?event_type=message_sent&to_index=15")
	contains(t, body, `id="filter-first" value="message_sent"`)
	lacks(t, body, `name="event_type" value="message_sent" checked`, "data-stream") // nothing that comes is before an index

	for query, name := range map[string]string{"severity=bad": "severity", "outcome=x": "outcome", "decision_source=x": "decision_source", "field=severity": "field", "field=/outcome=failure&outcome=success": "field",
		"from_index=x": "from_index", "from_index=5&to_index=5": "to_index", "occurred_since=x": "occurred_since", "occurred_since=2026-01-02&occurred_until=2026-01-01": "occurred_until"} {
		status, body := get(t, h, "/trails/default/events?"+query)
		if status != http.StatusBadRequest {
			t.Errorf("%s: %d", query, status)
		}
		contains(t, body, html.EscapeString(fmt.Sprintf("Parameter %q", name)))
	}
	reader := handler(set{"default": trail}, only(auth.ReadEntries))
	for _, query := range []string{"severity=critical", "source=hooks", "field=/a=b", "occurred_since=2026-01-01"} {
		if status, _ := get(t, reader, "/trails/default/events?"+query); status != http.StatusForbidden {
			t.Errorf("%s without the permission to read payloads: %d", query, status)
		}
	}
	body = mustGet(t, reader, "/trails/default/events?from_index=2&event_type=action_denied&event_type=action_failed")
	contains(t, body, `data-index="11"`, `name="to_index"`)
	lacks(t, body, `name="severity"`)

	// What is in no index is looked for as far as the budget goes.
	defer func(b custody.Search) { searchBudget = b }(searchBudget)
	searchBudget = custody.Search{MaxEntries: 3}
	for _, query := range []string{"occurred_until=2000-01-01", "severity=warning"} {
		contains(t, mustGet(t, h, "/trails/default/events?"+query), "Looked through 3 events", "No event matches among those")
	}
}

// TestHistogramOfFilter: the bars are of the events that match, by their own severity, and
// where counting these takes too long the page says that they are not.
func TestHistogramOfFilter(t *testing.T) {
	trail := newTrail(t, story()...)
	h := handler(set{"default": trail}, allowed)
	const tooLong = "to count only those that match would take longer"
	summary := func(body string) string { return find(t, body, `role="group" aria-label="([^"]*)"`) }
	for query, want := range map[string]string{
		"":                "14 events from .*: 8 info, 2 notice, 1 warning, 2 error, 1 critical",
		"agent_id=worker": "7 events from .*: 4 info, 1 warning, 2 error",
		"severity=error":  "2 events from .*: 2 error",
		"text=passwd":     "1 event from .*: 1 info",
		"from_index=13":   "1 event from .*: 1 critical",
		"agent_id=worker&event_type=action_denied": "1 event from .*: 1 warning",
	} {
		body := mustGet(t, h, "/trails/default/events?"+query)
		if got := summary(body); !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
		contains(t, body, "One bar is 1 minute", "Colours are the severity of the events.")
		lacks(t, body, tooLong)
	}
	contains(t, mustGet(t, h, "/trails/default/events?agent_id=nobody"), `aria-label="0 events`)
	// What somebody may not read is not told by a colour.
	if got := summary(mustGet(t, handler(set{"default": trail}, only(auth.ReadEntries)), "/trails/default/events?from_index=12")); strings.Contains(got, "1 error") {
		t.Error(got)
	}

	defer func(b custody.Search) { countBudget = b }(countBudget)
	countBudget.MaxEntries = 3
	body := mustGet(t, h, "/trails/default/events?agent_id=worker")
	contains(t, body, tooLong, "One bar is 1 hour", `aria-label="14 events`)
	body = mustGet(t, h, "/trails/default/events")
	contains(t, body, "One bar is 1 hour")
	lacks(t, body, tooLong)
}

// TestPeriods: every bar that has events is a link in a list too, which the keyboard
// reaches, and the axis ends where the last bar does.
func TestPeriods(t *testing.T) {
	trail := newTrail(t, story()...)
	h := handler(set{"default": trail}, allowed)
	body := mustGet(t, h, "/trails/default/events?agent_id=worker")
	_, list, _ := strings.Cut(body, `<details class="periods">`)
	list, _, _ = strings.Cut(list, "</details>")
	lacks(t, list, "tabindex")
	link := html.UnescapeString(find(t, list, `<li><a href="([^"]*)">[^<]* UTC: 4 info, 1 warning, 2 error</a></li>`))
	if got := indices(mustGet(t, h, link)); len(got) != 7 {
		t.Errorf("%s leads to %v", link, got)
	}
	to, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, body, `<time datetime="`+strings.TrimSuffix(to.Query().Get("until"), "Z"))

	// There is nothing before the first entry, so that the axis may begin before it. Behind
	// it there may be.
	until, err := time.Parse(time.RFC3339, to.Query().Get("until"))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, body, `<figure class="histogram">`, `<figcaption><span><time datetime="`+until.Add(-minBars*time.Minute).Format("2006-01-02T15:04:05"))
	e, err := trail.Entry(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	body = mustGet(t, h, "/trails/default/events?since="+e.Time.Format(time.RFC3339Nano))
	contains(t, body, `<figure class="histogram few">`, `<figcaption><span><time datetime="`+e.Time.Truncate(time.Minute).Format("2006-01-02T15:04:05"))
}
