package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

type sampleOptions struct {
	seed       string
	n          int
	checkpoint string
	proofs     string
	json       bool
}

func newSampleCommand(p *program) *cobra.Command {
	opts := sampleOptions{n: 25}
	cmd := &cobra.Command{
		Use:   "sample --seed TEXT [--n N] [--checkpoint FILE] [--proofs DIR] [--json]",
		Short: "Pick entries at random, so that anybody can see how they were picked",
		Long: `Pick entries at random from all that a checkpoint covers, for an auditor who looks at some
instead of all. Seed and checkpoint decide which: the same give the same to everybody
(docs/format/proof.md), and a larger --n picks the same and more.

The seed has to be one that nobody knew when the checkpoint was signed, such as a drawing
of a lottery on a later day; else the trail's operator could have chosen what is not
picked. --proofs writes for each entry picked a proof that the auditor checks without the
trail (custody check).`,
		GroupID: groupProve,
		Args:    cobra.NoArgs,
		Example: `  custody sample --seed "lottery 2026-11-25: 3 14 15 26 35" --n 25 --proofs sample/`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case opts.seed == "":
				return usageError(cmd, errors.New("give a seed that nobody could know before: --seed TEXT"))
			case opts.n < 1 || opts.n > 100_000:
				return usageError(cmd, errors.New("--n: from 1 to 100000"))
			}
			return interrupted(cmd.Context(), runSample(cmd.Context(), p, opts))
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.seed, "seed", "", "`TEXT` that decides, together with the checkpoint, which entries are picked")
	f.IntVar(&opts.n, "n", opts.n, "how many entries, `N`")
	f.StringVar(&opts.checkpoint, "checkpoint", "", "`FILE` with the checkpoint (default: the newest that witnesses cosigned, else the newest)")
	f.StringVar(&opts.proofs, "proofs", "", "write a proof of each entry to a file in `DIR`")
	f.BoolVar(&opts.json, "json", false, "write NDJSON")
	cmd.MarkFlagFilename("checkpoint")
	cmd.MarkFlagDirname("proofs")
	return cmd
}

// sampledJSON is one entry that was picked, in JSON output.
type sampledJSON struct {
	Index  uint64 `json:"index"`
	Time   string `json:"time,omitempty"`
	Type   string `json:"type,omitempty"`
	Hash   string `json:"hash,omitempty"`
	Pruned bool   `json:"pruned,omitempty"`
	Proof  string `json:"proof_file,omitempty"`
}

func runSample(ctx context.Context, p *program, opts sampleOptions) (err error) {
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	var signed []byte
	if opts.checkpoint != "" {
		signed, err = p.readCheckpoint(opts.checkpoint)
	} else {
		signed, err = t.Published(ctx)
	}
	if err != nil {
		return err
	}
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		return err
	}
	if opts.proofs != "" {
		if err := os.MkdirAll(opts.proofs, 0o755); err != nil {
			return err
		}
	}
	for _, index := range evidence.Sample([]byte(opts.seed), c.Root, c.Size, opts.n) {
		picked, err := pick(ctx, t, signed, index, opts.proofs)
		if err != nil {
			return err
		}
		switch {
		case opts.json:
			if err := writeJSON(p.out, picked); err != nil {
				return err
			}
		case picked.Pruned:
			p.out.Printf("%8d  pruned\n", index)
		default:
			p.out.Printf("%8d  %s  %s\n", index, picked.Time, terminal.Clean(picked.Type))
		}
	}
	p.note("picked from the %s of the checkpoint with root %s", terminal.Plural(c.Size, "entry", "entries"), c.Root)
	return nil
}

func pick(ctx context.Context, t trail, signed []byte, index uint64, proofs string) (sampledJSON, error) {
	e, err := t.Entry(ctx, index)
	if errors.Is(err, custody.ErrPruned) {
		return sampledJSON{Index: index, Pruned: true}, nil
	}
	if err != nil {
		return sampledJSON{}, err
	}
	j := sampledJSON{Index: index, Time: wire.Time(e.Time), Type: string(e.Type), Hash: e.Hash.String()}
	if proofs == "" {
		return j, nil
	}
	proof, err := t.Prove(ctx, index, custody.ProveOptions{Payload: e.Payload != nil, Checkpoint: signed})
	if err != nil {
		return j, err
	}
	text, err := proof.Marshal()
	if err != nil {
		return j, err
	}
	j.Proof = filepath.Join(proofs, fmt.Sprintf("%d.tlog-proof", index))
	return j, writeNewFile(j.Proof, text)
}
