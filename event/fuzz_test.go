package event

import (
	"bytes"
	"reflect"
	"testing"
)

var seeds = []string{
	`{}`, `{"event_type":"action_denied","agent_id":"a","details":{"tool_name":"Bash","reasons":[]}}`,
	`{"type":"EMERGENCY_STOP","details":{"affected_agents":["a","\u0062",1],"stop_type":"global"},"x":[1.50,-0,1e21]}`,
	`{"details":[],"details_raw":1,"timestamp":"2026-01-01 00:00:00","occurred_at":1e9,"source_seq":1e19}`,
	`{"id":"\"\\\u00e9\ud83d\ude00","decision":"ask","trace_id":"x","redactions":[{"rule":"r"}],"defects":["unregistered"]}`,
	`{"id":"1","source_run":"r","signature":{"commitment":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","key_id":"0123abcd","salt":"AgICAgICAgICAgICAgICAg==","sig":"` + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==" + `","unsigned":["severity"]}}`,
	`[0.1,1E400,9007199254740993,"\ud800"]`, `{"a":{"a":{"a":[[[]]]}},"a":1}`, `{"details":{"k":"\\"},"event_type":"x"}`,
}

func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, notes, err := Decode(b)
		if err != nil {
			return
		}
		e.Defects = append(e.Defects, notes...)
		n, err := e.Normalize(Lenient)
		if err != nil {
			t.Fatalf("lenient: %v", err)
		}
		if again, err := n.Normalize(Lenient); err != nil || !reflect.DeepEqual(again, n) {
			t.Fatalf("normalized twice: %+v, then %+v, %v", n, again, err)
		}
		payload, err := n.AppendPayload(nil)
		if err != nil {
			return
		}
		roundTrip(t, &n, payload)
		// A payload is producer JSON as well, and nothing in it needs a note.
		back, notes, err := Decode(payload)
		if err != nil || len(notes) != 0 {
			t.Fatalf("Decode(%s): %q, %v", payload, notes, err)
		}
		again, err := back.AppendPayload(nil)
		if err != nil || !bytes.Equal(again, payload) {
			t.Fatalf("payload %s\ndecoded and written %s, %v", payload, again, err)
		}
	})
}

func FuzzParsePayload(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	for _, e := range goldenEvents {
		b, err := e.AppendPayload(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParsePayload(b)
		if err != nil {
			return
		}
		payload, err := e.AppendPayload(nil)
		if err != nil {
			return
		}
		roundTrip(t, &e, payload)
	})
}

func FuzzScanFields(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		scanned, err := scan(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the payload was modified")
		}
		// Whatever is a payload can be scanned, with the same result.
		e, perr := ParsePayload(b)
		if perr != nil {
			return
		}
		if again, aerr := e.AppendPayload(nil); aerr != nil || !bytes.Equal(again, b) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if visited := visit(&e); !reflect.DeepEqual(visited, scanned) {
			t.Fatalf("%s\nvisited %v\nscanned %v", b, visited, scanned)
		}
	})
}

func FuzzCanonicalize(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		once, err := Canonicalize(nil, b)
		if err != nil {
			return
		}
		twice, err := Canonicalize(nil, once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("once %s\ntwice %s, %v", once, twice, err)
		}
	})
}
