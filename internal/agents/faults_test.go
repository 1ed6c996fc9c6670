package agents_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/hooks"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/agents"
	"github.com/custodylog/custody/internal/joiner"
)

// preToolUse is what Claude Code tells of a call that it is about to make.
func preToolUse(t *testing.T, id string) sighting.Sighting {
	t.Helper()
	report, err := hooks.Parse("claude-code", "", fmt.Appendf(nil, `{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"ls"},"tool_use_id":%q}`, id))
	if err != nil {
		t.Fatal(err)
	}
	return report.Sightings[0]
}

// overtaken is a context that is over before anything is read.
type overtaken struct{ context.Context }

func (overtaken) Err() error { return context.DeadlineExceeded }

// TestSentAgain sends again what could not be recorded the first time: the joiner must
// not take it for recorded.
func TestSentAgain(t *testing.T) {
	trail := newTrail(t)
	r := agents.New(trail, joiner.Options{})
	first, second := preToolUse(t, "toolu_1"), preToolUse(t, "toolu_2")
	first.Event.ID = "m1"
	if _, _, err := r.Record(t.Context(), []sighting.Sighting{first}); err != nil {
		t.Fatal(err)
	}
	// Whether m1 is recorded cannot be read.
	if _, _, err := r.Record(overtaken{t.Context()}, []sighting.Sighting{second, first}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	receipts, refused, err := r.Record(t.Context(), []sighting.Sighting{second, first})
	if len(receipts) != 1 || refused != nil || err != nil {
		t.Errorf("%d receipts, refused %v, %v", len(receipts), refused, err)
	}
}

// TestOtherEvent sends a sighting under the id of an event that is not it.
func TestOtherEvent(t *testing.T) {
	trail := newTrail(t)
	if _, err := trail.Record(t.Context(), event.Event{ID: "m1", Type: event.TurnStarted, Source: "app"}); err != nil {
		t.Fatal(err)
	}
	s := preToolUse(t, "toolu_1")
	s.Event.ID = "m1"
	_, refused, err := agents.New(trail, joiner.Options{}).Record(t.Context(), []sighting.Sighting{s})
	if err != nil || len(refused) != 1 || !errors.Is(refused[0].Err, custody.ErrConflict) {
		t.Errorf("refused %v, %v", refused, err)
	}
}

// TestLongPause starts again long after anything was recorded.
func TestLongPause(t *testing.T) {
	trail := newTrail(t)
	if _, _, err := agents.New(trail, joiner.Options{}).Record(t.Context(), []sighting.Sighting{preToolUse(t, "toolu_1")}); err != nil {
		t.Fatal(err)
	}
	r := agents.New(trail, joiner.Options{})
	r.SetClock(func() time.Time { return time.Now().Add(12 * time.Hour) })
	if err := r.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := told(t, trail), []string{"toolu_1 action_requested", "toolu_1 action_unresolved unknown"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestBusy gives up waiting for somebody else.
func TestBusy(t *testing.T) {
	r := agents.New(newTrail(t), joiner.Options{})
	r.Occupy()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Record(ctx, []sighting.Sighting{preToolUse(t, "toolu_1")}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestRefusedFirst: what said nothing new beside a sighting that was refused is recorded
// when it is sent again.
func TestRefusedFirst(t *testing.T) {
	trail := newTrail(t)
	r := agents.New(trail, joiner.Options{})
	large, small := preToolUse(t, "toolu_1"), preToolUse(t, "toolu_1")
	large.Event.ID, small.Event.ID, small.Event.Source = "m1", "m2", "claude-code/otel"
	large.Event.Details["x"] = strings.Repeat("x", 2<<20)
	_, refused, err := r.Record(t.Context(), []sighting.Sighting{large, small})
	if len(refused) != 1 || refused[0].Position != 0 || err != nil {
		t.Fatalf("refused %v, %v", refused, err)
	}
	receipts, refused, err := r.Record(t.Context(), []sighting.Sighting{small})
	if len(receipts) != 1 || refused != nil || err != nil {
		t.Errorf("%d receipts, refused %v, %v", len(receipts), refused, err)
	}
}
