package ingest_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
)

func TestParseObject(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     map[string]any
		defects  []string // parts of each
	}{
		{"empty", `{}`, map[string]any{}, nil},
		{"kinds", ` {"a":[1.50,true,null,"é"]} `, map[string]any{"a": []any{json.Number("1.50"), true, nil, "é"}}, nil},
		{"numbers that are not exact", `{"b":{"c/~":12345678901234567890},"a":[1,1e999]}`,
			map[string]any{"a": []any{json.Number("1"), "1e999"}, "b": map[string]any{"c/~": "12345678901234567890"}},
			[]string{"/a/1: a number", "/b/c~1~0: a number"}},
		{"halves of pairs", `{"a":"\ud83d","b":"\\ud83d \ud83d\ude00 \ude00\ud83d","\ud83d":1}`,
			map[string]any{"a": `\ud83d`, "b": `\ud83d 😀 \ude00\ud83d`, `\ud83d`: json.Number("1")}, []string{"surrogate"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, defects, err := ingest.ParseObject([]byte(tt.in))
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %v, %v\nwant %v", got, err, tt.want)
			}
			if len(defects) != len(tt.defects) {
				t.Fatalf("defects %q", defects)
			}
			for i := range defects {
				if !strings.Contains(defects[i], tt.defects[i]) {
					t.Errorf("defect %q, want …%s…", defects[i], tt.defects[i])
				}
			}
		})
	}
}

func TestParseObjectRefuses(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{``, "malformed JSON at byte 0"},
		{`{"a":1`, "malformed JSON at byte 6: it ends"},
		{`{"a":}`, "malformed JSON at byte 5"},
		{`{"a":1,"a":2}`, "malformed JSON at byte 7: the name"},
		{"{\"a\":\"\xff\"}", "malformed JSON at byte 6: the string is not valid UTF-8"},
		{`{"a":"\ud83d"`, "malformed JSON at byte 6: half of a surrogate pair"},
		{`[]`, "not an object"},
		{`null`, "not an object"},
		{`{}{}`, "malformed JSON at byte 2"},
		{`{},"id":"x"`, "more follows after the end of the object"},
		{`{"a":1}}`, "malformed JSON at byte 8"},
		{strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200), "nested deeper"},
	} {
		if _, _, err := ingest.ParseObject([]byte(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want …%s…", tt.in, err, tt.want)
		}
	}
}

// What is as deep as a payload may be still has to fit into an event.
func TestParseObjectDeep(t *testing.T) {
	for _, tt := range []struct {
		open, inner, close string
		kept               string // part of what the payload says
		defects            int
	}{
		{"[", "1", "]", `"[[[[`, 1},
		{"[", "1e999", "]", `\"1e999\"`, 2},
		{`{"b":`, "1", "}", `"{\"b\":{`, 1},
	} {
		text := `{"a":` + strings.Repeat(tt.open, 126) + tt.inner + strings.Repeat(tt.close, 126) + `}`
		object, defects, err := ingest.ParseObject([]byte(text))
		if err != nil || len(defects) != tt.defects {
			t.Fatalf("%q, %v", defects, err)
		}
		e := event.Event{Details: map[string]any{"record": map[string]any{"inner": object}}}
		b, err := e.AppendPayload(nil)
		if err != nil || !strings.Contains(string(b), tt.kept) {
			t.Errorf("%s, %v", b, err)
		}
	}
}

func TestManyNumbers(t *testing.T) {
	text := `{"a":[` + strings.Repeat("1e999,", 99) + `1e999]}`
	for range 3 {
		_, defects, err := ingest.ParseObject([]byte(text))
		if err != nil || len(defects) != 17 || defects[16] != "and 84 more of the kind" {
			t.Fatalf("%q, %v", defects, err)
		}
	}
}

func TestPaths(t *testing.T) {
	object := map[string]any{"a": map[string]any{"b": "x", "c": 1}}
	if ingest.Text(object, "a", "b") != "x" || ingest.Text(object, "a", "c") != "" || ingest.Text(object, "a") != "" || ingest.Text(nil, "a", "b") != "" {
		t.Error("Text")
	}
	if ingest.Get(object, "a", "c") != 1 || ingest.Get(object, "a", "b", "c") != nil || len(ingest.Object(object, "a")) != 2 || ingest.Object(object, "a", "b") != nil {
		t.Error("Get, Object")
	}
}

func TestTime(t *testing.T) {
	for in, want := range map[string]time.Time{
		"2026-01-02T03:04:05.1234567Z": time.Date(2026, 1, 2, 3, 4, 5, 123456000, time.UTC),
		"2026-01-02T03:04:05+01:00":    time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC),
		"9999-12-31T23:00:00-02:00":    {},
		"0000-01-01T00:00:00Z":         {},
		"2026-01-02":                   {},
		"":                             {},
	} {
		if got := ingest.Time(in); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: %v, want %v", in, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc…"}, {"a☃b", 2, "a…"}, {"a☃b", 4, "a☃…"}, {"☃", 1, "…"}} {
		if got := ingest.Short(tt.in, tt.n); got != tt.want {
			t.Errorf("%q, %d: %q", tt.in, tt.n, got)
		}
	}
}

func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{"a":[1e999,{"b":"\ud83d"}]}`, `{},"id":"x"`, `{"a":` + strings.Repeat("[", 120) + strings.Repeat("]", 120) + `}`, `{"\\ud83d\\\ud83d":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		object, defects, err := ingest.ParseObject(text)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q is not JSON", text)
		}
		b, err := event.AppendJSON(nil, map[string]any{"details": map[string]any{"record": object}})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if want, err := event.Canonicalize(nil, text); err == nil && len(defects) == 0 && string(b) != `{"details":{"record":`+string(want)+`}}` {
			t.Fatalf("%q became %s", text, b)
		}
	})
}
