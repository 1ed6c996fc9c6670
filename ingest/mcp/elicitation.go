package mcp

import (
	"cmp"
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

// asked is a question to the person.
type asked struct {
	event    event.Event
	question string // digest
	task     bool   // the answer may be a task of the client (revision 2025-11-25)
	answer   string // digest; empty: there is none yet
}

// answer returns the sighting of the answer to a question, unless it is told already.
func (s *Server) answer(a *asked, result map[string]any) []sighting.Sighting {
	digest := ingest.Digest(result)
	if digest == a.answer {
		return nil
	}
	a.answer = digest
	e, n := a.event, s.event(event.UserInputGiven)
	e.Type, e.ID, e.OccurredAt, e.ParentID = n.Type, n.ID, n.OccurredAt, a.event.ID
	e.Details = maps.Clone(a.event.Details)
	delete(e.Details, "message")
	if action := ingest.Text(result, "action"); action != "" {
		e.Details["action"] = ingest.Short(action, 40)
	}
	if content := result["content"]; content != nil {
		e.Details["content"] = content
		e.Details["content_digest"] = ingest.Digest(content)
	}
	return []sighting.Sighting{seen(e, nil)}
}

// ask takes in that the server asks the person (revisions before 2026-07-28).
func (c *Conn) ask(p *part) []sighting.Sighting {
	digest := ingest.Digest(p.params)
	if a := c.asked[p.id]; a != nil && a.question == digest {
		return nil // as a stream that is resumed says it again
	}
	e := c.base("")
	if r := c.s.tasks[ingest.Text(p.params, "_meta", metaTask, "taskId")]; r != nil {
		e = r.next("")
	}
	e = question(e, ingest.Short(cmp.Or(ingest.Text(p.params, "elicitationId"), e.ID), 200), p.params)
	if p.id != "" && len(c.asked) < maxOpen {
		c.asked[p.id] = &asked{event: e, question: digest, task: ingest.Object(p.params, "task") != nil}
	}
	return []sighting.Sighting{seen(e, nil)}
}

// askAgain takes in that the server asks for the result of a task of the client, which may
// be the answer to a question.
func (c *Conn) askAgain(p *part) {
	if a := c.promised[ingest.Text(p.params, "taskId")]; a != nil && p.id != "" && len(c.asked) < maxOpen {
		c.asked[p.id] = a
	}
}

// answered takes in an answer of the client to a request of the server.
func (c *Conn) answered(p *part) []sighting.Sighting {
	a := c.asked[p.id]
	if a == nil {
		return nil
	}
	delete(c.asked, p.id)
	if id := ingest.Text(p.result, "task", "taskId"); a.task && id != "" {
		if len(c.promised) < maxOpen {
			c.promised[id] = a
		}
		return nil
	}
	result := p.result
	if p.failure != nil {
		result = map[string]any{"action": "cancel"}
	}
	return c.s.answer(a, result)
}

// asks returns the sightings of the questions to the person among the requests that the
// server wants to be answered, but for those that it has asked already.
func (r *request) asks(wanted map[string]any) []sighting.Sighting {
	var all []sighting.Sighting
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if ingest.Text(wanted, key, "method") != methodElicit {
			continue // a model is asked, or the client
		}
		digest := ingest.Digest(wanted[key])
		if a := r.questions[key]; a != nil && a.question == digest || len(r.questions) == maxQuestions {
			continue
		}
		e := question(r.next(""), ingest.Short(r.event.ID+"/"+key, 200), ingest.Object(wanted, key, "params"))
		r.questions[key] = &asked{event: e, question: digest}
		all = append(all, seen(e, nil))
	}
	return all
}

// given returns the sightings of the answers to such questions.
func (r *request) given(params map[string]any) []sighting.Sighting {
	responses := ingest.Object(params, "inputResponses")
	var all []sighting.Sighting
	for _, key := range slices.Sorted(maps.Keys(r.questions)) {
		if response := ingest.Object(responses, key); response != nil {
			all = append(all, r.conn.s.answer(r.questions[key], response)...)
		}
	}
	return all
}

// suspend takes in that a call cannot go on without an answer of the person (revision
// 2026-07-28): the client makes it again, and then brings that.
func (r *request) suspend(result map[string]any) []sighting.Sighting {
	s := r.conn.s
	r.state, r.questions = stateOf(result), map[string]*asked{}
	all := r.asks(ingest.Object(result, "inputRequests"))
	if len(s.suspended) == maxSuspended {
		all = append(all, s.suspended[0].lost("too many calls wait for the person")...)
		s.suspended = slices.Delete(s.suspended, 0, 1)
	}
	s.suspended = append(s.suspended, r)
	return all
}

// stateOf returns the digest of what a suspended call and its retry have in common.
func stateOf(object map[string]any) string {
	if object["requestState"] == nil {
		return ""
	}
	return ingest.Digest(object["requestState"])
}

// resume returns the suspended call that a request goes on with, or nil. It is one of the
// same client, so that nobody goes on under the name of another.
func (s *Server) resume(r *request, params map[string]any) *request {
	if params["requestState"] == nil && params["inputResponses"] == nil {
		return nil
	}
	state := stateOf(params)
	i := slices.IndexFunc(s.suspended, func(old *request) bool {
		return old.state == state && old.call.Tool == r.call.Tool && old.call.Input == r.call.Input &&
			old.event.AgentID == r.event.AgentID && old.event.SessionID == r.event.SessionID
	})
	if i < 0 {
		return nil
	}
	old := s.suspended[i]
	s.suspended = slices.Delete(s.suspended, i, i+1)
	return old
}
