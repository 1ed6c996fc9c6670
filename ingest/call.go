package ingest

import (
	"strings"

	"github.com/custodylog/custody/event"
)

// SetTool sets in details the name of a tool, and of its server if the name says one:
// mcp__github__create_issue.
func SetTool(details map[string]any, tool string) {
	if tool == "" {
		return
	}
	details["tool_name"] = tool
	if rest, ok := strings.CutPrefix(tool, "mcp__"); ok {
		details["server"], _, _ = strings.Cut(rest, "__")
	}
}

// SetOutput sets in details digest and length of a tool's output: of a string its
// bytes, of anything else its canonical JSON.
func SetOutput(details map[string]any, output any) {
	text, ok := output.(string)
	if !ok {
		b, err := event.AppendJSON(nil, output)
		if err != nil {
			return
		}
		text = string(b)
	}
	details["output_digest"] = TextDigest(text)
	details["output_bytes"] = len(text)
}

// Resource returns what a tool acts on, as far as its input says so.
func Resource(input map[string]any) string {
	for _, name := range [...]string{"file_path", "notebook_path", "url", "command", "path"} {
		if v := Text(input, name); v != "" {
			return Short(v, 1000)
		}
	}
	return ""
}
