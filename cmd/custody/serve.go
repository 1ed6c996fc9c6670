package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/config"
	"github.com/custodylog/custody/internal/server"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/retention"
)

type serveOptions struct {
	config   string
	settings []string // from flags, as environment variables
}

func newServeCommand(p *program) *cobra.Command {
	var opts serveOptions
	cmd := &cobra.Command{
		Use:   "serve [--config FILE] [--data DIR] [--listen ADDR] [--origin NAME]",
		Short: "Serve trails to many producers and readers, over HTTP",
		Long: `Serve the trails of a data directory over HTTP until SIGINT or SIGTERM: producers record
events in them, readers list, follow and verify them (docs/http.md). Nothing has to be
configured: the first start makes the directory and two trails with keys of their own,
default, and system for what the server has to tell about itself.

Whoever is on this machine may do everything, but for the web pages of others that they have
open. Who sends an API token (custody token create) is recorded under its name, and may do
what it is for. On an address that others reach everybody needs a token, and the server a
certificate, or a proxy in front that has one: --config (docs/server.md) says so, and who
cosigns and time-stamps the trails and how long payloads are kept.

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
			cmd.Flags().Visit(func(f *pflag.Flag) {
				if variable := settingFlags[f.Name]; variable != "" {
					opts.settings = append(opts.settings, variable+"="+f.Value.String())
				}
			})
			return runServe(cmd.Context(), p, opts)
		},
	}
	annotate(cmd, `  0  it was told to stop, and did
  2  it could not start, or not go on`)
	f := cmd.Flags()
	f.String("data", defaultData, "`DIR` with the trails and their keys; it is made at the first start")
	f.String("listen", "127.0.0.1:8420", "`ADDR` to listen at; port 0 is any that is free")
	f.String("origin", "", "what the origins of new trails begin with, a host `NAME` that you control, perhaps with a path (default: the name of the machine)")
	addConfigFlag(cmd, &opts.config)
	cmd.MarkFlagDirname("data")
	return cmd
}

// settingFlags are the flags that are settings, by their names in the environment,
// which they win over.
var settingFlags = map[string]string{"data": "CUSTODY_DATA", "listen": "CUSTODY_LISTEN", "origin": "CUSTODY_ORIGIN"}

func runServe(ctx context.Context, p *program, opts serveOptions) (err error) {
	handler := slog.NewTextHandler(flushing{p.err}, nil)
	log := slog.New(handler)
	cfg, _, err := config.Load(configFile(opts.config), append(os.Environ(), opts.settings...))
	if err != nil {
		return withHint(err, "custody config check shows every setting and where it is from")
	}
	options, err := p.trailOptions(cfg, log)
	if err != nil {
		return err
	}
	set, err := trails.Open(trails.Config{Dir: cfg.Data, Origin: cfg.Origin, Options: options})
	var locked *custody.LockedError
	if errors.As(err, &locked) {
		return withHint(err, "one server works in a data directory at a time; stop the other one, or give this one another directory with --data")
	} else if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	tokens, err := auth.OpenTokens(vfs.OS{}, filepath.Join(cfg.Data, auth.TokensFile))
	if err != nil {
		return err
	}
	tokens.OnProblem = func(err error) { log.Warn("custody: when tokens were used last is not written", "err", err) }
	api, err := server.New(server.Config{Trails: set, Authenticators: []auth.Authenticator{tokens}, Local: cfg.Local(), Page: newPage(set, log), Logger: log,
		Limits: server.Limits{Body: int64(cfg.Limits.Body), Pending: int64(cfg.Limits.Pending)}})
	if err != nil {
		return err
	}
	defer api.Stop()
	if err := scheduleRetention(cfg, set); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return withHint(err, "--listen takes HOST:PORT; port 0 is any that is free")
	}
	dir, err := filepath.Abs(cfg.Data)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	url := "http://" + listener.Addr().String()
	if cfg.TLS.On() {
		certificate, err := newCertificate(cfg.TLS.Certificate, cfg.TLS.Key)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		listener = tls.NewListener(listener, &tls.Config{GetCertificate: certificate.get, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12})
		url = "https://" + listener.Addr().String()
	}
	p.out.Fields(0,
		terminal.Field{Name: "data", Value: dir},
		terminal.Field{Name: "page", Value: url + "/"},
		terminal.Field{Name: "listening", Value: url},
		terminal.Field{Name: "events", Value: url + "/v1/trails/default/events"},
		terminal.Field{Name: "description", Value: url + "/openapi.json"})
	if err := p.out.Flush(); err != nil {
		return errors.Join(err, listener.Close())
	}
	s := newHTTPServer(api.Handler(), handler)
	s.ReadTimeout, s.WriteTimeout = 0, 0 // each route has bounds of its own
	s.RegisterOnShutdown(api.Stop)
	return serve(ctx, listener, s)
}

// trailOptions returns how the trails of a server are opened.
func (p *program) trailOptions(cfg *config.Config, log *slog.Logger) (o custody.Options, err error) {
	o = custody.Options{Logger: log, MaxPayload: int(cfg.Limits.Payload), MaxPending: int64(cfg.Limits.Pending)}
	if cfg.Redaction != "" {
		p.redaction = cfg.Redaction
	}
	if o.Redactor, err = p.redactor(); err != nil {
		return o, err
	}
	if cfg.Witnesses.Policy != "" {
		policy, err := readPolicy(cfg.Witnesses.Policy)
		if err != nil {
			return o, err
		}
		o.Witnessing = &custody.Witnessing{Policy: policy, Every: time.Duration(cfg.Witnesses.Every)}
	}
	if cfg.Timestamps.URL != "" {
		o.Timestamping = &custody.Timestamping{URL: cfg.Timestamps.URL, Every: time.Duration(cfg.Timestamps.Every)}
	}
	return o, nil
}

// scheduleRetention has the policy of the configuration applied to every trail that can
// be written, but for the server's own.
func scheduleRetention(cfg *config.Config, set *trails.Set) error {
	if cfg.Retention.Policy == "" {
		return nil
	}
	content, err := os.ReadFile(cfg.Retention.Policy)
	if err != nil {
		return err
	}
	policy, err := retention.Parse(cfg.Retention.Policy, content)
	if err != nil {
		return err
	}
	for _, t := range set.List() {
		if t.Err != nil || t.Name == trails.System {
			continue
		}
		if _, err := t.ScheduleRetention(policy, cfg.Retention.By, time.Duration(cfg.Retention.Every)); err != nil {
			return fmt.Errorf("trail %s: %w", t.Name, err)
		}
	}
	return nil
}
