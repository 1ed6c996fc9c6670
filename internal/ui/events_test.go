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

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
)

func TestEvents(t *testing.T) {
	trail := newTrail(t, story()...)
	h := handler(set{"default": trail, "other": trail}, allowed)
	body := mustGet(t, h, "/trails/default/events")
	contains(t, body, "planner", "worker", "action denied", `href="/trails/default/events/7"`, "outside of the project", "emergency stop",
		`href="/trails/other"`, `aria-current="page">Events`, "One bar is 1 hour", `<rect class="critical"`, `data-from="14"`)
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
	lacks(t, mustGet(t, one, "/trails/other/events"), "default")
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
	contains(t, body, `value="rare &#34;rare word&#34;"`, "the other filters apply to the table only", `data-stream="from_index=351"`)
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
	contains(t, mustGet(t, h, page+"nowhere"), "No event says that among those that were looked through so far.", "Look further")
	body = mustGet(t, h, page+"rare&after=10")
	contains(t, body, "Looked through 120 events, as far as entry 130 ", "after=130")

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

func TestColumns(t *testing.T) {
	h := handler(set{"default": newTrail(t, story()...)}, allowed)
	contains(t, mustGet(t, h, "/trails/default/events"), `<table class="events no-user" id="events"`, `value="agent" checked`, `value="user">`)
	body := mustGet(t, h, "/trails/default/events?columns=agent&columns=user&since=7d")
	contains(t, body, `<table class="events no-time no-action no-session no-result" id="events"`, `columns=agent%2Cuser&amp;since=1h`, `value="user" checked`, `value="time">`)
	lacks(t, body, "the other filters apply to the table only")
	if status, _ := get(t, h, "/trails/default/events?since=1h&since=2h"); status != 400 {
		t.Errorf("a filter that is given twice: %d", status)
	}
}
