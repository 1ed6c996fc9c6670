package joiner

import (
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/sighting"
)

// told is a sighting of the call of a tool by whoever acts for an agent.
type told struct {
	agent string
	bound []string // the only agents of its sender
	path  string
	kind  event.Type
	call  string // the agent's id of it
	own   string // the path's id of it
	ends  sighting.Ending
}

func (s told) join(j *Joiner, now time.Time) []event.Event {
	e := event.Event{Type: s.kind, Source: s.path, AgentID: s.agent, SessionID: "s", ActionID: s.own, Details: map[string]any{"tool_name": "read"}}
	if s.kind == event.ActionDenied {
		e.Decision = event.Deny
	}
	seen := sighting.Sighting{Event: e, Ends: s.ends, Mapped: true}
	if phase, ok := sighting.PhaseOf(s.kind); ok {
		seen.Call = &sighting.Call{ID: s.call, Session: "s", Tool: "read", Input: "sha256:0", Phase: phase}
		seen.Call.Describe(seen.Event.Details)
	}
	return j.Join(now, seen, s.bound...)
}

// Whoever may act for one agent only adds nothing to the calls of another one, takes none
// from it and ends none, also by the ids that these have, and after a start.
func TestBoundSenders(t *testing.T) {
	a1, a2 := []string{"a1"}, []string{"a2"}
	wanted := told{"a2", a2, "x/hook", event.ActionRequested, "toolu_7", "", ""}
	ran := told{"a2", a2, "x/hook", event.ActionExecuted, "toolu_7", "", ""}
	byRecorder := told{"a2", a2, sighting.Recorder, event.ActionRequested, "", "m1", ""}
	recorded := told{"a2", a2, sighting.Recorder, event.ActionExecuted, "", "m1", ""}
	for _, tt := range []struct {
		name          string
		before, after []told // of a2
		others        []told // of a1, meanwhile
	}{
		{"the end", []told{wanted}, []told{ran}, []told{{"a1", a1, "x/hook", event.ActionExecuted, "toolu_7", "", ""}}},
		{"by another path", []told{wanted}, []told{ran}, []told{{"a1", a1, "y/otel", event.ActionFailed, "toolu_7", "", ""}}},
		{"a denial", []told{wanted}, []told{ran}, []told{{"a1", a1, "x/hook", event.ActionDenied, "toolu_7", "", ""}}},
		{"without an id", []told{wanted}, []told{ran}, []told{{"a1", a1, "y/otel", event.ActionExecuted, "", "", ""}}},
		{"by the id of the action", []told{wanted}, []told{ran}, []told{{"a1", a1, "y/otel", event.ActionExecuted, "", "toolu_7", ""}}},
		{"by the id of a path", []told{byRecorder}, []told{recorded}, []told{{"a1", a1, sighting.Recorder, event.ActionExecuted, "", "m1", ""}}},
		{"first, the id", nil, []told{wanted, ran}, []told{{"a1", a1, "x/hook", event.ActionRequested, "toolu_7", "", ""}, {"a1", a1, "x/hook", event.ActionDenied, "toolu_7", "", ""}}},
		{"first, the id of the later action", nil, []told{wanted, ran}, []told{{"a1", a1, sighting.Recorder, event.ActionExecuted, "", "a2/toolu_7", ""}, {"a1", a1, "x/hook", event.ActionExecuted, "toolu_7", "", ""}}},
		{"first, for somebody who is not bound", nil, []told{{"a2", nil, "x/hook", event.ActionRequested, "toolu_7", "", ""}, {"a2", nil, "x/hook", event.ActionExecuted, "toolu_7", "", ""}}, []told{{"a1", a1, "x/hook", event.ActionRequested, "toolu_7", "", ""}}},
		{"the end of the session", []told{wanted}, []told{ran}, []told{{"a1", a1, "x/hook", event.SessionEnded, "", "", sighting.Session}}},
	} {
		for _, restarted := range []bool{false, true} {
			if restarted && tt.before == nil {
				continue // it begins with what the others tell
			}
			name := tt.name
			if restarted {
				name += ", after a start"
			}
			t.Run(name, func(t *testing.T) {
				now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
				j := New(Options{Grace: time.Second})
				var ours []event.Event
				for _, s := range tt.before {
					ours = append(ours, s.join(j, now)...)
				}
				if restarted {
					j = New(Options{Grace: time.Second})
					for i := range ours {
						j.Replay(&ours[i], now)
					}
				}
				theirs := map[string]bool{}
				for _, s := range tt.others {
					for _, e := range s.join(j, now) {
						theirs[e.ActionID] = true
					}
				}
				now = now.Add(1500 * time.Millisecond)
				if all := j.Unresolved(now); len(all) > 0 {
					t.Errorf("calls of others are ended: %+v", all)
				}
				for _, s := range tt.after {
					ours = append(ours, s.join(j, now)...)
				}
				if len(ours) != 2 || ours[0].Type != event.ActionRequested || ours[1].Type != event.ActionExecuted || ours[0].ActionID != ours[1].ActionID || theirs[ours[0].ActionID] {
					t.Errorf("of a2 are recorded %+v; of a1 the actions %v", ours, theirs)
				}
			})
		}
	}
}

// Those who may act for an agent are joined, whether or not each says which one it is.
func TestBoundSendersOfOneAgent(t *testing.T) {
	for name, other := range map[string]told{
		"not bound":               {"a1", nil, "x/otel", event.ActionExecuted, "toolu_7", "", ""},
		"not bound, and no name":  {"", nil, "x/otel", event.ActionExecuted, "toolu_7", "", ""},
		"bound to more":           {"a1", []string{"a0", "a1"}, "x/otel", event.ActionExecuted, "toolu_7", "", ""},
		"bound, and another path": {"a1", []string{"a1"}, sighting.Recorder, event.ActionExecuted, "", "m1", ""},
	} {
		now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
		first := told{"a1", []string{"a1"}, "x/hook", event.ActionRequested, "toolu_7", "", ""}
		j := New(Options{})
		if all := append(first.join(j, now), other.join(j, now)...); len(all) != 2 || all[1].Type != event.ActionExecuted || all[1].ActionID != "toolu_7" {
			t.Errorf("%s: %+v", name, all)
		}
		first.kind, other.kind = other.kind, first.kind
		j = New(Options{})
		if all := append(other.join(j, now), first.join(j, now)...); len(all) != 2 || all[1].ActionID != all[0].ActionID {
			t.Errorf("%s, the other way round: %+v", name, all)
		}
	}
}
