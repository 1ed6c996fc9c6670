package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/terminal"
)

func newCheckpointCommand(p *program) *cobra.Command {
	out := ""
	cmd := &cobra.Command{
		Use:   "checkpoint [--out FILE]",
		Short: "Print the newest signed checkpoint",
		Long: `Print the newest signed checkpoint of the trail (C2SP tlog-checkpoint): its origin, the
number of entries, the root over them, and the signature.

Kept where the trail's operator cannot change it, such as a mail to somebody else, it
proves later that the trail still holds those entries as they were:
custody verify --checkpoint FILE.`,
		GroupID: groupProve,
		Args:    cobra.NoArgs,
		Example: `  custody checkpoint --out /mnt/elsewhere/checkpoint.txt`,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runCheckpoint(cmd.Context(), p, out) },
	}
	cmd.Flags().StringVar(&out, "out", "", "write it to `FILE`, which must not exist, instead")
	return cmd
}

func runCheckpoint(ctx context.Context, p *program, out string) (err error) {
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	signed, err := t.Checkpoint(ctx)
	if err != nil {
		return err
	}
	if out == "" {
		_, err := p.out.Write(signed)
		return err
	}
	if err := writeNewFile(out, signed); errors.Is(err, fs.ErrExist) {
		return withHint(err, "an older checkpoint is worth keeping: give another name")
	} else if err != nil {
		return err
	}
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		return err
	}
	p.note("wrote the checkpoint of %s to %s; keep it where the trail's operator cannot change it", terminal.Plural(c.Size, "entry", "entries"), out)
	return nil
}

// writeNewFile writes a file that does not exist yet.
func writeNewFile(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%w; %s is not whole", err, name)
	}
	return nil
}
