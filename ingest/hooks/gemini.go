package hooks

import (
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// gemini reads what Gemini CLI tells. Its calls have no ids.
func gemini(m *message) (string, []sighting.Sighting) {
	name := m.take("hook_event_name")
	if name == "" {
		name = m.name
	}
	e := m.base("")
	if s, ok := m.common(name, e); ok {
		return name, []sighting.Sighting{s}
	}
	one := func(s sighting.Sighting) (string, []sighting.Sighting) { return name, []sighting.Sighting{s} }
	switch name {
	case "AfterAgent":
		return one(m.turnEnd(e, "completed", "prompt_response"))
	case "BeforeTool", "AfterTool":
		c := sighting.Call{Tool: m.take("tool_name")}
		c.Input = m.input(&e, m.takeValue("tool_input"))
		if server := ingest.Text(m.object, "mcp_context", "server_name"); server != "" {
			e.Details["server"] = server
		}
		if name == "BeforeTool" {
			e.Type, c.Phase = event.ActionRequested, sighting.Requested
			return one(m.call(e, c))
		}
		response := m.takeValue("tool_response")
		m.output(&e, response)
		e.Type, e.Outcome, c.Phase = event.ActionExecuted, event.OutcomeSuccess, sighting.Finished
		if object, _ := response.(map[string]any); object["error"] != nil {
			e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
			e.Details["error"], e.Details["layer"] = describe(object["error"]), "tool"
		}
		return one(m.call(e, c))
	case "Notification":
		if m.object["notification_type"] != "ToolPermission" {
			break
		}
		e.Type = event.ApprovalRequested
		c := sighting.Call{Tool: ingest.Text(m.object, "details", "toolName"), Phase: sighting.Asked}
		if c.Tool == "" {
			c.Tool = ingest.Text(m.object, "details", "tool_name")
		}
		return one(m.call(e, c))
	}
	return one(m.unknown(e, name))
}

// describe returns an error as text.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		if s := ingest.Text(v, "message"); s != "" {
			return s
		}
	}
	b, err := event.AppendJSON(nil, v)
	if err != nil {
		return "an error that cannot be told"
	}
	return ingest.Short(string(b), 4096)
}
