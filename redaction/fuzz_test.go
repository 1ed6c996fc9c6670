package redaction

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/custodylog/custody/event"
)

func FuzzRedact(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, details := range []string{
		`{"password":"a","b":["c"],"max_tokens":1}`, `{"a":"{\"pwd\":\"x\",\"y\":[{}]}"}`, `{"a":"\"{\\\"pwd\\\":\\\"x"}`,
		`{"a":"[[1,{\"token\":[\"x\",nul","author":"b"}`, `{"auth":{"a/b":[1,"x",{"~":""}]}}`, `{"a":"{\"x\\u0070\\ud83d\":\"y\"} {}"}`,
	} {
		f.Add([]byte(`{"event_type":"x","details":` + details + `}`))
	}
	r := Default()
	f.Fuzz(func(t *testing.T, b []byte) {
		e, _, err := event.Decode(b)
		if err != nil {
			return
		}
		before, _, _ := event.Decode(b)
		got := r.Redact(e)
		if !reflect.DeepEqual(e, before) {
			t.Fatalf("the event was modified: %+v", e)
		}
		_, want := e.AppendPayload(nil)
		if _, err := got.AppendPayload(nil); err != nil && want == nil {
			t.Fatalf("the redacted event is refused: %v", err)
		}
		for name, v := range got.Details {
			if s, ok := v.(string); ok && s != "" && !isMasked(s) && !isPublic(s) && r.(*engine).all.names.rule(name) != "" {
				t.Fatalf("%s is not redacted", name)
			}
		}
		twice(t, got)
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{
		`{"pwd":"x","y":[{}]}`, "{\"pwd\":\"\\", `[[1,{"token":["x",nul`, `"{\"pwd\":\"x`, `{"p\u0077d":"\ud83d\ude00"} {}`, `{"pwd":x}`, `[{,},"]`,
	} {
		f.Add(s)
	}
	r := Default()
	f.Fuzz(func(t *testing.T, s string) {
		e := r.Redact(event.Event{Details: map[string]any{"text": s}})
		if len(e.Redactions) == 0 && e.Details["text"] != s {
			t.Fatalf("%q became %q without a redaction", s, e.Details["text"])
		}
		twice(t, e)
	})
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"apiKey", "X-Api-Key", "max_tokens", "APIkey", "password2", "é_token", "secret_id", "\xff", "src/auth.go"} {
		f.Add(s)
	}
	n := newNames(nil, nil)
	f.Fuzz(func(t *testing.T, name string) {
		rule := n.rule(name)
		if rule != n.rule(name) {
			t.Fatal("two answers")
		}
		if allowed := newNames(nil, []string{name}); allowed.rule(name) != "" {
			t.Fatalf("%q is not allowed", name)
		}
		extra := newNames([]string{name}, nil)
		if got, known := extra.rule(name), len(extra.terms) > len(n.terms); known && got == "" && !isSource(name) {
			t.Fatalf("extra name %q: no rule", name)
		}
	})
}
