package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func load(t testing.TB, content string, environ ...string) (*Config, []Setting, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "custody.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c, settings, err := Load(name, environ, nil)
	if err != nil {
		for line := range strings.SplitSeq(strings.ReplaceAll(err.Error(), name, "FILE"), "\n") {
			if !placed.MatchString(line) {
				t.Errorf("of %q it says %s; want where it is, which setting, and what", content, line)
			}
		}
	}
	return c, settings, err
}

// placed is how an error begins that is about a setting. What is no YAML has lines only.
var placed = regexp.MustCompile(`^(FILE:[1-9][0-9]*|the environment variable CUSTODY_[A-Z_]+): [a-z_]+(\.[a-z_]+|\[[0-9]+\])*: .` +
	`|^FILE:[1-9][0-9]*: (sequence end token|it holds more than one document)|^FILE: it has more than`)

// The line of a mistake is that of the setting, wherever it is.
func TestPlaces(t *testing.T) {
	for _, tt := range []struct{ content, want string }{
		{"listen: nowhere", `FILE:2: listen: "nowhere" is not HOST:PORT`},
		{"removal:\n  second_person: true\n  delay: -5s", "FILE:4: removal.delay: -5s is not between 0s and a year"},
		{"limits: {payload: 1KiB,\n  body: 0}", "FILE:2: limits.payload: 1KiB does not fit into limits.body, 0\nFILE:3: limits.body: 0 is not between 1KiB and 1TiB"},
		{"limits:\n  body: 3x", `FILE:3: limits.body: "3x" is no size; write 512KiB, 16MiB or 1GiB`},
		{"session:\n  idle:\n    soon", `FILE:4: session.idle: "soon" is no length of time; write 90s, 15m or 24h`},
		{"retention: {every: 1}", `FILE:2: retention.every: "1" is no length of time; write 90s, 15m or 24h`},
		{"retention: {every: [1h]}", `FILE:2: retention.every: "" is no length of time; write 90s, 15m or 24h`},
		{"\nsocket: {path: s,\n  mode: 0999}", `FILE:4: socket.mode: "0999" is no mode of a file; write 0600, 0660 or 0666`},
		{"alerts:\n  rules:\n    - {name: a, severity: warning}\n    - name: b\n      severity: huge", `FILE:6: alerts.rules[1].severity: "huge" is none; docs/events.md lists them`},
		{"alerts:\n  rules:\n    - {name: a, severity: warning,\n       window: later}", `FILE:5: alerts.rules[0].window: "later" is no length of time; write 90s, 15m or 24h`},
		{"alerts:\n  every: 1ms\n  rules:\n    - {name: a}", "FILE:3: alerts.every: 1ms is shorter than a second\nFILE:5: alerts.rules[0]: it matches every event; give types, severity or where"},
		{"tls:\n  client_ca: ca\n  certificate: c\n  key: k\n  rules:\n    - {match: \"dns:a\", roles: [reader]}\n    - {match: \"a\", roles: [reader]}", `FILE:8: tls.rules[1]: "a": `},
		{"tls:\n  key: k", "FILE:3: tls.key: there is no tls.certificate; the two go together"},
		{"tls:\n  key: k\n  key: k", "FILE:4: tls.key: it is given twice"},
		{"tls: off", "FILE:2: tls: "},
		{"unprotected:\n  behind_proxy: perhaps", "FILE:3: unprotected.behind_proxy: it has to be true or false"},
		{"producers:\n  silence: 99999999999999999999", "FILE:3: producers.silence: 99999999999999999999 is too large"},
		{"oidc:\n  client_id: c", "FILE:3: oidc.client_id: it is of no use"},
		{"timestamps:\n  url: tsa.example.com", "FILE:3: timestamps.url: it is no URL"},
		{"data: &d x\norigin: *d", "FILE:2: data: an anchor or alias"},
		{"limits:\n  bdy: 1MiB", "FILE:3: limits.bdy: there is no such setting"},
	} {
		name := filepath.Join(t.TempDir(), "custody.yaml")
		if err := os.WriteFile(name, []byte("version: 1\n"+tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := Load(name, nil, nil)
		if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), name, "FILE"), tt.want) {
			t.Errorf("of %q it says\n%v\nwant\n%s", tt.content, err, tt.want)
		}
	}
}

// There is no setting whose mistakes have no line, or which the environment gives without
// being named.
func TestPlacesOfAll(t *testing.T) {
	c := Default()
	for path := range fields(reflect.ValueOf(&c).Elem(), "") {
		group, name, inner := strings.Cut(path, ".")
		content, line := "version: 1\n"+path+": {x: [y]}\n", 2
		if path == "version" {
			content, line = "\nversion: {x: [y]}\n", 2
		} else if inner {
			content, line = "version: 1\n"+group+":\n\n  "+name+": {x: [y]}\n", 4
		}
		_, _, err := load(t, content)
		if want := fmt.Sprintf("custody.yaml:%d: %s: ", line, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		variable := "CUSTODY_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
		_, _, err = Load("", []string{variable + "=[{"}, nil)
		for line := range strings.SplitSeq(fmt.Sprint(err), "\n") {
			if want := "the environment variable " + variable + ": " + path + ": "; err != nil && !strings.HasPrefix(line, want) {
				t.Errorf("%s, want %s", line, want)
			}
		}
	}
}

// What the environment or a flag gives is told of by its name, with a file and without
// one; what came from the file stays where it was.
func TestPlacesOver(t *testing.T) {
	name := filepath.Join(t.TempDir(), "custody.yaml")
	if err := os.WriteFile(name, []byte("version: 1\nlisten: 127.0.0.1:1\nlimits: {body: 1GiB}\ntls: {key: k}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ variable, flag, want string }{
		{"CUSTODY_LISTEN=nowhere", "", `the environment variable CUSTODY_LISTEN: listen: "nowhere" is not HOST:PORT`},
		{"CUSTODY_LISTEN=127.0.0.1:2", "nowhere", `--listen: listen: "nowhere" is not HOST:PORT`},
		{"CUSTODY_LIMITS_BODY=3x", "", `the environment variable CUSTODY_LIMITS_BODY: limits.body: "3x" is no size`},
		{"CUSTODY_LIMITS_BODY=0", "", "the environment variable CUSTODY_LIMITS_BODY: limits.body: 0 is not between"},
		{"CUSTODY_VERSION=one", "", `the environment variable CUSTODY_VERSION: version: "one" cannot be read; it has to be a number`},
		{"CUSTODY_ALERTS_RULES=[{name: a, window: x}]", "", `the environment variable CUSTODY_ALERTS_RULES: alerts.rules[0].window: "x" is no length of time`},
		{"CUSTODY_ALERTS_RULES=[{name: a, severity: huge}]", "", `the environment variable CUSTODY_ALERTS_RULES: alerts.rules[0].severity: "huge" is none`},
		{"CUSTODY_DATA=d", "", name + ":4: tls.key: "},
	} {
		flags := map[string]string{}
		if tt.flag != "" {
			flags["listen"] = tt.flag
		}
		_, _, err := Load(name, []string{tt.variable}, flags)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.variable, err, tt.want)
		}
	}
	c, settings, err := Load("", []string{"CUSTODY_DATA=d"}, map[string]string{"listen": "127.0.0.1:2"})
	if err != nil {
		t.Fatal(err)
	}
	from := map[string]string{}
	for _, s := range settings {
		from[s.Name] = s.From
	}
	if from["listen"] != "--listen" || from["data"] != "CUSTODY_DATA" || from["origin"] != "default" {
		t.Errorf("settings are from %v", from)
	}
	for path, want := range map[string]string{"data": "the environment variable CUSTODY_DATA: data: EOF", "tls.key": "tls.key: EOF"} {
		if got := c.Wrong(path, io.EOF).Error(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestDefault(t *testing.T) {
	c, settings, err := Load("", []string{"HOME=/x", "CUSTODY_TRAIL=elsewhere", "CUSTODY_TOKEN=cst_x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.places = nil; !reflect.DeepEqual(*c, Default()) {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, s := range settings {
		if s.From != "default" {
			t.Errorf("%+v", s)
		}
	}
	if len(settings) < 15 {
		t.Errorf("%d settings", len(settings))
	}
}

func TestLoad(t *testing.T) {
	c, settings, err := load(t, `
version: 1
listen: 127.0.0.1:9000
retention:
  policy: retention.yaml
  every: 12h
limits: {body: 32MiB}
`, "CUSTODY_LISTEN=localhost:9001", "CUSTODY_LIMITS_PAYLOAD=2MiB", "CUSTODY_UNPROTECTED_BEHIND_PROXY=true")
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "localhost:9001" || c.Retention.Policy != "retention.yaml" || time.Duration(c.Retention.Every) != 12*time.Hour ||
		c.Limits.Body != 32<<20 || c.Limits.Payload != 2<<20 || !c.Unprotected.BehindProxy || c.Data != "./custody-data" {
		t.Errorf("%+v", c)
	}
	from := map[string]string{}
	for _, s := range settings {
		from[s.Name] = s.Value + " " + filepath.Base(s.From)
	}
	for name, want := range map[string]string{
		"listen": "localhost:9001 CUSTODY_LISTEN", "retention.every": "12h0m0s custody.yaml", "limits.body": "32MiB custody.yaml",
		"limits.payload": "2MiB CUSTODY_LIMITS_PAYLOAD", "data": "./custody-data default",
	} {
		if from[name] != want {
			t.Errorf("%s is %q, want %q", name, from[name], want)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	for content, want := range map[string]string{
		"version: 2":                                 "version: it is 2",
		"version: 1\nlisten: here":                   `listen: "here" is not HOST:PORT`,
		"version: 1\nlisten: 1.2.3.4:x":              `"x" is no port`,
		"version: 1\nlisten: 0.0.0.0:8420":           "can be reached by others",
		"version: 1\nlisten: :8420":                  "can be reached by others",
		"version: 1\n\nlissten: x":                   "lissten: there is no such setting",
		"version: 1\nlimits:\n  body: lots":          "lots",
		"version: 1\nlimits: {body: 1B}":             "limits.body: 1B is not between",
		"version: 1\nlimits: {payload: 1GiB}":        "does not fit",
		"version: 1\nretention: {every: 1d}":         "1d",
		"version: 1\nretention: {every: 1ms}":        "shorter than a second",
		"version: 1\ntls: {certificate: c}":          "go together",
		"version: 1\n---\nversion: 1":                "more than one document",
		"version: 1\nversion: 1":                     "version",
		"[":                                          "custody.yaml",
		"version: one":                               "version: it has to be a number",
		"version: 1\nretention: {policy: p, by: ''}": "needs a name",
	} {
		if c, _, err := load(t, content); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want %q", content, c, err, want)
		}
	}
	for variable, want := range map[string]string{
		"CUSTODY_LISSTEN=x":                      "CUSTODY_LISSTEN is no setting",
		"CUSTODY_LIMITS_BODY=x":                  "CUSTODY_LIMITS_BODY",
		"CUSTODY_VERSION=x":                      "CUSTODY_VERSION",
		"CUSTODY_UNPROTECTED_BEHIND_PROXY=maybe": "maybe",
	} {
		if _, _, err := Load("", []string{variable}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", variable, err)
		}
	}
	if _, _, err := Load(filepath.Join(t.TempDir(), "none"), nil, nil); err == nil {
		t.Error("a file that is not there")
	}
	if _, _, err := load(t, "#"+strings.Repeat("x", maxFile)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a large file: %v", err)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]string{"16MiB": "16MiB", "1024": "1KiB", "1025B": "1025B", "1 GiB": "1GiB", "0": "0"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != want {
			t.Errorf("%s is %s, want %s (%v)", text, s, want, err)
		}
	}
	for _, text := range []string{"", "x", "-1", "1MB", "9999999999TiB", "1.5MiB"} {
		if s := new(Size); s.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is %s", text, *s)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("version: 1\nlisten: 127.0.0.1:1\n")
	f.Add("version: 1\nlimits: {body: 1MiB}\ntls: {certificate: a, key: b}\n")
	f.Fuzz(func(t *testing.T, content string) {
		name := filepath.Join(t.TempDir(), "custody.yaml")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := Load(name, nil, nil)
		if err == nil && c.validate() != nil {
			t.Errorf("%q is taken", content)
		}
		if err != nil && !strings.HasPrefix(err.Error(), name+":") {
			t.Errorf("of %q it says %v", content, err)
		}
	})
}

func TestLocal(t *testing.T) {
	for content, want := range map[string]bool{
		"":                                    true,
		"listen: \"[::1]:1\"":                 true,
		"external_url: http://localhost:8420": true,
		"external_url: https://custody.example.org":            false, // a proxy brings others here
		"unprotected: {behind_proxy: true}":                    false,
		"listen: 0.0.0.0:1\nunprotected: {behind_proxy: true}": false,
	} {
		c, _, err := load(t, "version: 1\n"+content)
		if err != nil || c.Local() != want {
			t.Errorf("%s: %v, want %v", content, err, want)
		}
	}
}
