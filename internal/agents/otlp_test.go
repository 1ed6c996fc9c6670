package agents_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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

// How a call that runs, and one that the agent's own rules deny, is told.
var (
	ran    = known{kinds: []string{"action_executed", "action_requested", "action_validated"}, decision: event.Allow, outcome: event.OutcomeSuccess}
	denied = known{kinds: []string{"action_denied", "action_requested"}, decision: event.Deny, outcome: event.OutcomeDenied}
)

// TestHooksAndTelemetry records calls of each agent by both its paths, in any order, and
// again as after an answer that was lost.
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
	for _, c := range []struct {
		product, hooks, logs, id string
		want                     known
		took                     string // in milliseconds; the hook of Claude Code says the same
		source                   event.DecisionSource
	}{
		{"claude-code", "claude-code-2.1.197/v1_hooks_claude_code.ndjson", "claude-code-2.1.197/v1_logs.ndjson.gz", "toolu_fake1", ran, "39", event.ByConfigRule},
		{"codex", "codex-cli-0.169.0/hooks.stdin.ndjson", "codex-cli-0.169.0/v1_logs.ndjson.gz", "01a20ad5-9d8d-7c82-8fe8-c84dd5b5a514/call_1", ran, "49", event.ByConfigRule},
		{"gemini", "gemini-cli-0.61.0/hooks.stdin.ndjson.gz", "gemini-cli-0.61.0/v1_logs.ndjson.gz", "call-1", ran, "35", ""},
		{"claude-code", "claude-code-2.1.197/denied.hooks.ndjson", "claude-code-2.1.197/denied.v1_logs.ndjson.gz", "toolu_1", denied, "", event.ByConfigRule},
		{"codex", "codex-cli-0.169.0/denied.hooks.ndjson", "codex-cli-0.169.0/denied.v1_logs.ndjson.gz", "01a213e7-d13d-7312-ba8f-dc828d1a6fdf/call_1", denied, "", event.ByConfigRule},
		{"gemini", "gemini-cli-0.61.0/denied.hooks.ndjson", "gemini-cli-0.61.0/denied.v1_logs.ndjson.gz", "call-1", denied, "", event.ByConfigRule},
	} {
		for name, order := range orders {
			t.Run(fmt.Sprint(c.product, ", ", c.want.decision, ", ", name), func(t *testing.T) {
				trail, made := newTrail(t), 0
				r := agents.New(trail, joiner.Options{NewID: func() string { made++; return fmt.Sprint("call-", made) }, Grace: time.Nanosecond})
				logs := exported(t, c.logs)
				seen := order(captured(t, c.product, c.hooks), logs)
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
				if !slices.Equal(k.kinds, c.want.kinds) || k.wrong != nil {
					t.Errorf("steps %q, contradictions %v", k.kinds, k.wrong)
				}
				if k.decision != c.want.decision || k.source != c.source || k.outcome != c.want.outcome {
					t.Errorf("decided %q by %q, outcome %q", k.decision, k.source, k.outcome)
				}
				// How long it took is told once, by whoever knew it first.
				if !slices.Equal(k.took, strings.Fields(c.took)) {
					t.Errorf("took %q ms", k.took)
				}
			})
		}
	}
}
