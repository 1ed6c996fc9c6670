package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/terminal"
)

type proveOptions struct {
	id         bool
	payload    bool
	checkpoint string
	from, to   string
	out        string
}

func newProveCommand(p *program) *cobra.Command {
	var opts proveOptions
	cmd := &cobra.Command{
		Use:   "prove INDEX|ID [--payload] [--out FILE] | --from CHECKPOINT [--to CHECKPOINT] [--out FILE]",
		Short: "Write a proof that others can check without the trail",
		Long: `Write a proof that an entry is in the trail (C2SP tlog-proof): the entry, a path of
hashes, and a signed checkpoint, with the cosignatures of witnesses if there are any.
Whoever has the log's verifier key, or a trust policy, checks it with custody check or
with another program, and needs neither the trail nor a network.

The entry tells when something of which type was recorded. With --payload the proof also
has the event itself, and the salt of its commitment.

With --from it is a proof that the trail as it was at an earlier checkpoint is the
beginning of what it was at a later one: nothing before was changed.`,
		GroupID: groupProve,
		Args:    cobra.MaximumNArgs(1),
		Example: `  custody prove 41 --payload --out entry-41.tlog-proof
  custody prove --from monday.txt --out since-monday.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (opts.from != "") {
				return usageError(cmd, errors.New("give either an entry, or --from with a file that has an earlier checkpoint"))
			}
			if len(args) == 0 && (opts.payload || opts.id || opts.checkpoint != "") {
				return usageError(cmd, errors.New("--payload, --id and --checkpoint go with an entry"))
			}
			if len(args) == 1 && opts.to != "" {
				return usageError(cmd, errors.New("--to goes with --from; an entry is proved against --checkpoint"))
			}
			return interrupted(cmd.Context(), runProve(cmd.Context(), p, opts, args))
		},
	}
	annotate(cmd, `  0  it was done
  1  the trail does not check out there; custody verify says why
  2  there is no such entry, or it could not be proved`)
	f := cmd.Flags()
	f.BoolVar(&opts.id, "id", false, "the argument is an id, although it looks like an index")
	f.BoolVar(&opts.payload, "payload", false, "disclose the event as well")
	f.StringVar(&opts.checkpoint, "checkpoint", "", "prove it against the checkpoint in `FILE` (default: the newest that witnesses cosigned, if it covers the entry, else the newest)")
	f.StringVar(&opts.from, "from", "", "`FILE` with an earlier checkpoint; - is standard input")
	f.StringVar(&opts.to, "to", "", "`FILE` with a later checkpoint (default: the newest)")
	f.StringVar(&opts.out, "out", "", "write it to `FILE`, which must not exist (default: standard output)")
	for _, name := range []string{"checkpoint", "from", "to", "out"} {
		cmd.MarkFlagFilename(name)
	}
	return cmd
}

func runProve(ctx context.Context, p *program, opts proveOptions, args []string) (err error) {
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	var text []byte
	what := ""
	if len(args) == 1 {
		text, what, err = p.proveEntry(ctx, t, opts, args[0])
	} else {
		text, what, err = p.proveConsistency(ctx, t, opts)
	}
	if err != nil {
		return err
	}
	return p.writeProof(opts.out, what, text)
}

// writeProof writes a proof to a new file, or to standard output.
func (p *program) writeProof(out, what string, text []byte) error {
	if out == "" {
		_, err := p.out.Write(text)
		return err
	}
	if err := writeNewFile(out, text); err != nil {
		return err
	}
	p.note("wrote the proof %s to %s; custody check verifies it", what, out)
	return nil
}

func (p *program) proveEntry(ctx context.Context, t trail, opts proveOptions, which string) (text []byte, what string, err error) {
	e, err := find(ctx, t, which, opts.id)
	if err != nil {
		return nil, "", err
	}
	o := custody.ProveOptions{Payload: opts.payload}
	if opts.checkpoint != "" {
		if o.Checkpoint, err = p.readCheckpoint(opts.checkpoint); err != nil {
			return nil, "", err
		}
	}
	proof, err := t.Prove(ctx, e.Index, o)
	if err != nil {
		return nil, "", err
	}
	text, err = proof.Marshal()
	return text, fmt.Sprintf("of entry %d", e.Index), err
}

func (p *program) proveConsistency(ctx context.Context, t trail, opts proveOptions) (text []byte, what string, err error) {
	old, err := p.readCheckpoint(opts.from)
	if err != nil {
		return nil, "", err
	}
	var latest []byte
	if opts.to != "" {
		if latest, err = p.readCheckpoint(opts.to); err != nil {
			return nil, "", err
		}
	}
	proof, err := t.ProveConsistency(ctx, old, latest)
	if err != nil {
		return nil, "", err
	}
	if text, err = proof.Marshal(); err != nil {
		return nil, "", err
	}
	a, err := evidence.PeekCheckpoint(proof.Old)
	if err != nil {
		return nil, "", err
	}
	b, err := evidence.PeekCheckpoint(proof.New)
	return text, fmt.Sprintf("from %s to %s", terminal.Plural(a.Size, "entry", "entries"), terminal.Count(b.Size)), err
}
