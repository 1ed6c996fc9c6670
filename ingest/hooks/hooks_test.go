package hooks_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/hooks"
	"github.com/custodylog/custody/ingest/sighting"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestCaptures reads what real programs told their hooks.
func TestCaptures(t *testing.T) {
	for name, capture := range map[string]struct{ product, file string }{
		"claude-code":  {"claude-code", "claude-code-2.1.197/v1_hooks_claude_code.ndjson"},
		"codex":        {"codex", "codex-cli-0.169.0/hooks.stdin.ndjson"},
		"codex-notify": {"codex", "codex-cli-0.169.0/notify.argv.ndjson"},
		"gemini":       {"gemini", "gemini-cli-0.61.0/hooks.stdin.ndjson.gz"},

		"claude-code-denied": {"claude-code", "claude-code-2.1.197/denied.hooks.ndjson"},
		"codex-denied":       {"codex", "codex-cli-0.169.0/denied.hooks.ndjson"},
		"gemini-denied":      {"gemini", "gemini-cli-0.61.0/denied.hooks.ndjson"},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, capture.product, "", lines(t, filepath.Join("../testdata/captures", capture.file)))
		})
	}
}

// TestReference reads what the documentation of agents shows, where no capture has it.
func TestReference(t *testing.T) {
	files, err := filepath.Glob("testdata/reference/*.ndjson")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".ndjson")
		t.Run(name, func(t *testing.T) {
			product, _, _ := strings.Cut(name, ".")
			golden(t, "reference."+name, product, "", lines(t, file))
		})
	}
}

// golden compares the sightings of messages with those of the golden file.
func golden(t *testing.T, name, product, event string, messages [][]byte) {
	t.Helper()
	var got bytes.Buffer
	for _, message := range messages {
		r, err := hooks.Parse(product, event, message)
		if err != nil {
			t.Fatalf("%v: %s", err, message)
		}
		for i := range r.Sightings {
			describe(t, &got, r.Event, &r.Sightings[i])
		}
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s: got\n%s", file, got.Bytes())
	}
}

// describe writes a sighting in a few lines: the call, the payload.
func describe(t *testing.T, w io.Writer, name string, s *sighting.Sighting) {
	t.Helper()
	fmt.Fprintf(w, "%s", name)
	if !s.Mapped {
		fmt.Fprintf(w, ", not known")
	}
	if s.Ends != sighting.Nothing {
		fmt.Fprintf(w, ", %s", s.Ends)
	}
	if c := s.Call; c != nil {
		fmt.Fprintf(w, ", phase %d of %q %s", c.Phase, c.ActionID(), c.Tool)
	}
	payload, err := s.Event.AppendPayload(nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(w, "\n\t%s\n", payload)
}

func lines(t *testing.T, name string) [][]byte {
	t.Helper()
	r, err := ingest.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all [][]byte
	for s := bufio.NewScanner(r); s.Scan(); {
		all = append(all, bytes.Clone(s.Bytes()))
	}
	return all
}

func TestRefuse(t *testing.T) {
	for _, c := range []struct{ product, name, message, want string }{
		{"claude-code", "", `{"hook_event_name":"PreToolUse","tool_name":"Bash"}`, `{"continue":false,"hookSpecificOutput":{"hookEventName":"PreToolUse","permissionDecision":"deny","permissionDecisionReason":"stopped"},"stopReason":"stopped"}`},
		{"claude-code", "", `{"hook_event_name":"PermissionRequest","tool_name":"Bash"}`, `{"hookSpecificOutput":{"decision":{"behavior":"deny","interrupt":true,"message":"stopped"},"hookEventName":"PermissionRequest"}}`},
		{"claude-code", "", `{"hook_event_name":"PostToolUse","tool_name":"Bash"}`, `{"continue":false,"stopReason":"stopped"}`},
		{"claude-code", "", `{"hook_event_name":"SessionEnd"}`, ""},
		{"codex", "", `{"hook_event_name":"PreToolUse","tool_name":"Bash"}`, `{"hookSpecificOutput":{"hookEventName":"PreToolUse","permissionDecision":"deny","permissionDecisionReason":"stopped"}}`},
		{"codex", "", `{"hook_event_name":"PermissionRequest","tool_name":"Bash"}`, `{"hookSpecificOutput":{"decision":{"behavior":"deny","message":"stopped"},"hookEventName":"PermissionRequest"}}`},
		{"cursor", "", `{"hook_event_name":"beforeShellExecution","command":"ls"}`, `{"agent_message":"stopped","permission":"deny","user_message":"stopped"}`},
		{"gemini", "", `{"hook_event_name":"BeforeTool","tool_name":"x"}`, `{"decision":"deny","reason":"stopped"}`},
		{"copilot", "", `{"toolName":"bash","toolArgs":"{}"}`, `{"permissionDecision":"deny","permissionDecisionReason":"stopped"}`},
		{"copilot", "permissionRequest", `{"toolName":"bash"}`, `{"behavior":"deny","message":"stopped"}`},
		{"openai-agents", "", `{"data":[]}`, ""},
	} {
		r, err := hooks.Parse(c.product, c.name, []byte(c.message))
		if err != nil {
			t.Fatal(err)
		}
		answer, ok := r.Refuse("stopped")
		if ok != (c.want != "") || ok && string(answer.Body) != c.want {
			t.Errorf("%s %s: %t %s\nwant %s", c.product, c.message, ok, answer.Body, c.want)
		}
		if !ok && string(answer.Body) != string(r.Silent().Body) {
			t.Errorf("%s %s: answers %s", c.product, c.message, answer.Body)
		}
	}
}

func TestBadMessages(t *testing.T) {
	for message, want := range map[string]string{
		`[]`:            "not an object",
		`{"a":1`:        "malformed JSON",
		`{"a":1,"a":2}`: "twice",
		"":              "malformed JSON",
	} {
		if _, err := hooks.Parse("claude-code", "", []byte(message)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", message, err)
		}
	}
	if _, err := hooks.Parse("other", "", []byte("{}")); err == nil || !strings.Contains(err.Error(), "claude-code, codex, copilot") {
		t.Errorf("an agent that is not known: %v", err)
	}
}

// TestLarge cuts what no payload can hold, and says so.
func TestLarge(t *testing.T) {
	message := `{"hook_event_name":"PostToolUse","tool_name":"Read","tool_use_id":"toolu_1","tool_response":{"text":"` + strings.Repeat("x", 5<<20) + `"}}`
	r, err := hooks.Parse("claude-code", "", []byte(message))
	if err != nil {
		t.Fatal(err)
	}
	e := &r.Sightings[0].Event
	payload, err := e.AppendPayload(nil)
	if err != nil || len(payload) > hooks.MaxPayload || e.Details["cut"] == nil || e.Type != event.ActionExecuted {
		t.Errorf("%s of %d bytes, cut %v: %v", e.Type, len(payload), e.Details["cut"], err)
	}
}

// FuzzParse keeps all that is said, whatever it is.
func FuzzParse(f *testing.F) {
	for _, product := range hooks.Products() {
		f.Add(product, "preToolUse", []byte(`{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"ls"},"extra":1}`))
	}
	f.Add("openai-agents", "", []byte(`{"data":[{"object":"trace.span","id":"a","parent_id":"a","span_data":{"type":"function","name":"x"}}]}`))
	f.Add("copilot", "", []byte(`{"timestamp":1704614600000,"toolName":"bash","toolArgs":"{\"command\":\"ls\"}","toolResult":{"resultType":"denied"}}`))
	f.Fuzz(func(t *testing.T, product, name string, body []byte) {
		r, err := hooks.Parse(product, name, body)
		if err != nil {
			return
		}
		r.Refuse("why")
		if !json.Valid(r.Silent().Body) && len(r.Silent().Body) > 0 {
			t.Errorf("answers %q", r.Silent().Body)
		}
		var all []byte
		for i := range r.Sightings {
			e := &r.Sightings[i].Event
			if !event.ValidType(string(e.Type)) {
				t.Errorf("type %q", e.Type)
			}
			payload, err := e.AppendPayload(nil)
			if err != nil {
				t.Fatalf("%s: %v", body, err)
			}
			if !utf8.Valid(payload) {
				t.Errorf("%q", payload)
			}
			all = append(all, payload...)
		}
		var object map[string]any
		if json.Unmarshal(body, &object) != nil || product == "openai-agents" {
			return
		}
		for member, v := range object {
			text, ok := v.(string)
			if !ok || len(text) > 100 || strings.ContainsRune(text, utf8.RuneError) {
				continue
			}
			quoted, err := event.AppendJSON(nil, text)
			if err != nil {
				continue
			}
			switch member {
			case "hook_event_name", "timestamp", "content":
			default:
				if !bytes.Contains(all, bytes.Trim(quoted, `"`)) && text != "" {
					t.Errorf("%q, %q is lost: %s", member, text, all)
				}
			}
		}
	})
}
