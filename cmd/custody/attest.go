package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

func newCosignCommand(p *program) *cobra.Command {
	policy, asJSON := "", false
	cmd := &cobra.Command{
		Use:   "cosign [--policy FILE] [--json]",
		Short: "Have witnesses cosign the newest checkpoint",
		Long: `Show the newest checkpoint to the witnesses of a policy (C2SP tlog-policy, tlog-witness),
with a proof that it continues what each has seen, and keep their cosignatures with the
trail. From then on nobody can show another history up to there, not even who holds the
signing key, unless the witnesses take part.

A program that has the trail open for long can do this by itself (Options.Witnessing).
This command needs no signing key and does not disturb who writes.

Where the trail is on a server, the server asks the witnesses of its configuration, at once:
there is no --policy then.`,
		GroupID: groupProve,
		Args:    cobra.NoArgs,
		Example: `  custody cosign --policy policy.txt
  custody cosign --trail https://custody.example.org:8420/trails/default`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case policy == "" && !p.remote():
				return usageError(cmd, errors.New("say which witnesses: --policy FILE"))
			case policy != "" && p.remote():
				return usageError(cmd, errors.New("--policy: a server asks the witnesses of its configuration (witnesses.policy); leave it out"))
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

func runCosign(ctx context.Context, p *program, file string, asJSON bool) (err error) {
	r, err := cosign(ctx, p, file)
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(p.out, wire.CosignedOf(r))
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

// cosign asks the witnesses of a policy or, where the trail is on a server, has it ask its
// own.
func cosign(ctx context.Context, p *program, file string) (_ *custody.CosignResult, err error) {
	if p.remote() {
		var t *client.Trail
		if t, err = p.openRemote(ctx, &custody.Options{}); err != nil {
			return nil, err
		}
		defer closing(t, &err)
		return t.Cosign(ctx)
	}
	policy, err := readPolicy(file)
	if err != nil {
		return nil, err
	}
	t, err := p.openForReading()
	if err != nil {
		return nil, err
	}
	defer closing(t, &err)
	return t.Cosign(ctx, custody.Witnessing{Policy: policy})
}

func newTimestampCommand(p *program) *cobra.Command {
	url := ""
	cmd := &cobra.Command{
		Use:   "timestamp [--tsa URL]",
		Short: "Have an authority time-stamp the newest checkpoint",
		Long: `Have a time-stamping authority (RFC 3161) stamp the newest checkpoint, or the newest that
witnesses cosigned, and keep the token with the trail. It shows later that what the
checkpoint covers was there at that time, and so was not written afterwards.
custody verify --tsa-roots FILE checks it; so does openssl ts -verify
(docs/format/timestamp.md).

Where the trail is on a server, the server asks the authority of its configuration, at once:
there is no --tsa then.`,
		GroupID: groupProve,
		Args:    cobra.NoArgs,
		Example: `  custody timestamp --tsa https://tsa.example.org/tsr`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case url == "" && !p.remote():
				return usageError(cmd, errors.New("say which authority: --tsa URL"))
			case url != "" && p.remote():
				return usageError(cmd, errors.New("--tsa: a server asks the authority of its configuration (timestamps.url); leave it out"))
			}
			return interrupted(cmd.Context(), runTimestamp(cmd.Context(), p, url))
		},
	}
	cmd.Flags().StringVar(&url, "tsa", "", "`URL` of the authority")
	return cmd
}

func runTimestamp(ctx context.Context, p *program, url string) (err error) {
	size, err := stamp(ctx, p, url)
	if err == nil {
		p.note("the checkpoint of %s is time-stamped", terminal.Plural(size, "entry", "entries"))
	}
	return err
}

// stamp asks an authority for a time-stamp or, where the trail is on a server, has it ask
// its own.
func stamp(ctx context.Context, p *program, url string) (_ uint64, err error) {
	if p.remote() {
		var t *client.Trail
		if t, err = p.openRemote(ctx, &custody.Options{}); err != nil {
			return 0, err
		}
		defer closing(t, &err)
		return t.Timestamp(ctx)
	}
	t, err := p.openForReading()
	if err != nil {
		return 0, err
	}
	defer closing(t, &err)
	return t.Timestamp(ctx, custody.Timestamping{URL: url})
}
