package connect_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/custodylog/custody/internal/connect"
)

var update = flag.Bool("update", false, "write the golden files anew")

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settings are what agents may have before they are connected; nil: no file.
var settings = map[string]map[string]*string{
	"claude-code": {
		"none":  nil,
		"empty": new(""),
		"existing": new(`{
    "model": "opus",
    "hooks": {
        "PreToolUse": [
            {"matcher": "Bash", "hooks": [{"type": "command", "command": "check.sh"}]}
        ],
        "Stop": []
    },
    "env": {"OTEL_LOGS_EXPORTER": "console"},
    "permissions": { "allow": ["Bash(ls)", "Bash(a \u0026\u0026 b)"] }
}
`),
		"one line": new(`{"hooks":{"Stop":[{"hooks":[{"type":"command","command":"bell"}]}]}}`),
		"windows":  new("\ufeff{\r\n\t\"model\": \"opus\"\r\n}\r\n"),
	},
	"codex": {
		"none": nil,
		"existing": new(`# my settings
model = "m" # the best

[otel]
environment = "dev"

[[hooks.Stop]]
[[hooks.Stop.hooks]]
type = "command"
command = "bell"`),
		"no otel": new("model = \"m\"\r\n"),
	},
	"cursor": {
		"none":     nil,
		"existing": new("{\n  \"version\": 1,\n  \"hooks\": {\n    \"stop\": [\n      { \"command\": \"bell\" }\n    ]\n  }\n}"),
	},
	"gemini": {
		"none":     nil,
		"existing": new("{\n  \"telemetry\": {\"enabled\": false},\n  \"ui\": {\n    \"theme\": \"x\"\n  }\n}\n"),
	},
	"copilot": {"none": nil},
}

func options(t *testing.T, agent string) *connect.Options {
	o := &connect.Options{Agent: agent, Home: t.TempDir(), Getenv: func(string) string { return "" },
		Hook: []string{"/opt/custody tools/custody", "hook", agent, "--trail", "http://127.0.0.1:8420"}, Telemetry: "http://127.0.0.1:8420/v1/logs"}
	if agent == "copilot" {
		o.Project = o.Home
	}
	if connect.Posts(agent) {
		o.URL = "http://127.0.0.1:8420/v1/hooks/claude-code"
	}
	return o
}

func content(t *testing.T, name string) *string {
	t.Helper()
	b, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	return new(string(b))
}

func same(a, b *string) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

// TestConnect connects an agent, does it again, connects it in another way and back, and
// undoes it.
func TestConnect(t *testing.T) {
	for agent, all := range settings {
		for name, before := range all {
			t.Run(agent+", "+name, func(t *testing.T) {
				o := options(t, agent)
				c, err := connect.Connect(o)
				must(t, err)
				if before != nil {
					must(t, os.MkdirAll(filepath.Dir(c.File), 0o700))
					must(t, os.WriteFile(c.File, []byte(*before), 0o644))
					c, err = connect.Connect(o)
					must(t, err)
				}
				must(t, c.Apply())
				after := content(t, c.File)
				golden := filepath.Join("testdata", agent+"-"+strings.ReplaceAll(name, " ", "-")+filepath.Ext(c.File))
				if *update {
					must(t, os.WriteFile(golden, []byte(*after), 0o644))
				}
				if want := content(t, golden); !same(after, want) {
					t.Errorf("the file is\n%s\nwant %s", *after, golden)
				}
				checkKept(t, before, *after, filepath.Ext(c.File))
				if info, err := os.Stat(c.File); before != nil && (err != nil || info.Mode().Perm() != 0o644) {
					t.Errorf("its mode is %v, %v", info.Mode(), err)
				}

				again, err := connect.Connect(o)
				must(t, err)
				if !again.Nothing() {
					t.Errorf("the second time changes\n%s", strings.Join(connect.Diff(again.Before, again.After), "\n"))
				}

				other := *o
				other.URL, other.Telemetry, other.Hook = "", "", append(o.Hook[:len(o.Hook):len(o.Hook)], "--fail-closed")
				for _, o := range []*connect.Options{&other, o} {
					c, err = connect.Connect(o)
					must(t, err)
					if c.Nothing() {
						t.Error("connecting it in another way changes nothing")
					}
					must(t, c.Apply())
				}
				if got := content(t, c.File); !same(got, after) {
					t.Errorf("and back the file is\n%s", *got)
				}

				for range 2 {
					c, err = connect.Undo(o)
					must(t, err)
					must(t, c.Apply())
					if got := content(t, c.File); !same(got, before) {
						t.Errorf("undone, the file is\n%q\nit was\n%q", show(got), show(before))
					}
				}
				if left, _ := filepath.Glob(filepath.Join(filepath.Dir(c.File), "*")); before == nil && len(left) > 0 || len(left) > 1 {
					t.Errorf("left are %q", left)
				}
			})
		}
	}
}

func show(s *string) string {
	if s == nil {
		return "no file"
	}
	return *s
}

// checkKept checks that a file says what it said, and keeps its lines.
func checkKept(t *testing.T, before *string, after, ext string) {
	t.Helper()
	var v any
	read := json.Unmarshal
	if ext == ".toml" {
		read = func(b []byte, v any) error { return toml.Unmarshal(b, v) }
	}
	if err := read([]byte(strings.TrimPrefix(after, "\ufeff")), &v); err != nil {
		t.Errorf("it does not parse: %v", err)
	}
	if before == nil || strings.Count(*before, "\n") < 2 {
		return
	}
	removed := 0
	for _, line := range connect.Diff([]byte(*before), []byte(after)) {
		if strings.HasPrefix(line, "-") {
			removed++
		}
	}
	if removed > 5 { // lines that get a comma, and lists that were empty
		t.Errorf("%d lines of it were changed", removed)
	}
}

// What others changed after it was connected stays when it is undone.
func TestUndoKeepsLaterChanges(t *testing.T) {
	for agent, edit := range map[string]func(string) string{
		"claude-code": func(s string) string { return strings.Replace(s, "{", `{"newer": 1,`, 1) },
		"codex":       func(s string) string { return "new = 1\n" + s + "\n[more]\nx = 1\n" },
	} {
		o := options(t, agent)
		for _, before := range []*string{nil, settings[agent]["existing"]} {
			c, err := connect.Connect(o)
			must(t, err)
			if before != nil {
				must(t, os.WriteFile(c.File, []byte(*before), 0o600))
				c, err = connect.Connect(o)
				must(t, err)
			}
			must(t, c.Apply())
			must(t, os.WriteFile(c.File, []byte(edit(string(c.After))), 0o600))
			c, err = connect.Undo(o)
			must(t, err)
			must(t, c.Apply())
			got := show(content(t, c.File))
			if !strings.Contains(got, "new") || strings.Contains(got, "custody") || strings.Contains(got, "8420") || before != nil && !strings.Contains(got, "bell") && !strings.Contains(got, "check.sh") {
				t.Errorf("%s: left is\n%s", agent, got)
			}
			must(t, os.Remove(c.File))
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ agent, text, want string }{
		{"claude-code", "{\n  // a comment\n}", "line 2: it is not JSON"},
		{"claude-code", `[]`, "no object"},
		{"claude-code", `{"a":1,"a":2}`, "twice"},
		{"claude-code", `{"hooks":[]}`, "hooks is no object"},
		{"claude-code", `{"hooks":{"PreToolUse":{}}}`, "hooks.PreToolUse is no array"},
		{"claude-code", `{"a":[1,]}`, "commas at the end of lists are left to you"},
		{"codex", "[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ncommand = \"custody hook codex --trail t\"\n", "not between our marks"},
		{"codex", "a = \n", "line 1"},
		{"codex", `hooks = "x"`, "hooks cannot be added"},
		{"copilot", "{", "not JSON"},
		{"nobody", "", "there is no agent"},
	} {
		o := options(t, c.agent)
		plan, err := connect.Connect(o)
		if c.agent != "nobody" {
			must(t, err)
			must(t, os.MkdirAll(filepath.Dir(plan.File), 0o700))
			must(t, os.WriteFile(plan.File, []byte(c.text), 0o600))
			_, err = connect.Connect(o)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %q: %v, want one with %q", c.agent, c.text, err, c.want)
		}
	}
	o := options(t, "copilot")
	o.Project = ""
	if _, err := connect.Connect(o); err == nil {
		t.Error("Copilot has settings of a user")
	}
}

// Somebody who changes the file between the question and the answer loses nothing.
func TestChangedMeanwhile(t *testing.T) {
	o := options(t, "claude-code")
	c, err := connect.Connect(o)
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(c.File), 0o700))
	must(t, os.WriteFile(c.File, []byte("{}"), 0o600))
	if err := c.Apply(); err == nil || show(content(t, c.File)) != "{}" {
		t.Errorf("%v, and the file is %s", err, show(content(t, c.File)))
	}
}

func TestDiff(t *testing.T) {
	got := strings.Join(connect.Diff([]byte("a\nb\nc\nd\ne\nf\ng\nh\n"), []byte("a\nb\nc\nd\ne\nX\nf\nh\n")), "\n")
	if want := "…\n c\n d\n e\n+X\n f\n-g\n h"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// FuzzConnect connects and undoes whatever parses.
func FuzzConnect(f *testing.F) {
	for agent, all := range settings {
		for _, text := range all {
			if text != nil {
				f.Add(agent == "codex", []byte(*text))
			}
		}
	}
	f.Add(false, []byte(`{"hooks":{"Stop":[1,{"hooks":[]},{"hooks":{}}],"x":null},"env":{}}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, isTOML bool, text []byte) {
		o := &connect.Options{Agent: "claude-code", Home: dir, Getenv: func(string) string { return "" }, Hook: []string{"custody", "hook", "claude-code", "--trail", "t"}, Telemetry: "http://127.0.0.1:8420/v1/logs"}
		if isTOML {
			o.Agent = "codex"
			o.Hook[2] = "codex"
		}
		if bytes.Contains(text, []byte("hook")) && bytes.Contains(text, []byte("trail")) || bytes.Contains(text, []byte("/v1/hooks/")) || bytes.Contains(text, []byte("custody")) || bytes.Contains(text, []byte(`\u`)) {
			return // it may have what is ours
		}
		name := filepath.Join(dir, ".claude", "settings.json")
		if isTOML {
			name = filepath.Join(dir, ".codex", "config.toml")
		}
		must(t, os.MkdirAll(filepath.Dir(name), 0o700))
		must(t, os.WriteFile(name, text, 0o600))
		c, err := connect.Connect(o)
		if err != nil {
			return
		}
		must(t, c.Apply())
		again, err := connect.Connect(o)
		must(t, err)
		if !again.Nothing() {
			t.Errorf("%q: the second time changes %q to %q", text, again.Before, again.After)
		}
		c, err = connect.Undo(o)
		must(t, err)
		must(t, c.Apply())
		if got := show(content(t, name)); got != string(text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
