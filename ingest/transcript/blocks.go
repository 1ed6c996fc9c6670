package transcript

import (
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
)

// user adds the events of a line that the model got: results of tools, and
// what a person or the program wrote.
func (s *session) user(l *line) bool {
	switch content := ingest.Get(l.rec, "message", "content").(type) {
	case string:
		l.drop("message", "content")
		s.prompt(l, content, nil)
	case []any:
		if len(content) == 0 {
			return false
		}
		l.drop("message", "content")
		var texts []string
		var blocks []any // that are no results
		plain := true
		for _, b := range content {
			block, _ := b.(map[string]any)
			if isResult(block) {
				s.result(l, block)
				continue
			}
			blocks = append(blocks, b)
			if text, ok := block["text"].(string); ok && len(block) == 2 && block["type"] == "text" {
				texts = append(texts, text)
			} else {
				plain = false
			}
		}
		if plain && len(blocks) <= 1 {
			blocks = nil // the text says it all
		}
		if len(texts) > 0 || len(blocks) > 0 {
			s.prompt(l, strings.Join(texts, "\n"), blocks)
		}
	default:
		return false
	}
	return true
}

// prompt adds the event of a text that the model got. blocks is the whole of
// it, where it is not only that text.
func (s *session) prompt(l *line, text string, blocks []any) {
	details := map[string]any{}
	if blocks != nil {
		details["content"] = blocks
	}
	switch {
	case l.rec["isCompactSummary"] == true:
		details["text"] = text
		l.add(typeSummary, details)
	case l.rec["isMeta"] == true:
		details["text"] = text
		l.add(typeInjected, details)
	case strings.HasPrefix(text, "<local-command-"), strings.HasPrefix(text, "<bash-"):
		details["text"] = text
		l.add(typeLocalCommand, details)
	case strings.HasPrefix(text, "[Request interrupted by user"):
		s.turn = false
		details["text"], details["status"] = text, "interrupted"
		l.add(event.TurnEnded, details)
	default:
		s.turn = true
		details["prompt"] = text
		details["prompt_digest"] = ingest.TextDigest(text)
		details["prompt_chars"] = utf8.RuneCountInString(text)
		if mode := ingest.Text(l.rec, "permissionMode"); mode != "" {
			details["permission_mode"] = mode
		}
		l.add(event.TurnStarted, details)
	}
}

// assistant adds the events of a line that the model wrote.
func (s *session) assistant(l *line) bool {
	content, ok := ingest.Get(l.rec, "message", "content").([]any)
	if text, is := ingest.Get(l.rec, "message", "content").(string); is {
		content, ok = []any{map[string]any{"type": "text", "text": text}}, true
	}
	if !ok || len(content) == 0 {
		return false
	}
	l.drop("message", "content")
	answer := ""
	for _, b := range content {
		block, _ := b.(map[string]any)
		switch kind, _ := block["type"].(string); {
		case isResult(block):
			s.result(l, block)
		case strings.HasSuffix(kind, "tool_use"):
			s.request(l, block)
		case kind == "text" && l.rec["isApiErrorMessage"] == true:
			l.add(typeAPIError, blockDetails(block, "text")).Severity = event.SeverityError
		case kind == "text":
			answer = ingest.Text(block, "text")
			l.add(typeMessage, blockDetails(block, "text"))
		case kind == "thinking", kind == "redacted_thinking":
			l.add(typeThinking, blockDetails(block, "thinking"))
		default:
			l.add(typeLine, map[string]any{"block": b})
			last := &l.items[len(l.items)-1]
			last.Mapped, last.Note = false, "a block of a kind that is not known"
		}
	}
	s.answered(l, answer)
	return true
}

// answered adds the end of the turn, if the line's message is the end.
func (s *session) answered(l *line, answer string) {
	status := ingest.Text(l.rec, "message", "stop_reason")
	switch {
	case l.rec["isApiErrorMessage"] == true:
		status = "error"
	case answer == "", status == "", status == "tool_use", status == "pause_turn":
		return
	}
	s.turn = false
	details := map[string]any{"status": status}
	if answer != "" {
		details["last_message_digest"] = ingest.TextDigest(answer)
	}
	l.extra("end", event.TurnEnded, details)
}

// request adds the event of a tool_use block.
func (s *session) request(l *line, block map[string]any) {
	details := blockDetails(block, "input", "id", "name")
	e := l.add(event.ActionRequested, details)
	e.ActionID = ingest.Text(block, "id")
	tool := ingest.Text(block, "name")
	if e.ActionID != "" {
		s.tools.Set(e.ActionID, tool)
	}
	ingest.SetTool(details, tool)
	if input, there := block["input"]; there {
		details["input_digest"] = ingest.Digest(input)
	}
	if r := ingest.Resource(ingest.Object(block, "input")); r != "" {
		details["resource"] = r
	}
	if cwd := ingest.Text(l.rec, "cwd"); cwd != "" {
		details["cwd"] = cwd
	}
	if s.mode != "" {
		details["permission_mode"] = s.mode
	}
}

// blockDetails returns the details of a block's event: the member main under
// its name, and what neither that nor others has as block.
func blockDetails(block map[string]any, main string, others ...string) map[string]any {
	details := map[string]any{}
	rest := maps.Clone(block)
	if v, there := block[main]; there {
		details[main] = v
		delete(rest, main)
	}
	for _, name := range others {
		if _, is := block[name].(string); is {
			delete(rest, name)
		}
	}
	delete(rest, "type")
	if t, _ := block["type"].(string); t != "text" && t != "thinking" && t != "tool_use" && t != "tool_result" {
		rest["type"] = block["type"]
	}
	if len(rest) > 0 {
		details["block"] = rest
	}
	return details
}
