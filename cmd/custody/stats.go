package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

func newStatsCommand(p *program) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "stats [--json]",
		Short: "Show the trail at a glance",
		Long: `Show the trail at a glance: its name and key, how many entries it has since when, what
they take on the disk, and of which types they are. The severity beside a type is the
one that its events usually have. Nothing is verified.`,
		GroupID: groupRead,
		Args:    cobra.NoArgs,
		Example: `  custody stats`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), runStats(cmd.Context(), p, asJSON))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func runStats(ctx context.Context, p *program, asJSON bool) (err error) {
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	s, err := t.Stats(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		j := wire.StatsOf(&s)
		j.Dir, j.Guard = placeOf(t), s.Guard
		return writeJSON(p.out, j)
	}
	p.showStats(t, &s)
	return nil
}

func (p *program) showStats(t trail, s *custody.Stats) {
	span := ""
	if s.Size > 0 {
		span = fmt.Sprintf("%s to %s", terminal.Time(s.First), terminal.Time(s.Last))
	}
	sealed, open := uint64(0), uint64(0)
	for _, part := range s.Parts {
		if isSealed(part) {
			sealed++
		} else {
			open += part.Count
		}
	}
	disk := terminal.Bytes(s.Bytes)
	if s.Size > 0 {
		disk += fmt.Sprintf(", %s for each entry", terminal.Bytes(s.Bytes/int64(s.Size)))
	}
	p.out.Fields(0,
		terminal.Field{Name: "trail", Value: placeOf(t)},
		terminal.Field{Name: "origin", Value: terminal.Clean(s.Origin)},
		terminal.Field{Name: "entries", Value: terminal.Count(s.Size)},
		terminal.Field{Name: "recorded", Value: span},
		terminal.Field{Name: "on disk", Value: disk},
		terminal.Field{Name: "in", Value: fmt.Sprintf("%s, and a tail of %s", terminal.Plural(sealed, "sealed segment", "sealed segments"), terminal.Plural(open, "entry", "entries"))},
		terminal.Field{Name: "signed with", Value: strings.Join(s.KeyIDs, ", ")},
		terminal.Field{Name: "checkpoint", Value: fmt.Sprintf("%s, root %s", terminal.Plural(s.Checkpoint.Size, "entry", "entries"), s.Checkpoint.Root)},
		terminal.Field{Name: "cosigned", Value: claimed(s.Cosigned)},
		terminal.Field{Name: "time-stamped", Value: claimed(s.Stamped)},
		terminal.Field{Name: "guard", Value: orNone(s.Guard)})
	if s.Minimum > 0 {
		p.out.Fields(0, terminal.Field{Name: "pruned", Value: fmt.Sprintf("the entries before %d", s.Minimum)})
	}
	if len(s.Types) == 0 {
		return
	}
	p.out.Printf("\n")
	table := p.out.NewTable(terminal.Column{Title: "COUNT", Right: true}, terminal.Column{Title: "SHARE", Right: true}, terminal.Column{Title: "TYPE"}, terminal.Column{Title: "USUALLY"})
	for _, c := range s.Types {
		severity := severityOf(c.Type)
		share := 100 * float64(c.Count) / float64(s.Size)
		table.Row(terminal.Cell{Text: terminal.Count(c.Count)}, terminal.Cell{Text: fmt.Sprintf("%.1f %%", share)},
			terminal.Cell{Text: string(c.Type)}, terminal.Cell{Text: string(severity), Style: severityStyle(severity)})
	}
	table.Flush()
}

func orNone(s string) string {
	if s == "" {
		return "none: an older copy of the trail would not be noticed"
	}
	return s
}

// severityOf returns the severity that events of a type usually have.
func severityOf(t event.Type) event.Severity {
	if spec, ok := event.Lookup(t); ok {
		return spec.Severity
	}
	return event.SeverityNotice
}

func isSealed(part custody.Part) bool { return filepath.Ext(part.Name) == ".segment" }

// claimed says for people what others are said to vouch for.
func claimed(c *custody.Claimed) string {
	if c == nil {
		return "never"
	}
	text := "up to " + terminal.Plural(c.Size, "entry", "entries")
	if len(c.By) > 0 {
		text += " by " + terminal.Clean(strings.Join(c.By, ", "))
	}
	return text + " (not checked here)"
}
