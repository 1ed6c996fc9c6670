package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/cloudevents"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/wire"
)

// registerRecord serves
//
//	POST /v1/trails/{trail}/events
//	POST /v1/events
//
// which are the same but for where they name the trail. It is not an operation of huma's,
// which reads a body as a whole: of a stream, each event is recorded as it comes.
func (s *Server) registerRecord() {
	schemas := s.api.OpenAPI().Components.Schemas
	receipt, line := huma.SchemaFromType(schemas, typeOf[wire.Receipt]()), huma.SchemaFromType(schemas, typeOf[recordedLine]())
	one := &huma.Schema{Type: "object", Description: "One event; docs/events.md has its members.", AdditionalProperties: true}
	receipts := map[string]*huma.MediaType{
		typeJSON:   {Schema: &huma.Schema{OneOf: []*huma.Schema{receipt, {Type: "array", Items: receipt}}}},
		typeNDJSON: {Schema: line},
	}
	name := &huma.Schema{Type: "string"}
	for _, route := range []struct {
		id, path, summary string
		trail             huma.Param
	}{
		{"recordEvents", "/v1/trails/{trail}/events", "Record events", huma.Param{Name: "trail", In: "path", Required: true, Schema: name, Description: "Name of the trail"}},
		{"recordEventsShort", "/v1/events", "Record events, at an address without a trail", huma.Param{Name: "trail", In: "query", Schema: &huma.Schema{Type: "string", Default: "default"}, Description: "Name of the trail"}},
	} {
		s.document(&huma.Operation{
			OperationID: route.id, Method: http.MethodPost, Path: route.path, Tags: []string{"events"},
			Summary: route.summary,
			Description: "One event as an object, several as an array, or any number as NDJSON. An answer of 201 or 200, and a line with a receipt, says that the event is on the disk. " +
				"An event whose id the trail holds already is not recorded twice: it gets its first receipt. Of an array all events are recorded or, where one is refused, none; of a stream each stands for itself. CloudEvents 1.0 are taken too: one in structured or binary mode, several as a batch (docs/http.md).",
			Parameters: []*huma.Param{
				&route.trail,
				{Name: "strict", In: "query", Schema: &huma.Schema{Type: "boolean"}, Description: "Refuse events that break the rules of their type. Otherwise they are recorded with a list of their defects."},
			},
			RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
				typeJSON:   {Schema: &huma.Schema{OneOf: []*huma.Schema{one, {Type: "array", Items: one}}}},
				typeNDJSON: {Schema: one},

				cloudevents.Structured: {Schema: one}, cloudevents.Batch: {Schema: &huma.Schema{Type: "array", Items: one}},
			}},
			Responses: map[string]*huma.Response{
				"201": {Description: "Recorded", Content: receipts},
				"200": {Description: "The trail held all of them already; and for a stream, always", Content: receipts},
			},
		}, 400, 403, 404, 408, 409, 413, 415, 422, 503)
		s.HandleFunc("POST "+route.path, s.record)
	}
}

func (s *Server) record(w http.ResponseWriter, r *http.Request) {
	t, err := s.writable(cmp.Or(r.PathValue("trail"), trailAskedFor(r)))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	strict, err := strictOf(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if isStream(r) {
		s.recordStream(w, r, t, strict)
		return
	}
	status, body, err := s.recordBody(r, t, strict)
	if err != nil {
		s.refuse(r.Context(), t.Name, err)
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // an error means that the client is gone
}

func strictOf(r *http.Request) (strict bool, err error) {
	for name, values := range r.URL.Query() {
		if name == "trail" && r.PathValue("trail") == "" {
			continue
		}
		if name != "strict" {
			p := newProblem(http.StatusUnprocessableEntity, "invalid", "query.%s: unknown query parameter", name)
			p.Errors = []Fault{{"query." + name, "unknown query parameter"}}
			return false, p
		}
		if strict, err = strconv.ParseBool(values[0]); err != nil {
			p := newProblem(http.StatusUnprocessableEntity, "invalid", "query.strict: neither true nor false")
			p.Errors = []Fault{{"query.strict", "neither true nor false"}}
			return false, p
		}
	}
	return strict, nil
}

// recordBody records one event, or an array of them.
func (s *Server) recordBody(r *http.Request, t *trails.Trail, strict bool) (status int, body []byte, err error) {
	text, done, err := s.readWhole(r)
	if err != nil {
		return 0, nil, err
	}
	defer done()
	leave, err := s.intake.enter(t.Name, len(text))
	if err != nil {
		return 0, nil, err
	}
	defer leave()
	ctx := s.deadlines.bound(asSender(r.Context())) // also when the client is gone
	if isCloudEvent(r) {
		return s.recordCloudEvents(ctx, r, t, text, strict)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("[")) {
		e, err := readEvent(text, strict)
		if err == nil {
			err = s.admit(ctx, t, &e, text)
		}
		if err != nil {
			return 0, nil, err
		}
		return recordOne(ctx, t, e)
	}
	events, err := s.readArray(text, func(element []byte) (event.Event, error) {
		e, err := readEvent(element, strict)
		if err == nil {
			err = s.admit(ctx, t, &e, element)
		}
		return e, err
	})
	if err != nil {
		return 0, nil, err
	}
	return recordAll(ctx, t, events)
}

// recordOne records one event and returns the answer.
func recordOne(ctx context.Context, t *trails.Trail, e event.Event) (status int, body []byte, err error) {
	receipt, err := t.Record(ctx, e)
	if err != nil {
		return 0, nil, err
	}
	return statusOf(receipt), new(wire.ReceiptEncoder).Append(nil, &receipt), nil
}

// recordAll records all events or none, and returns the answer.
func recordAll(ctx context.Context, t *trails.Trail, events []event.Event) (status int, body []byte, err error) {
	receipts, err := t.RecordBatch(ctx, events)
	var refused *custody.BatchError
	if errors.As(err, &refused) {
		return 0, nil, locate(problemOf(refused.Err), refused.Position)
	} else if err != nil {
		return 0, nil, err
	}
	var enc wire.ReceiptEncoder
	body = append(body, '[')
	for i := range receipts {
		if i > 0 {
			body = append(body, ',')
		}
		body = enc.Append(body, &receipts[i])
	}
	return statusOf(receipts...), append(body, ']'), nil
}

func statusOf(receipts ...custody.Receipt) int {
	for i := range receipts {
		if !receipts[i].Duplicate {
			return http.StatusCreated
		}
	}
	return http.StatusOK
}

// maxFaults is how many events of an array an answer tells what is wrong with.
const maxFaults = 100

// readArray reads the events of an array, each with read. All that is wrong with any of
// them is in the error.
func (s *Server) readArray(text []byte, read func(element []byte) (event.Event, error)) ([]event.Event, error) {
	var events []event.Event
	var worst *Problem
	var faults []Fault
	for element, err := range elements(text) {
		if err != nil {
			return nil, err
		}
		if len(events) == s.limits.Batch {
			return nil, newProblem(http.StatusRequestEntityTooLarge, "too_large", "the array has more than %d events; send several, or a stream of NDJSON", s.limits.Batch)
		}
		e, err := read(element)
		if err != nil && len(faults) < maxFaults {
			p := locate(problemOf(err), len(events))
			if faults = append(faults, p.Errors...); worst == nil {
				worst = p
			}
		}
		events = append(events, e)
	}
	if worst != nil {
		worst.Errors = faults
		return nil, worst
	}
	return events, nil
}

// elements yields the elements of a JSON array, one after the other. An error is the last.
func elements(text []byte) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		dec := json.NewDecoder(bytes.NewReader(text))
		_, err := dec.Token()
		for err == nil && dec.More() {
			var element json.RawMessage
			if err = dec.Decode(&element); err == nil && !yield(element, nil) {
				return
			}
		}
		if err == nil {
			_, err = dec.Token()
		}
		if err != nil {
			yield(nil, malformed(dec, err))
		} else if _, err := dec.Token(); err != io.EOF {
			yield(nil, newProblem(http.StatusBadRequest, "malformed", "malformed JSON at byte %d: something stands behind the array", dec.InputOffset()+1))
		}
	}
}

func malformed(dec *json.Decoder, err error) *Problem {
	p := newProblem(http.StatusBadRequest, "malformed", "malformed JSON at or behind byte %d: %s", dec.InputOffset()+1, err)
	p.Errors = []Fault{{fmt.Sprintf("body, byte %d", dec.InputOffset()+1), err.Error()}}
	return p
}

// locate says of which event of an array a problem tells.
func locate(p *Problem, position int) *Problem {
	at := fmt.Sprintf("body[%d]", position)
	if len(p.Errors) == 0 {
		p.Errors = []Fault{{"body", p.Detail}}
	}
	for i := range p.Errors {
		p.Errors[i].Location = at + p.Errors[i].Location[len("body"):]
	}
	p.Detail = fmt.Sprintf("event %d of the array: %s; none of them was recorded", position, p.Detail)
	return p
}
