package otlp

import (
	"cmp"
	"maps"
	"strings"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// span is a span while it is read.
type span struct {
	from       *origin
	pb         *tracepb.Span
	attributes map[string]any
	operation  string // of the conventions for generative AI; empty: the span is of none that is kept
	tool       string
}

// spanKey names a span.
type spanKey struct{ trace, span string }

// The operations whose spans are kept. The first is a call of a tool.
const (
	executeTool = "execute_tool"
	invokeAgent = "invoke_agent"
	createAgent = "create_agent"
	guardrail   = "guardrail"
)

// micros is how details write a time.
const micros = "2006-01-02T15:04:05.999999Z07:00"

func newSpan(from *origin, pb *tracepb.Span) *span {
	s := &span{from: from, pb: pb, attributes: object(pb.GetAttributes())}
	if productOf(from.service, "") != "" {
		return s // whose logs say more, and the same calls twice would be two
	}
	switch op := ingest.Text(s.attributes, "gen_ai.operation.name"); {
	case op == executeTool, ingest.Text(s.attributes, "mcp.method.name") == "tools/call":
		s.operation, s.tool = executeTool, ingest.Text(s.attributes, "gen_ai.tool.name")
		if s.tool == "" {
			// Spans are called "execute_tool NAME" and "tools/call NAME".
			_, tool, _ := strings.Cut(pb.GetName(), " ")
			s.tool = cmp.Or(tool, pb.GetName())
		}
	case op == invokeAgent, op == createAgent:
		s.operation = op
	case strings.Contains(op, guardrail), s.says(guardrail):
		s.operation = guardrail
	}
	return s
}

// says reports whether an attribute's name has a word as one of its parts.
func (s *span) says(word string) bool {
	for name := range s.attributes {
		for part := range strings.SplitSeq(name, ".") {
			if part == word {
				return true
			}
		}
	}
	return false
}

// isIn reports whether a span is the part of another that is of the same call: client
// and server of a tool each have one.
func (s *span) isIn(parent *span) bool {
	return parent != nil && parent != s && s.operation == executeTool && parent.operation == executeTool && s.tool == parent.tool
}

// read returns the sightings of a span that tells of an action.
func (s *span) read(id string) []sighting.Sighting {
	r := &record{id: id, name: s.pb.GetName(), attributes: s.attributes, rest: maps.Clone(s.attributes), otel: map[string]any{"span": s.pb.GetName()}}
	began, ended := at(s.pb.GetStartTimeUnixNano()), at(s.pb.GetEndTimeUnixNano())
	r.from(s.from, began)
	r.event.TraceID, r.event.SpanID = traceID(s.pb.GetTraceId()), spanID(s.pb.GetSpanId())
	if parent := spanID(s.pb.GetParentSpanId()); parent != "" {
		r.otel["parent_span_id"] = parent
	}
	r.otel["kind"] = int64(s.pb.GetKind())
	set := func(name string, v any, is bool) {
		if is {
			r.otel[name] = v
		}
	}
	set("status_code", int64(s.pb.GetStatus().GetCode()), s.pb.GetStatus().GetCode() != 0)
	set("status_message", s.pb.GetStatus().GetMessage(), s.pb.GetStatus().GetMessage() != "")
	set("dropped_attributes", s.pb.GetDroppedAttributesCount(), s.pb.GetDroppedAttributesCount() != 0)
	set("events", s.events(), len(s.pb.GetEvents()) > 0)
	set("links", s.links(), len(s.pb.GetLinks()) > 0)
	if s.operation != executeTool {
		if !ended.IsZero() {
			r.otel["ended_at"] = ended.Format(micros)
		}
		return fit([]sighting.Sighting{r.unknown(typeOf(s.operation))}, s.operation)
	}

	delete(r.rest, "gen_ai.tool.name")
	c := sighting.Call{ID: r.take("gen_ai.tool.call.id"), Tool: s.tool, Phase: sighting.Requested}
	if c.ID != "" && r.event.SessionID == "" {
		// Ids such as call_1 are those of a session, and there is none but the trace.
		r.event.SessionID = r.event.TraceID
	}
	request, finish := r.begin(event.ActionRequested, "requested"), r.begin("", "finished")
	finish.OccurredAt = ended
	c.Input = r.argument(&request, r.takeValue("gen_ai.tool.call.arguments"))
	if output := r.takeValue("gen_ai.tool.call.result"); output != nil {
		finish.Details["output"] = output
		ingest.SetOutput(finish.Details, output)
	}
	kind := ingest.Text(s.attributes, "error.type")
	r.finished(&finish, kind == "" && s.pb.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR, s.pb.GetStatus().GetMessage(), kind)
	if kind != "" {
		finish.Details["error_type"] = r.take("error.type")
	}
	if !began.IsZero() && !ended.Before(began) {
		finish.Details["execution_time_ms"] = float64(ended.Sub(began).Microseconds()) / 1000
	}
	r.all(&finish)
	end := c
	end.Phase = sighting.Finished
	return fit([]sighting.Sighting{r.call(request, c), r.call(finish, end)}, executeTool)
}

// argument is input for a value that may be text.
func (r *record) argument(e *event.Event, v any) string {
	if text, ok := v.(string); ok {
		return r.input(e, text)
	}
	if v == nil {
		return ""
	}
	e.Details["input"] = v
	object, _ := v.(map[string]any)
	set(e, "resource", ingest.Resource(object))
	return sighting.Input(v)
}

func (s *span) events() []any {
	var all []any
	for _, e := range s.pb.GetEvents() {
		one := map[string]any{"name": e.GetName(), "attributes": object(e.GetAttributes())}
		if t := at(e.GetTimeUnixNano()); !t.IsZero() {
			one["time"] = t.Format(micros)
		}
		all = append(all, one)
	}
	return all
}

func (s *span) links() []any {
	var all []any
	for _, l := range s.pb.GetLinks() {
		all = append(all, map[string]any{"trace_id": id(l.GetTraceId()), "span_id": id(l.GetSpanId()), "attributes": object(l.GetAttributes())})
	}
	return all
}
