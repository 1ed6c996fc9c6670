package otlp

import (
	"encoding/base64"
	"encoding/hex"

	"google.golang.org/protobuf/proto"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/custodylog/custody/ingest/sighting"
)

// Encoding is how a message is written.
type Encoding int

// The encodings of OTLP.
const (
	Protobuf Encoding = iota
	JSON
)

// MaxRecords is how many log records or spans an export may have. Exporters send some
// hundreds at once, collectors some thousands.
const MaxRecords = 10_000

// MaxPayload is how many bytes the payload of an event has at most. The longest strings
// of what is larger are cut, and the event says so.
const MaxPayload = 1_000_000

// Export is what was read of an export.
type Export struct {
	Sightings []sighting.Sighting

	// Records says of which record each sighting is: its position in the export, among
	// all log records or spans.
	Records []int

	// Total is how many log records or spans there were.
	Total int

	// Dropped is how many of them are left out, since they tell of no action: spans only.
	Dropped int
}

func (e *Export) add(record int, seen ...sighting.Sighting) {
	for _, s := range seen {
		e.Sightings, e.Records = append(e.Sightings, s), append(e.Records, record)
	}
}

// ParseLogs reads the body of an export of logs: an ExportLogsServiceRequest. Its errors
// are about the body as a whole; a *[TooManyError] is one of them.
func ParseLogs(enc Encoding, body []byte) (*Export, error) {
	var data logspb.LogsData // has the wire form of the request
	bad, err := unmarshal(enc, body, &data, records{[][]string{{"resourceLogs", "resource_logs"}, {"scopeLogs", "scope_logs"}, {"logRecords", "log_records"}}, func() proto.Message { return &logspb.LogRecord{} }})
	if err != nil {
		return nil, err
	}
	x := &Export{}
	for _, of := range data.ResourceLogs {
		for _, in := range of.GetScopeLogs() {
			x.Total += len(in.GetLogRecords())
		}
	}
	if x.Total > MaxRecords {
		return nil, &TooManyError{MaxRecords, "records"}
	}
	n, ids := 0, newIDs()
	for _, of := range data.ResourceLogs {
		from := newOrigin(of.GetResource(), of.GetSchemaUrl())
		for _, in := range of.GetScopeLogs() {
			from.within(in.GetScope())
			for _, l := range in.GetLogRecords() {
				if enc == JSON {
					l.TraceId, l.SpanId = fromHex(l.TraceId, 16), fromHex(l.SpanId, 8)
				}
				if m := bad[n]; m != nil {
					x.add(n, m.read(from, ids)...)
				} else {
					x.add(n, readLog(from, l, ids.of(from, l))...)
				}
				n++
			}
		}
	}
	return x, nil
}

// ParseTraces reads the body of an export of traces: an ExportTraceServiceRequest. Its
// errors are those of [ParseLogs].
func ParseTraces(enc Encoding, body []byte) (*Export, error) {
	var data tracepb.TracesData
	bad, err := unmarshal(enc, body, &data, records{[][]string{{"resourceSpans", "resource_spans"}, {"scopeSpans", "scope_spans"}, {"spans"}}, func() proto.Message { return &tracepb.Span{} }})
	if err != nil {
		return nil, err
	}
	var all []*span
	byID := map[spanKey]*span{}
	ids := newIDs()
	for _, of := range data.ResourceSpans {
		from := newOrigin(of.GetResource(), of.GetSchemaUrl())
		for _, in := range of.GetScopeSpans() {
			if len(all)+len(in.GetSpans()) > MaxRecords {
				return nil, &TooManyError{MaxRecords, "spans"}
			}
			within := *from
			within.within(in.GetScope())
			for _, s := range in.GetSpans() {
				if enc == JSON {
					s.TraceId, s.SpanId, s.ParentSpanId = fromHex(s.TraceId, 16), fromHex(s.SpanId, 8), fromHex(s.ParentSpanId, 8)
					for _, l := range s.Links {
						l.TraceId, l.SpanId = fromHex(l.TraceId, 16), fromHex(l.SpanId, 8)
					}
				}
				one := newSpan(&within, s)
				all = append(all, one)
				byID[spanKey{string(s.TraceId), string(s.SpanId)}] = one
			}
		}
	}
	x := &Export{Total: len(all)}
	for i, s := range all {
		if m := bad[i]; m != nil {
			x.add(i, m.read(s.from, ids)...)
			continue
		}
		if s.operation == "" || s.isIn(byID[spanKey{string(s.pb.TraceId), string(s.pb.ParentSpanId)}]) {
			x.Dropped++
			continue
		}
		x.add(i, s.read(ids.of(s.from, s.pb))...)
	}
	return x, nil
}

// fromHex mends an id that was read from JSON, where OTLP writes ids in hexadecimal and
// not, as protobuf does, in base64. Hexadecimal digits are digits of base64 too, so that
// encoding what came of them brings them back. What has another length is no id.
func fromHex(b []byte, size int) []byte {
	if len(b) == size { // by an exporter that writes base64
		return b
	}
	id, err := hex.DecodeString(base64.StdEncoding.EncodeToString(b))
	if err != nil || len(id) != size {
		return nil
	}
	return id
}
