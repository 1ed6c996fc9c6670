//go:build ignore

// Generate writes a small trail with every kind of event that a trail's
// directory has to carry: the ones it records about itself, single events and
// batches, a large payload, a redacted one, a change of key.
//
//	go run testdata/golden/generate.go testdata/golden/v2
//
// It is run once for a format version, when that version is released; what it
// wrote stays as it is for ever.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// Anybody can have these keys: they protect nothing.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("custody golden trail: " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: generate DIRECTORY")
	}
	if err := generate(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func generate(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return errors.New(dir + " is there already, and is never written again")
	}
	if _, err := custody.Create(dir, custody.CreateOptions{Origin: "example.com/golden", Signer: key("first")}); err != nil {
		return err
	}
	t, err := custody.Open(dir, &custody.Options{Signer: key("first"), Principal: "service:golden", DiskWarning: -1})
	if err != nil {
		return err
	}
	read := custody.Action{ID: "action-1", Tool: "Read", Type: "file_read", Resource: "notes.txt", Input: map[string]any{"path": "notes.txt"},
		AgentID: "agent-1", ProjectID: "project-1", SessionID: "session-1", UserID: "user-1", CorrelationID: "turn-1"}
	remove := custody.Action{ID: "action-2", Tool: "Bash", Type: "shell", Resource: "/", Destructive: true,
		Input: map[string]any{"command": "rm -rf /", "env": map[string]any{"API_KEY": "not a real one"}}, AgentID: "agent-2", SessionID: "session-1"}
	write := custody.Action{ID: "action-3", Tool: "Write", Type: "file_write", Input: map[string]any{"text": strings.Repeat("0123456789abcdef", 512)}, AgentID: "agent-1"}
	approval := custody.Approval{ID: "approval-1", ExpiresAt: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	granted := approval
	granted.DecidedBy, granted.Scope, granted.Wait = "user-1", "once", 90*time.Second
	for _, record := range []func() (custody.Receipt, error){
		func() (custody.Receipt, error) {
			return t.Record(ctx, event.Event{ID: "session-1-start", Type: event.SessionStarted, AgentID: "agent-1", SessionID: "session-1"})
		},
		func() (custody.Receipt, error) { return t.ActionRequested(ctx, read) },
		func() (custody.Receipt, error) { return t.ActionValidated(ctx, read, custody.Verdict{}) },
		func() (custody.Receipt, error) {
			return t.ActionExecuted(ctx, read, custody.Execution{Duration: 12 * time.Millisecond, OutputBytes: 17})
		},
		func() (custody.Receipt, error) { return t.ActionRequested(ctx, remove) },
		func() (custody.Receipt, error) {
			return t.ActionDenied(ctx, remove, custody.Verdict{Reasons: []string{"deletes outside of the project"}, PolicyID: "policy-1"})
		},
		func() (custody.Receipt, error) { return t.ApprovalRequested(ctx, write, approval) },
		func() (custody.Receipt, error) { return t.ApprovalGranted(ctx, write, granted) },
		func() (custody.Receipt, error) { return t.ActionRequested(ctx, write) },
		func() (custody.Receipt, error) {
			return t.ActionFailed(ctx, write, errors.New("no space left on device"), custody.Execution{ErrorType: "ENOSPC", Layer: "tool"})
		},
		func() (custody.Receipt, error) {
			return t.BudgetWarning(ctx, custody.Budget{AgentID: "agent-1", Scope: "session", Usage: 812345, Limit: 1e6, Threshold: 80})
		},
		func() (custody.Receipt, error) {
			return t.RotateKey(ctx, key("second"), "user-1", "it was time")
		},
		func() (custody.Receipt, error) {
			return t.Record(ctx, event.Event{Type: "not_registered", Details: map[string]any{"text": "zoë \"q\" \\ 😀", "number": 0.1, "none": nil}})
		},
		func() (custody.Receipt, error) {
			return t.EmergencyStop(ctx, custody.Stop{Type: "session", TriggeredBy: "user-1", Reason: "drill", AffectedAgents: []string{"agent-1", "agent-2"}})
		},
	} {
		if _, err := record(); err != nil {
			return errors.Join(err, t.Close())
		}
	}
	batch := []event.Event{
		{Type: event.AgentPaused, AgentID: "agent-1"},
		{Type: event.AgentPaused, AgentID: "agent-2"},
		{Type: event.SessionEnded, SessionID: "session-1", OccurredAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)},
	}
	if _, err := t.RecordBatch(ctx, batch); err != nil {
		return errors.Join(err, t.Close())
	}
	if err := t.Close(); err != nil {
		return err
	}
	// The lock file names a process of the machine that this ran on.
	return os.Remove(filepath.Join(dir, "lock"))
}
