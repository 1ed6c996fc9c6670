package otlp_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/custodylog/custody/ingest/otlp"
)

// What Codex has not started is denied, and by whom. What ran and what other tools say is
// not, whatever words it is in.
func TestCodexDenies(t *testing.T) {
	rejected := func(why string) string {
		return fmt.Sprintf("exec_command failed: CreateProcess { message: %q }", fmt.Sprintf("Rejected(%q)", why))
	}
	rule := rejected("`/bin/bash -lc 'touch a.txt'` rejected: policy forbids commands starting with `touch`")
	for _, c := range []struct{ name, tool, server, output, success, want string }{
		{"a rule", "exec_command", "", rule, "false", "action_denied config_rule denied"},
		{"no approval to be had", "exec_command", "", rejected("approval required by policy, but AskForApproval is set to Never"), "false", "action_denied config_rule denied"},
		{"a person", "exec_command", "", rejected("exec command rejected by user"), "false", "action_denied user_reject denied"},
		{"printed", "exec_command", "", "Chunk ID: a9feb0\nProcess exited with code 1\nOutput:\n" + rule, "false", "action_failed  failure"},
		{"said by a tool", "look", "", rule, "false", "action_failed  failure"},
		{"said by a server", "exec_command", "files", rule, "false", "action_failed  failure"},
		{"success", "exec_command", "", rule, "true", "action_executed  success"},
	} {
		type attribute map[string]any
		var attributes []attribute
		for _, pair := range [][2]string{{"event.name", "codex.tool_result"}, {"conversation.id", "c"}, {"call_id", "call_1"},
			{"tool_name", c.tool}, {"mcp_server", c.server}, {"output", c.output}, {"success", c.success}, {"arguments", `{"cmd":"touch a.txt"}`}} {
			attributes = append(attributes, attribute{"key": pair[0], "value": attribute{"stringValue": pair[1]}})
		}
		body, err := json.Marshal(attribute{"resourceLogs": []any{attribute{
			"resource":  attribute{"attributes": []any{attribute{"key": "service.name", "value": attribute{"stringValue": "codex_exec"}}}},
			"scopeLogs": []any{attribute{"logRecords": []any{attribute{"attributes": attributes}}}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		x, err := otlp.ParseLogs(otlp.JSON, body)
		if err != nil || len(x.Sightings) != 1 {
			t.Fatalf("%s: %d sightings, %v", c.name, len(x.Sightings), err)
		}
		e := &x.Sightings[0].Event
		if got := fmt.Sprint(e.Type, " ", e.DecisionSource, " ", e.Outcome); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if reasons := fmt.Sprint(e.Details["reasons"]); strings.HasPrefix(c.want, "action_denied") && !strings.Contains(reasons, "Rejected") {
			t.Errorf("%s: the reasons are %s", c.name, reasons)
		}
	}
}
