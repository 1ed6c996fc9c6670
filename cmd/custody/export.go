package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

type exportOptions struct {
	filter filterFlags
	fields fieldFlags
	out    string
}

func newExportCommand(p *program) *cobra.Command {
	var opts exportOptions
	cmd := &cobra.Command{
		Use:   "export FILTERS [--field POINTER=VALUE]... [--out FILE]",
		Short: "Write what is held about somebody or something, with proofs",
		Long: `Write the events for which every given filter holds as NDJSON, the oldest first, each with
a proof (C2SP tlog-proof) that the trail holds it as it is shown: what a data subject may
ask for, or another program wants to read. docs/cli-json.md describes the lines; the
member proof of each is a file that custody check takes.

An event whose payload was erased or has expired cannot be found by what it said.`,
		GroupID: groupRead,
		Args:    cobra.NoArgs,
		Example: `  custody export --user u-17 --out u-17.ndjson
  custody export --field /details/email=a@example.org > a.ndjson`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := opts.filter.query(false, time.Now())
			if err == nil {
				err = opts.fields.parse()
			}
			if err == nil && opts.filter.describe() == "" && len(opts.fields.want) == 0 {
				err = errors.New("say which events: give at least one filter, or --field")
			}
			if err != nil {
				return usageError(cmd, err)
			}
			return interrupted(cmd.Context(), runExport(cmd.Context(), p, opts, q))
		},
	}
	opts.filter.add(cmd)
	opts.fields.add(cmd)
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
	n, err := exportTo(ctx, w, t, q, opts.fields.want)
	if err == nil && opts.out != "" {
		p.note("wrote %s to %s", terminal.Plural(n, "event", "events"), opts.out)
	}
	return err
}

func exportTo(ctx context.Context, w io.Writer, t trail, q custody.Query, fields map[string]string) (n uint64, err error) {
	// One checkpoint for all.
	signed, err := t.Checkpoint(ctx)
	if err != nil {
		return 0, err
	}
	for e, err := range t.Entries(ctx, q) {
		if err != nil {
			return n, err
		}
		if ok, err := e.HasFields(fields); err != nil || !ok {
			if err != nil {
				return n, err
			}
			continue
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
