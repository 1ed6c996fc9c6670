package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/timeline"
	"github.com/custodylog/custody/internal/wire"
)

type timelineOptions struct {
	session, agent, action string
	since, until           string
	all                    bool
	json                   bool
}

func newTimelineCommand(p *program) *cobra.Command {
	var opts timelineOptions
	cmd := &cobra.Command{
		Use:   "timeline (--session | --agent | --action) ID [--since TIME] [--until TIME] [--all] [--json]",
		Short: "Tell what happened, action by action",
		Long: `Tell what happened in a session, what an agent did, or what became of an action: every
action with its decisions, approvals and outcome, and between them what else was
recorded, such as prompts, budgets and emergency stops. How an action ended that
nobody reported is said too: unresolved, or waiting for an approval.

Times are those at which it happened, as the producers say, in UTC; custody show INDEX
has the time of the trail as well. FROM names what was imported from an agent's
transcript: evidence of lower trust, since whoever could write that file could change it.

Entries of types that are not registered are only counted; --all shows those that belong
to no action.`,
		GroupID: groupRead,
		Args:    cobra.NoArgs,
		Example: `  custody timeline --session s-1
  custody timeline --agent agent-7 --since 2h`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := 0
			for _, id := range []string{opts.session, opts.agent, opts.action} {
				if id != "" {
					given++
				}
			}
			if given != 1 {
				return usageError(cmd, errors.New("whose timeline? Give one of --session, --agent and --action"))
			}
			filter := filterFlags{session: opts.session, agent: opts.agent, action: opts.action, since: opts.since, until: opts.until}
			q, err := filter.query(false, time.Now())
			if err != nil {
				return usageError(cmd, err)
			}
			return interrupted(cmd.Context(), runTimeline(cmd.Context(), p, opts, q, filter.describe()))
		},
	}
	annotate(cmd, `  0  it was done, also when nothing matches
  1  an entry does not check out; custody verify says why
  2  it could not be done`)
	f := cmd.Flags()
	f.StringVar(&opts.session, "session", "", "the session with this `ID`")
	f.StringVar(&opts.agent, "agent", "", "the agent with this `ID`")
	f.StringVar(&opts.action, "action", "", "the action with this `ID`")
	f.StringVar(&opts.since, "since", "", "only what was recorded at or after this `TIME`: RFC 3339, a date (UTC), or how long ago (2h, 7d)")
	f.StringVar(&opts.until, "until", "", "only what was recorded before this `TIME`")
	f.BoolVar(&opts.all, "all", false, "entries of unregistered types too")
	f.BoolVar(&opts.json, "json", false, "write NDJSON, one object for each action and each other event")
	return cmd
}

func runTimeline(ctx context.Context, p *program, opts timelineOptions, q custody.Query, asked string) (err error) {
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	steps, err := stepsOf(ctx, t, q)
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		p.nothing(t, asked)
		return nil
	}
	items := timeline.Build(steps)
	if opts.json {
		return timelineToJSON(p, items, opts.all)
	}
	p.showTimeline(items, opts.all)
	return nil
}

// stepsOf returns the steps of all entries that match, in the order of the trail.
func stepsOf(ctx context.Context, t trail, q custody.Query) ([]timeline.Step, error) {
	var steps []timeline.Step
	for e, err := range t.Entries(ctx, q) {
		if err != nil {
			return nil, err
		}
		s, err := timeline.StepOf(&e)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// showTimeline prints items as a table, with the numbers at the end.
func (p *program) showTimeline(items []timeline.Item, all bool) {
	w := newTimelineWriter(p, items)
	count := map[timeline.Status]int{}
	actions, hidden, imported := 0, 0, 0
	for i := range items {
		item := &items[i]
		if item.Action != nil {
			actions++
			count[item.Action.Status]++
			hidden += item.Action.Other
			imported += timeline.Transcripts(item.Action.Steps...)
			w.action(item.Action)
		} else if all || item.Step.Main() {
			imported += timeline.Transcripts(*item.Step)
			w.step(item.Step)
		} else {
			hidden++
		}
	}
	w.table.Flush()
	p.out.Printf("\n%s\n", sumUp(actions, count, hidden, all))
	if imported > 0 {
		p.out.Printf("%s\n", lowerTrust(imported))
	}
}

// lowerTrust says that entries were imported from transcripts.
func lowerTrust(n int) string {
	return terminal.Plural(n, "entry is", "entries are") + " from a transcript: evidence of lower trust, which its writer could have changed"
}

// timelineWriter writes the items of a timeline as a table.
type timelineWriter struct {
	table    *terminal.Table
	agents   bool   // there are several
	imported bool   // some of it is from a transcript
	layout   string // of times
}

func newTimelineWriter(p *program, items []timeline.Item) *timelineWriter {
	w := &timelineWriter{layout: "2006-01-02 15:04:05Z"}
	const day = "2006-01-02"
	first, oneDay, agents := items[0].Time().UTC().Format(day), true, map[string]bool{}
	for i := range items {
		oneDay = oneDay && items[i].Time().UTC().Format(day) == first
		if a := items[i].Action; a != nil {
			agents[a.AgentID()] = true
			w.imported = w.imported || trust(a.Steps...) != ""
		} else {
			w.imported = w.imported || items[i].Step.Transcript()
		}
	}
	columns := []terminal.Column{{Title: "INDEX", Right: true}, {Title: "HAPPENED"}, {Title: "RESULT"}, {Title: "TOOK", Right: true}, {Title: "WHAT"}}
	if oneDay {
		columns[1].Title, w.layout = first, "15:04:05Z"
	}
	if w.agents = len(agents) > 1; w.agents {
		columns = slices.Insert(columns, 2, terminal.Column{Title: "AGENT", Max: 14, Drop: 1})
	}
	if w.imported {
		columns = slices.Insert(columns, 2, terminal.Column{Title: "FROM"})
	}
	w.table = p.out.NewTable(columns...)
	return w
}

func (w *timelineWriter) row(index, at terminal.Cell, agent, from string, result terminal.Cell, took time.Duration, what terminal.Cell) {
	cells := []terminal.Cell{index, at, result, {Text: durationOf(took)}, what}
	if w.agents {
		cells = slices.Insert(cells, 2, terminal.Cell{Text: agent})
	}
	if w.imported {
		cells = slices.Insert(cells, 2, terminal.Cell{Text: from, Style: terminal.Yellow})
	}
	w.table.Row(cells...)
}

func (w *timelineWriter) step(s *timeline.Step) {
	what := terminal.Cell{Text: string(s.Type), Style: severityStyle(s.Severity)}
	if summary := s.Summary(); summary != "" {
		what.Text += ": " + summary
	}
	w.row(indexCell(s.Index), w.timeCell(s.Time), s.AgentID, trust(*s), terminal.Cell{}, s.Took, what)
}

func (w *timelineWriter) action(a *timeline.Action) {
	w.row(indexCell(a.Steps[0].Index), w.timeCell(a.Began()), a.AgentID(), trust(a.Steps...), statusCell(a), a.Took(), terminal.Cell{Text: a.Subject()})
	for i := range a.Steps {
		w.below(aside(&a.Steps[i]))
	}
	w.below(ending(a))
}

// trust says which of the steps of an item were imported from a transcript: evidence of
// lower trust. Empty: none.
func trust(steps ...timeline.Step) string {
	switch timeline.Transcripts(steps...) {
	case 0:
		return ""
	case len(steps):
		return "transcript"
	}
	return "part transcript"
}

// below writes a line that belongs to the action above it.
func (w *timelineWriter) below(what string) {
	if what != "" {
		w.row(terminal.Cell{}, terminal.Cell{}, "", "", terminal.Cell{}, 0, terminal.Cell{Text: "- " + what, Style: terminal.Dim})
	}
}

func indexCell(index uint64) terminal.Cell {
	return terminal.Cell{Text: strconv.FormatUint(index, 10), Style: terminal.Dim}
}

func (w *timelineWriter) timeCell(t time.Time) terminal.Cell {
	return terminal.Cell{Text: t.UTC().Format(w.layout), Style: terminal.Dim}
}

func durationOf(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return terminal.Duration(d)
}

// aside returns what a step of an action is worth saying below the action: who
// decided what and why, and what went wrong. Empty: nothing.
func aside(s *timeline.Step) string {
	switch s.Type {
	case event.ActionRequested:
		return ""
	case event.ActionExecuted, event.ActionFailed, event.ActionCancelled:
		return s.Note // the result stands in the line of the action
	case event.ActionValidated:
		if s.Decision == event.Allow && s.Note == "" {
			return "" // the usual case
		}
	}
	verb := strings.ReplaceAll(strings.TrimPrefix(string(s.Type), "action_"), "_", " ")
	if s.Type == event.ActionValidated {
		verb = string(s.Decision)
	}
	if s.DecisionSource != "" {
		verb += " by " + string(s.DecisionSource)
	}
	if s.Took > 0 {
		verb += " after " + terminal.Duration(s.Took)
	}
	if s.Note == "" {
		return verb
	}
	return verb + ": " + s.Note
}

// ending says what a reader might wonder at in how an action ended. Empty:
// nothing.
func ending(a *timeline.Action) string {
	switch {
	case a.Against:
		return "it ran although it had been denied"
	case a.Disputed:
		return "what was recorded of it does not fit together"
	case a.Status == timeline.Waiting:
		return "nobody has answered"
	case a.Status == timeline.Allowed:
		return "nothing says whether it ran"
	case a.Status == timeline.Unresolved:
		return "nothing says how it ended"
	}
	return ""
}

func statusText(s timeline.Status) string { return strings.ReplaceAll(string(s), "_", " ") }

func statusCell(a *timeline.Action) terminal.Cell {
	c := terminal.Cell{Text: statusText(a.Status), Style: terminal.Yellow}
	switch {
	case a.Against, a.Disputed:
		c.Style = terminal.Alarm
	case a.Status == timeline.Executed:
		c.Style = terminal.Green
	case a.Status == timeline.Failed, a.Status == timeline.Denied:
		c.Style = terminal.Red
	}
	return c
}

// sumUp says how many actions there were and what they came to.
func sumUp(actions int, count map[timeline.Status]int, hidden int, all bool) string {
	said := terminal.Plural(actions, "action", "actions")
	sep := ": "
	for _, s := range []timeline.Status{timeline.Executed, timeline.Failed, timeline.Denied, timeline.Cancelled, timeline.TimedOut,
		timeline.RolledBack, timeline.Allowed, timeline.Waiting, timeline.Unresolved} {
		if count[s] > 0 {
			said += fmt.Sprintf("%s%s %s", sep, terminal.Count(count[s]), statusText(s))
			sep = ", "
		}
	}
	if hidden > 0 && !all {
		said += fmt.Sprintf("; %s of other types not shown (--all)", terminal.Plural(hidden, "entry", "entries"))
	}
	return said
}

func timelineToJSON(p *program, items []timeline.Item, all bool) error {
	for _, item := range wire.ItemsOf(items, all) {
		if err := writeJSON(p.out, item); err != nil {
			return err
		}
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
