//go:build agents

// Package agents runs agents from the npm registry, connected as docs/agents.md says,
// against models that are none, and looks at what is in the trail. Nothing leaves this
// machine: keys are made up, homes are scratch, and addresses are of the loopback.
package agents

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/event"
)

var (
	program  = flag.String("custody", "", "the `FILE` of the program")
	programs = flag.String("npm", "", "the `DIR` of the agents' programs (node_modules/.bin)")
)

// agent is one agent, and how it is run.
type agent struct {
	name    string
	connect []string // more flags of custody connect
	model   func(*model, http.ResponseWriter, *http.Request)
	prepare func(t *testing.T, home, model string)
	args    []string
	env     func(home, model string) []string
	allowed string // what its telemetry says of who allowed the call
}

var all = []agent{
	{
		name:  "claude-code",
		model: (*model).anthropic,
		args:  []string{"claude", "-p", "create a.txt", "--model", "claude-sonnet-4-5", "--allowedTools", "Bash"},
		env: func(_, model string) []string {
			return []string{"ANTHROPIC_BASE_URL=" + model, "ANTHROPIC_API_KEY=none", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1"}
		},
		allowed: "action_validated allow config_rule",
	},
	{
		name:    "claude-code",
		connect: []string{"--command", "--fail-closed"},
		model:   (*model).anthropic,
		args:    []string{"claude", "-p", "create a.txt", "--model", "claude-sonnet-4-5", "--allowedTools", "Bash"},
		env: func(_, model string) []string {
			return []string{"ANTHROPIC_BASE_URL=" + model, "ANTHROPIC_API_KEY=none", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1"}
		},
		allowed: "action_validated allow config_rule",
	},
	{
		name:  "codex",
		model: (*model).openAI,
		prepare: func(t *testing.T, home, model string) {
			write(t, filepath.Join(home, ".codex", "config.toml"), fmt.Sprintf(`model = "none"
model_provider = "none"

[model_providers.none]
name = "none"
base_url = "%s/v1"
wire_api = "responses"
requires_openai_auth = false

[analytics]
enabled = false
`, model))
		},
		args:    []string{"codex", "exec", "--dangerously-bypass-hook-trust", "--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check", "create a.txt"},
		env:     func(string, string) []string { return nil },
		allowed: "action_validated allow config_rule",
	},
	{
		name:  "gemini",
		model: (*model).google,
		prepare: func(t *testing.T, home, _ string) {
			write(t, filepath.Join(home, ".gemini", "settings.json"), `{"security":{"auth":{"selectedType":"gemini-api-key"}}}`)
		},
		args: []string{"gemini", "-m", "gemini-2.5-pro", "--approval-mode", "yolo", "--skip-trust", "-p", "create a.txt"},
		env: func(_, model string) []string {
			return []string{"GEMINI_API_KEY=none", "GOOGLE_GEMINI_BASE_URL=" + model, "GEMINI_CLI_TRUST_WORKSPACE=true"}
		},
		allowed: "action_validated allow",
	},
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(name), 0o700))
	check(t, os.WriteFile(name, []byte(text), 0o600))
}

// serve starts custody serve.
func serve(t *testing.T) (url string) {
	t.Helper()
	cmd := exec.Command(*program, "serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0", "--origin", "example.org")
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), "  "); name == "listening" {
			go func() {
				for lines.Scan() {
				}
			}()
			return strings.TrimSpace(value)
		}
	}
	t.Fatal("the server does not say where it listens")
	return ""
}

// telemetry is the flag by which an agent sends its logs as well.
const telemetry = "--telemetry"

// TestAgents has each agent make one call that runs, and one that an emergency stop
// denies, which comes while the model thinks. What telemetry tells of a call is of the
// same action.
func TestAgents(t *testing.T) {
	for _, a := range all {
		for _, stopped := range []bool{false, true} {
			t.Run(fmt.Sprint(a.name, a.connect, " stopped ", stopped), func(t *testing.T) { a.test(t, stopped) })
		}
		a.connect = append(a.connect, telemetry)
		t.Run(fmt.Sprint(a.name, a.connect), func(t *testing.T) { a.test(t, false) })
	}
}

func (a *agent) test(t *testing.T, stopped bool) {
	url := serve(t)
	trail, err := client.Open(t.Context(), url, nil)
	check(t, err)
	home, work := t.TempDir(), t.TempDir()
	var once sync.Once
	m := &model{command: "echo hi > a.txt", wants: func() {
		once.Do(func() {
			if !stopped {
				return
			}
			if _, err := trail.StopAgents(t.Context(), custody.Stop{Type: "global", Reason: "the test says so"}); err != nil {
				t.Error(err)
			}
		})
	}}
	thinks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.model(m, w, r) }))
	defer thinks.Close()
	env := append([]string{"HOME=" + home, "PATH=" + *programs + ":" + os.Getenv("PATH"), "NO_PROXY=127.0.0.1", "TERM=dumb"}, a.env(home, thinks.URL)...)
	if a.prepare != nil {
		a.prepare(t, home, thinks.URL)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = work, env
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil && !stopped {
			t.Errorf("%s: %v", name, err)
		}
		return out.String()
	}
	run(*program, append([]string{"connect", a.name, "--trail", url, "--yes"}, a.connect...)...)
	said := run(filepath.Join(*programs, a.args[0]), a.args[1:]...)

	_, err = os.Stat(filepath.Join(work, "a.txt"))
	if ran := err == nil; ran == stopped {
		t.Errorf("the call ran: %v", ran)
	}
	actions := map[string][]event.Event{}
	for entry, err := range trail.Entries(t.Context(), custody.Query{}) {
		check(t, err)
		e, err := entry.Event()
		check(t, err)
		if e.ActionID != "" {
			actions[e.ActionID] = append(actions[e.ActionID], e)
		}
	}
	want := []string{"action_executed success", "action_requested"}
	sources := []string{a.name + "/hook"}
	if stopped {
		want[0] = "action_denied deny policy denied"
	}
	if slices.Contains(a.connect, telemetry) {
		want, sources = append(want, a.allowed), append(sources, a.name+"/otel")
	}
	var got []string
	for _, events := range actions {
		for _, e := range events {
			if !slices.Contains(sources, e.Source) {
				t.Errorf("%s comes from %q", e.Type, e.Source)
			}
			if e.Type != event.ActionObserved { // more about the same
				got = append(got, strings.Join(strings.Fields(fmt.Sprint(e.Type, " ", e.Decision, " ", e.DecisionSource, " ", e.Outcome)), " "))
			}
		}
	}
	slices.Sort(got)
	if len(actions) != 1 || !slices.Equal(got, want) {
		t.Errorf("the trail has %d actions, %q; want %q", len(actions), got, want)
	}
	if a.name == "claude-code" { // which writes down what it does
		if out := run(*program, "reconcile", "claude", filepath.Join(home, ".claude", "projects"), "--trail", url); !strings.Contains(out, "\nOK ") {
			t.Errorf("its transcript and the trail do not tell the same:\n%s", out)
		}
	}
	if t.Failed() {
		t.Logf("the agent said:\n%s", said)
	}
}
