package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/evidence/bundle"
	"github.com/custodylog/custody/evidence/timestamp"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

type bundleOptions struct {
	filter filterFlags
	text   string
	policy string
	out    string
	all    bool
}

func newBundleCommand(p *program) *cobra.Command {
	var opts bundleOptions
	cmd := &cobra.Command{
		Use:   "bundle FILTERS | --all --out FILE.zip [--question TEXT] [--policy FILE]",
		Short: "Write evidence that a stranger can check, as one zip file",
		Long: `Write the events for which every given filter holds into a zip file with everything that
somebody needs who has never heard of the trail: entries, proofs, the signed checkpoint
with cosignatures and time-stamp, keys, what was erased, has expired or was pruned, what is
under legal hold, and how complete it is. index.html in it shows the events and checks all
of it in a browser, without a network; VERIFY.md says how to do the same with public tools;
custody check does as well.

For a range of time or of indices, the bundle proves that nothing was left out. For one
session, agent or user it discloses nothing else, so that this is your word.`,
		GroupID: groupProve,
		Args:    cobra.NoArgs,
		Example: `  custody bundle --session s-1 --out case.zip --question "what did the agent do in session s-1?"
  custody bundle --since 2026-11-24 --until 2026-11-25 --out monday.zip --policy policy.txt`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := opts.filter.query(false, time.Now())
			if err == nil && (opts.filter.describe() == "") != opts.all {
				err = errors.New("say which events: give filters, or --all for the whole trail")
			}
			if err == nil && opts.out == "" {
				err = errors.New("say where: --out FILE.zip")
			}
			if err != nil {
				return usageError(cmd, err)
			}
			return interrupted(cmd.Context(), runBundle(cmd.Context(), p, opts, q))
		},
	}
	opts.filter.add(cmd)
	f := cmd.Flags()
	f.BoolVar(&opts.all, "all", false, "all events")
	f.StringVar(&opts.text, "question", "", "what the bundle answers, `TEXT` for its reader (default: the filters)")
	f.StringVar(&opts.policy, "policy", "", "add this trust policy, `FILE`; the reader should have it from elsewhere")
	f.StringVar(&opts.out, "out", "", "write it to `FILE`, which must not exist")
	cmd.MarkFlagFilename("policy")
	cmd.MarkFlagFilename("out", "zip")
	return cmd
}

func runBundle(ctx context.Context, p *program, opts bundleOptions, q custody.Query) (err error) {
	o := custody.BundleOptions{Query: q, Text: opts.text, Program: "custody " + version()}
	if opts.policy != "" {
		if _, err := readPolicy(opts.policy); err != nil {
			return err
		}
		if o.Policy, err = os.ReadFile(opts.policy); err != nil {
			return err
		}
	}
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	var b bytes.Buffer
	if err := t.Bundle(ctx, &b, o); err != nil {
		return err
	}
	if err := writeNewFile(opts.out, b.Bytes()); err != nil {
		return err
	}
	p.note("wrote %s, %s; open its index.html, or run custody check %s", opts.out, terminal.Bytes(int64(b.Len())), opts.out)
	return nil
}

// checkedBundleJSON is a bundle that was checked, in JSON output.
type checkedBundleJSON struct {
	OK          bool                `json:"ok"`
	Origin      string              `json:"origin"`
	Question    string              `json:"question"`
	From        uint64              `json:"from"`
	To          uint64              `json:"to"`
	Events      uint64              `json:"events"`
	Removed     uint64              `json:"removed"`
	Erased      string              `json:"erased"`
	Expired     string              `json:"expired"`
	Held        string              `json:"held"`
	Pruned      string              `json:"pruned"`
	Complete    bool                `json:"complete"`
	Reason      string              `json:"complete_reason"`
	Size        uint64              `json:"size"`
	Witnesses   []cosignedJSON      `json:"witnesses"`
	TimeStamped []string            `json:"time_stamped"`
	Findings    []bundleFindingJSON `json:"findings"`
}

// bundleFindingJSON is a finding about a bundle, in JSON output.
type bundleFindingJSON struct {
	Cause   string `json:"cause"`
	File    string `json:"file"`
	Entries string `json:"entries"`
	Detail  string `json:"detail"`
}

func (p *program) checkBundle(opts checkOptions, policy *evidence.Policy, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	o := bundle.CheckOptions{Keys: policy.Logs(), Policy: policy}
	if opts.roots != "" {
		roots, err := readRoots(opts.roots)
		if err != nil {
			return err
		}
		o.CheckTimestamp = func(token, checkpoint []byte) (time.Time, error) {
			stamp, err := timestamp.Verify(token, checkpoint, roots)
			if err != nil {
				return time.Time{}, err
			}
			return stamp.Time, nil
		}
	}
	r, err := bundle.Check(f, info.Size(), &o)
	if err != nil {
		return p.refuse(opts, name, err)
	}
	if opts.json {
		if err := writeJSON(p.out, bundleToJSON(r)); err != nil {
			return err
		}
	} else {
		p.showBundle(r)
	}
	if !r.OK() {
		return errFindings
	}
	return nil
}

func bundleToJSON(r *bundle.Report) checkedBundleJSON {
	c := &r.Completeness
	j := checkedBundleJSON{OK: r.OK(), Origin: r.Checkpoint.Origin, Question: r.Manifest.Scope.Text, From: c.From, To: c.To, Events: c.Asked.Count(), Removed: c.Removed().Count(),
		Erased: c.Erased.String(), Expired: c.Expired.String(), Held: c.Held.String(), Pruned: c.Pruned.String(),
		Complete: c.Proven, Reason: c.Reason, Size: r.Checkpoint.Size, Witnesses: cosignedToJSON(r.Cosigned), TimeStamped: []string{}, Findings: []bundleFindingJSON{}}
	for _, s := range r.Timestamps {
		if s.Checked {
			j.TimeStamped = append(j.TimeStamped, wire.Time(s.Time))
		}
	}
	for _, f := range r.Findings {
		j.Findings = append(j.Findings, bundleFindingJSON{string(f.Cause), f.File, f.Entries.String(), f.Detail})
	}
	return j
}

func (p *program) showBundle(r *bundle.Report) {
	c := &r.Completeness
	complete := "not proven: "
	if c.Proven {
		complete = "proven: "
	}
	stamps := "none"
	for _, s := range r.Timestamps {
		if stamps = "not checked: give --tsa-roots"; s.Checked {
			stamps = terminal.Time(s.Time)
		}
	}
	p.out.Fields(0,
		terminal.Field{Name: "trail", Value: terminal.Clean(r.Checkpoint.Origin)},
		terminal.Field{Name: "question", Value: wrap(terminal.Clean(r.Manifest.Scope.Text), 80)},
		terminal.Field{Name: "events", Value: fmt.Sprintf("%s of the entries %d to %d; payloads removed lawfully: %d", terminal.Count(c.Asked.Count()), c.From, c.To-1, c.Removed().Count())},
		terminal.Field{Name: "erased", Value: entriesOf(c.Erased, "")},
		terminal.Field{Name: "expired", Value: entriesOf(c.Expired, "")},
		terminal.Field{Name: "legal hold", Value: entriesOf(c.Held, "; that no other is, nor released since, is the maker's word")},
		terminal.Field{Name: "pruned", Value: entriesOf(c.Pruned, ", before the range")},
		terminal.Field{Name: "complete", Value: wrap(complete+c.Reason, 80)},
		terminal.Field{Name: "witnesses", Value: witnessLines(&evidence.Opened{Cosigned: r.Cosigned})},
		terminal.Field{Name: "time-stamp", Value: stamps})
	for _, f := range r.Findings {
		p.out.Printf("\n%s  %s\n", p.out.Paint(terminal.Red, strings.ToUpper(strings.ReplaceAll(string(f.Cause), "_", " "))), terminal.Clean(f.String()))
	}
	if r.OK() {
		p.out.Printf("\n%s  the bundle checks out under the key that was given\n", p.out.Paint(terminal.Green, "OK"))
		return
	}
	p.out.Printf("\n%s  %s\n", p.out.Paint(terminal.Alarm, "NOT OK"), terminal.Plural(uint64(len(r.Findings)), "finding", "findings"))
}

// entriesOf lists entries, with a remark if there are any.
func entriesOf(set bundle.Set, remark string) string {
	if set.Count() == 0 {
		return ""
	}
	return short60(set.Ranges) + remark
}
