package agents

import (
	"maps"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/stops"
)

// Stopped returns the emergency stop that holds for what is seen, or nil. One that holds
// for an agent holds for the agents that it has started, too. Without active, none holds.
func Stopped(active *stops.Set, seen []sighting.Sighting) *stops.Stop {
	if active == nil {
		return nil
	}
	for i := range seen {
		e := &seen[i].Event
		for _, agent := range Names(e) {
			if stop := active.For(stops.Of{Agent: agent, Session: e.SessionID, Project: e.ProjectID}); stop != nil {
				return stop
			}
		}
	}
	return nil
}

// Names returns the agents that an event is of: itself, and the agent that has started it.
func Names(e *event.Event) []string {
	product, _ := e.Details["agent_product"].(string)
	if product == "" || product == e.AgentID {
		return []string{e.AgentID}
	}
	return []string{e.AgentID, product}
}

// Denied returns the sightings that say that the calls of seen are denied, as far as
// they are still to be decided. policy is the policy_id of what denies them.
func Denied(seen []sighting.Sighting, policy, reason string, details map[string]any) []sighting.Sighting {
	var all []sighting.Sighting
	for i := range seen {
		c := seen[i].Call
		if c == nil || c.Phase > sighting.Asked {
			continue
		}
		decided := *c
		decided.Phase = sighting.Decided
		e := seen[i].Event
		if e.ID != "" {
			e.ID += ":denied"
		}
		e.SourceSeq = nil // the number is that of what is denied
		e.Type, e.Decision, e.DecisionSource, e.Outcome = event.ActionDenied, event.Deny, event.ByPolicy, event.OutcomeDenied
		e.Details = map[string]any{"reasons": []any{reason}, "policy_id": policy}
		maps.Copy(e.Details, details)
		decided.Describe(e.Details)
		all = append(all, sighting.Sighting{Event: e, Call: &decided, Mapped: true})
	}
	return all
}
