package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody/internal/benchmark"
	"github.com/custodylog/custody/internal/terminal"
)

type benchOptions struct {
	dir      string
	events   int
	what     []string
	loads    []string
	rounds   int
	round    time.Duration
	live     int
	procs    int
	profiles string
	json     bool
	feed     string
}

func newBenchCommand(p *program) *cobra.Command {
	var opts benchOptions
	cmd := &cobra.Command{
		Use:   "bench [--dir DIR] [--events N] [--what PART,...] [--json]",
		Short: "Measure how fast this machine records, queries and verifies",
		Long: `Measure a throw-away trail in DIR, with events of 600 bytes that fill all indexed
fields. Beside what is recorded stands the raw limit, measured in turns with it: the
same bytes in as many commits, hashed once with SHA-256, appended to a file and made
durable. IDEAL is the raw limit for the payloads alone, with one commit for all callers
each time. What counts is the median of the rounds' ratios; rates change with what else
the machine does (BUSY: processors that other processes used).

The parts are:
  load     events recorded one by one, in batches and asynchronously
  allocs   memory allocations
  grow     a trail that grows to N events, with indexing and sealing
  query    queries on it, at 1,000,000 entries and at the end
  verify   its verification with one worker and with one for each processor
  reopen   opening it after its writer was killed

A goroutine that waits for the disk keeps its place among those that may run until the
scheduler takes it back, so with few processors it may help to have GOMAXPROCS two above
their number; compare with --procs.`,
		GroupID: groupOther,
		Args:    cobra.NoArgs,
		Example: `  custody bench
  custody bench --what load --procs 4
  custody bench --what grow,query,verify,reopen --events 10000000 --dir /srv`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.feed != "" {
				return benchmark.Feed(cmd.Context(), opts.feed, opts.events, os.Stdout)
			}
			return interrupted(cmd.Context(), runBench(cmd.Context(), p, opts))
		},
	}
	annotate(cmd, `  0  it was measured
  2  it could not be measured`)
	f := cmd.Flags()
	f.StringVar(&opts.dir, "dir", ".", "`DIR` on the disk that is measured; what is made there is removed")
	f.IntVar(&opts.events, "events", 1_000_000, "how many events the trail grows to, up to 100,000,000")
	f.StringSliceVar(&opts.what, "what", benchmark.Parts, "`PARTS` to measure")
	f.StringSliceVar(&opts.loads, "load", loadKeys(), "`LOADS` of the part load: callers, or callers x batch")
	f.IntVar(&opts.rounds, "rounds", 5, "rounds of each load, verification and reopening, of which the median counts")
	f.DurationVar(&opts.round, "round", time.Second, "how long a load runs in each round")
	f.IntVar(&opts.live, "live", 1, "sessions that go on at the same time, so that their events alternate")
	f.IntVar(&opts.procs, "procs", 0, "GOMAXPROCS (default: what the environment says)")
	f.StringVar(&opts.profiles, "profiles", "", "`DIR` to write a CPU profile of each part to")
	f.BoolVar(&opts.json, "json", false, "write one JSON object")
	f.StringVar(&opts.feed, "feed", "", "")
	f.MarkHidden("feed") // the writer that the part reopen kills
	cmd.MarkFlagDirname("dir")
	cmd.MarkFlagDirname("profiles")
	return cmd
}

func loadKeys() []string {
	var keys []string
	for _, l := range benchmark.Loads {
		keys = append(keys, l.Key)
	}
	return keys
}

// suite turns the flags into what is to be measured.
func (o *benchOptions) suite() (benchmark.Suite, error) {
	s := benchmark.Suite{Dir: o.dir, Parts: o.what, Events: o.events, Live: o.live, Profiles: o.profiles,
		Rounds: benchmark.Rounds{N: o.rounds, Each: o.round}, Feed: o.feedCommand}
	for _, part := range o.what {
		if !slices.Contains(benchmark.Parts, part) {
			return s, withHint(fmt.Errorf("--what: there is no part %q", part), "the parts are %s", strings.Join(benchmark.Parts, ", "))
		}
	}
	for _, key := range o.loads {
		i := slices.IndexFunc(benchmark.Loads, func(l benchmark.Load) bool { return l.Key == key })
		if i < 0 {
			return s, withHint(fmt.Errorf("--load: there is no load %q", key), "the loads are %s", strings.Join(loadKeys(), ", "))
		}
		s.Loads = append(s.Loads, benchmark.Loads[i])
	}
	for _, n := range []struct {
		flag              string
		value, from, upTo int
	}{{"events", o.events, 1000, 100_000_000}, {"rounds", o.rounds, 1, 100}, {"live", o.live, 1, 10_000}, {"procs", o.procs, 0, 1024}} {
		if n.value < n.from || n.value > n.upTo {
			return s, fmt.Errorf("--%s: %d is not between %d and %s", n.flag, n.value, n.from, terminal.Count(n.upTo))
		}
	}
	if o.round < 10*time.Millisecond || o.round > time.Minute {
		return s, fmt.Errorf("--round: %v is not between 10ms and 1m", o.round)
	}
	return s, nil
}

// feedCommand runs this program as the writer that is killed.
func (o *benchOptions) feedCommand(ctx context.Context, dir string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "bench", "--feed", dir, "--events", strconv.Itoa(min(o.events, benchmark.FeedEvents)))
	cmd.Stderr = os.Stderr
	return cmd, nil
}

func runBench(ctx context.Context, p *program, opts benchOptions) error {
	s, err := opts.suite()
	if err != nil {
		return err
	}
	if opts.procs > 0 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(opts.procs))
	}
	progress := p.err.NewProgress("measuring")
	s.Progress = func(what string) {
		progress.Set(0, 0, func(time.Duration) string { return what })
	}
	rep, err := s.Run(ctx)
	progress.Done()
	if rep.Machine.Syncs > 0 {
		// Also of a run that failed: what was measured until then.
		if opts.json {
			err = errors.Join(err, writeJSON(p.out, rep))
		} else {
			p.showBench(rep)
		}
	}
	return err
}

func (p *program) showBench(r *benchmark.Report) {
	m := r.Machine
	p.out.Printf("%s/%s, %s, GOMAXPROCS %d, %s; %s durable appends of 1,000 bytes a second\n",
		m.OS, m.Arch, terminal.Plural(m.Processors, "processor", "processors"), m.GOMAXPROCS, m.Go, perSecond(m.Syncs))
	if len(r.Loads) > 0 {
		p.showLoads(r.Loads)
	}
	if g := r.Growth; g != nil {
		p.showGrowth(g)
	}
	if a := r.Allocs; a != nil {
		p.out.Printf("\n%s\n", p.heading("ALLOCATIONS"))
		p.out.Fields(2,
			terminal.Field{Name: "one event", Value: fmt.Sprintf("%.2f", a.Record)},
			terminal.Field{Name: "of a batch", Value: fmt.Sprintf("%.3f for each event", a.Batched)})
	}
	if len(r.Queries) > 0 {
		p.showQueries(r.Queries)
	}
	if len(r.Verified) > 0 {
		p.showVerified(r.Verified)
	}
	if o := r.Reopened; o != nil {
		p.out.Printf("\n%s\n", p.heading("OPENING AFTER A KILL"))
		p.out.Fields(2,
			terminal.Field{Name: "entries", Value: terminal.Count(o.Size)},
			terminal.Field{Name: "open", Value: fmt.Sprintf("%s (median of %d; longest %s)", short(o.Median), o.Times, short(o.Max))},
			terminal.Field{Name: "first entry by id", Value: short(o.FirstAnswer) + ", opening included"})
	}
}

func right(titles ...string) []terminal.Column {
	var columns []terminal.Column
	for _, t := range titles {
		columns = append(columns, terminal.Column{Title: t, Right: true})
	}
	return columns
}

func (p *program) showLoads(results []benchmark.Result) {
	p.out.Printf("\n")
	table := p.out.NewTable(append([]terminal.Column{{Title: "LOAD"}},
		right("EVENTS/S", "P50", "P99", "GROUP", "B/EVENT", "CPU/EVENT", "BUSY", "RAW/S", "RATIO", "IDEAL/S", "RATIO")...)...)
	for i := range results {
		r := &results[i]
		group := "?"
		if r.Group > 0 {
			group = fmt.Sprintf("%.1f", r.Group)
		}
		row(table, r.Load, perSecond(r.Rate), short(r.P50), short(r.P99), group, fmt.Sprintf("%.0f", r.Written), cpuTime(r.CPU), fmt.Sprintf("%.1f", r.Others),
			perSecond(r.RawRate), fmt.Sprintf("%.2f", r.Ratio), perSecond(r.IdealRate), fmt.Sprintf("%.2f", r.IdealRatio))
	}
	table.Flush()
}

func (p *program) showGrowth(g *benchmark.Growth) {
	p.out.Printf("\n%s\n", p.heading(fmt.Sprintf("GROWING TO %s EVENTS, batches of 1,000, 8 in flight", terminal.Count(g.Events))))
	rate, sealed := perSecond(g.Rate), ""
	if g.Events > 1_000_000 {
		rate += fmt.Sprintf("; the first million %s, the last %s (%+.1f %%)", perSecond(g.First()), perSecond(g.Last()), 100*(g.Last()/g.First()-1))
	}
	if g.Sealed > 0 {
		sealed = fmt.Sprintf("%.0f bytes an event, %.0f of them index", g.Sealed, g.SealedIndex)
	}
	p.out.Fields(2,
		terminal.Field{Name: "events/s", Value: rate},
		terminal.Field{Name: "cpu/event", Value: fmt.Sprintf("%s; %.1f processors busy elsewhere", cpuTime(g.CPU), g.Others)},
		terminal.Field{Name: "heap peak", Value: fmt.Sprintf("%.0f MiB; %.0f MiB before it began", float64(g.HeapPeak)/(1<<20), float64(g.HeapBefore)/(1<<20))},
		terminal.Field{Name: "sealed", Value: sealed})
}

func (p *program) showQueries(asked []benchmark.Asked) {
	p.out.Printf("\n")
	table := p.out.NewTable(append([]terminal.Column{{Title: "QUERY"}}, right("AT ENTRIES", "RESULTS", "P50", "P99")...)...)
	for _, a := range asked {
		row(table, a.Query, terminal.Count(a.Size), fmt.Sprintf("%.1f", a.Results), short(a.P50), short(a.P99))
	}
	table.Flush()
}

func (p *program) showVerified(all []benchmark.Verified) {
	p.out.Printf("\n")
	table := p.out.NewTable(append([]terminal.Column{{Title: "VERIFY"}}, right("WORKERS", "READ", "TOOK", "ENTRIES/S", "CPU/ENTRY", "BUSY")...)...)
	for _, v := range all {
		what := "everything"
		if v.Since > 0 {
			what = fmt.Sprintf("from entry %s on", terminal.Count(v.Since))
		}
		row(table, what, terminal.Count(v.Workers), terminal.Count(v.Entries), fmt.Sprintf("%.2f s", v.Seconds), perSecond(v.Rate), cpuTime(v.CPU), fmt.Sprintf("%.1f", v.Others))
	}
	table.Flush()
}

func row(t *terminal.Table, texts ...string) {
	cells := make([]terminal.Cell, len(texts))
	for i, s := range texts {
		cells[i].Text = s
	}
	t.Row(cells...)
}

func perSecond(rate float64) string { return terminal.Count(int64(rate + 0.5)) }

// cpuTime writes processor time in seconds as microseconds.
func cpuTime(seconds float64) string {
	if seconds <= 0 {
		return "?"
	}
	return fmt.Sprintf("%.2f µs", 1e6*seconds)
}

// short writes a duration with three digits that matter.
func short(d time.Duration) string {
	v, unit := float64(d), "ns"
	for _, u := range []string{"µs", "ms", "s"} {
		if v < 1000 {
			break
		}
		v, unit = v/1000, u
	}
	digits := 0
	if unit != "ns" {
		digits = max(0, 2-len(fmt.Sprintf("%d", int(v)))+1)
	}
	return fmt.Sprintf("%.*f %s", digits, v, unit)
}
