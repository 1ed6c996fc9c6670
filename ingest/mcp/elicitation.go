package mcp

import (
	"maps"
	"slices"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// question makes e a question to the person, which has that id.
func question(e event.Event, id string, params map[string]any) event.Event {
	e.Type = event.UserInputRequested
	e.Details["elicitation_id"] = id
	for from, to := range map[string]string{"message": "message", "mode": "mode", "url": "url"} {
		if v := ingest.Text(params, from); v != "" {
			e.Details[to] = ingest.Short(v, 1000)
		}
	}
	if schema := params["requestedSchema"]; schema != nil {
		e.Details["schema_digest"] = ingest.Digest(schema)
	}
	return e
}

// answer returns the event of the answer to a question.
func (c *Conn) answer(asked event.Event, result map[string]any) sighting.Sighting {
	e := asked
	n := c.s.event(event.UserInputGiven)
	e.Type, e.ID, e.OccurredAt, e.ParentID = n.Type, n.ID, n.OccurredAt, asked.ID
	e.Details = maps.Clone(asked.Details)
	delete(e.Details, "message")
	if action := ingest.Text(result, "action"); action != "" {
		e.Details["action"] = ingest.Short(action, 40)
	}
	if content := result["content"]; content != nil {
		e.Details["content"] = content
		e.Details["content_digest"] = ingest.Digest(content)
	}
	return seen(e, nil)
}

// ask takes in that the server asks the person (revisions before 2026-07-28).
func (c *Conn) ask(p *part) sighting.Sighting {
	e := c.base("")
	id := ingest.Text(p.params, "elicitationId")
	if id == "" {
		id = e.ID
	}
	e = question(e, ingest.Short(id, 200), p.params)
	if p.id != "" && len(c.asked) < maxOpen {
		c.asked[p.id] = e
	}
	return seen(e, nil)
}

// answered takes in an answer of the client to a request of the server.
func (c *Conn) answered(p *part) []sighting.Sighting {
	asked, ok := c.asked[p.id]
	if !ok {
		return nil
	}
	delete(c.asked, p.id)
	result := p.result
	if p.failure != nil {
		result = map[string]any{"action": "cancel"}
	}
	return []sighting.Sighting{c.answer(asked, result)}
}

// suspend takes in that a call cannot go on without an answer of the person (revision
// 2026-07-28): the client makes it again, and then brings that.
func (c *Conn) suspend(r *request, result map[string]any) []sighting.Sighting {
	r.state, r.questions = result["requestState"], map[string]event.Event{}
	wanted := ingest.Object(result, "inputRequests")
	var all []sighting.Sighting
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if ingest.Text(wanted, key, "method") != methodElicit {
			continue // a model is asked, or the client
		}
		e := c.next(r, "")
		e = question(e, ingest.Short(r.event.ID+"/"+key, 200), ingest.Object(wanted, key, "params"))
		r.questions[key] = e
		all = append(all, seen(e, nil))
	}
	if len(c.s.suspended) == maxSuspended {
		c.s.suspended = slices.Delete(c.s.suspended, 0, 1)
	}
	c.s.suspended = append(c.s.suspended, r)
	return all
}

// resume returns the suspended call that a request goes on with, or nil.
func (s *Server) resume(r *request) *request {
	state, responses := r.params["requestState"], r.params["inputResponses"]
	if state == nil && responses == nil {
		return nil
	}
	i := slices.IndexFunc(s.suspended, func(old *request) bool {
		return old.state == nil == (state == nil) && ingest.Digest(old.state) == ingest.Digest(state) &&
			old.call.Tool == r.call.Tool && old.call.Input == r.call.Input
	})
	if i < 0 {
		return nil
	}
	old := s.suspended[i]
	s.suspended = slices.Delete(s.suspended, i, i+1)
	return old
}

// given returns the sightings of the answers that a retry brings.
func (c *Conn) given(r, old *request) []sighting.Sighting {
	responses := ingest.Object(r.params, "inputResponses")
	var all []sighting.Sighting
	for _, key := range slices.Sorted(maps.Keys(old.questions)) {
		if response := ingest.Object(responses, key); response != nil {
			all = append(all, c.answer(old.questions[key], response))
		}
	}
	return all
}
