package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/transcript"
	"github.com/custodylog/custody/internal/reconcile"
	"github.com/custodylog/custody/internal/recording"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

// reconcileFormat is a form in which calls are written down elsewhere.
type reconcileFormat struct {
	name, short, long, example string
	extensions                 []string // of its files in a directory
	read                       func(*reconcile.Calls, io.Reader, string, reconcile.Map) (reconcile.Read, error)
}

var reconcileFormats = []reconcileFormat{
	{
		name: "claude", short: "With session transcripts of Claude Code", extensions: []string{".jsonl"},
		long: `Compare the trail with session transcripts of Claude Code: the .jsonl files below
~/.claude/projects, or one of them.`,
		example: "  custody reconcile claude ~/.claude/projects/-home-me-project",
		read: func(c *reconcile.Calls, r io.Reader, name string, _ reconcile.Map) (reconcile.Read, error) {
			return c.ReadTranscript(r, name, transcript.Read)
		},
	},
	{
		name: "otlp", short: "With exports of OpenTelemetry in JSON", extensions: []string{".json", ".jsonl"},
		long: `Compare the trail with logs and traces that agents told OpenTelemetry: exports in
JSON (OTLP), one on each line.`,
		example: "  custody reconcile otlp otel-logs.jsonl",
		read: func(c *reconcile.Calls, r io.Reader, name string, _ reconcile.Map) (reconcile.Read, error) {
			return c.ReadOTLP(r, name)
		},
	},
	{
		name: "events", short: "With events of another trail", extensions: []string{".ndjson", ".jsonl", ".json"},
		long:    `Compare the trail with events that custody export or custody query --json wrote of another one.`,
		example: "  custody reconcile events other.ndjson",
		read: func(c *reconcile.Calls, r io.Reader, name string, _ reconcile.Map) (reconcile.Read, error) {
			return c.ReadEvents(r, name)
		},
	},
	{
		name: "log", short: "With the log of a gateway", extensions: []string{".log", ".ndjson", ".jsonl", ".json"},
		long: `Compare the trail with a log that has a JSON object on each line, such as that of a gateway.
--map says where in it is what: the tool, and as far as they are there, the id of the call,
the session, agent, input, time, decision and outcome. Times are RFC 3339 or seconds or
milliseconds since 1970, outcomes words, true and false, or a status of HTTP.`,
		example: "  custody reconcile log gateway.log --map tool=/params/name --map id=/id --map time=/ts",
		read: func(c *reconcile.Calls, r io.Reader, name string, m reconcile.Map) (reconcile.Read, error) {
			return c.ReadLog(r, name, m)
		},
	},
}

type reconcileOptions struct {
	sessions, tools []string
	since, until    string
	fields          []string // --map
	record, json    bool
}

func newReconcileCommand(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare the trail with what is written down elsewhere",
		Long: `Compare the calls of tools that the trail holds with those that something else has written
down: which are there and not here, which are here and not there, and of which the two do
not say the same. That finds omissions, which verifying cannot: a trail proves what was
recorded, never that everything was.

Calls are matched by the id that the agent gave them, or else by session, tool, digest of
the input and order. What the trail is compared with is evidence of lower trust than the
trail: whoever may write it can change it. What was imported into the trail counts for
nothing here, since it comes from the same places. docs/reconcile.md shows how to read
the result.`,
		GroupID: groupProve,
		Example: `  custody reconcile claude ~/.claude/projects
  custody reconcile log gateway.log --map tool=/params/name --map id=/id --map time=/ts`,
	}
	for i := range reconcileFormats {
		cmd.AddCommand(newReconcileFormatCommand(p, &reconcileFormats[i]))
	}
	return cmd
}

func newReconcileFormatCommand(p *program, f *reconcileFormat) *cobra.Command {
	var opts reconcileOptions
	use := f.name + " PATH..."
	if f.name == "log" {
		use += " --map NAME=POINTER..."
	}
	cmd := &cobra.Command{
		Use:   use + " [--session ID]... [--record] [--json]",
		Short: f.short,
		Long: f.long + `

PATH is a file, a directory with files that end in ` + strings.Join(f.extensions, ", ") + ` (or in that and .gz
or .zst), or - for standard input. Calls that are only in the trail are told of from the
first to the last time that the files have.`,
		Args:    cobra.MinimumNArgs(1),
		Example: f.example,
		RunE: func(cmd *cobra.Command, args []string) error {
			var fields reconcile.Map
			if f.name == "log" {
				var err error
				if fields, err = reconcile.ParseMap(opts.fields); err != nil {
					return usageError(cmd, fmt.Errorf("--map %w", err))
				}
			}
			chosen := filterFlags{since: opts.since, until: opts.until}
			bounds, err := chosen.query(false, time.Now())
			if err != nil {
				return usageError(cmd, err)
			}
			return interrupted(cmd.Context(), runReconcile(cmd.Context(), p, f, opts, fields, bounds, args))
		},
	}
	annotate(cmd, `  0  the trail has every call that ran, and tells the same of it
  1  a call is missing in the trail, or told otherwise; or the trail does not check out
  2  it could not be done`)
	flags := cmd.Flags()
	if f.name == "log" {
		flags.StringArrayVar(&opts.fields, "map", nil, "`NAME=POINTER`: where in a record is the tool, id, session, agent, input, time, decision or outcome; repeatable")
	}
	flags.StringArrayVar(&opts.sessions, "session", nil, "only calls of the session with this `ID`; repeatable")
	flags.StringArrayVar(&opts.tools, "tool", nil, "only calls of the tool with this `NAME`, without its MCP server; repeatable")
	flags.StringVar(&opts.since, "since", "", "only calls at or after this `TIME`: RFC 3339, a date (UTC), or how long ago (2h, 7d)")
	flags.StringVar(&opts.until, "until", "", "only calls before this `TIME`")
	flags.BoolVar(&opts.record, "record", false, "record a gap_detected event for every call that is missing; once, however often it is run")
	flags.BoolVar(&opts.json, "json", false, "write one JSON object")
	return cmd
}

// reconcileJSON is the result of a comparison.
type reconcileJSON struct {
	OK         bool             `json:"ok"`
	Sources    int              `json:"sources"`
	Records    int              `json:"records"`
	Unread     int              `json:"not_understood"`
	First      string           `json:"first"`
	Last       string           `json:"last"`
	There      int              `json:"there"`
	Here       int              `json:"here"`
	ByID       int              `json:"matched_by_id"`
	ByContent  int              `json:"matched_by_content"`
	NotHeld    int              `json:"payloads_not_held"`
	Imported   int              `json:"imported"`
	Waiting    int              `json:"waiting_in_spool"`
	Missing    []callJSON       `json:"missing"`
	NotRun     []callJSON       `json:"not_run"`
	OnlyHere   []callJSON       `json:"only_here"`
	Differing  []differenceJSON `json:"differing"`
	Recorded   int              `json:"recorded"`
	RecordedIn []uint64         `json:"recorded_in"`
}

// callJSON is a call, as one side tells of it.
type callJSON struct {
	ID       string  `json:"call_id,omitempty"`
	Session  string  `json:"session_id,omitempty"`
	Agent    string  `json:"agent_id,omitempty"`
	Tool     string  `json:"tool_name,omitempty"`
	Input    string  `json:"input_digest,omitempty"`
	Time     string  `json:"time,omitempty"`
	Decision string  `json:"decision,omitempty"`
	Outcome  string  `json:"outcome,omitempty"`
	Index    *uint64 `json:"index,omitempty"`
	Source   string  `json:"source,omitempty"`
	Line     int     `json:"line,omitempty"`
}

type differenceJSON struct {
	What  []string `json:"what"`
	There callJSON `json:"there"`
	Here  callJSON `json:"here"`
}

func callJSONOf(c *reconcile.Call) callJSON {
	j := callJSON{c.ID, c.Session, c.Agent, c.Tool, c.Input, wire.Time(c.At), string(c.Decision), string(c.Outcome), nil, c.Source, c.Line}
	if c.Source == "" {
		j.Index = &c.Index
	}
	return j
}

func callsJSON(calls []*reconcile.Call) []callJSON {
	all := make([]callJSON, len(calls))
	for i, c := range calls {
		all[i] = callJSONOf(c)
	}
	return all
}

func runReconcile(ctx context.Context, p *program, f *reconcileFormat, opts reconcileOptions, fields reconcile.Map, bounds custody.Query, args []string) (err error) {
	files, _, err := sources(&importFormat{extensions: f.extensions}, args)
	if err != nil {
		return err
	}
	there := &reconcile.Calls{}
	j := reconcileJSON{Sources: len(files), RecordedIn: []uint64{}}
	for _, name := range files {
		n, err := readCalls(p, f, there, name, fields)
		if err != nil {
			return err
		}
		j.Records, j.Unread = j.Records+n.Records, j.Unread+n.Unread
	}
	chosen := func(c *reconcile.Call) bool { return opts.chosen(c, &bounds) }
	if !slices.ContainsFunc(there.All(), chosen) {
		return noCall(there, &j)
	}
	t, err := p.open(ctx, &custody.Options{ReadOnly: !opts.record})
	if err != nil {
		return err
	}
	defer closing(t, &err)
	here := &reconcile.Calls{Within: reconcile.ScopeOf(there.All())}
	var first time.Time // when the trail recorded its first call by itself
	for e, err := range t.Entries(ctx, custody.Query{Types: reconcile.Types}) {
		if err != nil {
			return err
		}
		if e.Payload == nil {
			j.NotHeld++
			continue
		}
		ev, err := e.Event()
		if err != nil {
			return err
		}
		if reconcile.IsImported(ev.Source) {
			j.Imported++
			continue
		}
		if first.IsZero() {
			first = e.Time
		}
		here.AddEvent(&ev, e.Time, reconcile.Call{Index: e.Index})
	}
	if p.onServer != nil && p.onServer.Withheld() {
		return withHint(errors.New("the server does not show what events say to whose token this is, so there is nothing to compare with"), "the role auditor may see it; docs/http.md says who may do what")
	}
	if box, err := p.hookSpool(""); err == nil {
		if j.Waiting, err = box.Waiting(); err != nil {
			return err
		}
	}
	r := reconcile.Compare(there.All(), here.All(), chosen)
	if opts.record && j.Waiting > 0 {
		return withHint(fmt.Errorf("%s on this machine to be recorded, and may be of calls that are missing", terminal.Plural(j.Waiting, "message waits", "messages wait")), "custody hook --flush%s records them; then --record says what is missing", p.trailFlag())
	}
	if opts.record {
		if err := recordGaps(ctx, t, f.name, r.Missing, &j); err != nil {
			return err
		}
	}
	if opts.json {
		err = writeJSON(p.out, j.of(r))
	} else {
		p.showReconciled(t, r, &j, first)
	}
	if err == nil && !r.OK() {
		err = errFindings
	}
	return err
}

// noCall says that there is nothing to compare the trail with.
func noCall(there *reconcile.Calls, j *reconcileJSON) error {
	where := terminal.Plural(j.Sources, "source", "sources")
	switch {
	case len(there.All()) > 0:
		return fmt.Errorf("none of the %s in %s is one of those that --session, --tool, --since and --until ask for", terminal.Plural(len(there.All()), "call", "calls"), where)
	case j.Unread > 0:
		return withHint(fmt.Errorf("there is no call in %s: of %s %s not understood", where, terminal.Plural(j.Records, "record", "records"), terminal.Plural(j.Unread, "was", "were")), "is it of another format? custody reconcile --help lists them")
	}
	return withHint(fmt.Errorf("there is no call in %s", where), "is it of another format, or does --map lead elsewhere? custody reconcile --help lists the formats")
}

// readCalls adds the calls of a file, or of standard input.
func readCalls(p *program, f *reconcileFormat, to *reconcile.Calls, name string, fields reconcile.Map) (reconcile.Read, error) {
	file := p.in
	if name == "-" {
		name = "standard input"
	} else {
		opened, err := os.Open(name)
		if err != nil {
			return reconcile.Read{}, err
		}
		defer opened.Close()
		file = opened
	}
	r, err := ingest.Decompress(file)
	if err != nil {
		return reconcile.Read{}, fmt.Errorf("%s: %w", name, err)
	}
	return f.read(to, r, name, fields)
}

// chosen reports whether a call is one of those that the flags ask for.
func (o *reconcileOptions) chosen(c *reconcile.Call, bounds *custody.Query) bool {
	return (len(o.sessions) == 0 || slices.Contains(o.sessions, c.Session)) && (len(o.tools) == 0 || slices.Contains(o.tools, c.Tool)) &&
		!c.At.Before(bounds.Since) && (bounds.Until.IsZero() || c.At.Before(bounds.Until))
}

// recordGaps records that calls are missing.
func recordGaps(ctx context.Context, t trail, source string, missing []*reconcile.Call, j *reconcileJSON) error {
	same := map[string]int{} // calls that nothing tells apart, by the id that their events have
	for batch := range slices.Chunk(missing, importBatch) {
		events := make([]event.Event, len(batch))
		for i, c := range batch {
			events[i] = c.Gap(source)
			id := events[i].ID
			if n := same[id]; n > 0 {
				events[i].ID += ":" + strconv.Itoa(n)
			}
			same[id]++
		}
		receipts, err := recording.Record(ctx, t, events)
		for i := range receipts {
			if j.RecordedIn = append(j.RecordedIn, receipts[i].Index); !receipts[i].Duplicate {
				j.Recorded++
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (j reconcileJSON) of(r *reconcile.Result) reconcileJSON {
	j.OK, j.First, j.Last, j.There, j.Here = r.OK(), wire.Time(r.First), wire.Time(r.Last), r.There, r.Here
	j.ByID, j.ByContent, j.Missing, j.NotRun, j.OnlyHere, j.Differing = r.ByID, r.ByContent, callsJSON(r.Missing), callsJSON(r.NotRun), callsJSON(r.Only), []differenceJSON{}
	for _, d := range r.Differing {
		j.Differing = append(j.Differing, differenceJSON{d.What, callJSONOf(d.There), callJSONOf(d.Here)})
	}
	return j
}

// maxCallsShown is how many calls of each kind are shown to people.
const maxCallsShown = 50

func (p *program) showReconciled(t trail, r *reconcile.Result, j *reconcileJSON, first time.Time) {
	times := ""
	if !r.First.IsZero() {
		times = fmt.Sprintf(", from %s to %s", terminal.Time(r.First), terminal.Time(r.Last))
	}
	p.out.Fields(0,
		terminal.Field{Name: "trail", Value: placeOf(t)},
		terminal.Field{Name: "there", Value: fmt.Sprintf("%s in %s%s", terminal.Plural(r.There, "call", "calls"), terminal.Plural(j.Sources, "source", "sources"), times)},
		terminal.Field{Name: "here", Value: terminal.Plural(r.Here, "call", "calls") + " that may be of these"},
		terminal.Field{Name: "in both", Value: fmt.Sprintf("%s by their ids, %s by session, tool and input", terminal.Count(r.ByID), terminal.Count(r.ByContent))})
	p.showCalls(terminal.Red, "MISSING", "that the trail does not have", r.Missing)
	if early := countBefore(r.Missing, first); early > 0 {
		p.out.Printf("%s of these before the trail recorded its first call; --since %s leaves them out\n", terminal.Plural(early, "was", "were"), first.UTC().Format(time.RFC3339))
	}
	if len(r.Differing) > 0 {
		p.out.Printf("\n%s  %s\n", p.out.Paint(terminal.Red, "TOLD OTHERWISE"), p.heading(terminal.Plural(len(r.Differing), "call", "calls")))
		table := p.out.NewTable(terminal.Column{Title: "WHAT"}, terminal.Column{Title: "THERE"}, terminal.Column{Title: "HERE"}, terminal.Column{Title: "INDEX", Right: true}, terminal.Column{Title: "TOOL"}, terminal.Column{Title: "CALL"})
		for _, d := range r.Differing[:min(len(r.Differing), maxCallsShown)] {
			for _, what := range d.What {
				says, is := string(d.There.Outcome), string(d.Here.Outcome)
				if what == "decision" {
					says, is = string(d.There.Decision), string(d.Here.Decision)
				}
				table.Row(terminal.Cell{Text: what}, terminal.Cell{Text: says}, terminal.Cell{Text: is}, indexCell(d.Here.Index), terminal.Cell{Text: d.There.Tool}, terminal.Cell{Text: d.There.ID})
			}
		}
		table.Flush()
		p.more(len(r.Differing))
	}
	p.showCalls(terminal.Dim, "NOT RUN", "refused by the agent itself, before anything ran and before its hooks are asked", r.NotRun)
	p.showCalls(terminal.Yellow, "ONLY HERE", "that only the trail has, within these times", r.Only)
	for _, w := range []struct {
		n    int
		text string
	}{
		{j.Unread, "not understood, so that calls in them are not compared"},
		{j.NotHeld, "in the trail without a payload any more, which may be those of calls that seem to be missing"},
		{j.Imported, "in the trail that were imported, and are no proof of what it recorded by itself; they are not compared"},
	} {
		if w.n > 0 {
			p.warn("%s %s", terminal.Plural(w.n, "record", "records"), w.text)
		}
	}
	if j.Waiting > 0 && len(r.Missing)+len(r.Differing) > 0 {
		p.warn("%s on this machine to be recorded, and may be of these calls: run custody hook --flush%s, and this again", terminal.Plural(j.Waiting, "message waits", "messages wait"), p.trailFlag())
	}
	if n := len(j.RecordedIn); n > 0 {
		p.note("%s recorded of what is missing, %s of them now", terminal.Plural(n, "event", "events"), terminal.Count(j.Recorded))
	}
	if r.OK() {
		p.out.Printf("\n%s  the trail has every one of these calls that ran, and tells the same of it\n", p.out.Paint(terminal.Green, "OK"))
	}
}

// countBefore returns how many calls were before a time.
func countBefore(calls []*reconcile.Call, at time.Time) (n int) {
	for _, c := range calls {
		if !c.At.IsZero() && c.At.Before(at) {
			n++
		}
	}
	return n
}

// showCalls lists calls that one side has.
func (p *program) showCalls(style terminal.Style, title, where string, calls []*reconcile.Call) {
	if len(calls) == 0 {
		return
	}
	p.out.Printf("\n%s  %s %s\n", p.out.Paint(style, title), p.heading(terminal.Plural(len(calls), "call", "calls")), where)
	table := p.out.NewTable(terminal.Column{Title: "HAPPENED"}, terminal.Column{Title: "TOOL"}, terminal.Column{Title: "OUTCOME"}, terminal.Column{Title: "CALL"}, terminal.Column{Title: "WHERE", Drop: 1}, terminal.Column{Title: "SESSION", Drop: 2})
	for _, c := range calls[:min(len(calls), maxCallsShown)] {
		at := fmt.Sprintf("%s, line %d", c.Source, c.Line)
		if c.Source == "" {
			at = fmt.Sprintf("entry %d", c.Index)
		}
		happened := ""
		if !c.At.IsZero() {
			happened = terminal.Time(c.At)
		}
		table.Row(terminal.Cell{Text: happened, Style: terminal.Dim}, terminal.Cell{Text: c.Tool}, terminal.Cell{Text: string(c.Outcome)}, terminal.Cell{Text: c.ID}, terminal.Cell{Text: at}, terminal.Cell{Text: c.Session})
	}
	table.Flush()
	p.more(len(calls))
}

func (p *program) more(n int) {
	if n > maxCallsShown {
		p.out.Printf("and %s more: --json has all\n", terminal.Count(n-maxCallsShown))
	}
}
