package mcp

import (
	"cmp"
	"maps"
	"strconv"
	"strings"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// requested returns the sighting of a call that the client wants. A retry that brings
// what a suspended call waits for goes on with that one, and is no new call.
func (c *Conn) requested(r *request, p *part, size int64) []sighting.Sighting {
	input := c.describe(r, p)
	if old := c.s.resume(r); old != nil {
		r.event, r.call, r.began = old.event, old.call, old.began
		return c.given(r, old)
	}
	e := c.next(r, event.ActionRequested)
	keep(e.Details, "input", input, size)
	if what := ingest.Resource(input); what != "" {
		e.Details["resource"] = what
	} else if uri := ingest.Text(input, "uri"); uri != "" {
		e.Details["resource"] = ingest.Short(uri, 1000)
	}
	e.Details["request_id"] = ingest.Short(p.id, 200)
	e.Defects = p.defects
	r.call.Phase = sighting.Requested
	return []sighting.Sighting{seen(e, r.call)}
}

// describe makes the call of a request, and returns its input.
func (c *Conn) describe(r *request, p *part) (input map[string]any) {
	meta := ingest.Object(p.params, "_meta")
	e := c.base("")
	e.AgentID = cmp.Or(c.s.opts.Agent, ingest.Short(ingest.Text(r.client, "name"), 200), e.AgentID)
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
		if input = ingest.Object(p.params, "arguments"); input == nil {
			input = map[string]any{}
		}
	}
	r.event = e
	r.call = &sighting.Call{ID: ingest.Short(ingest.Text(meta, metaToolUse), 200), Session: e.SessionID, Tool: tool, Input: sighting.Input(input)}
	return input
}

// next returns a further event of a call.
func (c *Conn) next(r *request, t event.Type) event.Event {
	e := r.event
	n := c.s.event(t)
	e.Type, e.ID, e.OccurredAt = t, n.ID, n.OccurredAt
	e.Details = maps.Clone(n.Details)
	r.call.Describe(e.Details)
	e.Details["server"] = c.s.serverName()
	if c.session != "" {
		e.Details["mcp_session_id"] = ingest.Short(c.session, 200)
	}
	return e
}

// finish returns the sighting of the end of a call.
func (c *Conn) finish(r *request, p *part, size int64) sighting.Sighting {
	e := c.next(r, event.ActionExecuted)
	e.Outcome, e.Defects = event.OutcomeSuccess, p.defects
	c.took(r, &e)
	if p.failure != nil {
		e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
		e.Details["layer"] = "protocol"
		e.Details["error"] = ingest.Short(cmp.Or(ingest.Text(p.failure, "message"), "the server gave no reason"), 1000)
		if code, err := event.AppendJSON(nil, p.failure["code"]); err == nil && p.failure["code"] != nil {
			e.Details["error_type"] = "json_rpc " + ingest.Short(string(code), 40)
		}
		if data := p.failure["data"]; data != nil {
			keep(e.Details, "error_data", data, size)
		}
		return finished(r, e)
	}
	output := maps.Clone(p.result)
	delete(output, "_meta")
	keep(e.Details, "output", output, size)
	ingest.SetOutput(e.Details, output)
	if p.result["isError"] == true {
		e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
		e.Details["layer"], e.Details["error_type"] = "tool", "tool_error"
		e.Details["error"] = ingest.Short(cmp.Or(texts(p.result), "the tool gave no reason"), 1000)
	}
	return finished(r, e)
}

func finished(r *request, e event.Event) sighting.Sighting {
	r.call.Phase = sighting.Finished
	return seen(e, r.call)
}

// took sets how long a call ran.
func (c *Conn) took(r *request, e *event.Event) {
	e.Details["execution_time_ms"] = float64(max(0, c.s.opts.Now().Sub(r.began)).Microseconds()) / 1000
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
	var all []sighting.Sighting
	for _, r := range c.take([]string{string(id)}) {
		all = append(all, c.cancel(r, ingest.Text(p.params, "reason")))
	}
	return all
}

func (c *Conn) cancel(r *request, reason string) sighting.Sighting {
	e := c.next(r, event.ActionCancelled)
	e.Outcome = event.OutcomeCancelled
	e.Details["cancelled_by"] = "client"
	if reason != "" {
		e.Details["reason"] = ingest.Short(reason, 1000)
	}
	c.took(r, &e)
	return finished(r, e)
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
