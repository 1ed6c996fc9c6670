package connect_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/connect"
)

// connected connects an agent with such settings, and returns the file and what it says.
func connected(t *testing.T, o *connect.Options, before string) (name, after string) {
	t.Helper()
	c, err := connect.Connect(o)
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(c.File), 0o700))
	must(t, os.WriteFile(c.File, []byte(before), 0o600))
	c, err = connect.Connect(o)
	must(t, err)
	must(t, c.Apply())
	return c.File, string(c.After)
}

// Codex writes its tables before the last comment of its settings, which is our mark.
func TestOthersWriteBetweenOurMarks(t *testing.T) {
	const before = "model = \"m\"\n"
	const mark = "# <<< custody"
	for name, theirs := range map[string]string{
		"a table":             "\n[mcp_servers.foo]\ncommand = \"echo\"\nargs = [\n  \"hi\",\n]\n",
		"a comment before it": "\n# mine\n[projects.\"/w\"]\ntrust_level = \"trusted\"\n",
		"a key of otel":       "environment = \"dev\"\n",
		"a hook":              "[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = \"command\"\ncommand = \"bell\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, "codex")
			file, after := connected(t, o, before)
			must(t, os.WriteFile(file, []byte(strings.Replace(after, mark, theirs+mark, 1)), 0o600))

			other := *o
			other.Hook = append(o.Hook[:len(o.Hook):len(o.Hook)], "--fail-closed")
			c, err := connect.Connect(&other)
			must(t, err)
			if !strings.Contains(string(c.After), theirs) {
				t.Errorf("connected in another way, it is\n%s", c.After)
			}
			c, err = connect.Undo(o)
			must(t, err)
			must(t, c.Apply())
			left := show(content(t, file))
			if !strings.HasPrefix(left, before) || !strings.Contains(left, theirs) || strings.Contains(left, "custody") {
				t.Errorf("undone, it is\n%s", left)
			}
		})
	}
}

// A hook of others between ours, that cannot be taken apart from it, is left to people.
func TestOthersWriteIntoOurTables(t *testing.T) {
	o := options(t, "codex")
	file, after := connected(t, o, "")
	must(t, os.WriteFile(file, []byte(strings.Replace(after, "[[hooks.SubagentStart]]", "[[hooks.PostToolUse.hooks]]\ntype = \"command\"\ncommand = \"bell\"\n[[hooks.SubagentStart]]", 1)), 0o600))
	if c, err := connect.Undo(o); err == nil || !strings.Contains(err.Error(), "by hand") {
		t.Errorf("%v\n%s", err, c.After)
	}
}

// Others take hooks at addresses that look like ours.
func TestOthersPost(t *testing.T) {
	const before = `{"hooks":{"PreToolUse":[{"hooks":[{"type":"http","url":"https://guard.example.com/v1/hooks/claude-code"}]}]}}`
	o := options(t, "claude-code")
	file, after := connected(t, o, before)
	if !strings.Contains(after, "guard.example.com") {
		t.Errorf("connected, it is\n%s", after)
	}
	must(t, os.WriteFile(file, []byte(strings.Replace(after, "{", `{"newer": 1,`, 1)), 0o600))
	bare := *o
	bare.URL = "" // --undo does not know it
	c, err := connect.Undo(&bare)
	must(t, err)
	if left := string(c.After); !strings.Contains(left, "guard.example.com") || strings.Contains(left, "8420") {
		t.Errorf("undone, it is\n%s", left)
	}

	// What was put in by hand, at our address, is not put in a second time.
	byHand := strings.Replace(before, "https://guard.example.com", "http://127.0.0.1:8420", 1)
	_, after = connected(t, options(t, "claude-code"), byHand)
	if n := strings.Count(after, `"PreToolUse"`) + strings.Count(after, "/v1/hooks/claude-code"); n != 14 {
		t.Errorf("%d events and addresses in\n%s", n, after)
	}
}

// The settings of a project may come from anybody: they are not followed out of it.
func TestLinks(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside.json")
	must(t, os.WriteFile(outside, []byte("{}"), 0o600))
	for name, link := range map[string]func(project string) error{
		"the file": func(project string) error {
			must(t, os.Mkdir(filepath.Join(project, ".claude"), 0o700))
			return os.Symlink(outside, filepath.Join(project, ".claude", "settings.json"))
		},
		"its directory": func(project string) error {
			return os.Symlink(filepath.Dir(outside), filepath.Join(project, ".claude"))
		},
		"to nothing": func(project string) error {
			must(t, os.Mkdir(filepath.Join(project, ".claude"), 0o700))
			return os.Symlink(outside+".none", filepath.Join(project, ".claude", "settings.json"))
		},
	} {
		o := options(t, "claude-code")
		o.Project = t.TempDir()
		must(t, link(o.Project))
		if c, err := connect.Connect(o); err == nil || !strings.Contains(err.Error(), "link") {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		if in, err := connect.Find(o); err == nil {
			t.Errorf("%s: found %+v", name, in)
		}
	}
	// A user's own are.
	o := options(t, "claude-code")
	must(t, os.Mkdir(filepath.Join(o.Home, ".claude"), 0o700))
	link := filepath.Join(o.Home, ".claude", "settings.json")
	must(t, os.Symlink(outside, link))
	c, err := connect.Connect(o)
	must(t, err)
	must(t, c.Apply())
	if to, err := os.Readlink(link); err != nil || to != outside || !strings.Contains(show(content(t, outside)), "8420") {
		t.Errorf("the link leads to %q, %v", to, err)
	}
}

// Settings may say that hooks do not run, although they are there.
func TestOff(t *testing.T) {
	for _, c := range []struct{ agent, setting, want string }{
		{"claude-code", `"x": 1`, ""},
		{"claude-code", `"disableAllHooks": true`, "disableAllHooks"},
		{"claude-code", `"allowedHttpHookUrls": []`, "allowedHttpHookUrls"},
		{"claude-code", `"allowedHttpHookUrls": ["https://*", "http://127.0.0.1:8420/v1/*/codex"]`, "allowedHttpHookUrls"},
		{"claude-code", `"allowedHttpHookUrls": ["http://127.0.0.1:8420/v1/*/claude-code"]`, ""},
		{"claude-code", `"allowedHttpHookUrls": ["http://127.0.0.1:8420/v1/hooks/claude-code"]`, ""},
		{"gemini", `"hooksConfig": {"enabled": true}`, ""},
		{"gemini", `"hooksConfig": {"enabled": false}`, "hooksConfig.enabled"},
		{"gemini", `"hooksConfig": {"disabled": ["custody"]}`, "hooksConfig.disabled"},
	} {
		o := options(t, c.agent)
		connected(t, o, "{"+c.setting+"}")
		in, err := connect.Find(o)
		must(t, err)
		if c.want == "" && in.Off != "" || !strings.Contains(in.Off, c.want) {
			t.Errorf("%s, %s: %q", c.agent, c.setting, in.Off)
		}
	}
}
