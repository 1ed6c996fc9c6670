package hooks_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/custodylog/custody/ingest/hooks"
)

// TestJoinedDetails: what an agent says does not pass for what its calls are joined by.
func TestJoinedDetails(t *testing.T) {
	r, err := hooks.Parse("claude-code", "", []byte(`{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"ls"},"tool_use_id":"toolu_1","endless":true,"input_digest":"d","call_id":"other"}`))
	if err != nil {
		t.Fatal(err)
	}
	s := r.Sightings[0]
	d := s.Event.Details
	if d["endless"] != nil || d["input_digest"] != s.Call.Input || d["call_id"] != "toolu_1" {
		t.Errorf("the event says %v", d)
	}
	if d["agent_endless"] != true || d["agent_input_digest"] != "d" || d["agent_call_id"] != "other" {
		t.Errorf("what the agent says is lost: %v", d)
	}
}

// TestExportBounds reads an export of as many items as there may be, whose spans are as
// deep: the agent of each is the one at the top.
func TestExportBounds(t *testing.T) {
	export := func(n int) []byte {
		var b strings.Builder
		b.WriteString(`{"data":[{"object":"trace.span","id":"0","span_data":{"type":"agent","name":"top"}}`)
		for i := 1; i < n; i++ {
			fmt.Fprintf(&b, `,{"object":"trace.span","id":"%d","parent_id":"%d","span_data":{"type":"function","name":"f"}}`, i, i-1)
		}
		b.WriteString(`,{"object":"trace.span","id":"a","parent_id":"b","span_data":{"type":"function","name":"round"}},{"object":"trace.span","id":"b","parent_id":"a"}]}`)
		return []byte(b.String())
	}
	if _, err := hooks.Parse("openai-agents", "", export(9_999)); err == nil || !strings.Contains(err.Error(), "at most 10000") {
		t.Errorf("too many items: %v", err)
	}
	r, err := hooks.Parse("openai-agents", "", export(9_998))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Sightings[1 : len(r.Sightings)-3] {
		if s.Event.AgentID != "top" {
			t.Fatalf("a span is of agent %q", s.Event.AgentID)
		}
	}
	if s := r.Sightings[len(r.Sightings)-1]; s.Event.AgentID != "openai-agents" {
		t.Errorf("a span of no agent is of %q", s.Event.AgentID)
	}
}
