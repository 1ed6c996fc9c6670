package connect

import (
	"errors"
	"path/filepath"
	"strings"
)

// agent is how one agent is connected.
type agent struct {
	// file returns the name of its settings.
	file func(*Options) (string, error)
	// events returns those that its hooks are put in for.
	events func(*Options) []string
	// strip takes out what is ours, and reports whether there was any. before has the
	// settings as they were without it, as far as known; nil: there were none. What
	// posts to url is ours, whoever put it in.
	strip func(text, before []byte, url string) (rest []byte, found bool, err error)
	// add puts in what is ours. notes say what it left as it is, and what to do.
	add func(text []byte, o *Options) (after []byte, notes []string, err error)
}

var agents = map[string]agent{
	"claude-code": jsonAgent{
		file:    fromHome("CLAUDE_CONFIG_DIR", ".claude", "settings.json"),
		events:  claudeEvents,
		hook:    claudeHook,
		objects: func(o *Options) []object { return []object{{"env", claudeTelemetry(o)}} },
		notes: func(o *Options) (notes []string) {
			if o.URL != "" && o.Token {
				notes = append(notes, "Claude Code needs the token in its environment, as CUSTODY_TOKEN")
			}
			if o.Telemetry != "" && o.Token {
				notes = append(notes, "telemetry needs the token as well: put it into OTEL_EXPORTER_OTLP_HEADERS, as Authorization=Bearer TOKEN")
			}
			return append(notes, "Claude Code reads its settings when a session begins")
		},
	}.agent(),
	"codex": {file: fromHome("CODEX_HOME", ".codex", "config.toml"), events: just(codexEvents), strip: stripTOML, add: addTOML},
	"cursor": jsonAgent{
		file:    fromHome("", ".cursor", "hooks.json"),
		events:  just(cursorEvents),
		hook:    cursorHook,
		version: true,
	}.agent(),
	"gemini": jsonAgent{
		file:    fromHome("", ".gemini", "settings.json"),
		events:  just(geminiEvents),
		hook:    geminiHook,
		objects: func(o *Options) []object { return []object{{"telemetry", geminiTelemetry(o)}} },
	}.agent(),
	"copilot": jsonAgent{
		file:    copilotFile,
		events:  just(copilotEvents),
		hook:    copilotHook,
		version: true,
		notes: func(*Options) []string {
			return []string{"it counts once the file is in the repository's default branch"}
		},
	}.agent(),
}

func just(events []string) func(*Options) []string {
	return func(*Options) []string { return events }
}

// fromHome returns where settings are: in a directory of the project, or of the home
// directory, in the place of which an environment variable may name another one.
func fromHome(variable, dir, name string) func(*Options) (string, error) {
	return func(o *Options) (string, error) {
		if o.Project != "" {
			return filepath.Join(o.Project, dir, name), nil
		}
		if variable != "" && o.Getenv(variable) != "" {
			return filepath.Join(o.Getenv(variable), name), nil
		}
		return filepath.Join(o.Home, dir, name), nil
	}
}

func copilotFile(o *Options) (string, error) {
	if o.Project == "" {
		return "", errors.New("hooks of Copilot are in projects only: give --scope project")
	}
	return filepath.Join(o.Project, ".github", "hooks", "custody.json"), nil
}

// hookName is the name of our hooks, where hooks have names.
const hookName = "custody"

// markHeader is a header that hooks of ours post with, by which they are known again.
const markHeader = "Custody-Hook"

// Seconds that agents wait for a hook. Ours ends earlier.
const patience = 10

type commandHook struct {
	Name    string `json:"name,omitempty"`
	Type    string `json:"type"`
	Command string `json:"command"`
	Timeout int    `json:"timeout"`
}

type httpHook struct {
	Type    string            `json:"type"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Allowed []string          `json:"allowedEnvVars,omitempty"`
	Timeout int               `json:"timeout"`
}

// group is an entry of the settings of Claude Code and of Gemini CLI.
type group struct {
	Matcher string `json:"matcher,omitempty"`
	Hooks   []any  `json:"hooks"`
}

// claudeEvents are those that say what was done, wanted or allowed. Events at the start
// of a session take commands only.
func claudeEvents(o *Options) []string {
	events := []string{"UserPromptSubmit", "PreToolUse", "PermissionRequest", "PermissionDenied", "PostToolUse", "PostToolUseFailure",
		"SubagentStart", "SubagentStop", "Elicitation", "ElicitationResult", "ConfigChange", "Stop", "SessionEnd"}
	if o.URL == "" {
		events = append([]string{"SessionStart"}, events...)
	}
	return events
}

func claudeHook(o *Options, _ string) any {
	if o.URL == "" {
		return group{Hooks: []any{commandHook{Type: "command", Command: o.Line(""), Timeout: patience}}}
	}
	h := httpHook{Type: "http", URL: o.URL, Headers: map[string]string{markHeader: "connect"}, Timeout: patience}
	if o.Token {
		h.Headers["Authorization"], h.Allowed = "Bearer $CUSTODY_TOKEN", []string{"CUSTODY_TOKEN"}
	}
	return group{Hooks: []any{h}}
}

func claudeTelemetry(o *Options) []setting {
	return []setting{
		{"CLAUDE_CODE_ENABLE_TELEMETRY", "1"},
		{"OTEL_LOGS_EXPORTER", "otlp"},
		{"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"},
		{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", o.Telemetry},
		{"OTEL_LOG_TOOL_DETAILS", "1"},
	}
}

var cursorEvents = []string{"beforeShellExecution", "afterShellExecution", "beforeMCPExecution", "afterMCPExecution",
	"beforeReadFile", "afterFileEdit", "beforeSubmitPrompt", "stop"}

func cursorHook(o *Options, _ string) any {
	return struct {
		Command    string `json:"command"`
		FailClosed bool   `json:"failClosed,omitempty"`
	}{o.Line(""), o.FailClosed}
}

var geminiEvents = []string{"SessionStart", "SessionEnd", "BeforeAgent", "AfterAgent", "BeforeTool", "AfterTool", "Notification"}

func geminiHook(o *Options, event string) any {
	g := group{Hooks: []any{commandHook{Name: hookName, Type: "command", Command: o.Line(""), Timeout: patience * 1000}}}
	if strings.HasSuffix(event, "Tool") {
		g.Matcher = ".*"
	}
	return g
}

func geminiTelemetry(o *Options) []setting {
	return []setting{
		{"enabled", true},
		{"target", "local"},
		{"otlpEndpoint", strings.TrimSuffix(o.Telemetry, "/v1/logs")},
		{"otlpProtocol", "http"},
	}
}

var copilotEvents = []string{"sessionStart", "userPromptSubmitted", "preToolUse", "permissionRequest", "postToolUse", "agentStop", "errorOccurred"}

func copilotHook(o *Options, event string) any {
	return struct {
		Type       string `json:"type"`
		Bash       string `json:"bash"`
		PowerShell string `json:"powershell"`
		Timeout    int    `json:"timeoutSec"`
	}{"command", o.Line(event), o.powerShell(event), patience}
}
