package server

import (
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/hooks"
	"github.com/custodylog/custody/internal/agents"
	"github.com/custodylog/custody/internal/stops"
)

// maxHookID is how many bytes the name of a message to a hook may have.
const maxHookID = 256

// registerHooks serves
//
//	POST /v1/hooks/{agent}
//
// The answers are those that agents expect of their hooks.
func (s *Server) registerHooks() {
	names := make([]any, 0, len(hooks.Products()))
	for _, name := range hooks.Products() {
		names = append(names, name)
	}
	s.document(&huma.Operation{
		OperationID: "agentHook", Method: http.MethodPost, Path: "/v1/hooks/{agent}", Tags: []string{"agents"},
		Summary: "Record what an agent tells its hook",
		Description: "The body is what the agent sends, whatever it says. The answer is the one by which the agent's hook has no opinion; while an emergency stop holds for the agent, its session or the project that the query names, the one by which the agent is denied what it wants, as far as its hooks can. " +
			"A stop holds even when the message cannot be recorded; then a message that an id names is answered by an error, and another one by denying it. Otherwise an answer that is no 2xx says that not all of the message was recorded; agents go on then, unless fail=closed is set.",
		Parameters: []*huma.Param{
			{Name: "agent", In: "path", Required: true, Schema: &huma.Schema{Type: "string", Enum: names}, Description: "Which agent it is"},
			{Name: "trail", In: "query", Schema: &huma.Schema{Type: "string", Default: "default"}, Description: "Name of the trail"},
			{Name: "event", In: "query", Schema: &huma.Schema{Type: "string"}, Description: "What the hook is for, where the agent does not say it itself"},
			{Name: "project", In: "query", Schema: &huma.Schema{Type: "string", MaxLength: new(event.MaxIDLen)}, Description: "Project that the agent works in, since none says so itself: the project_id of what is recorded, and what a stop of a project goes by"},
			{Name: "id", In: "query", Schema: &huma.Schema{Type: "string", MaxLength: new(maxHookID)}, Description: "Names the message, so that sending it again does not record it twice"},
			{Name: "fail", In: "query", Schema: &huma.Schema{Type: "string", Enum: []any{"open", "closed"}, Default: "open"}, Description: "closed: what cannot be recorded is answered by denying it, in the agent's own way"},
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{typeJSON: {Schema: &huma.Schema{Type: "object", AdditionalProperties: true}}}},
		Responses:   map[string]*huma.Response{"200": {Description: "Recorded", Content: map[string]*huma.MediaType{typeJSON: {Schema: &huma.Schema{Type: "object", AdditionalProperties: true}}}}},
	}, 400, 403, 404, 408, 413, 415, 422, 503)
	s.HandleFunc("POST /v1/hooks/{agent}", s.hook)
}

func (s *Server) hook(w http.ResponseWriter, r *http.Request) {
	text, done, err := s.readWhole(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer done()
	query := r.URL.Query()
	report, err := hooks.Parse(r.PathValue("agent"), query.Get("event"), text)
	if err != nil {
		s.fail(w, r, unread(err))
		return
	}
	report.InProject(query.Get("project"))
	answer, stopped, err := s.recordHook(r, report, len(text))
	if err != nil {
		// A stop holds all the same. But who names its messages keeps them, sends them
		// again, and has to know that this one is not recorded.
		denied := stopped && query.Get("id") == ""
		if fail := query.Get("fail"); !denied && fail != "" && fail != "open" { // closed, also where that is misspelt
			answer, denied = report.Refuse("it cannot be recorded: " + problemOf(err).Detail)
		}
		if !denied {
			s.fail(w, r, err)
			return
		}
		s.log.ErrorContext(r.Context(), "custody: what an agent wants is denied, and cannot be recorded", "agent", report.Product, "err", err)
	}
	w.Header().Set("Content-Type", typeJSON)
	w.Write(answer.Body)
}

// recordHook records what an agent told, and returns what it is told, and whether that is
// because of an emergency stop: both hold when it fails, too.
func (s *Server) recordHook(r *http.Request, report *hooks.Report, size int) (answer hooks.Answer, stopped bool, err error) {
	name, query := trailAskedFor(r), r.URL.Query()
	seen, answer := report.Sightings, report.Silent()
	if id := query.Get("id"); id != "" {
		for i := range seen {
			seen[i].Event.ID = id + ":" + strconv.Itoa(i)
		}
	}
	if stop := agents.Stopped(s.agents.of(name).stops, seen); stop != nil {
		reason := stops.Why(stop.By, stop.Reason)
		if refusal, can := report.Refuse(reason); can {
			answer, stopped = refusal, true
			seen = append(seen, agents.Denied(seen, "emergency_stop", reason, map[string]any{"stop_event_id": stop.ID})...)
		}
	}
	t, watched, err := s.agentsOf(name)
	if err != nil {
		return answer, stopped, err
	}
	for _, p := range []struct {
		name string
		most int
	}{{"id", maxHookID}, {"project", event.MaxIDLen}} {
		if v := query.Get(p.name); len(v) > p.most {
			return answer, stopped, invalid("query."+p.name, "it has %d bytes; use at most %d", len(v), p.most)
		}
	}
	leave, err := s.intake.enter(t.Name, size)
	if err != nil {
		return answer, stopped, err
	}
	defer leave()
	_, refused, err := s.recordSightings(r.Context(), t, watched, seen)
	if err == nil && len(refused) > 0 {
		err = refused[0].Err
	}
	return answer, stopped, err
}

// unread says what is wrong with a message that a reader of another format did not read.
func unread(err error) *Problem {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError {
		p = newProblem(http.StatusUnprocessableEntity, "invalid", "%s", err)
	}
	return p
}
