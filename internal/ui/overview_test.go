package ui

import (
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
)

func TestOverview(t *testing.T) {
	trail := newTrail(t, append(story(), event.Event{Type: event.ApprovalRequested, AgentID: "third", ActionID: "a-9", SessionID: "session-2",
		Details: map[string]any{"tool_name": "deploy", "approval_id": "p-2"}})...)
	h := handler(set{"default": trail}, allowed)
	body := mustGet(t, h, "/trails/default")
	contains(t, body, `<strong>1</strong>Denials`, `<strong>1</strong>Violations`, `<strong>1</strong>Stops`, `<strong>0</strong>Detections`,
		"example.com/agents", "15 entries, root", "none</span> Whoever", "just now", "newest 15 events",
		`href="/trails/default/events/14">deploy</a>`, `href="/trails/default/events/9">shell: https://example.com/</a>`, `>7 events</span>`,
		`href="/trails/default/events?event_type=action_denied%2Capproval_denied"`)
	lacks(t, body, "make test", "rm -rf build")
	contains(t, mustGet(t, h, "/trails/default?since=2000-01-01&until=2000-01-02"), "Nothing was recorded in this time.", `<strong>0</strong>Denials`)
	body = mustGet(t, handler(set{"default": trail}, only(auth.ReadEntries)), "/trails/default")
	contains(t, body, `<strong>1</strong>Denials`, "not shown to you")
	lacks(t, body, "planner", "deploy")
	if status, _ := get(t, h, "/trails/default?agent_id=a"); status != 400 {
		t.Errorf("a filter that it does not have: %d", status)
	}
	body = mustGet(t, handler(set{"default": newTrail(t, hostileEvent())}, allowed), "/trails/default")
	lacks(t, body, "<script>", "<img", "\u202e")
	contains(t, mustGet(t, handler(set{"default": newTrail(t)}, allowed), "/trails/default"), "No event names an agent.", "No action waits", "Of every action")
}

func TestHistogram(t *testing.T) {
	start := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	h := histogram{Trail: "default", Since: start.Add(90 * time.Minute), Until: start.Add(5 * time.Hour), Every: time.Hour, bySeverity: map[event.Severity]uint64{}, byType: map[event.Type]uint64{}}
	h.fill([]custody.Count{
		{Start: start.Add(time.Hour), Type: event.ActionRequested, Count: 1_000_000}, {Start: start.Add(time.Hour), Type: event.ActionDenied, Count: 1},
		{Start: start.Add(3 * time.Hour), Type: "x.unknown", Count: 7},
	}, &filter{})
	if len(h.Bars) != 4 || h.Total != 1_000_008 || h.Most != 1_000_001 {
		t.Fatalf("%d bars, %d events, at most %d", len(h.Bars), h.Total, h.Most)
	}
	first, third := h.Bars[0], h.Bars[2]
	if first.Title() != "2026-01-02 01:00 to 2026-01-02 02:00 UTC: 1,000,000 info, 1 warning" || first.Link != "since=2026-01-02T01%3A00%3A00Z&until=2026-01-02T02%3A00%3A00Z" {
		t.Errorf("%s, %s", first.Title(), first.Link)
	}
	for _, b := range h.Bars {
		for _, k := range b.Blocks {
			if k.Y < 0 || k.H < 2 || k.Y+k.H > barsHigh {
				t.Errorf("%s: a block from %d, %d high", b.Title(), k.Y, k.H)
			}
		}
	}
	if h.Bars[1].Total != 0 || third.Total != 7 || third.Blocks[0].Severity != event.SeverityInfo {
		t.Errorf("%+v", h.Bars)
	}
}

// TestFirstScreen holds the time that the first screen of a large trail takes.
func TestFirstScreen(t *testing.T) {
	trail := newTrail(t)
	events := story()
	for len(events) < 10_000 {
		events = append(events, events[:min(len(events), 10_000-len(events))]...)
	}
	for range 10 {
		record(t, trail, events...)
	}
	h := handler(set{"default": trail}, allowed)
	for _, path := range []string{"/trails/default", "/trails/default/events", "/trails/default/events?agent_id=worker&decision=deny", "/trails/default/events/50000"} {
		best := time.Hour
		for range 3 {
			start := time.Now()
			mustGet(t, h, path)
			best = min(best, time.Since(start))
		}
		t.Logf("%s of %d entries took %v", path, trail.Size(), best)
		if best > 100*time.Millisecond {
			t.Errorf("%s took %v, more than 100 ms", path, best)
		}
	}
}
