package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

func newHoldCommand(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hold",
		Short: "Keep events that must not be removed (legal hold)",
		Long: `Place, list and release legal holds. While a hold is in force, the payload of nothing
that it covers expires or is erased. It also covers events that are recorded later.
Every change is an event (legal_hold_changed).`,
		GroupID: groupKeep,
		Example: `  custody hold place --project billing --by counsel --reason "case 12/2026"
  custody hold list
  custody hold release ID --by counsel --reason "case closed"`,
	}
	cmd.AddCommand(newHoldPlaceCommand(p), newHoldListCommand(p), newHoldReleaseCommand(p))
	return cmd
}

// whoWhy are the flags of what has to be accounted for.
type whoWhy struct{ by, reason string }

func (w *whoWhy) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.by, "by", "", "`WHO` does it; recorded")
	cmd.Flags().StringVar(&w.reason, "reason", "", "`WHY`; recorded")
}

func (w *whoWhy) check(p *program) error {
	if err := p.doneBy(w.by); err != nil || w.reason == "" {
		return errors.New("say who does it and why: --by WHO --reason WHY")
	}
	return nil
}

func newHoldPlaceCommand(p *program) *cobra.Command {
	var filter filterFlags
	var who whoWhy
	everything, asJSON := false, false
	cmd := &cobra.Command{
		Use:   "place FILTERS | --all --by WHO --reason WHY [--json]",
		Short: "Place a hold",
		Long: `Place a hold on the events for which every given filter holds, those to come included.
Its ID, which releasing it needs, is printed.`,
		Args:    cobra.NoArgs,
		Example: `  custody hold place --session s-1 --by counsel --reason "case 12/2026"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := filter.query(false, time.Now())
			if err == nil {
				err = who.check(p)
			}
			if err == nil && everything == (filter.describe() != "") {
				err = errors.New("give filters, or --all for the whole trail")
			}
			if err != nil {
				return usageError(cmd, err)
			}
			return interrupted(cmd.Context(), runHoldPlace(cmd.Context(), p, custody.Hold{Query: q, By: who.by, Reason: who.reason}, asJSON))
		},
	}
	filter.add(cmd)
	cmd.Flags().BoolVar(&everything, "all", false, "hold the whole trail")
	who.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func runHoldPlace(ctx context.Context, p *program, h custody.Hold, asJSON bool) (err error) {
	t, err := p.open(ctx, &custody.Options{})
	if err != nil {
		return err
	}
	defer closing(t, &err)
	if h, err = t.PlaceHold(ctx, h); err != nil {
		return err
	}
	return p.showHolds([]custody.Hold{h}, asJSON)
}

func newHoldListCommand(p *program) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "list [--json]",
		Short: "Show the holds in force",
		Long: `Show the holds that are in force, the oldest first. Released ones are in the trail:
custody query --type legal_hold_changed.`,
		Args:    cobra.NoArgs,
		Example: `  custody hold list`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), runHoldList(cmd.Context(), p, asJSON))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object for each hold")
	return cmd
}

func runHoldList(ctx context.Context, p *program, asJSON bool) (err error) {
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	holds, err := t.Holds(ctx)
	if err != nil {
		return err
	}
	if len(holds) == 0 && !asJSON {
		p.note("no hold is in force in %s", placeOf(t))
	}
	return p.showHolds(holds, asJSON)
}

func newHoldReleaseCommand(p *program) *cobra.Command {
	var who whoWhy
	cmd := &cobra.Command{
		Use:     "release ID --by WHO --reason WHY",
		Short:   "End a hold",
		Long:    `End a hold. What it covered may be removed from then on, unless another hold covers it.`,
		Args:    cobra.ExactArgs(1),
		Example: `  custody hold release 019ab0c2-7b1e-7c3a-9d2f-4f6e8a1b2c3d --by counsel --reason "case closed"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := who.check(p); err != nil {
				return usageError(cmd, err)
			}
			return interrupted(cmd.Context(), runHoldRelease(cmd.Context(), p, args[0], who))
		},
	}
	who.add(cmd)
	return cmd
}

func runHoldRelease(ctx context.Context, p *program, id string, who whoWhy) (err error) {
	t, err := p.open(ctx, &custody.Options{})
	if err != nil {
		return err
	}
	defer closing(t, &err)
	r, err := t.ReleaseHold(ctx, id, who.by, who.reason)
	if errors.Is(err, custody.ErrNotFound) {
		return withHint(err, "custody hold list shows those that are")
	} else if err != nil {
		return err
	}
	p.note("released hold %s; entry %d says so", terminal.OneLine(id), r.Index)
	return nil
}

func (p *program) showHolds(holds []custody.Hold, asJSON bool) error {
	for i := range holds {
		h := &holds[i]
		j, err := wire.HoldOf(h)
		if err != nil {
			return err
		}
		if asJSON {
			if err := writeJSON(p.out, j); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			p.out.Printf("\n")
		}
		p.out.Fields(0,
			terminal.Field{Name: "hold", Value: p.heading(terminal.Clean(h.ID))},
			terminal.Field{Name: "covers", Value: describeQuery(j.Query)},
			terminal.Field{Name: "placed", Value: fmt.Sprintf("%s by %s, entry %d", terminal.Time(h.Placed), terminal.OneLine(h.By), h.Index)},
			terminal.Field{Name: "reason", Value: terminal.OneLine(h.Reason)})
	}
	return nil
}
