package ui

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
)

func TestTimeline(t *testing.T) {
	trail := newTrail(t, story()...)
	h := handler(set{"default": trail}, allowed)
	body := mustGet(t, h, "/trails/default/timeline?session_id=session-1")
	contains(t, body, "of session session-1", "started by planner", "1 action unresolved", `<rect class="mark bad"`, `<rect class="mark partial open"`,
		`<span class="word bad">denied</span>`, `<span class="word bad">failed</span>`, `<span class="word good">executed</span>`, `<tr id="e7">`, "8 lines of 2 agents", "1.25s")
	body = mustGet(t, h, "/trails/default/timeline?agent_id=planner")
	contains(t, body, "of agent planner", "of 1 agent.")
	lacks(t, body, "/etc/passwd")
	contains(t, mustGet(t, h, "/trails/default/timeline?agent_id=nobody"), "No event of this agent")
	contains(t, mustGet(t, h, "/trails/default/timeline?agent_id=planner&until=2000-01-01"), "No event of this agent")
	for _, q := range []string{"", "agent_id=a&session_id=s", "user_id=u", "agent_id=a&before=x", "agent_id=a&since=x"} {
		if status, _ := get(t, h, "/trails/default/timeline?"+q); status != 400 {
			t.Errorf("%q: %d", q, status)
		}
	}
	if status, _ := get(t, handler(set{"default": trail}, only(auth.ReadEntries)), "/trails/default/timeline?agent_id=planner"); status != 403 {
		t.Errorf("without the permission to read payloads: %d", status)
	}
	body = mustGet(t, handler(set{"default": newTrail(t, hostileEvent())}, allowed), "/trails/default/timeline?agent_id="+url.QueryEscape(hostile))
	lacks(t, body, "<script>", "<img", "\u202e:")
}

// TestLongTimeline goes back through a session that has more events than a page shows.
func TestLongTimeline(t *testing.T) {
	trail := newTrail(t)
	var events []event.Event
	start := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for i := range timelineLimit + 10 {
		events = append(events, event.Event{Type: event.MessageSent, AgentID: "a", SessionID: "s", Timestamp: start.Add(time.Duration(i) * time.Second)})
	}
	record(t, trail, events...)
	h := handler(set{"default": trail}, allowed)
	body := mustGet(t, h, "/trails/default/timeline?session_id=s")
	contains(t, body, fmt.Sprintf("%s lines", number(timelineLimit)), "There is more before this.", `<tr id="e11">`)
	lacks(t, body, `<tr id="e10">`)
	body = mustGet(t, h, "/trails/default/timeline?session_id=s&before=11")
	contains(t, body, "10 lines", `<tr id="e10">`)
	if n := strings.Count(body, "<rect "); n != 10 {
		t.Errorf("%d marks", n)
	}
}
