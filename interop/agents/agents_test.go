//go:build agents

// Package agents runs agents from the npm registry, connected as docs/agents.md says,
// against models that are none, and looks at what is in the trail. Nothing leaves this
// machine: keys are made up, homes are scratch, and addresses are of the loopback.
package agents

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	keep     = flag.String("keep", "", "write what each agent tells of the call that its rules deny into `DIR`")
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

	rules func(t *testing.T, home string) // have the agent itself deny the call
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
		rules: func(t *testing.T, home string) {
			write(t, filepath.Join(home, ".claude", "settings.json"), `{"permissions":{"deny":["Bash(touch:*)"]},"env":{"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL":"http/json"}}`)
		},
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
		rules: func(t *testing.T, home string) {
			write(t, filepath.Join(home, ".codex", "rules", "default.rules"), `prefix_rule(pattern=["touch"], decision="forbidden")`+"\n")
		},
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
		rules: func(t *testing.T, home string) {
			write(t, filepath.Join(home, ".gemini", "policies", "rules.toml"), `[[rule]]
toolName = "run_shell_command"
commandPrefix = "touch"
decision = "deny"
priority = 900
`)
		},
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

// listen stands before a server, and writes down what an agent tells it if -keep says
// where, without the paths of this machine.
func listen(t *testing.T, name, server string, neutral *strings.Replacer) string {
	t.Helper()
	target, err := url.Parse(server)
	check(t, err)
	through := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	var mu sync.Mutex
	before := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var line bytes.Buffer
		if *keep != "" && json.Compact(&line, body) == nil {
			mu.Lock()
			defer mu.Unlock()
			file := filepath.Join(*keep, name, strings.ReplaceAll(strings.Trim(r.URL.Path, "/"), "/", "_")+".ndjson")
			if err := appendLine(file, neutral.Replace(line.String())); err != nil {
				t.Error(err)
			}
		}
		through.ServeHTTP(w, r)
	}))
	t.Cleanup(before.Close)
	return before.URL
}

func appendLine(file, line string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	return errors.Join(err, f.Close())
}

// notLetters is what Claude Code does not leave in the name of a directory of its own.
var notLetters = regexp.MustCompile("[^A-Za-z0-9]")

// telemetry is the flag by which an agent sends its logs as well.
const telemetry = "--telemetry"

// What becomes of the call that an agent makes.
const (
	runs    = "runs"
	stopped = "stopped" // an emergency stop, which comes while the model thinks, denies it
	refused = "refused" // the agent's own rules do
)

// TestAgents has each agent make one call that runs, one that an emergency stop denies,
// and one that its own rules deny. What telemetry tells of a call is of the same action.
func TestAgents(t *testing.T) {
	for _, a := range all {
		for _, fate := range []string{runs, stopped} {
			t.Run(fmt.Sprint(a.name, a.connect, " ", fate), func(t *testing.T) { a.test(t, fate) })
		}
		a.connect = append(a.connect, telemetry)
		t.Run(fmt.Sprint(a.name, a.connect), func(t *testing.T) { a.test(t, runs) })
		if a.rules != nil {
			t.Run(fmt.Sprint(a.name, a.connect, " ", refused), func(t *testing.T) { a.test(t, refused) })
		}
	}
}

func (a *agent) test(t *testing.T, fate string) {
	url := serve(t)
	trail, err := client.Open(t.Context(), url, nil)
	check(t, err)
	home, work := t.TempDir(), t.TempDir()
	var once sync.Once
	m := &model{command: "touch a.txt", wants: func() {
		once.Do(func() {
			if fate != stopped {
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
	tell := url
	if fate == refused {
		a.rules(t, home)
		tell = listen(t, a.name, url, strings.NewReplacer(work, "/home/user/work", notLetters.ReplaceAllString(work, "-"), "-home-user-work", home, "/home/user", filepath.Dir(*programs), "/home/user/agents"))
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = work, env
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil && fate == runs {
			t.Errorf("%s: %v", name, err)
		}
		return out.String()
	}
	run(*program, append([]string{"connect", a.name, "--trail", tell, "--yes"}, a.connect...)...)
	said := run(filepath.Join(*programs, a.args[0]), a.args[1:]...)

	_, err = os.Stat(filepath.Join(work, "a.txt"))
	if ran := err == nil; ran != (fate == runs) {
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
	if slices.Contains(a.connect, telemetry) {
		sources = append(sources, a.name+"/otel")
		if fate == runs {
			want = append(want, a.allowed)
		}
	}
	switch fate {
	case stopped:
		want[0] = "action_denied deny policy denied"
	case refused: // only telemetry tells
		want[0] = "action_denied deny config_rule denied"
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
