package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	"github.com/custodylog/custody/witness"
)

type verifyOptions struct {
	checkpoints []string
	against     []string
	since       string
	key         string
	policy      string
	witnesses   []string
	roots       string
	noGuard     bool
	json        bool
	quiet       bool
}

func newVerifyCommand(p *program) *cobra.Command {
	var opts verifyOptions
	cmd := &cobra.Command{
		Use:   "verify [--policy FILE] [--against URL|FILE]... [--key VKEY] [--since FILE] [--json | --quiet]",
		Short: "Check that nothing recorded was changed",
		Long: `Read the whole trail again, compute everything from the bytes that are stored, and
report all that does not check out: which entry is the first one concerned, how many
are, what was seen, and what it means.

On its own a trail can only be checked against the key that signed it. Whoever holds
that key could have written another history; a checkpoint kept where they cannot change
it rules that out up to its size (custody checkpoint --out FILE makes one, and --against
also takes the address of a published log). So do witnesses that cosigned: --policy says
which of them count, and --witness asks one now. The verifier key that custody init
printed, given with --key, rules out that everything was replaced under another key. How
much a result is worth is always said.

Where this machine keeps the last checkpoint that the trail handed out (beside its key),
the trail has to extend it; --no-guard is for a backup that is verified as it is.

--since takes a checkpoint from an earlier verification: what is before it must still
have the same root, and only what is behind it is read.`,
		GroupID: groupProve,
		Args:    cobra.NoArgs,
		Example: `  custody verify
  custody verify --checkpoint /mnt/elsewhere/checkpoint.txt --key "$(cat vkey.txt)"
  custody verify --policy policy.txt --tsa-roots roots.pem --against https://log.example.org/agents`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), runVerify(cmd.Context(), p, opts))
		},
	}
	annotate(cmd, `  0  everything checks out
  1  something was found; it is on standard output
  2  it could not be verified, or not to the end: this says nothing about the trail`)
	f := cmd.Flags()
	f.StringArrayVar(&opts.checkpoints, "checkpoint", nil, "`FILE` with a checkpoint that was kept elsewhere; repeatable; - is standard input")
	f.StringArrayVar(&opts.against, "against", nil, "`URL` of the published log, or a file with a checkpoint; repeatable")
	f.StringVar(&opts.policy, "policy", "", "`FILE` with the trust policy (C2SP tlog-policy): keys of the log, witnesses, quorum")
	f.StringArrayVar(&opts.witnesses, "witness", nil, "`URL` of a witness of the policy that is to compare the trail with what it has seen; repeatable; all: every one")
	f.StringVar(&opts.roots, "tsa-roots", "", "`FILE` with root certificates (PEM) of authorities whose time-stamps count")
	f.BoolVar(&opts.noGuard, "no-guard", false, "do not compare with the last checkpoint that this machine keeps")
	f.StringVar(&opts.key, "key", "", "`VKEY`, the verifier key that the trail began with (default: the one it names itself)")
	f.StringVar(&opts.since, "since", "", "`FILE` with a checkpoint up to which the trail has been verified; - is standard input")
	f.BoolVar(&opts.json, "json", false, "write one JSON object")
	f.BoolVar(&opts.quiet, "quiet", false, "write nothing; the exit status says it")
	cmd.MarkFlagsMutuallyExclusive("json", "quiet")
	cmd.MarkFlagFilename("checkpoint")
	cmd.MarkFlagFilename("since")
	cmd.MarkFlagFilename("policy")
	cmd.MarkFlagFilename("tsa-roots", "pem")
	return cmd
}

func runVerify(ctx context.Context, p *program, opts verifyOptions) (err error) {
	v := custody.VerifyOptions{Key: opts.key}
	if opts.key != "" {
		if _, err := evidence.ParseVerifier(opts.key); err != nil {
			return withHint(fmt.Errorf("--key: %w", err), "custody init and custody key show print it")
		}
	}
	for _, name := range opts.checkpoints {
		c, err := p.readCheckpoint(name)
		if err != nil {
			return err
		}
		v.Checkpoints = append(v.Checkpoints, c)
	}
	for _, where := range opts.against {
		c, err := p.publishedCheckpoint(ctx, where)
		if err != nil {
			return err
		}
		v.Checkpoints = append(v.Checkpoints, c)
	}
	if err := opts.trust(&v); err != nil {
		return err
	}
	if opts.since != "" {
		if v.Since, err = p.readCheckpoint(opts.since); err != nil {
			return err
		}
	}
	o := custody.Options{ReadOnly: true}
	if opts.noGuard {
		o.Guard = custody.GuardOff
	}
	t, err := p.open(ctx, &o)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	report, err := p.verify(ctx, t, v)
	if err != nil {
		return fmt.Errorf("%s could not be verified: %w", placeOf(t), err)
	}
	switch {
	case opts.json:
		if err := writeJSON(p.out, wire.ReportOf(report)); err != nil {
			return err
		}
	case !opts.quiet:
		p.showReport(t, report)
	}
	if !report.OK() {
		return errFindings
	}
	return nil
}

// verify verifies and shows how far it is.
func (p *program) verify(ctx context.Context, t trail, v custody.VerifyOptions) (*custody.Report, error) {
	progress := p.err.NewProgress("verifying")
	defer progress.Done()
	v.Progress = func(done, total uint64) {
		progress.Set(done, total, func(elapsed time.Duration) string {
			return fmt.Sprintf("%s of %s  %s", terminal.Count(done), terminal.Plural(total, "entry", "entries"), terminal.PerSecond(done, elapsed))
		})
	}
	return t.Verify(ctx, v)
}

// trust takes in whom to believe.
func (o *verifyOptions) trust(v *custody.VerifyOptions) (err error) {
	if o.policy != "" {
		if v.Policy, err = readPolicy(o.policy); err != nil {
			return err
		}
	}
	if o.roots != "" {
		if v.Roots, err = readRoots(o.roots); err != nil {
			return err
		}
	}
	if len(o.witnesses) == 0 {
		return nil
	}
	if v.Policy == nil {
		return withHint(errors.New("--witness needs a policy that has the witness's key"), "--policy FILE, with a line such as: witness NAME VKEY URL")
	}
	all := slices.Contains(o.witnesses, "all")
	known := map[string]bool{"all": true}
	for _, w := range v.Policy.Witnesses() {
		if w.Verifier != nil && w.URL != "" && (all || slices.Contains(o.witnesses, w.URL)) {
			v.Witnesses = append(v.Witnesses, witness.Client{URL: w.URL, Key: w.Verifier, HTTP: &http.Client{Timeout: requestTimeout}})
			known[w.URL] = true
		}
	}
	for _, url := range o.witnesses {
		if !known[url] {
			return fmt.Errorf("--witness %s: the policy has no witness with an Ed25519 key and that URL", url)
		}
	}
	return nil
}

// readCheckpoint reads a file with one signed checkpoint.
func (p *program) readCheckpoint(name string) ([]byte, error) {
	var r io.Reader = p.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, evidence.MaxCheckpointSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) // as mail programs leave it
	if _, err := evidence.PeekCheckpoint(b); err != nil {
		return nil, withHint(fmt.Errorf("%s: %w", name, err), "custody checkpoint --out FILE writes one")
	}
	return b, nil
}

// showReport prints the result of a verification for people.
func (p *program) showReport(t trail, r *custody.Report) {
	read := terminal.Plural(r.Entries, "entry", "entries")
	if r.From > 0 {
		read += fmt.Sprintf(" behind the %s of --since", terminal.Count(r.From))
	}
	p.out.Fields(0,
		terminal.Field{Name: "trail", Value: fmt.Sprintf("%s in %s", terminal.Clean(r.Origin), placeOf(t))},
		terminal.Field{Name: "read", Value: fmt.Sprintf("%s, %s, %s, in %s", read, terminal.Plural(r.Payloads, "payload", "payloads"), terminal.Plural(r.Signed, "signature", "signatures"), terminal.Duration(r.Elapsed))},
		terminal.Field{Name: "keys", Value: terminal.Lines(strings.Join(r.Keys, "\n"))},
		terminal.Field{Name: "strength", Value: wrap(r.Strength(), 80)})
	for i := range r.Removed {
		p.showRemoved(&r.Removed[i])
	}
	for _, b := range r.Breaks {
		p.out.Fields(0, terminal.Field{Name: "break", Value: fmt.Sprintf("entry %d: %s: %s", b.Event, terminal.Clean(b.By), terminal.Clean(b.Reason))})
	}
	for _, what := range r.Unchecked {
		p.out.Fields(0, terminal.Field{Name: "not checked", Value: wrap(terminal.Clean(what), 80)})
	}
	if r.OK() {
		p.out.Printf("\n%s  %s check out, root %s\n", p.out.Paint(terminal.Green, "OK"), terminal.Plural(r.Size, "entry", "entries"), r.Root)
		return
	}
	for _, f := range r.Findings {
		p.showFinding(&f)
	}
	first := r.Findings[0].Index
	intact := ""
	if first > 0 {
		intact = fmt.Sprintf("; everything before entry %d checks out", first)
	}
	p.out.Printf("\n%s  %s%s\n", p.out.Paint(terminal.Alarm, "NOT OK"), terminal.Plural(len(r.Findings), "finding", "findings"), intact)
}

// showRemoved tells of payloads and entries that are gone lawfully, and of those that
// should be.
func (p *program) showRemoved(r *custody.Removed) {
	how, one, many := "erased", "payload", "payloads"
	switch {
	case r.Minimum > 0:
		how, one, many = "pruned", "entry", "entries"
	case r.Type == event.RetentionApplied:
		how = "expired"
	}
	p.out.Fields(0, terminal.Field{Name: how, Value: fmt.Sprintf("%s: %s, as entry %d says", terminal.Plural(r.Entries.Count(), one, many), short60(r.Entries), r.Event)})
	if n := r.Left.Count(); n > 0 {
		p.warn("%s that entry %d lists as removed %s still here: %s. Opening the trail for writing finishes a removal that was interrupted", terminal.Plural(n, one, many), r.Event, isOrAre(n), short60(r.Left))
	}
}

func isOrAre(n uint64) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func (p *program) showFinding(f *evidence.Finding) {
	where := fmt.Sprintf("entry %d", f.Index)
	if f.Count > 1 {
		where = fmt.Sprintf("entries %d to %d", f.Index, f.Index+f.Count-1)
	}
	p.out.Printf("\n%s  %s\n", p.out.Paint(terminal.Red, strings.ToUpper(strings.ReplaceAll(string(f.Cause), "_", " "))), p.heading(where))
	p.out.Fields(2,
		terminal.Field{Name: "seen", Value: terminal.Lines(f.Detail)},
		terminal.Field{Name: "in", Value: terminal.Clean(f.Where)},
		terminal.Field{Name: "means", Value: wrap(f.Cause.Meaning(), 80)})
}

// wrap breaks a text into lines of at most columns columns.
func wrap(s string, columns int) string {
	var b strings.Builder
	n := 0
	for i, word := range strings.Fields(s) {
		w := terminal.Width(word)
		switch {
		case i > 0 && n+1+w > columns:
			b.WriteByte('\n')
			n = 0
		case i > 0:
			b.WriteByte(' ')
			n++
		}
		b.WriteString(word)
		n += w
	}
	return b.String()
}
