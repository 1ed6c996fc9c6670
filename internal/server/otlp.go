package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/custodylog/custody/ingest/otlp"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/trails"
)

const typeProtobuf = "application/x-protobuf"

// otlpPaths are the routes that are answered as OTLP wants it, their errors too.
var otlpPaths = map[string]otlp.Signal{"/v1/logs": otlp.Logs, "/v1/traces": otlp.Traces, "/v1/metrics": otlp.Metrics}

// registerOTLP serves
//
//	POST /v1/logs
//	POST /v1/traces
//	POST /v1/metrics
//
// as OTLP/HTTP 1 says.
func (s *Server) registerOTLP() {
	s.exported = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "custody_otlp_records_total",
		Help: "Log records and spans that were exported to the server, by what became of them: recorded, also where another path had told all of it; rejected; dropped, which are spans that tell of no action. Of metrics, exports, which are all dropped."},
		[]string{"trail", "signal", "became"})
	s.metrics.registry.MustRegister(s.exported)
	object := &huma.Schema{Type: "object", AdditionalProperties: true}
	content := map[string]*huma.MediaType{typeJSON: {Schema: object}, typeProtobuf: {Schema: &huma.Schema{Type: "string", Format: "binary"}}}
	for _, route := range []struct {
		path, id, summary, description string
	}{
		{"/v1/logs", "exportLogs", "Record logs that agents export", "The body is an ExportLogsServiceRequest. Every record becomes an event, and what agents that are known say of their calls becomes steps of actions (docs/otlp.md)."},
		{"/v1/traces", "exportTraces", "Record spans that agents export", "The body is an ExportTraceServiceRequest. Calls of tools become actions; agents that are created or invoked, and guardrails, become events. Other spans are dropped, and counted in custody_otlp_records_total (docs/otlp.md)."},
		{"/v1/metrics", "exportMetrics", "Take in metrics, and drop them", "So that agents that export everything to one address can do so. Nothing of it is recorded."},
	} {
		responses := map[string]*huma.Response{"200": {Description: "Taken in, but for records that the partial success counts", Content: content}}
		for status, text := range map[string]string{"400": "It is no OTLP; sending it again is of no use", "403": "It may not be recorded by this sender", "404": "There is no such trail", "413": "It is too large", "415": "It is neither JSON nor protobuf", "503": "It can be sent again, after what Retry-After says"} {
			responses[status] = &huma.Response{Description: text + ". The body is a google.rpc.Status", Content: content}
		}
		s.document(&huma.Operation{
			OperationID: route.id, Method: http.MethodPost, Path: route.path, Tags: []string{"agents"}, Summary: route.summary, Description: route.description,
			Parameters:  []*huma.Param{{Name: "trail", In: "query", Schema: &huma.Schema{Type: "string", Default: "default"}, Description: "Name of the trail"}},
			RequestBody: &huma.RequestBody{Required: true, Content: content},
			Responses:   responses,
		})
		s.HandleFunc("POST "+route.path, s.export)
	}
}

// export takes in an export over HTTP.
func (s *Server) export(w http.ResponseWriter, r *http.Request) {
	signal, enc := otlpPaths[r.URL.Path], otlpEncoding(r)
	body, done, err := s.readWhole(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer done()
	rejected, why, err := s.takeIn(r.Context(), trailAskedFor(r), signal, enc, body)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", otlpType(enc))
	w.Write(otlp.AppendAccepted(nil, enc, signal, rejected, why))
}

// takeIn records an export, and returns how many of its records were refused, and the
// reason of the first.
func (s *Server) takeIn(ctx context.Context, trail string, signal otlp.Signal, enc otlp.Encoding, body []byte) (rejected int, why string, err error) {
	t, watched, err := s.agentsOf(trail)
	if err != nil {
		return 0, "", err
	}
	leave, err := s.intake.enter(t.Name, len(body))
	if err != nil {
		return 0, "", err
	}
	defer leave()
	select {
	case watched.exports <- struct{}{}:
		defer func() { <-watched.exports }()
	case <-ctx.Done():
		return 0, "", ctx.Err()
	}
	x := &otlp.Export{Total: 1, Dropped: 1}
	switch signal {
	case otlp.Logs:
		x, err = otlp.ParseLogs(enc, body)
	case otlp.Traces:
		x, err = otlp.ParseTraces(enc, body)
	}
	if err != nil {
		err = exportProblem(err)
		s.refuse(ctx, t.Name, err)
		return 0, "", err
	}
	rejected, why, err = s.recordExport(ctx, t, watched, x)
	if err != nil {
		return 0, "", err
	}
	for became, n := range map[string]int{"recorded": x.Total - x.Dropped - rejected, "dropped": x.Dropped, "rejected": rejected} {
		s.exported.WithLabelValues(t.Name, string(signal), became).Add(float64(n))
	}
	return rejected, why, nil
}

// exportProblem says what is wrong with an export that could not be read.
func exportProblem(err error) *Problem {
	if _, many := errors.AsType[*otlp.TooManyError](err); many {
		return newProblem(http.StatusRequestEntityTooLarge, "too_large", "%s", err)
	}
	return newProblem(http.StatusBadRequest, "malformed", "%s", err)
}

// recordExport records what an export tells. A record that may not be recorded, or
// that the trail refuses, does not keep the others out; where all of them may not be,
// that is an error.
func (s *Server) recordExport(ctx context.Context, t *trails.Trail, w watched, x *otlp.Export) (rejected int, why string, err error) {
	bad := map[int]bool{} // records that are refused
	reject := func(record int, err error) {
		bad[record], why = true, cmp.Or(why, problemOf(err).Detail)
	}
	admit := s.admitsUnsigned(ctx, t)
	var seen []sighting.Sighting
	var of []int
	for i := range x.Sightings {
		err := admit(&x.Sightings[i].Event)
		switch {
		case err == nil:
			seen, of = append(seen, x.Sightings[i]), append(of, x.Records[i])
		case problemOf(err).Status >= http.StatusInternalServerError:
			return 0, "", err
		default:
			if len(seen) == 0 && i == len(x.Sightings)-1 {
				return 0, "", err
			}
			reject(x.Records[i], err)
		}
	}
	ctx, cancel := context.WithTimeout(asSender(ctx), s.limits.Request)
	defer cancel()
	_, refused, err := w.RecordAdmitted(ctx, seen, admit)
	for _, one := range refused {
		s.refuse(ctx, t.Name, one.Err)
		reject(of[one.Position], one.Err)
	}
	return len(bad), why, err
}

func otlpEncoding(r *http.Request) otlp.Encoding {
	if mediaType(r) == typeProtobuf {
		return otlp.Protobuf
	}
	return otlp.JSON
}

func otlpType(enc otlp.Encoding) string {
	if enc == otlp.JSON {
		return typeJSON
	}
	return typeProtobuf
}

// exporters is a problem as exporters are told of it. They send again after 429, 502,
// 503 and 504 alone (OTLP/HTTP, "Failures"), and otherwise drop what nothing is wrong with
// if the server is at fault, or the network is slow.
func (p *Problem) exporters() *Problem {
	told := *p
	switch p.Status {
	case http.StatusInternalServerError:
		told.Status, told.retryAfter = http.StatusServiceUnavailable, 60
	case http.StatusRequestTimeout:
		told.Status, told.retryAfter = http.StatusServiceUnavailable, 1
	}
	return &told
}

// failExport answers an export with an error.
func failExport(w http.ResponseWriter, r *http.Request, p *Problem) {
	enc := otlpEncoding(r)
	w.Header().Set("Content-Type", otlpType(enc))
	w.WriteHeader(p.Status)
	w.Write(otlp.AppendStatus(nil, enc, rpcCode(p.Status), p.Detail))
}

// rpcCode returns the code of google.rpc.Code for a status of HTTP.
func rpcCode(status int) int {
	switch status {
	case http.StatusUnauthorized:
		return 16 // UNAUTHENTICATED
	case http.StatusForbidden:
		return 7 // PERMISSION_DENIED
	case http.StatusNotFound:
		return 5 // NOT_FOUND
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return 14 // UNAVAILABLE
	case 499: // the client is gone
		return 1 // CANCELLED
	}
	return 3 // INVALID_ARGUMENT
}
