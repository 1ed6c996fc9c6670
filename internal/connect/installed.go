package connect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Installed is how an agent is connected by one file of settings.
type Installed struct {
	File      string
	Hooks     []Hook // one for each command line or address
	Missing   []string
	Telemetry string // address that logs are sent to; empty: none
	Off       bool   // the settings say that hooks do not run
}

// Hook is what an agent runs, or posts to.
type Hook struct {
	Command string
	URL     string
	Headers map[string]string
	Events  []string
}

// Find returns how an agent is connected by the settings that the options name; nil: it
// is not.
func Find(o *Options) (*Installed, error) {
	s, err := read(o)
	if err != nil || s.text == nil {
		return nil, err
	}
	var all map[string]any
	if strings.HasSuffix(s.file, ".toml") {
		all, err = readTOML(s.text)
	} else {
		err = json.Unmarshal(s.text, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file, err)
	}
	in := &Installed{File: s.file, Telemetry: telemetryOf(o.Agent, all)}
	in.Off, _ = all["disableAllHooks"].(bool)
	hooks, _ := all["hooks"].(map[string]any)
	for _, event := range s.agent.events(o) {
		if !in.find(event, hooks[event]) {
			in.Missing = append(in.Missing, event)
		}
	}
	if in.Hooks == nil {
		return nil, nil
	}
	with := *o
	if with.URL = in.Hooks[0].URL; with.URL != "" { // then some events have no hooks
		in.Missing = slices.DeleteFunc(in.Missing, func(event string) bool { return !slices.Contains(s.agent.events(&with), event) })
	}
	return in, nil
}

// find takes the hooks of ours from a list of hooks, or of groups of hooks.
func (in *Installed) find(event string, list any) (found bool) {
	entries, _ := list.([]any)
	for _, entry := range entries {
		m, _ := entry.(map[string]any)
		if in.find(event, m["hooks"]) {
			found = true
		}
		if !isOurs(m) {
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
	var v any = all
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	address, _ := v.(string)
	if agent == "gemini" && address != "" {
		address = strings.TrimSuffix(address, "/") + "/v1/logs"
	}
	return address
}

// Unseen says what an agent does that its hooks tell nothing of, as far as is known.
func Unseen(agent string) []string { return unseen[agent] }

var unseen = map[string][]string{
	"claude-code": {
		"a file that is mentioned as @file is read without a call of a tool",
		"sub-agents of old versions called tools without hooks (seen in 2.1.76, not any more in 2.1.156)",
		"the agent can change its own settings, unless they are managed; ConfigChange tells of it",
		"who allowed a call is not in its hooks; telemetry tells",
	},
	"codex": {
		"hooks run only after the user has trusted them, or with --dangerously-bypass-hook-trust",
		"the agent can change its own settings where its sandbox lets it",
		"calls that failed look like those that did not, but for what they returned",
	},
	"cursor": {
		"calls have no ids: which end belongs to which beginning goes by command and order",
		"tools other than the shell, MCP and files have hooks in newer versions only",
	},
	"gemini": {
		"calls have no ids: which end belongs to which beginning goes by tool, input and order",
		"that a call waits for the user is told, and not what they answered",
	},
	"copilot": {
		"hooks run where the repository has them: not in other repositories, nor before they are in its default branch",
		"calls have no ids: which end belongs to which beginning goes by tool, input and order",
	},
}
