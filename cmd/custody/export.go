package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

type exportOptions struct {
	filter filterFlags
	fields fieldFlags
	format string
	out    string
}

func newExportCommand(p *program) *cobra.Command {
	var opts exportOptions
	cmd := &cobra.Command{
		Use:   "export FILTERS [--field POINTER=VALUE]... [--format csv] [--out FILE]",
		Short: "Write what is held about somebody or something, with proofs",
		Long: `Write the events for which every given filter holds as NDJSON, the oldest first, each with
a proof (C2SP tlog-proof) that the trail holds it as it is shown: what a data subject may
ask for, or another program wants to read. docs/cli-json.md describes the lines; the
member proof of each is a file that custody check takes.

--format csv writes a table for a spreadsheet instead, as the web page does: a line for
each event, with its main members, what it is about in short, and its hash. It has no
proofs. Where a spreadsheet would take a text for a formula an apostrophe is before it.

An event whose payload was erased or has expired cannot be found by what it said.

Where the trail is on a server, the export is an event (export_created) of its trail system.`,
		GroupID: groupRead,
		Args:    cobra.NoArgs,
		Example: `  custody export --user u-17 --out u-17.ndjson
  custody export --field /details/email=a@example.org > a.ndjson
  custody export --session s-1 --format csv --out s-1.csv`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := opts.filter.query(false, time.Now())
			if err == nil {
				err = opts.fields.parse()
			}
			if err == nil && opts.filter.describe() == "" && len(opts.fields.want) == 0 {
				err = errors.New("say which events: give at least one filter, or --field")
			}
			if err == nil && opts.format != "ndjson" && opts.format != "csv" {
				err = fmt.Errorf("--format %q is none of ndjson, csv", opts.format)
			}
			if err != nil {
				return usageError(cmd, err)
			}
			return interrupted(cmd.Context(), runExport(cmd.Context(), p, opts, q))
		},
	}
	opts.filter.add(cmd)
	opts.fields.add(cmd)
	cmd.Flags().StringVar(&opts.format, "format", "ndjson", "in this `FORMAT`: ndjson or csv")
	cmd.Flags().StringVar(&opts.out, "out", "", "write it to `FILE`, which must not exist (default: standard output)")
	cmd.MarkFlagFilename("out")
	cmd.AddCommand(newExportTilesCommand(p))
	return cmd
}

// exportJSON is one line of an export.
type exportJSON struct {
	wire.Entry
	Proof string `json:"proof"`
}

func runExport(ctx context.Context, p *program, opts exportOptions, q custody.Query) (err error) {
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	var w io.Writer = p.out
	if opts.out != "" {
		f, err := os.OpenFile(opts.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() { // a part of it is worse than nothing
			if err = errors.Join(err, f.Close()); err != nil {
				err = errors.Join(err, os.Remove(opts.out))
			}
		}()
		w = f
	}
	var n uint64
	entries := t.Entries(ctx, q)
	if remote, ok := t.(*client.Trail); ok {
		entries = remote.Export(ctx, q, opts.format)
	}
	if found := matching(entries, opts.fields.want); opts.format == "csv" {
		n, err = wire.WriteCSV(w, found)
	} else {
		n, err = exportProven(ctx, w, t, found)
	}
	if err == nil && opts.out != "" {
		p.note("wrote %s to %s", terminal.Plural(n, "event", "events"), opts.out)
	}
	return err
}

// matching yields the entries that have all the fields.
func matching(entries iter.Seq2[custody.Entry, error], fields map[string]string) iter.Seq2[custody.Entry, error] {
	return func(yield func(custody.Entry, error) bool) {
		for e, err := range entries {
			ok := true
			if err == nil {
				ok, err = e.HasFields(fields)
			}
			if (ok || err != nil) && !yield(e, err) {
				return
			}
		}
	}
}

// exportProven writes entries as NDJSON, each with its proof.
func exportProven(ctx context.Context, w io.Writer, t trail, found iter.Seq2[custody.Entry, error]) (n uint64, err error) {
	// One checkpoint for all.
	signed, err := t.Checkpoint(ctx)
	if err != nil {
		return 0, err
	}
	for e, err := range found {
		if err != nil {
			return n, err
		}
		proof, err := t.Prove(ctx, e.Index, custody.ProveOptions{Payload: e.Payload != nil, Checkpoint: signed})
		if errors.Is(err, custody.ErrNotFound) {
			return n, nil // recorded since
		}
		if err != nil {
			return n, err
		}
		text, err := proof.Marshal()
		if err != nil {
			return n, fmt.Errorf("entry %d: %w", e.Index, err)
		}
		if err := writeJSON(w, exportJSON{wire.EntryOf(&e), string(text)}); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
