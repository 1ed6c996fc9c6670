// Package hooks reads what agents tell their hooks, and writes the answers that they
// expect.
//
// A hook of an agent is a program or an address that the agent calls before and after
// what it does, with one JSON object. [Parse] makes sightings of it, whatever it says:
// members that are not known stay in the details under their names, and an event of the
// agent that is not known becomes one of a type that is not registered.
package hooks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// MaxPayload is how many bytes the payload of an event has at most. The longest strings
// of what is larger are cut, and the event says so.
const MaxPayload = 1_000_000

// Report is what an agent told a hook.
type Report struct {
	// Product is the agent, such as "claude-code".
	Product string

	// Event is the name that the agent gives what happened, such as "PreToolUse".
	Event string

	Sightings []sighting.Sighting
}

// product is how to read what one agent tells.
type product struct {
	read   func(*message) (name string, seen []sighting.Sighting)
	answer answers
}

var products = map[string]product{
	"claude-code":   {claude, claudeAnswers},
	"codex":         {codex, codexAnswers},
	"cursor":        {cursor, cursorAnswers},
	"gemini":        {gemini, geminiAnswers},
	"copilot":       {copilot, copilotAnswers},
	"openai-agents": {openAI, answers{}},
}

// Products returns the names of the agents that are known.
func Products() []string { return slices.Sorted(maps.Keys(products)) }

// Parse reads what an agent told its hook. name is the event that the hook is for, where
// the agent does not say it in the body. It fails where the product is none of
// [Products], where the body is no JSON object (the error says at which byte), and where
// it tells of too much at once.
func Parse(product, name string, body []byte) (*Report, error) {
	p, ok := products[product]
	if !ok {
		return nil, fmt.Errorf("there is no agent %.40q; there are %s", product, strings.Join(Products(), ", "))
	}
	object, defects, err := ingest.ParseObject(body)
	if err != nil {
		return nil, err
	}
	m := &message{product: product, path: product + "/hook", name: name, object: object, rest: maps.Clone(object)}
	r := &Report{Product: product}
	if r.Event, r.Sightings = p.read(m); m.fault != nil {
		return nil, m.fault
	}
	for i := range r.Sightings {
		e := &r.Sightings[i].Event
		e.Defects = append(e.Defects, defects...)
		if ingest.Fit(e, MaxPayload, typeOf(r.Event)) != nil {
			r.Sightings[i].Mapped = false
		}
	}
	return r, nil
}

// InProject says which project the agent works in: no agent tells its hooks. Empty says
// nothing.
func (r *Report) InProject(id string) {
	for i := range r.Sightings {
		r.Sightings[i].Event.ProjectID = id
	}
}

// message is what an agent tells, while it is read.
type message struct {
	product, path string
	name          string // of the event, where the body does not say it
	object        map[string]any
	rest          map[string]any // of it: what no event has yet
	fault         error          // why it is not read
}

// take returns a string of the object, which then is not kept a second time.
func (m *message) take(names ...string) string {
	for _, name := range names {
		if v := ingest.Text(m.object, name); v != "" {
			delete(m.rest, name)
			return v
		}
	}
	return ""
}

// takeValue is take for any value.
func (m *message) takeValue(name string) any {
	delete(m.rest, name)
	return m.object[name]
}

// move gives a member of the object another name among the details.
func (m *message) move(from, to string) {
	if v, there := m.rest[from]; there && m.rest[to] == nil {
		delete(m.rest, from)
		m.rest[to] = v
	}
}

// base returns an event with what all events of the message have.
func (m *message) base(t event.Type) event.Event {
	e := event.Event{Type: t, Source: m.path, AgentID: m.product, Details: map[string]any{"agent_product": m.product}}
	e.SessionID = m.take("session_id", "sessionId")
	e.OccurredAt = ingest.Time(m.take("timestamp"))
	return e
}

// event returns the sighting of what is no call, with all of the message.
func (m *message) event(e event.Event) sighting.Sighting {
	maps.Copy(e.Details, m.rest)
	return sighting.Sighting{Event: e, Mapped: true}
}

// unknown returns the sighting of an event of the agent that is not known.
func (m *message) unknown(e event.Event, name string) sighting.Sighting {
	e.Type = typeOf(name)
	s := m.event(e)
	s.Mapped = false
	return s
}

// joined are the details by which the events of a call are joined. What an agent calls by
// such a name has the prefix agent_.
var joined = []string{"approval_id", "call_id", "contradicts", "endless", "event_type", "input_digest", "step"}

// call returns the sighting of a call, with all of the message.
func (m *message) call(e event.Event, c sighting.Call) sighting.Sighting {
	c.Session = e.SessionID
	c.Describe(e.Details)
	for name, v := range m.rest {
		if slices.Contains(joined, name) {
			name = "agent_" + name
		}
		e.Details[name] = v
	}
	return sighting.Sighting{Event: e, Call: &c, Mapped: true}
}

// input keeps the input of a tool, and returns its digest.
func (m *message) input(e *event.Event, v any) string {
	if v == nil {
		return ""
	}
	e.Details["input"] = v
	object, _ := v.(map[string]any)
	if text, ok := v.(string); ok {
		object, _, _ = ingest.ParseObject([]byte(text))
	}
	if r := ingest.Resource(object); r != "" {
		e.Details["resource"] = r
	}
	return sighting.Input(v)
}

// output keeps the output of a tool.
func (m *message) output(e *event.Event, v any) {
	if v != nil {
		e.Details["output"] = v
		ingest.SetOutput(e.Details, v)
	}
}

// prompt sets what a turn began with.
func (m *message) prompt(e *event.Event) {
	text := m.take("prompt")
	e.Details["prompt"] = text
	e.Details["prompt_digest"] = ingest.TextDigest(text)
	e.Details["prompt_chars"] = utf8.RuneCountInString(text)
}

// turnEnd makes e the end of a turn.
func (m *message) turnEnd(e event.Event, status string, messages ...string) sighting.Sighting {
	e.Type = event.TurnEnded
	e.Details["status"] = status
	if text := m.take(messages...); text != "" {
		e.Details["last_message"] = text
		e.Details["last_message_digest"] = ingest.TextDigest(text)
	}
	s := m.event(e)
	s.Ends = sighting.Turn
	return s
}

// common returns the sighting of what all agents tell in much the same way, if it is that.
func (m *message) common(name string, e event.Event) (sighting.Sighting, bool) {
	switch name {
	case "SessionStart", "sessionStart":
		e.Type = event.SessionStarted
	case "SessionEnd", "sessionEnd":
		return m.sessionEnd(e), true
	case "UserPromptSubmit", "BeforeAgent", "beforeSubmitPrompt", "userPromptSubmitted":
		e.Type = event.TurnStarted
		m.prompt(&e)
	case "SubagentStart", "subagentStart", "SubagentStop", "subagentStop":
		e.Type = event.SubagentStarted
		if strings.HasSuffix(name, "Stop") {
			e.Type = event.SubagentStopped
		}
		e.Details["parent_agent_id"] = m.product
	default:
		return sighting.Sighting{}, false
	}
	return m.event(e), true
}

// sessionEnd makes e the end of a session.
func (m *message) sessionEnd(e event.Event) sighting.Sighting {
	e.Type = event.SessionEnded
	s := m.event(e)
	s.Ends = sighting.Session
	return s
}

// typeOf returns the type of an event that the agent calls by a name that is not known:
// "PreCompact" is hook_pre_compact.
func typeOf(name string) event.Type {
	var b strings.Builder
	b.WriteString("hook")
	for i, r := range name {
		switch {
		case b.Len() > 60:
		case unicode.IsUpper(r) && r < utf8.RuneSelf:
			b.WriteByte('_')
			b.WriteRune(unicode.ToLower(r))
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			if i == 0 {
				b.WriteByte('_')
			}
			b.WriteRune(r)
		}
	}
	if b.Len() == len("hook") {
		return "hook_unknown"
	}
	return event.Type(b.String())
}
