package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/alert"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/config"
	"github.com/custodylog/custody/internal/producers"
	"github.com/custodylog/custody/internal/server"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/retention"
)

type serveOptions struct {
	config   string
	settings map[string]string // from flags
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
what it is for. On an address that others reach everybody has to show who they are, by a
token, a client certificate or logging in to the page, and the server needs a certificate, or
a proxy in front that has one: --config (docs/server.md) says so, and who cosigns and
time-stamps the trails and how long payloads are kept.

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
			opts.settings = map[string]string{}
			cmd.Flags().Visit(func(f *pflag.Flag) {
				if slices.Contains(settingFlags, f.Name) {
					opts.settings[f.Name] = f.Value.String()
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

// settingFlags are the flags that are settings.
var settingFlags = []string{"data", "listen", "origin", "redaction"}

// service is what serves the trails of one data directory, from its start to its end.
type service struct {
	p        *program
	cfg      *config.Config
	settings []config.Setting
	log      *slog.Logger
	trails   *trails.Set
	access   access
	alerts   *alert.Alerts
	api      *server.Server
}

func runServe(ctx context.Context, p *program, opts serveOptions) (err error) {
	handler := slog.NewTextHandler(flushing{p.err}, nil)
	s := &service{p: p, log: slog.New(handler)}
	if s.cfg, s.settings, err = config.Load(configFile(opts.config), os.Environ(), opts.settings); err != nil {
		return withHint(err, "custody config check shows every setting and where it is from")
	}
	if err := checkFiles(s.cfg); err != nil {
		return err
	}
	tuneRuntime(ctx)
	if err := s.openTrails(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.trails.Close()) }()
	if err := s.startAlerts(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.alerts.Close()) }()
	if err := s.newServer(); err != nil {
		return err
	}
	defer s.api.Stop()
	policy, err := s.retentionPolicy()
	if err != nil {
		return err
	}
	listeners, url, err := s.listen(ctx)
	if err != nil {
		return err
	}
	exports, err := s.listenOTLP(ctx)
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	listeners = append(listeners, exports...)
	if err := s.announce(url); err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	h := newHTTPServer(s.api.Handler(), handler)
	h.ReadTimeout, h.WriteTimeout = 0, 0 // each route has bounds of its own
	h.RegisterOnShutdown(s.api.Stop)
	h.ConnContext = auth.ConnContext
	h.Protocols = s.protocols()
	if err := s.tellStart(context.WithoutCancel(ctx), url); err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	began := time.Now()
	// Only now may anything be removed, so that no removal comes before the start.
	if err = s.api.ScheduleRetention(policy, s.cfg.Retention.By, time.Duration(s.cfg.Retention.Every)); err == nil {
		s.api.CarryOut()
		err = serve(ctx, h, listeners...)
	} else {
		err = errors.Join(err, closeAll(listeners))
	}
	s.api.Stop()
	s.tellStop(context.WithoutCancel(ctx), began, err)
	return err
}

// openTrails opens the data directory.
func (s *service) openTrails() error {
	options, err := s.p.trailOptions(s.cfg, s.log)
	if err != nil {
		return err
	}
	s.trails, err = trails.Open(trails.Config{Dir: s.cfg.Data, Origin: s.cfg.Origin, Options: options})
	if _, locked := errors.AsType[*custody.LockedError](err); locked {
		return withHint(err, "one server works in a data directory at a time; stop the other one, or give this one another directory with --data")
	}
	return err
}

// newServer makes what answers requests.
func (s *service) newServer() (err error) {
	if err := s.newAccess(); err != nil {
		return err
	}
	login, err := s.newLogin()
	if err != nil {
		return err
	}
	requests, err := s.openRequests()
	if err != nil {
		return err
	}
	policy, err := s.witnessPolicy()
	if err != nil {
		return err
	}
	page, err := s.newPage(login)
	if err != nil {
		return err
	}
	s.api, err = server.New(server.Config{
		Trails: s.trails, Authenticators: s.access.ways, Local: s.cfg.Local(), Page: page, Login: true, Tokens: s.access.tokens, Alerts: s.alerts, Logger: s.log,
		Requests: requests, Policy: policy,
		Limits:    server.Limits{Body: int64(s.cfg.Limits.Body), Pending: int64(s.cfg.Limits.Pending)},
		Producers: producers.Config{Grace: time.Duration(s.cfg.Producers.Grace), Silence: s.cfg.Producers.Silence},
	})
	return err
}

// listen listens where the configuration says, and returns the address that others use.
func (s *service) listen(ctx context.Context) (_ []net.Listener, url string, err error) {
	l, url, err := s.listenTCP(ctx)
	if err != nil || s.cfg.Socket.Path == "" {
		return []net.Listener{l}, url, err
	}
	socket, err := listenSocket(ctx, s.cfg.Socket.Path, fs.FileMode(s.cfg.Socket.Mode))
	if err != nil {
		return nil, "", errors.Join(err, l.Close())
	}
	return []net.Listener{l, socket}, url, nil
}

func (s *service) listenTCP(ctx context.Context) (net.Listener, string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return nil, "", withHint(err, "--listen takes HOST:PORT; port 0 is any that is free")
	}
	if !s.cfg.TLS.On() {
		return l, "http://" + l.Addr().String(), nil
	}
	speaks, err := s.tlsConfig()
	if err != nil {
		return nil, "", errors.Join(err, l.Close())
	}
	return tls.NewListener(l, speaks), "https://" + l.Addr().String(), nil
}

// announce says where everything is.
func (s *service) announce(url string) error {
	dir, err := filepath.Abs(s.cfg.Data)
	if err != nil {
		return err
	}
	s.p.out.Fields(0,
		terminal.Field{Name: "data", Value: dir},
		terminal.Field{Name: "page", Value: url + "/"},
		terminal.Field{Name: "listening", Value: url},
		terminal.Field{Name: "events", Value: url + "/v1/trails/default/events"},
		terminal.Field{Name: "description", Value: url + "/openapi.json"})
	return s.p.out.Flush()
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

// retentionPolicy returns the policy of the configuration; nil: there is none.
func (s *service) retentionPolicy() (*retention.Policy, error) {
	if s.cfg.Retention.Policy == "" {
		return nil, nil
	}
	return readRetention(s.cfg.Retention.Policy)
}

func readRetention(file string) (*retention.Policy, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	policy, err := retention.Parse(file, content)
	return &policy, err
}
