package config

import (
	"os"
	"path/filepath"
	"reflect"
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
	return Load(name, environ)
}

func TestDefault(t *testing.T) {
	c, settings, err := Load("", []string{"HOME=/x", "CUSTODY_TRAIL=elsewhere", "CUSTODY_TOKEN=cst_x"})
	if err != nil || !reflect.DeepEqual(*c, Default()) {
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
		"version: 1\n\nlissten: x":                   "[3:1]",
		"version: 1\nlimits:\n  body: lots":          "lots",
		"version: 1\nlimits: {body: 1B}":             "limits.body: 1B is not between",
		"version: 1\nlimits: {payload: 1GiB}":        "does not fit",
		"version: 1\nretention: {every: 1d}":         "1d",
		"version: 1\nretention: {every: 1ms}":        "shorter than a second",
		"version: 1\ntls: {certificate: c}":          "go together",
		"version: 1\n---\nversion: 1":                "more than one document",
		"version: 1\nversion: 1":                     "version",
		"[":                                          "custody.yaml",
		"version: one":                               "one",
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
		if _, _, err := Load("", []string{variable}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", variable, err)
		}
	}
	if _, _, err := Load(filepath.Join(t.TempDir(), "none"), nil); err == nil {
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
		if c, _, err := load(t, content); err == nil && c.validate() != nil {
			t.Errorf("%q is taken", content)
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
