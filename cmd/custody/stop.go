package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/internal/stops"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

// stopFlags say whom an emergency stop is for.
type stopFlags struct {
	agents           []string
	session, project string
	all              bool
}

// stop returns the stop that the flags describe.
func (f *stopFlags) stop() (custody.Stop, error) {
	var s custody.Stop
	given := 0
	for kind, is := range map[string]bool{"agent": len(f.agents) > 0, "session": f.session != "", "project": f.project != "", "global": f.all} {
		if is {
			s.Type = kind
			given++
		}
	}
	if given != 1 {
		return s, errors.New("say what to stop, in one of the ways: --agent ID, --session ID, --project ID or --all")
	}
	s.AffectedAgents, s.SessionID, s.ProjectID = f.agents, f.session, f.project
	return s, nil
}

func newStopCommand(p *program) *cobra.Command {
	var who whoWhy
	var whom stopFlags
	asJSON := false
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop agents, and let them go on (emergency stop)",
		Long: `With --agent, --session, --project or --all: stop agents. From then on their hooks, the
recorders in front of their tool servers and the gate deny what they want, as far as the
agents ask. The stop is an event of the trail (emergency_stop); its ID, which clearing it
needs, is printed.

custody stop list shows the stops that hold, and the last thing that ran in spite of
each. A stop reaches agents that can reach the trail: while a server is away, hooks with
--fail-closed deny everything, and others go on.`,
		GroupID: groupWrite,
		Args:    cobra.NoArgs,
		Example: `  custody stop --session s-1 --by operator --reason "it deletes files"
  custody stop --all --by operator --reason "we are looking into it"
  custody stop list
  custody stop clear ID --by operator --reason "mended"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := whom.stop()
			if err == nil {
				err = who.check(p)
			}
			if err != nil {
				return usageError(cmd, err)
			}
			s.TriggeredBy, s.Reason = who.by, who.reason
			return interrupted(cmd.Context(), runStop(cmd.Context(), p, s, asJSON))
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&whom.agents, "agent", nil, "stop the agent with that `ID`; repeatable, or several with commas between")
	f.StringVar(&whom.session, "session", "", "stop the session with that `ID`")
	f.StringVar(&whom.project, "project", "", "stop everything in the project with that `ID`: what is connected with it (custody connect --project)")
	f.BoolVar(&whom.all, "all", false, "stop all agents of the trail")
	who.add(cmd)
	f.BoolVar(&asJSON, "json", false, "write one JSON object")
	cmd.AddCommand(newStopListCommand(p), newStopClearCommand(p))
	return cmd
}

func runStop(ctx context.Context, p *program, s custody.Stop, asJSON bool) (err error) {
	t, err := p.open(ctx, &custody.Options{})
	if err != nil {
		return err
	}
	defer closing(t, &err)
	var stopped client.ActiveStop
	switch t := t.(type) {
	case *client.Trail:
		stopped, err = t.StopAgents(ctx, s)
	case *custody.Trail:
		var r custody.Receipt
		r, err = t.EmergencyStop(ctx, s)
		stopped = client.ActiveStop{Stop: client.Stop{ID: r.ID, By: s.TriggeredBy, Reason: s.Reason}, Index: r.Index, Time: r.Time,
			Type: s.Type, Agents: s.AffectedAgents, Session: s.SessionID, Project: s.ProjectID}
	}
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(p.out, stopJSONOf(&stopped))
	}
	p.out.Printf("%s\n", terminal.Clean(stopped.ID))
	p.note("stopped: %s; entry %d says so", whomText(&stopped), stopped.Index)
	return nil
}

func newStopListCommand(p *program) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "list [--json]",
		Short: "Show the stops that hold",
		Long: `Show the emergency stops that hold, the oldest first, and with each the last thing that
ran after it: an action that was under way, or an agent that the stop did not reach.`,
		Args:    cobra.NoArgs,
		Example: `  custody stop list`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), runStopList(cmd.Context(), p, asJSON))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object for each stop")
	return cmd
}

func runStopList(ctx context.Context, p *program, asJSON bool) (err error) {
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	all, err := activeStops(ctx, t)
	if err != nil {
		return err
	}
	if len(all) == 0 && !asJSON {
		p.note("no emergency stop holds in %s", placeOf(t))
	}
	for i := range all {
		s := &all[i]
		if asJSON {
			if err := writeJSON(p.out, stopJSONOf(s)); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			p.out.Printf("\n")
		}
		last := "nothing"
		if a := s.LastAction; a != nil {
			last = fmt.Sprintf("entry %d, %s after it", a.Index, terminal.Duration(a.Time.Sub(s.Time)))
		}
		p.out.Fields(0,
			terminal.Field{Name: "stop", Value: p.heading(terminal.Clean(s.ID))},
			terminal.Field{Name: "of", Value: whomText(s)},
			terminal.Field{Name: "since", Value: fmt.Sprintf("%s by %s, entry %d", terminal.Time(s.Time), terminal.OneLine(s.By), s.Index)},
			terminal.Field{Name: "reason", Value: terminal.OneLine(s.Reason)},
			terminal.Field{Name: "ran since", Value: last})
	}
	return nil
}

// activeStops returns the stops that hold, the oldest first.
func activeStops(ctx context.Context, t trail) ([]client.ActiveStop, error) {
	local, ok := t.(*custody.Trail)
	if !ok {
		return t.(*client.Trail).Stops(ctx)
	}
	set, err := stops.Open(ctx, local)
	if err != nil {
		return nil, err
	}
	var all []client.ActiveStop
	for _, s := range set.Active() {
		active := client.ActiveStop{Stop: client.Stop{ID: s.ID, By: s.By, Reason: s.Reason}, Index: s.Index, Time: s.At,
			Type: s.Type, Agents: s.Agents, Session: s.Session, Project: s.Project}
		last, err := stops.LastAction(ctx, local, &s)
		if err != nil {
			return nil, err
		}
		if last != nil {
			active.LastAction = &client.LastAction{Index: last.Index, Time: last.Time}
		}
		all = append(all, active)
	}
	return all, nil
}

func newStopClearCommand(p *program) *cobra.Command {
	var who whoWhy
	cmd := &cobra.Command{
		Use:     "clear ID --by WHO --reason WHY",
		Short:   "Lift a stop",
		Long:    `Lift an emergency stop: agents may go on, unless another stop holds for them.`,
		Args:    cobra.ExactArgs(1),
		Example: `  custody stop clear 019ab0c2-7b1e-7c3a-9d2f-4f6e8a1b2c3d --by operator --reason "mended"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := who.check(p); err != nil {
				return usageError(cmd, err)
			}
			return interrupted(cmd.Context(), runStopClear(cmd.Context(), p, args[0], who))
		},
	}
	who.add(cmd)
	return cmd
}

func runStopClear(ctx context.Context, p *program, id string, who whoWhy) (err error) {
	t, err := p.open(ctx, &custody.Options{})
	if err != nil {
		return err
	}
	defer closing(t, &err)
	var r custody.Receipt
	if remote, ok := t.(*client.Trail); ok {
		r, err = remote.ClearStop(ctx, id, who.reason)
	} else {
		r, err = clearStop(ctx, t.(*custody.Trail), id, who)
	}
	if isNotFound(err) {
		return withHint(err, "custody stop list%s shows those that hold", p.trailFlag())
	} else if err != nil {
		return err
	}
	p.note("lifted stop %s; entry %d says so", terminal.OneLine(id), r.Index)
	return nil
}

// clearStop lifts a stop of a trail in a directory.
func clearStop(ctx context.Context, t *custody.Trail, id string, who whoWhy) (custody.Receipt, error) {
	all, err := activeStops(ctx, t)
	if err != nil {
		return custody.Receipt{}, err
	}
	for i := range all {
		if s := &all[i]; s.ID == id {
			return t.EmergencyStopCleared(ctx, id, who.by, custody.Stop{Reason: who.reason, AffectedAgents: s.Agents, SessionID: s.Session, ProjectID: s.Project})
		}
	}
	return custody.Receipt{}, fmt.Errorf("emergency stop %q: %w among those that hold", id, custody.ErrNotFound)
}

// whomText says for whom a stop is.
func whomText(s *client.ActiveStop) string {
	switch s.Type {
	case "agent":
		return "agent " + terminal.OneLine(strings.Join(s.Agents, ", "))
	case "session":
		return "session " + terminal.OneLine(s.Session)
	case "project":
		return "project " + terminal.OneLine(s.Project)
	}
	return "all agents"
}

// stopJSON is a stop, as the server writes it too.
type stopJSON struct {
	ID         string          `json:"id"`
	Index      uint64          `json:"index"`
	Time       string          `json:"time"`
	Type       string          `json:"stop_type"`
	By         string          `json:"by"`
	Reason     string          `json:"reason"`
	Agents     []string        `json:"agents,omitempty"`
	Session    string          `json:"session_id,omitempty"`
	Project    string          `json:"project_id,omitempty"`
	LastAction *lastActionJSON `json:"last_action,omitempty"`
}

type lastActionJSON struct {
	Index   uint64  `json:"index"`
	Time    string  `json:"time"`
	AfterMS float64 `json:"after_ms"`
}

func stopJSONOf(s *client.ActiveStop) stopJSON {
	j := stopJSON{ID: s.ID, Index: s.Index, Time: wire.Time(s.Time), Type: s.Type, By: s.By, Reason: s.Reason, Agents: s.Agents, Session: s.Session, Project: s.Project}
	if a := s.LastAction; a != nil {
		j.LastAction = &lastActionJSON{a.Index, wire.Time(a.Time), a.Time.Sub(s.Time).Seconds() * 1000}
	}
	return j
}
