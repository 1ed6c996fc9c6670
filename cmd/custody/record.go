package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/internal/terminal"
)

type recordOptions struct {
	fields eventFlags

	strict    bool
	async     bool
	batch     int
	keepGoing bool
	json      bool
	quiet     bool
	receipts  string
}

// eventFlags are the flags that one event is made of.
type eventFlags struct {
	typ, id, agent, action, project, session, user, correlation, parent string
	decision, decisionSource, outcome, severity, occurredAt             string
	details                                                             []string
	detailJSON                                                          string
}

func newRecordCommand(p *program) *cobra.Command {
	opts := recordOptions{batch: 1000}
	cmd := &cobra.Command{
		Use:   "record (--type TYPE [EVENT FLAGS] | [FILE]) [FLAGS]",
		Short: "Record events: one from flags, or many from JSON",
		Long: `Record events in the trail. Each is redacted, checked and synced to the disk before
its receipt is printed.

With --type, one event is made of the flags. Without, events are read as JSON from FILE,
or from standard input when there is none or it is -: one object per line, or one array
of objects. FILE may be compressed (gzip, zstd). Members have the names of
docs/events.md; common other spellings are read too.

What breaks the rules of its type is stored with a list of its defects, and said on
standard error; with --strict it is refused. What cannot be recorded at all ends the
command: everything before it is recorded, and the error names the line. With
--keep-going the rest is recorded too.

An event with an id that the trail holds already is not recorded twice: its receipt
is that of the first time. So a file may be recorded again after a failure if its
events have ids.

A receipt is the index, the id and the hash of the entry. With --receipts each is kept
as a file that proves by itself what was recorded, so that the producer can show it even
if the trail should lose it: custody check takes it. Ctrl-C ends the command
when what was accepted is on the disk, and says how much that is.`,
		GroupID: groupWrite,
		Args:    cobra.MaximumNArgs(1),
		Example: `  custody record --type action_denied --agent agent-7 --action a-1 --session s-1 \
      --decision deny --decision-source policy \
      --detail tool_name=Bash --detail 'reasons=["rm outside the project"]'
  my-agent --events | custody record --quiet
  custody record --strict --json events.ndjson.gz > receipts.ndjson`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.batch < 1 {
				return usageError(cmd, fmt.Errorf("--batch %d: at least one event has to be written at once", opts.batch))
			}
			if opts.fields.typ != "" {
				if len(args) > 0 {
					return usageError(cmd, fmt.Errorf("--type makes one event of the flags; %s cannot be read with it", args[0]))
				}
				e, notes, err := opts.fields.event(time.Now())
				if err != nil {
					return usageError(cmd, err)
				}
				return runRecordOne(cmd.Context(), p, opts, e, notes)
			}
			if name := eventFlag(cmd.Flags()); name != "" {
				return usageError(cmd, fmt.Errorf("--%s belongs to one event, which needs --type", name))
			}
			return runRecordMany(cmd.Context(), p, opts, args)
		},
	}
	annotate(cmd, `  0  everything was recorded
  1  the trail does not check out, so nothing was recorded; custody verify says why
  2  something was not recorded: standard error says what, and how much was`)
	f := cmd.Flags()
	f.StringVar(&opts.fields.typ, "type", "", "`TYPE` of the event, such as action_denied")
	f.StringVar(&opts.fields.agent, "agent", "", "`ID` of the agent that acts")
	f.StringVar(&opts.fields.action, "action", "", "`ID` that joins request, decision and outcome of one action")
	f.StringVar(&opts.fields.project, "project", "", "`ID` of the project")
	f.StringVar(&opts.fields.session, "session", "", "`ID` of the session")
	f.StringVar(&opts.fields.user, "user", "", "`ID` of the person on whose behalf, or who decided")
	f.StringVar(&opts.fields.decision, "decision", "", "what was allowed: "+values(event.Decisions()))
	f.StringVar(&opts.fields.decisionSource, "decision-source", "", "who decided: "+values(event.DecisionSources()))
	f.StringVar(&opts.fields.outcome, "outcome", "", "what happened: "+values(event.Outcomes()))
	f.StringVar(&opts.fields.severity, "severity", "", values(event.Severities())+" (default: that of the type)")
	f.StringVar(&opts.fields.correlation, "correlation", "", "`ID` that joins events across agents")
	f.StringVar(&opts.fields.id, "id", "", "`ID` of the event, for whoever may record it twice (default: a new UUIDv7)")
	f.StringVar(&opts.fields.parent, "parent", "", "`ID` of the event that led to this one")
	f.StringVar(&opts.fields.occurredAt, "occurred-at", "", "`TIME` at which it happened: RFC 3339, a date, or 5m for five minutes ago")
	f.StringArrayVar(&opts.fields.details, "detail", nil, "`NAME=VALUE`, repeatable; a value that is JSON is taken as that")
	f.StringVar(&opts.fields.detailJSON, "detail-json", "", "`OBJECT` with details")
	f.BoolVar(&opts.strict, "strict", false, "refuse what breaks the rules of its type")
	f.BoolVar(&opts.keepGoing, "keep-going", false, "go on after an event that cannot be recorded")
	f.BoolVar(&opts.async, "async", false, "do not wait for the disk after each event: faster, and a crash loses what was not flushed; receipts hold only the id")
	f.IntVar(&opts.batch, "batch", opts.batch, "at most `N` events are written at once; fewer when no more are there")
	f.BoolVar(&opts.json, "json", false, "write receipts as NDJSON")
	f.BoolVar(&opts.quiet, "quiet", false, "write no receipts")
	f.StringVar(&opts.receipts, "receipts", "", "keep a receipt that proves itself for each event, as `DIR`/INDEX.tlog-proof")
	cmd.MarkFlagsMutuallyExclusive("json", "quiet")
	cmd.MarkFlagsMutuallyExclusive("receipts", "async")
	cmd.MarkFlagDirname("receipts")
	completeValues(cmd, "type", typeNames())
	completeValues(cmd, "decision", valueNames(event.Decisions()))
	completeValues(cmd, "decision-source", valueNames(event.DecisionSources()))
	completeValues(cmd, "outcome", valueNames(event.Outcomes()))
	completeValues(cmd, "severity", valueNames(event.Severities()))
	return cmd
}

// eventFlag returns the name of a flag of one event that was given, or "".
func eventFlag(f *pflag.FlagSet) string {
	name := ""
	f.Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "agent", "action", "project", "session", "user", "decision", "decision-source", "outcome", "severity",
			"correlation", "id", "parent", "occurred-at", "detail", "detail-json":
			name = f.Name
		}
	})
	return name
}

// event makes the event. notes are its defects.
func (f *eventFlags) event(now time.Time) (event.Event, []string, error) {
	e := event.Event{Type: event.Type(f.typ), ID: f.id, AgentID: f.agent, ActionID: f.action, ProjectID: f.project,
		SessionID: f.session, UserID: f.user, CorrelationID: f.correlation, ParentID: f.parent}
	if !event.ValidType(f.typ) {
		return e, nil, fmt.Errorf("--type %q: a type is a lower-case letter and then up to 127 letters, digits, '_', '.' or '-'", f.typ)
	}
	var ok bool
	if e.Decision, ok = event.ParseDecision(f.decision); !ok && f.decision != "" {
		return e, nil, unknownValue("decision", f.decision, event.Decisions())
	}
	if e.DecisionSource, ok = event.ParseDecisionSource(f.decisionSource); !ok && f.decisionSource != "" {
		return e, nil, unknownValue("decision-source", f.decisionSource, event.DecisionSources())
	}
	if e.Outcome, ok = event.ParseOutcome(f.outcome); !ok && f.outcome != "" {
		return e, nil, unknownValue("outcome", f.outcome, event.Outcomes())
	}
	if e.Severity, ok = event.ParseSeverity(f.severity); !ok && f.severity != "" {
		return e, nil, unknownValue("severity", f.severity, event.Severities())
	}
	var err error
	if e.OccurredAt, err = parseTime(f.occurredAt, now); err != nil {
		return e, nil, fmt.Errorf("--occurred-at: %w", err)
	}
	notes, err := f.setDetails(&e)
	return e, notes, err
}

func (f *eventFlags) setDetails(e *event.Event) (notes []string, err error) {
	e.Details = map[string]any{}
	if f.detailJSON != "" {
		d, n, err := event.Decode([]byte(`{"details":` + f.detailJSON + `}`))
		if err != nil || !json.Valid([]byte(f.detailJSON)) || !strings.HasPrefix(strings.TrimSpace(f.detailJSON), "{") {
			return nil, fmt.Errorf("--detail-json %.60q is not a JSON object", f.detailJSON)
		}
		notes = n
		maps.Copy(e.Details, d.Details)
	}
	for _, detail := range f.details {
		name, value, ok := strings.Cut(detail, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--detail %.60q: expected NAME=VALUE", detail)
		}
		e.Details[name] = jsonOrText(value)
	}
	return notes, nil
}

// jsonOrText returns the value that s is in JSON, or s itself.
func jsonOrText(s string) any {
	if !json.Valid([]byte(s)) {
		return s
	}
	d, _, err := event.Decode([]byte(`{"details":{"value":` + s + `}}`))
	if err != nil {
		return s // such as an object that has a name twice
	}
	return d.Details["value"]
}

func unknownValue(flag, value string, set []event.ValueDoc) error {
	return fmt.Errorf("--%s %q is none of %s", flag, value, values(set))
}

func values(set []event.ValueDoc) string { return strings.Join(valueNames(set), ", ") }

func valueNames(set []event.ValueDoc) []string {
	names := make([]string, len(set))
	for i, v := range set {
		names[i] = v.Value
	}
	return names
}

func typeNames() []string {
	var names []string
	for _, spec := range event.Types() {
		names = append(names, string(spec.Type))
	}
	return names
}

// completeValues lets the shell complete the values of a flag.
func completeValues(cmd *cobra.Command, flag string, names []string) {
	cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
}

func (o *recordOptions) open(ctx context.Context, p *program) (trail, error) {
	t := &custody.Options{Async: o.async, ProveReceipts: o.receipts != ""}
	if o.strict {
		t.Mode = event.Strict
	}
	return p.open(ctx, t)
}

func runRecordOne(ctx context.Context, p *program, opts recordOptions, e event.Event, notes []string) (err error) {
	t, err := opts.open(ctx, p)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	r := newRecorder(p, t, opts)
	r.record(ctx, []input{{event: e, notes: notes}})
	r.flush(ctx)
	return r.err
}

func runRecordMany(ctx context.Context, p *program, opts recordOptions, args []string) (err error) {
	source, name := p.in, "standard input"
	if len(args) == 1 && args[0] != "-" {
		f, err := ingest.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		source, name = f, args[0]
	} else if terminal.IsTerminal(p.in) {
		p.note("Reading events from the terminal: one JSON object per line, Ctrl-D ends.")
	}
	t, err := opts.open(ctx, p)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	r := newRecorder(p, t, opts)
	r.source = name
	r.recordAll(ctx, source)
	r.flush(ctx)
	return r.conclude(ctx)
}

// errSomeRefused says that --keep-going went over events that were refused.
var errSomeRefused = errors.New("some events were refused")
