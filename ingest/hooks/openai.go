package hooks

import (
	"cmp"
	"fmt"
	"maps"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// maxItems is how many traces and spans one export may have; the SDK sends 128.
const maxItems = 10_000

// openAI reads the traces that the OpenAI Agents SDK exports: finished spans, so that
// nothing is told before it ran.
func openAI(m *message) (string, []sighting.Sighting) {
	name := cmp.Or(m.name, "export")
	items, _ := m.object["data"].([]any)
	if len(items) > maxItems {
		m.fault = fmt.Errorf("the export has %d items; export at most %d at once", len(items), maxItems)
		return name, nil
	}
	agents := map[string]string{} // name of the agent, by the id of its span
	parents := map[string]string{}
	for _, item := range items {
		span, _ := item.(map[string]any)
		id := ingest.Text(span, "id")
		parents[id] = ingest.Text(span, "parent_id")
		if ingest.Text(span, "span_data", "type") == "agent" {
			agents[id] = ingest.Text(span, "span_data", "name")
		}
	}
	near := map[string]string{} // name of the agent that is the next above a span, or the span itself
	agentOf := func(id string) (name string) {
		var way []string
		for id != "" && name == "" {
			if known, ok := near[id]; ok {
				name = known
				break
			}
			near[id] = "" // and so it stays where parents go round in a circle
			way = append(way, id)
			name, id = agents[id], parents[id]
		}
		for _, id := range way {
			near[id] = name
		}
		return name
	}
	var seen []sighting.Sighting
	for _, item := range items {
		object, _ := item.(map[string]any)
		if object == nil {
			object = map[string]any{"item": item}
		}
		one := &message{product: m.product, path: m.path, object: object, rest: maps.Clone(object)}
		seen = append(seen, one.openAIItem(agentOf(ingest.Text(object, "parent_id")))...)
	}
	if items == nil {
		seen = []sighting.Sighting{m.unknown(m.base(""), name)}
	}
	return name, seen
}

// openAIItem reads one trace or span.
func (m *message) openAIItem(agent string) []sighting.Sighting {
	e := m.base("")
	id, kind := m.take("id"), m.take("object")
	began, ended := ingest.Time(m.take("started_at")), ingest.Time(m.take("ended_at"))
	e.SessionID, e.CorrelationID, e.OccurredAt = ingest.Text(m.object, "trace_id"), id, ended
	if agent != "" {
		e.AgentID = agent
	}
	data, _ := m.takeValue("span_data").(map[string]any)
	failure := m.object["error"]
	switch what := ingest.Text(data, "type"); {
	case kind == "trace":
		e.Type, e.SessionID = event.SessionStarted, id
		return []sighting.Sighting{m.event(e)}
	case what == "function":
		c := sighting.Call{ID: id, Session: e.SessionID, Tool: ingest.Text(data, "name"), Phase: sighting.Requested}
		request := e
		request.Type, request.OccurredAt, request.Details = event.ActionRequested, began, map[string]any{"agent_product": m.product}
		c.Input = m.input(&request, data["input"])
		c.Describe(request.Details)
		finished := c
		finished.Phase = sighting.Finished
		e.Type, e.Outcome = event.ActionExecuted, event.OutcomeSuccess
		m.output(&e, data["output"])
		if failure != nil {
			e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
			e.Details["error"], e.Details["layer"] = describe(failure), "tool"
			delete(m.rest, "error")
		}
		if !began.IsZero() && !ended.Before(began) {
			e.Details["execution_time_ms"] = ended.Sub(began).Milliseconds()
		}
		if v := data["mcp_data"]; v != nil {
			e.Details["mcp_data"] = v
		}
		return []sighting.Sighting{{Event: request, Call: &c, Mapped: true}, m.call(e, finished)}
	case what == "guardrail":
		e.Type = event.GuardrailTriggered
		e.Details["name"], e.Details["triggered"] = data["name"], data["triggered"] == true
		if data["triggered"] == true {
			e.Decision = event.Deny
		}
	case what == "handoff":
		e.Type = event.Handoff
		e.Details["parent_agent_id"], e.Details["to_agent"] = data["from_agent"], data["to_agent"]
	default:
		if data != nil {
			m.rest["span_data"] = data
		}
		return []sighting.Sighting{m.unknown(e, "span")}
	}
	return []sighting.Sighting{m.event(e)}
}
