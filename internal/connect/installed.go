package connect

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Installed is how an agent is connected by one file of settings.
type Installed struct {
	File      string
	Hooks     []Hook // one for each command line or address
	Missing   []string
	Off       string            // why hooks do not run, as the settings say; empty: they do
	Telemetry string            // address that logs are sent to; empty: none
	Headers   map[string]string // that logs are sent with
}

// Hook is what an agent runs, or posts to.
type Hook struct {
	Command string
	URL     string
	Headers map[string]string // the agent puts in what variables of its environment hold
	Allowed []string          // that may be put in
	Events  []string
}

// Find returns how an agent is connected by the settings that the options name; nil: it
// is not. Of the hooks that post those count that [Connect] has put in, and any that posts
// to URL.
func Find(o *Options) (*Installed, error) {
	s, err := read(o)
	if err != nil || s.text == nil {
		return nil, err
	}
	all, err := decode(s.file, s.text)
	if err != nil {
		return nil, err
	}
	in := &Installed{File: s.file, Telemetry: telemetryOf(o.Agent, all), Headers: headersOf(o, all)}
	hooks, _ := all["hooks"].(map[string]any)
	with := *o
	with.URL = "" // all events
	for _, event := range s.agent.events(&with) {
		if !in.find(event, hooks[event], o.URL) {
			in.Missing = append(in.Missing, event)
		}
	}
	if in.Hooks == nil {
		return nil, nil
	}
	in.Off = in.off(all)
	if with.URL = in.Hooks[0].URL; with.URL != "" { // then some events have no hooks
		in.Missing = slices.DeleteFunc(in.Missing, func(event string) bool { return !slices.Contains(s.agent.events(&with), event) })
	}
	return in, nil
}

// decode reads a file of settings.
func decode(file string, text []byte) (all map[string]any, err error) {
	if strings.HasSuffix(file, ".toml") {
		all, err = readTOML(text)
	} else if d, derr := parseDocument(text); derr == nil {
		all = d.decode(d.root).(map[string]any) // it was checked
	} else {
		err = derr
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
}

// find takes the hooks of ours from a list of hooks, or of groups of hooks.
func (in *Installed) find(event string, list any, address string) (found bool) {
	entries, _ := list.([]any)
	for _, entry := range entries {
		m, _ := entry.(map[string]any)
		if in.find(event, m["hooks"], address) {
			found = true
		}
		if !isOurs(m, address) {
			continue
		}
		found = true
		var h Hook
		for _, to := range []struct {
			name string
			v    *string
		}{{"url", &h.URL}, {"command", &h.Command}, {"bash", &h.Command}} {
			if text, ok := m[to.name].(string); ok {
				*to.v = text
			}
		}
		if headers, ok := m["headers"].(map[string]any); ok {
			h.Headers = map[string]string{}
			for name, v := range headers {
				h.Headers[name], _ = v.(string)
			}
		}
		allowed, _ := m["allowedEnvVars"].([]any)
		for _, name := range allowed {
			if name, ok := name.(string); ok {
				h.Allowed = append(h.Allowed, name)
			}
		}
		same := func(have Hook) bool { return have.URL == h.URL && have.Command == h.Command }
		if i := slices.IndexFunc(in.Hooks, same); i >= 0 {
			in.Hooks[i].Events = append(in.Hooks[i].Events, event)
		} else {
			h.Events = []string{event}
			in.Hooks = append(in.Hooks, h)
		}
	}
	return found
}

// off returns why hooks do not run although they are there.
func (in *Installed) off(all map[string]any) string {
	if all["disableAllHooks"] == true {
		return "disableAllHooks is set"
	}
	if at(all, "hooksConfig", "enabled") == false {
		return "hooksConfig.enabled is false"
	}
	if disabled, _ := at(all, "hooksConfig", "disabled").([]any); slices.Contains(disabled, any(hookName)) {
		return "hooksConfig.disabled names " + hookName
	}
	allowed, limited := all["allowedHttpHookUrls"].([]any)
	for _, h := range in.Hooks {
		if limited && h.URL != "" && !slices.ContainsFunc(allowed, func(pattern any) bool { return matches(pattern, h.URL) }) {
			return "allowedHttpHookUrls has nothing that allows " + h.URL
		}
	}
	return ""
}

// matches reports whether an address is one of those that a pattern allows, in which *
// stands for anything.
func matches(pattern any, address string) bool {
	text, _ := pattern.(string)
	parts := strings.Split(text, "*")
	rest, ok := strings.CutPrefix(address, parts[0])
	if len(parts) == 1 {
		return ok && rest == ""
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		var found bool
		_, rest, found = strings.Cut(rest, part)
		ok = ok && found
	}
	return ok && strings.HasSuffix(rest, last)
}

// telemetryOf returns where an agent sends its logs to.
func telemetryOf(agent string, all map[string]any) string {
	path := map[string][]string{
		"claude-code": {"env", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"},
		"codex":       {"otel", "exporter", "otlp-http", "endpoint"},
		"gemini":      {"telemetry", "otlpEndpoint"},
	}[agent]
	if path == nil {
		return ""
	}
	address, _ := at(all, path...).(string)
	if agent == "gemini" && address != "" {
		address = strings.TrimSuffix(address, "/") + "/v1/logs"
	}
	return address
}

// at returns what is at a path of members, or nil.
func at(all map[string]any, path ...string) (v any) {
	v = all
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// headersOf returns what an agent sends its logs with, as far as its settings and the
// environment say.
func headersOf(o *Options, all map[string]any) map[string]string {
	headers := map[string]string{}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS"} { // the later one counts
		text, ok := at(all, "env", name).(string)
		if !ok {
			text = o.Getenv(name)
		}
		for pair := range strings.SplitSeq(text, ",") {
			name, value, ok := strings.Cut(pair, "=")
			if decoded, err := url.PathUnescape(value); ok && err == nil {
				headers[strings.TrimSpace(name)] = strings.TrimSpace(decoded)
			}
		}
	}
	more, _ := at(all, "otel", "exporter", "otlp-http", "headers").(map[string]any)
	for name, value := range more {
		headers[name], _ = value.(string)
	}
	return headers
}

// Unseen says what an agent does that nothing tells of, or too late, as far as is known.
func Unseen(agent string) []string { return unseen[agent] }

var unseen = map[string][]string{
	"claude-code": {
		"a file that is mentioned as @file is read without a call of a tool",
		"calls that it refuses itself, as with a parameter that is missing, have no hook; nothing runs then",
		"sub-agents of old versions called tools without hooks (seen in 2.1.76, not any more in 2.1.156)",
		"the agent can change its own settings, unless they are managed; ConfigChange tells of it",
		"who allowed a call is not in its hooks, nor that its own rules deny one; telemetry tells",
	},
	"codex": {
		"hooks run only after the user has trusted them, or with --dangerously-bypass-hook-trust",
		"the agent can change its own settings where its sandbox lets it",
		"calls that failed look like those that did not, but for what they returned",
		"that its own rules deny a call is not in its hooks; telemetry tells",
	},
	"cursor": {
		"calls have no ids: which end belongs to which beginning goes by command and order",
		"tools other than the shell, MCP and files have hooks in newer versions only",
	},
	"gemini": {
		"calls have no ids: which end belongs to which beginning goes by tool, input and order",
		"that a call waits for the user is told, and not what they answered",
		"that its own rules deny a call is not in its hooks; telemetry tells",
	},
	OpenAIAgents: {
		"all is told afterwards: neither a stop nor anything else can deny a call, and what a program that ends at once has not exported yet is lost",
		"a call that a guardrail or the program itself keeps from running is no call in its traces",
		"programs that turn tracing off tell nothing",
	},
	"copilot": {
		"hooks run where the repository has them: not in other repositories, nor before they are in its default branch",
		"calls have no ids: which end belongs to which beginning goes by tool, input and order",
	},
}
