package ui

import (
	"context"
	"errors"
	"fmt"
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
		"example.com/agents", "15 entries, root", "none</span> Whoever", "just now", "all 15 events of this trail", "Judging by all 10 events about actions of this trail", "Judging by all 3 events about approvals of this trail",
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
	contains(t, mustGet(t, handler(set{"default": newTrail(t)}, allowed), "/trails/default"), "No agent is named, judging by the only event of this trail.", "No event about approvals was recorded in this trail.", "No event about actions was recorded in this trail.")
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
	if h.Bars[1].Total != 0 || third.Total != 7 || third.Title() != "2026-01-02 03:00 to 2026-01-02 04:00 UTC: 7 unregistered" {
		t.Errorf("%+v", h.Bars)
	}

	// Where events are counted by type, the page calls it the severity of the type.
	const ofType = "Colours are the severity of the type of an event"
	trail := newTrail(t, event.Event{Type: event.ActionRequested, Severity: event.SeverityCritical})
	contains(t, mustGet(t, handler(set{"default": trail}, allowed), "/trails/default"), "Colours are the severity of the events.", `<i class="critical"></i>critical 1<`)
	body := mustGet(t, handler(set{"default": trail}, only(auth.ReadEntries)), "/trails/default")
	contains(t, body, ofType) // who may not read payloads is not shown what they say
	lacks(t, body, "critical")
	var events []event.Event
	for range fewEvents {
		events = append(events, event.Event{Type: event.MessageSent})
	}
	record(t, trail, events...)
	page := handler(set{"default": trail}, allowed)
	body = mustGet(t, page, "/trails/default")
	contains(t, body, ofType, fmt.Sprintf(`<i class="info"></i>info %s<`, number(fewEvents+2)))
	lacks(t, body, "critical", "nregistered")
	record(t, trail, event.Event{Type: "example.deployed", Severity: event.SeverityCritical})
	for _, path := range []string{"/trails/default", "/trails/default/events"} {
		contains(t, mustGet(t, page, path), ofType, `<i class="unregistered"></i>unregistered 1<`, "Unregistered are types of a producer's own")
	}
}

// TestFirstScreen: what the pages cost that somebody opens first does not grow with the
// trail. How long they take, BenchmarkFirstScreen measures.
func TestFirstScreen(t *testing.T) {
	defer func(b custody.Search) { countBudget = b }(countBudget)
	countBudget.MaxEntries = 500 // fewer than match
	trail := newTrail(t)
	events := story()
	for len(events) < 3000 {
		events = append(events, events[:min(len(events), 3000-len(events))]...)
	}
	grow := func(batches int) {
		for range batches {
			record(t, trail, events...)
		}
	}
	h := handler(set{"default": trail}, allowed)
	paths := []string{"/trails/default", "/trails/default/events", "/trails/default/events?agent_id=worker&decision=deny", "/trails/default/events/1500", "/trails/default/integrity"}
	before := map[string]float64{}
	cost := func(path string) float64 {
		return testing.AllocsPerRun(3, func() { mustGet(t, h, path) })
	}
	grow(3) // more than an overview looks at
	for _, path := range paths {
		before[path] = cost(path)
	}
	grow(7)
	for _, path := range paths {
		if after := cost(path); after > 1.2*before[path]+100 {
			t.Errorf("%s makes %.0f allocations with 9,000 entries and %.0f with %d", path, before[path], after, trail.Size())
		}
	}
}

// TestOverviewOfHealth: whether the trail can be recorded in, and what the last
// verification of it found, are on the first screen.
func TestOverviewOfHealth(t *testing.T) {
	problem := error(nil)
	d := newDesk(t, false, func(c *Config) { c.Writable = func(context.Context, string) error { return problem } }, story()...)
	body := d.get(t, "", "/trails/default")
	contains(t, body, `<span class="word good">works</span>`, "self-signed only", "behind by")
	lacks(t, body, "checked out")
	problem = errors.New("the disk is full")
	contains(t, d.get(t, "", "/trails/default"), `<span class="word bad">not possible</span> the disk is full`)

	findings := func(n int, trail string) {
		record(t, d.system, event.Event{Type: event.VerificationCompleted, Details: map[string]any{"trail": trail, "findings": n, "size": 14}})
	}
	findings(0, "default")
	findings(3, "other")
	contains(t, d.get(t, "", "/trails/default"), `<span class="word good">checked out</span>`, "when 14 entries were verified")
	findings(2, "default")
	contains(t, d.get(t, "", "/trails/default"), `<span class="word bad">2 findings</span>`)
	lacks(t, d.get(t, d.token(t, "reader", nil, auth.Reader), "/trails/default"), "2 findings")
}
