package otlp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"

	"github.com/custodylog/custody/ingest/sighting"
)

// malformed is a record that is no OTLP, among others that are.
type malformed struct {
	text string // JSON
	err  error
}

// read returns the sighting of a malformed record: its text is kept.
func (m *malformed) read(from *origin, ids *ids) []sighting.Sighting {
	l := &logspb.LogRecord{EventName: "malformed_record", Body: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: m.text}}}
	seen := readLog(from, l, ids.of(from, l))
	for i := range seen {
		seen[i].Event.Defects = append(seen[i].Event.Defects, fmt.Sprintf("the record is no OTLP in JSON, and kept as its text: %s", m.err))
	}
	return seen
}

// records leads to the records of an export in JSON.
type records struct {
	path [][]string           // members, of which each is an array, by the names that each has
	of   func() proto.Message // a record
}

// sift puts {} in the place of every record that is no OTLP, and returns those by their
// positions among all records.
func (r *records) sift(text []byte) ([]byte, map[int]*malformed, error) {
	if !json.Valid(text) {
		return nil, nil, errors.New("it is no JSON")
	}
	s := sifter{of: r.of, bad: map[int]*malformed{}}
	text, err := s.object(text, r.path)
	return text, s.bad, err
}

type sifter struct {
	of  func() proto.Message
	n   int // records so far
	bad map[int]*malformed
}

// object is sift for an object. Members stay as many as they are: reading refuses one that
// is there twice, and nothing of it is lost unsaid.
func (s *sifter) object(text []byte, path [][]string) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return text, err // reading says what it is
	}
	out := []byte{'{'}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if slices.Contains(path[0], name.(string)) {
			if value, err = s.array(value, path[1:]); err != nil {
				return nil, err
			}
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, quoted...), ':'), value...)
	}
	return append(out, '}'), nil
}

func (s *sifter) array(text []byte, path [][]string) ([]byte, error) {
	var all []json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return text, nil // there are none
	}
	for i := range all {
		var err error
		if all[i], err = s.element(all[i], path); err != nil {
			return nil, err
		}
	}
	return json.Marshal(all)
}

func (s *sifter) element(text []byte, path [][]string) ([]byte, error) {
	if len(path) > 0 {
		return s.object(text, path)
	}
	if err := readJSON.Unmarshal(text, s.of()); err != nil {
		s.bad[s.n] = &malformed{string(text), err}
		text = []byte("{}")
	}
	s.n++
	return text, nil
}

// readJSON is how OTLP in JSON is read.
var readJSON = protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxNesting}
