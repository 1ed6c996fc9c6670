package otlp_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/otlp"
)

// within returns fields of messages around the innermost one, of which the first is the
// outermost.
func within(inner []byte, fields ...protowire.Number) []byte {
	for i := len(fields) - 1; i >= 0; i-- {
		inner = protowire.AppendBytes(protowire.AppendTag(nil, fields[i], protowire.BytesType), inner)
	}
	return inner
}

// TestTooMany refuses what is small on the wire and large in memory.
func TestTooMany(t *testing.T) {
	const many = 1 << 20
	empty := func(field protowire.Number) []byte {
		return []byte(strings.Repeat(string(within(nil, field)), many))
	}
	for what, body := range map[string][]byte{
		"records":    within(empty(2), 1, 2),
		"attributes": within(empty(6), 1, 2, 2),
		"values":     within(empty(1), 1, 2, 2, 5, 5),
		"resources":  empty(1),
	} {
		var tooMany *otlp.TooManyError
		if _, err := otlp.ParseLogs(otlp.Protobuf, body); !errors.As(err, &tooMany) || tooMany.Most == otlp.MaxRecords {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, body := range map[string]string{
		"attributes": `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{}` + strings.Repeat(",{}", many) + `]}]}]}]}`,
		"escapes":    `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"\"\\"},"attributes":[{}` + strings.Repeat(",{}", many) + `]}]}]}]}`,
	} {
		var tooMany *otlp.TooManyError
		if _, err := otlp.ParseLogs(otlp.JSON, []byte(body)); !errors.As(err, &tooMany) {
			t.Errorf("%s: %v", what, err)
		}
	}
	braces := strings.Repeat(`{\"`, many)
	if x, err := otlp.ParseLogs(otlp.JSON, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"`+braces+`"}}]}]}]}`)); err != nil || x.Total != 1 {
		t.Errorf("braces in text: %v", err)
	}
}

// TestNotUTF8 loses no export by text that was cut anywhere.
func TestNotUTF8(t *testing.T) {
	text := func(s string) []byte { return within([]byte(s), 1) }
	attribute := append(within([]byte("k\xff"), 1), within(text("v\xe2\x82"), 2)...)
	record := append(within(text("caf\xc3"), 5), within(attribute, 6)...)
	for name, x := range map[string]func() (*otlp.Export, error){
		"protobuf": func() (*otlp.Export, error) {
			return otlp.ParseLogs(otlp.Protobuf, within(append(within(record, 2), within(nil, 2)...), 1, 2))
		},
		"JSON": func() (*otlp.Export, error) {
			return otlp.ParseLogs(otlp.JSON, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"caf`+"\xc3"+`"},"attributes":[{"key":"k`+"\xff"+`","value":{"stringValue":"v`+"\xe2\x82"+`"}}]},{}]}]}]}`))
		},
	} {
		got, err := x()
		if err != nil || got.Total != 2 || len(got.Sightings) != 2 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		o := got.Sightings[0].Event.Details["otel"].(map[string]any)
		if fmt.Sprint(o["body"], o["attributes"]) != "caf\uFFFDmap[k\uFFFD:v\uFFFD]" {
			t.Errorf("%s: %q", name, o)
		}
	}
	half, err := otlp.ParseLogs(otlp.JSON, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a\ud83d"}},{"body":{"stringValue":"b\ud83d\ude00"}}]}]}]}`))
	if err != nil || len(half.Sightings) != 2 {
		t.Fatal(err)
	}
	for i, want := range []string{`a\ud83d`, "b\U0001F600"} {
		if got := half.Sightings[i].Event.Details["otel"].(map[string]any)["body"]; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestOdd takes in what is unusual, and says so of what is none of OTLP.
func TestOdd(t *testing.T) {
	one := func(record string) string {
		return `{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + record + `]}]}]}`
	}
	for _, c := range []struct{ record, want string }{
		{`{"attributes":[{"key":"a","value":{"intValue":7}},{"key":"b","value":{"intValue":"7"}}]}`, `"attributes":{"a":7,"b":7}`},
		{`{"attributes":[{"key":"a","value":{"doubleValue":"NaN"}},{"key":"b","value":{"doubleValue":"-Infinity"}},{"key":"c","value":{"doubleValue":1e300}}]}`, `"attributes":{"a":"NaN","b":"-Inf","c":1e+300}`},
		{`{"attributes":[{"key":"a","value":{"stringValue":"1"}},{"key":"a#2","value":{"stringValue":"3"}},{"key":"a","value":{"stringValue":"2"}}]}`, `"attributes":{"a":"1","a#2":"3","a#3":"2"}`},
		{`{"attributes":[{"key":"a"},{"key":"b","value":{}},{"key":"c","value":null}]}`, `"attributes":{"a":null,"b":null,"c":null}`},
		{`{"timeUnixNano":"7258118400000000000"}`, `"occurred_at":"2200-01-01T00:00:00.000000Z"`},
		{`{"timeUnixNano":"18446744073709551615"}`, `{"agent_id":"unknown_service","details":{"otel":{}},"event_type":"otel_log"`},
		{`{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174"}`, `"span_id":"eee19b7ec3c1b174","trace_id":"5b8efff798038103d269b633813fc60c"`},
		{`{"traceId":"5b8efff7","spanId":"0000000000000000"}`, `{"agent_id":"unknown_service","details":{"otel":{}},"event_type":"otel_log"`},
		{`{"severityNumber":99,"later":{"than":["us"]}}`, `"severity":"critical"`},
	} {
		x, err := otlp.ParseLogs(otlp.JSON, []byte(one(c.record)))
		if err != nil || len(x.Sightings) != 1 {
			t.Errorf("%s: %v", c.record, err)
			continue
		}
		payload, err := x.Sightings[0].Event.AppendPayload(nil)
		if err != nil || !strings.Contains(string(payload), c.want) {
			t.Errorf("%s: %s, %v", c.record, payload, err)
		}
	}
}

// TestMalformed: a record that is no OTLP is kept as its text, and does not spoil others.
func TestMalformed(t *testing.T) {
	const from = `{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"svc"}}]},`
	deep := `{"attributes":[{"value":` + strings.Repeat(`{"arrayValue":{"values":[`, 200) + `{}` + strings.Repeat(`]}}`, 200) + `}]}`
	for _, c := range []struct {
		parse        parser
		before, good string
		bad          []string
	}{
		{otlp.ParseLogs, `{"resourceLogs":[{"scopeLogs":[]},` + from + `"scopeLogs":[{"logRecords":[`, `{"eventName":"good"}`,
			[]string{`{"timeUnixNano":"-1"}`, `{"traceId":"a:b"}`, `{"attributes":[{"key":"a","value":{"intValue":1.5}}]}`, `{"body":{},"body":{}}`, `7`, deep}},
		{otlp.ParseTraces, `{"resourceSpans":[{"scopeSpans":[]},` + from + `"scopeSpans":[{"spans":[`, `{"attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"create_agent"}}]}`,
			[]string{`{"startTimeUnixNano":"-1"}`, `{"links":[{"spanId":"a:b"}]}`, `{"name":7}`, deep}},
	} {
		for _, bad := range c.bad {
			body := []byte(c.before + c.good + "," + bad + "," + c.good + `]}]}]}`)
			x, err := c.parse(otlp.JSON, body)
			if err != nil || x.Total != 3 || fmt.Sprint(x.Records) != "[0 1 2]" {
				t.Errorf("%.60s: %v, %+v", bad, err, x)
				continue
			}
			again, err := c.parse(otlp.JSON, body)
			e := x.Sightings[1].Event
			if err != nil || again.Sightings[1].Event.ID != e.ID || x.Sightings[2].Event.ID == x.Sightings[0].Event.ID {
				t.Errorf("%.60s: its id is %s", bad, e.ID)
			}
			if kept := e.Details["otel"].(map[string]any)["body"]; e.Type != "otel_malformed_record" || e.AgentID != "svc" || len(e.Defects) == 0 || kept != bad {
				t.Errorf("%.60s: kept as %+v", bad, e)
			}
		}
	}
}

// TestMalformedAmongNames: members have two names each in JSON, and records of both are
// told apart by where they stand. One that is there twice is refused, so none is lost.
func TestMalformedAmongNames(t *testing.T) {
	const bad = `{"timeUnixNano":"-1"}`
	for _, c := range []struct{ name, body string }{
		{"log_records", `{"resourceLogs":[{"scope_logs":[{"log_records":[{"eventName":"good"}]}]},{"scopeLogs":[{"logRecords":[` + bad + `]}]}]}`},
		{"resource_logs", `{"resource_logs":[{"scopeLogs":[{"log_records":[{"eventName":"good"}]},{"logRecords":[` + bad + `]}]}]}`},
	} {
		x, err := otlp.ParseLogs(otlp.JSON, []byte(c.body))
		if err != nil || len(x.Sightings) != 2 {
			t.Errorf("%s: %+v, %v", c.name, x, err)
			continue
		}
		if good, kept := x.Sightings[0].Event, x.Sightings[1].Event; good.Type != "otel_good" || kept.Details["otel"].(map[string]any)["body"] != bad {
			t.Errorf("%s: %+v, %+v", c.name, good, kept)
		}
	}
	for _, scope := range []string{"scope_spans", "scopeSpans"} {
		x, err := otlp.ParseTraces(otlp.JSON, []byte(`{"resource_spans":[{"`+scope+`":[{"spans":[{"name":7}]}]}]}`))
		if err != nil || len(x.Sightings) != 1 || x.Sightings[0].Event.Type != "otel_malformed_record" {
			t.Errorf("%s: %+v, %v", scope, x, err)
		}
	}
	records := `[{"scopeLogs":[{"logRecords":[` + bad + `]}]}]`
	for _, twice := range []string{
		`{"resourceLogs":` + records + `,"resourceLogs":` + records + `}`, `{"resourceLogs":` + records + `,"resource_logs":` + records + `}`,
		`{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + bad + `],"log_records":[{}]}]}]}`, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}],"logRecords":[` + bad + `]}]}]}`,
	} {
		if x, err := otlp.ParseLogs(otlp.JSON, []byte(twice)); err == nil || !strings.Contains(err.Error(), "duplicate field") {
			t.Errorf("%s: %+v, %v", twice, x, err)
		}
	}
	if x, err := otlp.ParseLogs(otlp.JSON, []byte(`{"resourceLogs":`+records+`} {}`)); err == nil {
		t.Errorf("with something behind it: %+v", x)
	}
}

// TestAttributesAreNoMembers: whatever exporters call their attributes, they do not become
// members of the event, nor details that calls are joined by.
func TestAttributesAreNoMembers(t *testing.T) {
	names := []string{
		"id", "event_type", "source", "agent_id", "action_id", "session_id", "project_id", "user_id", "principal", "decision", "decision_source", "outcome", "severity",
		"timestamp", "occurred_at", "correlation_id", "parent_id", "source_run", "source_seq", "signature", "unsigned", "defects", "details", "otel",
		"agent_product", "call_id", "input", "input_digest", "step", "endless", "contradicts", "approval_id", "stop_event_id", "policy_id", "server", "resource", "cut",
	}
	var forged strings.Builder
	for _, name := range names {
		fmt.Fprintf(&forged, `,{"key":%q,"value":{"stringValue":"forged"}}`, name)
	}
	attributes := `"attributes":[{"key":"tool_use_id","value":{"stringValue":"toolu_1"}},{"key":"tool_name","value":{"stringValue":"Bash"}},{"key":"success","value":{"stringValue":"true"}},{"key":"session.id","value":{"stringValue":"s"}}` + forged.String() + `]`
	log := `{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"claude-code"}}` + forged.String() + `]},"scopeLogs":[{"scope":{"attributes":[{"key":"x"}` + forged.String() + `]},"logRecords":[` +
		`{"body":{"stringValue":"claude_code.tool_result"},` + attributes + `},{"body":{"stringValue":"claude_code.other"},` + attributes + `}]}]}]}`
	span := `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"svc"}}]},"scopeSpans":[{"spans":[{"name":"execute_tool Bash",` +
		strings.Replace(attributes, `"attributes":[`, `"attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"execute_tool"}},{"key":"gen_ai.tool.call.id","value":{"stringValue":"toolu_1"}},`, 1) + `}]}]}]}`
	for _, c := range []struct {
		parse       parser
		body, agent string
	}{{otlp.ParseLogs, log, "claude-code"}, {otlp.ParseTraces, span, "svc"}} {
		x, err := c.parse(otlp.JSON, []byte(c.body))
		if err != nil || len(x.Sightings) != 2 {
			t.Fatalf("%v, %+v", err, x)
		}
		for i := range x.Sightings {
			s := &x.Sightings[i]
			if s.Call != nil && (s.Call.ID != "toolu_1" || s.Call.Session != "s" || s.Call.Tool != "Bash" || s.Call.Endless) {
				t.Errorf("the call is %+v", s.Call)
			}
			e := s.Event
			if e.AgentID != c.agent || e.SessionID != "s" || e.Source != c.agent+"/otel" {
				t.Errorf("agent %q, session %q, source %q", e.AgentID, e.SessionID, e.Source)
			}
			delete(e.Details, "otel")
			if payload, err := e.AppendPayload(nil); err != nil || strings.Contains(string(payload), "forged") {
				t.Errorf("%s, %v", payload, err)
			}
		}
	}
}

// TestTypes: no name of a log record makes it an event of a type that is registered.
func TestTypes(t *testing.T) {
	for _, spec := range event.Types() {
		x, err := otlp.ParseLogs(otlp.JSON, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"`+string(spec.Type)+`"}]}]}]}`))
		if err != nil || len(x.Sightings) != 1 || x.Sightings[0].Event.Type.Registered() {
			t.Errorf("%s: %+v, %v", spec.Type, x, err)
		}
	}
}
