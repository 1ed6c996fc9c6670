package redaction

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
)

var update = flag.Bool("update", false, "write testdata/*.payload.json anew")

// details returns what the payload has as details, empty for none.
func details(t testing.TB, e event.Event) string {
	t.Helper()
	e = event.Event{Details: e.Details}
	b, err := e.AppendPayload(nil)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(b), `{"details":`), "}")
}

type settings struct {
	User     string
	Password secretText `json:"password,omitempty"`
	Retries  int
}

type secretText string

type headers map[string][]string

// object and the rest shorten the tables below.
type object = map[string]any

func TestRedact(t *testing.T) {
	for _, tt := range []struct {
		name    string
		details object
		want    string
		list    string // pointer rule, one a line, without /details
	}{
		{"nothing", object{"a": "b", "n": 1, "l": []any{"x"}}, `{"a":"b","l":["x"],"n":1}`, ""},
		{"string", object{"api_key": "s3cret", "model": "m"}, `{"api_key":"[REDACTED]","model":"m"}`, "/api_key key:api_key"},
		{"what is no string stays", object{"password": 1234, "token": true, "secret": nil, "auth": 1.5, "jwt": json.Number("7"), "otp": uint8(3)},
			`{"auth":1.5,"jwt":7,"otp":3,"password":1234,"secret":null,"token":true}`, ""},
		{"empty strings stay", object{"password": "", "tokens": []any{"", "s3cret"}}, `{"password":"","tokens":["","[REDACTED]"]}`, "/tokens/1 key:token"},
		{"everything below", object{"credentials": object{"user": "u", "n": 1, "more": []any{object{"x": "y"}, []string{"z"}}}},
			`{"credentials":{"more":[{"x":"[REDACTED]"},["[REDACTED]"]],"n":1,"user":"[REDACTED]"}}`,
			"/credentials/more/0/x key:credential\n/credentials/more/1/0 key:credential\n/credentials/user key:credential"},
		{"the outermost name is reported", object{"auth": object{"password": "s3cret"}}, `{"auth":{"password":"[REDACTED]"}}`, "/auth/password key:auth"},
		{"below a name that only describes", object{"token_type": object{"password": "s3cret", "x": "y"}},
			`{"token_type":{"password":"[REDACTED]","x":"y"}}`, "/token_type/password key:password"},
		{"pointer escapes", object{"a/b": object{"~pwd": "s3cret"}}, `{"a/b":{"~pwd":"[REDACTED]"}}`, "/a~1b/~0pwd key:pwd"},

		{"map of strings", object{"env": map[string]string{"API_KEY": "s3cret", "HOME": "/root"}},
			`{"env":{"API_KEY":"[REDACTED]","HOME":"/root"}}`, "/env/API_KEY key:api_key"},
		{"list of strings", object{"cookies": []string{"s3cret"}}, `{"cookies":["[REDACTED]"]}`, "/cookies/0 key:cookie"},
		{"raw JSON", object{"body": json.RawMessage(`{ "password" : "s3cret", "n" : [1.0] }`)},
			`{"body":{"n":[1],"password":"[REDACTED]"}}`, "/body/password key:password"},
		{"raw JSON string", object{"token": json.RawMessage(`"s3cret"`)}, `{"token":"[REDACTED]"}`, "/token key:token"},
		{"struct", object{"config": settings{"u", "s3cret", 3}},
			`{"config":{"Retries":3,"User":"u","password":"[REDACTED]"}}`, "/config/password key:password"},
		{"pointers", object{"config": []*settings{{"u", "s3cret", 3}, nil}},
			`{"config":[{"Retries":3,"User":"u","password":"[REDACTED]"},null]}`, "/config/0/password key:password"},
		{"named types", object{"headers": headers{"Authorization": {"Bearer s3cret"}, "Accept": {"*/*"}}, "secret": secretText("s3cret")},
			`{"headers":{"Accept":["*/*"],"Authorization":["[REDACTED]"]},"secret":"[REDACTED]"}`,
			"/headers/Authorization/0 key:authorization\n/secret key:secret"},
		{"bytes", object{"secret": []byte("s3cret")}, `{"secret":"[REDACTED]"}`, "/secret key:secret"},
		{"time, error", object{"password": time.Unix(0, 0), "secret": errors.New("s3cret"), "error": errors.New(`{"pwd":"s3cret"}`)},
			`{"error":"{\"pwd\":\"[REDACTED]\"}","password":"[REDACTED]","secret":"[REDACTED]"}`,
			"/error/pwd key:pwd\n/password key:password\n/secret key:secret"},
		{"what cannot be encoded is left to the encoder", object{"password": "s3cret", "none": map[string]any(nil), "list": []any(nil), "raw": json.RawMessage(nil)},
			`{"list":null,"none":null,"password":"[REDACTED]","raw":null}`, "/password key:password"},

		{"JSON in a string", object{"body": `{"user":"u","password":"s3cret"}`},
			`{"body":"{\"user\":\"u\",\"password\":\"[REDACTED]\"}"}`, "/body/password key:password"},
		{"only the value changes", object{"body": " {\t\"b\" : 1.50e1 ,\"a\":[ ],\n\"p\\u0077d\":\"s3\\\"cret\" , \"b\":null}\r\n"},
			`{"body":" {\t\"b\" : 1.50e1 ,\"a\":[ ],\n\"p\\u0077d\":\"[REDACTED]\" , \"b\":null}\r\n"}`, "/body/pwd key:pwd"},
		{"byte for byte without a secret", object{"body": " {\"a\" : \"\\u0061\\/\", \"a\":1e400}  "}, `{"body":" {\"a\" : \"\\u0061\\/\", \"a\":1e400}  "}`, ""},
		{"duplicate names", object{"body": `{"a":{"password":"s3cret"},"a":1}`}, `{"body":"{\"a\":{\"password\":\"[REDACTED]\"},\"a\":1}"}`, "/body/a/password key:password"},
		{"list in a string", object{"body": `[1,{"pwd":"s3cret"},["x",{"token":["s3cret",null]}]]`},
			`{"body":"[1,{\"pwd\":\"[REDACTED]\"},[\"x\",{\"token\":[\"[REDACTED]\",null]}]]"}`, "/body/1/pwd key:pwd\n/body/2/1/token/0 key:token"},
		{"JSON in JSON in JSON", object{"a": `{"b":"{\"c\":\"{\\\"password\\\":\\\"s3cret\\\"}\"}"}`},
			`{"a":"{\"b\":\"{\\\"c\\\":\\\"{\\\\\\\"password\\\\\\\":\\\\\\\"[REDACTED]\\\\\\\"}\\\"}\"}"}`, "/a/b/c/password key:password"},
		{"a JSON string in a string", object{"a": `"{\"password\":\"s3cret\"}"`}, `{"a":"\"{\\\"password\\\":\\\"[REDACTED]\\\"}\""}`, "/a/password key:password"},
		{"in lists and maps of strings", object{"l": []string{"x", `{"pwd":"s3cret"}`}, "m": map[string]string{"k": `{"pwd":"s3cret"}`}},
			`{"l":["x","{\"pwd\":\"[REDACTED]\"}"],"m":{"k":"{\"pwd\":\"[REDACTED]\"}"}}`, "/l/1/pwd key:pwd\n/m/k/pwd key:pwd"},
		{"several texts", object{"log": "{\"pwd\":\"s3cret\"}\n{\"a\":1}\n{\"token\":\"s3cret\"}\n"},
			`{"log":"{\"pwd\":\"[REDACTED]\"}\n{\"a\":1}\n{\"token\":\"[REDACTED]\"}\n"}`, "/log/pwd key:pwd\n/log/token key:token"},
		{"something else behind", object{"log": `{"pwd":"s3cret"} and more`}, `{"log":"{\"pwd\":\"[REDACTED]\"} and more"}`, "/log/pwd key:pwd"},
		{"cut off", object{"log": `{"pwd":"s3cret","a":[{"tok`}, `{"log":"{\"pwd\":\"[REDACTED]\",\"a\":[{\"tok"}`, "/log/pwd key:pwd"},
		{"cut off inside a secret", object{"log": `{"pwd":"s3cr`}, `{"log":"{\"pwd\":\"[REDACTED]\""}`, "/log/pwd key:pwd"},
		{"cut off inside a text", object{"log": `{"x":"{\"pwd\":\"s3cret\\`}, `{"log":"{\"x\":\"{\\\"pwd\\\":\\\"[REDACTED]\\\"\""}`, "/log/x/pwd key:pwd"},
		{"without quotes", object{"log": `{"pwd":s3cret,"token":-1.5e3,"auth":null,"otp":NaN}`},
			`{"log":"{\"pwd\":\"[REDACTED]\",\"token\":-1.5e3,\"auth\":null,\"otp\":\"[REDACTED]\"}"}`, "/log/otp key:otp\n/log/pwd key:pwd"},
		{"odd escapes", object{"log": `{"x\q\ud83d\ude00\ud83d\u12":{"pwd":"s3cret"}}`}, `{"log":"{\"x\\q\\ud83d\\ude00\\ud83d\\u12\":{\"pwd\":\"[REDACTED]\"}}"}`,
			"/log/x\\q\U0001F600\uFFFD\\u12/pwd key:pwd"},
		{"not UTF-8 inside a text", object{"log": "{\"x\":\"{\\\"\xff\\\":{\\\"pwd\\\":\\\"s3cret\\\"}}\"}"},
			`{"log":"{\"x\":\"{\\\"` + "\uFFFD" + `\\\":{\\\"pwd\\\":\\\"[REDACTED]\\\"}}\"}"}`, "/log/x/\uFFFD/pwd key:pwd"},
		{"not JSON", object{"a": "[ERROR] pwd: x", "b": "{not json", "c": `"quoted" text`, "d": "plain", "e": "[REDACTED]", "f": "}", "g": "[,,]"},
			`{"a":"[ERROR] pwd: x","b":"{not json","c":"\"quoted\" text","d":"plain","e":"[REDACTED]","f":"}","g":"[,,]"}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := event.Event{Type: "x", Details: tt.details}
			got := Default().Redact(e)
			if d := details(t, got); d != tt.want {
				t.Errorf("details\ngot  %s\nwant %s", d, tt.want)
			}
			if l := list(got.Redactions); l != tt.list {
				t.Errorf("redactions\ngot  %s\nwant %s", l, tt.list)
			}
			twice(t, got)
		})
	}
}

// list writes redactions one a line, and checks what all have in common.
func list(redactions []event.Redaction) string {
	var lines []string
	for _, r := range redactions {
		if r.Method != "mask" {
			return fmt.Sprintf("method %s in %+v", r.Method, r)
		}
		lines = append(lines, strings.TrimPrefix(r.Pointer, "/details")+" "+r.Rule)
	}
	return strings.Join(lines, "\n")
}

// twice checks that redacting again adds nothing, neither to the event nor to
// what is read back of it.
func twice(t testing.TB, e event.Event) {
	t.Helper()
	if again := Default().Redact(e); !reflect.DeepEqual(again, e) {
		t.Fatalf("redacted twice: %+v\nonce:           %+v", again, e)
	}
	payload, err := e.AppendPayload(nil)
	if err != nil {
		return
	}
	back, err := event.ParsePayload(payload)
	if err != nil {
		t.Fatal(err)
	}
	if again := Default().Redact(back); !reflect.DeepEqual(again, back) {
		t.Fatalf("read back and redacted: %+v\nread back: %+v", again, back)
	}
}

func TestErrorsAreLeftToTheEncoder(t *testing.T) {
	for name, v := range map[string]any{"channel": make(chan int), "malformed": json.RawMessage(`{"a":`), "func": func() {}} {
		e := Default().Redact(event.Event{Type: "x", Details: object{"v": v, "pwd": "s3cret"}})
		if _, err := e.AppendPayload(nil); err == nil || !strings.Contains(err.Error(), "/details/v") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// full returns details with every kind of value, much of it to be redacted.
func full() object {
	return object{
		"plain": object{"a": []any{"x", 1, object{"b": "c"}}},
		"env":   map[string]string{"API_KEY": "s3cret", "HOME": "/root"},
		"args":  []string{`{"pwd":"s3cret"}`, "x"},
		"raw":   json.RawMessage(`{"pwd":"s3cret"}`),
		"auth":  object{"list": []any{"s3cret", object{"deep": "s3cret"}}, "strings": []string{"s3cret"}, "map": map[string]string{"a": "s3cret"}},
		"body":  `{"token":"s3cret"}`,
		"conf":  &settings{Password: "s3cret"},
	}
}

func TestNothingIsModified(t *testing.T) {
	e := event.Event{Type: "x", Details: full(), Redactions: append(make([]event.Redaction, 0, 64), event.Redaction{Pointer: "/details/old", Rule: "r", Method: "m"})}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			got := Default().Redact(e)
			if d := details(t, got); strings.Contains(d, "s3cret") {
				t.Errorf("not redacted: %s", d)
			}
			if len(got.Redactions) != 10 || got.Redactions[0].Rule != "r" {
				t.Errorf("redactions %+v", got.Redactions)
			}
		})
	}
	wait.Wait()
	if !reflect.DeepEqual(e.Details, full()) {
		t.Errorf("details were modified: %v", e.Details)
	}
	if spare := e.Redactions[:2][1]; spare != (event.Redaction{}) {
		t.Errorf("written behind the end of the caller's Redactions: %v", spare)
	}
}

func TestWhatIsNotChangedIsShared(t *testing.T) {
	plain := object{"x": "y"}
	same := func(a, b object) bool { return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() }
	e := event.Event{Details: object{"plain": plain, "pwd": "s3cret"}}
	if got := Default().Redact(e); !same(got.Details["plain"].(object), plain) {
		t.Error("a part without a secret was copied")
	}
	if got := Default().Redact(event.Event{Details: plain}); !same(got.Details, plain) {
		t.Error("details without a secret were copied")
	}
}

func TestNoAllocationWithoutSecrets(t *testing.T) {
	r := Default()
	e := typical()
	e.Details["max_tokens"] = 100
	e.Details["output"] = `{"author":"x","list":[1,2,{"a":"b"}]}`
	if n := testing.AllocsPerRun(100, func() { r.Redact(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// nest puts v into n maps.
func nest(n int, v any) any {
	for range n {
		v = object{"d": v}
	}
	return v
}

func TestTooDeep(t *testing.T) {
	// The payload and its details are two of the levels, so 126 are left.
	for _, tt := range []struct {
		n    int
		rule string
	}{{126, ""}, {127, "depth"}, {1000, "depth"}} {
		for kind, v := range map[string]any{"map": object{"x": "y"}, "list": []any{"x"}, "strings": []string{"x"}, "map of strings": map[string]string{"x": "y"}} {
			e := Default().Redact(event.Event{Type: "x", Details: object{"d": nest(tt.n-1, v)}})
			if _, err := e.AppendPayload(nil); err != nil {
				t.Fatal(err)
			}
			switch {
			case tt.rule == "" && len(e.Redactions) != 0:
				t.Errorf("%d levels, %s: %+v", tt.n, kind, e.Redactions)
			case tt.rule != "" && (len(e.Redactions) != 1 || e.Redactions[0].Rule != tt.rule || strings.Count(e.Redactions[0].Pointer, "/") != 128):
				t.Errorf("%d levels, %s: %+v", tt.n, kind, e.Redactions)
			}
			twice(t, e)
		}
	}
	text := strings.Repeat("[", 1000) + `{"pwd":"s3cret","[":"\"["}` + strings.Repeat("]", 1000) + ` {"pwd":"s3cret"}`
	e := Default().Redact(event.Event{Details: object{"text": text, "raw": json.RawMessage(strings.Repeat("[", 1000) + strings.Repeat("]", 1000))}})
	if got, want := list(e.Redactions), "/raw"+strings.Repeat("/0", 126)+" depth\n/text"+strings.Repeat("/0", 126)+" depth\n/text/pwd key:pwd"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if d := details(t, e); strings.Contains(d, "s3cret") {
		t.Error(d)
	}
	twice(t, e)
}

func TestTextsInTexts(t *testing.T) {
	text := `{"pwd":"s3cret"}`
	for n := 1; n < 10; n++ {
		e := Default().Redact(event.Event{Details: object{"a": text}})
		want := "/a" + strings.Repeat("/a", n-1) + "/pwd key:pwd"
		if n > maxTexts {
			want = "/a" + strings.Repeat("/a", maxTexts) + " depth"
		}
		if got := list(e.Redactions); got != want {
			t.Errorf("%d texts: got %s, want %s", n, got, want)
		}
		if d := details(t, e); strings.Contains(d, "s3cret") {
			t.Errorf("%d texts: %s", n, d)
		}
		twice(t, e)
		quoted, err := json.Marshal(object{"a": text})
		if err != nil {
			t.Fatal(err)
		}
		text = string(quoted)
	}
}

// A map that contains itself cannot be recorded. It must end all the same.
func TestMapsThatContainThemselves(t *testing.T) {
	once := object{"pwd": "s3cret"}
	once["self"] = once
	e := Default().Redact(event.Event{Details: once})
	if n := len(e.Redactions); n != 128 || e.Redactions[n-1].Rule != "depth" {
		t.Errorf("%d redactions, last %+v", n, e.Redactions[n-1])
	}

	twofold := object{}
	twofold["a"], twofold["b"] = twofold, []any{twofold}
	e = Default().Redact(event.Event{Details: twofold})
	if e.Details != nil || !slices.Equal(e.Redactions, []event.Redaction{{Pointer: "/details", Rule: "size", Method: "drop"}}) {
		t.Errorf("%d details, redactions %+v", len(e.Details), e.Redactions)
	}
}

func TestTooManyValues(t *testing.T) {
	lists, texts := make([]any, 2000), map[string]string{"pwd": "s3cret"}
	for i := range 1000 {
		texts[fmt.Sprint(i)] = "x"
	}
	for i := range lists {
		lists[i] = texts
	}
	for name, v := range map[string]any{"maps": lists, "lists": nest(12, []any{make([]string, maxValues)})} {
		e := Default().Redact(event.Event{Details: object{"v": v}})
		if e.Details != nil || list(e.Redactions) != "method drop in {Pointer:/details Rule:size Method:drop}" {
			t.Errorf("%s: %d details, %s", name, len(e.Details), list(e.Redactions))
		}
	}
}

func TestTooManyToList(t *testing.T) {
	secrets := object{}
	for i := range 5000 {
		secrets[fmt.Sprintf("%05d", i)] = "s3cret"
	}
	var first []event.Redaction
	for range 5 { // maps come in another order each time
		e := Default().Redact(event.Event{Details: object{"secrets": secrets, "zzz_pwd": "s3cret"}})
		if d := details(t, e); strings.Contains(d, "s3cret") {
			t.Fatal("not redacted")
		}
		n := len(e.Redactions)
		if n < 500 || n > 1500 || e.Redactions[n-1] != (event.Redaction{Pointer: "/details", Rule: "unlisted", Method: "mask"}) {
			t.Fatalf("%d redactions, last %+v", n, e.Redactions[n-1])
		}
		if e.Redactions[n-2].Pointer != fmt.Sprintf("/details/secrets/%05d", n-2) {
			t.Fatalf("%d redactions, last but one %+v", n, e.Redactions[n-2])
		}
		if first == nil {
			first = e.Redactions
		}
		if !slices.Equal(e.Redactions, first) {
			t.Fatal("the list differs from one call to the next")
		}
		twice(t, e)
	}
	e := Default().Redact(event.Event{Details: object{strings.Repeat("x", 1010): object{"my_long_password": "s3cret", "pwd": "s3cret"}}})
	if len(e.Redactions) != 2 || e.Redactions[0].Rule != "key:pwd" || e.Redactions[1].Rule != "unlisted" {
		t.Errorf("long pointer: %+v", e.Redactions)
	}
}

// What a sender can make expensive must stay cheap: a long name above many
// secrets, a long name full of terms, escapes of escapes.
func TestHostileInputIsCheap(t *testing.T) {
	many := make([]any, 100_000)
	for i := range many {
		many[i] = "x"
	}
	texts := strings.Repeat("\x01", 100_000)
	for range 5 {
		texts = `{"a":"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(texts) + `","pwd":"x"}`
	}
	start := time.Now()
	e := Default().Redact(event.Event{Details: object{
		strings.Repeat("x", 500_000) + "_password": many,
		strings.Repeat("token", 800_000):           many,
		strings.Repeat("é", 100_000):               many,
		"texts":                                    texts,
	}})
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	size := 0
	for _, r := range e.Redactions {
		size += len(r.Pointer)
	}
	if size > maxListed+100 {
		t.Errorf("%d bytes of pointers", size)
	}
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.event.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e, _, err := event.Decode(in)
		if err != nil {
			t.Fatal(err)
		}
		e = Default().Redact(e)
		got, err := e.AppendPayload(nil)
		if err != nil {
			t.Fatal(err)
		}
		file = strings.Replace(file, ".event.", ".payload.", 1)
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s\ngot  %s\nwant %s", file, got, want)
		}
		twice(t, e)
	}
}
