package otlp

import (
	"cmp"
	"strings"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// claude reads what Claude Code logs (monitoring reference of August 2026). Inputs may
// be cut there, so that calls are known by their ids alone.
func (r *record) claude() []sighting.Sighting {
	switch strings.TrimPrefix(r.name, "claude_code.") {
	case "tool_decision":
		return r.claudeDecision("decision", "source")
	case "tool_result":
		if r.attributes["decision_type"] == "reject" || r.attributes["decision"] == "reject" {
			// It is told of a call that did not run.
			return r.claudeDecision(cmp.Or(r.has("decision_type"), "decision"), cmp.Or(r.has("decision_source"), "source"))
		}
		success, ok := truth(r.takeValue("success"))
		if !ok {
			return nil
		}
		c := r.claudeCall(sighting.Finished)
		e := r.begin("", "")
		r.finished(&e, success, r.take("error"), r.take("error_type"))
		r.took(&e)
		r.input(&e, r.take("tool_input"))
		r.all(&e)
		return []sighting.Sighting{r.call(e, c)}
	case "permission_mode_changed":
		e := r.begin(event.PermissionModeChanged, "")
		e.Details["from_mode"], e.Details["to_mode"] = r.take("from_mode"), r.take("to_mode")
		set(&e, "trigger", r.take("trigger"))
		return []sighting.Sighting{r.plain(e)}
	case "mcp_server_connection":
		types := map[string]event.Type{"connected": event.ToolServerConnected, "disconnected": event.ToolServerDisconnected, "failed": event.ToolServerFailed}
		t, ok := types[r.take("status")]
		if !ok {
			return nil
		}
		e := r.begin(t, "")
		e.Details["server"] = cmp.Or(r.take("server_name", "mcp_server_name"), "unnamed")
		set(&e, "transport", r.take("transport_type"))
		if t == event.ToolServerFailed {
			e.Details["error"] = cmp.Or(r.take("error"), r.take("error_code"), "the agent does not say what failed")
		}
		return []sighting.Sighting{r.plain(e)}
	}
	return nil
}

// has returns the name of an attribute if it is there.
func (r *record) has(name string) string {
	if r.attributes[name] == nil {
		return ""
	}
	return name
}

func (r *record) claudeCall(phase sighting.Phase) sighting.Call {
	return sighting.Call{ID: r.take("tool_use_id"), Tool: r.take("tool_name"), Phase: phase}
}

func (r *record) claudeDecision(decision, source string) []sighting.Sighting {
	e := r.begin("", "")
	if !r.decided(&e, r.take(decision), r.take(source)) {
		return nil
	}
	c := r.claudeCall(sighting.Decided)
	r.all(&e)
	return []sighting.Sighting{r.call(e, c)}
}

// codex reads what Codex logs.
func (r *record) codex() []sighting.Sighting {
	e := r.begin("", "")
	switch r.name {
	case "codex.tool_decision":
		word, by := r.take("decision"), r.take("source")
		if !r.decided(&e, word, by) {
			return nil
		}
		if strings.EqualFold(by, "user") {
			e.DecisionSource = codexUser(word, e.Decision)
		}
		return r.codexCall(e, sighting.Decided, "")
	case "codex.tool_result":
		success, ok := truth(r.takeValue("success"))
		if !ok {
			return nil
		}
		output := r.take("output")
		if by, ok := r.codexRefusal(output); ok && !success {
			r.refused(&e, by, output)
			return r.codexCall(e, sighting.Decided, r.input(&e, r.take("arguments")))
		}
		r.finished(&e, success, output)
		r.took(&e)
		if output != "" {
			e.Details["output"] = output
			ingest.SetOutput(e.Details, output)
		}
		return r.codexCall(e, sighting.Finished, r.input(&e, r.take("arguments")))
	}
	return nil
}

// codexRefusal tells by the result of a command whether Codex has not started it, since its
// rules or a person would not have it, and which of them. The result of one that ran begins
// with how it ended, whatever it prints; those of other tools may be in the words of anybody.
func (r *record) codexRefusal(output string) (event.DecisionSource, bool) {
	why, ok := strings.CutPrefix(output, `exec_command failed: CreateProcess { message: "Rejected(`)
	if !ok || r.attributes["tool_name"] != "exec_command" || ingest.Text(r.attributes, "mcp_server") != "" {
		return "", false
	}
	if strings.Contains(why, "command rejected by user") {
		return event.ByUserReject, true
	}
	return event.ByConfigRule, true
}

func (r *record) codexCall(e event.Event, phase sighting.Phase, input string) []sighting.Sighting {
	c := sighting.Call{ID: r.take("call_id"), Tool: r.take("tool_name"), Input: input, Phase: phase}
	if server := r.take("mcp_server"); server != "" && !strings.HasPrefix(c.Tool, "mcp__") {
		c.Tool = "mcp__" + server + "__" + c.Tool
	}
	r.all(&e)
	return []sighting.Sighting{r.call(e, c)}
}

// codexUser says how a person decided.
func codexUser(word string, decision event.Decision) event.DecisionSource {
	switch {
	case strings.EqualFold(word, "abort"):
		return event.ByUserAbort
	case decision == event.Deny:
		return event.ByUserReject
	case strings.EqualFold(word, "approved"):
		return event.ByUserOnce
	}
	return event.ByUserAlways // for the session, or by a rule
}

// gemini reads what Gemini CLI logs. Its calls have no ids, and it tells of a call when
// that is over.
func (r *record) gemini() []sighting.Sighting {
	switch r.name {
	case "gemini_cli.tool_call":
	case "gemini_cli.approval_mode_switch":
		e := r.begin(event.PermissionModeChanged, "")
		e.Details["from_mode"], e.Details["to_mode"] = r.take("from_mode"), r.take("to_mode")
		return []sighting.Sighting{r.plain(e)}
	default:
		return nil
	}
	success, ok := truth(r.takeValue("success"))
	if !ok {
		return nil
	}
	c := sighting.Call{Tool: r.take("function_name"), Phase: sighting.Decided}
	decision, finished := r.begin("", "decided"), r.begin("", "finished")
	server := r.take("mcp_server_name")
	set(&decision, "server", server)
	set(&finished, "server", server)
	word := r.take("decision")
	told := r.decided(&decision, word, "")
	switch {
	case word == "auto_accept":
		decision.Type, decision.Decision, told = event.ActionValidated, event.Allow, true
	case r.attributes["error_type"] == "policy_violation": // one of its rules forbids the call
		r.refused(&decision, event.ByConfigRule, r.take("error"))
	}
	if decision.Decision == event.Deny {
		c.Input = r.input(&decision, r.take("function_args"))
		r.all(&decision)
		return []sighting.Sighting{r.call(decision, c)}
	}
	c.Input = r.input(&finished, r.take("function_args"))
	r.finished(&finished, success, r.take("error"), r.take("error_type"))
	r.took(&finished)
	r.all(&finished)
	end := c
	end.Phase = sighting.Finished
	seen := []sighting.Sighting{r.call(finished, end)}
	if told {
		seen = append([]sighting.Sighting{r.call(decision, c)}, seen...)
	}
	return seen
}
