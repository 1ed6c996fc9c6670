package server

import (
	"context"
	"fmt"
	"net/http"

	"connectrpc.com/connect"
	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/ingest/otlp"
)

// rawMessage is a message of protobuf as it is on the wire.
type rawMessage struct{ bytes []byte }

// rawCodec passes messages on as they are: package otlp reads them.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) {
	m, ok := v.(*rawMessage)
	if !ok {
		return nil, fmt.Errorf("%T is no message of this service", v)
	}
	return m.bytes, nil
}

func (rawCodec) Unmarshal(b []byte, v any) error {
	m, ok := v.(*rawMessage)
	if !ok {
		return fmt.Errorf("%T is no message of this service", v)
	}
	m.bytes = append(m.bytes[:0], b...) // b is used again
	return nil
}

// exportTrail is the key of a context that has the trail to export to, which is the one
// that access was checked for.
type exportTrail struct{}

// registerOTLPGRPC serves
//
//	POST /opentelemetry.proto.collector.logs.v1.LogsService/Export
//	POST /opentelemetry.proto.collector.trace.v1.TraceService/Export
//	POST /opentelemetry.proto.collector.metrics.v1.MetricsService/Export
//
// as OTLP/gRPC 1 says. Clients of gRPC name no query, so that what they export is of the
// trail default.
func (s *Server) registerOTLPGRPC() {
	content := map[string]*huma.MediaType{"application/grpc": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}
	for _, route := range []struct {
		path, id string
		signal   otlp.Signal
	}{
		{"/opentelemetry.proto.collector.logs.v1.LogsService/Export", "exportLogsGRPC", otlp.Logs},
		{"/opentelemetry.proto.collector.trace.v1.TraceService/Export", "exportTracesGRPC", otlp.Traces},
		{"/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", "exportMetricsGRPC", otlp.Metrics},
	} {
		s.document(&huma.Operation{
			OperationID: route.id, Method: http.MethodPost, Path: route.path, Tags: []string{"agents"},
			Summary: "Export " + string(route.signal) + " over gRPC", Description: "POST /v1/" + string(route.signal) + " over gRPC, to the trail default (docs/otlp.md).",
			RequestBody: &huma.RequestBody{Required: true, Content: content},
			Responses:   map[string]*huma.Response{"200": {Description: "The status is in the trailer grpc-status", Content: content}},
		})
		export := func(ctx context.Context, in *connect.Request[rawMessage]) (*connect.Response[rawMessage], error) {
			trail, _ := ctx.Value(exportTrail{}).(string)
			rejected, why, err := s.takeIn(ctx, trail, route.signal, otlp.Protobuf, in.Msg.bytes)
			if err != nil {
				p := s.problem(ctx, err).exporters()
				return nil, connect.NewError(connect.Code(rpcCode(p.Status)), p)
			}
			return connect.NewResponse(&rawMessage{otlp.AppendAccepted(nil, otlp.Protobuf, route.signal, rejected, why)}), nil
		}
		h := connect.NewUnaryHandler(route.path, export, connect.WithCodec(rawCodec{}), connect.WithReadMaxBytes(int(s.limits.Body)))
		refusal := connect.NewErrorWriter()
		s.HandleFunc("POST "+route.path, func(w http.ResponseWriter, r *http.Request) {
			// The message is read before anybody can be asked whether there is room for it.
			if !s.bodies.TryAcquire(s.limits.Body) {
				refusal.Write(w, r, connect.NewError(connect.CodeUnavailable, problemOf(custody.ErrFull)))
				return
			}
			defer s.bodies.Release(s.limits.Body)
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exportTrail{}, trailAskedFor(r))))
		})
	}
}
