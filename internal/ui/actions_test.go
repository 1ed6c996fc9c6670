package ui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/timeline"
)

// card returns what a page has below a heading.
func card(tb testing.TB, body, heading string) string {
	tb.Helper()
	_, rest, found := strings.Cut(body, "<h2>"+heading+"</h2>")
	if !found {
		tb.Fatalf("the page has no %q:\n%s", heading, body)
	}
	text, _, _ := strings.Cut(rest, "</section>")
	return text
}

// TestOpenActions: what is open is found however much else was recorded since, in the
// chosen time, as far as is looked; and the page says how far that was.
func TestOpenActions(t *testing.T) {
	of := func(typ event.Type, action string) event.Event {
		return event.Event{Type: typ, AgentID: "planner", ActionID: action, SessionID: "s", Details: map[string]any{"tool_name": "tool-" + action, "approval_id": "p"}}
	}
	many := func(n int, e event.Event) (all []event.Event) {
		prefix := e.ActionID
		for i := range n {
			e.ActionID = fmt.Sprintf("%s-%d", prefix, i)
			all = append(all, e)
		}
		return all
	}
	trail := newTrail(t, of(event.ActionRequested, "asked"), of(event.ApprovalRequested, "asked"), of(event.ActionRequested, "left"),
		of(event.ActionRequested, "withdrawn"), of(event.ApprovalRequested, "withdrawn"), of(event.ApprovalCancelled, "withdrawn"))
	h := handler(set{"default": trail}, allowed)
	overview := func(query string) (approvals, unresolved, agents string) {
		t.Helper()
		body := mustGet(t, h, "/trails/default"+query)
		return card(t, body, "Open approvals"), card(t, body, "Unresolved actions"), card(t, body, "Busiest agents")
	}
	record(t, trail, many(agentBudget+1, event.Event{Type: event.MessageSent, AgentID: "chatty"})...)
	approvals, unresolved, agents := overview("")
	contains(t, approvals, "tool-asked</a>", "Judging by all 3 events about approvals of this trail.")
	contains(t, unresolved, "Judging by all 6 events about actions of this trail.")
	contains(t, unresolved, "tool-left</a>", "tool-withdrawn</a>")
	contains(t, agents, "chatty</a> <span>1,000 events", "Judging by the newest 1,000 events of this trail.")
	lacks(t, approvals+unresolved+agents, "tool-withdrawn</a> <span class=\"note\">chatty", "planner</a>", "It is known")
	lacks(t, approvals, "tool-withdrawn")

	// What was asked for in a time, and ended after it, is not open.
	if _, err := trail.Record(t.Context(), of(event.ActionRequested, "late")); err != nil {
		t.Fatal(err)
	}
	asked, err := trail.Entry(t.Context(), trail.Size()-1)
	if err != nil {
		t.Fatal(err)
	}
	until := asked.Time.Add(time.Microsecond)
	for !time.Now().After(until.Add(time.Microsecond)) {
	}
	record(t, trail, of(event.ActionExecuted, "late"))
	approvals, unresolved, agents = overview(fmt.Sprintf("?since=%s&until=%s", asked.Time.Format(time.RFC3339Nano), until.Format(time.RFC3339Nano)))
	contains(t, approvals, "No event about approvals was recorded in this time.")
	contains(t, unresolved, "It is known how every action ended, or that it waits for an approval, judging by the only event about actions in this time.")
	contains(t, agents, "planner</a> <span>1 event<")
	approvals, unresolved, agents = overview("?since=2000-01-01&until=2000-01-02")
	contains(t, approvals, "No event about approvals was recorded in this time.")
	contains(t, unresolved, "No event about actions was recorded in this time.")
	contains(t, agents, "No event was recorded in this time.")

	// A payload that is gone names no action.
	if _, err := trail.Erase(t.Context(), custody.Erasure{Entries: evidence.Ranges{{First: 3, Last: 3}}, Ground: "GDPR Art. 17(1)(b)", By: "operator@example.com"}); err != nil {
		t.Fatal(err)
	}
	_, unresolved, _ = overview("")
	contains(t, unresolved, "Judging by all 8 events about actions of this trail, of which 1 has no payload any more.")
	lacks(t, unresolved, "tool-left")

	// As many as are listed, and then as many as are looked at.
	record(t, trail, many(maxListed+1, of(event.ActionRequested, "more"))...)
	approvals, unresolved, _ = overview("")
	contains(t, unresolved, "There may be more, judging by all 19 events about actions")
	if n := strings.Count(unresolved, "<li>"); n != maxListed {
		t.Errorf("%d are listed, want %d", n, maxListed)
	}
	contains(t, approvals, "tool-asked</a>")
	record(t, trail, many(actionBudget, of(event.ActionExecuted, "more"))...)
	approvals, unresolved, _ = overview("")
	contains(t, approvals, "tool-asked</a>") // which events about actions alone do not show any more
	contains(t, unresolved, "tool-withdrawn</a>", "Judging by the newest 2,000 events about actions of this trail.")
	record(t, trail, many(approvalBudget, of(event.ApprovalDenied, "refused"))...)
	approvals, unresolved, _ = overview("")
	contains(t, unresolved, "It is known how every action ended, or that it waits for an approval, judging by the newest 2,000 events about actions of this trail.")
	contains(t, approvals, "No action waits for an approval, judging by the newest 1,000 events about approvals of this trail.")

	// Of those that look open a few are looked into.
	record(t, trail, many(maxChecked+1, of(event.ApprovalRequested, "later"))...)
	asked, err = trail.Entry(t.Context(), trail.Size()-1)
	if err != nil {
		t.Fatal(err)
	}
	until = asked.Time.Add(time.Microsecond)
	for !time.Now().After(until.Add(time.Microsecond)) {
	}
	record(t, trail, many(maxChecked+1, of(event.ApprovalDenied, "later"))...)
	approvals, _, _ = overview("?until=" + until.Format(time.RFC3339Nano))
	contains(t, approvals, "There may be some that were not looked into, judging by the newest 1,000 events about approvals in this time.")
}

// TestActionTypes: whatever changes what became of an action is looked at.
func TestActionTypes(t *testing.T) {
	looked := map[event.Type]bool{}
	for _, typ := range actionTypes {
		looked[typ] = true
	}
	for _, spec := range event.Types() {
		for _, first := range []event.Type{event.ActionRequested, event.ApprovalRequested} {
			for _, d := range []event.Decision{"", event.Allow, event.Deny, event.RequireApproval} {
				steps := []timeline.Step{{Type: first, ActionID: "a"}, {Type: spec.Type, ActionID: "a", Decision: d}}
				before, after := timeline.Build(steps[:1])[0].Action.Status, timeline.Build(steps)[0].Action.Status
				if before != after && !looked[spec.Type] {
					t.Errorf("%s after %s makes %s %s", spec.Type, first, before, after)
				}
			}
		}
	}
}
