package hooks

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// copilot reads what GitHub Copilot tells, and what VS Code does, which is as Claude
// Code has it. Copilot itself does not name the event, so that the hook has to, and its
// calls have no ids.
func copilot(m *message) (string, []sighting.Sighting) {
	if ingest.Text(m.object, "hook_event_name") != "" {
		return claude(m)
	}
	name := m.name
	if name == "" {
		name = m.guess()
	}
	ms, isNumber := m.object["timestamp"].(json.Number)
	e := m.base("")
	if n, err := ms.Int64(); isNumber && err == nil && n > 0 {
		e.OccurredAt = time.UnixMilli(n).UTC()
		delete(m.rest, "timestamp")
	}
	if s, ok := m.common(name, e); ok {
		return name, []sighting.Sighting{s}
	}
	return name, []sighting.Sighting{m.copilotEvent(name, e)}
}

// guess tells the event by what only it has.
func (m *message) guess() string {
	for _, v := range []struct{ member, name string }{
		{"toolResult", "postToolUse"}, {"toolName", "preToolUse"}, {"prompt", "userPromptSubmitted"}, {"error", "errorOccurred"},
		{"reason", "sessionEnd"}, {"source", "sessionStart"}, {"initialPrompt", "sessionStart"},
	} {
		if _, there := m.object[v.member]; there {
			return v.name
		}
	}
	return ""
}

func (m *message) copilotEvent(name string, e event.Event) sighting.Sighting {
	switch name {
	case "agentStop":
		return m.turnEnd(e, "completed")
	case "preToolUse", "permissionRequest", "postToolUse":
	default:
		return m.unknown(e, name)
	}
	c := sighting.Call{ID: m.take("toolCallId", "tool_use_id"), Tool: m.take("toolName")}
	c.Input = m.input(&e, m.takeValue("toolArgs"))
	switch name {
	case "preToolUse":
		e.Type, c.Phase = event.ActionRequested, sighting.Requested
	case "permissionRequest":
		e.Type, c.Phase = event.ApprovalRequested, sighting.Asked
	case "postToolUse":
		result, _ := m.takeValue("toolResult").(map[string]any)
		if result != nil {
			m.output(&e, result)
		}
		e.Type, c.Phase, e.Outcome = event.ActionExecuted, sighting.Finished, event.OutcomeSuccess
		switch kind := ingest.Text(result, "resultType"); {
		case kind == "denied":
			e.Type, c.Phase, e.Outcome, e.Decision, e.DecisionSource = event.ActionDenied, sighting.Decided, event.OutcomeDenied, event.Deny, event.ByNone
			e.Details["reasons"] = []any{"the agent gave none"}
		case strings.HasPrefix(kind, "fail"):
			e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
			e.Details["error"], e.Details["layer"] = ingest.Short(ingest.Text(result, "textResultForLlm"), 4096), "tool"
		}
	}
	return m.call(e, c)
}
