package mcp

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// requested returns the sighting of a call that the client wants. A retry that brings
// what a suspended call waits for goes on with that one, and is no new call.
func (c *Conn) requested(r *request, p *part) []sighting.Sighting {
	input := c.describe(r, p)
	if old := c.s.resume(r, p.params); old != nil {
		r.event, r.call, r.began, r.questions = old.event, old.call, old.began, old.questions
		return r.given(p.params)
	}
	e := r.next(event.ActionRequested)
	e.Defects = p.defects
	if id := r.call.ID; id != "" {
		if _, again := c.s.callIDs.Get(id); again {
			// It is another call, whatever it says. Known by its order it has an action of its own.
			r.call.ID = ""
			delete(e.Details, "call_id")
			e.Details["repeated_call_id"] = id
			e.Defects = append(slices.Clip(e.Defects), "another call had the same id, so this one goes without: details.repeated_call_id")
		}
		c.s.callIDs.Set(id, struct{}{})
	}
	keep(e.Details, "input", input, p.size)
	object, _ := input.(map[string]any)
	if what := cmp.Or(ingest.Resource(object), ingest.Short(ingest.Text(object, "uri"), 1000)); what != "" {
		e.Details["resource"] = what
	}
	e.Details["request_id"] = ingest.Short(p.id, 200)
	r.call.Phase = sighting.Requested
	return []sighting.Sighting{seen(e, r.call)}
}

// describe makes the call of a request, and returns its input, which is an object unless
// the client errs.
func (c *Conn) describe(r *request, p *part) (input any) {
	meta := ingest.Object(p.params, "_meta")
	e := c.base("")
	e.AgentID = cmp.Or(c.s.opts.Agent, r.client.name, e.AgentID)
	e.SessionID = cmp.Or(ingest.Short(cmp.Or(ingest.Text(meta, metaVSCode), ingest.Text(meta, metaOpenAI)), 200), e.SessionID)
	e.ActionID = e.ID // until whoever joins knows better
	trace(&e, ingest.Text(meta, metaTrace))
	tool := p.method
	if p.method == methodRead {
		input = map[string]any{"uri": p.params["uri"]}
	} else {
		tool = ingest.Short(ingest.Text(p.params, "name"), 1000)
		if c.s.opts.Server != "" {
			tool = "mcp__" + c.s.opts.Server + "__" + tool
		}
		if input = p.params["arguments"]; input == nil {
			input = map[string]any{}
		}
		r.task.wanted = ingest.Object(p.params, "task") != nil
	}
	r.event = e
	r.call = &sighting.Call{ID: ingest.Short(ingest.Text(meta, metaToolUse), 200), Session: e.SessionID, Tool: tool, Input: sighting.Input(input)}
	return input
}

// next returns a further event of a call.
func (r *request) next(t event.Type) event.Event {
	s := r.conn.s
	e, n := r.event, s.event(t)
	e.Type, e.ID, e.OccurredAt = t, n.ID, n.OccurredAt
	e.Details = n.Details
	r.call.Describe(e.Details)
	e.Details["server"] = s.serverName()
	for name, v := range map[string]string{"mcp_session_id": r.conn.session, "task_id": r.task.id} {
		if v != "" {
			e.Details[name] = ingest.Short(v, 200)
		}
	}
	return e
}

// answered takes in what the server answers to a call.
func (r *request) answered(p *part) []sighting.Sighting {
	if ingest.Text(p.result, "resultType") == "input_required" {
		if r.ended {
			return nil
		}
		return r.suspend(p.result)
	}
	if begun := r.taskOf(p.result); begun != nil {
		return r.begin(begun, p)
	}
	return r.finish(p)
}

// finish returns the sighting of the end of a call, or nil, where it has ended already and
// the answer is the error that such a call gets. A result that comes in spite of it is told.
func (r *request) finish(p *part) []sighting.Sighting {
	if r.ended && p.failure != nil {
		return nil
	}
	e := r.next(event.ActionExecuted)
	e.Outcome, e.Defects = event.OutcomeSuccess, p.defects
	if p.failure != nil {
		e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
		e.Details["layer"] = "protocol"
		e.Details["error"] = cmp.Or(ingest.Short(ingest.Text(p.failure, "message"), 1000), noReason)
		if code, err := event.AppendJSON(nil, p.failure["code"]); err == nil && p.failure["code"] != nil {
			e.Details["error_type"] = "json_rpc " + ingest.Short(string(code), 40)
		}
		if data := p.failure["data"]; data != nil {
			keep(e.Details, "error_data", data, p.size)
		}
		return r.end(e)
	}
	output := maps.Clone(p.result)
	delete(output, "_meta")
	keep(e.Details, "output", output, p.size)
	ingest.SetOutput(e.Details, output)
	switch kind := ingest.Text(p.result, "resultType"); {
	case kind != "" && kind != "complete":
		e.Outcome = event.OutcomeUnknown
	case p.result["isError"] == true:
		e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
		e.Details["layer"], e.Details["error_type"] = "tool", "tool_error"
		e.Details["error"] = cmp.Or(ingest.Short(texts(p.result), 1000), "the tool gave no reason")
	}
	return r.end(e)
}

// noReason stands for the message of an error that has none.
const noReason = "the server gave no reason"

// lost returns the sighting that nobody knows what became of a call.
func (r *request) lost(why string) []sighting.Sighting {
	if r.ended {
		return nil
	}
	e := r.next(event.ActionFailed)
	e.Outcome = event.OutcomeUnknown
	e.Details["layer"], e.Details["error"] = "transport", ingest.Short(why, 1000)
	return r.end(e)
}

// cancel returns the sighting that a call was called off.
func (r *request) cancel(by, reason string) []sighting.Sighting {
	if r.ended {
		return nil
	}
	e := r.next(event.ActionCancelled)
	e.Outcome = event.OutcomeCancelled
	e.Details["cancelled_by"] = by
	if reason != "" {
		e.Details["reason"] = ingest.Short(reason, 1000)
	}
	return r.end(e)
}

// end returns the sighting of an event that tells how a call ended, after how long.
func (r *request) end(e event.Event) []sighting.Sighting {
	e.Details["execution_time_ms"] = float64(max(0, r.conn.s.opts.Now().Sub(r.began)).Microseconds()) / 1000
	r.ended, r.call.Phase = true, sighting.Finished
	return []sighting.Sighting{seen(e, r.call)}
}

// texts returns the text of a tool's result.
func texts(result map[string]any) string {
	blocks, _ := result["content"].([]any)
	var all []string
	for _, v := range blocks {
		block, _ := v.(map[string]any)
		if text := ingest.Text(block, "text"); text != "" {
			all = append(all, text)
		}
	}
	return strings.Join(all, "\n")
}

// cancelled takes in that the client calls off a request.
func (c *Conn) cancelled(p *part) []sighting.Sighting {
	id, err := event.AppendJSON(nil, p.params["requestId"])
	if err != nil {
		return nil
	}
	r := c.take(string(id))
	if r == nil || r.call == nil {
		return nil
	}
	return r.cancel("client", ingest.Text(p.params, "reason"))
}

// keep sets a detail to what a message of that size holds, or of a large one to the
// beginning of its JSON: its digest is there anyway.
func keep(details map[string]any, name string, v any, size int64) {
	if size <= maxKept {
		details[name] = v
		return
	}
	text, err := event.AppendJSON(nil, v)
	if err != nil {
		return
	}
	details[name+"_beginning"] = ingest.Short(string(text), beginning)
	details[name+"_json_bytes"] = strconv.Itoa(len(text))
}
