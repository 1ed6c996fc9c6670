package reconcile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/otlp"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/joiner"
)

// Read is what was read of a source.
type Read struct {
	Records int // lines, or what stands in for them
	Unread  int // of them: not understood
}

// ReadTranscript adds the calls of what an importer reads, such as transcript.Read.
func (c *Calls) ReadTranscript(r io.Reader, name string, read func(io.Reader, ingest.Source) iter.Seq2[ingest.Item, error]) (Read, error) {
	var n Read
	line := 0
	for item, err := range read(r, ingest.Source{Name: name}) {
		if err != nil {
			return n, err
		}
		if item.Line != line {
			line = item.Line
			n.Records++
		}
		if !item.Mapped {
			n.Unread++
			continue
		}
		c.AddEvent(&item.Event, time.Time{}, Call{Source: name, Line: item.Line})
	}
	return n, nil
}

// ReadEvents adds the calls of events as custody export and custody query --json write
// them, or as custody record takes them.
func (c *Calls) ReadEvents(r io.Reader, name string) (Read, error) {
	return eachRecord(r, name, func(rec *ingest.Record) error {
		var line struct {
			Hash  string          `json:"hash"`
			Event json.RawMessage `json:"event"`
		}
		text := rec.Text
		if json.Unmarshal(text, &line) == nil && line.Hash != "" && line.Event != nil {
			text = line.Event
		}
		e, _, err := event.Decode(text)
		if err != nil {
			return err
		}
		c.AddEvent(&e, time.Time{}, Call{Source: name, Line: rec.Line})
		return nil
	})
}

// eachRecord calls read with every line. An error of read means that it is not
// understood.
func eachRecord(r io.Reader, name string, read func(*ingest.Record) error) (Read, error) {
	var n Read
	for rec, err := range ingest.Records(r, ingest.Source{Name: name}, ingest.Framing{Arrays: true}) {
		if err != nil {
			return n, err
		}
		n.Records++
		if !rec.Whole() || read(&rec) != nil {
			n.Unread++
		}
	}
	return n, nil
}

// ReadOTLP adds the calls of exports of logs and traces of OpenTelemetry in JSON, one for
// each line (as the file exporter of the collector writes them). What several records say
// of a call is joined as a recorder would.
func (c *Calls) ReadOTLP(r io.Reader, name string) (Read, error) {
	j := joiner.New(joiner.Options{})
	return eachRecord(r, name, func(rec *ingest.Record) error {
		parse := otlp.ParseLogs
		var kind struct {
			Spans json.RawMessage `json:"resourceSpans"`
		}
		if json.Unmarshal(rec.Text, &kind) == nil && kind.Spans != nil {
			parse = otlp.ParseTraces
		}
		export, err := parse(otlp.JSON, rec.Text)
		if err != nil {
			return err
		}
		for _, s := range export.Sightings {
			for _, e := range j.Join(custody.OccurredAt(&s.Event), s) {
				c.AddEvent(&e, time.Time{}, Call{Source: name, Line: rec.Line})
			}
		}
		return nil
	})
}

// Map says where the records of a log have what is told of a call: JSON Pointers (RFC
// 6901) that lead through objects. Empty: nowhere.
type Map struct{ ID, Session, Agent, Tool, Input, Time, Decision, Outcome string }

// ParseMap reads NAME=POINTER, each of one member of a [Map].
func ParseMap(given []string) (Map, error) {
	var m Map
	members := map[string]*string{"id": &m.ID, "session": &m.Session, "agent": &m.Agent, "tool": &m.Tool, "input": &m.Input,
		"time": &m.Time, "decision": &m.Decision, "outcome": &m.Outcome}
	for _, g := range given {
		name, pointer, _ := strings.Cut(g, "=")
		to := members[name]
		if to == nil || !strings.HasPrefix(pointer, "/") {
			return m, fmt.Errorf("%.100q: expected NAME=POINTER, such as tool=/request/name; the names are id, session, agent, tool, input, time, decision and outcome", g)
		}
		*to = pointer
	}
	if m.Tool == "" {
		return m, errors.New("it has to be said where the tool is: tool=POINTER")
	}
	return m, nil
}

// ReadLog adds the calls of a log of JSON objects. Records without a tool are about no
// call. Several with one id and session are about the same, up to the one that says how it
// ended: connections count their calls from 1 again.
func (c *Calls) ReadLog(r io.Reader, name string, m Map) (Read, error) {
	return eachRecord(r, name, func(rec *ingest.Record) error {
		object, _, err := ingest.ParseObject(rec.Text)
		if err != nil {
			return err
		}
		call := Call{ID: m.text(object, m.ID), Session: m.text(object, m.Session), Agent: m.text(object, m.Agent), At: timeOf(m.value(object, m.Time)), Source: name, Line: rec.Line}
		tool := sighting.Call{ID: call.ID, Session: call.Session, Tool: m.text(object, m.Tool)}
		call.Tool, _ = tool.Name()
		key := ""
		if call.ID != "" {
			key = "call " + tool.ActionID()
		}
		known := c.of[key]
		if call.Tool == "" && known == nil {
			return nil
		}
		call.Input = sighting.Input(m.value(object, m.Input))
		call.Decision, _ = event.ParseDecision(m.text(object, m.Decision))
		call.Outcome, call.Answered = outcomeOf(m.value(object, m.Outcome))
		if known != nil && call.Tool != "" && (known.Answered || known.Tool != call.Tool || !agree(known.Input, call.Input)) {
			delete(c.of, key) // a new call has its id
		}
		c.add(key, call, false)
		return nil
	})
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// value returns what a pointer leads to, or nil.
func (Map) value(object map[string]any, pointer string) any {
	if pointer == "" {
		return nil
	}
	path := strings.Split(pointer[1:], "/")
	for i := range path {
		path[i] = unescape.Replace(path[i])
	}
	return ingest.Get(object, path...)
}

// text is value as text: of a string or a number.
func (m Map) text(object map[string]any, pointer string) string {
	switch v := m.value(object, pointer).(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// timeOf reads a time: RFC 3339, or seconds or milliseconds since 1970.
func timeOf(v any) time.Time {
	switch v := v.(type) {
	case string:
		return ingest.Time(v)
	case json.Number:
		f, err := v.Float64()
		if err != nil || f < 0 || f > 1e14 {
			return time.Time{}
		}
		if f < 1e11 { // seconds, up to the year 5138
			f *= 1000
		}
		return time.UnixMicro(int64(f * 1000)).UTC()
	}
	return time.Time{}
}

// outcomeOf reads an outcome: a word, whether it succeeded, or a status of HTTP. A status
// that is no error says only that there was an answer: what a tool tells of its failure is
// an answer, too.
func outcomeOf(v any) (o event.Outcome, answered bool) {
	switch v := v.(type) {
	case string:
		o, _ = event.ParseOutcome(v)
	case bool:
		if o = event.OutcomeFailure; v {
			o = event.OutcomeSuccess
		}
	case json.Number:
		status, err := v.Int64()
		switch {
		case err != nil || status < 100 || status > 599:
		case status < 400:
			return "", true
		default:
			o = event.OutcomeFailure
		}
	}
	return o, o != ""
}
