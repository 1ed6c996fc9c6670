//go:build agents

package agents

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// model answers as a model would that has one thing done, by one call of a tool, and then
// is content. wants is called before the call is answered.
type model struct {
	command string // for the shell
	wants   func()
}

// object is a JSON object.
type object = map[string]any

// events writes server-sent events.
func events(w http.ResponseWriter, all ...object) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range all {
		b, err := json.Marshal(e)
		if err != nil {
			panic(err)
		}
		if name, ok := e["type"].(string); ok {
			fmt.Fprintf(w, "event: %s\n", name)
		}
		fmt.Fprintf(w, "data: %s\n\n", b)
	}
}

// anthropic is the Messages API, as far as Claude Code needs it.
func (m *model) anthropic(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost {
		return
	}
	if strings.HasSuffix(r.URL.Path, "/count_tokens") {
		json.NewEncoder(w).Encode(object{"input_tokens": 10})
		return
	}
	block := object{"type": "text", "text": ""}
	delta := object{"type": "text_delta", "text": "done"}
	reason := "end_turn"
	if strings.Contains(string(body), `"name":"Bash"`) && !strings.Contains(string(body), `"tool_result"`) {
		m.wants()
		input, _ := json.Marshal(object{"command": m.command, "description": "do it"})
		block = object{"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": object{}}
		delta = object{"type": "input_json_delta", "partial_json": string(input)}
		reason = "tool_use"
	}
	usage := object{"input_tokens": 10, "output_tokens": 10}
	message := object{"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": []any{}, "usage": usage}
	if !strings.Contains(string(body), `"stream":true`) {
		message["content"], message["stop_reason"] = []any{object{"type": "text", "text": "done"}}, "end_turn"
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(message)
		return
	}
	events(w,
		object{"type": "message_start", "message": message},
		object{"type": "content_block_start", "index": 0, "content_block": block},
		object{"type": "content_block_delta", "index": 0, "delta": delta},
		object{"type": "content_block_stop", "index": 0},
		object{"type": "message_delta", "delta": object{"stop_reason": reason, "stop_sequence": nil}, "usage": usage},
		object{"type": "message_stop"})
}

// openAI is the Responses API, as far as Codex needs it.
func (m *model) openAI(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/responses") {
		http.NotFound(w, r)
		return
	}
	item := object{"type": "message", "role": "assistant", "id": "msg_1", "content": []any{object{"type": "output_text", "text": "done"}}}
	if !strings.Contains(string(body), `"function_call_output"`) {
		m.wants()
		arguments, _ := json.Marshal(object{"cmd": m.command})
		item = object{"type": "function_call", "id": "fc_1", "name": "exec_command", "arguments": string(arguments), "call_id": "call_1"}
	}
	events(w,
		object{"type": "response.created", "response": object{"id": "resp_1"}},
		object{"type": "response.output_item.done", "output_index": 0, "item": item},
		object{"type": "response.completed", "response": object{"id": "resp_1", "usage": object{"input_tokens": 10, "output_tokens": 10, "total_tokens": 20,
			"input_tokens_details": object{"cached_tokens": 0}, "output_tokens_details": object{"reasoning_tokens": 0}}}})
}

// google is the Gemini API, as far as Gemini CLI needs it.
func (m *model) google(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	part := object{"text": "done"}
	if strings.Contains(string(body), `"run_shell_command"`) && !strings.Contains(string(body), `"functionResponse"`) {
		m.wants()
		part = object{"functionCall": object{"name": "run_shell_command", "args": object{"command": m.command, "description": "do it"}}}
	}
	answer := object{
		"candidates":    []any{object{"content": object{"role": "model", "parts": []any{part}}, "finishReason": "STOP", "index": 0}},
		"usageMetadata": object{"promptTokenCount": 10, "candidatesTokenCount": 10, "totalTokenCount": 20},
	}
	switch {
	case strings.HasSuffix(r.URL.Path, ":streamGenerateContent"):
		events(w, answer)
	case strings.HasSuffix(r.URL.Path, ":countTokens"):
		json.NewEncoder(w).Encode(object{"totalTokens": 10})
	default:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer)
	}
}
