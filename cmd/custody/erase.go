package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

type eraseOptions struct {
	filter     filterFlags
	fields     fieldFlags
	indices    string
	who        whoWhy
	ground     string
	requester  string
	exceptHeld bool
	dryRun     bool
	yes        bool
	receipt    string
	json       bool
}

func newEraseCommand(p *program) *cobra.Command {
	var opts eraseOptions
	cmd := &cobra.Command{
		Use:   "erase FILTERS --ground GROUND --by WHO [--yes] [--receipt FILE]",
		Short: "Erase payloads for good, as a data subject may ask",
		Long: `Erase the payloads, and their salts, of the events for which every given filter holds. Their
entries stay, so that every proof stays valid. What would be erased is shown first and
has to be confirmed, unless --yes is given.

The files are written anew without the payloads. An event (payload_erased) says which
entries are concerned, on what ground and at whose request. It never expires, so
--ground, --requester and --reason must not name the data subject. The values of the
filters are not recorded.

A legal hold wins: if one covers any of the events, nothing is erased, or with
--except-held only the rest. So does an emergency stop: its event stays until it is lifted,
and what lifted it for as long as that. Backups and copies of the trail are not reached.

--receipt writes a file that proves what was erased and that no entry changed with it.`,
		GroupID: groupKeep,
		Args:    cobra.NoArgs,
		Example: `  custody erase --user u-17 --ground "GDPR Art. 17(1)(b)" --by privacy-desk --receipt r.json
  custody erase --field /details/email=a@example.org --ground "GDPR Art. 17(1)(b)" --by privacy-desk
  custody erase --index 41,50-99 --ground "recorded by mistake" --by operator --dry-run`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := opts.erasure(p, time.Now())
			if err != nil {
				return usageError(cmd, err)
			}
			return interrupted(cmd.Context(), runErase(cmd.Context(), p, opts, r))
		},
	}
	annotate(cmd, `  0  it was erased, or --dry-run showed what would be
  1  a legal hold or an emergency stop keeps some of it, or the trail does not check out;
     nothing was erased
  2  it was not erased, or not all of it: the message says which`)
	opts.filter.add(cmd)
	f := cmd.Flags()
	opts.fields.add(cmd)
	f.StringVar(&opts.indices, "index", "", "only the entries of this `LIST`, such as 41,50-99")
	f.StringVar(&opts.ground, "ground", "", "on what `GROUND`; recorded")
	f.StringVar(&opts.requester, "requester", "", "`WHO` asked for it; recorded")
	opts.who.add(cmd)
	f.BoolVar(&opts.exceptHeld, "except-held", false, "erase what no legal hold covers and no emergency stop needs")
	f.BoolVar(&opts.dryRun, "dry-run", false, "show what would be erased, and erase nothing")
	f.BoolVar(&opts.yes, "yes", false, "do not ask")
	f.StringVar(&opts.receipt, "receipt", "", "write the receipt to `FILE`, which must not be there")
	f.BoolVar(&opts.json, "json", false, "write one JSON object")
	cmd.MarkFlagFilename("receipt")
	return cmd
}

func (o *eraseOptions) erasure(p *program, now time.Time) (custody.Erasure, error) {
	r := custody.Erasure{Ground: o.ground, Requester: o.requester, By: o.who.by, Reason: o.who.reason, ExceptHeld: o.exceptHeld}
	var err error
	if r.Query, err = o.filter.query(false, now); err != nil {
		return r, err
	}
	if err := o.fields.parse(); err != nil {
		return r, err
	}
	r.Fields = o.fields.want
	if o.indices != "" {
		if r.Entries, err = evidence.ParseRanges(o.indices); err != nil {
			return r, fmt.Errorf("--index: %w", err)
		}
	}
	if o.filter.describe() == "" && r.Fields == nil && r.Entries == nil {
		return r, errors.New("say which events: give at least one filter, --field or --index")
	}
	if o.dryRun {
		return r, nil
	}
	if err := p.doneBy(o.who.by); err != nil || o.ground == "" {
		return r, errors.New("say on what ground, and who does it: --ground GROUND --by WHO")
	}
	if o.receipt != "" {
		if _, err := os.Lstat(o.receipt); err == nil {
			return r, fmt.Errorf("--receipt: %s is there already; nothing was erased", o.receipt)
		}
	}
	return r, nil
}

func runErase(ctx context.Context, p *program, o eraseOptions, r custody.Erasure) (err error) {
	t, err := p.open(ctx, &custody.Options{ReadOnly: o.dryRun})
	if err != nil {
		return err
	}
	defer closing(t, &err)
	plan, err := t.PlanErasure(ctx, r)
	if err != nil {
		return err
	}
	if !o.json {
		p.showErasurePlan(plan)
	}
	if o.dryRun || len(plan.Entries) == 0 && (len(plan.Held) == 0 || o.exceptHeld) {
		if o.json {
			return writeJSON(p.out, wire.ErasureOf(plan, nil))
		}
		p.note("nothing was erased")
		return nil
	}
	if err := plan.Blocked(); err != nil && !o.exceptHeld {
		return withHint(err, "custody hold list shows the holds, custody stop list the emergency stops; --except-held erases the rest")
	}
	if !o.yes {
		if err := p.confirm(fmt.Sprintf("Erase %s for good?", terminal.Plural(plan.Entries.Count(), "payload", "payloads"))); err != nil {
			return err
		}
	}
	receipt, err := t.Erase(ctx, r)
	if err != nil {
		return err
	}
	if o.receipt != "" {
		if err := writeReceipt(o.receipt, receipt); err != nil {
			return fmt.Errorf("it was erased, but the receipt was not written: %w", err)
		}
	}
	if o.json {
		return writeJSON(p.out, wire.ErasureOf(plan, receipt))
	}
	p.note("erased %s; entry %d says so", terminal.Plural(plan.Entries.Count(), "payload", "payloads"), receipt.Events[0].Index)
	return nil
}

// isHeld reports whether a hold or an emergency stop is in the way.
func isHeld(err error) bool {
	_, ok := errors.AsType[*custody.HeldError](err)
	return ok
}

// confirm asks on standard error and reads the answer from standard input.
func (p *program) confirm(question string) error {
	p.err.Printf("%s [y/N] ", question)
	p.err.Flush()
	answer, err := bufio.NewReader(io.LimitReader(p.in, 64)).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return withHint(errors.New("it was not confirmed; nothing was done"), "--yes does not ask")
}

func writeReceipt(name string, receipt *custody.ErasureReceipt) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	enc := json.NewEncoder(f)
	enc.SetIndent("", "  ")
	return enc.Encode(receipt)
}

func (p *program) showErasurePlan(plan *custody.ErasurePlan) {
	p.out.Fields(0,
		terminal.Field{Name: "payloads", Value: fmt.Sprintf("%s, %s", terminal.Count(plan.Entries.Count()), terminal.Bytes(int64(plan.Bytes)))},
		terminal.Field{Name: "entries", Value: short60(plan.Entries)},
		terminal.Field{Name: "types", Value: describeTypes(plan.Types)})
	p.showHeld(plan.Held)
	if n := plan.Own.Count(); n > 0 {
		p.out.Fields(0, terminal.Field{Name: "stay", Value: fmt.Sprintf("%s, which the trail needs to prove the rest", terminal.Plural(n, "event of its own", "events of its own"))})
	}
	p.out.Flush()
}

// showHeld shows what holds and emergency stops keep.
func (p *program) showHeld(held []custody.Covered) {
	for _, c := range held {
		by := c.Hold.ID
		if c.Stop != "" {
			by = "stop " + c.Stop
		}
		p.out.Fields(0, terminal.Field{Name: "held", Value: fmt.Sprintf("%s by %s: %s", terminal.Count(c.Entries.Count()), terminal.OneLine(by), terminal.OneLine(c.Reason))})
	}
}

// short60 writes a list of entries, cut short where it is long.
func short60(r evidence.Ranges) string {
	s := r.String()
	if len(s) > 60 {
		s = s[:strings.LastIndexByte(s[:60], ',')+1] + " …"
	}
	return s
}

func describeTypes(types map[event.Type]uint64) string {
	var parts []string
	for t, n := range types {
		parts = append(parts, fmt.Sprintf("%s %d", t, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
