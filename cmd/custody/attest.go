package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/terminal"
)

func newCosignCommand(p *program) *cobra.Command {
	policy, asJSON := "", false
	cmd := &cobra.Command{
		Use:   "cosign --policy FILE [--json]",
		Short: "Have witnesses cosign the newest checkpoint",
		Long: `Show the newest checkpoint to the witnesses of a policy (C2SP tlog-policy, tlog-witness),
with a proof that it continues what each has seen, and keep their cosignatures with the
trail. From then on nobody can show another history up to there, not even who holds the
signing key, unless the witnesses take part.

A program that has the trail open for long can do this by itself (Options.Witnessing).
This command needs no signing key and does not disturb who writes.`,
		GroupID: groupProve,
		Args:    cobra.NoArgs,
		Example: `  custody cosign --policy policy.txt`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if policy == "" {
				return usageError(cmd, errors.New("say which witnesses: --policy FILE"))
			}
			return interrupted(cmd.Context(), runCosign(cmd.Context(), p, policy, asJSON))
		},
	}
	annotate(cmd, `  0  the policy's quorum cosigned
  1  too few witnesses cosigned; what there is, is kept
  2  none did, or it could not be kept`)
	cmd.Flags().StringVar(&policy, "policy", "", "`FILE` with the policy, whose witness lines have URLs")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	cmd.MarkFlagFilename("policy")
	return cmd
}

// cosignJSON is what became of asking witnesses, in JSON output.
type cosignJSON struct {
	Size      uint64              `json:"size"`
	Quorum    bool                `json:"quorum"`
	Witnesses []witnessResultJSON `json:"witnesses"`
}

// witnessResultJSON is what became of asking one witness, in JSON output.
type witnessResultJSON struct {
	Name     string `json:"name"`
	Cosigned bool   `json:"cosigned"`
	Error    string `json:"error,omitempty"`
}

func runCosign(ctx context.Context, p *program, file string, asJSON bool) (err error) {
	policy, err := readPolicy(file)
	if err != nil {
		return err
	}
	if err := p.needsFiles("a server asks witnesses itself: witnesses.policy in its configuration"); err != nil {
		return err
	}
	t, err := p.openForReading()
	if err != nil {
		return err
	}
	defer closing(t, &err)
	r, err := t.Cosign(ctx, custody.Witnessing{Policy: policy})
	if err != nil {
		return err
	}
	if asJSON {
		j := cosignJSON{Size: r.Size, Quorum: r.Quorum, Witnesses: []witnessResultJSON{}}
		for _, w := range r.Witnesses {
			one := witnessResultJSON{Name: w.Name, Cosigned: w.Err == nil}
			if w.Err != nil {
				one.Error = w.Err.Error()
			}
			j.Witnesses = append(j.Witnesses, one)
		}
		err = writeJSON(p.out, j)
	} else {
		for _, w := range r.Witnesses {
			said := "cosigned"
			if w.Err != nil {
				said = wrap(terminal.Clean(w.Err.Error()), 80)
			}
			p.out.Fields(0, terminal.Field{Name: terminal.Clean(w.Name), Value: said})
		}
		p.note("the checkpoint of %s", terminal.Plural(r.Size, "entry", "entries"))
	}
	if err == nil && !r.Quorum {
		p.warn("that is not the quorum that the policy asks for")
		err = errFindings
	}
	return err
}

func newTimestampCommand(p *program) *cobra.Command {
	url := ""
	cmd := &cobra.Command{
		Use:   "timestamp --tsa URL",
		Short: "Have an authority time-stamp the newest checkpoint",
		Long: `Have a time-stamping authority (RFC 3161) stamp the newest checkpoint, or the newest that
witnesses cosigned, and keep the token with the trail. It shows later that what the
checkpoint covers was there at that time, and so was not written afterwards.
custody verify --tsa-roots FILE checks it; so does openssl ts -verify
(docs/format/timestamp.md).`,
		GroupID: groupProve,
		Args:    cobra.NoArgs,
		Example: `  custody timestamp --tsa https://tsa.example.org/tsr`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if url == "" {
				return usageError(cmd, errors.New("say which authority: --tsa URL"))
			}
			return interrupted(cmd.Context(), runTimestamp(cmd.Context(), p, url))
		},
	}
	cmd.Flags().StringVar(&url, "tsa", "", "`URL` of the authority")
	return cmd
}

func runTimestamp(ctx context.Context, p *program, url string) (err error) {
	if err := p.needsFiles("a server asks an authority itself: timestamps.url in its configuration"); err != nil {
		return err
	}
	t, err := p.openForReading()
	if err != nil {
		return err
	}
	defer closing(t, &err)
	size, err := t.Timestamp(ctx, custody.Timestamping{URL: url})
	if err != nil {
		return err
	}
	p.note("the checkpoint of %s is time-stamped", terminal.Plural(size, "entry", "entries"))
	return nil
}
