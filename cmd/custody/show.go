package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/timeline"
	"github.com/custodylog/custody/internal/wire"
)

type showOptions struct {
	id      bool
	json    bool
	raw     bool
	payload bool
}

func newShowCommand(p *program) *cobra.Command {
	var opts showOptions
	cmd := &cobra.Command{
		Use:   "show INDEX|ID [--id] [--json | --raw | --payload]",
		Short: "Show one entry with its hashes and the story of its action",
		Long: `Show one entry, given by its index or by the id of its event: the event, what was
redacted before anything was hashed, the hashes and what they are made of, and what
else was recorded of the same action.

--raw writes the bytes of the entry and --payload those of the payload, exactly as they
were hashed, for checking them with other tools:

  leaf hash  = SHA-256(0x00 || entry)                                   RFC 6962
  commitment = SHA-256("custody payload v1\n" || salt || payload)`,
		GroupID: groupRead,
		Args:    cobra.ExactArgs(1),
		Example: `  custody show 41
  (printf '\0'; custody show 41 --raw) | openssl sha256 -binary | base64`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return interrupted(cmd.Context(), runShow(cmd.Context(), p, opts, args[0]))
		},
	}
	annotate(cmd, `  0  it was done
  1  the entry does not check out; custody verify says why
  2  there is no such entry, or it could not be read`)
	f := cmd.Flags()
	f.BoolVar(&opts.id, "id", false, "the argument is an id, although it looks like an index")
	f.BoolVar(&opts.json, "json", false, "write one JSON object")
	f.BoolVar(&opts.raw, "raw", false, "write the bytes of the entry and nothing else")
	f.BoolVar(&opts.payload, "payload", false, "write the bytes of the payload and nothing else")
	cmd.MarkFlagsMutuallyExclusive("json", "raw", "payload")
	return cmd
}

func runShow(ctx context.Context, p *program, opts showOptions, which string) (err error) {
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	e, err := find(ctx, t, which, opts.id)
	if err != nil {
		return err
	}
	switch {
	case opts.raw:
		_, err = p.out.Write(e.Envelope)
		return err
	case opts.payload && e.Payload == nil:
		return fmt.Errorf("entry %d: its payload is not held any more", e.Index)
	case opts.payload:
		_, err = p.out.Write(e.Payload)
		return err
	}
	env, err := evidence.ParseEntry(e.Envelope)
	if err != nil {
		return err
	}
	ev, err := e.Event()
	if err != nil {
		return err
	}
	chain, err := chainOf(ctx, t, ev.ActionID)
	if err != nil {
		return err
	}
	if opts.json {
		return writeJSON(p.out, showToJSON(&e, &env, chain))
	}
	p.showEvent(&e, &ev)
	p.showSignature(placeOf(t), e.Payload)
	p.showHashes(&e, &env)
	if chain != nil && len(chain.Steps) > 1 {
		p.out.Printf("\n%s  %s\n", p.heading("action"), terminal.Clean(ev.ActionID))
		p.showChain(chain, e.Index)
	}
	return nil
}

// find returns the entry with an index, or of the event with an id.
func find(ctx context.Context, t trail, which string, isID bool) (custody.Entry, error) {
	if index, err := strconv.ParseUint(which, 10, 64); err == nil && !isID {
		e, err := t.Entry(ctx, index)
		if size := t.Size(); err != nil && index >= size {
			err = fmt.Errorf("there is no entry %d: the trail has %s", index, terminal.Plural(size, "entry", "entries"))
			if size > 0 {
				err = withHint(err, "indices go from 0 to %d; if %s is an id, add --id", size-1, which)
			}
		}
		return e, err
	}
	e, err := t.EntryByID(ctx, which)
	if isNotFound(err) {
		err = withHint(fmt.Errorf("there is no event with the id %q", which), "custody query lists what is there; the id of an action is looked for with custody timeline --action")
	}
	return e, err
}

// chainOf returns everything that was recorded of an action, or nil.
func chainOf(ctx context.Context, t trail, action string) (*timeline.Action, error) {
	if action == "" {
		return nil, nil
	}
	steps, err := stepsOf(ctx, t, custody.Query{ActionID: action})
	if err != nil {
		return nil, err
	}
	for _, item := range timeline.Build(steps) {
		if item.Action != nil {
			return item.Action, nil
		}
	}
	return nil, nil
}

func (p *program) heading(s string) string { return p.out.Paint(terminal.Bold, s) }

func (p *program) showEvent(e *custody.Entry, ev *event.Event) {
	meaning := ""
	if spec, ok := event.Lookup(e.Type); ok {
		meaning = "  " + p.out.Paint(terminal.Dim, spec.Doc)
	}
	p.out.Printf("%s  %s%s\n", p.heading(fmt.Sprintf("entry %d", e.Index)), p.out.Paint(severityStyle(ev.Severity), terminal.Clean(string(e.Type))), meaning)
	seq := ""
	if ev.SourceSeq != nil {
		seq = strconv.FormatUint(*ev.SourceSeq, 10)
	}
	p.out.Fields(2,
		terminal.Field{Name: "recorded", Value: wire.Time(e.Time)},
		terminal.Field{Name: "reported", Value: wire.Time(ev.Timestamp)},
		terminal.Field{Name: "occurred", Value: wire.Time(ev.OccurredAt)},
		text("id", ev.ID), text("agent", ev.AgentID), text("action", ev.ActionID), text("project", ev.ProjectID),
		text("session", ev.SessionID), text("user", ev.UserID), text("correlation", ev.CorrelationID),
		text("decision", joinWords(string(ev.Decision), "by", string(ev.DecisionSource))), text("outcome", string(ev.Outcome)),
		text("severity", string(ev.Severity)), text("source", timeline.PathText(ev.Source)), text("principal", ev.Principal), text("source seq", seq),
		text("trace", ev.TraceID), text("span", ev.SpanID), text("parent", ev.ParentID))
	if e.Payload == nil {
		p.out.Printf("\nThe payload is not held any more. Its entry stays, and so do its hashes.\n")
		return
	}
	if len(ev.Details) > 0 {
		p.out.Printf("\n%s\n", p.heading("details"))
		p.out.Fields(2, detailFields(ev.Details)...)
	}
	if len(ev.Redactions) > 0 {
		p.out.Printf("\n%s  removed before anything was hashed\n", p.heading("redactions"))
		var fields []terminal.Field
		for _, r := range ev.Redactions {
			fields = append(fields, text(terminal.Clean(r.Pointer), joinWords(r.Method, "by rule", r.Rule)))
		}
		p.out.Fields(2, fields...)
	}
	if len(ev.Defects) > 0 {
		p.out.Printf("\n%s\n", p.heading("defects"))
		for _, d := range ev.Defects {
			p.out.Printf("  %s\n", terminal.OneLine(d))
		}
	}
}

// text returns a field whose value comes from outside.
func text(name, value string) terminal.Field {
	return terminal.Field{Name: name, Value: terminal.Clean(value)}
}

// joinWords returns "a between b", or what there is of it.
func joinWords(a, between, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " " + between + " " + b
}

// detailFields returns the details by name: texts as they are, the rest as JSON.
func detailFields(details map[string]any) []terminal.Field {
	fields := make([]terminal.Field, 0, len(details))
	for name, v := range details {
		value, ok := v.(string)
		if !ok {
			value = prettyJSON(v)
		}
		if value == "" {
			value = `""`
		}
		fields = append(fields, terminal.Field{Name: terminal.Clean(name), Value: terminal.Lines(value)})
	}
	slices.SortFunc(fields, func(a, b terminal.Field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

// prettyJSON returns v as JSON, on one line if it is short.
func prettyJSON(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	if err == nil && b.Len() > 80 {
		b.Reset()
		enc.SetIndent("", "  ")
		err = enc.Encode(v)
	}
	if err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (p *program) showHashes(e *custody.Entry, env *evidence.Entry) {
	salt, payload := "", "not held"
	if e.Payload != nil {
		salt, payload = base64.StdEncoding.EncodeToString(e.Salt), terminal.Bytes(len(e.Payload))
	}
	p.out.Printf("\n%s\n", p.heading("hashes"))
	p.out.Fields(2,
		terminal.Field{Name: "leaf hash", Value: e.Hash.String()},
		terminal.Field{Name: "previous", Value: env.Prev.String()},
		terminal.Field{Name: "commitment", Value: env.Payload.String()},
		terminal.Field{Name: "salt", Value: salt},
		terminal.Field{Name: "payload", Value: payload},
		terminal.Field{Name: "entry", Value: terminal.Clean(string(e.Envelope))})
}

// showChain prints the steps of an action, the one at index marked.
func (p *program) showChain(a *timeline.Action, index uint64) {
	table := p.out.NewTable(
		terminal.Column{}, terminal.Column{Title: "INDEX", Right: true}, terminal.Column{Title: "HAPPENED"},
		terminal.Column{Title: "AFTER", Right: true}, terminal.Column{Title: "TYPE"}, terminal.Column{Title: "RESULT"}, terminal.Column{Title: "SUMMARY"})
	previous := time.Time{}
	for i := range a.Steps {
		s := &a.Steps[i]
		mark, after := "", ""
		if s.Index == index {
			mark = ">"
		}
		if !previous.IsZero() {
			after = terminal.Duration(s.Time.Sub(previous).Round(time.Microsecond))
		}
		previous = s.Time
		result, style := resultOf(s)
		note := s.Note
		if i == 0 {
			note = s.Summary()
		}
		table.Row(terminal.Cell{Text: mark}, terminal.Cell{Text: strconv.FormatUint(s.Index, 10), Style: terminal.Dim},
			terminal.Cell{Text: terminal.Time(s.Time), Style: terminal.Dim}, terminal.Cell{Text: after},
			terminal.Cell{Text: string(s.Type), Style: severityStyle(s.Severity)}, terminal.Cell{Text: result, Style: style}, terminal.Cell{Text: note})
	}
	table.Flush()
	status := statusCell(a)
	p.out.Printf("  it came to: %s%s%s\n", p.out.Paint(status.Style, status.Text), prefixed("; ", ending(a)), otherEntries(a.Other))
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func otherEntries(n int) string {
	if n == 0 {
		return ""
	}
	return "; " + terminal.Plural(n, "more entry has", "more entries have") + " the action's id"
}

// showJSON is an entry in the JSON output of show.
type showJSON struct {
	wire.Entry
	Bytes      string       `json:"entry"` // the bytes that Hash is of
	Prev       string       `json:"prev"`
	Commitment string       `json:"commitment"`
	Salt       string       `json:"salt,omitempty"`
	Action     *wire.Action `json:"action,omitempty"`
}

func showToJSON(e *custody.Entry, env *evidence.Entry, chain *timeline.Action) showJSON {
	j := showJSON{Entry: wire.EntryOf(e), Bytes: string(e.Envelope), Prev: env.Prev.String(), Commitment: env.Payload.String()}
	if e.Salt != nil {
		j.Salt = base64.StdEncoding.EncodeToString(e.Salt)
	}
	if chain != nil {
		a := wire.ActionOf(chain)
		j.Action = &a
	}
	return j
}
