package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/server"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
)

type serveOptions struct {
	data   string
	listen string
	origin string
}

func newServeCommand(p *program) *cobra.Command {
	var opts serveOptions
	cmd := &cobra.Command{
		Use:   "serve [--data DIR] [--listen ADDR] [--origin NAME]",
		Short: "Serve trails to many producers and readers, over HTTP",
		Long: `Serve the trails of a data directory over HTTP until SIGINT or SIGTERM: producers record
events in them, readers list, follow and verify them (docs/http.md). Nothing has to be
configured: the first start makes the directory and two trails with keys of their own,
default, and system for what the server has to tell about itself.

Whoever is on this machine may do everything, so it listens on loopback addresses only.
Web pages that they have open may not. Who sends an API token (custody token create) is
recorded under its name, and may do what it is for.

At the end the requests that are under way are answered, and what was accepted is on the
disk. A second signal ends the server at once; what it had acknowledged is safe then too.

One server works in a data directory at a time. The other commands read its trails
meanwhile: --trail DIR/trails/default.`,
		GroupID: groupWrite,
		Args:    cobra.NoArgs,
		Example: `  custody serve
  curl -d '{"event_type":"turn_ended","session_id":"s1"}' -H 'Content-Type: application/json' \
      http://127.0.0.1:8420/v1/trails/default/events`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := loopbackOnly(opts.listen); err != nil {
				return usageError(cmd, err)
			}
			return runServe(cmd.Context(), p, opts)
		},
	}
	annotate(cmd, `  0  it was told to stop, and did
  2  it could not start, or not go on`)
	f := cmd.Flags()
	f.StringVar(&opts.data, "data", "custody-data", "`DIR` with the trails and their keys; it is made at the first start")
	f.StringVar(&opts.listen, "listen", "127.0.0.1:8420", "`ADDR` to listen at; port 0 is any that is free")
	f.StringVar(&opts.origin, "origin", "", "what the origins of new trails begin with, a host `NAME` that you control, perhaps with a path (default: the name of the machine)")
	cmd.MarkFlagDirname("data")
	return cmd
}

// loopbackOnly refuses addresses that others than this machine can reach.
func loopbackOnly(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen takes HOST:PORT: %w", err)
	}
	if host == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("--listen %s can be reached from other machines, and this server asks nobody who they are; listen at 127.0.0.1 or [::1], and let others in through an SSH tunnel", listen)
}

func runServe(ctx context.Context, p *program, opts serveOptions) (err error) {
	handler := slog.NewTextHandler(flushing{p.err}, nil)
	log := slog.New(handler)
	redactor, err := p.redactor()
	if err != nil {
		return err
	}
	set, err := trails.Open(trails.Config{Dir: opts.data, Origin: opts.origin, Options: custody.Options{Redactor: redactor, Logger: log}})
	var locked *custody.LockedError
	if errors.As(err, &locked) {
		return withHint(err, "one server works in a data directory at a time; stop the other one, or give this one another directory with --data")
	} else if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	tokens, err := auth.OpenTokens(vfs.OS{}, filepath.Join(opts.data, auth.TokensFile))
	if err != nil {
		return err
	}
	tokens.OnProblem = func(err error) { log.Warn("custody: when tokens were used last is not written", "err", err) }
	api, err := server.New(server.Config{Trails: set, Authenticators: []auth.Authenticator{tokens}, Local: true, Logger: log})
	if err != nil {
		return err
	}
	defer api.Stop()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", opts.listen)
	if err != nil {
		return withHint(err, "--listen takes HOST:PORT; port 0 is any that is free")
	}
	dir, err := filepath.Abs(opts.data)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	url := "http://" + listener.Addr().String()
	p.out.Fields(0,
		terminal.Field{Name: "data", Value: dir},
		terminal.Field{Name: "page", Value: url + "/"},
		terminal.Field{Name: "listening", Value: url},
		terminal.Field{Name: "events", Value: url + "/v1/trails/default/events"},
		terminal.Field{Name: "description", Value: url + "/openapi.json"})
	if err := p.out.Flush(); err != nil {
		return errors.Join(err, listener.Close())
	}
	s := newHTTPServer(withPage(api.Handler(), set, log, tokens), handler)
	s.ReadTimeout, s.WriteTimeout = 0, 0 // each route has bounds of its own
	s.RegisterOnShutdown(api.Stop)
	return serve(ctx, listener, s)
}
