package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/internal/mcprecorder"
	"github.com/custodylog/custody/internal/spool"
	"github.com/custodylog/custody/internal/vfs"
)

type mcpOptions struct {
	agent, session, project, server string

	failClosed bool
	upstream   string
	listen     string
	origins    []string
	state      string
}

func newMCPCommand(p *program) *cobra.Command {
	var opts mcpOptions
	cmd := &cobra.Command{
		Use:   "mcp [FLAGS] -- COMMAND… | mcp --upstream URL --listen ADDR [FLAGS]",
		Short: "Record what an agent calls at an MCP server",
		Long: `Stand between an agent and a server of the Model Context Protocol, forward what they say
to each other byte for byte, and record the calls in it (docs/mcp.md): every call of a tool
and every read of a resource before it is forwarded, how it ended, what the server asked the
person, and whether the tools of the server change.

With a COMMAND it starts that server and speaks over standard input and output, in its place.
Signals, standard error and the way it ends are those of the server. With --upstream it
listens, for streamable HTTP.

While an emergency stop holds for the agent, its session or its project, calls are answered
with an error. A call that cannot be recorded goes on, and is recorded later: what a
server cannot be told is kept on this machine until it can. With
--fail-closed it is answered with an error too.

A trail in a directory has one writer. Where a server has it, or several agents are to be
recorded in one, give the address of a trail on a server (custody serve): it joins what it
is told here with what the agent's hooks and telemetry tell, and an emergency stop that
somebody sets there takes effect at once.`,
		GroupID: groupWrite,
		Example: `  claude mcp add files -- custody mcp --server files --trail http://127.0.0.1:8420 -- \
      npx -y @modelcontextprotocol/server-filesystem ~/project
  custody mcp --server tracker --upstream https://mcp.example.com/mcp --listen 127.0.0.1:8430`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case opts.upstream != "" && len(args) > 0:
				return usageError(cmd, fmt.Errorf("--upstream is a server that runs already; %s cannot be started with it", args[0]))
			case opts.upstream == "" && len(args) == 0:
				return usageError(cmd, errors.New("which server? Give its command behind --, or --upstream"))
			case opts.upstream == "" && (opts.listen != "" || len(opts.origins) > 0):
				return usageError(cmd, errors.New("--listen and --allow-origin need --upstream"))
			}
			return runMCP(cmd.Context(), p, opts, args)
		},
	}
	annotate(cmd, `  that of COMMAND: its exit status, or death by the signal that ended it
  0  with --upstream: somebody ended it
  1  the trail does not check out, so nothing was started; custody verify says why
  2  it could not be done
  127  COMMAND could not be started`)
	f := cmd.Flags()
	f.SetInterspersed(false) // what stands behind COMMAND is the command's
	f.StringVar(&opts.server, "server", "", "`NAME` of the server, as the agent knows it (default: what the server calls itself)")
	f.StringVar(&opts.agent, "agent-id", "", "`ID` of the agent (default: what it calls itself)")
	f.StringVar(&opts.session, "session", "", "`ID` of the agent's session, for calls with which it sends none (default: for a trail in a directory, a new one)")
	f.StringVar(&opts.project, "project", "", "`ID` of the project")
	f.BoolVar(&opts.failClosed, "fail-closed", false, "refuse calls that cannot be recorded, or of which it cannot be asked whether a stop holds")
	f.StringVar(&opts.upstream, "upstream", "", "`URL` of a server that speaks streamable HTTP")
	f.StringVar(&opts.listen, "listen", "", "with --upstream: `ADDR` to listen at; without a host, of this machine only (default: a free port of it)")
	f.StringArrayVar(&opts.origins, "allow-origin", nil, "`ORIGIN` of web pages that may use it beside those of this machine; repeatable")
	f.StringVar(&opts.state, "state", "", "`DIR` where the tools of servers are remembered, and what cannot be recorded is kept (default: custody/mcp in the user's state directory)")
	cmd.MarkFlagDirname("state")
	return cmd
}

// flushFor is how long is waited, at the end, for what is not recorded yet.
const flushFor = 10 * time.Second

// mirrored ends the command as a child ended.
type mirrored struct{ exit mcprecorder.Exit }

func (m *mirrored) Error() string { return "the server ended" }

func runMCP(ctx context.Context, p *program, opts mcpOptions, command []string) (err error) {
	log := slog.Default()
	var upstream *url.URL
	r := mcprecorder.Options{FailClosed: opts.failClosed, Server: opts.server, Agent: opts.agent, Session: opts.session, Project: opts.project, Log: log, Transport: "http"}
	if opts.upstream == "" {
		r.Transport, r.Fallback = "stdio", filepath.Base(command[0])
	} else if upstream, err = upstreamURL(opts.upstream); err != nil {
		return err
	} else {
		r.Fallback = upstream.Host
	}
	var done func() error
	if r.Sink, done, err = p.sink(ctx, log); err != nil {
		return err
	}
	if r.Session == "" && !p.remote() {
		// Nobody else records in the trail meanwhile, so there is no session that the
		// calls would have to be joined to.
		r.Session = custody.NewID()
	}
	if dir, err := mcpState(opts.state); err != nil {
		p.warn("nothing is kept on this machine, neither the tools of servers nor what cannot be recorded: %s", err)
	} else {
		place := p.absoluteTrail()
		r.Surfaces = mcprecorder.NewSurfaces(filepath.Join(dir, "tools"), place, log)
		if p.remote() {
			sum := sha256.Sum256([]byte(place))
			r.Spool = spool.New(vfs.OS{}, filepath.Join(dir, "spool", hex.EncodeToString(sum[:8])), spool.Options{})
		}
	}
	recorder := mcprecorder.New(r)
	if upstream != nil {
		err = p.listenMCP(ctx, recorder, upstream, opts)
	} else {
		err = runChild(ctx, recorder, command)
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushFor)
	defer cancel()
	if cerr := errors.Join(recorder.Close(flush), done()); cerr != nil {
		p.report(cerr) // how the server ended matters to its client
	}
	return err
}

// sink opens what is recorded in.
func (p *program) sink(ctx context.Context, log *slog.Logger) (mcprecorder.Sink, func() error, error) {
	if p.remote() {
		token, err := p.token()
		if err != nil {
			return nil, nil, err
		}
		s, err := client.NewServer(p.trailPlace(), &client.Options{Token: token, RetryFor: -1, Logger: log})
		if err != nil {
			return nil, nil, err
		}
		return mcprecorder.NewServer(s), s.Close, nil
	}
	t, err := p.openFiles(&custody.Options{})
	if locked, ok := errors.AsType[*custody.LockedError](err); ok {
		return nil, nil, withHint(err, "a trail has one writer at a time, and %s is it; if that is a server, name the trail by its address: --trail http://127.0.0.1:8420/trails/NAME", holderOf(locked))
	} else if err != nil {
		return nil, nil, err
	}
	s, err := mcprecorder.NewTrail(ctx, t, log)
	if err != nil {
		return nil, nil, errors.Join(err, t.Close())
	}
	return s, func() error {
		s.Close()
		return t.Close()
	}, nil
}

func holderOf(l *custody.LockedError) string {
	if l.Holder != "" {
		return l.Holder
	}
	return "another process"
}

// absoluteTrail returns where the trail is, wherever the command is run.
func (p *program) absoluteTrail() string {
	place := p.trailPlace()
	if p.remote() {
		return place
	}
	if abs, err := filepath.Abs(place); err == nil {
		return abs
	}
	return place
}

// mcpState returns where the tools of servers are remembered, and what is not recorded
// yet is kept.
func mcpState(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	state, err := userStateDir()
	return filepath.Join(state, "custody", "mcp"), err
}

func runChild(ctx context.Context, r *mcprecorder.Recorder, command []string) error {
	exit, err := r.RunCommand(ctx, command, mcprecorder.Pipes{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	if err != nil {
		return errors.Join(err, &mirrored{mcprecorder.Exit{Code: 127}})
	}
	if exit.Code == 0 {
		return nil
	}
	return &mirrored{exit}
}

// upstreamURL reads the address of a server.
func upstreamURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("--upstream %q is not like https://mcp.example.com/mcp", u.Redacted())
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// listenMCP is a server in front of another, until ctx ends.
func (p *program) listenMCP(ctx context.Context, r *mcprecorder.Recorder, upstream *url.URL, opts mcpOptions) error {
	addr := opts.listen
	if addr == "" {
		addr = ":0"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	if !mcprecorder.IsLoopback(host) {
		p.warn("other machines reach this server at %s, and it asks nobody who they are", l.Addr())
	}
	proxy := mcprecorder.NewProxy(r, upstream, opts.origins)
	base, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	s := &http.Server{Handler: proxy, BaseContext: func(net.Listener) context.Context { return base }, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn)}
	at := *upstream
	at.RawQuery = "" // which may hold a key
	p.note("Listening at http://%s%s for %s.", l.Addr(), upstream.Path, &at)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s.Shutdown(wait) != nil {
		end(mcprecorder.ErrEnded) // streams last as long as their sessions
		s.Close()
	}
	proxy.Close()
	return err
}

// isMirrored reports whether an error says no more than how a child ended.
func isMirrored(err error) bool {
	_, ok := err.(*mirrored)
	return ok
}
