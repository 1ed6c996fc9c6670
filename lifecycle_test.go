package custody_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/cloudtrail"
	"github.com/custodylog/custody/ingest/k8saudit"
	"github.com/custodylog/custody/ingest/transcript"
	"github.com/custodylog/custody/retention"
)

// TestLifecycleOfRealData imports what real agents and systems wrote, holds one
// project, erases one user and lets the transcripts of agents expire.
func TestLifecycleOfRealData(t *testing.T) {
	t.Parallel()
	dir, keys := filepath.Join(t.TempDir(), "trail"), t.TempDir()
	if _, err := custody.Create(dir, custody.CreateOptions{Origin: "example.org/real", KeyDir: keys}); err != nil {
		t.Fatal(err)
	}
	trail, err := custody.Open(dir, &custody.Options{KeyDir: keys, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	importAll(t, trail)
	count := func(q custody.Query) (n int) {
		t.Helper()
		for _, err := range trail.Entries(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	const user, project = "bert-jan", "default"
	held := count(custody.Query{ProjectID: project})
	if count(custody.Query{UserID: user}) < 1000 || held < 10 || trail.Size() < 5000 {
		t.Fatal("the data is not what it was")
	}
	if _, err := trail.PlaceHold(t.Context(), custody.Hold{Query: custody.Query{ProjectID: project}, By: "counsel", Reason: "case"}); err != nil {
		t.Fatal(err)
	}

	// The types of the cluster's events are those of the transcripts too, so the
	// hold is what keeps them. A policy counts in days; the data is of today, so
	// it is erased as a policy would.
	var heldErr *custody.HeldError
	transcripts := custody.Erasure{Query: custody.Query{Types: []event.Type{event.ActionExecuted, event.ActionFailed, event.ActionRequested, "assistant_message"}},
		Ground: "retention", By: "operations"}
	if _, err := trail.Erase(t.Context(), transcripts); !errors.As(err, &heldErr) {
		t.Errorf("erased in spite of the hold: %v", err)
	}
	receipt, err := trail.Erase(t.Context(), custody.Erasure{Query: custody.Query{UserID: user}, Ground: "GDPR Art. 17", By: "privacy-desk"})
	if err != nil {
		t.Fatal(err)
	}
	transcripts.ExceptHeld = true
	if _, err := trail.Erase(t.Context(), transcripts); err != nil {
		t.Fatal(err)
	}
	if plan, err := trail.PlanRetention(t.Context(), retention.Default()); err != nil || len(plan.Payloads) > 0 {
		t.Errorf("%v would expire: %v", plan, err)
	}
	if n := count(custody.Query{UserID: user}); n != 0 {
		t.Errorf("%d events of the user are found", n)
	}
	if n := count(custody.Query{ProjectID: project}); n != held {
		t.Errorf("%d of %d events are left that a hold covers", n, held)
	}
	report, err := trail.Verify(t.Context(), custody.VerifyOptions{})
	if err != nil || !report.OK() || len(report.Removed) != 2 || report.Payloads > trail.Size()*6/10 {
		t.Errorf("%v %v, removed by %d events, %d payloads are left of %d", err, report.Findings, len(report.Removed), report.Payloads, trail.Size())
	}
	if report.Removed[0].Gone < 1000 || len(receipt.Events) != 1 {
		t.Errorf("%+v", report.Removed[0])
	}
	for e, err := range trail.Entries(t.Context(), custody.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(e.Payload), user) {
			t.Fatalf("entry %d still names the user", e.Index)
		}
	}
}

func importAll(t *testing.T, trail *custody.Trail) {
	t.Helper()
	read := map[string]func(io.Reader, ingest.Source) iter.Seq2[ingest.Item, error]{
		"claude-code/*.jsonl.gz": transcript.Read, "cloudtrail.ndjson.gz": cloudtrail.Read, "k8s-audit.ndjson": k8saudit.Read,
	}
	for pattern, read := range read {
		names, err := filepath.Glob(filepath.Join("ingest/testdata", pattern))
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			if err := importFile(t.Context(), trail, name, read); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

func importFile(ctx context.Context, trail *custody.Trail, name string, read func(io.Reader, ingest.Source) iter.Seq2[ingest.Item, error]) error {
	r, err := ingest.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	var events []event.Event
	for item, err := range read(r, ingest.Source{Name: filepath.Base(name)}) {
		if err != nil {
			return err
		}
		events = append(events, item.Event)
	}
	if _, err := trail.RecordBatch(ctx, events); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	return nil
}
