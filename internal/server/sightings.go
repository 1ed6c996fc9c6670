package server

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// maxSightings is how many sightings one request may have.
const maxSightings = 1000

// registerSightings serves
//
//	POST /v1/sightings
func (s *Server) registerSightings() {
	text := func(doc string) *huma.Schema { return &huma.Schema{Type: "string", Description: doc} }
	one := &huma.Schema{Type: "object", Required: []string{"event"}, AdditionalProperties: false, Properties: map[string]*huma.Schema{
		"event": {Type: "object", AdditionalProperties: true, Description: "What is to be recorded, as docs/events.md describes it. Its source names the path: mcp, or the name of an agent and /hook or /otel. With an id, sending it again does not record it twice"},
		"call": {Type: "object", AdditionalProperties: false, Required: []string{"tool", "phase"}, Description: "The call of a tool that it is about", Properties: map[string]*huma.Schema{
			"id":           text("That the agent gave it"),
			"session_id":   text("Session that it is of"),
			"tool":         text("Name of the tool, as the path names it"),
			"input_digest": text("Digest of the canonical input"),
			"phase":        {Type: "string", Enum: []any{"requested", "asked", "answered", "decided", "finished"}, Description: "How far it has come"},
			"endless":      {Type: "boolean", Description: "The path never tells how such a call ended"},
		}},
		"ends":     {Type: "string", Enum: []any{string(sighting.Turn), string(sighting.Session)}, Description: "What is over with it"},
		"unmapped": {Type: "boolean", Description: "The path does not know the kind of what it saw"},
	}}
	s.document(&huma.Operation{
		OperationID: "recordSightings", Method: http.MethodPost, Path: "/v1/sightings", Tags: []string{"agents"},
		Summary:     "Record what a path saw of agents",
		Description: "For recorders such as custody mcp: one sighting as an object, up to 1,000 as an array or as NDJSON. Those of one call, by whichever paths, become one action. One that says nothing new is not recorded; one that is refused does not keep the others out.",
		Parameters: []*huma.Param{
			{Name: "trail", In: "query", Schema: &huma.Schema{Type: "string", Default: "default"}, Description: "Name of the trail"},
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			typeJSON:   {Schema: &huma.Schema{OneOf: []*huma.Schema{one, {Type: "array", Items: one}}}},
			typeNDJSON: {Schema: one},
		}},
		Responses: map[string]*huma.Response{"200": {Description: "Recorded, but for those that are refused", Content: map[string]*huma.MediaType{
			typeJSON: {Schema: huma.SchemaFromType(s.api.OpenAPI().Components.Schemas, typeOf[sightingsAnswer]())}}}},
	}, 400, 403, 404, 408, 413, 415, 422, 503)
	s.HandleFunc("POST /v1/sightings", s.sightings)
}

type sightingsAnswer struct {
	Recorded int               `json:"recorded" doc:"How many events were recorded of them"`
	Refused  []refusedSighting `json:"refused,omitempty"`
}

type refusedSighting struct {
	Position int    `json:"position" doc:"Of the sighting, from 0"`
	Detail   string `json:"detail"`
}

func (s *Server) sightings(w http.ResponseWriter, r *http.Request) {
	answer, err := s.recordSightingsBody(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", typeJSON)
	json.NewEncoder(w).Encode(answer) // an error means that the client is gone
}

func (s *Server) recordSightingsBody(w http.ResponseWriter, r *http.Request) (*sightingsAnswer, error) {
	t, watched, err := s.agentsOf(trailAskedFor(r))
	if err != nil {
		return nil, err
	}
	// A stream is read as a whole too: its sightings are joined at once.
	r.Body = http.MaxBytesReader(w, r.Body, s.limits.Body)
	text, done, err := s.readWhole(r)
	if err != nil {
		return nil, err
	}
	defer done()
	leave, err := s.intake.enter(t.Name, len(text))
	if err != nil {
		return nil, err
	}
	defer leave()
	seen, err := readSightings(text, mediaType(r))
	if err != nil {
		return nil, err
	}
	receipts, refused, err := s.recordSightings(r.Context(), t, watched, seen)
	if err != nil {
		return nil, err
	}
	answer := &sightingsAnswer{Recorded: len(receipts)}
	for _, one := range refused {
		answer.Refused = append(answer.Refused, refusedSighting{one.Position, one.Err.Error()})
	}
	return answer, nil
}

// readSightings reads one sighting or an array of them, or of a stream one on each line.
func readSightings(text []byte, media string) (seen []sighting.Sighting, err error) {
	read := func(one []byte) error {
		if len(seen) == maxSightings {
			return newProblem(http.StatusRequestEntityTooLarge, "too_large", "there are more than %d sightings; send several requests", maxSightings)
		}
		var next sighting.Sighting
		if err := json.Unmarshal(one, &next); err != nil {
			return newProblem(http.StatusUnprocessableEntity, "invalid", "sighting %d: %s", len(seen), err)
		}
		seen = append(seen, next)
		return nil
	}
	switch {
	case media == typeNDJSON:
		for rec, err := range ingest.Records(bytes.NewReader(text), ingest.Source{Name: "body"}, ingest.Framing{}) {
			if err != nil {
				return nil, newProblem(http.StatusBadRequest, "malformed", "%s", err)
			}
			if err := read(rec.Text); err != nil {
				return nil, err
			}
		}
	case bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("[")):
		for element, err := range elements(text) {
			if err == nil {
				err = read(element)
			}
			if err != nil {
				return nil, err
			}
		}
	default:
		err = read(text)
	}
	return seen, err
}
