package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/cloudtrail"
	"github.com/custodylog/custody/ingest/k8saudit"
	"github.com/custodylog/custody/ingest/ndjson"
	"github.com/custodylog/custody/ingest/transcript"
	"github.com/custodylog/custody/internal/recording"
	"github.com/custodylog/custody/internal/terminal"
)

// importFormat is a foreign format that can be imported.
type importFormat struct {
	name, short, long, example string
	read                       func(io.Reader, ingest.Source) iter.Seq2[ingest.Item, error]
	extensions                 []string // of its files in a directory
}

var importFormats = []importFormat{
	{
		name: "claude", short: "Session transcripts of Claude Code",
		long: `Import session transcripts of Claude Code: the .jsonl files below ~/.claude/projects, or
one of them. Every tool call becomes an action with its request and its outcome; prompts,
answers and the rest of the session are kept beside them. Their source is transcript, which
marks them as evidence of lower trust than what hooks tell: whoever may write the files can
change them. custody reconcile claude compares the two.`,
		example: `  custody import claude ~/.claude/projects
  custody timeline --session 258c7280-ae70-4798-800f-63464d01a85d`,
		read: transcript.Read, extensions: []string{".jsonl"},
	},
	{
		name: "cloudtrail", short: "Records of AWS CloudTrail",
		long: `Import records of AWS CloudTrail: the log files as they lie in S3 (one object with
Records), or one record per line.`,
		example: `  custody import cloudtrail ./AWSLogs`,
		read:    cloudtrail.Read, extensions: []string{".json", ".jsonl", ".ndjson"},
	},
	{
		name: "k8s-audit", short: "Audit events of a Kubernetes API server",
		long: `Import audit events of a Kubernetes API server (audit.k8s.io): its log file, or the lists
that its webhook sends.`,
		example: `  custody import k8s-audit /var/log/kubernetes/audit.log`,
		read:    k8saudit.Read, extensions: []string{".log", ".json", ".jsonl", ".ndjson"},
	},
	{
		name: "ndjson", short: "Events that are JSON already, such as an export",
		long: `Import events that are JSON already, one per line or in an array: those of another trail,
or what the original Python logger wrote. Unlike custody record, it takes every line:
what is no event is stored as what it is. Hashes in the details are data here, and
nothing follows from them.`,
		example: `  custody import ndjson audit_export.json`,
		read:    ndjson.Read, extensions: []string{".json", ".jsonl", ".ndjson"},
	},
}

type importOptions struct {
	dryRun bool
	json   bool
}

func newImportCommand(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Record what other systems have logged",
		Long: `Record what other systems have logged. Files may be compressed (gzip, zstd), and are read
as a stream. Nothing is dropped: what is not understood is stored as it is, and counted.

The ids of the events are made of what the source says. So an import may be interrupted
and run again, and a source that has grown imported again: what is there already is not
recorded twice.`,
		GroupID: groupWrite,
		Example: `  custody import claude ~/.claude/projects
  custody import cloudtrail --dry-run ./AWSLogs`,
	}
	for i := range importFormats {
		cmd.AddCommand(newImportFormatCommand(p, &importFormats[i]))
	}
	return cmd
}

func newImportFormatCommand(p *program, f *importFormat) *cobra.Command {
	var opts importOptions
	cmd := &cobra.Command{
		Use:   f.name + " PATH... [--dry-run] [--json]",
		Short: f.short,
		Long: f.long + `

PATH is a file, a directory with files that end in ` + strings.Join(f.extensions, ", ") + ` (or in that and .gz
or .zst), or - for standard input. What an event's producer says is its time is kept;
the trail's own time of the entry is that of the import.`,
		Args:    cobra.MinimumNArgs(1),
		Example: f.example,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImport(cmd.Context(), p, f, opts, args)
		},
	}
	annotate(cmd, `  0  everything is in the trail now
  1  the trail does not check out, so nothing was recorded; custody verify says why
  2  something is missing: standard error says what; running it again goes on`)
	cmd.Flags().BoolVar(&opts.dryRun, "dry-run", false, "only read and count; no trail is needed")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write the result as one JSON object")
	return cmd
}

// importer imports sources and keeps count.
type importer struct {
	p      *program
	t      trail // nil: only count
	format *importFormat

	result   importResult
	types    map[event.Type]*importedType
	problems int // that were shown

	start    time.Time
	total    int64        // bytes of all sources; 0: not known
	read     atomic.Int64 // of these, how many were read
	progress *terminal.Progress
}

// importResult is the result of an import, also in JSON output.
type importResult struct {
	Files      int            `json:"sources"`
	Events     int            `json:"events"`
	New        int            `json:"new"`
	There      int            `json:"already_there"`
	Unmapped   int            `json:"not_understood"`
	Conflicts  int            `json:"conflicts"`
	Unreadable int            `json:"unreadable_sources"`
	DryRun     bool           `json:"dry_run,omitempty"`
	Types      []importedType `json:"types"`
	ElapsedMS  float64        `json:"elapsed_ms"`
}

type importedType struct {
	Type  event.Type `json:"type"`
	New   int        `json:"new"`
	There int        `json:"already_there"`
}

func runImport(ctx context.Context, p *program, f *importFormat, opts importOptions, args []string) (err error) {
	files, total, err := sources(f, args)
	if err != nil {
		return err
	}
	im := &importer{p: p, format: f, types: map[event.Type]*importedType{}, start: time.Now(), total: total}
	im.result.DryRun = opts.dryRun
	if !opts.dryRun {
		if im.t, err = p.open(ctx, &custody.Options{}); err != nil {
			return err
		}
		defer closing(im.t, &err)
	}
	im.progress = p.err.NewProgress("importing")
	err = im.importAll(ctx, files)
	im.progress.Done()
	im.finish()
	if opts.json {
		if jerr := writeJSON(p.out, im.result); err == nil {
			err = jerr
		}
	} else {
		im.show()
	}
	return err
}

// sources returns the files that the arguments stand for, and how many bytes
// they have.
func sources(f *importFormat, args []string) (files []string, total int64, err error) {
	for _, arg := range args {
		if arg == "-" {
			files = append(files, arg)
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			return nil, 0, err
		}
		if !info.IsDir() {
			files = append(files, arg)
			continue
		}
		found, err := ingest.Files(arg, ingest.Extension(f.extensions...))
		if err != nil {
			return nil, 0, err
		}
		if len(found) == 0 {
			return nil, 0, withHint(fmt.Errorf("%s: no file in it ends in %s", arg, strings.Join(f.extensions, ", ")), "name the files themselves if they are called otherwise")
		}
		files = append(files, found...)
	}
	for _, name := range files {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
	}
	return files, total, nil
}

// imported is what the reading goroutine hands over: an item, or else that a
// source begins or could not be read on.
type imported struct {
	source string
	item   ingest.Item
	begins bool
	err    error
}

// importBatch is how many events are recorded at once.
const importBatch = 1000

// importAll imports the sources in order. One that cannot be read does not keep
// it from the others.
func (im *importer) importAll(ctx context.Context, names []string) error {
	s := newStream(ctx, importBatch, func(yield func(imported, int64) bool) {
		for _, name := range names {
			if !im.readSource(name, yield) {
				return
			}
		}
	})
	defer s.stop()
	batch := make([]imported, 0, importBatch)
	for {
		batch = s.take(batch[:0])
		if ctx.Err() != nil {
			return withHint(errInterrupted, "running it again goes on where it stopped")
		}
		if len(batch) == 0 {
			break
		}
		if err := im.record(ctx, batch); err != nil {
			return err
		}
	}
	switch r := &im.result; {
	case r.Conflicts > 0:
		return withHint(fmt.Errorf("%s with other content than the trail holds under the same id", terminal.Plural(r.Conflicts, "event", "events")),
			"the source was changed after it was imported; the trail holds what it said then")
	case r.Unreadable > 0:
		return fmt.Errorf("%s could not be read to the end", terminal.Plural(r.Unreadable, "source", "sources"))
	}
	return nil
}

// readSource yields what a file holds, or standard input. It runs in the reading
// goroutine.
func (im *importer) readSource(name string, yield func(imported, int64) bool) bool {
	file := im.p.in
	if name == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return yield(imported{source: name, begins: true}, 0) && yield(imported{source: name, err: err}, 0)
		}
		defer f.Close()
		file = f
	}
	if !yield(imported{source: name, begins: true}, 0) {
		return false
	}
	r, err := ingest.Decompress(&byteCounter{file.Read, &im.read})
	if err != nil {
		return yield(imported{source: name, err: fmt.Errorf("%s: %w", name, err)}, 0)
	}
	var size, before atomic.Int64 // decompressed
	for item, err := range im.format.read(&byteCounter{r.Read, &size}, ingest.Source{Name: name}) {
		if err != nil {
			return yield(imported{source: name, err: err}, 0)
		}
		now := size.Load()
		if !yield(imported{source: name, item: item}, now-before.Swap(now)) {
			return false
		}
	}
	return true
}

// record records a batch, or only counts it.
func (im *importer) record(ctx context.Context, batch []imported) error {
	items := batch[:0]
	for _, b := range batch {
		switch {
		case b.begins:
			im.result.Files++
		case b.err != nil:
			im.result.Unreadable++
			im.problem("%v; what came before is imported", b.err)
		default:
			if !b.item.Mapped {
				im.result.Unmapped++
				im.problem("%s, line %d: not understood, and stored as it is: %s", b.source, b.item.Line, b.item.Note)
			}
			items = append(items, b)
		}
	}
	events := make([]event.Event, len(items))
	for i := range items {
		events[i] = items[i].item.Event
	}
	for len(events) > 0 {
		receipts := make([]custody.Receipt, len(events))
		var err error
		if im.t != nil {
			// What is begun is brought to an end, so that the counts are true.
			receipts, err = recording.Record(context.WithoutCancel(ctx), im.t, events)
		}
		for i := range receipts {
			im.count(&events[i], &receipts[i])
		}
		items, events = items[len(receipts):], events[len(receipts):]
		switch {
		case errors.Is(err, custody.ErrConflict):
			im.result.Events++
			im.result.Conflicts++
			im.problem("%s, line %d: %v", items[0].source, items[0].item.Line, err)
			items, events = items[1:], events[1:]
		case err != nil:
			return fmt.Errorf("%s, line %d: %w", items[0].source, items[0].item.Line, err)
		}
	}
	im.showProgress()
	return nil
}

// problem warns, but not of everything that is wrong with a large source.
func (im *importer) problem(format string, args ...any) {
	const shown = 10
	if im.problems++; im.problems <= shown {
		im.p.warn(format, args...)
	} else if im.problems == shown+1 {
		im.p.warn("there is more of the kind; it is only counted from here on")
	}
}

func (im *importer) count(e *event.Event, r *custody.Receipt) {
	stored, _ := e.Normalize(event.Lenient) // as the trail does it
	t := im.types[stored.Type]
	if t == nil {
		t = &importedType{Type: stored.Type}
		im.types[stored.Type] = t
	}
	im.result.Events++
	if r.Duplicate {
		im.result.There++
		t.There++
	} else {
		im.result.New++
		t.New++
	}
}

func (im *importer) showProgress() {
	n := uint64(im.result.Events)
	read := im.read.Load()
	im.progress.Set(uint64(read), uint64(im.total), func(elapsed time.Duration) string {
		return fmt.Sprintf("%s events  %s  %s", terminal.Count(n), terminal.PerSecond(n, elapsed), terminal.Bytes(read))
	})
}

// finish brings the result into the form in which it is shown.
func (im *importer) finish() {
	im.result.ElapsedMS = milliseconds(time.Since(im.start))
	im.result.Types = make([]importedType, 0, len(im.types))
	for _, t := range im.types {
		im.result.Types = append(im.result.Types, *t)
	}
	slices.SortFunc(im.result.Types, func(a, b importedType) int {
		if d := (b.New + b.There) - (a.New + a.There); d != 0 {
			return d
		}
		return strings.Compare(string(a.Type), string(b.Type))
	})
}

func (im *importer) show() {
	r := &im.result
	if len(r.Types) > 0 {
		table := im.p.out.NewTable(terminal.Column{Title: "NEW", Right: true}, terminal.Column{Title: "THERE", Right: true}, terminal.Column{Title: "TYPE"})
		for _, t := range r.Types {
			table.Row(terminal.Cell{Text: terminal.Count(t.New)}, terminal.Cell{Text: terminal.Count(t.There)}, terminal.Cell{Text: string(t.Type)})
		}
		table.Flush()
		im.p.out.Printf("\n")
	}
	what := "recorded"
	if r.DryRun {
		what = "would be offered to a trail"
	}
	im.p.out.Printf("%s of %s %s", terminal.Plural(r.New, "event", "events"), terminal.Plural(r.Files, "source", "sources"), what)
	for _, part := range []struct {
		n    int
		text string
	}{{r.There, "were there already"}, {r.Unmapped, "not understood and stored as they are"}, {r.Conflicts, "in conflict"}} {
		if part.n > 0 {
			im.p.out.Printf(", %s %s", terminal.Count(part.n), part.text)
		}
	}
	elapsed := time.Duration(r.ElapsedMS * float64(time.Millisecond))
	im.p.out.Printf(" (%s, %s)\n", terminal.Duration(elapsed), terminal.PerSecond(uint64(r.Events), elapsed))
}
