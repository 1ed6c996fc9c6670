package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/witness"
)

type witnessOptions struct {
	dir    string
	key    string
	name   string
	logs   []string
	listen string
}

func newWitnessCommand(p *program) *cobra.Command {
	var opts witnessOptions
	cmd := &cobra.Command{
		Use:   "witness --dir DIR --key FILE --log VKEY... [--name NAME] [--listen ADDR]",
		Short: "Cosign the checkpoints of other trails, as a C2SP witness",
		Long: `Serve a witness over HTTP (C2SP tlog-witness) until SIGINT or SIGTERM. It cosigns a
checkpoint of a known log when a proof shows that it continues the one that it cosigned
last, and so vouches that no history was taken back or shown in two versions. It sees
sizes and hashes, never what was recorded. It is worth something when it runs where the
operator of the trail cannot reach.

At the start it prints its verifier key, and the line that those who check put into
their policy (C2SP tlog-policy). The first start makes the key.

--dir holds what it has cosigned. Key and directory belong together: a witness that
forgot what it cosigned would cosign another history. Where the directory is lost, begin
with a new key and a new name.

It speaks plain HTTP and limits nobody: to be reached from elsewhere it belongs behind a
proxy with TLS and a limit of requests.`,
		GroupID: groupProve,
		Args:    cobra.NoArgs,
		Example: `  custody witness --dir /var/lib/custody/witness --key /etc/custody/witness.key \
      --name witness.example.org/w1 --log "$(cat vkey.txt)"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.dir == "" || opts.key == "" || len(opts.logs) == 0 {
				return usageError(cmd, errors.New("say where its state is, where its key, and which logs it knows: --dir DIR --key FILE --log VKEY"))
			}
			return runWitness(cmd.Context(), p, opts)
		},
	}
	annotate(cmd, `  0  it was told to stop, and did
  2  it could not start, or not go on`)
	f := cmd.Flags()
	f.StringVar(&opts.dir, "dir", "", "`DIR` with its state; it is made at the first start")
	f.StringVar(&opts.key, "key", "", "`FILE` with its signing key; it is made if it is not there")
	f.StringVar(&opts.name, "name", "", "`NAME` of a key that is made: a host name that you control and a path (default: machine/witness)")
	f.StringArrayVar(&opts.logs, "log", nil, "`VKEY`, the verifier key of a trail that it cosigns; repeatable; several of one trail if its key was changed")
	f.StringVar(&opts.listen, "listen", "127.0.0.1:8421", "`ADDR` to listen at")
	cmd.MarkFlagDirname("dir")
	cmd.MarkFlagFilename("key")
	return cmd
}

func runWitness(ctx context.Context, p *program, opts witnessOptions) (err error) {
	logs, err := witnessLogs(opts.logs)
	if err != nil {
		return withHint(err, "custody init and custody key show print the verifier key of a trail")
	}
	signer, err := p.witnessKey(opts)
	if err != nil {
		return err
	}
	handler := slog.NewTextHandler(flushing{p.err}, nil)
	server, err := witness.NewServer(opts.dir, signer, logs, slog.New(handler))
	var locked *vfs.LockedError
	if errors.As(err, &locked) {
		return withHint(err, "one witness works in a directory at a time; stop the other one first")
	} else if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", opts.listen)
	if err != nil {
		return withHint(err, "--listen takes HOST:PORT; port 0 is any that is free")
	}
	url := "http://" + listener.Addr().String()
	p.out.Fields(0,
		terminal.Field{Name: "witness", Value: signer.Name()},
		terminal.Field{Name: "verifier key", Value: signer.VerifierKey()},
		terminal.Field{Name: "logs", Value: origins(logs)},
		terminal.Field{Name: "listening", Value: url},
		terminal.Field{Name: "policy line", Value: fmt.Sprintf("witness %s %s %s", signer.Name(), signer.VerifierKey(), url)})
	if err := p.out.Flush(); err != nil {
		return errors.Join(err, listener.Close())
	}
	return serve(ctx, newHTTPServer(server, handler), listener)
}

// serve serves until ctx ends, and then until the requests that are under way are
// answered, but no longer than ten seconds.
func serve(ctx context.Context, server *http.Server, listeners ...net.Listener) error {
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- server.Serve(l) }()
	}
	select {
	case err := <-ended:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("requests were cut off: %w", err), server.Close())
	}
	return nil
}

// witnessLogs returns the logs with some verifier keys. Those of one name are the
// keys of one log.
func witnessLogs(vkeys []string) ([]witness.Log, error) {
	var logs []witness.Log
	for _, vkey := range vkeys {
		v, err := evidence.ParseVerifier(strings.TrimSpace(vkey))
		if err != nil {
			return nil, fmt.Errorf("--log: %w", err)
		}
		i := slices.IndexFunc(logs, func(l witness.Log) bool { return l.Origin == v.Name() })
		if i < 0 {
			i = len(logs)
			logs = append(logs, witness.Log{Origin: v.Name()})
		}
		if slices.ContainsFunc(logs[i].Verifiers, func(have note.Verifier) bool { return have.KeyHash() == v.KeyHash() }) {
			return nil, fmt.Errorf("--log: the key %s of %s is given twice", evidence.KeyID(v.KeyHash()), terminal.Clean(v.Name()))
		}
		logs[i].Verifiers = append(logs[i].Verifiers, v)
	}
	return logs, nil
}

func origins(logs []witness.Log) string {
	var lines []string
	for _, l := range logs {
		lines = append(lines, terminal.Clean(l.Origin))
	}
	return strings.Join(lines, "\n")
}

// witnessKey reads the key of a witness, or makes it where there is neither a key
// nor a state.
func (p *program) witnessKey(opts witnessOptions) (*evidence.CosignatureSigner, error) {
	_, err := os.Stat(opts.dir)
	begun := !errors.Is(err, fs.ErrNotExist)
	b, err := vfs.ReadFile(vfs.OS{}, opts.key, 4096)
	switch {
	case err == nil && !begun:
		return nil, withHint(fmt.Errorf("there is a key in %s and no directory %s: what was cosigned with this key is not known", opts.key, opts.dir),
			"bring the directory back; if it is lost, begin with another --key and --name; if the key has never cosigned, make the empty directory")
	case err == nil:
		signer, err := evidence.ParseCosignatureSigner(strings.TrimSpace(string(b)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", opts.key, err)
		}
		if opts.name != "" && opts.name != signer.Name() {
			return nil, fmt.Errorf("the key in %s is named %q, not %q; a key keeps its name", opts.key, signer.Name(), opts.name)
		}
		return signer, nil
	case errors.Is(err, fs.ErrNotExist):
		return p.newWitnessKey(opts)
	}
	return nil, err
}

// newWitnessKey makes the key of a witness. The directory comes first: a key
// without one is taken for that of a witness that lost it.
func (p *program) newWitnessKey(opts witnessOptions) (*evidence.CosignatureSigner, error) {
	name := opts.name
	if name == "" {
		var err error
		if name, err = originFor("witness"); err != nil {
			return nil, err
		}
	}
	skey, _, err := evidence.GenerateCosignatureKey(name)
	if err != nil {
		return nil, withHint(err, "--name takes a name such as witness.example.org/w1")
	}
	var fsys vfs.OS
	if err := errors.Join(fsys.MkdirAll(opts.dir), fsys.MkdirAll(filepath.Dir(opts.key))); err != nil {
		return nil, err
	}
	if err := vfs.WriteFileAtomic(fsys, opts.key, []byte(skey+"\n")); err != nil {
		return nil, err
	}
	p.note("made the key of %s in %s; keep it secret", name, opts.key)
	return evidence.ParseCosignatureSigner(skey)
}

// flushing is an output whose every write is seen at once.
type flushing struct{ out *terminal.Output }

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.out.Write(b)
	return n, errors.Join(err, f.out.Flush())
}
