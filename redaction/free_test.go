package redaction

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
)

// github is the form of a token of GitHub; its checksum is right.
var github = "ghp_" + "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"

func TestFreeText(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"environment", "DB_PASSWORD=hunter22 go run .", "DB_PASSWORD=[REDACTED] go run ."},
		{"export", "export API_KEY='s3cret-value'; make", "export API_KEY='[REDACTED]'; make"},
		{"query", "GET /v1?user=u&access_token=abc123def&n=1", "GET /v1?user=u&access_token=[REDACTED]&n=1"},
		{"user and password of a URL", "psql postgres://app:s3cr3tpw@db.example.org/app", "psql postgres://app:[REDACTED]@db.example.org/app"},
		{"header", "GET / HTTP/1.1\nAuthorization: Basic dTpwYXNz\nAccept: */*\n", "GET / HTTP/1.1\nAuthorization: [REDACTED]\nAccept: */*\n"},
		{"cookie", "Cookie: a=b; session=c\nHost: h", "Cookie: [REDACTED]\nHost: h"},
		{"header of a command", `curl -H 'Authorization: Bearer s3cret' -H "Cookie: a=b; c=d" x`, `curl -H 'Authorization: [REDACTED]' -H "Cookie: [REDACTED]" x`},
		{"flag", "tool --password s3cretpw --verbose", "tool --password [REDACTED] --verbose"},
		{"flag with a sign", "tool --client-secret=s3cretpw -v", "tool --client-secret=[REDACTED] -v"},
		{"curl", "curl -s -u me:s3cretpw https://example.org/", "curl -s -u me:[REDACTED] https://example.org/"},
		{"YAML", "db:\n  user: app\n  password: s3cr3t-pw\n", "db:\n  user: app\n  password: [REDACTED]\n"},
		{"INI", "[db]\npassword = s3cr3t\nport = 1\n", "[db]\npassword = [REDACTED]\nport = 1\n"},
		{"Python", "{'user': 'u', 'password': 'pw with blank'}", "{'user': 'u', 'password': '[REDACTED]'}"},
		{"Go", `const apiKey = "s3cret-value"`, `const apiKey = "[REDACTED]"`},
		{"PHP", "define('DB_PASSWORD', 'admin');", "define('DB_PASSWORD', '[REDACTED]');"},
		{"XML", "<db><password>s3cret</password></db>", "<db><password>[REDACTED]</password></db>"},
		{"XML attribute", `<add key="MailPassword" value="s3cret"/>`, `<add key="MailPassword" value="[REDACTED]"/>`},
		{"netrc", "machine h login me password s3cret1", "machine h login me password [REDACTED]"},
		{"JSON behind something", `response: {"password": "s3cretpw"}`, `response: {"password": "[REDACTED]"}`},
		{"a log line that begins like JSON", "[INFO] password=s3cretpw ok", "[INFO] password=[REDACTED] ok"},
		{"form", "push with " + github + " now", "push with [REDACTED] now"},
		{"base64", "data " + base64.StdEncoding.EncodeToString([]byte("url=x\npassword=s3cretpw\n")) + " end", "data [REDACTED] end"},
		{"form in base64", base64.RawURLEncoding.EncodeToString([]byte("push with " + github)), "[REDACTED]"},

		{"variable", "export TOKEN=$GITHUB_TOKEN PASSWORD=${PW} KEY=%API_KEY%", ""},
		{"template", "password: ${{ secrets.DB_PASSWORD }}", ""},
		{"numbers", "max_tokens=4096 token: 17 password: 1234", ""},
		{"words", "token=null, password: None, secret=false", ""},
		{"call", "token = tokenizer.next()\npassword = os.environ['PASSWORD']\nsecret := load(path)", ""},
		{"keyword argument", "connect(user=user, password=password, token=tok)", ""},
		{"prose", "The password: it must have eight characters. Use a token: any will do.", ""},
		{"type", "func login(password: string, token string) error", ""},
		{"comparison", "if password == other || token != nil {", ""},
		{"authors", "author=jane-doe1 secretary=j.roe2", ""},
		{"masked", "password=[REDACTED] token=****", ""},
		{"digest", "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", ""},
		{"commit", "commit 9421f5037cd26e5e3fc4f8d1b6abf2a5b4b0c6e1", ""},
		{"UUID", "request 019ab0c2-7b1e-7c3a-9d2f-4f6e8a1b2c3d", ""},
		{"base64 of no text", base64.StdEncoding.EncodeToString([]byte("\x00\x01\xff\xfepassword=s3cretpw...............")), ""},
		{"base64 of plain text", base64.StdEncoding.EncodeToString([]byte("nothing that anybody would want to hide")), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == "" {
				tt.want = tt.text
			}
			e := event.Event{Type: "x", Details: object{"output": tt.text}}
			got := Default().Redact(e)
			if got.Details["output"] != tt.want {
				t.Errorf("got  %q\nwant %q", got.Details["output"], tt.want)
			}
			if n := len(got.Redactions); n != strings.Count(tt.want, Mask)-strings.Count(tt.text, Mask) {
				t.Errorf("%d redactions are listed: %v", n, got.Redactions)
			}
			twice(t, got)
		})
	}
}

func TestNamesOfMembers(t *testing.T) {
	e := event.Event{Type: "x", Details: object{"seen": object{github: 1, "other": 2, "short": 3}}}
	got := Default().Redact(e)
	if d := details(t, got); d != `{"seen":{"[REDACTED]":1,"other":2,"short":3}}` {
		t.Errorf("%s", d)
	}
	if l := list(got.Redactions); l != "/seen/[REDACTED] value:github-token" {
		t.Errorf("%s", l)
	}
	e.Details = object{"seen": object{"a " + github: "x", "b " + github: "y", "b [REDACTED]": "z"}}
	if d := details(t, Default().Redact(e)); strings.Contains(d, "ghp_") || strings.Count(d, `"x"`)+strings.Count(d, `"y"`)+strings.Count(d, `"z"`) != 3 {
		t.Errorf("%s", d)
	}
	if e.Details["seen"].(object)["a "+github] != "x" {
		t.Error("the caller's map was changed")
	}
}

func TestPairs(t *testing.T) {
	e := event.Event{Type: "x", Details: object{"env": []any{
		object{"name": "DB_PASSWORD", "value": "s3cret"}, object{"name": "HOME", "value": "/root"}, object{"Key": "ApiKey", "Value": "s3cret"},
	}}}
	got := Default().Redact(e)
	if d := details(t, got); d != `{"env":[{"name":"DB_PASSWORD","value":"[REDACTED]"},{"name":"HOME","value":"/root"},{"Key":"ApiKey","Value":"[REDACTED]"}]}` {
		t.Errorf("%s", d)
	}
}

func TestOtherMembers(t *testing.T) {
	e := event.Event{ID: "run " + github, Type: "x", AgentID: github, UserID: "somebody-with-a-long-name", Source: "bot " + github}
	got := Default().Redact(e)
	if got.ID != "" || got.AgentID != Mask || got.Source != "bot "+Mask || got.UserID != e.UserID {
		t.Errorf("%+v", got)
	}
	want := "[{/agent_id value:github-token mask} {/id value:github-token drop} {/source value:github-token mask}]"
	if s := fmt.Sprint(got.Redactions); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

func TestTooMuchText(t *testing.T) {
	text := strings.Repeat("plain text ", 100_000)
	e := event.Event{Type: "x", Details: object{"a": []any{text, text, text, text, text, text, text, text, text}}}
	got := Default().Redact(e)
	if l := list(got.Redactions); l != "/a/7 size\n/a/8 size" {
		t.Errorf("%s", l)
	}
}

// BenchmarkText has 1 kB and 64 kB of the output of a program, and 64 kB in which
// every word might be the beginning of something.
func BenchmarkText(b *testing.B) {
	line := "2026-11-25T06:59:18Z INFO  built package internal/filestore in 1.31s (cached: false), 14 files, user=ci\n"
	for name, text := range map[string]string{
		"1kB":     strings.Repeat(line, 10),
		"64kB":    strings.Repeat(line, 640),
		"hostile": strings.Repeat("password=$x --token -- key: ", 2400),
	} {
		b.Run(name, func(b *testing.B) {
			e := event.Event{Type: "x", Details: object{"output": text}}
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				Default().Redact(e)
			}
		})
	}
}
