package agents_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/otlp"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/agents"
	"github.com/custodylog/custody/internal/joiner"
)

// exported returns what a captured export of logs tells.
func exported(t *testing.T, name string) []sighting.Sighting {
	t.Helper()
	f, err := ingest.Open("../../ingest/testdata/captures/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []sighting.Sighting
	for rec, err := range ingest.Records(f, ingest.Source{Name: name, MaxRecord: 1 << 20}, ingest.Framing{}) {
		if err != nil {
			t.Fatal(err)
		}
		x, err := otlp.ParseLogs(otlp.JSON, rec.Text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, x.Sightings...)
	}
	return all
}

// known is what a trail knows of one action.
type known struct {
	kinds    []string // types of its events, without those that add to them
	decision event.Decision
	source   event.DecisionSource
	outcome  event.Outcome
	took     []string
	wrong    any // contradictions
}

func actions(t *testing.T, trail *custody.Trail) map[string]*known {
	t.Helper()
	all := map[string]*known{}
	for entry, err := range trail.Entries(t.Context(), custody.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := entry.Event()
		if err != nil {
			t.Fatal(err)
		}
		if e.ActionID == "" {
			continue
		}
		k := all[e.ActionID]
		if k == nil {
			k = &known{}
			all[e.ActionID] = k
		}
		if e.Type != event.ActionObserved {
			k.kinds = append(k.kinds, string(e.Type))
		}
		if e.Decision != "" {
			k.decision, k.source = e.Decision, e.DecisionSource
		}
		if e.Outcome != "" {
			k.outcome = e.Outcome
		}
		if took := e.Details["execution_time_ms"]; took != nil {
			k.took = append(k.took, fmt.Sprint(took))
		}
		if v := e.Details["contradicts"]; v != nil {
			k.wrong = v
		}
	}
	return all
}

// TestHooksAndTelemetry records one call of each agent by both its paths, in any order,
// and again as after an answer that was lost.
func TestHooksAndTelemetry(t *testing.T) {
	orders := map[string]func(hooks, logs []sighting.Sighting) []sighting.Sighting{
		"hooks first": func(hooks, logs []sighting.Sighting) []sighting.Sighting { return slices.Concat(hooks, logs) },
		"logs first":  func(hooks, logs []sighting.Sighting) []sighting.Sighting { return slices.Concat(logs, hooks) },
		"interleaved": func(hooks, logs []sighting.Sighting) []sighting.Sighting {
			var all []sighting.Sighting
			for i := range max(len(hooks), len(logs)) {
				all = append(all, hooks[min(i, len(hooks)):min(i+1, len(hooks))]...)
				all = append(all, logs[min(i, len(logs)):min(i+1, len(logs))]...)
			}
			return all
		},
	}
	for product, c := range map[string]struct {
		hooks, logs, id string
		took            string // in milliseconds; the hook of Claude Code says the same
		source          event.DecisionSource
	}{
		"claude-code": {"claude-code-2.1.197/v1_hooks_claude_code.ndjson", "claude-code-2.1.197/v1_logs.ndjson.gz", "toolu_fake1", "39", event.ByConfigRule},
		"codex":       {"codex-cli-0.169.0/hooks.stdin.ndjson", "codex-cli-0.169.0/v1_logs.ndjson.gz", "01a20ad5-9d8d-7c82-8fe8-c84dd5b5a514/call_1", "49", event.ByConfigRule},
		"gemini":      {"gemini-cli-0.61.0/hooks.stdin.ndjson.gz", "gemini-cli-0.61.0/v1_logs.ndjson.gz", "call-1", "35", ""},
	} {
		for name, order := range orders {
			t.Run(product+", "+name, func(t *testing.T) {
				trail, made := newTrail(t), 0
				r := agents.New(trail, joiner.Options{NewID: func() string { made++; return fmt.Sprint("call-", made) }, Grace: time.Nanosecond})
				logs := exported(t, c.logs)
				seen := order(captured(t, product, c.hooks), logs)
				for _, seen := range [][]sighting.Sighting{seen, logs} {
					for i := range seen {
						if _, refused, err := r.Record(t.Context(), seen[i:i+1]); err != nil || refused != nil {
							t.Fatal(err, refused)
						}
					}
				}
				all := actions(t, trail)
				k := all[c.id]
				if len(all) != 1 || k == nil {
					t.Fatalf("actions %q", slices.Sorted(maps.Keys(all)))
				}
				slices.Sort(k.kinds)
				if !slices.Equal(k.kinds, []string{"action_executed", "action_requested", "action_validated"}) || k.wrong != nil {
					t.Errorf("steps %q, contradictions %v", k.kinds, k.wrong)
				}
				if k.decision != event.Allow || k.source != c.source || k.outcome != event.OutcomeSuccess {
					t.Errorf("decided %q by %q, outcome %q", k.decision, k.source, k.outcome)
				}
				// How long it took is told once, by whoever knew it first.
				if !slices.Equal(k.took, []string{c.took}) {
					t.Errorf("took %q ms", k.took)
				}
			})
		}
	}
}
