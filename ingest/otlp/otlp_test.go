package otlp_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/otlp"
	"github.com/custodylog/custody/ingest/sighting"
)

var update = flag.Bool("update", false, "write the golden files anew")

type parser func(otlp.Encoding, []byte) (*otlp.Export, error)

// TestCaptures reads what real programs exported.
func TestCaptures(t *testing.T) {
	for name, c := range map[string]struct {
		parse parser
		file  string
	}{
		"claude-code":   {otlp.ParseLogs, "claude-code-2.1.197/v1_logs.ndjson.gz"},
		"codex":         {otlp.ParseLogs, "codex-cli-0.169.0/v1_logs.ndjson.gz"},
		"gemini":        {otlp.ParseLogs, "gemini-cli-0.61.0/v1_logs.ndjson.gz"},
		"gemini-traces": {otlp.ParseTraces, "gemini-cli-0.61.0/v1_traces.ndjson.gz"},

		"claude-code-denied": {otlp.ParseLogs, "claude-code-2.1.197/denied.v1_logs.ndjson.gz"},
		"codex-denied":       {otlp.ParseLogs, "codex-cli-0.169.0/denied.v1_logs.ndjson.gz"},
		"gemini-denied":      {otlp.ParseLogs, "gemini-cli-0.61.0/denied.v1_logs.ndjson.gz"},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, c.parse, lines(t, filepath.Join("../testdata/captures", c.file))) })
	}
}

// TestReference reads what the specification and the documentation of agents show, where
// no capture has it.
func TestReference(t *testing.T) {
	for name, parse := range map[string]parser{"logs": otlp.ParseLogs, "traces": otlp.ParseTraces} {
		t.Run(name, func(t *testing.T) {
			golden(t, "reference."+name, parse, lines(t, "testdata/reference/"+name+".ndjson"))
		})
	}
}

// golden compares the sightings of exports with those of the golden file.
func golden(t *testing.T, name string, parse parser, exports [][]byte) {
	t.Helper()
	var got bytes.Buffer
	for _, body := range exports {
		x, err := parse(otlp.JSON, body)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%d records, %d dropped\n", x.Total, x.Dropped)
		for i := range x.Sightings {
			describe(t, &got, x.Records[i], &x.Sightings[i])
		}
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s: got\n%s", file, got.Bytes())
	}
}

// describe writes a sighting in two lines: the call, and the payload without what every
// event of the export repeats.
func describe(t *testing.T, w io.Writer, record int, s *sighting.Sighting) {
	t.Helper()
	fmt.Fprintf(w, "%d", record)
	if !s.Mapped {
		fmt.Fprintf(w, ", not known")
	}
	if c := s.Call; c != nil {
		fmt.Fprintf(w, ", phase %d of %q %s", c.Phase, c.ActionID(), c.Tool)
	}
	payload, err := s.Event.AppendPayload(nil)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(payload, &object); err != nil {
		t.Fatal(err)
	}
	shorten(object)
	short, err := event.AppendJSON(nil, object)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(w, "\n\t%s\n", short)
}

func shorten(object map[string]any) {
	for name, v := range object {
		switch v := v.(type) {
		case string:
			object[name] = ingest.Short(v, 80)
		case map[string]any:
			if name == "resource" {
				object[name] = len(v)
			} else {
				shorten(v)
			}
		}
	}
}

func lines(t testing.TB, name string) [][]byte {
	t.Helper()
	r, err := ingest.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all [][]byte
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		all = append(all, bytes.Clone(s.Bytes()))
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return all
}

// TestEncodings reads the same from protobuf as from JSON, and ids that a retry keeps.
func TestEncodings(t *testing.T) {
	logs := lines(t, "../testdata/captures/gemini-cli-0.61.0/v1_logs.ndjson.gz")[0]
	same(t, otlp.ParseLogs, logs, &logspb.LogsData{})
	same(t, otlp.ParseTraces, lines(t, "testdata/reference/traces.ndjson")[0], &tracepb.TracesData{})
}

func same(t *testing.T, parse parser, body []byte, m proto.Message) {
	t.Helper()
	fromJSON, err := parse(otlp.JSON, body)
	if err != nil {
		t.Fatal(err)
	}
	// Base64 is what protobuf takes ids in JSON for.
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(base64IDs(t, body), m); err != nil {
		t.Fatal(err)
	}
	wire, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	fromProto, err := parse(otlp.Protobuf, wire)
	if err != nil {
		t.Fatal(err)
	}
	if text(t, fromJSON) != text(t, fromProto) {
		t.Errorf("from JSON\n%s\nfrom protobuf\n%s", text(t, fromJSON), text(t, fromProto))
	}
	ids := map[string]bool{}
	for i := range fromJSON.Sightings {
		id := fromJSON.Sightings[i].Event.ID
		if id == "" || ids[id] {
			t.Errorf("the id %q is there twice", id)
		}
		ids[id] = true
	}
}

func text(t *testing.T, x *otlp.Export) string {
	t.Helper()
	b, err := json.Marshal(x.Sightings)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRefused(t *testing.T) {
	for body, want := range map[string]string{
		`{"resourceLogs":`:                   "no OTLP in JSON",
		`[]`:                                 "no OTLP in JSON",
		`{"resourceLogs":[{"scopeLogs":5}]}`: "no OTLP in JSON",
	} {
		if _, err := otlp.ParseLogs(otlp.JSON, []byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v", body, err)
		}
	}
	if _, err := otlp.ParseLogs(otlp.Protobuf, []byte{0x0a, 0xff}); err == nil || !strings.Contains(err.Error(), "no OTLP in protobuf") {
		t.Errorf("cut off: %v", err)
	}
	many := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + strings.Repeat("{},", otlp.MaxRecords) + `{}]}]}]}`
	var tooMany *otlp.TooManyError
	if _, err := otlp.ParseLogs(otlp.JSON, []byte(many)); !errors.As(err, &tooMany) {
		t.Errorf("too many: %v", err)
	}
	spans := strings.NewReplacer("resourceLogs", "resourceSpans", "scopeLogs", "scopeSpans", "logRecords", "spans").Replace(many)
	if _, err := otlp.ParseTraces(otlp.JSON, []byte(spans)); !errors.As(err, &tooMany) {
		t.Errorf("too many: %v", err)
	}
}

// TestLarge cuts what no payload can hold, and what every event would repeat.
func TestLarge(t *testing.T) {
	long := strings.Repeat("x", 2<<20)
	body := `{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}},{"key":"r","value":{"stringValue":"` + long + `"}}]},` +
		`"scopeLogs":[{"logRecords":[{"body":{"stringValue":"` + long + `"}},{}]}]}]}`
	x, err := otlp.ParseLogs(otlp.JSON, []byte(body))
	if err != nil || len(x.Sightings) != 2 {
		t.Fatal(err)
	}
	for i, limit := range []int{otlp.MaxPayload, 20_000} {
		payload, err := x.Sightings[i].Event.AppendPayload(nil)
		if err != nil || len(payload) > limit {
			t.Errorf("event %d has %d bytes: %v", i, len(payload), err)
		}
	}
	if d := x.Sightings[0].Event.Details; d["cut"] == nil {
		t.Errorf("nothing says that it was cut: %v", x.Sightings[0].Event.Defects)
	}
}

// FuzzLogs keeps every record, whatever it says.
func FuzzLogs(f *testing.F) {
	for _, body := range lines(f, "testdata/reference/logs.ndjson") {
		f.Add(false, body)
		var m logspb.LogsData
		if protojson.Unmarshal(body, &m) == nil {
			if wire, err := proto.Marshal(&m); err == nil {
				f.Add(true, wire)
			}
		}
	}
	f.Fuzz(func(t *testing.T, wire bool, body []byte) {
		x := parsed(t, otlp.ParseLogs, wire, body)
		if x == nil {
			return
		}
		kept := map[int]bool{}
		for _, record := range x.Records {
			kept[record] = true
		}
		if len(kept) != x.Total || x.Dropped != 0 {
			t.Errorf("%d of %d records are kept, %d dropped", len(kept), x.Total, x.Dropped)
		}
	})
}

// FuzzTraces keeps or counts every span.
func FuzzTraces(f *testing.F) {
	for _, body := range lines(f, "testdata/reference/traces.ndjson") {
		f.Add(false, body)
	}
	f.Fuzz(func(t *testing.T, wire bool, body []byte) {
		x := parsed(t, otlp.ParseTraces, wire, body)
		if x == nil {
			return
		}
		kept := map[int]bool{}
		for _, record := range x.Records {
			kept[record] = true
		}
		if len(kept)+x.Dropped != x.Total {
			t.Errorf("%d of %d spans are kept, %d dropped", len(kept), x.Total, x.Dropped)
		}
	})
}

// parsed returns an export all of whose events can be recorded.
func parsed(t *testing.T, parse parser, wire bool, body []byte) *otlp.Export {
	enc := otlp.JSON
	if wire {
		enc = otlp.Protobuf
	}
	x, err := parse(enc, body)
	if err != nil {
		return nil
	}
	for i := range x.Sightings {
		s := &x.Sightings[i]
		if !event.ValidType(string(s.Event.Type)) || !sighting.IsPath(s.Event.Source) || s.Event.ID == "" {
			t.Errorf("type %q, source %q, id %q", s.Event.Type, s.Event.Source, s.Event.ID)
		}
		payload, err := s.Event.AppendPayload(nil)
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if !utf8.Valid(payload) {
			t.Errorf("%q", payload)
		}
	}
	return x
}
