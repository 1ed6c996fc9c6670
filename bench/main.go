// Command bench puts the same events on Custody and on three databases that
// keep the same events with the same indexes and a hash chain, and says how many
// times faster Custody is.
//
// The databases are SQLite (the C library; WAL, synchronous=FULL), Pebble and
// bbolt. Each commits as Custody does: what has gathered while the last
// transaction was made durable becomes the next one. All are measured in one
// run, in rounds, one after the other in each.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/custodylog/custody/internal/benchmark"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
}

// options are the flags.
type options struct {
	dir    string
	logs   []string
	loads  []benchmark.Load
	rounds benchmark.Rounds
	events int
	limit  time.Duration
	json   bool
}

// report is what was measured.
type report struct {
	Loads  []benchmark.Result `json:"loads"`
	Growth []growth           `json:"growth"`
}

// growth is a long row of events on one log.
type growth struct {
	benchmark.Growth
	Disk float64 `json:"disk_bytes_per_event"`
}

func run(ctx context.Context) error {
	opts, err := parseFlags()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(opts.dir, "custody-compare-")
	if err != nil {
		return err
	}
	var rep report
	err = opts.measure(ctx, dir, &rep)
	err = errors.Join(err, os.RemoveAll(dir))
	if opts.json {
		return errors.Join(err, json.NewEncoder(os.Stdout).Encode(rep))
	}
	rep.write(os.Stdout)
	return err
}

func parseFlags() (*options, error) {
	var opts options
	dir := flag.String("dir", ".", "directory on the disk that is measured")
	logs := flag.String("logs", strings.Join(logNames, ","), "what to measure; custody comes first")
	loads := flag.String("loads", "1,16,256,1x1000,8x1000", "loads to put on them: callers, or callers x batch")
	flag.IntVar(&opts.rounds.N, "rounds", 3, "rounds of each load, of which the median counts")
	flag.DurationVar(&opts.rounds.Each, "round", time.Second, "how long a load runs on each log in each round")
	flag.IntVar(&opts.events, "events", 1_000_000, "events of the long run in batches of 1,000, 8 in flight; 0: none")
	flag.DurationVar(&opts.limit, "limit", 2*time.Minute, "how long the long run may take on each log")
	flag.BoolVar(&opts.json, "json", false, "write one JSON object")
	procs := flag.Int("procs", 0, "GOMAXPROCS (default: what the environment says)")
	flag.Parse()
	if flag.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if *procs > 0 {
		runtime.GOMAXPROCS(*procs)
	}
	opts.dir = *dir
	for _, name := range split(*logs) {
		if !slices.Contains(logNames, name) {
			return nil, fmt.Errorf("-logs: there is no %q; there are %s", name, strings.Join(logNames, ", "))
		}
		opts.logs = append(opts.logs, name)
	}
	for _, key := range split(*loads) {
		i := slices.IndexFunc(benchmark.Loads, func(l benchmark.Load) bool { return l.Key == key && !l.Async })
		if i < 0 {
			return nil, fmt.Errorf("-loads: there is no %q", key)
		}
		opts.loads = append(opts.loads, benchmark.Loads[i])
	}
	return &opts, nil
}

// split splits at commas; the empty string has no parts.
func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// logNames are the logs that can be measured.
var logNames = []string{"custody", "sqlite", "pebble", "bbolt"}

// openLog makes a log in dir, which is new.
func openLog(name, dir string) (benchmark.Log, io.Closer, error) {
	if name == "custody" {
		t, err := benchmark.NewTrail(dir, false)
		return t, t, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, nil, err
	}
	open := map[string]func(string) (store, error){"sqlite": openSQLite, "pebble": openPebble, "bbolt": openBBolt}[name]
	s, err := open(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	l := newLog(s)
	return l, l, nil
}

func (o *options) measure(ctx context.Context, dir string, rep *report) error {
	w := benchmark.NewWorkload(1)
	for _, l := range o.loads {
		fmt.Fprintln(os.Stderr, "measuring", l.Name)
		results, err := o.compare(ctx, l, w, dir)
		if err != nil {
			return err
		}
		rep.Loads = append(rep.Loads, results...)
	}
	if o.events == 0 {
		return nil
	}
	for _, name := range o.logs {
		fmt.Fprintln(os.Stderr, "growing", name)
		g, err := o.grow(ctx, name, w, filepath.Join(dir, name))
		if err != nil {
			return err
		}
		rep.Growth = append(rep.Growth, g)
	}
	return nil
}

// compare puts a load on all logs in rounds.
func (o *options) compare(ctx context.Context, l benchmark.Load, w *benchmark.Workload, dir string) (_ []benchmark.Result, err error) {
	dir, err = os.MkdirTemp(dir, "load-")
	if err != nil {
		return nil, err
	}
	var logs []benchmark.Contender
	var closers []io.Closer
	defer func() {
		for _, c := range closers {
			err = errors.Join(err, c.Close())
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	for _, name := range o.logs {
		log, closer, err := openLog(name, filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		logs, closers = append(logs, benchmark.Contender{Name: name, Log: log}), append(closers, closer)
	}
	return o.rounds.Measure(ctx, l, logs, w, dir)
}

// errLimit ends a run that takes too long.
var errLimit = errors.New("the run took longer than its limit")

// grow puts a long row of events on one log.
func (o *options) grow(ctx context.Context, name string, w *benchmark.Workload, dir string) (g growth, err error) {
	log, closer, err := openLog(name, dir)
	if err != nil {
		return g, err
	}
	start := time.Now()
	perRun := min(100_000, o.events)
	g.Growth, err = benchmark.Grow(ctx, benchmark.Contender{Name: name, Log: log}, w, o.events, perRun, func(int) error {
		if time.Since(start) > o.limit {
			return errLimit
		}
		return nil
	})
	if errors.Is(err, errLimit) {
		err = nil
	}
	if err = errors.Join(err, closer.Close()); err != nil {
		return g, err
	}
	size, err := diskUsage(dir)
	g.Disk = float64(size) / float64(g.Events)
	return g, errors.Join(err, os.RemoveAll(dir))
}

func diskUsage(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

func (r *report) write(out io.Writer) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "load\tlog\tevents/s\tp50\tp99\tevents a commit\tCPU\tcustody is\traw limit\tratio")
	for i := range r.Loads {
		l := &r.Loads[i]
		raw := "\t"
		if l.RawRate > 0 {
			raw = fmt.Sprintf("%.0f/s\t%.2f", l.RawRate, l.Ratio)
		}
		fmt.Fprintf(t, "%s\t%s\t%.0f\t%v\t%v\t%.0f\t%.1f µs\t%.1f×\t%s\n", l.Load, l.Log, l.Rate, l.P50.Round(time.Microsecond), l.P99.Round(time.Microsecond),
			l.Group, 1e6*l.CPU, l.Behind, raw)
	}
	t.Flush()
	if len(r.Growth) == 0 {
		return
	}
	fmt.Fprintln(out)
	fmt.Fprintln(t, "long run\tevents\tevents/s\tfirst million\tlast million\tCPU\theap peak\tdisk\tcustody is")
	for i := range r.Growth {
		g := &r.Growth[i]
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.1f µs\t%d MiB\t%.0f B/event\t%.1f×\n", g.Log, g.Events, g.Rate, g.First(), g.Last(), 1e6*g.CPU, g.HeapPeak>>20, g.Disk, r.Growth[0].Rate/g.Rate)
	}
	t.Flush()
}
