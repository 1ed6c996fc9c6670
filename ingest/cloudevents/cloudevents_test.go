package cloudevents_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/cloudevents"
)

func TestParse(t *testing.T) {
	const need = `"specversion":"1.0","source":"https://example.com/agents","id":"1"`
	for name, c := range map[string]struct {
		header http.Header // in binary mode
		text   string
		want   string
	}{
		"the specification's example": {nil, `{"specversion":"1.0","type":"com.example.someevent","source":"/mycontext","subject":null,"id":"C234-1234-1234","time":"2018-04-05T17:31:00Z","comexampleextension1":"value","comexampleothervalue":5,"datacontenttype":"application/json","data":{"appinfoA":"abc","appinfoB":123,"appinfoC":true}}`,
			`{"details":{"cloudevent":{"comexampleextension1":"value","comexampleothervalue":"5","datacontenttype":"application/json","id":"C234-1234-1234","source":"/mycontext","type":"com.example.someevent"},"data":{"appinfoA":"abc","appinfoB":123,"appinfoC":true}},"event_type":"com.example.someevent","id":"/mycontext C234-1234-1234","occurred_at":"2018-04-05T17:31:00.000000Z","source":"cloudevents"}`},
		"a registered type": {nil, `{` + need + `,"type":"action_denied","data":{"agent_id":"a","action_id":"x","decision":"deny","tool_name":"rm","id":"other","source":"claude-code/hook","details":{"reasons":["no"]}}}`,
			`{"action_id":"x","agent_id":"a","decision":"deny","details":{"_id":"other","_source":"claude-code/hook","cloudevent":{"id":"1","source":"https://example.com/agents","type":"action_denied"},"reasons":["no"],"tool_name":"rm"},"event_type":"action_denied","id":"https://example.com/agents 1","source":"cloudevents"}`},
		"a registered type with our prefix": {nil, `{` + need + `,"type":"custody.turn_ended","subject":"s"}`,
			`{"details":{"cloudevent":{"id":"1","source":"https://example.com/agents","subject":"s","type":"custody.turn_ended"}},"event_type":"turn_ended","id":"https://example.com/agents 1","source":"cloudevents"}`},
		"bytes": {nil, `{` + need + `,"type":"Example/Type","data_base64":"AQID"}`,
			`{"details":{"cloudevent":{"id":"1","source":"https://example.com/agents","type":"Example/Type"},"data_base64":"AQID"},"event_type":"example_type","id":"https://example.com/agents 1","source":"cloudevents"}`},
		"a trace": {nil, `{` + need + `,"type":"x","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}`,
			`{"details":{"cloudevent":{"id":"1","source":"https://example.com/agents","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","type":"x"}},"event_type":"x","id":"https://example.com/agents 1","source":"cloudevents","span_id":"00f067aa0ba902b7","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}`},
		"binary, JSON": {header("id", "1", "source", "/s", "type", "com.example.x", "subject", "%E2%82%AC", "Content-Type", "application/vnd.x+json; charset=utf-8"), `[1,{"a":2}]`,
			`{"details":{"cloudevent":{"datacontenttype":"application/vnd.x+json; charset=utf-8","id":"1","source":"/s","subject":"€","type":"com.example.x"},"data":[1,{"a":2}]},"event_type":"com.example.x","id":"/s 1","source":"cloudevents"}`},
		"binary, text": {header("id", "1", "source", "/s", "type", "com.example.x", "Content-Type", "text/plain"), "hello",
			`{"details":{"cloudevent":{"datacontenttype":"text/plain","id":"1","source":"/s","type":"com.example.x"},"data":"hello"},"event_type":"com.example.x","id":"/s 1","source":"cloudevents"}`},
		"binary, bytes": {header("id", "1", "source", "/s", "type", "9"), "\xff",
			`{"details":{"cloudevent":{"id":"1","source":"/s","type":"9"},"data_base64":"/w=="},"event_type":"cloudevent_9","id":"/s 1","source":"cloudevents"}`},
	} {
		t.Run(name, func(t *testing.T) {
			e, notes, err := parse(c.header, c.text)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := e.AppendPayload(nil); err != nil || string(got) != c.want {
				t.Errorf("%v, notes %q, got\n%s\nwant\n%s", err, notes, got, c.want)
			}
		})
	}
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	h.Set("ce-specversion", "1.0")
	for i := 0; i < len(pairs); i += 2 {
		name := pairs[i]
		if name != "Content-Type" {
			name = "ce-" + name
		}
		h.Set(name, pairs[i+1])
	}
	return h
}

func parse(h http.Header, text string) (event.Event, []string, error) {
	if h != nil {
		return cloudevents.ParseBinary(h, []byte(text))
	}
	return cloudevents.ParseStructured([]byte(text))
}

func TestRefused(t *testing.T) {
	const need = `"specversion":"1.0","source":"/s","id":"1","type":"x"`
	for text, want := range map[string]string{
		`{`:  "malformed JSON",
		`[]`: "not an object",
		`{}`: "specversion",
		`{"specversion":"0.3","source":"/s","id":"1","type":"x"}`:                                 `"0.3"`,
		`{"specversion":"1.0","source":"/s","type":"x"}`:                                          "id: ",
		`{"specversion":"1.0","id":"1","type":"x"}`:                                               "source: ",
		`{"specversion":"1.0","source":"/s","id":"1"}`:                                            "type: ",
		`{` + need + `,"time":"yesterday"}`:                                                       "time: ",
		`{` + need + `,"a_b":"c"}`:                                                                "a_b",
		`{` + need + `,"":"c"}`:                                                                   "no name",
		`{` + need + `,"a":{}}`:                                                                   "a: ",
		`{` + need + `,"data":1,"data_base64":"AQ=="}`:                                            "one of the two",
		`{` + need + `,"data_base64":"?"}`:                                                        "no base64",
		`{"specversion":"1.0","source":"/s","id":"1","type":"turn_ended","data":"text"}`:          "an object",
		`{"specversion":"1.0","source":"/s","id":"1","type":"turn_ended","data":{"signature":1}}`: "signature",
	} {
		if _, _, err := parse(nil, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, body := range []string{`{"a":`, `1,"b":2`, `1}{`} {
		if _, _, err := parse(header("id", "1", "source", "/s", "type", "x", "Content-Type", "application/json"), body); err == nil {
			t.Errorf("the data %s is taken for JSON", body)
		}
	}
	if _, _, err := parse(header("id", "%zz", "source", "/s", "type", "x"), ""); err == nil || !strings.Contains(err.Error(), "ce-id") {
		t.Errorf("a header that is not escaped: %v", err)
	}
	twice := header("id", "1", "source", "/s", "type", "x")
	twice.Add("ce-id", "2")
	if _, _, err := parse(twice, ""); err == nil || !strings.Contains(err.Error(), "ce-id: it is there 2 times") {
		t.Errorf("two ids: %v", err)
	}
}

// TestIDs tells apart what sources and ids tell apart.
func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []struct{ source, id string }{
		{"/a", "b c"}, {"/a b", "c"}, {"/a", "b"}, {"/a", strings.Repeat("x", 2000)}, {"/a", strings.Repeat("x", 2001)},
	} {
		e, _, err := parse(header("id", c.id, "source", c.source, "type", "x"), "")
		if err != nil || len(e.ID) > event.MaxIDLen || seen[e.ID] {
			t.Errorf("%.20s %.20s: %.40s, %v", c.source, c.id, e.ID, err)
		}
		seen[e.ID] = true
	}
}

// FuzzParse returns events that can be recorded.
func FuzzParse(f *testing.F) {
	f.Add(false, "", "", `{"specversion":"1.0","source":"/s","id":"1","type":"x","data":{"a":1}}`)
	f.Add(false, "", "", `{"specversion":"1.0","source":"/s","id":"1","type":"turn_ended","data":{"session_id":"a"}}`)
	f.Add(true, "x%20y", "application/json", `{"a":[1,2]}`)
	f.Add(true, "turn_ended", "", `{}`)
	f.Fuzz(func(t *testing.T, binary bool, typ, media, text string) {
		var h http.Header
		if binary {
			h = header("id", "1", "source", "/s", "type", typ, "Content-Type", media)
		}
		e, _, err := parse(h, text)
		if err != nil {
			return
		}
		if !event.ValidType(string(e.Type)) || e.ID == "" || e.Source != cloudevents.Source {
			t.Errorf("type %q, id %q, source %q", e.Type, e.ID, e.Source)
		}
		if _, err := e.AppendPayload(nil); err != nil {
			t.Errorf("%q %q: %v", typ, text, err)
		}
	})
}
