package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
	"github.com/custodylog/custody/retention"
)

func newRetentionCommand(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "Remove what has outlived its period",
		Long: `Remove the payloads of events that have outlived the period of a policy (docs/retention.md).
Their entries stay, so that every proof stays valid, unless the policy has a period for
entries too: then the oldest part of the trail is pruned. What a legal hold covers stays,
and so do emergency stops that hold and the events that the trail needs to prove the rest.`,
		GroupID: groupKeep,
		Example: `  custody retention plan --policy retention.yaml
  custody retention apply --policy retention.yaml --by operations`,
	}
	cmd.AddCommand(newRetentionPlanCommand(p), newRetentionApplyCommand(p), newRetentionPresetsCommand(p))
	return cmd
}

// policyFlag says which policy is meant.
type policyFlag struct{ file, preset string }

func (f *policyFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "policy", "", "`FILE` with the policy, in YAML; - is standard input")
	cmd.Flags().StringVar(&f.preset, "preset", "", "the preset with this `NAME` (custody retention presets)")
	cmd.MarkFlagsMutuallyExclusive("policy", "preset")
	cmd.MarkFlagFilename("policy", "yaml", "yml")
}

func (f *policyFlag) read(p *program) (retention.Policy, error) {
	if f.preset != "" {
		preset, err := retention.FindPreset(f.preset)
		return preset.Policy, err
	}
	if f.file == "" {
		return retention.Policy{}, errors.New("say which policy: --policy FILE or --preset NAME")
	}
	var b []byte
	var err error
	if f.file == "-" {
		b, err = io.ReadAll(io.LimitReader(p.in, 1<<20))
	} else {
		b, err = os.ReadFile(f.file)
	}
	if err != nil {
		return retention.Policy{}, err
	}
	return retention.Parse(f.file, b)
}

func newRetentionPlanCommand(p *program) *cobra.Command {
	var policy policyFlag
	asJSON := false
	cmd := &cobra.Command{
		Use:   "plan --policy FILE | --preset NAME [--json]",
		Short: "Show what would be removed, and what not and why",
		Long: `Show what a policy would remove now, by its rules, and what only a legal hold or an
emergency stop keeps. Nothing is changed.`,
		Args:    cobra.NoArgs,
		Example: `  custody retention plan --preset ai-act-logs`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := policy.read(p)
			if err != nil {
				return usageError(cmd, err)
			}
			return interrupted(cmd.Context(), runRetentionPlan(cmd.Context(), p, r, asJSON))
		},
	}
	policy.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func runRetentionPlan(ctx context.Context, p *program, policy retention.Policy, asJSON bool) (err error) {
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	plan, err := t.PlanRetention(ctx, policy)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(p.out, wire.RetentionOf(plan, nil))
	}
	p.showRetention(plan)
	p.note("nothing was removed; custody retention apply does it")
	return nil
}

func newRetentionApplyCommand(p *program) *cobra.Command {
	var policy policyFlag
	by, asJSON := "", false
	cmd := &cobra.Command{
		Use:   "apply --policy FILE | --preset NAME --by WHO [--json]",
		Short: "Remove what has outlived its period",
		Long: `Remove what custody retention plan shows. An event (retention_applied) is recorded first
that lists it, with the policy and what each of its rules removed.`,
		Args:    cobra.NoArgs,
		Example: `  custody retention apply --policy retention.yaml --by operations`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := policy.read(p)
			if err == nil && p.doneBy(by) != nil {
				err = errors.New("say who applies the policy: --by WHO")
			}
			if err != nil {
				return usageError(cmd, err)
			}
			return interrupted(cmd.Context(), runRetentionApply(cmd.Context(), p, r, by, asJSON))
		},
	}
	policy.add(cmd)
	cmd.Flags().StringVar(&by, "by", "", "`WHO` applies it; recorded")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func runRetentionApply(ctx context.Context, p *program, policy retention.Policy, by string, asJSON bool) (err error) {
	t, err := p.open(ctx, &custody.Options{})
	if err != nil {
		return err
	}
	defer closing(t, &err)
	run, err := t.ApplyRetention(ctx, policy, by)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(p.out, wire.RetentionOf(&run.RetentionPlan, run.Events))
	}
	p.showRetention(&run.RetentionPlan)
	if len(run.Events) == 0 {
		p.note("nothing has outlived its period")
		return nil
	}
	what := terminal.Plural(run.Payloads.Count(), "payload", "payloads")
	if n := run.Pruned.Count(); n > 0 {
		what += " and pruned " + terminal.Plural(n, "entry", "entries")
	}
	p.note("removed %s; %s %s say so", what, terminal.Plural(uint64(len(run.Events)), "event", "events"), evidence.RangesOf(run.Events))
	return nil
}

func newRetentionPresetsCommand(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "presets",
		Short: "Show the policies that come with the program",
		Long: `Show the policies that come with the program. That one has the period that a text asks for
does not mean that a trail which uses it complies with the text.`,
		Args:    cobra.NoArgs,
		Example: `  custody retention presets`,
		RunE: func(*cobra.Command, []string) error {
			for i, preset := range retention.Presets() {
				if i > 0 {
					p.out.Printf("\n")
				}
				p.out.Fields(0,
					terminal.Field{Name: "preset", Value: p.heading(preset.Name)},
					terminal.Field{Name: "payloads", Value: preset.Policy.Payloads.String()},
					terminal.Field{Name: "floor", Value: preset.Policy.Floor.String()},
					terminal.Field{Name: "purpose", Value: wrap(preset.Purpose, 80)})
			}
			return nil
		},
	}
	annotate(cmd, "  0  it was done\n  2  it could not be done")
	return cmd
}

func (p *program) showRetention(plan *custody.RetentionPlan) {
	p.out.Fields(0,
		terminal.Field{Name: "policy", Value: terminal.Clean(plan.Policy.Name)},
		terminal.Field{Name: "payloads", Value: fmt.Sprintf("%s, %s", terminal.Count(plan.Payloads.Count()), terminal.Bytes(int64(plan.Bytes)))},
		terminal.Field{Name: "entries", Value: short60(plan.Payloads)})
	for _, r := range plan.Rules {
		p.out.Fields(0, terminal.Field{Name: "rule", Value: fmt.Sprintf("%s: %s recorded before %s", terminal.Clean(r.Name), terminal.Count(r.Count), terminal.Time(r.Cutoff))})
	}
	if n := plan.Pruned.Count(); n > 0 {
		p.out.Fields(0, terminal.Field{Name: "pruned", Value: fmt.Sprintf("%s before entry %d", terminal.Plural(n, "entry", "entries"), plan.Minimum)})
	}
	if plan.Kept != "" {
		p.out.Fields(0, terminal.Field{Name: "not pruned", Value: fmt.Sprintf("older entries from %d on: %s", plan.Minimum, plan.Kept)})
	}
	p.showHeld(plan.Held)
	p.out.Flush()
}
