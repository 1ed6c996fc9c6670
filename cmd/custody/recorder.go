package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/internal/recording"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

// input is one event that was offered, or why it cannot be read.
type input struct {
	line  int // of the source, from 1; 0 where there are no lines
	event event.Event
	notes []string // its defects, as far as reading found them
	err   error
	fatal bool // err ends the source
}

// recorder records events and keeps count.
type recorder struct {
	p      *program
	t      trail
	opts   recordOptions
	source string // what the events are read from

	recorded   int
	duplicates int
	refused    int
	defective  int
	line       int   // of the last event that was recorded
	err        error // what ended it

	progress *terminal.Progress
}

func newRecorder(p *program, t trail, opts recordOptions) *recorder {
	return &recorder{p: p, t: t, opts: opts}
}

// maxLine bounds one event as it is read. It leaves room for what canonical JSON
// does without: white space and escapes.
const maxLine = 16 << 20

// recordAll records what is read from r, until that ends, ctx does, or something
// is refused.
func (rec *recorder) recordAll(ctx context.Context, r io.Reader) {
	if rec.opts.quiet || !rec.p.out.IsTerminal() {
		rec.progress = rec.p.err.NewProgress("recording")
		defer rec.progress.Done()
	}
	inputs := newStream(ctx, rec.opts.batch, func(yield func(input, int64) bool) {
		for r, err := range ingest.Records(r, ingest.Source{Name: rec.source, MaxRecord: maxLine}, ingest.Framing{Arrays: true}) {
			in := input{line: r.Line, err: err, fatal: err != nil}
			if err == nil {
				in.event, in.notes, in.err = readEvent(&r)
			}
			if !yield(in, r.Size) {
				return
			}
		}
	})
	defer inputs.stop()
	batch := make([]input, 0, rec.opts.batch)
	for {
		batch = inputs.take(batch[:0])
		if len(batch) == 0 || !rec.record(ctx, batch) {
			return
		}
	}
}

func readEvent(r *ingest.Record) (event.Event, []string, error) {
	if !r.Whole() {
		return event.Event{}, nil, fmt.Errorf("it has %d bytes, more than the %d that one event may have", r.Size, maxLine)
	}
	e, notes, err := event.Decode(r.Text)
	var syntax *event.SyntaxError
	if errors.As(err, &syntax) && strings.TrimSpace(string(r.Text)) == "{" {
		err = withHint(err, "one event is one line; jq -c . puts JSON on one line each")
	}
	return e, notes, err
}

// record records events in order. It reports whether to go on.
func (rec *recorder) record(ctx context.Context, batch []input) bool {
	// What is taken is recorded, whatever happens meanwhile.
	ctx = context.WithoutCancel(ctx)
	for i := range batch {
		rec.settle(&batch[i])
	}
	for len(batch) > 0 {
		n, err := rec.write(ctx, batch[:readable(batch)])
		rec.p.out.Flush()
		batch = batch[n:]
		if err == nil && len(batch) > 0 {
			err = batch[0].err
		}
		if err == nil {
			continue
		}
		if len(batch) == 0 || batch[0].fatal || batch[0].err == nil && !recording.IsRefusal(err) {
			rec.err = err
			return false
		}
		if !rec.refuse(&batch[0], err) {
			return false
		}
		batch = batch[1:]
	}
	rec.showProgress()
	return true
}

// readable returns how many inputs come before one that could not be read.
func readable(batch []input) int {
	for i := range batch {
		if batch[i].err != nil {
			return i
		}
	}
	return len(batch)
}

// settle decides what becomes of the defects that an event has.
func (rec *recorder) settle(in *input) {
	if in.err != nil {
		return
	}
	if rec.opts.strict {
		if len(in.notes) > 0 {
			in.err = &event.ValidationError{Problems: in.notes}
		}
		return
	}
	in.event.Defects = append(in.event.Defects, in.notes...)
	e, _ := in.event.Normalize(event.Lenient)
	if len(e.Defects) == 0 {
		return
	}
	const shown = 10
	if rec.defective++; rec.defective <= shown {
		rec.p.warn("%sstored with defects: %s", rec.at(in.line), strings.Join(e.Defects, "; "))
	} else if rec.defective == shown+1 {
		rec.p.warn("more events have defects; they are only counted from here on")
	}
}

// at says where an event was read.
func (rec *recorder) at(line int) string {
	if line == 0 {
		return ""
	}
	return fmt.Sprintf("%s, line %d: ", rec.source, line)
}

// write records a batch, or as much of it as comes before an event that is
// refused. It returns how many events that was.
func (rec *recorder) write(ctx context.Context, batch []input) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	if rec.opts.async {
		for i := range batch {
			r, err := rec.t.Record(ctx, batch[i].event)
			if err != nil {
				return i, err
			}
			rec.receipt(&batch[i], &r)
		}
		return len(batch), nil
	}
	events := make([]event.Event, len(batch))
	for i := range batch {
		events[i] = batch[i].event
	}
	receipts, err := recording.Record(ctx, rec.t, events)
	for i := range receipts {
		rec.receipt(&batch[i], &receipts[i])
	}
	return len(receipts), err
}

// receipt counts an event that was recorded and writes its receipt.
func (rec *recorder) receipt(in *input, r *custody.Receipt) {
	rec.line = in.line
	if r.Duplicate {
		rec.duplicates++
	} else {
		rec.recorded++
	}
	if err := rec.keepReceipt(r); err != nil && rec.err == nil {
		rec.err = fmt.Errorf("entry %d is recorded, but its receipt is not kept: %w", r.Index, err)
	}
	known := !rec.opts.async || r.Duplicate
	switch {
	case rec.opts.quiet:
	case rec.opts.json:
		j := wire.Receipt{ID: r.ID, Duplicate: r.Duplicate}
		if known {
			j.Index, j.Hash, j.Time, j.Checkpoint = &r.Index, r.Hash.String(), wire.Time(r.Time), string(r.Checkpoint)
		}
		writeJSON(rec.p.out, j) // an error comes again at the end, from Flush
	case !known:
		rec.p.out.Printf("%s\n", terminal.Clean(r.ID))
	default:
		again := ""
		if r.Duplicate {
			again = "  already there"
		}
		rec.p.out.Printf("%d  %s  %s%s\n", r.Index, terminal.Clean(r.ID), r.Hash, again)
	}
}

// keepReceipt writes the proof of a receipt, if there is one, to a file of its own.
func (rec *recorder) keepReceipt(r *custody.Receipt) error {
	if r.Proof == nil {
		return nil
	}
	text, err := r.Proof.Marshal()
	if err == nil {
		err = os.MkdirAll(rec.opts.receipts, 0o755)
	}
	if err == nil {
		err = writeNewFile(filepath.Join(rec.opts.receipts, fmt.Sprintf("%d.tlog-proof", r.Index)), text)
	}
	if r.Duplicate && errors.Is(err, fs.ErrExist) {
		return nil // it is there from the first time
	}
	return err
}

// refuse reports an event that cannot be recorded, and whether to go on.
func (rec *recorder) refuse(in *input, err error) bool {
	rec.refused++
	var syntax *event.SyntaxError
	if errors.As(err, &syntax) && in.line > 0 {
		at := fmt.Errorf("%s, line %d, byte %d: malformed JSON: %s", rec.source, in.line, syntax.Offset+1, syntax.Problem)
		err = withHint(at, "%s", rec.p.hintFor(err))
	} else {
		err = fmt.Errorf("%s%w", rec.at(in.line), err)
	}
	if !rec.opts.keepGoing {
		rec.err = err
		return false
	}
	rec.p.err.Printf("%s %s\n", rec.p.err.Paint(terminal.Alarm, "error:"), continued(err.Error()))
	rec.p.err.Flush()
	return true
}

func (rec *recorder) showProgress() {
	if rec.progress != nil {
		n := uint64(rec.recorded + rec.duplicates)
		rec.progress.Set(n, 0, func(elapsed time.Duration) string {
			return terminal.Count(n) + " events  " + terminal.PerSecond(n, elapsed)
		})
	}
}

// flush writes what the asynchronous mode holds in memory.
func (rec *recorder) flush(ctx context.Context) {
	if !rec.opts.async {
		return
	}
	if _, err := rec.t.Flush(context.WithoutCancel(ctx)); err != nil && rec.err == nil {
		rec.err = err
	}
}

// conclude says how much was recorded, and returns what went wrong.
func (rec *recorder) conclude(ctx context.Context) error {
	if ctx.Err() != nil && rec.err == nil {
		rec.err = errInterrupted
		if rec.line > 0 {
			rec.err = fmt.Errorf("%w behind line %d of %s, which is recorded", errInterrupted, rec.line, rec.source)
		}
	}
	if rec.err == nil && rec.refused > 0 {
		rec.err = errSomeRefused
	}
	if !rec.opts.quiet || rec.err != nil {
		said := "recorded " + terminal.Plural(rec.recorded, "event", "events")
		for _, part := range []struct {
			n    int
			text string
		}{{rec.duplicates, "there already"}, {rec.defective, "with defects"}, {rec.refused, "refused"}} {
			if part.n > 0 {
				said += fmt.Sprintf(", %s %s", terminal.Count(part.n), part.text)
			}
		}
		rec.p.note("%s", said)
	}
	return rec.err
}
