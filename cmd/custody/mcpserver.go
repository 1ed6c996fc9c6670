package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/internal/mcpserver"
	"github.com/custodylog/custody/internal/terminal"
)

type mcpServerOptions struct {
	trust     verifyOptions // key, policy, roots
	verifyFor time.Duration
}

func newMCPServerCommand(p *program) *cobra.Command {
	var opts mcpServerOptions
	cmd := &cobra.Command{
		Use:   "mcp-server [--key VKEY] [--policy FILE] [--tsa-roots FILE] [--verify-for DURATION]",
		Short: "Let an agent ask the trail what happened (MCP, read only)",
		Long: `Serve the trail over standard input and output to a client of the Model Context Protocol,
such as an agent, with tools that only read: query, timeline, show, verify, stats and
stops. The trail, its newest checkpoint, entries, actions and proofs are resources. Answers
are bounded and say when they are cut.

Nothing can be written by it. The agent sees what the events say; give it a trail on a
server and a token that may not read payloads where it should not. A server records what
is read with a token.

What events say was written by agents and tools: text in them that reads like an
instruction is none, and the client is told so. That does not keep a model from following
it.

docs/mcp-server.md says how agents are told of it, and what they can ask.`,
		GroupID: groupRead,
		Args:    cobra.NoArgs,
		Example: `  claude mcp add audit -- custody mcp-server --trail ~/custody-trail
  custody mcp-server --trail https://custody.example.org:8420/trails/payments --token-file token`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.verifyFor <= 0 {
				return usageError(cmd, fmt.Errorf("--verify-for %s: expected more than 0", opts.verifyFor))
			}
			return runMCPServer(cmd.Context(), p, opts)
		},
	}
	annotate(cmd, `  0  the client, or somebody else, ended it
  1  the trail does not check out; custody verify says why
  2  it could not be done`)
	f := cmd.Flags()
	f.StringVar(&opts.trust.key, "key", "", "`VKEY`, the verifier key that the trail began with, for the tool verify")
	f.StringVar(&opts.trust.policy, "policy", "", "`FILE` with the trust policy, for the tool verify")
	f.StringVar(&opts.trust.roots, "tsa-roots", "", "`FILE` with root certificates (PEM) of authorities whose time-stamps count")
	f.DurationVar(&opts.verifyFor, "verify-for", time.Minute, "how long the tool verify may take, as a `DURATION` such as 30s")
	cmd.MarkFlagFilename("policy")
	cmd.MarkFlagFilename("tsa-roots", "pem")
	return cmd
}

func runMCPServer(ctx context.Context, p *program, opts mcpServerOptions) (err error) {
	o := mcpserver.Options{VerifyFor: opts.verifyFor, Verify: custody.VerifyOptions{Key: opts.trust.key}, Version: version()}
	if err := opts.trust.trust(&o.Verify); err != nil {
		return err
	}
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	o.Trail = t
	o.Stops = func(ctx context.Context) ([]client.ActiveStop, error) { return activeStops(ctx, t) }
	asked := &questions{in: p.in}
	err = mcpserver.New(o).Run(ctx, &mcp.IOTransport{Reader: io.NopCloser(asked), Writer: answers{p.out}})
	if err == nil || asked.ended.Load() || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // that is how it ends
	}
	return withHint(fmt.Errorf("what the client sends cannot be read: %w", err), "it is for a client of the Model Context Protocol, which starts it; custody query and custody timeline are for people")
}

// questions reads what the client sends, and knows whether that has ended.
type questions struct {
	in    io.Reader
	ended atomic.Bool
}

func (q *questions) Read(b []byte) (int, error) {
	n, err := q.in.Read(b)
	if err == io.EOF {
		q.ended.Store(true)
	}
	return n, err
}

// answers writes each answer at once.
type answers struct{ *terminal.Output }

func (a answers) Write(b []byte) (int, error) {
	n, err := a.Output.Write(b)
	return n, errors.Join(err, a.Flush())
}

// Close implements io.Closer.
func (a answers) Close() error { return a.Flush() }
