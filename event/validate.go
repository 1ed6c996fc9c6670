package event

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Mode says what happens to an event that breaks the rules of the registry.
type Mode int

const (
	// Lenient stores it, with the problems listed in Defects. Nothing that
	// was reported is lost.
	Lenient Mode = iota

	// Strict refuses it with a [*ValidationError].
	Strict
)

// MaxIDLen is how many bytes an id, a source or a principal may have.
const MaxIDLen = 1024

// MaxTypeLen is how many bytes the name of a type may have.
const MaxTypeLen = 128

// DefectUnregistered marks an event whose type is not in the registry.
const DefectUnregistered = "unregistered"

// ValidationError lists everything that is wrong with one event.
type ValidationError struct {
	Problems []string // each names the member, such as "agent_id: required for action_denied but empty"
}

func (e *ValidationError) Error() string {
	return "the event breaks the rules of its type: " + strings.Join(e.Problems, "; ") +
		"; correct it, or send it in lenient mode to store it with these defects"
}

// ValidType reports whether s can name a type: a lower-case letter, then up to
// 127 of a-z, 0-9, '_', '.' and '-'.
func ValidType(s string) bool {
	if s == "" || len(s) > MaxTypeLen || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-') {
			return false
		}
	}
	return true
}

// problem is one thing that is wrong with an event.
type problem struct {
	text string

	// misfit is the member whose value cannot stay where it is, or empty.
	misfit string
}

// Check returns what is wrong with the event, each naming the member, or nil.
// [DefectUnregistered] alone is no fault of the event. It does not look at
// what only encoding finds: invalid UTF-8, and numbers that are not exact.
func (e *Event) Check() []string {
	ps := e.problems()
	if len(ps) == 0 {
		return nil
	}
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.text
	}
	return texts
}

// Normalize returns the event as it is to be encoded: Severity filled from the
// registry where it is empty, and in Lenient mode the problems that
// [Event.Check] finds appended to Defects. There, a value that is not in its
// set, too long or misshapen moves to details, decision to
// details.decision_raw for example, and a name that cannot be a type is
// replaced by [Unregistered]. A signature whose event differs from the one that was
// signed keeps no Salt. In Strict mode any problem but
// [DefectUnregistered] is a [*ValidationError] that lists all of them, and the
// event is returned unchanged.
//
// What e shares with the caller (Details, Defects) is copied before it is
// changed. An event without problems costs no allocation. Normalizing twice is
// the same as once.
func (e Event) Normalize(mode Mode) (Event, error) {
	if ps := e.problems(); len(ps) > 0 {
		if mode == Strict {
			if err := faults(ps); err != nil {
				return e, err
			}
		}
		e = e.settle(ps)
	}
	if e.Severity == "" {
		e.Severity = SeverityNotice
		if spec, ok := Lookup(e.Type); ok {
			e.Severity = spec.SeverityOf(e.Details)
		}
	}
	if e.Signature != nil {
		e.Signature = e.settled()
	}
	return e, nil
}

func faults(ps []problem) error {
	var texts []string
	for _, p := range ps {
		if p.text != DefectUnregistered {
			texts = append(texts, p.text)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return &ValidationError{Problems: texts}
}

// settle moves misfits away and appends the defects that are not there yet.
func (e Event) settle(ps []problem) Event {
	e.Defects = slices.Clone(e.Defects)
	copied := false
	for _, p := range ps {
		switch p.misfit {
		case "":
		case "event_type":
			e.Type = Unregistered
			p.text += "; stored as " + string(Unregistered)
		default:
			if !copied {
				if e.Details = maps.Clone(e.Details); e.Details == nil {
					e.Details = map[string]any{}
				}
				copied = true
			}
			at := e.text(p.misfit)
			name := freeName(e.Details, p.misfit+"_raw")
			e.Details[name] = *at
			*at = ""
			p.text += "; kept as details." + name
		}
		if !slices.Contains(e.Defects, p.text) {
			e.Defects = append(e.Defects, p.text)
		}
	}
	return e
}

func (e *Event) problems() []problem {
	var ps []problem
	spec, registered := Lookup(e.Type)
	if !registered {
		switch {
		case e.Type == "":
			ps = append(ps, problem{"event_type: required but empty", "event_type"})
		case !ValidType(string(e.Type)):
			ps = append(ps, problem{fmt.Sprintf("event_type: %q cannot name a type (a-z, then a-z 0-9 _ . -, at most %d bytes)",
				short(string(e.Type)), MaxTypeLen), "event_type"})
		}
		ps = append(ps, problem{text: DefectUnregistered})
	}
	if len(e.ID) > MaxIDLen || len(e.AgentID) > MaxIDLen || len(e.ActionID) > MaxIDLen ||
		len(e.ProjectID) > MaxIDLen || len(e.SessionID) > MaxIDLen || len(e.UserID) > MaxIDLen ||
		len(e.CorrelationID) > MaxIDLen || len(e.ParentID) > MaxIDLen ||
		len(e.Source) > MaxIDLen || len(e.SourceRun) > MaxIDLen || len(e.Principal) > MaxIDLen {
		ps = e.tooLong(ps)
	}
	if e.Decision != "" && !e.Decision.Valid() {
		ps = append(ps, outside("decision", string(e.Decision), decisionDocs))
	}
	if e.DecisionSource != "" && !e.DecisionSource.Valid() {
		ps = append(ps, outside("decision_source", string(e.DecisionSource), decisionSourceDocs))
	}
	if e.Outcome != "" && !e.Outcome.Valid() {
		ps = append(ps, outside("outcome", string(e.Outcome), outcomeDocs))
	}
	if e.Severity != "" && !e.Severity.Valid() {
		ps = append(ps, outside("severity", string(e.Severity), severityDocs))
	}
	if e.TraceID != "" && !validTraceID(e.TraceID, 32) {
		ps = append(ps, problem{fmt.Sprintf("trace_id: %q is not 32 lower-case hex digits, or all are zero", short(e.TraceID)), "trace_id"})
	}
	if e.SpanID != "" && !validTraceID(e.SpanID, 16) {
		ps = append(ps, problem{fmt.Sprintf("span_id: %q is not 16 lower-case hex digits, or all are zero", short(e.SpanID)), "span_id"})
	}
	if registered {
		ps = e.breaches(spec, ps)
	}
	return ps
}

// tooLong lists the members that are longer than MaxIDLen.
func (e *Event) tooLong(ps []problem) []problem {
	for _, name := range [...]string{"id", "agent_id", "action_id", "project_id", "session_id", "user_id",
		"correlation_id", "parent_id", "source", "source_run", "principal"} {
		if n := len(*e.text(name)); n > MaxIDLen {
			ps = append(ps, problem{fmt.Sprintf("%s: %d bytes, more than the %d it may have", name, n, MaxIDLen), name})
		}
	}
	return ps
}

func outside(name, value string, set []ValueDoc) problem {
	words := make([]string, len(set))
	for i, v := range set {
		words[i] = v.Value
	}
	return problem{fmt.Sprintf("%s: %q is none of %s", name, short(value), strings.Join(words, ", ")), name}
}

// validTraceID reports whether s is n lower-case hex digits that are not all
// zero, as W3C Trace Context wants.
func validTraceID(s string, n int) bool {
	if len(s) != n {
		return false
	}
	zero := true
	for i := 0; i < n; i++ {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
		zero = zero && c == '0'
	}
	return !zero
}

// breaches lists what the registry asks of the type and the event lacks.
func (e *Event) breaches(spec *Spec, ps []problem) []problem {
	for _, name := range spec.Required {
		if *e.text(name) != "" {
			continue
		}
		if _, moved := e.Details[name+"_raw"]; !moved {
			ps = append(ps, problem{text: fmt.Sprintf("%s: required for %s but empty", name, e.Type)})
		}
	}
	if spec.Decision != "" && e.Decision != spec.Decision && e.Decision.Valid() {
		ps = append(ps, problem{text: fmt.Sprintf("decision: %s, but %s means %s", e.Decision, e.Type, spec.Decision)})
	}
	for i := range spec.Details {
		d := &spec.Details[i]
		v := e.Details[d.Name]
		if s, text := v.(string); v == nil || text && s == "" {
			if d.Required {
				ps = append(ps, problem{text: fmt.Sprintf("details.%s: required for %s but empty", d.Name, e.Type)})
			}
			continue
		}
		if !d.Kind.holds(v) {
			ps = append(ps, problem{text: fmt.Sprintf("details.%s: should be %s", d.Name, d.Kind.phrase())})
			continue
		}
		if d.Enum != nil {
			if s, ok := v.(string); ok && !slices.Contains(d.Enum, s) {
				ps = append(ps, problem{text: fmt.Sprintf("details.%s: %q is none of %s", d.Name, short(s), strings.Join(d.Enum, ", "))})
			}
		}
	}
	if len(spec.OneOf) > 0 {
		there := slices.ContainsFunc(spec.OneOf, func(name string) bool {
			v := e.Details[name]
			return v != nil && v != ""
		})
		if !there {
			ps = append(ps, problem{text: fmt.Sprintf("details: %s needs one of %s", e.Type, strings.Join(spec.OneOf, ", "))})
		}
	}
	return ps
}

func (k Kind) phrase() string {
	switch k {
	case KindStrings:
		return "an array of strings"
	case KindTime:
		return "a time as RFC 3339"
	case KindInteger:
		return "an integer"
	}
	return "a " + string(k)
}

// holds reports whether v is of the kind. Go values that only json.Marshal can
// tell about count as of any kind.
func (k Kind) holds(v any) bool {
	if k == KindAny {
		return true
	}
	switch v := v.(type) {
	case string:
		if k == KindTime {
			_, err := time.Parse(time.RFC3339Nano, v)
			return err == nil
		}
		return k == KindString
	case bool:
		return k == KindBoolean
	case json.Number:
		return k == KindNumber || k == KindInteger && wholeNumber(string(v))
	case float64:
		return k == KindNumber || k == KindInteger && v == math.Trunc(v)
	case float32:
		return k == KindNumber || k == KindInteger && float64(v) == math.Trunc(float64(v))
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, uintptr:
		return k == KindNumber || k == KindInteger
	case []string:
		return k == KindStrings
	case []any:
		if k != KindStrings {
			return false
		}
		for _, x := range v {
			if _, ok := x.(string); !ok {
				return false
			}
		}
		return true
	case map[string]any, map[string]string:
		return false
	case time.Time:
		return k == KindTime || k == KindString
	}
	return true
}

// wholeNumber reports whether the JSON number s has no fraction.
func wholeNumber(s string) bool {
	if isDigits(strings.TrimPrefix(s, "-")) {
		return true
	}
	digits, exp := decimal(s)
	return exp >= len(digits)
}
