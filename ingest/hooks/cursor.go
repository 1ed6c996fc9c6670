package hooks

import (
	"strings"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// cursor reads what Cursor tells. Its calls have no ids but for the newer events
// preToolUse and postToolUse.
func cursor(m *message) (string, []sighting.Sighting) {
	name := m.take("hook_event_name")
	if name == "" {
		name = m.name
	}
	e := m.base("")
	e.SessionID, e.CorrelationID, e.UserID = m.take("conversation_id", "session_id"), m.take("generation_id"), m.take("user_email")
	if s, ok := m.common(name, e); ok {
		return name, []sighting.Sighting{s}
	}
	return name, []sighting.Sighting{m.cursorEvent(name, e)}
}

func (m *message) cursorEvent(name string, e event.Event) sighting.Sighting {
	switch name {
	case "stop":
		return m.turnEnd(e, m.take("status"))
	case "beforeShellExecution", "afterShellExecution":
		c := sighting.Call{Tool: "Shell"}
		c.Input = m.input(&e, map[string]any{"command": m.take("command")})
		return m.cursorCall(e, c, name, "output")
	case "beforeMCPExecution", "afterMCPExecution":
		c := sighting.Call{Tool: m.take("tool_name")}
		c.Input = m.input(&e, m.takeValue("tool_input"))
		return m.cursorCall(e, c, name, "result_json")
	case "beforeReadFile":
		c := sighting.Call{Tool: "Read", Phase: sighting.Requested, Endless: true}
		c.Input = m.input(&e, map[string]any{"file_path": m.take("file_path")})
		if content := m.take("content"); content != "" {
			e.Details["content_digest"] = ingest.TextDigest(content)
			e.Details["content_bytes"] = len(content)
		}
		e.Type = event.ActionRequested
		return m.call(e, c)
	case "afterFileEdit":
		c := sighting.Call{Tool: "Edit", Phase: sighting.Finished}
		c.Input = m.input(&e, map[string]any{"file_path": m.take("file_path"), "edits": m.takeValue("edits")})
		e.Type, e.Outcome = event.ActionExecuted, event.OutcomeSuccess
		return m.call(e, c)
	case "preToolUse", "postToolUse", "postToolUseFailure":
		return m.claudeCall(strings.ToUpper(name[:1])+name[1:], e)
	}
	return m.unknown(e, name)
}

// cursorCall returns the sighting of a call before or after it ran.
func (m *message) cursorCall(e event.Event, c sighting.Call, name, output string) sighting.Sighting {
	if strings.HasPrefix(name, "before") {
		e.Type, c.Phase = event.ActionRequested, sighting.Requested
		return m.call(e, c)
	}
	e.Type, c.Phase, e.Outcome = event.ActionExecuted, sighting.Finished, event.OutcomeSuccess
	result := m.takeValue(output)
	m.output(&e, result)
	if text, ok := result.(string); ok && output == "result_json" {
		if object, _, err := ingest.ParseObject([]byte(text)); err == nil && object["isError"] == true {
			e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
			e.Details["error"], e.Details["layer"] = "the tool says that it failed", "tool"
		}
	}
	m.move("duration", "execution_time_ms")
	return m.call(e, c)
}
