package main

import (
	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/terminal"
)

func newReanchorCommand(p *program) *cobra.Command {
	var who whoWhy
	cmd := &cobra.Command{
		Use:   "reanchor --by WHO --reason WHY",
		Short: "Go on with a trail that was restored from an older copy",
		Long: `Accept that the trail does not extend the last checkpoint that it handed out, and go on
from what is there. This machine keeps that checkpoint beside the signing key; without
this command nothing is written to a trail that does not extend it.

If a newer copy can be had, restore that instead. The break is recorded in the trail
(trail_reanchored) with the checkpoint of what was lost; it is never removed, and custody
verify shows it for ever. Witnesses that cosigned what was lost refuse what comes: they
have seen another history, and only a trail with another name is new to them.`,
		GroupID: groupKeep,
		Args:    cobra.NoArgs,
		Example: `  custody reanchor --by operator --reason "disk failed, restored from the backup of Nov 24"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := who.check(p); err != nil {
				return usageError(cmd, err)
			}
			return p.runReanchor(custody.Reanchoring{By: who.by, Reason: who.reason})
		},
	}
	who.add(cmd)
	return cmd
}

func (p *program) runReanchor(r custody.Reanchoring) error {
	if err := p.needsFiles(stopServer); err != nil {
		return err
	}
	var opts custody.Options
	dir, err := p.prepare(&opts)
	if err != nil {
		return err
	}
	receipt, err := custody.Reanchor(dir, &opts, r)
	if err != nil {
		return err
	}
	p.note("entry %d says that the trail went on from %s", receipt.Index, terminal.Plural(receipt.Index, "entry", "entries"))
	return nil
}
