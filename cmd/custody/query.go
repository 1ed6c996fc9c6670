package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/textsearch"
	"github.com/custodylog/custody/internal/timeline"
	"github.com/custodylog/custody/internal/wire"
)

type queryOptions struct {
	filter  filterFlags
	text    string
	fields  fieldFlags
	limit   int
	oldest  bool
	json    bool
	countBy string
	follow  bool

	limitSet bool // --limit was given
}

func newQueryCommand(p *program) *cobra.Command {
	opts := queryOptions{limit: 100}
	newest := false
	cmd := &cobra.Command{
		Use:   "query [FILTERS] [--text WORDS] [--oldest] [--limit N] [--json | --count-by PERIOD] [--follow]",
		Short: "Find entries",
		Long: `Print the entries for which every given filter holds, the newest first, as a table. The
time in the table is when the trail recorded the entry. A narrow terminal gets fewer
columns; custody show INDEX has everything.

With --json, one JSON object per line: index, time, hash, type, and the event as it is
stored (docs/cli-json.md). With --follow, the last ten that match (or --limit, or those
from --from on), the oldest first, and then each as it is recorded, until Ctrl-C. With
--count-by, how many there are; --since and --until are widened to whole hours, and
days are those of UTC.

With --text, the entries whose payload says all of the words, in any order and whatever
their case; what is in double quotes is one word, and names of members count. There is
no index of words: it reads every payload that the filters find, until it has --limit
entries or has seen all. Ctrl-C ends it with what it has, and says where to go on.
With --field, those whose payload has a value, such as --field /severity=critical, in the
same way.

Every entry is checked as it is read: one that does not check out ends the query.`,
		GroupID: groupRead,
		Args:    cobra.NoArgs,
		Example: `  custody query --agent agent-7 --since 2h
  custody query --type action_denied,action_failed --oldest --limit 0 --json
  custody query --session s-1 --follow
  custody query --text '"rm -rf" build' --since 7d
  custody query --field /outcome=failure --field /details/tool_name=Bash
  custody query --count-by day --since 30d`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.limitSet = cmd.Flags().Changed("limit")
			if err := opts.check(); err != nil {
				return usageError(cmd, err)
			}
			q, err := opts.filter.query(!opts.oldest && !opts.follow, time.Now())
			if err != nil {
				return usageError(cmd, err)
			}
			return runQuery(cmd.Context(), p, opts, q)
		},
	}
	annotate(cmd, `  0  it was done, also when nothing matches
  1  an entry does not check out; custody verify says why
  2  it could not be done`)
	opts.filter.add(cmd)
	opts.fields.add(cmd)
	f := cmd.Flags()
	f.StringVar(&opts.text, "text", "", "only events that say all of these `WORDS`")
	f.IntVar(&opts.limit, "limit", opts.limit, "at most `N` entries; 0: all")
	f.BoolVar(&newest, "newest", true, "the newest entries first")
	f.BoolVar(&opts.oldest, "oldest", false, "the oldest entries first")
	f.BoolVar(&opts.json, "json", false, "write NDJSON")
	f.StringVar(&opts.countBy, "count-by", "", "count by `PERIOD`, hour or day, and type; or by type only")
	f.BoolVar(&opts.follow, "follow", false, "go on with what is recorded from now on")
	cmd.MarkFlagsMutuallyExclusive("newest", "oldest")
	cmd.MarkFlagsMutuallyExclusive("count-by", "follow")
	cmd.MarkFlagsMutuallyExclusive("oldest", "follow")
	completeValues(cmd, "count-by", []string{"hour", "day", "type"})
	return cmd
}

func (o *queryOptions) check() error {
	if o.limit < 0 {
		return fmt.Errorf("--limit %d: expected 0 (all) or more", o.limit)
	}
	switch o.countBy {
	case "", "hour", "day", "type":
	default:
		return fmt.Errorf("--count-by %q is none of hour, day, type", o.countBy)
	}
	switch words, err := textsearch.Parse(o.text); {
	case err != nil:
		return fmt.Errorf("--text: %w", err)
	case len(words) == 0:
		o.text = "" // as if it were not given
	}
	if err := o.fields.parse(); err != nil {
		return err
	}
	if o.searches() && (o.countBy != "" || o.follow) {
		return errors.New("--text and --field find entries that are there: they go neither with --count-by nor with --follow")
	}
	if o.follow && o.filter.to != 0 {
		return errors.New("--follow goes on for ever, --to ends it: give one of them")
	}
	return nil
}

// searches reports whether payloads have to be looked through.
func (o *queryOptions) searches() bool { return o.text != "" || len(o.fields.want) > 0 }

func runQuery(ctx context.Context, p *program, opts queryOptions, q custody.Query) (err error) {
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	switch {
	case opts.countBy != "":
		return interrupted(ctx, runCount(ctx, p, t, opts, q))
	case opts.follow:
		return runFollow(ctx, p, t, opts, q)
	case opts.searches():
		return runSearch(ctx, p, t, opts, q)
	}
	w := newEntryWriter(p, opts.json)
	if opts.limit > 0 {
		q.Limit = opts.limit + 1 // one more shows that there is more
	}
	n, last := 0, uint64(0)
	more := false
	for e, err := range t.Entries(ctx, q) {
		if err != nil {
			w.flush()
			return interrupted(ctx, err)
		}
		if opts.limit > 0 && n == opts.limit {
			more = true
			break
		}
		if err := w.write(&e); err != nil {
			return err
		}
		n, last = n+1, e.Index
	}
	if n == 0 {
		p.nothing(t, opts.filter.describe())
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	if w.imported > 0 {
		p.note("%s", lowerTrust(w.imported))
	}
	if more && !opts.json {
		p.note("%s shown; there are more: --after %d goes on, --limit 0 shows all", terminal.Plural(n, "entry", "entries"), last)
	}
	return nil
}

// nothing says on standard error that no entry was found.
func (p *program) nothing(t trail, asked string) {
	if asked != "" {
		asked = " (" + terminal.OneLine(asked) + ")"
	}
	p.note("none of %s in %s matches%s", terminal.Plural(t.Size(), "entry", "entries"), placeOf(t), asked)
}

// followed is how many entries --follow begins with.
const followed = 10

// runFollow prints the newest entries and then what comes, until it is
// interrupted.
func runFollow(ctx context.Context, p *program, t trail, opts queryOptions, q custody.Query) error {
	w := newEntryWriter(p, opts.json)
	if opts.filter.from == 0 && opts.filter.after == "" {
		size := t.Size()
		before := q
		before.Newest, before.To, before.Limit = true, size, followed
		if opts.limitSet {
			before.Limit = opts.limit
		}
		var found []custody.Entry
		for e, err := range t.Entries(ctx, before) {
			if err != nil {
				return interrupted(ctx, err)
			}
			found = append(found, e)
		}
		for _, e := range slices.Backward(found) {
			if err := w.write(&e); err != nil {
				return err
			}
		}
		q.From = size
	}
	if err := w.flush(); err != nil {
		return err
	}
	q.To, q.Limit = 0, 0
	for e, err := range t.Subscribe(ctx, q) {
		if err != nil {
			if ctx.Err() != nil {
				return nil // that is how it ends
			}
			return err
		}
		if err := errors.Join(w.write(&e), w.flush()); err != nil {
			return err
		}
	}
	return nil
}

// entryWriter writes entries as a table or as NDJSON.
type entryWriter struct {
	p     *program
	json  bool
	table *terminal.Table

	imported int // of the entries in the table, those from transcripts
}

func newEntryWriter(p *program, json bool) *entryWriter {
	w := &entryWriter{p: p, json: json}
	if !json {
		w.table = p.out.NewTable(
			terminal.Column{Title: "INDEX", Right: true},
			terminal.Column{Title: "RECORDED", Min: len("2006-01-02 15:04:05Z")},
			terminal.Column{Title: "TYPE", Min: 16, Max: 22},
			terminal.Column{Title: "AGENT", Min: 11, Max: 14, Drop: 2},
			terminal.Column{Title: "ACTION", Min: 8, Max: 14, Drop: 1},
			terminal.Column{Title: "RESULT", Min: 7, Max: 16},
			terminal.Column{Title: "SUMMARY"})
	}
	return w
}

func (w *entryWriter) write(e *custody.Entry) error {
	if w.json {
		return writeJSON(w.p.out, wire.EntryOf(e))
	}
	s, err := timeline.StepOf(e)
	if err != nil {
		return err
	}
	w.imported += timeline.Transcripts(s)
	result, style := resultOf(&s)
	summary := s.Summary()
	if s.Erased {
		summary = "the payload is not held"
	}
	w.table.Row(
		terminal.Cell{Text: fmt.Sprint(s.Index), Style: terminal.Dim},
		terminal.Cell{Text: terminal.Time(s.Recorded), Style: terminal.Dim},
		terminal.Cell{Text: string(s.Type), Style: severityStyle(s.Severity)},
		terminal.Cell{Text: s.AgentID},
		terminal.Cell{Text: s.ActionID},
		terminal.Cell{Text: result, Style: style},
		terminal.Cell{Text: summary})
	return nil
}

func (w *entryWriter) flush() error {
	if w.json {
		return w.p.out.Flush()
	}
	return w.table.Flush()
}

// resultOf returns what was decided or what happened, the latter if both are
// known.
func resultOf(s *timeline.Step) (string, terminal.Style) {
	result := string(s.Outcome)
	if result == "" {
		result = string(s.Decision)
	}
	switch result {
	case string(event.Deny), string(event.OutcomeDenied), string(event.OutcomeFailure), string(event.DecisionEmergencyStop):
		return result, terminal.Red
	case string(event.Allow), string(event.OutcomeSuccess):
		return result, terminal.Green
	}
	return result, terminal.Yellow
}

func severityStyle(s event.Severity) terminal.Style {
	switch {
	case s.AtLeast(event.SeverityCritical):
		return terminal.Alarm
	case s.AtLeast(event.SeverityError):
		return terminal.Red
	case s.AtLeast(event.SeverityWarning):
		return terminal.Yellow
	}
	return terminal.Plain
}
