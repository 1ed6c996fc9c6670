package event

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParsePayload reads a payload that [Event.AppendPayload] wrote. Numbers in
// Details are [json.Number], arrays []any, objects map[string]any.
//
// Members that it does not know, written by a newer version, are left out of
// the result: the stored bytes stay the authority, and whoever verifies or
// exports uses those. Encoding the result again therefore gives the same bytes
// only for payloads of this version.
//
// Malformed text is a [*SyntaxError], a member of the wrong kind a
// [*FieldError]; both mean that the bytes are not a payload. The strings of
// the result share one copy of b, which lives as long as any of them.
func ParsePayload(b []byte) (Event, error) {
	s := scanner{b: string(b)}
	e, err := s.payload()
	if err != nil {
		return Event{}, err
	}
	return e, nil
}

func (s *scanner) payload() (e Event, err error) {
	var seen nameSet
	var wrong *FieldError
	s.space()
	serr := s.members(0, func(name string, at int) *SyntaxError {
		if !seen.add(name) {
			return s.duplicate(name, at)
		}
		if p := e.text(name); p != nil && s.opensText() {
			v, err := s.text()
			*p = v
			return err
		}
		v, err := s.value(1)
		if err != nil || wrong != nil {
			return err
		}
		ok := true
		switch name {
		case "timestamp":
			e.Timestamp, ok = payloadTime(v)
		case "occurred_at":
			e.OccurredAt, ok = payloadTime(v)
		case "source_seq":
			var n uint64
			n, ok = sequence(v)
			e.SourceSeq = &n
		case "signature":
			e.Signature, ok = signatureOf(v, false)
		case "details":
			e.Details, ok = v.(map[string]any)
		case "defects":
			e.Defects, ok = stringsOf(v)
		case "redactions":
			e.Redactions, ok = redactionsOf(v)
		default:
			ok = e.text(name) == nil
		}
		if !ok {
			wrong = refuse("not of the kind that this member has, so this is not a payload that was written here").in(name)
		}
		return nil
	})
	if serr != nil {
		return Event{}, serr
	}
	if serr := s.end(); serr != nil {
		return Event{}, serr
	}
	if wrong != nil {
		return Event{}, wrong
	}
	return e, nil
}

// text returns the string member of that name, or nil.
func (e *Event) text(name string) *string {
	switch name {
	case "id":
		return &e.ID
	case "agent_id":
		return &e.AgentID
	case "action_id":
		return &e.ActionID
	case "project_id":
		return &e.ProjectID
	case "session_id":
		return &e.SessionID
	case "user_id":
		return &e.UserID
	case "correlation_id":
		return &e.CorrelationID
	case "source":
		return &e.Source
	case "source_run":
		return &e.SourceRun
	case "principal":
		return &e.Principal
	case "trace_id":
		return &e.TraceID
	case "span_id":
		return &e.SpanID
	case "parent_id":
		return &e.ParentID
	case "event_type":
		return (*string)(&e.Type)
	case "decision":
		return (*string)(&e.Decision)
	case "decision_source":
		return (*string)(&e.DecisionSource)
	case "outcome":
		return (*string)(&e.Outcome)
	case "severity":
		return (*string)(&e.Severity)
	}
	return nil
}

// nameSet finds duplicate names. Few names need no map.
type nameSet struct {
	few  [24]string
	n    int
	many map[string]struct{} // the others
}

// add reports whether name is new.
func (s *nameSet) add(name string) bool {
	if s.has(name) {
		return false
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if s.many == nil {
		s.many = make(map[string]struct{})
	}
	s.many[name] = struct{}{}
	return true
}

func (s *nameSet) has(name string) bool {
	if _, there := s.many[name]; there {
		return true
	}
	return slices.Contains(s.few[:s.n], name)
}

func payloadTime(v any) (time.Time, bool) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, false
	}
	return t.UTC(), true
}

func stringsOf(v any) ([]string, bool) {
	a, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]string, len(a))
	for i, x := range a {
		if out[i], ok = x.(string); !ok {
			return nil, false
		}
	}
	return out, true
}

func redactionsOf(v any) ([]Redaction, bool) {
	a, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]Redaction, len(a))
	for i, x := range a {
		m, ok := x.(map[string]any)
		if !ok {
			return nil, false
		}
		for name, p := range map[string]*string{
			"method": &out[i].Method, "pointer": &out[i].Pointer, "rule": &out[i].Rule,
		} {
			if v, there := m[name]; there {
				if *p, ok = v.(string); !ok {
					return nil, false
				}
			}
		}
	}
	return out, true
}

// sequence reads a whole number from 0, as a number or as its digits.
func sequence(v any) (uint64, bool) {
	var s string
	switch v := v.(type) {
	case json.Number:
		s = string(v)
	case string:
		s = v
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n, true
	}
	// Producers also write 7.0 and 1e3.
	if f, err := strconv.ParseFloat(s, 64); err == nil && numberLen(s) == len(s) && f >= 0 && f < 1<<64 && f == math.Trunc(f) {
		return uint64(f), true
	}
	return 0, false
}

// maxNotes bounds what Decode reports of one event.
const maxNotes = 64

// Decode reads an event as a producer sends it: one JSON object with the
// members of the payload, tolerantly. What it had to interpret is said in
// notes, which the caller adds to Defects. It does not validate: that is
// [Event.Normalize].
//
//   - Names: also type and event for event_type, the names in camelCase
//     (agentId), event_id, ts and time for timestamp, agent, project, session
//     and user for their ids. A member under its own name wins.
//   - event_type may be the name of the Python logger's enum member
//     (ACTION_DENIED, AuditEventType.ACTION_DENIED) or CamelCase.
//   - decision, outcome, decision_source and severity in any case and in the
//     words of other systems; what is not recognised is kept as it is.
//   - Times: RFC 3339 with any precision, ISO 8601 without a zone (taken as
//     UTC, with a note), Unix seconds or milliseconds as a number or its
//     digits.
//   - null is the same as absent. A number where a string belongs is kept as
//     its digits, with a note.
//   - Everything else at the top level is moved into details under its name,
//     or under "_"+name where that is taken, with a note.
//
// Malformed text, duplicate names, invalid UTF-8 and nesting deeper than
// [MaxDepth] are a [*SyntaxError]. Numbers in Details are [json.Number], as
// they were sent; [Event.AppendPayload] refuses those that a float64 cannot
// hold. The caller bounds the length of b.
func Decode(b []byte) (Event, []string, error) {
	s := scanner{b: string(b)}
	s.space()
	var seen nameSet
	var room [16]member
	got := room[:0] // all but strings where strings belong
	d := decoding{}
	err := s.members(0, func(name string, at int) *SyntaxError {
		if !seen.add(name) {
			return s.duplicate(name, at)
		}
		if p := d.e.text(name); p != nil && s.opensText() {
			d.given.add(name)
			v, err := s.text()
			*p = v
			return err
		}
		v, err := s.value(1)
		got = append(got, member{name, v})
		return err
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return Event{}, nil, err
	}

	for _, m := range got {
		if m.key == "details" && m.value != nil {
			if details, ok := m.value.(map[string]any); ok {
				d.e.Details = details
			} else {
				d.move("details_raw", m.value, "details: not an object, kept as details.")
			}
		}
	}
	// Under their own names first, so that an alias never hides one.
	for i, m := range got {
		if m.value == nil || m.key == "details" || d.set(m.key, m.key, m.value) {
			got[i].key = ""
		}
	}
	for _, m := range got {
		if m.key == "" {
			continue
		}
		if name, ok := memberAliases[m.key]; ok && !d.given.has(name) && d.set(name, m.key, m.value) {
			continue
		}
		d.move(m.key, m.value, "")
	}
	d.words()
	d.unsigned()
	if d.more > 0 {
		d.notes = append(d.notes, fmt.Sprintf("and %d more of the kind", d.more))
	}
	return d.e, d.notes, nil
}

var memberAliases = map[string]string{
	"type": "event_type", "event": "event_type", "eventType": "event_type",
	"event_id": "id", "eventId": "id",
	"ts": "timestamp", "time": "timestamp", "@timestamp": "timestamp",
	"occurredAt": "occurred_at",
	"agentId":    "agent_id", "agent": "agent_id",
	"actionId":  "action_id",
	"projectId": "project_id", "project": "project_id",
	"sessionId": "session_id", "session": "session_id",
	"userId": "user_id", "user": "user_id",
	"correlationId":  "correlation_id",
	"decisionSource": "decision_source",
	"sourceRun":      "source_run",
	"sourceSeq":      "source_seq",
	"traceId":        "trace_id",
	"spanId":         "span_id",
	"parentId":       "parent_id",
}

// decoding is an event in the making.
type decoding struct {
	e     Event
	notes []string
	more  int     // notes that were left out
	given nameSet // members that have a value, under whichever name it came
}

func (d *decoding) note(s string) {
	if len(d.notes) < maxNotes {
		d.notes = append(d.notes, s)
	} else {
		d.more++
	}
}

// move keeps a value in the details, under a name that is free there.
func (d *decoding) move(name string, v any, note string) {
	if d.e.Details == nil {
		d.e.Details = map[string]any{}
	}
	free := freeName(d.e.Details, name)
	d.e.Details[free] = v
	if note == "" {
		note = short(name) + ": not a member that events have, or not of its kind; kept as details."
	}
	d.note(note + short(free))
}

// freeName puts "_" before name until it is not in details.
func freeName(details map[string]any, name string) string {
	for {
		if _, taken := details[name]; !taken {
			return name
		}
		name = "_" + name
	}
}

// set stores v, which came under the name from, as the member name. It reports
// false where there is no such member, or v cannot be one.
func (d *decoding) set(name, from string, v any) bool {
	ok := true
	switch name {
	case "timestamp":
		ok = d.time(&d.e.Timestamp, from, v)
	case "occurred_at":
		ok = d.time(&d.e.OccurredAt, from, v)
	case "source_seq":
		var n uint64
		if n, ok = sequence(v); ok {
			d.e.SourceSeq = &n
		}
	case "signature":
		d.e.Signature, ok = signatureOf(v, true)
	case "redactions":
		var r []Redaction
		if r, ok = redactionsOf(v); ok {
			d.e.Redactions = r
		}
	case "defects":
		var s []string
		if s, ok = stringsOf(v); ok {
			d.e.Defects = s
		}
	default:
		p := d.e.text(name)
		if p == nil {
			return false
		}
		switch v := v.(type) {
		case string:
			*p = v
		case json.Number:
			if name != from {
				return false
			}
			*p = string(v)
			d.note(name + ": a number, kept as the string of its digits")
		default:
			return false
		}
	}
	if ok {
		d.given.add(name)
	}
	return ok
}

// unsigned notes which of the members that the trail adds did not come with a signed
// event, so that they are not taken for what was signed.
func (d *decoding) unsigned() {
	sig := d.e.Signature
	if sig == nil || sig.Salt == nil || sig.Unsigned != nil {
		return
	}
	sig.Unsigned = []string{}
	for _, name := range addable {
		if !d.given.has(name) {
			sig.Unsigned = append(sig.Unsigned, name)
		}
	}
}

// words turns the words of other systems into ours. A word that is the same
// but for its case needs no note.
func (d *decoding) words() {
	e := &d.e
	if t, ok := parseType(string(e.Type)); ok {
		e.Type = t
	}
	if e.Decision != "" {
		if v, ok := ParseDecision(string(e.Decision)); ok {
			if !sameWord(string(v), foldWord(string(e.Decision))) {
				d.note(fmt.Sprintf("decision: %q read as %s", short(string(e.Decision)), v))
			}
			e.Decision = v
		}
	}
	if e.Outcome != "" {
		if v, ok := ParseOutcome(string(e.Outcome)); ok {
			e.Outcome = v
		}
	}
	if e.DecisionSource != "" {
		if v, ok := ParseDecisionSource(string(e.DecisionSource)); ok {
			e.DecisionSource = v
		}
	}
	if e.Severity != "" {
		if v, ok := ParseSeverity(string(e.Severity)); ok {
			e.Severity = v
		}
	}
	if lowered := strings.ToLower(e.TraceID); lowered != e.TraceID && len(lowered) == 32 {
		e.TraceID = lowered
	}
	if lowered := strings.ToLower(e.SpanID); lowered != e.SpanID && len(lowered) == 16 {
		e.SpanID = lowered
	}
}

// parseType finds the registered type that a producer means by s.
func parseType(s string) (Type, bool) {
	if t := Type(s); t.Registered() {
		return t, true
	}
	if len(s) > 128 {
		return "", false
	}
	s = strings.TrimPrefix(strings.TrimSpace(s), "AuditEventType.")
	if t := Type(foldWord(s)); t.Registered() {
		return t, true
	}
	var b []byte
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			if i > 0 {
				b = append(b, '_')
			}
			b = append(b, lower(c))
		} else {
			b = append(b, c)
		}
	}
	if t := Type(b); t.Registered() {
		return t, true
	}
	// An enum member that is not ours: SOMETHING_HAPPENED.
	if s == strings.ToUpper(s) && s != strings.ToLower(s) && ValidType(strings.ToLower(s)) {
		return Type(strings.ToLower(s)), true
	}
	return "", false
}

func (d *decoding) time(p *time.Time, name string, v any) bool {
	switch v := v.(type) {
	case json.Number:
		t, ok := unixTime(string(v))
		if ok {
			*p = t
		}
		return ok
	case string:
		t, zone, ok := parseTime(v)
		if ok {
			*p = t
			if !zone {
				d.note(name + ": has no time zone, taken as UTC")
			}
		}
		return ok
	}
	return false
}

// parseTime reads a time in one of the forms that Decode lists. zone is false
// where the text named no zone.
func parseTime(s string) (t time.Time, zone, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) > 64 {
		return time.Time{}, false, false
	}
	if n := numberLen(s); n == len(s) && n > 0 {
		t, ok := unixTime(s)
		return t, true, ok
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return inRange(t, true)
		}
	}
	for _, layout := range [...]string{"2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return inRange(t, false)
		}
	}
	return time.Time{}, false, false
}

// inRange refuses years that a payload cannot write, and the zero time.
func inRange(t time.Time, zone bool) (time.Time, bool, bool) {
	t = t.UTC().Truncate(time.Microsecond)
	if y := t.Year(); y < 0 || y > 9999 || t.IsZero() {
		return time.Time{}, zone, false
	}
	return t, zone, true
}

// unixTime reads Unix time: seconds below 1e11 (the year 5138), milliseconds
// below 1e14, microseconds below 1e17, nanoseconds from there.
func unixTime(s string) (time.Time, bool) {
	var perSecond int64 = 1
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 {
		return time.Time{}, false
	}
	for limit := 1e11; f >= limit && perSecond < 1e9; limit *= 1000 {
		perSecond *= 1000
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		t := time.Unix(n/perSecond, n%perSecond*(1e9/perSecond))
		t, _, ok := inRange(t, true)
		return t, ok
	}
	us := math.Round(f / float64(perSecond) * 1e6)
	if us >= 1<<62 {
		return time.Time{}, false
	}
	t, _, ok := inRange(time.UnixMicro(int64(us)), true)
	return t, ok
}
