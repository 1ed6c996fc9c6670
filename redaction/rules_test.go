package redaction

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
)

func TestParseRules(t *testing.T) {
	file := filepath.Join("testdata", "rules.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseRules(file, text)
	if err != nil {
		t.Fatal(err)
	}
	on := true
	want := Rules{
		Version: 1,
		Common: Common{
			Keys: KeyRules{Extra: []string{"pin", "customer number"}, Allow: []string{"session_token"}},
			Values: ValueRules{
				Enable: []string{"email"}, Disable: []string{"payment-card"},
				Patterns: []Pattern{{Name: "staff-number", Pattern: `\bSTAFF-(\d{8})\b`, Keywords: []string{"STAFF-"}, Method: MethodHMAC}},
				Allow:    []string{`[\w.]+@example\.org`, "not-a-secret.*"},
			},
			Methods: MethodRules{Default: MethodMask, Rules: map[string]Method{"github-token": MethodPartial, "key:password": MethodHMAC}},
		},
		HMACKeyFile: filepath.Join("testdata", "redaction.key"),
		EventTypes: map[event.Type]TypeRules{
			"tool_result": {Common: Common{Keys: KeyRules{Extra: []string{"answer"}}, Methods: MethodRules{Default: MethodDrop}}},
			"debug.trace": {IncludeSensitive: &on},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The rules of the file, in force.
func TestRulesInForce(t *testing.T) {
	text, err := os.ReadFile("testdata/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := ParseRules("testdata/rules.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	rules.HMACKeyFile, rules.HMACKey = "", testKey
	r := newRedactor(t, rules)
	in := object{
		"pin": "1234", "session_token": "17", "a": "STAFF-12345678", "b": "to jane@mail.example, jane@example.org", "c": "4111 1111 1111 1111",
		"secret": "not-a-secret-at-all", "password": "s3cret", "answer": "42!", "d": github,
	}
	for typ, want := range map[event.Type]string{
		"x": `{"a":"STAFF-` + HMACToken(testKey, "12345678") + `","answer":"42!","b":"to [REDACTED], jane@example.org","c":"4111 1111 1111 1111",` +
			`"d":"[REDACTED:…` + github[len(github)-4:] + `]","password":"` + HMACToken(testKey, "s3cret") + `","pin":"[REDACTED]","secret":"not-a-secret-at-all","session_token":"17"}`,
		"tool_result": `{"a":"STAFF-` + HMACToken(testKey, "12345678") + `","b":"to , jane@example.org","c":"4111 1111 1111 1111",` +
			`"d":"[REDACTED:…` + github[len(github)-4:] + `]","password":"` + HMACToken(testKey, "s3cret") + `","secret":"not-a-secret-at-all","session_token":"17"}`,
		"debug.trace": details(t, event.Event{Details: in}),
	} {
		got := r.Redact(event.Event{Type: typ, Details: in})
		if d := details(t, got); d != want {
			t.Errorf("%s\ngot  %s\nwant %s", typ, d, want)
		}
	}
}

func TestParseRulesRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "f.yaml:1: version: it is missing; write `version: 1`"},
		{"no version", "keys:\n  extra: [pin]\n", "f.yaml:1: version: it is missing; write `version: 1`"},
		{"other version", "version: 2\n", "f.yaml:1: version: 2 is not known"},
		{"no YAML", "version: 1\nkeys: [", "f.yaml:2: "},
		{"unknown member", "version: 1\nkeys:\n  extras: [x]\n", `f.yaml:3: unknown field "extras"; docs/redaction.md`},
		{"unknown member of a type", "version: 1\nevent_types:\n  x:\n    hmac_key_file: k\n", "f.yaml:4: unknown field"},
		{"twice", "version: 1\nkeys: {}\nkeys: {}\n", "f.yaml:3: "},
		{"wrong kind", "version: 1\nkeys:\n  extra: pin\n", "f.yaml:3: "},
		{"two documents", "version: 1\n---\nversion: 1\n", "f.yaml:3: a second document"},
		{"anchor", "version: 1\nkeys:\n  extra: &a [pin]\n  allow: *a\n", "f.yaml:3: an anchor or alias"},
		{"name without letters", "version: 1\nkeys:\n  extra:\n    - pin\n    - '--'\n", `f.yaml:5: keys.extra[1]: "--" has no letter`},
		{"unknown detector", "version: 1\nvalues:\n  enable: [email]\n  disable: [e-mail]\n", `f.yaml:4: values.disable[0]: there is no detector "e-mail"`},
		{"pattern", "version: 1\nvalues:\n  patterns:\n    - name: a\n      pattern: 'TICKET-('\n", "f.yaml:4: values.patterns[0]: detector \"a\": error parsing regexp"},
		{"pattern of nothing", "version: 1\nvalues:\n  patterns:\n  - {name: a, pattern: '(abc)*', keywords: [abc]}\n", "f.yaml:4: values.patterns[0]: detector \"a\": "},
		{"pattern without keyword", "version: 1\nvalues:\n  patterns:\n  - {name: a, pattern: '\\d{9}'}\n", "f.yaml:4: values.patterns[0]: detector \"a\": it has no keyword"},
		{"pattern without name", "version: 1\nvalues:\n  patterns:\n  - {pattern: 'abcd'}\n", `f.yaml:4: values.patterns[0]: the name "" has to be`},
		{"name of another", "version: 1\nvalues:\n  patterns:\n  - {name: jwt, pattern: 'abcd'}\n", `there is another detector named "jwt"`},
		{"name twice", "version: 1\nvalues:\n  patterns:\n  - {name: a, pattern: 'abcd'}\n  - {name: a, pattern: 'abce'}\n", `f.yaml:5: values.patterns[1]: there is another detector named "a"`},
		{"allow", "version: 1\nvalues:\n  allow: ['a(']\n", "f.yaml:3: values.allow[0]: error parsing regexp"},
		{"method", "version: 1\nmethods:\n  default: hash\n", `f.yaml:3: methods.default: there is no method "hash"; write mask, partial, hmac or drop`},
		{"method of a rule", "version: 1\nmethods:\n  rules:\n    jwt: mask\n    key:password: blank\n", `f.yaml:5: methods.rules.key:password: there is no method "blank"`},
		{"rule", "version: 1\nmethods:\n  rules:\n    key:pincode: mask\n", `f.yaml:4: methods.rules.key:pincode: no name says secret by the term "pincode"`},
		{"rule of a detector", "version: 1\nmethods:\n  rules: {jwts: mask}\n", `there is no detector "jwts"`},
		{"no key", "version: 1\nmethods:\n  default: hmac\n", "f.yaml:2: methods: the method hmac needs a key"},
		{"no key for a type", "version: 1\nevent_types:\n  x:\n    methods: {default: hmac}\n", "methods: the method hmac needs a key"},
		{"in a type", "version: 1\nevent_types:\n  x.y:\n    keys:\n      extra: [a, '']\n", `f.yaml:5: event_types.x.y.keys.extra[1]: "" has no letter`},
		{"several", "version: 3\nmethods:\n  default: hash\n", "f.yaml:3: methods.default"},
		{"what the library panics on", "version: 1\nkeys:\n  extra: ! ", "f.yaml:1: the file is not YAML that can be read"},
		{"large", strings.Repeat("#", maxRulesFile+1), "f.yaml:1: the file has 131073 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseRules("f.yaml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestNewNamesAllProblems(t *testing.T) {
	var r Rules
	r.Keys.Extra = []string{"--"}
	r.Methods.Default = "hash"
	r.HMACKey = testKey[:31]
	r.EventTypes = map[event.Type]TypeRules{"\xff": {}}
	_, err := New(r)
	for _, want := range []string{"keys.extra[0]: ", "methods.default: ", "hmac_key_file: the key has 31 bytes", "event_types: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func TestRulesAreCopied(t *testing.T) {
	var r Rules
	r.Keys.Extra, r.HMACKey = []string{"pin"}, []byte(strings.Clone(string(testKey)))
	r.Methods.Rules = map[string]Method{"key:pin": MethodHMAC}
	redactor := newRedactor(t, r)
	r.Keys.Extra[0], r.HMACKey[0], r.Methods.Rules["key:pin"] = "x", 'x', MethodDrop
	got := redactor.Redact(event.Event{Details: object{"pin": "1234"}})
	if got.Details["pin"] != HMACToken(testKey, "1234") {
		t.Errorf("%v", got.Details)
	}
}

func TestReadHMACKey(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, tt := range []struct {
		content string
		size    int
	}{{strings.Repeat("ab", 32) + "\n", 32}, {strings.Repeat("raw!", 8), 32}, {strings.Repeat("\x00\n", 20), 40}, {strings.Repeat("ab", 64), 64}} {
		key, err := ReadHMACKey(file("key", tt.content, 0o600))
		if err != nil || len(key) != tt.size {
			t.Errorf("%q: %d bytes, %v", tt.content, len(key), err)
		}
	}
	for _, tt := range []struct{ content, want string }{
		{"", "has 0 bytes, and 32 are needed; make one with"},
		{strings.Repeat("ab", 31), "has 31 bytes"},
		{string(testKey), "has 16 bytes"}, // 32 hex digits
		{strings.Repeat("ab", 3000), "more than 4096 bytes"},
	} {
		if _, err := ReadHMACKey(file("key", tt.content, 0o600)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d bytes: %v", len(tt.content), err)
		}
	}
	if _, err := ReadHMACKey(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("%v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o666} {
		name := file("open", string(testKey), mode)
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Rules{HMACKeyFile: name}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestDescription(t *testing.T) {
	describe := func(change func(r *Rules)) Description {
		var r Rules
		change(&r)
		return newRedactor(t, r).(Described).Description()
	}
	plain := describe(func(r *Rules) {})
	if plain != Default().(Described).Description() || len(plain.Digest) != 64 || plain.Rules < 200 || plain.IncludeSensitive || plain.HMACKeyID != "" {
		t.Errorf("%+v", plain)
	}
	on := true
	seen := map[string]string{plain.Digest: "default"}
	for name, change := range map[string]func(r *Rules){
		"extra":          func(r *Rules) { r.Keys.Extra = []string{"pin"} },
		"allow":          func(r *Rules) { r.Keys.Allow = []string{"pin"} },
		"enable":         func(r *Rules) { r.Values.Enable = []string{"email"} },
		"disable":        func(r *Rules) { r.Values.Disable = []string{"jwt"} },
		"pattern":        func(r *Rules) { r.Values.Patterns = []Pattern{{Name: "a", Pattern: "abcd"}} },
		"other pattern":  func(r *Rules) { r.Values.Patterns = []Pattern{{Name: "a", Pattern: "abce"}} },
		"allowed value":  func(r *Rules) { r.Values.Allow = []string{"pin"} },
		"default method": func(r *Rules) { r.Methods.Default = MethodDrop },
		"method":         func(r *Rules) { r.Methods.Rules = map[string]Method{"jwt": MethodDrop} },
		"key":            func(r *Rules) { r.HMACKey = testKey },
		"other key":      func(r *Rules) { r.HMACKey = append([]byte("x"), testKey...) },
		"off":            func(r *Rules) { r.IncludeSensitive = true },
		"type":           func(r *Rules) { r.EventTypes = map[event.Type]TypeRules{"x": {}} },
		"off for a type": func(r *Rules) { r.EventTypes = map[event.Type]TypeRules{"x": {IncludeSensitive: &on}} },
		"rules of a type": func(r *Rules) {
			r.EventTypes = map[event.Type]TypeRules{"x": {Common: Common{Keys: KeyRules{Extra: []string{"pin"}}}}}
		},
	} {
		d := describe(change)
		if other, ok := seen[d.Digest]; ok {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[d.Digest] = name
		if d != describe(change) {
			t.Errorf("%s: two descriptions differ", name)
		}
		if off := strings.HasPrefix(name, "off"); d.IncludeSensitive != off {
			t.Errorf("%s: include sensitive is %v", name, d.IncludeSensitive)
		}
		if key := strings.HasSuffix(name, "key"); (d.HMACKeyID != "") != key {
			t.Errorf("%s: key id %q", name, d.HMACKeyID)
		}
	}
	// The order in which lists are written means nothing.
	a := describe(func(r *Rules) { r.Keys.Extra, r.Values.Allow = []string{"pin", "puk"}, []string{"a", "b"} })
	b := describe(func(r *Rules) { r.Keys.Extra, r.Values.Allow = []string{"PUK", "pin"}, []string{"b", "a"} })
	if a != b {
		t.Errorf("%+v and %+v", a, b)
	}
}

func TestIncludeSensitive(t *testing.T) {
	off := false
	r := newRedactor(t, Rules{IncludeSensitive: true, EventTypes: map[event.Type]TypeRules{"safe": {IncludeSensitive: &off}}})
	e := event.Event{Type: "x", ID: github, Details: object{"password": "s3cret"}}
	if got := r.Redact(e); !reflect.DeepEqual(got, e) {
		t.Errorf("%+v", got)
	}
	e.Type = "safe"
	if got := r.Redact(e); got.ID != "" || got.Details["password"] != Mask {
		t.Errorf("%+v", got)
	}
}

func FuzzParseRules(f *testing.F) {
	text, err := os.ReadFile("testdata/rules.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, s := range []string{"version: 1", "a: &a [*a]", "- x\n- y", "version: 1\nkeys: {extra: [\"\\xff\"]}", "{", "? x\n: y", "version: 1\nmethods: {rules: {a: b}}", "!!binary x", "version: 1\nkeys:\n  extra: ! ", "<<: {version: 1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRules("f.yaml", b)
		if err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				if !strings.HasPrefix(err.Error(), "f.yaml:") || line == "" && strings.HasSuffix(err.Error(), "\n") {
					t.Fatalf("%q", err)
				}
			}
			return
		}
		r.HMACKeyFile, r.HMACKey = "", testKey
		if problems := r.validate(); len(problems) > 0 {
			t.Fatalf("read, but %v", problems)
		}
	})
}
