// Package cloudevents reads CloudEvents (version 1.0 of the specification, its JSON
// format and its HTTP binding) as events.
//
// An event whose type is registered, or is "custody." and a registered type, is that
// event: its data, an object, has the members that docs/events.md describes. Any other is
// an event of a type that is not registered, with the data and all attributes among its
// details.
package cloudevents

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
)

// Media types of the JSON format.
const (
	Structured = "application/cloudevents+json"
	Batch      = "application/cloudevents-batch+json"
)

// TypePrefix may stand before the name of a registered type.
const TypePrefix = "custody."

// Source is the source of all events that came as CloudEvents.
const Source = "cloudevents"

// IsBinary reports whether a request has one event in binary mode: its attributes are
// headers, and the body is its data.
func IsBinary(h http.Header) bool { return h.Get("Ce-Specversion") != "" }

// ParseStructured reads one event in the JSON format. What had to be interpreted is in
// notes.
func ParseStructured(text []byte) (e event.Event, notes []string, err error) {
	object, defects, err := ingest.ParseObject(text)
	if err != nil {
		return event.Event{}, nil, err
	}
	c := cloudEvent{attributes: map[string]string{}}
	for name, v := range object {
		switch name {
		case "data":
			c.data, c.hasData = v, v != nil
		case "data_base64":
			s, ok := v.(string)
			if _, err := base64.StdEncoding.DecodeString(s); !ok || err != nil {
				return event.Event{}, nil, errors.New("data_base64: it is no base64")
			}
			c.binary = s
		default:
			if err := c.set(name, v); err != nil {
				return event.Event{}, nil, err
			}
		}
	}
	if c.hasData && c.binary != "" {
		return event.Event{}, nil, errors.New("data, data_base64: there may be one of the two")
	}
	e, notes, err = c.event()
	return e, append(defects, notes...), err
}

// ParseBinary reads one event in binary mode.
func ParseBinary(h http.Header, body []byte) (e event.Event, notes []string, err error) {
	c := cloudEvent{attributes: map[string]string{}}
	for name, values := range h {
		attribute, ok := strings.CutPrefix(strings.ToLower(name), "ce-")
		if !ok {
			continue
		}
		if len(values) > 1 {
			return event.Event{}, nil, fmt.Errorf("ce-%.40s: it is there %d times; an attribute has one value", attribute, len(values))
		}
		value, err := url.PathUnescape(values[0]) // as the HTTP binding escapes, section 3.1.3.2
		if err != nil || !utf8.ValidString(value) {
			return event.Event{}, nil, fmt.Errorf("ce-%.40s: it is not escaped as a header of a CloudEvent is", attribute)
		}
		if err := c.set(attribute, value); err != nil {
			return event.Event{}, nil, err
		}
	}
	media := h.Get("Content-Type")
	if !utf8.ValidString(media) {
		return event.Event{}, nil, errors.New("Content-Type: it is not UTF-8")
	}
	if media != "" {
		c.attributes["datacontenttype"] = media
	}
	var defects []string
	switch {
	case len(body) == 0:
	case isJSON(media):
		// The parser of objects reads any value as a member.
		wrapped, changed, err := ingest.ParseObject(append(append([]byte(`{"data":`), body...), '}'))
		if err != nil {
			return event.Event{}, nil, fmt.Errorf("the data is no JSON, although its type is %.100q", media)
		}
		if len(wrapped) != 1 {
			return event.Event{}, nil, errors.New("the data is more than one JSON value")
		}
		c.data, c.hasData, defects = wrapped["data"], true, changed
	case utf8.Valid(body):
		c.data, c.hasData = string(body), true
	default:
		c.binary = base64.StdEncoding.EncodeToString(body)
	}
	e, notes, err = c.event()
	return e, append(defects, notes...), err
}

// isJSON reports whether data of a type is JSON (HTTP binding, section 3.1.1, and RFC 6839).
func isJSON(media string) bool {
	media, _, err := mime.ParseMediaType(media)
	return err == nil && (media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}

// cloudEvent is an event while it is read.
type cloudEvent struct {
	attributes map[string]string
	data       any
	hasData    bool
	binary     string // data that is no text, in base64
}

// set takes in an attribute. Values are strings, booleans and integers, which all have a
// form as strings (section "Type System").
func (c *cloudEvent) set(name string, v any) error {
	for i := range len(name) {
		if b := name[i]; !(b >= 'a' && b <= 'z' || b >= '0' && b <= '9') {
			return fmt.Errorf("%.40q is no name of an attribute of a CloudEvent: these have lower-case letters and digits only", name)
		}
	}
	if name == "" {
		return errors.New("an attribute of a CloudEvent has no name")
	}
	switch v := v.(type) {
	case nil: // the same as absent
	case string:
		c.attributes[name] = v
	case bool:
		c.attributes[name] = fmt.Sprint(v)
	case json.Number:
		c.attributes[name] = v.String()
	default:
		return fmt.Errorf("%.40s: an attribute of a CloudEvent is no array and no object", name)
	}
	return nil
}

// event returns what is to be recorded.
func (c *cloudEvent) event() (event.Event, []string, error) {
	if v := c.attributes["specversion"]; v != "1.0" {
		return event.Event{}, nil, fmt.Errorf("specversion: it is %.40q; CloudEvents of version 1.0 are read", v)
	}
	for _, name := range []string{"id", "source", "type"} {
		if c.attributes[name] == "" {
			return event.Event{}, nil, fmt.Errorf("%s: a CloudEvent needs one", name)
		}
	}
	e, notes, err := c.read()
	if err != nil {
		return event.Event{}, nil, err
	}
	if text, ok := c.attributes["time"]; ok {
		if e.OccurredAt = ingest.Time(text); e.OccurredAt.IsZero() {
			return event.Event{}, nil, fmt.Errorf("time: %.60q is no time as RFC 3339 writes it", text)
		}
	}
	e.ID, e.Source = c.id(), Source
	if e.TraceID == "" {
		e.TraceID, e.SpanID = traceParent(c.attributes["traceparent"])
	}
	if e.Details == nil {
		e.Details = map[string]any{}
	}
	name := "cloudevent"
	for e.Details[name] != nil {
		name = "_" + name
	}
	attributes := map[string]any{}
	for name, value := range c.attributes {
		if name != "specversion" && name != "time" {
			attributes[name] = value
		}
	}
	e.Details[name] = attributes
	return e, notes, nil
}

// id returns what source and id identify together. No source has a space in it that is
// one (RFC 3986).
func (c *cloudEvent) id() string {
	source, id := c.attributes["source"], c.attributes["id"]
	name := source + " " + id
	if len(name) > event.MaxIDLen || strings.Contains(source, " ") {
		return "cloudevent:" + ingest.Digest([]any{source, id})
	}
	return name
}

// read returns the event as far as type and data tell of it.
func (c *cloudEvent) read() (event.Event, []string, error) {
	t := event.Type(strings.TrimPrefix(c.attributes["type"], TypePrefix))
	object, isObject := c.data.(map[string]any)
	switch {
	case !t.Registered():
		e := event.Event{Type: typeOf(c.attributes["type"]), Details: map[string]any{}}
		if c.hasData {
			e.Details["data"] = c.data
		}
		if c.binary != "" {
			e.Details["data_base64"] = c.binary
		}
		return e, nil, nil
	case !c.hasData && c.binary == "":
		return event.Event{Type: t}, nil, nil
	case !isObject:
		return event.Event{}, nil, fmt.Errorf("data: of the type %s it is an object with members such as agent_id and details", t)
	case object["signature"] != nil:
		return event.Event{}, nil, errors.New("data.signature: what was signed is an event and no CloudEvent; send the event itself")
	}
	object["event_type"] = string(t)
	for _, name := range []string{"id", "source"} { // which the CloudEvent has as attributes
		if v := object[name]; v != nil && object["_"+name] == nil {
			object["_"+name] = v
		}
		delete(object, name)
	}
	text, err := event.AppendJSON(nil, object)
	if err != nil {
		return event.Event{}, nil, fmt.Errorf("data: %w", err)
	}
	return event.Decode(text)
}

// typeOf returns the type of an event that is not registered: it is the one that the
// CloudEvent has, in lower case, with "_" for what is not allowed in ours.
func typeOf(name string) event.Type {
	var b bytes.Buffer
	for i := 0; i < len(name) && b.Len() < event.MaxTypeLen; i++ {
		switch c := name[i]; {
		case c >= 'A' && c <= 'Z':
			b.WriteByte(c + 'a' - 'A')
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-':
			b.WriteByte(c)
		default:
			b.WriteByte('_')
		}
	}
	t := event.Type(b.String())
	if !event.ValidType(string(t)) || t.Registered() {
		t = "cloudevent_" + t
		t = t[:min(len(t), event.MaxTypeLen)]
	}
	return t
}

// traceParent reads the W3C trace context of the extension "distributed tracing".
func traceParent(text string) (trace, span string) {
	parts := strings.Split(text, "-")
	if len(parts) != 4 || len(parts[1]) != 32 || len(parts[2]) != 16 {
		return "", ""
	}
	return parts[1], parts[2]
}
