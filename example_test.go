package custody_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// The whole story: a trail is created, an agent asks for something, is denied,
// and later somebody looks at what happened and whether the record of it is
// still what was written.
func ExampleTrail() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "custody")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path, keys := filepath.Join(dir, "trail"), filepath.Join(dir, "keys")

	// Once. The verifier key belongs to whoever will check the trail.
	vkey, err := custody.Create(path, custody.CreateOptions{Origin: "example.org/agents", KeyDir: keys})
	if err != nil {
		log.Fatal(err)
	}

	trail, err := custody.Open(path, &custody.Options{KeyDir: keys})
	if err != nil {
		log.Fatal(err)
	}
	defer trail.Close()

	action := custody.Action{
		ID: "toolu_01", Tool: "Bash", Input: map[string]any{"command": "rm -rf /srv", "api_key": "sk-123"},
		AgentID: "agent-7", SessionID: "session-1", UserID: "alice",
	}
	if _, err := trail.ActionRequested(ctx, action); err != nil {
		log.Fatal(err) // not recorded: then it must not run
	}
	receipt, err := trail.ActionDenied(ctx, action, custody.Verdict{Reasons: []string{"outside the workspace"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("denied, and durable as entry", receipt.Index)

	for entry, err := range trail.Entries(ctx, custody.Query{AgentID: "agent-7", Decision: event.Deny}) {
		if err != nil {
			log.Fatal(err)
		}
		e, err := entry.Event()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Index, e.Type, e.Details["tool_name"], e.Details["reasons"])
	}

	report, err := trail.Verify(ctx, custody.VerifyOptions{Key: vkey})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Size, "entries,", len(report.Findings), "findings")

	// Output:
	// denied, and durable as entry 2
	// 2 action_denied Bash [outside the workspace]
	// 3 entries, 0 findings
}

// A checkpoint that somebody else keeps shows later that the trail still holds
// everything that it covers.
func ExampleTrail_Checkpoint() {
	ctx := context.Background()
	trail, done := newTrail()
	defer done()
	if _, err := trail.Record(ctx, event.Event{Type: event.TurnStarted, SessionID: "session-1"}); err != nil {
		log.Fatal(err)
	}
	kept, err := trail.Checkpoint(ctx) // to be put where the operator of the trail cannot reach it
	if err != nil {
		log.Fatal(err)
	}
	if _, err := trail.Record(ctx, event.Event{Type: event.TurnEnded, SessionID: "session-1"}); err != nil {
		log.Fatal(err)
	}
	report, err := trail.Verify(ctx, custody.VerifyOptions{Checkpoints: [][]byte{kept}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.OK())
	fmt.Println(report.Strength())
	// Output:
	// true
	// self-signed; entries 0 to 1 also by a checkpoint that was kept elsewhere
}

// A handler follows the trail, from any entry on, and delays nobody who records.
func ExampleTrail_AddHandler() {
	ctx := context.Background()
	trail, done := newTrail()
	defer done()
	alarm := make(chan string)
	handler := trail.AddHandler(func(_ context.Context, entry custody.Entry) error {
		e, err := entry.Event()
		if err != nil {
			return err
		}
		alarm <- fmt.Sprintf("%s stopped %v", e.UserID, e.Details["affected_agents"])
		return nil
	}, custody.HandlerOptions{Name: "alarm", Query: custody.Query{Types: []event.Type{event.EmergencyStop}}})
	defer handler.Remove()

	_, err := trail.EmergencyStop(ctx, custody.Stop{Type: "agent", TriggeredBy: "alice", Reason: "it loops", AffectedAgents: []string{"agent-7"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-alarm)
	// Output: alice stopped [agent-7]
}

// newTrail makes a trail for an example, which done ends.
func newTrail() (trail *custody.Trail, done func()) {
	dir, err := os.MkdirTemp("", "custody")
	if err != nil {
		log.Fatal(err)
	}
	path, keys := filepath.Join(dir, "trail"), filepath.Join(dir, "keys")
	if _, err := custody.Create(path, custody.CreateOptions{Origin: "example.org/agents", KeyDir: keys}); err != nil {
		log.Fatal(err)
	}
	if trail, err = custody.Open(path, &custody.Options{KeyDir: keys}); err != nil {
		log.Fatal(err)
	}
	return trail, func() {
		if err := trail.Close(); err != nil {
			log.Fatal(err)
		}
		os.RemoveAll(dir)
	}
}
