package otlp

import (
	"cmp"
	"maps"
	"strings"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// record is a log record or a span while it is read.
type record struct {
	product    string // the agent, if it is one that is known
	name       string // of the event
	id         string
	attributes map[string]any
	rest       map[string]any // of them: what no event has yet
	otel       map[string]any // what else the record says
	event      event.Event    // what all events of the record have
}

// readers read what the agents that are known tell in logs. They return nothing where
// the event is to be kept as it is.
var readers = map[string]func(*record) []sighting.Sighting{
	"claude-code": (*record).claude,
	"codex":       (*record).codex,
	"gemini":      (*record).gemini,
}

// readLog reads a log record.
func readLog(from *origin, l *logspb.LogRecord, id string) []sighting.Sighting {
	attributes := object(l.GetAttributes())
	body := value(l.GetBody())
	r := &record{id: id, attributes: attributes, rest: maps.Clone(attributes), otel: map[string]any{}}
	text, _ := body.(string)
	r.name = cmp.Or(ingest.Text(attributes, "event.name"), l.GetEventName())
	if strings.HasPrefix(text, "claude_code.") { // its attribute event.name is the rest of it
		r.name = text
	} else if body != nil {
		r.otel["body"] = body
	}
	delete(r.rest, "event.name")
	if name := l.GetEventName(); name != "" && name != r.name {
		r.otel["event_name"] = name
	}
	if r.name != "" {
		r.otel["event"] = r.name
	}
	occurred := at(l.GetTimeUnixNano())
	if occurred.IsZero() {
		occurred = ingest.Time(ingest.Text(attributes, "event.timestamp"))
	}
	if occurred.IsZero() {
		occurred = at(l.GetObservedTimeUnixNano())
	}
	r.from(from, occurred)
	r.event.TraceID, r.event.SpanID = traceID(l.GetTraceId()), spanID(l.GetSpanId())
	if text := l.GetSeverityText(); text != "" {
		r.otel["severity_text"] = text
	}
	severity := int64(l.GetSeverityNumber())
	if severity != 0 {
		r.otel["severity_number"] = severity
	}
	if n := l.GetDroppedAttributesCount(); n != 0 {
		r.otel["dropped_attributes"] = n
	}
	if read := readers[r.product]; read != nil {
		rest := maps.Clone(r.rest)
		if seen := read(r); seen != nil {
			return fit(seen, r.name)
		}
		r.rest = rest
	}
	s := r.unknown(typeOf(r.name))
	s.Event.Severity = severityOf(severity)
	return fit([]sighting.Sighting{s}, r.name)
}

// from sets where the record comes from, and all that follows from that.
func (r *record) from(o *origin, occurred time.Time) {
	r.product = productOf(o.service, r.name)
	for name, v := range map[string]any{"resource": o.resource, "scope": o.scope} {
		if v != nil {
			r.otel[name] = v
		}
	}
	r.event = event.Event{Source: cmp.Or(r.product, o.service) + "/otel", OccurredAt: occurred}
	r.event.AgentID = cmp.Or(r.product, r.take("gen_ai.agent.id", "gen_ai.agent.name"), o.service)
	r.event.SessionID = cmp.Or(r.take("session.id", "conversation.id", "gen_ai.conversation.id"), o.session)
	r.event.UserID = r.take("user.email", "enduser.id", "user.id")
	r.event.CorrelationID = r.take("prompt.id", "prompt_id")
}

// take returns an attribute that is a string, which then is not kept a second time.
func (r *record) take(names ...string) string {
	for _, name := range names {
		if v := ingest.Text(r.attributes, name); v != "" {
			delete(r.rest, name)
			return v
		}
	}
	return ""
}

// takeValue is take for any value.
func (r *record) takeValue(name string) any {
	delete(r.rest, name)
	return r.attributes[name]
}

// begin returns an event of the record. step tells the events of one record apart.
func (r *record) begin(t event.Type, step string) event.Event {
	e := r.event
	e.ID, e.Type, e.Details = r.id, t, map[string]any{}
	if step != "" {
		e.ID += ":" + step
	}
	if r.product != "" {
		e.Details["agent_product"] = r.product
	}
	return e
}

// all adds to an event all of the record that is not in it yet.
func (r *record) all(e *event.Event) {
	if len(r.rest) > 0 {
		r.otel["attributes"] = r.rest
	}
	e.Details["otel"] = r.otel
}

// plain returns the sighting of what is no call.
func (r *record) plain(e event.Event) sighting.Sighting {
	r.all(&e)
	return sighting.Sighting{Event: e, Mapped: true}
}

// unknown returns the sighting of what is kept as it is.
func (r *record) unknown(t event.Type) sighting.Sighting {
	s := r.plain(r.begin(t, ""))
	s.Mapped = false
	return s
}

// call returns the sighting of a step of a call.
func (r *record) call(e event.Event, c sighting.Call) sighting.Sighting {
	c.Session = e.SessionID
	c.Describe(e.Details)
	return sighting.Sighting{Event: e, Call: &c, Mapped: true}
}

// decided makes e a decision about a call, and reports false where it is none.
func (r *record) decided(e *event.Event, word, by string) bool {
	decision, ok := event.ParseDecisionFrom(r.product, word)
	if !ok && strings.HasPrefix(word, "approved_") {
		decision, ok = event.Allow, true
	}
	if !ok {
		return false
	}
	e.Type, e.Decision = event.ActionValidated, decision
	e.DecisionSource, _ = event.ParseDecisionSource(by)
	if decision == event.Deny {
		r.denied(e, by)
	}
	return true
}

// denied makes e the denial of a call.
func (r *record) denied(e *event.Event, by string) {
	e.Type, e.Decision, e.Outcome = event.ActionDenied, event.Deny, event.OutcomeDenied
	e.DecisionSource = cmp.Or(e.DecisionSource, event.ByNone)
	e.Details["reasons"] = []any{"the agent gave none"}
	if by != "" {
		e.Details["reasons"] = []any{"the agent says that it was denied by " + by}
	}
}

// refused makes e the denial of a call that the agent itself did not run, and says why.
func (r *record) refused(e *event.Event, by event.DecisionSource, why string) {
	e.DecisionSource = by
	r.denied(e, "")
	if why != "" {
		e.Details["reasons"] = []any{ingest.Short(why, 4096)}
	}
}

// finished makes e the end of a call.
func (r *record) finished(e *event.Event, success bool, failure ...string) {
	e.Type, e.Outcome = event.ActionExecuted, event.OutcomeSuccess
	if !success {
		e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
		e.Details["error"], e.Details["layer"] = ingest.Short(cmp.Or(append(failure, "the agent does not say what failed")...), 4096), "tool"
	}
}

// took sets how long a call ran.
func (r *record) took(e *event.Event) {
	if ms, ok := number(r.attributes["duration_ms"]); ok && ms >= 0 {
		e.Details["execution_time_ms"] = ms
		delete(r.rest, "duration_ms")
	}
}

// input keeps the input of a call, which is text with a JSON object, and returns its
// digest.
func (r *record) input(e *event.Event, text string) string {
	if text == "" {
		return ""
	}
	e.Details["input"] = text
	if object, _, err := ingest.ParseObject([]byte(text)); err == nil {
		e.Details["input"] = object
		if resource := ingest.Resource(object); resource != "" {
			e.Details["resource"] = resource
		}
	}
	return sighting.Input(e.Details["input"])
}

// set sets details that are not empty.
func set(e *event.Event, name, text string) {
	if text != "" {
		e.Details[name] = text
	}
}

// fit has all events fit in payloads.
func fit(seen []sighting.Sighting, name string) []sighting.Sighting {
	for i := range seen {
		if ingest.Fit(&seen[i].Event, MaxPayload, typeOf(name)) != nil {
			seen[i].Mapped = false
		}
	}
	return seen
}

// severityOf returns the severity of a record of which nothing else is known. OTLP has
// four numbers for each of TRACE, DEBUG, INFO, WARN, ERROR and FATAL, from 1 on.
func severityOf(number int64) event.Severity {
	switch {
	case number >= 21:
		return event.SeverityCritical
	case number >= 17:
		return event.SeverityError
	case number >= 13:
		return event.SeverityWarning
	case number >= 1:
		return event.SeverityInfo
	}
	return ""
}

// traceID and spanID return the text of ids that have their length.
func traceID(b []byte) string { return sized(b, 16) }

func spanID(b []byte) string { return sized(b, 8) }

func sized(b []byte, size int) string {
	if len(b) != size {
		return ""
	}
	return id(b)
}
