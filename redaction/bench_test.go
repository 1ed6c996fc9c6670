package redaction

import (
	"testing"
	"time"

	"github.com/custodylog/custody/event"
)

// typical is the event that the benchmarks redact: about 600 bytes, and nothing
// secret in it.
func typical() event.Event {
	return event.Event{
		ID:             "019ab0c2-7b1e-7c3a-9d2f-4f6e8a1b2c3d",
		Type:           event.ActionDenied,
		Timestamp:      time.Date(2026, 11, 23, 22, 10, 0, 123456000, time.UTC),
		AgentID:        "agent-7f3a",
		ActionID:       "toolu_01A09q90qw90lq917835lq9",
		ProjectID:      "billing-service",
		SessionID:      "5f1c9a52-6d2b-4a3e-8f61-0c7d5b9e2a14",
		Decision:       event.Deny,
		DecisionSource: event.ByPolicy,
		Severity:       event.SeverityWarning,
		Details: map[string]any{
			"tool_name":      "Bash",
			"action_type":    "shell",
			"resource":       "/srv/billing/data",
			"is_destructive": true,
			"reasons":        []string{"recursive delete outside the workspace"},
			"policy_id":      "no-destructive-shell",
			"policy_version": "14",
			"score":          0.97,
			"input_digest":   "sha256:2c26b46b68ffc68ff99b453c1d304134",
			"output_bytes":   1042,
		},
	}
}

func BenchmarkRedact(b *testing.B) {
	r := Default()
	e := typical()
	b.Run("nothing", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Redact(e)
		}
	})
	for _, bb := range []struct {
		name string
		v    any
	}{
		{"env", map[string]any{"PATH": "/usr/bin", "HOME": "/home/u", "API_KEY": "sk-1"}},
		{"counts", map[string]any{"input_tokens": 3, "output_tokens": 10, "cache_read_input_tokens": 17842}},
		{"text", `{"command":"ls -la","description":"List files","env":{"API_KEY":"sk-1"}}`},
	} {
		e := typical()
		e.Details["input"] = bb.v
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Redact(e)
			}
		})
	}
}
