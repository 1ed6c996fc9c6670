package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/tiles"
)

func newServeLogCommand(p *program) *cobra.Command {
	listen := ""
	cmd := &cobra.Command{
		Use:   "serve-log [--listen ADDR]",
		Short: "Publish the trail as a C2SP tiled log, over HTTP",
		Long: `Serve checkpoint, tiles and entries of the trail over HTTP (C2SP tlog-tiles) until SIGINT
or SIGTERM, for monitors, mirrors and auditors with programs of their own. It follows a
trail that somebody else is writing.

Entries hold no payloads: what is published tells when something of which type was
recorded, and commits to what it was. If witnesses cosign the trail, the newest
checkpoint that they cosigned is published; where none did for a day, the newest.

It speaks plain HTTP and limits nobody: to be reached from elsewhere it belongs behind a
proxy with TLS.`,
		GroupID: groupProve,
		Args:    cobra.NoArgs,
		Example: `  custody serve-log --listen 127.0.0.1:8422`,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runServeLog(cmd.Context(), p, listen) },
	}
	annotate(cmd, `  0  it was told to stop, and did
  2  it could not start, or not go on`)
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8422", "`ADDR` to listen at")
	return cmd
}

func runServeLog(ctx context.Context, p *program, listen string) (err error) {
	if err := p.needsFiles("a server publishes its trails itself, below /t/NAME"); err != nil {
		return err
	}
	t, err := p.openForReading()
	if err != nil {
		return err
	}
	defer closing(t, &err)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return withHint(err, "--listen takes HOST:PORT; port 0 is any that is free")
	}
	p.out.Fields(0,
		terminal.Field{Name: "log", Value: terminal.Clean(t.Origin())},
		terminal.Field{Name: "listening", Value: "http://" + listener.Addr().String()})
	if err := p.out.Flush(); err != nil {
		return errors.Join(err, listener.Close())
	}
	handler := slog.NewTextHandler(flushing{p.err}, nil)
	return serve(ctx, newHTTPServer(tiles.NewHandler(t, slog.New(handler)), handler), listener)
}

// newHTTPServer returns a server that waits for nobody for long. What goes wrong
// with connections is logged to log.
func newHTTPServer(h http.Handler, log slog.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log, slog.LevelWarn),
	}
}

func newExportTilesCommand(p *program) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "tiles DIR [--json]",
		Short: "Write the trail as the files of a C2SP tiled log",
		Long: `Write checkpoint, tiles and entries of the trail as files below DIR (C2SP tlog-tiles), for
any web server to publish. An export that is there already is brought up to date; one of
another history is refused. What custody serve-log says about what is published holds
here too.`,
		Args:    cobra.ExactArgs(1),
		Example: `  custody export tiles /srv/www/agents-log`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return interrupted(cmd.Context(), runExportTiles(cmd.Context(), p, args[0], asJSON))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

// exportedTilesJSON is what an export wrote, in JSON output.
type exportedTilesJSON struct {
	Size    uint64 `json:"size"`
	Minimum uint64 `json:"minimum_index"`
	Written int    `json:"files_written"`
}

func runExportTiles(ctx context.Context, p *program, dir string, asJSON bool) (err error) {
	if err := p.needsFiles("a server publishes the same files itself, below /t/NAME: any program that mirrors web pages copies them"); err != nil {
		return err
	}
	t, err := p.openForReading()
	if err != nil {
		return err
	}
	defer closing(t, &err)
	x, err := tiles.Export(ctx, t, dir)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(p.out, exportedTilesJSON{x.Size, x.Minimum, x.Written})
	}
	p.note("%s holds the log of %s; %s written", dir, terminal.Plural(x.Size, "entry", "entries"), terminal.Plural(uint64(x.Written), "file", "files"))
	return nil
}
