package agents_test

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/hooks"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/agents"
	"github.com/custodylog/custody/internal/joiner"
)

func newTrail(t *testing.T) *custody.Trail {
	t.Helper()
	dir, keys := t.TempDir()+"/trail", t.TempDir()
	if _, err := custody.Create(dir, custody.CreateOptions{Origin: "example.org/agents", KeyDir: keys}); err != nil {
		t.Fatal(err)
	}
	trail, err := custody.Open(dir, &custody.Options{KeyDir: keys, Guard: custody.GuardOff, DiskWarning: -1, MaxPayload: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { trail.Close() })
	return trail
}

// told returns the events of the trail that are about actions, in a few words each.
func told(t *testing.T, trail *custody.Trail) []string {
	t.Helper()
	var all []string
	for entry, err := range trail.Entries(t.Context(), custody.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := entry.Event()
		if err != nil {
			t.Fatal(err)
		}
		if e.ActionID != "" {
			all = append(all, strings.TrimSpace(fmt.Sprint(e.ActionID, " ", e.Type, " ", e.Outcome)))
		}
	}
	return all
}

func captured(t *testing.T, product, name string) []sighting.Sighting {
	t.Helper()
	f, err := ingest.Open("../../ingest/testdata/captures/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []sighting.Sighting
	for s := bufio.NewScanner(f); s.Scan(); {
		r, err := hooks.Parse(product, "", s.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r.Sightings...)
	}
	return all
}

// TestCaptures records what agents told their hooks, with a new recorder for each
// message, as when every hook is a program of its own.
func TestCaptures(t *testing.T) {
	trail := newTrail(t)
	var want []string
	for product, name := range map[string]string{"claude-code": "claude-code-2.1.197/v1_hooks_claude_code.ndjson", "codex": "codex-cli-0.169.0/hooks.stdin.ndjson"} {
		id := map[string]string{"claude-code": "toolu_fake1", "codex": "01a20ad5-9d8d-7c82-8fe8-c84dd5b5a514/call_1"}[product]
		want = append(want, id+" action_requested", id+" action_executed success")
		for _, s := range captured(t, product, name) {
			if _, refused, err := agents.New(trail, joiner.Options{}).Record(t.Context(), []sighting.Sighting{s}); err != nil || refused != nil {
				t.Fatal(err, refused)
			}
		}
	}
	got := told(t, trail)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestGemini joins calls that have no ids, before and after a restart.
func TestGemini(t *testing.T) {
	trail := newTrail(t)
	made := 0
	options := joiner.Options{NewID: func() string { made++; return fmt.Sprint("call-", made) }, Grace: time.Nanosecond}
	seen := captured(t, "gemini", "gemini-cli-0.61.0/hooks.stdin.ndjson.gz")
	// The clock of the trail is today's; the capture's would be too long ago to be open.
	for i := range seen {
		seen[i].Event.OccurredAt = time.Time{}
		if _, _, err := agents.New(trail, options).Record(t.Context(), seen[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := told(t, trail), []string{"call-1 action_requested", "call-1 action_executed success"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestSettle(t *testing.T) {
	trail := newTrail(t)
	r := agents.New(trail, joiner.Options{Grace: time.Nanosecond})
	for _, message := range []string{
		`{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"ls"},"tool_use_id":"toolu_1"}`,
		`{"session_id":"s","hook_event_name":"Stop"}`,
	} {
		report, err := hooks.Parse("claude-code", "", []byte(message))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Record(t.Context(), report.Sightings); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time there is nothing to tell
		if err := r.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := agents.New(trail, joiner.Options{Grace: time.Nanosecond}).Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := told(t, trail), []string{"toolu_1 action_requested", "toolu_1 action_unresolved unknown"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestRefused records what comes before and after an event that the trail refuses.
func TestRefused(t *testing.T) {
	trail := newTrail(t)
	var seen []sighting.Sighting
	for i, typ := range []event.Type{event.TurnStarted, event.RetentionApplied, event.TurnEnded} {
		seen = append(seen, sighting.Sighting{Event: event.Event{ID: fmt.Sprint("e", i), Type: typ, Source: "claude-code/hook", SessionID: "s"}})
	}
	receipts, refused, err := agents.New(trail, joiner.Options{}).Record(t.Context(), seen)
	if err != nil || len(receipts) != 2 || len(refused) != 1 || refused[0].Position != 1 {
		t.Errorf("%d receipts, refused %+v, %v", len(receipts), refused, err)
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := agents.New(trail, joiner.Options{}).Record(t.Context(), seen); !errors.Is(err, custody.ErrClosed) {
		t.Errorf("after the trail was closed: %v", err)
	}
}

// TestAgain records a call once, however often a path without ids of calls tells of it.
func TestAgain(t *testing.T) {
	trail := newTrail(t)
	r := agents.New(trail, joiner.Options{NewID: func() string { return "call-1" }})
	var seen []sighting.Sighting
	for _, path := range []string{"gemini/hook", "gemini/otel"} {
		for _, phase := range []sighting.Phase{sighting.Requested, sighting.Finished} {
			e := event.Event{ID: fmt.Sprint(path, phase), Type: event.ActionRequested, Source: path, SessionID: "s", Details: map[string]any{}}
			if phase == sighting.Finished {
				e.Type, e.Outcome = event.ActionExecuted, event.OutcomeSuccess
			}
			c := &sighting.Call{Session: "s", Tool: "write_file", Input: "sha256:1", Phase: phase}
			c.Describe(e.Details)
			seen = append(seen, sighting.Sighting{Event: e, Call: c, Mapped: true})
		}
	}
	for range 2 {
		if _, _, err := r.Record(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := told(t, trail), []string{"call-1 action_requested", "call-1 action_executed success"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
