package timeline

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

var start = time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)

// step is a step of action a, seconds after start.
func step(seconds float64, t event.Type, edit ...func(*Step)) Step {
	s := Step{Type: t, ActionID: "a", Time: start.Add(time.Duration(seconds * float64(time.Second)))}
	for _, e := range edit {
		e(&s)
	}
	return s
}

func decision(d event.Decision) func(*Step) { return func(s *Step) { s.Decision = d } }
func outcome(o event.Outcome) func(*Step)   { return func(s *Step) { s.Outcome = o } }
func took(d time.Duration) func(*Step)      { return func(s *Step) { s.Took = d } }

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		name    string
		steps   []Step
		status  Status
		against bool
		took    time.Duration
		waited  time.Duration
	}{
		{"asked for", []Step{step(0, event.ActionRequested)}, Unresolved, false, 0, 0},
		{"allowed, and no more is known", []Step{step(0, event.ActionRequested), step(1, event.ActionValidated, decision(event.Allow))}, Allowed, false, 0, 0},
		{"waiting for an approval", []Step{step(0, event.ActionRequested), step(1, event.ActionValidated, decision(event.RequireApproval)), step(1, event.ApprovalRequested)}, Waiting, false, 0, 0},
		{"denied", []Step{step(0, event.ActionRequested), step(1, event.ActionDenied, decision(event.Deny))}, Denied, false, 0, 0},
		{"denied by a validation", []Step{step(0, event.ActionRequested), step(1, event.ActionValidated, decision(event.Deny))}, Denied, false, 0, 0},
		{"executed", []Step{step(0, event.ActionRequested), step(3, event.ActionExecuted, outcome(event.OutcomeSuccess))}, Executed, false, 3 * time.Second, 0},
		{"executed, and the event says how long", []Step{step(0, event.ActionRequested), step(3, event.ActionExecuted, took(12*time.Millisecond))}, Executed, false, 12 * time.Millisecond, 0},
		{"executed, and another path says how long", []Step{step(0, event.ActionRequested), step(3, event.ActionExecuted), step(4, event.ActionObserved, took(5*time.Millisecond))}, Executed, false, 5 * time.Millisecond, 0},
		{"only its end is known", []Step{step(0, event.ActionExecuted)}, Executed, false, 0, 0},
		{"executed, which failed", []Step{step(0, event.ActionRequested), step(3, event.ActionExecuted, outcome(event.OutcomeFailure))}, Failed, false, 3 * time.Second, 0},
		{"failed", []Step{step(0, event.ActionRequested), step(3, event.ActionFailed)}, Failed, false, 3 * time.Second, 0},
		{"timed out", []Step{step(0, event.ActionRequested), step(3, event.ActionFailed, outcome(event.OutcomeTimedOut))}, TimedOut, false, 3 * time.Second, 0},
		{"cancelled", []Step{step(0, event.ActionRequested), step(3, event.ActionCancelled)}, Cancelled, false, 3 * time.Second, 0},
		{"rolled back", []Step{step(0, event.ActionRequested), step(3, event.ActionExecuted), step(9, event.RollbackStarted), step(9, event.RollbackCompleted)}, RolledBack, false, 3 * time.Second, 0},
		{"approved and executed: it ran from the approval on", []Step{
			step(0, event.ActionRequested), step(1, event.ApprovalRequested), step(61, event.ApprovalGranted, decision(event.Allow)), step(63, event.ActionExecuted),
		}, Executed, false, 2 * time.Second, time.Minute},
		{"refused", []Step{step(0, event.ActionRequested), step(1, event.ApprovalRequested), step(61, event.ApprovalDenied, decision(event.Deny), took(59*time.Second))}, Denied, false, 0, 59 * time.Second},
		{"nobody answered", []Step{step(0, event.ActionRequested), step(1, event.ApprovalRequested), step(61, event.ApprovalExpired, decision(event.Deny))}, Denied, false, 0, time.Minute},
		{"nobody answered, and it may run", []Step{step(0, event.ActionRequested), step(1, event.ApprovalRequested), step(61, event.ApprovalExpired, decision(event.Allow))}, Allowed, false, 0, time.Minute},
		{"it ran although it had been denied", []Step{step(0, event.ActionRequested), step(1, event.ActionDenied, decision(event.Deny)), step(2, event.ActionExecuted)}, Executed, true, 2 * time.Second, 0},
		{"it failed although it had been denied", []Step{step(0, event.ActionRequested), step(1, event.ApprovalDenied, decision(event.Deny)), step(2, event.ActionFailed)}, Failed, true, 2 * time.Second, 0},
		{"denied at first, then approved", []Step{
			step(0, event.ActionRequested), step(1, event.ActionDenied, decision(event.Deny)), step(2, event.ApprovalGranted, decision(event.Allow)), step(3, event.ActionExecuted),
		}, Executed, false, time.Second, 0},
		{"the question was withdrawn", []Step{step(0, event.ActionRequested), step(1, event.ApprovalRequested), step(61, event.ApprovalCancelled)}, Unresolved, false, 0, 0},
		{"the approval was taken back", []Step{step(0, event.ActionRequested), step(1, event.ApprovalGranted, decision(event.Allow)), step(2, event.ApprovalRevoked), step(3, event.ActionExecuted)}, Executed, true, 2 * time.Second, 0},
		{"it ran although it had been denied, and was allowed afterwards", []Step{
			step(0, event.ActionRequested), step(1, event.ActionDenied, decision(event.Deny)), step(2, event.ActionExecuted), step(3, event.ApprovalGranted, decision(event.Allow)),
		}, Executed, true, 2 * time.Second, 0},
		{"a denial that comes late changes no outcome", []Step{step(0, event.ActionRequested), step(1, event.ActionExecuted), step(2, event.ActionDenied, decision(event.Deny))}, Executed, false, time.Second, 0},
		{"it ran again after that denial", []Step{
			step(0, event.ActionRequested), step(1, event.ActionExecuted), step(2, event.ActionDenied, decision(event.Deny)), step(3, event.ActionExecuted),
		}, Executed, true, time.Second, 0},
		{"a denial after it was cancelled", []Step{step(0, event.ActionRequested), step(1, event.ActionCancelled), step(2, event.ApprovalDenied, decision(event.Deny))}, Cancelled, false, time.Second, 0},
		{"a decision that comes late changes no outcome", []Step{step(0, event.ActionRequested), step(1, event.ActionExecuted), step(2, event.ActionValidated, decision(event.Allow))}, Executed, false, time.Second, 0},
		{"clocks that disagree give no negative duration", []Step{step(5, event.ActionRequested), step(3, event.ActionExecuted)}, Executed, false, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			items := Build(c.steps)
			if len(items) != 1 || items[0].Action == nil {
				t.Fatalf("items: %+v", items)
			}
			a := items[0].Action
			if a.Status != c.status || a.Against != c.against || a.Took() != c.took || a.Waited() != c.waited {
				t.Errorf("it is %s, against %v, took %v, waited %v", a.Status, a.Against, a.Took(), a.Waited())
			}
			if want := slices.Contains([]Status{Unresolved, Waiting, Allowed}, c.status); a.Status.Open() != want {
				t.Errorf("open: %v", !want)
			}
		})
	}
}

func TestDisputed(t *testing.T) {
	for severity, want := range map[event.Severity]bool{event.SeverityInfo: false, event.SeverityWarning: true} {
		items := Build([]Step{step(0, event.ActionRequested), step(1, event.ActionExecuted), step(2, event.ActionObserved, func(s *Step) { s.Severity = severity })})
		if a := items[0].Action; a.Disputed != want || a.Status != Executed {
			t.Errorf("%s: disputed %t, %s", severity, a.Disputed, a.Status)
		}
	}
}

func TestDeniedAfterwards(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []Step
		want  bool
	}{
		{"denied after it ran", []Step{step(0, event.ActionExecuted), step(1, event.ActionDenied, decision(event.Deny))}, true},
		{"denied by a validation after it failed", []Step{step(0, event.ActionFailed), step(1, event.ActionValidated, decision(event.Deny))}, true},
		{"denied after it was cancelled", []Step{step(0, event.ActionCancelled), step(1, event.ActionDenied, decision(event.Deny))}, false},
		{"its approval was taken back after it ran", []Step{step(0, event.ActionExecuted), step(1, event.ApprovalRevoked)}, false},
		{"allowed after it ran", []Step{step(0, event.ActionExecuted), step(1, event.ActionValidated, decision(event.Allow))}, false},
		{"denied, and then it ran", []Step{step(0, event.ActionDenied, decision(event.Deny)), step(1, event.ActionExecuted)}, false},
	} {
		if a := Build(c.steps)[0].Action; a.Disputed != c.want {
			t.Errorf("%s: disputed %t", c.name, a.Disputed)
		}
	}
}

func TestBuild(t *testing.T) {
	at := func(index uint64, seconds int, action string, typ event.Type) Step {
		return Step{Index: index, Time: start.Add(time.Duration(seconds) * time.Second), Type: typ, ActionID: action}
	}
	items := Build([]Step{
		at(0, 9, "", event.TurnEnded), // recorded first, happened last
		at(1, 1, "x", event.ActionRequested),
		at(2, 2, "y", event.ActionRequested),
		at(3, 2, "", event.BudgetWarning), // as early as y, recorded later
		at(4, 3, "x", "tool_progress"),
		at(5, 4, "x", event.ActionExecuted),
		at(6, 5, "z", "tool_progress"), // of an action that is not in the steps
		at(7, 6, "", "free_text"),
		at(8, 7, "y", event.CheckpointCreated),
	})
	var got []string
	for i := range items {
		s := string(items[i].Time().Format("05")) + " "
		if a := items[i].Action; a != nil {
			s += a.ID + " " + string(a.Status) + strings.Repeat(" +", a.Other)
		} else {
			s += string(items[i].Step.Type)
		}
		got = append(got, s)
	}
	want := []string{"01 x executed +", "02 y unresolved +", "02 budget_warning", "06 free_text", "09 turn_ended"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if i := items[2].Index(); i != 3 {
		t.Errorf("index %d", i)
	}
}

func entry(t *testing.T, e event.Event) *custody.Entry {
	t.Helper()
	e.ID, e.Timestamp = "id", start
	payload, err := e.AppendPayload(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &custody.Entry{Index: 7, Time: start.Add(time.Hour), Type: e.Type, Payload: payload}
}

func TestSummary(t *testing.T) {
	m := func(kv ...any) map[string]any {
		d := map[string]any{}
		for i := 0; i < len(kv); i += 2 {
			d[kv[i].(string)] = kv[i+1]
		}
		return d
	}
	long := strings.Repeat("ä", 1000)
	for _, c := range []struct {
		typ     event.Type
		details map[string]any
		want    string
	}{
		{event.ActionRequested, m("tool_name", "Bash", "input", m("command", "ls -l", "description", "list")), "Bash: ls -l"},
		{event.ActionRequested, m("tool_name", "Read", "resource", "/srv/a/b.txt", "cwd", "/srv/a"), "Read: b.txt"},
		{event.ActionRequested, m("tool_name", "Read", "resource", "/srv/ab/b.txt", "cwd", "/srv/a"), "Read: /srv/ab/b.txt"},
		{event.ActionRequested, m("tool_name", "Read", "resource", "/srv/a/", "cwd", "/srv/a"), "Read: /srv/a/"},
		{event.ActionRequested, m("tool_name", "Fetch", "input_digest", "sha256:00"), "Fetch"},
		{event.ActionRequested, m("input", "not an object"), ""},
		{event.ActionDenied, m("tool_name", "Bash", "reasons", []any{"one", "two", 3}), "Bash - one; two"},
		{event.ActionFailed, m("tool_name", "Bash", "error", "exit status 1"), "Bash - exit status 1"},
		{event.ApprovalGranted, m("decided_by", "operator", "reason", "reviewed"), "by operator: reviewed"},
		{event.ApprovalRequested, m("approval_id", "p", "input_digest", "sha256:00"), ""},
		{event.BudgetWarning, m("scope", "session", "current_usage", 195000, "limit", 200000, "unit", "tokens", "usage_percent", 97.5), "session: 97.5 % of 200000 tokens"},
		{event.BudgetWarning, m("scope", "agent", "current_usage", 81, "limit", 100, "unit", "usd", "usage_percent", 81), "agent: 81 % of 100 usd"},
		{event.BudgetExceeded, m("scope", "agent", "current_usage", 5, "limit", 0, "unit", "usd"), "agent: 5 of 0 usd"},
		{event.BudgetChanged, m("scope", "agent", "old_limit", 5, "new_limit", 7.5), "agent: 5 to 7.5"},
		{event.EmergencyStop, m("stop_type", "global", "reason", "enough", "triggered_by", "operator", "affected_agents", []any{"a", "b"}), "global: enough - stops a, b - by operator"},
		{event.EmergencyStopCleared, m("cleared_by", "operator", "reason", "fixed"), "by operator: fixed"},
		{event.SessionStarted, m("agent_product", "gate", "agent_version", "1.2", "model", "m"), "gate 1.2, m"},
		{event.TurnStarted, m("prompt", "do it"), "do it"},
		{event.TurnStarted, m("prompt_chars", 12), "a prompt of 12 characters"},
		{event.TurnEnded, m("status", "completed"), "completed"},
		{event.PermissionModeChanged, m("from_mode", "default", "to_mode", "plan"), "default to plan"},
		{event.KeyRotated, m("by", "operator", "reason", "a year", "statement", "x"), "by operator: a year"},
		{event.LogRecovered, m("cut_bytes", 12), "12 bytes of an unfinished write were cut off"},
		{event.ClockStepped, m("what", "backward", "step_ms", -1500), "backward by -1500 ms"},
		{event.DiskSpaceLow, m("free_bytes", 1000), "1000 bytes left on the disk"},
		{event.ToolServerFailed, m("server", "github", "error", "refused"), "github: refused"},
		{event.PolicyViolation, m("policy_id", "p", "rule", "no network", "enforced", true), "no network"},
		{"my_own", m("text", "free"), "free"},
		{"my_own", m("b", 2, "a", true, "c", m("x", 1), "d", "four", "e", "five", "f", "six"), "a=true b=2 d=four e=five"},
		{"my_own", nil, ""},
		{event.TurnStarted, m("prompt", long), long[:maxText] + "…"},
	} {
		s, err := StepOf(entry(t, event.Event{Type: c.typ, Details: c.details}))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Summary(); got != c.want {
			t.Errorf("%s %v: %q, want %q", c.typ, c.details, got, c.want)
		}
	}
}

func TestStepOf(t *testing.T) {
	e := entry(t, event.Event{Type: event.ActionExecuted, AgentID: "agent", ActionID: "a", SessionID: "s", UserID: "u", Outcome: event.OutcomeSuccess,
		Severity: event.SeverityInfo, OccurredAt: start.Add(-time.Hour), Details: map[string]any{"execution_time_ms": json.Number("1.5")}})
	s, err := StepOf(e)
	if err != nil {
		t.Fatal(err)
	}
	want := Step{Index: 7, Recorded: start.Add(time.Hour), Time: start.Add(-time.Hour), Type: event.ActionExecuted, Severity: event.SeverityInfo,
		ActionID: "a", AgentID: "agent", SessionID: "s", UserID: "u", Outcome: event.OutcomeSuccess, Took: 1500 * time.Microsecond}
	if s != want {
		t.Errorf("got %+v\nwant %+v", s, want)
	}

	for _, ms := range []string{"-5", "1e300", "1e400"} {
		if d := (details{"wait_ms": json.Number(ms)}).milliseconds("wait_ms"); d != 0 {
			t.Errorf("%s ms are %v", ms, d)
		}
	}

	e.Payload = nil
	if s, err = StepOf(e); err != nil || !s.Erased || s.Type != event.ActionExecuted || !s.Time.Equal(e.Time) {
		t.Errorf("without its payload: %+v, %v", s, err)
	}
	e.Payload = []byte("{")
	if _, err = StepOf(e); err == nil || !strings.Contains(err.Error(), "entry 7") {
		t.Errorf("a payload that cannot be read: %v", err)
	}
}
