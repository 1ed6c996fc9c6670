package ui

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/timeline"
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
	contains(t, mustGet(t, h, "/trails/default/timeline?action_id=a-2"), "of action a-2", "of 1 agent.", "/etc/passwd")
	contains(t, mustGet(t, h, "/trails/default/timeline?agent_id=nobody"), "No event of this agent")
	contains(t, mustGet(t, h, "/trails/default/timeline?agent_id=planner&until=2000-01-01"), "No event of this agent")
	for _, q := range []string{"since=1h", "agent_id=a&session_id=s", "action_id=a&session_id=s", "user_id=u", "agent_id=a&before=x", "agent_id=a&since=x"} {
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

// TestTranscriptOnTimeline: what is from a transcript says so in words, on the line, at its
// mark, and at its steps where others are not.
func TestTranscriptOnTimeline(t *testing.T) {
	h := handler(set{"default": newTrail(t, append(story(), imported()...)...)}, allowed)
	body := mustGet(t, h, "/trails/default/timeline?session_id=session-2")
	contains(t, body, "4 lines of 1 agent", `>3 lines from a transcript</strong> Evidence of lower trust`, `<i class="told"></i>from a transcript`,
		"shell: git status: executed, from a transcript</title>", "shell: rm -rf build: executed, partly from a transcript</title>", "shell: make test: executed</title>")
	if n := strings.Count(body, ` told"`); n != 3 {
		t.Errorf("%d marks are of a transcript", n)
	}
	line := func(index int) string {
		_, rest, _ := strings.Cut(body, fmt.Sprintf(`<tr id="e%d">`, index))
		row, _, ok := strings.Cut(rest, "</tr>")
		if !ok {
			t.Fatalf("no line of entry %d", index)
		}
		return row
	}
	contains(t, line(14), `turn started</a> <span class="word partial">from a transcript</span>`)
	contains(t, line(15), `git status</a> <span class="word partial">from a transcript</span>`)
	lacks(t, line(15), "(transcript)")
	contains(t, line(17), `rm -rf build</a> <span class="word partial">partly from a transcript</span>`,
		`action requested</a> → `, `action executed</a> <span class="note">(transcript)</span>`)
	lacks(t, line(19), "transcript")
	lacks(t, mustGet(t, h, "/trails/default/timeline?session_id=session-1"), "transcript", "told")
}

// TestDisputedOnTimeline: a denial that was recorded after the action had run hides
// nothing.
func TestDisputedOnTimeline(t *testing.T) {
	h := handler(set{"default": newTrail(t,
		event.Event{Type: event.ActionExecuted, AgentID: "a", ActionID: "x", SessionID: "s", Outcome: event.OutcomeSuccess},
		event.Event{Type: event.ActionDenied, AgentID: "a", ActionID: "x", SessionID: "s", Decision: event.Deny})}, allowed)
	contains(t, mustGet(t, h, "/trails/default/timeline?session_id=s"), `<span class="word bad">executed</span>`, "what was recorded of it does not fit together")
	contains(t, mustGet(t, h, "/trails/default/events/1"), `<strong class="word good">executed</strong>`, "What was recorded of it does not fit together.")
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

// TestTimelineGaps: what the trail says is missing is seen where it would be.
func TestTimelineGaps(t *testing.T) {
	gap := func(kind string, details map[string]any) event.Event {
		details["kind"], details["source"] = kind, hostile
		return event.Event{Type: event.GapDetected, Details: details}
	}
	events := story()
	events = append(events, gap("missing", map[string]any{"before": 6, "after": 8, "count": 3}), gap("filled", map[string]any{"before": 6, "after": 8}),
		event.Event{Type: event.SessionEnded, SessionID: "other"}, gap("missing", map[string]any{"before": 16, "after": 18}))
	h := handler(set{"default": newTrail(t, events...)}, allowed)
	body := mustGet(t, h, "/trails/default/timeline?session_id=session-1")
	contains(t, body, ">1 gap</strong>", ">Gaps <", `class="mark gap"`, "kind missing", "count 3", "end of a gap", `<span class="word bad">missing</span>`, "10 lines of 2 agents")
	lacks(t, body, "<script>", "<img")
	// It is between the entries 6, at 25 s, and 8, at 49 s, of 144 s.
	contains(t, body, `<rect class="mark gap" x="172" y="2" width="166" height="16"/>`)
	lacks(t, mustGet(t, handler(set{"default": newTrail(t, story()...)}, allowed), "/trails/default/timeline?session_id=session-1"), "Gaps", "gap</strong>")
}

func TestZoom(t *testing.T) {
	h := handler(set{"default": newTrail(t, story()...)}, allowed)
	const all = "/trails/default/timeline?session_id=session-1"
	body := mustGet(t, h, all)
	contains(t, body, "Zoom in", "Zoom to a tenth", ">09:00:00<", ">09:01:12<", "from=2026-01-02T09%3A00%3A36Z&amp;session_id=session-1&amp;to=2026-01-02T09%3A01%3A48Z")
	lacks(t, body, "Zoom out", "Earlier", "Later")
	body = mustGet(t, h, all+"&from=2026-01-02T09:00:30Z&to=2026-01-02T09:01:10Z")
	contains(t, body, "2 lines of 2 agents in this part", "/etc/passwd", "https://example.com/", "Zoom out", "Earlier", "Later", ">All<", "1 action unresolved")
	lacks(t, body, "rm -rf build", "make test")
	body = mustGet(t, h, all+"&from=2030-01-01&to=2030-01-02")
	contains(t, body, "Nothing happened in this part", "Zoom out", "Earlier")
	for _, q := range []string{"&from=x", "&from=2026-01-02&to=2026-01-01", "&to=1"} {
		if status, _ := get(t, h, all+q); status != 400 {
			t.Errorf("%s: %d", q, status)
		}
	}
	// One event has no length.
	lacks(t, mustGet(t, h, "/trails/default/timeline?agent_id=worker&from=2026-01-02T09:02:01Z&to=2026-01-02T09:02:01.5Z"), "NaN")
	one := newTrail(t, event.Event{Type: event.MessageSent, AgentID: "a"})
	lacks(t, mustGet(t, handler(set{"default": one}, allowed), "/trails/default/timeline?agent_id=a"), "Zoom in", "NaN")
}

// TestNestedLanes: sub-agents stand below those that started them, whatever is said of
// who that was.
func TestNestedLanes(t *testing.T) {
	started := func(agent, parent string) event.Event {
		return event.Event{Type: event.SubagentStarted, AgentID: agent, SessionID: "s", Details: map[string]any{"parent_agent_id": parent}}
	}
	h := handler(set{"default": newTrail(t, started("c", "b"), started("x", "y"), started("y", "x"), started("b", "a"), event.Event{Type: event.MessageSent, AgentID: "a", SessionID: "s"})}, allowed)
	body := mustGet(t, h, "/trails/default/timeline?session_id=s")
	last := 0
	for _, want := range []string{`d0">a<`, `d1">b <`, `d2">c <`, `d0">x <`, `d1">y <`} {
		at := strings.Index(body, want)
		if at < last {
			t.Errorf("%s is at %d, behind %d:\n%s", want, at, last, body)
		}
		last = at
	}
}

// TestMarksHaveLines: where the mark of a drawing leads is in the table below it.
func TestMarksHaveLines(t *testing.T) {
	h := handler(set{"default": newTrail(t, append(story(), event.Event{Type: event.GapDetected, Details: map[string]any{"kind": "missing", "before": 6, "after": 8}})...)}, allowed)
	for _, part := range []string{"", "&from=2026-01-02T09:00:30Z&to=2026-01-02T09:01:10Z"} {
		body := mustGet(t, h, "/trails/default/timeline?session_id=session-1"+part)
		marks := strings.Split(body, `<a href="#`)[1:]
		for _, rest := range marks[1:] { // the first is the way to the content
			id, _, _ := strings.Cut(rest, `"`)
			contains(t, body, `<tr id="`+id+`">`)
		}
		if len(marks) < 3 {
			t.Errorf("%d marks", len(marks)-1)
		}
	}
}

// TestTimelines: the page without anything to show a timeline of asks for it, and lists
// the sessions of the newest events.
func TestTimelines(t *testing.T) {
	trail := newTrail(t, append(story(), imported()...)...)
	h := handler(set{"default": trail}, allowed)
	body := mustGet(t, h, "/trails/default/timeline")
	contains(t, body, `aria-current="page">Timeline</a>`, `name="session_id"`, `name="agent_id"`, `name="action_id"`,
		`<a href="?session_id=session-1">session-1</a>`, `<a class="plain" href="?agent_id=worker">worker</a>`)
	if first, second := strings.Index(body, ">session-2<"), strings.Index(body, ">session-1<"); first < 0 || second < first {
		t.Error("the session with the newest event is not the first")
	}
	lacks(t, body, "of the newest")
	contains(t, mustGet(t, h, "/trails/default"), `<a href="/trails/default/timeline">Timeline</a>`)
	contains(t, mustGet(t, handler(set{"default": newTrail(t)}, allowed), "/trails/default/timeline"), "No event of this trail names a session.")
	reader := handler(set{"default": trail}, only(auth.ReadEntries))
	lacks(t, mustGet(t, reader, "/trails/default"), "/timeline")
	if status, _ := get(t, reader, "/trails/default/timeline"); status != 403 {
		t.Errorf("without the permission to read payloads: %d", status)
	}
	lacks(t, mustGet(t, handler(set{"default": newTrail(t, hostileEvent())}, allowed), "/trails/default/timeline"), "<script>alert", "<img", "\u202e")

	var rows []row
	for i := range 3 * maxSessions {
		rows = append(rows, row{Step: timeline.Step{SessionID: fmt.Sprint(i / 3), AgentID: fmt.Sprint(i)}}, row{Step: timeline.Step{SessionID: "0", AgentID: fmt.Sprint(i)}}, row{})
	}
	got := sessionsOf(append(rows, row{Step: timeline.Step{SessionID: "one too many"}}))
	if first := got[0]; len(got) != maxSessions || first.ID != "0" || first.Events != 3+3*maxSessions || fmt.Sprint(first.Agents, first.Others) != fmt.Sprint([]string{"0", "1", "2"}, 3*maxSessions-3) {
		t.Errorf("%d sessions, %+v", len(got), got[0])
	}
}
