package redaction

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
)

var testKey = []byte("0123456789abcdef0123456789abcdef")

func newRedactor(t testing.TB, r Rules) Redactor {
	t.Helper()
	redactor, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	return redactor
}

// by makes the redactor that does the same with all secrets.
func by(t testing.TB, m Method) Redactor {
	t.Helper()
	r := Rules{HMACKey: testKey}
	r.Methods.Default = m
	return newRedactor(t, r)
}

// The value stands in documents and in the payloads of others: it never changes.
func TestHMACToken(t *testing.T) {
	// printf 'custody redaction v1\nhunter2' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
	const want = "[REDACTED:hmac:c518b5d0b8ab7122ebe84c90bfbdea50]"
	if got := HMACToken(testKey, "hunter2"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if HMACToken(testKey, "hunter2") == HMACToken(testKey[1:], "hunter2") || HMACToken(testKey, "hunter2") == HMACToken(testKey, "hunter3") {
		t.Error("other keys or secrets have the same token")
	}
	if id := HMACKeyID(testKey); len(id) != 8 || id == HMACKeyID(testKey[1:]) {
		t.Errorf("key id %s", id)
	}
}

func TestMethods(t *testing.T) {
	const long = "correct-horse-battery"
	token := HMACToken(testKey, long)
	for _, tt := range []struct {
		name string
		in   object
		want map[Method]string
	}{
		{"member", object{"a": 1, "password": long}, map[Method]string{
			MethodMask: `{"a":1,"password":"[REDACTED]"}`, MethodPartial: `{"a":1,"password":"[REDACTED:…tery]"}`,
			MethodHMAC: `{"a":1,"password":"` + token + `"}`, MethodDrop: `{"a":1}`}},
		{"short", object{"password": "short-password."[:15]}, map[Method]string{MethodPartial: `{"password":"[REDACTED]"}`}},
		{"sixteen characters", object{"password": "äöüßäöüßäöüßwxyz"}, map[Method]string{MethodPartial: `{"password":"[REDACTED:…wxyz]"}`}},
		{"end that could be mistaken", object{"password": "correct-horse-ba]}"}, map[Method]string{MethodPartial: `{"password":"[REDACTED]"}`}},
		{"list", object{"tokens": []any{long, 1, long}, "secrets": []string{long, ""}}, map[Method]string{
			MethodDrop: `{"secrets":["",""],"tokens":["",1,""]}`, MethodPartial: `{"secrets":["[REDACTED:…tery]",""],"tokens":["[REDACTED:…tery]",1,"[REDACTED:…tery]"]}`}},
		{"map of strings", object{"env": map[string]string{"API_KEY": long, "HOME": "/"}}, map[Method]string{MethodDrop: `{"env":{"HOME":"/"}}`}},
		{"time", object{"password": time.Unix(0, 0)}, map[Method]string{MethodDrop: "{}", MethodHMAC: `{"password":"` + HMACToken(testKey, "1970-01-01T00:00:00.000000Z") + `"}`}},
		{"struct", object{"s": settings{"u", long, 1}}, map[Method]string{MethodDrop: `{"s":{"Retries":1,"User":"u"}}`}},
		{"raw string", object{"password": json.RawMessage(`"` + long + `"`)}, map[Method]string{MethodDrop: "{}"}},
		{"raw list", object{"passwords": json.RawMessage(`["` + long + `",2]`)}, map[Method]string{MethodDrop: `{"passwords":["",2]}`}},
		{"below", object{"credentials": object{"user": "u", "n": 1}}, map[Method]string{MethodDrop: `{"credentials":{"n":1}}`}},
		{"free text", object{"x": "go --password " + long + " now"}, map[Method]string{
			MethodDrop: `{"x":"go --password  now"}`, MethodHMAC: `{"x":"go --password ` + token + ` now"}`, MethodPartial: `{"x":"go --password [REDACTED:…tery] now"}`}},
		{"base64", object{"x": "a " + base64.StdEncoding.EncodeToString([]byte("password="+long)) + " b"}, map[Method]string{
			MethodMask: `{"x":"a [REDACTED] b"}`, MethodPartial: `{"x":"a [REDACTED] b"}`, MethodHMAC: `{"x":"a ` + token + ` b"}`, MethodDrop: `{"x":"a  b"}`}},
		{"name", object{"m": object{github: 1, "b": 2}}, map[Method]string{
			MethodMask: `{"m":{"[REDACTED]":1,"b":2}}`, MethodHMAC: `{"m":{"` + HMACToken(testKey, github) + `":1,"b":2}}`, MethodDrop: `{"m":{"b":2}}`}},
		{"name in JSON", object{"m": `{"` + github + `":{"x":[1]},"b":2}`}, map[Method]string{
			MethodMask: `{"m":"{\"[REDACTED]\":{\"x\":[1]},\"b\":2}"}`, MethodDrop: `{"m":"{\"b\":2}"}`}},
	} {
		for m, want := range tt.want {
			t.Run(tt.name+", "+string(m), func(t *testing.T) {
				r := by(t, m)
				got := r.Redact(event.Event{Type: "x", Details: tt.in})
				if len(got.Details) > 0 || want != "{}" {
					if d := details(t, got); d != want {
						t.Errorf("got  %s\nwant %s", d, want)
					}
				}
				for _, x := range got.Redactions {
					// What could not be done in part was masked, and is listed so.
					if x.Method != string(m) && (m != MethodPartial || x.Method != "mask") {
						t.Errorf("listed as %+v", x)
					}
				}
				if len(got.Redactions) == 0 {
					t.Error("nothing is listed")
				}
				if again := r.Redact(got); !reflect.DeepEqual(again, got) {
					t.Errorf("redacted twice: %+v", again)
				}
				if again := Default().Redact(got); !reflect.DeepEqual(again, got) {
					t.Errorf("redacted by the default: %+v", again)
				}
			})
		}
	}
}

func TestDropFromJSON(t *testing.T) {
	r := by(t, MethodDrop)
	for in, want := range map[string]string{
		`{"pwd":"s","a":1}`:                                `{"a":1}`,
		`{"a":1,"pwd":"s"}`:                                `{"a":1}`,
		`{"a":1, "pwd":"s", "b":2}`:                        `{"a":1, "b":2}`,
		`{"pwd":"s"}`:                                      `{}`,
		`{ "pwd" : "s" , "token" : "t" }`:                  `{ }`,
		`{"pwd":"s","token":"t","a":1}`:                    `{"a":1}`,
		`{"a":1,"pwd":"s","token":"t"}`:                    `{"a":1}`,
		`{"a":{"pwd":"s"},"token":["t",1]}`:                `{"a":{},"token":["",1]}`,
		`[{"pwd":"s"},{"b":{"pwd":"s"}}]`:                  `[{},{"b":{}}]`,
		`{"a":"{\"pwd\":\"s\",\"b\":2}"}`:                  `{"a":"{\"b\":2}"}`,
		`{"pwd":bare,"a":1}`:                               `{"a":1}`,
		"{\"pwd\":\"s\",\"a\":1}\n{\"b\":2,\"pwd\":\"s\"}": "{\"a\":1}\n{\"b\":2}",
		`{"a":1,"pwd":"cut off`:                            `{"a":1`,
	} {
		e := r.Redact(event.Event{Type: "x", Details: object{"x": in}})
		if got := e.Details["x"]; got != want {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
	}
}

func TestMethodsOfRules(t *testing.T) {
	r := Rules{HMACKey: testKey}
	r.Methods.Default = MethodPartial
	r.Methods.Rules = map[string]Method{"github-token": MethodHMAC, "key:cookie": MethodDrop, "value:jwt": MethodMask, "key:password": MethodMask}
	r.Values.Patterns = []Pattern{{Name: "ticket", Pattern: `TICKET-\d{6}`, Method: MethodDrop}, {Name: "seat", Pattern: `SEAT-\d{16}`}}
	got := newRedactor(t, r).Redact(event.Event{Type: "x", Details: object{
		"a": "see " + github, "cookie": "x", "password": "correct-horse-battery", "secret": "correct-horse-battery", "b": "TICKET-123456!", "c": "SEAT-1234567890123456",
	}})
	want := `{"a":"see ` + HMACToken(testKey, github) + `","b":"!","c":"[REDACTED:…3456]","password":"[REDACTED]","secret":"[REDACTED:…tery]"}`
	if d := details(t, got); d != want {
		t.Errorf("got  %s\nwant %s", d, want)
	}
}

func TestMaskedForms(t *testing.T) {
	for s, n := range map[string]int{
		"": 0, "[REDACTED": 0, "[REDACTED]": 10, "[REDACTED] x": 10, "x[REDACTED]": 0, "[REDACTED:]": 0,
		HMACToken(testKey, "x"): 48, HMACToken(testKey, "x")[:47]: 0, "[REDACTED:hmac:0123456789ABCDEF0123456789abcdef]": 0,
		"[REDACTED:…abcd]": len("[REDACTED:…abcd]"), "[REDACTED:…abc]": 0, "[REDACTED:…ab c]": 0, "[REDACTED:…abcde]": 0,
	} {
		if got := maskedLen(s); got != n {
			t.Errorf("%q: %d, want %d", s, got, n)
		}
	}
}

// A form in which secrets are found where one was redacted already is not taken
// for another secret.
func TestMaskedFormsAreNoSecrets(t *testing.T) {
	token := HMACToken(testKey, "x")
	for _, text := range []string{
		"password=%s", "Authorization: %s", "postgres://u:%s@h/d", "datadog_api_key = '%s'", "MISTRAL_API_KEY=%s", "%s%s", `{"password":"%s"}`,
		"--token %s", "aws_secret_access_key = %s", "<password>%s</password>",
	} {
		for _, form := range []string{Mask, token, "[REDACTED:…wxyz]"} {
			in := event.Event{Type: "x", Details: object{"x": strings.ReplaceAll(text, "%s", form)}}
			got := Default().Redact(in)
			if !reflect.DeepEqual(got, in) {
				t.Errorf("%s became %s", in.Details["x"], got.Details["x"])
			}
		}
	}
}

// What each method does to generated details: no secret is left, everything else
// is, and twice is as once.
func TestPlantedSecretsByEveryMethod(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for _, m := range []Method{MethodPartial, MethodHMAC, MethodDrop} {
		r := by(t, m)
		for i := range uint64(300) {
			g := &generator{Rand: rand.New(rand.NewPCG(seed, i))}
			e := event.Event{Type: "x", Details: g.object(false, 6, maxTexts-1)}
			got := r.Redact(e)
			payload, err := got.AppendPayload(nil)
			if err != nil {
				t.Fatalf("%s, round %d: %v", m, i, err)
			}
			for _, s := range g.secrets {
				if strings.Contains(string(payload), s) {
					t.Fatalf("%s, round %d: %s is in the payload %s", m, i, s, payload)
				}
			}
			for _, s := range g.plain {
				if !strings.Contains(string(payload), s) {
					t.Fatalf("%s, round %d: %s is not in the payload %s", m, i, s, payload)
				}
			}
			if again := r.Redact(got); !reflect.DeepEqual(again, got) {
				t.Fatalf("%s, round %d: redacted twice: %v\nonce: %v", m, i, again, got)
			}
		}
	}
}

func TestPairsInText(t *testing.T) {
	for in, want := range map[string]string{
		`[{"name":"DB_PASSWORD","value":"s3cret"},{"name":"HOME","value":"/root"}]`: `[{"name":"DB_PASSWORD","value":"[REDACTED]"},{"name":"HOME","value":"/root"}]`,
		`{"value":"s3cret","type":"x","name":"DB_PASSWORD"}`:                        `{"value":"[REDACTED]","type":"x","name":"DB_PASSWORD"}`,
		`{"Key":"ApiKey", "Value":["s3cret"]}`:                                      `{"Key":"ApiKey", "Value":["[REDACTED]"]}`,
		`{"name":"how I lost my password in the sea","value":"a book"}`:             `{"name":"how I lost my password in the sea","value":"a book"}`,
		`{"value":"x","name":7}`:                                                    `{"value":"x","name":7}`,
	} {
		got := Default().Redact(event.Event{Type: "x", Details: object{"x": in}})
		if got.Details["x"] != want {
			t.Errorf("%s\ngot  %v\nwant %s", in, got.Details["x"], want)
		}
		m := object{"x": json.RawMessage(in), "y": map[string]string{"name": "DB_PASSWORD", "value": "s3cret"}}
		if d := details(t, Default().Redact(event.Event{Type: "x", Details: m})); strings.Contains(d, "s3cret") {
			t.Errorf("%s: %s", in, d)
		}
	}
}

// Names with secrets in them get names that are not taken, in raw JSON as well,
// where two of the same would be refused.
func TestNamesStayApart(t *testing.T) {
	in := fmt.Sprintf(`{"[REDACTED]":0,"%s":1,"a":{"%s":2,"%[1]s x":3}}`, github, github)
	for _, v := range []any{json.RawMessage(in), in} {
		got := Default().Redact(event.Event{Type: "x", Details: object{"x": v}})
		d := details(t, got)
		if strings.Contains(d, github) || strings.Count(d, "[REDACTED]") != 4 {
			t.Errorf("%s", d)
		}
		twice(t, got)
	}
}
