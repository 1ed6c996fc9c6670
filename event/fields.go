package event

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Field names one indexed member of an event. The numbers are written to disk
// in the index of every sealed segment: they are fixed for ever, never reused,
// and new fields are only added at the end.
type Field uint8

// The indexed fields. 0 is not a field.
const (
	FieldID          Field = 1
	FieldType        Field = 2
	FieldAgent       Field = 3
	FieldAction      Field = 4
	FieldProject     Field = 5
	FieldSession     Field = 6
	FieldUser        Field = 7
	FieldDecision    Field = 8
	FieldCorrelation Field = 9
)

// NumFields is the highest [Field] number in use.
const NumFields = 9

var fieldNames = [NumFields + 1]string{
	FieldID:          "id",
	FieldType:        "event_type",
	FieldAgent:       "agent_id",
	FieldAction:      "action_id",
	FieldProject:     "project_id",
	FieldSession:     "session_id",
	FieldUser:        "user_id",
	FieldDecision:    "decision",
	FieldCorrelation: "correlation_id",
}

// String returns the name of the member in the payload, such as "agent_id".
func (f Field) String() string {
	if f >= 1 && f <= NumFields {
		return fieldNames[f]
	}
	return fmt.Sprintf("field(%d)", uint8(f))
}

// ParseField returns the field whose member is called name.
func ParseField(name string) (Field, bool) {
	for f := Field(1); f <= NumFields; f++ {
		if fieldNames[f] == name {
			return f, true
		}
	}
	return 0, false
}

// affectedAgents is the detail of an emergency stop that lists whom it stops.
const affectedAgents = "affected_agents"

// stopsAgents reports whether details.affected_agents of the type are indexed.
func stopsAgents(t Type) bool { return t == EmergencyStop || t == EmergencyStopCleared }

// VisitFields calls yield for every indexed field of the event that is not
// empty, in the order in which [ScanFields] finds them in the payload. For
// [EmergencyStop] and [EmergencyStopCleared] each agent that
// details.affected_agents names is yielded as [FieldAgent] too, last, so that
// a stop is found by a query for any agent it affects; an agent may therefore
// be yielded twice.
//
// It visits what is in the event: call it on the event that is encoded, after
// [Event.Normalize].
func (e *Event) VisitFields(yield func(f Field, value string)) {
	if e.ActionID != "" {
		yield(FieldAction, e.ActionID)
	}
	if e.AgentID != "" {
		yield(FieldAgent, e.AgentID)
	}
	if e.CorrelationID != "" {
		yield(FieldCorrelation, e.CorrelationID)
	}
	if e.Decision != "" {
		yield(FieldDecision, string(e.Decision))
	}
	if e.Type != "" {
		yield(FieldType, string(e.Type))
	}
	if e.ID != "" {
		yield(FieldID, e.ID)
	}
	if e.ProjectID != "" {
		yield(FieldProject, e.ProjectID)
	}
	if e.SessionID != "" {
		yield(FieldSession, e.SessionID)
	}
	if e.UserID != "" {
		yield(FieldUser, e.UserID)
	}
	if !stopsAgents(e.Type) {
		return
	}
	switch v := e.Details[affectedAgents].(type) {
	case nil:
	case []string:
		for _, s := range v {
			if s != "" {
				yield(FieldAgent, s)
			}
		}
	default:
		// Whatever else a caller can put there counts as its JSON does.
		b, err := AppendJSON(nil, v)
		if err != nil {
			return // AppendPayload refuses it as well
		}
		s := scanner{b: string(b)}
		if plain, err := s.document(); err == nil {
			visitAgents(plain, func(agent string) { yield(FieldAgent, agent) })
		}
	}
}

// ScanFields calls yield for every indexed field of a payload, in the order of
// its members, and gives the same pairs as [Event.VisitFields] gives for the
// event that was encoded. It does not decode the rest, and does not allocate
// unless a value holds an escape sequence. value is only valid during the call.
//
// It never panics, whatever the bytes. An error is a [*SyntaxError]: the bytes
// are not a payload that [Event.AppendPayload] could have written, and the
// pairs yielded before it must not be used. That no error is returned does not
// prove the skipped parts well-formed: [ParsePayload] does.
func ScanFields(payload []byte, yield func(f Field, value []byte)) error {
	const cut = "it ends inside the payload; was it cut off?"
	b := payload
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return &SyntaxError{Offset: 0, Problem: "not a JSON object without space around it, so not a payload"}
	}
	var eventType, details []byte
	i := 1
	for {
		if i < len(b) && b[i] == '}' && (i == 1 || b[i-1] != ',') {
			i++
			break
		}
		// The name. Those of a payload need no escapes.
		if i >= len(b) || b[i] != '"' {
			return &SyntaxError{Offset: i, Problem: "a name in quotes should be here"}
		}
		nameStart := i + 1
		end := skipString(b, i)
		if end < 0 || end >= len(b) || b[end] != ':' {
			return &SyntaxError{Offset: i, Problem: "a name and ':' should be here"}
		}
		name := b[nameStart : end-1]
		i = end + 1
		if i >= len(b) {
			return &SyntaxError{Offset: len(b), Problem: cut}
		}
		start := i
		if i = skipValue(b, i); i < 0 {
			return &SyntaxError{Offset: start, Problem: "the value that begins here has no end"}
		}
		f := indexedField(name)
		if f != 0 {
			value, ok := stringValue(b[start:i])
			if !ok {
				return &SyntaxError{Offset: start, Problem: "the value of " + f.String() + " is not a JSON string"}
			}
			if f == FieldType {
				eventType = value
			}
			if len(value) > 0 {
				yield(f, value)
			}
		} else if string(name) == "details" {
			details = b[start:i]
		}
		if i >= len(b) {
			return &SyntaxError{Offset: len(b), Problem: cut}
		}
		switch b[i] {
		case ',':
			i++
		case '}':
		default:
			return &SyntaxError{Offset: i, Problem: "',' or '}' should be here"}
		}
	}
	if i != len(b) {
		return &SyntaxError{Offset: i, Problem: "more follows after the end of the object"}
	}
	if len(details) > 0 && stopsAgents(Type(eventType)) {
		return scanAgents(details, yield)
	}
	return nil
}

func indexedField(name []byte) Field {
	switch string(name) {
	case "id":
		return FieldID
	case "event_type":
		return FieldType
	case "agent_id":
		return FieldAgent
	case "action_id":
		return FieldAction
	case "project_id":
		return FieldProject
	case "session_id":
		return FieldSession
	case "user_id":
		return FieldUser
	case "decision":
		return FieldDecision
	case "correlation_id":
		return FieldCorrelation
	}
	return 0
}

// scanAgents yields the strings of the member affected_agents of an object.
func scanAgents(details []byte, yield func(f Field, value []byte)) error {
	s := scanner{b: string(details)}
	m, err := s.document()
	if err != nil {
		return err
	}
	object, _ := m.(map[string]any)
	visitAgents(object[affectedAgents], func(agent string) { yield(FieldAgent, []byte(agent)) })
	return nil
}

// visitAgents calls yield for each agent in a decoded affected_agents: the
// strings of an array, or a string alone.
func visitAgents(v any, yield func(agent string)) {
	switch v := v.(type) {
	case string:
		if v != "" {
			yield(v)
		}
	case []any:
		for _, x := range v {
			if s, ok := x.(string); ok && s != "" {
				yield(s)
			}
		}
	}
}

// skipValue returns the index after the value that begins at b[i], or -1. It
// only counts brackets and strings.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				if i = skipString(b, i); i < 0 {
					return -1
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
				if depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return -1
	}
	for start := i; i < len(b); i++ {
		if c := b[i]; c == ',' || c == '}' || c == ']' {
			if i == start {
				return -1
			}
			return i
		}
	}
	return -1
}

// skipString returns the index after the string whose opening quote is b[i],
// or -1.
func skipString(b []byte, i int) int {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	i++
	for i+8 <= len(b) {
		// Eight bytes at a time, as in plainLen.
		x := binary.LittleEndian.Uint64(b[i:])
		quote := x ^ ones*'"'
		slash := x ^ ones*'\\'
		m := ((quote-ones)&^quote | (slash-ones)&^slash) & high
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) / 8
		if b[i] == '"' {
			return i + 1
		}
		i += 2
	}
	for i < len(b) {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
		i++
	}
	return -1
}

// stringValue returns what the JSON string in quoted says. It allocates only
// if there is an escape sequence.
func stringValue(quoted []byte) ([]byte, bool) {
	if len(quoted) < 2 || quoted[0] != '"' {
		return nil, false
	}
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	s := scanner{b: string(quoted)}
	v, err := s.text()
	if err != nil || s.i != len(quoted) {
		return nil, false
	}
	return []byte(v), true
}
