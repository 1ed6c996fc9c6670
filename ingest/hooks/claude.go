package hooks

import (
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// claude reads what Claude Code tells (hooks reference of August 2026). Codex and VS
// Code tell much the same.
func claude(m *message) (string, []sighting.Sighting) {
	name := m.take("hook_event_name")
	if name == "" {
		name = m.name
	}
	e := m.base("")
	e.CorrelationID = m.take("prompt_id", "turn_id")
	if id := m.take("agent_id"); id != "" {
		e.AgentID = id
	}
	if s, ok := m.common(name, e); ok {
		return name, []sighting.Sighting{s}
	}
	return name, []sighting.Sighting{m.claudeEvent(name, e)}
}

func (m *message) claudeEvent(name string, e event.Event) sighting.Sighting {
	switch name {
	case "Stop":
		return m.turnEnd(e, "completed", "last_assistant_message")
	case "StopFailure":
		return m.turnEnd(e, "error", "last_assistant_message")
	case "ConfigChange":
		e.Type = event.ConfigChanged
		m.move("file_path", "file")
		return m.event(e)
	case "Elicitation", "ElicitationResult":
		e.Type = event.UserInputRequested
		if name == "ElicitationResult" {
			e.Type = event.UserInputGiven
		}
		m.move("mcp_server_name", "server")
		return m.event(e)
	case "PreToolUse", "PermissionRequest", "PermissionDenied", "PostToolUse", "PostToolUseFailure":
		return m.claudeCall(name, e)
	}
	return m.unknown(e, name)
}

func (m *message) claudeCall(name string, e event.Event) sighting.Sighting {
	c := sighting.Call{ID: m.take("tool_use_id"), Tool: m.take("tool_name")}
	c.Input = m.input(&e, m.takeValue("tool_input"))
	m.move("duration_ms", "execution_time_ms")
	switch name {
	case "PreToolUse":
		e.Type, c.Phase = event.ActionRequested, sighting.Requested
	case "PermissionRequest":
		e.Type, c.Phase = event.ApprovalRequested, sighting.Asked
	case "PermissionDenied":
		e.Type, c.Phase = event.ActionDenied, sighting.Decided
		e.Decision, e.DecisionSource, e.Outcome = event.Deny, event.ByClassifier, event.OutcomeDenied
		m.reasons(&e, "reason")
	case "PostToolUse":
		response := m.takeValue("tool_response")
		m.output(&e, response)
		e.Type, c.Phase, e.Outcome = event.ActionExecuted, sighting.Finished, event.OutcomeSuccess
		if object, _ := response.(map[string]any); object["interrupted"] == true {
			e.Outcome = event.OutcomeCancelled
		}
	case "PostToolUseFailure":
		e.Type, c.Phase, e.Outcome = event.ActionFailed, sighting.Finished, event.OutcomeFailure
		e.Details["layer"] = "tool"
		if m.takeValue("is_interrupt") == true {
			e.Type, e.Outcome = event.ActionCancelled, event.OutcomeCancelled
			e.Details["cancelled_by"] = "user"
		}
	}
	return m.call(e, c)
}

// reasons sets why something was denied.
func (m *message) reasons(e *event.Event, names ...string) {
	if why := m.take(names...); why != "" {
		e.Details["reasons"] = []any{why}
	} else {
		e.Details["reasons"] = []any{"the agent gave none"}
	}
}

// codex reads what Codex tells, and what its setting notify hands over.
func codex(m *message) (string, []sighting.Sighting) {
	kind := ingest.Text(m.object, "type")
	if kind == "" || ingest.Text(m.object, "hook_event_name") != "" {
		return claude(m)
	}
	m.take("type")
	e := m.base("")
	e.SessionID, e.CorrelationID = m.take("thread-id"), m.take("turn-id")
	if kind == "agent-turn-complete" {
		return kind, []sighting.Sighting{m.turnEnd(e, "completed", "last-assistant-message")}
	}
	return kind, []sighting.Sighting{m.unknown(e, kind)}
}
