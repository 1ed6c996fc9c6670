package alert

import (
	"slices"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
)

func TestMatches(t *testing.T) {
	denied := event.Event{Type: event.ActionDenied, AgentID: "a", SessionID: "s", ProjectID: "p", UserID: "u",
		Decision: event.Deny, Outcome: event.OutcomeDenied, Details: map[string]any{"tool_name": "rm"}}
	for _, tt := range []struct {
		name string
		rule Rule
		want bool
	}{
		{"everything", Rule{}, true},
		{"type", Rule{Types: []event.Type{event.ActionFailed, event.ActionDenied}}, true},
		{"other type", Rule{Types: []event.Type{event.ActionFailed}}, false},
		{"severity of the type", Rule{Severity: event.SeverityWarning}, true},
		{"higher severity", Rule{Severity: event.SeverityError}, false},
		{"all members", Rule{Where: map[string]string{"agent_id": "a", "session_id": "s", "project_id": "p", "user_id": "u",
			"decision": "deny", "outcome": "denied", "tool_name": "rm"}}, true},
		{"other agent", Rule{Where: map[string]string{"agent_id": "b"}}, false},
		{"other tool", Rule{Where: map[string]string{"agent_id": "a", "tool_name": "ls"}}, false},
		{"member that rules cannot look at", Rule{Where: map[string]string{"id": ""}}, true},
	} {
		if got := tt.rule.matches(&denied); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
	loud := event.Event{Type: event.ActionExecuted, Severity: event.SeverityCritical}
	if r := (Rule{Severity: event.SeverityError}); !r.matches(&loud) {
		t.Error("the severity that an event states does not count")
	}
	for _, about := range []event.Type{event.AlertRaised, event.AlertFailed} {
		if r := (Rule{}); r.matches(&event.Event{Type: about, Severity: event.SeverityCritical}) {
			t.Errorf("%s leads to an alert", about)
		}
	}
}

func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		name string
		rule Rule
		at   []int // seconds at which matching events are recorded
		want []int // seconds at which alerts are raised
	}{
		{"one", Rule{Count: 1, Window: time.Minute, Cooldown: time.Second}, []int{0, 5, 6}, []int{0, 5, 6}},
		{"too few", Rule{Count: 3, Window: 10 * time.Second, Cooldown: time.Second}, []int{0, 1}, nil},
		{"enough", Rule{Count: 3, Window: 10 * time.Second, Cooldown: time.Second}, []int{0, 1, 9}, []int{9}},
		{"too slow", Rule{Count: 3, Window: 10 * time.Second, Cooldown: time.Second}, []int{0, 5, 10, 16}, nil},
		{"sliding", Rule{Count: 3, Window: 10 * time.Second, Cooldown: time.Second}, []int{0, 8, 11, 12}, []int{12}},
		{"each counts once", Rule{Count: 2, Window: 10 * time.Second, Cooldown: time.Second}, []int{0, 1, 2, 3}, []int{1, 3}},
		{"cooldown", Rule{Count: 1, Window: time.Second, Cooldown: 10 * time.Second}, []int{0, 3, 9, 10, 11}, []int{0, 10}},
		{"what comes during the cooldown counts", Rule{Count: 2, Window: 10 * time.Second, Cooldown: 5 * time.Second}, []int{0, 1, 4, 5, 6}, []int{1, 6}},
	} {
		var w window
		var got []int
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, s := range tt.at {
			at := start.Add(time.Duration(s) * time.Second)
			before := slices.Clone(w.Times)
			next, n := w.add(&tt.rule, at, at)
			if !slices.Equal(before, w.Times) {
				t.Errorf("%s: a step changed the window that it began from", tt.name)
			}
			if w = next; n > 0 {
				w.Last = &Raised{Time: at}
				got = append(got, s)
			}
			if len(w.Times) > tt.rule.Count {
				t.Errorf("%s: %d times are kept", tt.name, len(w.Times))
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: raised at %v, want %v", tt.name, got, tt.want)
		}
	}
	// What another rule of the name counted is not counted.
	old, changed := Rule{Name: "r", Count: 2, Window: time.Hour}, Rule{Name: "r", Count: 2, Window: time.Minute}
	w, _ := window{}.add(&old, time.Now(), time.Now())
	if w, n := w.add(&changed, time.Now(), time.Now()); n != 0 || len(w.Times) != 1 {
		t.Errorf("the changed rule has counted %d, %+v", n, w)
	}
}

// After the clock was set back, the time of entries stands still, and the cooldown goes
// by the clock.
func TestCooldownAfterClockWasSetBack(t *testing.T) {
	rule := Rule{Count: 1, Window: time.Minute, Cooldown: time.Minute}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ahead := start.Add(24 * time.Hour)
	var w window
	for _, step := range []struct {
		at, now time.Time
		raises  bool
	}{
		{ahead, ahead, true}, // while the clock was wrong
		{ahead, start, true}, // the clock is nowhere near the alert before
		{ahead, start.Add(59 * time.Second), false},
		{ahead, start.Add(time.Minute), true},
		{ahead, start.Add(90 * time.Second), false},
		{ahead, start.Add(3 * time.Minute), true},
		{ahead.Add(time.Second), ahead.Add(2 * time.Second), false}, // caught up with: by the times of entries again
		{ahead.Add(time.Minute), ahead.Add(time.Hour), true},
		{ahead.Add(61 * time.Second), ahead.Add(48 * time.Hour), false}, // read late, which changes nothing
	} {
		next, n := w.add(&rule, step.at, step.now)
		if n > 0 {
			next.Last = &Raised{Time: step.at}
		}
		if w = next; n > 0 != step.raises {
			t.Errorf("an entry of %s, at %s: raised %t", step.at, step.now, n > 0)
		}
	}
}

func TestQuery(t *testing.T) {
	typed := Rule{Types: []event.Type{event.ActionFailed, event.ActionDenied}}
	if q := query([]Rule{typed, typed}); len(q.Types) != 2 {
		t.Errorf("%+v", q)
	}
	if q := query([]Rule{typed, {Severity: event.SeverityError}}); q.Types != nil {
		t.Errorf("a rule for all types does not see all: %+v", q)
	}
}
