package transcript

import (
	"encoding/json"
	"math"
	"strings"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
)

// isResult reports whether a block is the result of a tool: tool_result, or the
// likes of web_search_tool_result for tools that ran at the model's side.
func isResult(block map[string]any) bool {
	return strings.HasSuffix(ingest.Text(block, "type"), "tool_result")
}

// result adds the events of a tool's result.
func (s *session) result(l *line, block map[string]any) {
	details := blockDetails(block, "content", "tool_use_id")
	output, there := details["content"]
	if delete(details, "content"); there {
		details["output"] = output
		ingest.SetOutput(details, output)
	}
	e := l.add("", details) // the type follows
	e.ActionID = ingest.Text(block, "tool_use_id")
	tool, _ := s.tools.Get(e.ActionID)
	ingest.SetTool(details, tool)
	structured := ingest.Object(details, "tool_use_result")
	setDuration(details, structured)
	ended(e, l.rec, block)
	if id := ingest.Text(structured, "agentId"); id != "" && structured["status"] == "completed" {
		stopped := l.extra("agent", event.SubagentStopped, map[string]any{"parent_agent_id": l.shared.AgentID, "status": "completed"})
		stopped.AgentID = id
	}
}

func setDuration(details, structured map[string]any) {
	for _, name := range [...]string{"durationMs", "totalDurationMs"} {
		if n, ok := structured[name].(json.Number); ok {
			details["execution_time_ms"] = n
			return
		}
	}
	if n, ok := structured["durationSeconds"].(json.Number); ok {
		if f, err := n.Float64(); err == nil && !math.IsInf(f*1000, 0) {
			details["execution_time_ms"] = f * 1000
		}
	}
}

// ended sets what became of the action.
func ended(e *event.Event, rec, block map[string]any) {
	text := resultText(block)
	interrupted := ingest.Get(rec, "toolUseResult", "interrupted") == true
	if block["is_error"] != true && !isErrorBlock(block) {
		e.Type, e.Outcome = event.ActionExecuted, event.OutcomeSuccess
		if interrupted {
			e.Outcome = event.OutcomeCancelled
		}
		return
	}
	if by, cancelled := refusal(text, rec); cancelled {
		e.Type, e.Outcome = event.ActionCancelled, event.OutcomeCancelled
		e.Details["cancelled_by"], e.Details["reason"] = "user", ingest.Short(text, maxReason)
		return
	} else if by != "" {
		e.Type, e.Outcome = event.ActionDenied, event.OutcomeDenied
		e.Decision, e.DecisionSource = event.Deny, by
		e.Details["reasons"] = []any{ingest.Short(text, maxReason)}
		return
	}
	e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
	e.Details["layer"] = "tool"
	if interrupted {
		e.Details["interrupted"] = true
		e.Outcome = event.OutcomeCancelled
	}
	if inner, ok := strings.CutPrefix(text, "<tool_use_error>"); ok {
		text = strings.TrimSuffix(inner, "</tool_use_error>")
		e.Details["error_type"] = "tool_use_error"
	} else if code, _, _ := strings.Cut(text, "\n"); strings.HasPrefix(code, "Exit code ") {
		e.Details["error_type"] = "exit_code"
	}
	if text == "" {
		text = "an error without words"
	}
	e.Details["error"] = ingest.Short(text, maxReason)
}

// maxReason bounds the bytes of an error or reason; the whole is in output.
const maxReason = 2000

// isErrorBlock knows the errors of tools at the model's side, whose content is
// an object such as {"type":"web_search_tool_result_error"}.
func isErrorBlock(block map[string]any) bool {
	return strings.HasSuffix(ingest.Text(block, "content", "type"), "_error")
}

// resultText returns the text of a result.
func resultText(block map[string]any) string {
	switch content := block["content"].(type) {
	case string:
		return content
	case []any:
		var texts []string
		for _, c := range content {
			c, _ := c.(map[string]any)
			if t := ingest.Text(c, "text"); t != "" {
				texts = append(texts, t)
			}
		}
		return strings.Join(texts, "\n")
	case map[string]any:
		return ingest.Text(content, "error_code")
	}
	return ""
}

// refusals are the words in which the model is told that an action did not run
// (Claude Code 1.0 to 2.1).
var refusals = []struct {
	prefix, contains string
	by               event.DecisionSource
}{
	{"The user doesn't want to proceed with this tool use.", "", event.ByUserReject},
	{"The agent proposed a plan that was rejected by the user.", "", event.ByUserReject},
	{"Permission for this tool use was denied.", "", event.ByUserReject},
	{"Permission for this action has been denied.", "", event.ByClassifier},
	{"Permission to use ", "has been denied", event.ByConfigRule},
	{"Claude requested permissions to ", "haven't granted it yet", event.ByDefault},
	{"PreToolUse:", " hook ", event.ByHook},
}

// refusal says who refused the action of a result that is an error: nobody
// ("") if it ran. cancelled is set where a person called it off instead.
func refusal(text string, rec map[string]any) (by event.DecisionSource, cancelled bool) {
	for _, r := range refusals {
		if rest, ok := strings.CutPrefix(text, r.prefix); ok && strings.Contains(rest, r.contains) {
			return r.by, false
		}
	}
	for _, prefix := range [...]string{"The user doesn't want to take this action right now.", "[Request interrupted by user"} {
		if strings.HasPrefix(text, prefix) {
			return "", true
		}
	}
	// Newer versions say it in a member of the line as well.
	switch kind := ingest.Text(rec, "toolDenialKind"); {
	case kind == "cancelled":
		return "", true
	case kind == "user-rejected", ingest.Text(rec, "toolUseResult") == "User rejected tool use":
		return event.ByUserReject, false
	case kind != "":
		return event.ByConfigRule, false
	}
	return "", false
}
