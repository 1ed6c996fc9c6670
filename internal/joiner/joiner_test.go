package joiner_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/joiner"
)

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// sees is a sighting in a few words. Its time is in seconds after the start.
type sees struct {
	at      float64
	path    string
	kind    event.Type
	call    string // "session tool input", and perhaps "#id"
	source  event.DecisionSource
	outcome event.Outcome
	took    int
	ends    sighting.Ending
}

func (s sees) sighting() (time.Time, sighting.Sighting) {
	at := start.Add(time.Duration(s.at * float64(time.Second)))
	e := event.Event{Type: s.kind, Source: s.path, OccurredAt: at, DecisionSource: s.source, Outcome: s.outcome}
	fields := strings.Fields(s.call)
	if len(fields) > 0 && fields[0] != "-" {
		e.SessionID = fields[0]
	}
	phase, isCall := sighting.PhaseOf(s.kind)
	if !isCall {
		return at, sighting.Sighting{Event: e, Ends: s.ends}
	}
	c := &sighting.Call{Session: e.SessionID, Tool: fields[1], Phase: phase}
	if fields[2] != "-" {
		c.Input = fields[2]
	}
	if len(fields) > 3 {
		c.ID = fields[3][1:]
	}
	e.Details = map[string]any{}
	c.Describe(e.Details)
	if s.took > 0 {
		e.Details["execution_time_ms"] = s.took
	}
	switch s.kind {
	case event.ActionDenied:
		e.Decision = event.Deny
	case event.ActionValidated:
		e.Decision = event.Allow
	}
	return at, sighting.Sighting{Event: e, Call: c, Ends: s.ends}
}

// line tells an event in a few words.
func line(e *event.Event) string {
	words := []string{e.ActionID, string(e.Type)}
	if e.DecisionSource != "" {
		words = append(words, "by "+string(e.DecisionSource))
	}
	if e.Outcome != "" {
		words = append(words, string(e.Outcome))
	}
	for _, name := range []string{"execution_time_ms", "step", "contradicts", "closed_by"} {
		if v := e.Details[name]; v != nil {
			words = append(words, fmt.Sprint(name, "=", v))
		}
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

// newJoiner returns a joiner that calls its actions A, B, …
func newJoiner(next byte) *joiner.Joiner {
	return joiner.New(joiner.Options{NewID: func() string { next++; return string('A' + next - 1) }})
}

const (
	hook = "claude-code/hook"
	otel = "claude-code/otel"
	mcp  = "mcp"
)

var stories = []struct {
	name string
	saw  []sees
	want []string
}{
	{"hooks and telemetry of a call that has an id", []sees{
		{at: 1, path: hook, kind: event.ActionRequested, call: "s Bash i1 #toolu_1"},
		{at: 2, path: hook, kind: event.ActionExecuted, call: "s Bash i1 #toolu_1", outcome: event.OutcomeSuccess},
		{at: 1.5, path: otel, kind: event.ActionValidated, call: "s Bash - #toolu_1", source: event.ByConfigRule},
		{at: 2, path: otel, kind: event.ActionExecuted, call: "s Bash - #toolu_1", outcome: event.OutcomeSuccess, took: 39},
	}, []string{
		"toolu_1 action_requested",
		"toolu_1 action_executed success",
		"toolu_1 action_validated by config_rule",
		"toolu_1 action_observed success execution_time_ms=39 step=action_executed",
	}},
	{"a denial that telemetry alone shows", []sees{
		{at: 1, path: hook, kind: event.ActionRequested, call: "s Bash i1 #toolu_1"},
		{at: 2, path: hook, kind: event.TurnEnded, call: "s", ends: sighting.Turn},
		{at: 1.2, path: otel, kind: event.ActionDenied, call: "s Bash - #toolu_1", source: event.ByUserReject},
		{at: 60},
	}, []string{
		"toolu_1 action_requested",
		"turn_ended",
		"toolu_1 action_denied by user_reject",
	}},
	{"a denial without a request", []sees{
		{at: 1, path: otel, kind: event.ActionDenied, call: "s Bash - #toolu_1", source: event.ByConfigRule},
		{at: 7200},
	}, []string{"toolu_1 action_denied by config_rule"}},
	{"somebody is asked, and telemetry says what they answered", []sees{
		{at: 1, path: hook, kind: event.ActionRequested, call: "s Bash i1 #toolu_1"},
		{at: 2, path: hook, kind: event.ActionRequested, call: "s Bash i1 #toolu_2"},
		{at: 3, path: hook, kind: event.ApprovalRequested, call: "s Bash i1"},
		{at: 4, path: otel, kind: event.ActionValidated, call: "s Bash - #toolu_2", source: event.ByUserAlways},
	}, []string{
		"toolu_1 action_requested",
		"toolu_2 action_requested",
		"toolu_2 approval_requested",
		"toolu_2 approval_granted by user_always",
		"toolu_2 action_validated by user_always",
	}},
	{"the same call twice at the same time, without ids", []sees{
		{at: 1, path: hook, kind: event.ActionRequested, call: "s write i1"},
		{at: 2, path: hook, kind: event.ActionRequested, call: "s write i1"},
		{at: 3, path: hook, kind: event.ActionExecuted, call: "s write i1", outcome: event.OutcomeSuccess},
		{at: 4, path: hook, kind: event.ActionFailed, call: "s write i1", outcome: event.OutcomeFailure},
		{at: 3, path: otel, kind: event.ActionValidated, call: "s write i1", source: event.ByDefault},
		{at: 3, path: otel, kind: event.ActionExecuted, call: "s write i1", outcome: event.OutcomeSuccess},
		{at: 4, path: otel, kind: event.ActionValidated, call: "s write i1", source: event.ByDefault},
		{at: 4, path: otel, kind: event.ActionFailed, call: "s write i1", outcome: event.OutcomeFailure},
	}, []string{
		"A action_requested", "B action_requested", "A action_executed success", "B action_failed failure",
		"A action_validated by default", "B action_validated by default",
	}},
	{"a call of an MCP server, whose recorder knows no session and no id", []sees{
		{at: 1, path: hook, kind: event.ActionRequested, call: "s mcp__files__read i1 #toolu_1"},
		{at: 1.1, path: mcp, kind: event.ActionRequested, call: "- read i1"},
		{at: 1.2, path: mcp, kind: event.ActionFailed, call: "- read i1", outcome: event.OutcomeFailure},
		{at: 1.3, path: hook, kind: event.ActionExecuted, call: "s mcp__files__read i1 #toolu_1", outcome: event.OutcomeSuccess},
		{at: 9, path: mcp, kind: event.ActionRequested, call: "- read i1"},
	}, []string{
		"toolu_1 action_requested",
		"toolu_1 action_failed failure",
		"toolu_1 action_observed success step=action_failed contradicts=[event_type outcome]",
		"A action_requested",
	}},
	{"the recorder first, then telemetry with an id", []sees{
		{at: 1, path: mcp, kind: event.ActionRequested, call: "- read i1"},
		{at: 2, path: mcp, kind: event.ActionExecuted, call: "- read i1", outcome: event.OutcomeSuccess},
		{at: 2, path: otel, kind: event.ActionValidated, call: "s mcp__files__read i1 #toolu_9", source: event.ByUserOnce},
		{at: 2, path: otel, kind: event.ActionExecuted, call: "s mcp__files__read i1 #toolu_9", outcome: event.OutcomeSuccess},
	}, []string{
		"A action_requested", "A action_executed success", "A action_validated by user_once",
	}},
	{"ids that are those of one session only", []sees{
		{at: 1, path: "codex/hook", kind: event.ActionRequested, call: "s1 Bash i1 #call_1"},
		{at: 2, path: "codex/hook", kind: event.ActionRequested, call: "s2 Bash i1 #call_1"},
		{at: 3, path: "codex/otel", kind: event.ActionExecuted, call: "s2 exec_command - #call_1", outcome: event.OutcomeSuccess},
	}, []string{
		"s1/call_1 action_requested", "s2/call_1 action_requested", "s2/call_1 action_executed success",
	}},
	{"an id that another session has as well", []sees{
		{at: 1, path: hook, kind: event.ActionRequested, call: "s1 Bash i1 #toolu_1"},
		{at: 2, path: hook, kind: event.ActionRequested, call: "s2 Bash i1 #toolu_1"},
		{at: 3, path: hook, kind: event.ActionFailed, call: "s2 Bash i1 #toolu_1", outcome: event.OutcomeFailure},
		{at: 4, path: hook, kind: event.ActionExecuted, call: "s1 Bash i1 #toolu_1", outcome: event.OutcomeSuccess},
		{at: 7200}, // none of them is open
	}, []string{"toolu_1 action_requested", "s2/toolu_1 action_requested", "s2/toolu_1 action_failed failure", "toolu_1 action_executed success"}},
	{"a path that says otherwise than before", []sees{
		{at: 1, path: hook, kind: event.ActionRequested, call: "s Bash i1 #toolu_1"},
		{at: 2, path: hook, kind: event.ActionValidated, call: "s Bash i1 #toolu_1", source: event.ByConfigRule},
		{at: 2, path: hook, kind: event.ActionValidated, call: "s Bash i1 #toolu_1", source: event.ByConfigRule},
		{at: 3, path: hook, kind: event.ActionDenied, call: "s Bash i1 #toolu_1", source: event.ByConfigRule},
		{at: 3, path: hook, kind: event.ActionDenied, call: "s Bash i1 #toolu_1", source: event.ByConfigRule},
		{at: 4, path: hook, kind: event.ActionRequested, call: "s Bash i2 #toolu_1"},
	}, []string{
		"toolu_1 action_requested",
		"toolu_1 action_validated by config_rule",
		"toolu_1 action_observed by config_rule step=action_validated contradicts=[event_type decision]",
		"toolu_1 action_observed step=action_requested contradicts=[input_digest]",
	}},
	{"a later call like one that is over is another one", []sees{
		{at: 1, path: hook, kind: event.ActionRequested, call: "s write i1"},
		{at: 2, path: hook, kind: event.ActionExecuted, call: "s write i1", outcome: event.OutcomeSuccess},
		{at: 30, path: mcp, kind: event.ActionRequested, call: "- write i1"},
	}, []string{
		"A action_requested", "A action_executed success", "B action_requested",
	}},
	{"nothing tells how it ended: end of the session, and too long", []sees{
		{at: 1, path: hook, kind: event.ActionRequested, call: "s Bash i1 #toolu_1"},
		{at: 2, path: hook, kind: event.SessionEnded, call: "s", ends: sighting.Session},
		{at: 3, path: hook, kind: event.ActionRequested, call: "other Bash i1 #toolu_2"},
		{at: 10},
		{at: 18},
		{at: 3604},
		{at: 3610, path: hook, kind: event.ActionExecuted, call: "other Bash i1 #toolu_2", outcome: event.OutcomeSuccess},
	}, []string{
		"toolu_1 action_requested", "session_ended", "toolu_2 action_requested",
		"toolu_1 action_unresolved unknown closed_by=session_end",
		"toolu_2 action_unresolved unknown closed_by=timeout",
		"toolu_2 action_executed success",
	}},
}

func TestJoin(t *testing.T) {
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			// As it comes, and with a restart after every step.
			for restart := range 2 {
				j := newJoiner(0)
				var recorded []event.Event
				var when []time.Time
				var got []string
				made := byte(0)
				for _, s := range story.saw {
					at, seen := s.sighting()
					now := at // of arrival: telemetry comes late
					if len(when) > 0 && now.Before(when[len(when)-1]) {
						now = when[len(when)-1].Add(time.Millisecond)
					}
					var events []event.Event
					if s.kind == "" {
						events = j.Unresolved(now)
					} else {
						events = j.Join(now, seen)
					}
					for _, e := range events {
						got = append(got, line(&e))
						if len(e.ActionID) == 1 {
							made = max(made, e.ActionID[0]-'A'+1)
						}
						recorded, when = append(recorded, e), append(when, now)
					}
					if restart == 1 {
						j = newJoiner(made)
						for i := range recorded {
							j.Replay(&recorded[i], when[i])
						}
					}
				}
				if g, w := strings.Join(got, "\n"), strings.Join(story.want, "\n"); g != w {
					t.Errorf("restarts: %d\ngot\n%s\n\nwant\n%s", restart, g, w)
				}
			}
		})
	}
}

// TestTooMany tells of the calls that are forgotten although they are open.
func TestTooMany(t *testing.T) {
	j := newJoiner(0)
	j.SetMost(2)
	for i := range 5 { // before the last one there are four
		at, seen := sees{path: hook, kind: event.ActionRequested, call: fmt.Sprintf("s tool%d i #toolu_%d", i, i)}.sighting()
		j.Join(at, seen)
	}
	var got []string
	for _, e := range j.Unresolved(start) {
		got = append(got, line(&e))
	}
	if want := "toolu_0 action_unresolved unknown closed_by=too_many\ntoolu_1 action_unresolved unknown closed_by=too_many"; strings.Join(got, "\n") != want {
		t.Errorf("got %q", got)
	}
	if again := j.Unresolved(start); again != nil {
		t.Errorf("told again: %v", again)
	}
}

// TestAnswerNumber: the answer that follows from a decision has not its number.
func TestAnswerNumber(t *testing.T) {
	j := newJoiner(0)
	n := uint64(7)
	for _, s := range []sees{
		{at: 1, path: hook, kind: event.ActionRequested, call: "s Bash i1 #toolu_1"},
		{at: 2, path: hook, kind: event.ApprovalRequested, call: "s Bash i1 #toolu_1"},
	} {
		j.Join(s.sighting())
	}
	at, seen := sees{at: 3, path: otel, kind: event.ActionDenied, call: "s Bash i1 #toolu_1", source: event.ByUserReject}.sighting()
	seen.Event.SourceSeq = &n
	events := j.Join(at, seen)
	if len(events) != 2 || events[0].Type != event.ApprovalDenied || events[0].SourceSeq != nil || events[1].SourceSeq != &n {
		t.Errorf("got %+v", events)
	}
}
