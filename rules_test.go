package custody

import (
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/vfs/vfstest"
	"github.com/custodylog/custody/redaction"
)

// unknownRules does not tell its rules.
type unknownRules struct{ redaction.Redactor }

func (unknownRules) Description() {}

// TestRulesChange opens a trail under one set of rules after the other: each change
// is an event, and nothing else is.
func TestRulesChange(t *testing.T) {
	disk, key := vfstest.NewMem(), newKey(t)
	get(Create("trail", CreateOptions{Origin: origin, Signer: key, fs: disk}))(t)
	off := get(redaction.New(redaction.Rules{IncludeSensitive: true}))(t)
	own := get(redaction.New(redaction.Rules{Common: redaction.Common{Keys: redaction.KeyRules{Extra: []string{"pin"}}}}))(t)
	for i, step := range []struct {
		redactor redaction.Redactor
		changes  int
	}{{nil, 0}, {redaction.Default(), 0}, {off, 1}, {off, 1}, {own, 2}, {unknownRules{own}, 3}, {unknownRules{own}, 3}, {nil, 4}} {
		trail := get(Open("trail", &Options{fs: disk, Signer: key, Redactor: step.redactor, DiskWarning: -1, Logger: quiet}))(t)
		changes := all(t, trail, Query{Types: []event.Type{event.RedactionChanged}})
		if len(changes) != step.changes {
			t.Errorf("step %d: %d events tell of a change", i, len(changes))
		}
		if step.changes == 1 {
			if ev := get(changes[0].Event())(t); ev.Details["include_sensitive"] != true || ev.Details["before"] == ev.Details["digest"] {
				t.Errorf("%v", ev.Details)
			}
			record(t, trail, event.Event{Type: "x", Details: map[string]any{"password": "s3cret"}})
		}
		must(t, trail.Close())
	}
}
