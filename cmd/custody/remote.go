package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/internal/terminal"
)

// How long a server that does not answer is tried again: somebody looks at a command
// that reads, and what one that records is given may not be there a second time.
const (
	readRetry  = 5 * time.Second
	writeRetry = time.Minute
)

// envToken names the environment variable with the API token for a server.
const envToken = "CUSTODY_TOKEN"

// maxTokenFile bounds a file with a token in bytes.
const maxTokenFile = 4096

// token returns the API token for a server; empty: there is none.
func (p *program) token() (string, error) {
	if p.tokenFile == "" {
		return strings.TrimSpace(os.Getenv(envToken)), nil
	}
	f, err := os.Open(p.tokenFile)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	token := strings.TrimSpace(string(b))
	if err == nil && (token == "" || strings.ContainsAny(token, " \t\r\n")) {
		err = fmt.Errorf("%s: it should hold one API token and nothing else", p.tokenFile)
	}
	return token, err
}

// server returns the server that the trail of the command is on.
func (p *program) server(opts *custody.Options) (*client.Server, error) {
	token, err := p.token()
	if err != nil {
		return nil, err
	}
	o := client.Options{Token: token, RetryFor: readRetry, Mode: opts.Mode, ProveReceipts: opts.ProveReceipts}
	if !opts.ReadOnly {
		o.RetryFor = writeRetry
		if p.redaction != "" || os.Getenv(envRedaction) != "" {
			if o.Redactor, err = p.redactor(); err != nil {
				return nil, err
			}
		}
	}
	return client.NewServer(p.trailPlace(), &o)
}

// openRemote opens the trail of the command, which is on a server.
func (p *program) openRemote(ctx context.Context, opts *custody.Options) (*client.Trail, error) {
	if opts.Async {
		return nil, withHint(errors.New("--async: a server answers when an event is on its disk"), "leave it out; --batch says how many events are sent at once")
	}
	if opts.Guard != "" {
		return nil, withHint(errors.New("--no-guard: a server compares its trails with what it keeps of them"), "leave it out, or verify where the files are")
	}
	s, err := p.server(opts)
	if err != nil {
		return nil, err
	}
	t, err := s.Open(ctx, s.TrailName())
	if isNotFound(err) {
		return nil, withHint(err, "custody init%s creates one, with a token that may", p.trailFlag())
	}
	p.onServer = t
	return t, err
}

// withheld says that the server has kept back payloads, which look as if they were not
// held any more.
func (p *program) withheld() {
	if p.onServer != nil && p.onServer.Withheld() {
		p.warn("the server does not show payloads to whose token this is: what is shown as not held may be held")
	}
}

// errNobody says that it has to be said who does something.
var errNobody = errors.New("say who does it")

// doneBy checks that it is said who does something. A server records whose token it is
// made with, whatever is said.
func (p *program) doneBy(by string) error { return p.knownBy(by, p.remote()) }

// knownBy is doneBy, with whether it is a server that is asked.
func (p *program) knownBy(by string, remote bool) error {
	switch {
	case remote && by != "":
		p.warn("--by %s is not recorded: the server records whose token it is", by)
	case !remote && by == "":
		return errNobody
	}
	return nil
}

// runInitRemote makes a trail on a server.
func runInitRemote(ctx context.Context, p *program, opts initOptions) error {
	if opts.origin != "" {
		return withHint(errors.New("--origin: a server makes the origins of its trails itself"), "leave it out; custody serve --origin says what they begin with")
	}
	s, err := p.server(&custody.Options{})
	if err != nil {
		return err
	}
	made, err := s.CreateTrail(ctx, s.TrailName())
	if errors.Is(err, fs.ErrExist) {
		return withHint(err, "custody stats%s shows it", p.trailFlag())
	} else if err != nil {
		return err
	}
	if opts.json {
		return writeJSON(p.out, initJSON{p.trailPlace(), made.Origin, made.Key, keyOnServer})
	}
	p.out.Fields(0,
		terminal.Field{Name: "trail", Value: p.trailPlace()},
		terminal.Field{Name: "origin", Value: terminal.Clean(made.Origin)},
		terminal.Field{Name: "verifier key", Value: terminal.Clean(made.Key)},
		terminal.Field{Name: "signing key", Value: keyOnServer})
	p.note("Give the verifier key to whoever will check the trail.")
	return nil
}

// httpClient returns what asks for a published log. It sends the token where it is
// said, or where the trail of the command is on the same server: to nobody else.
func (p *program) httpClient(where string) (*http.Client, error) {
	c := &http.Client{Timeout: requestTimeout}
	log, err := url.Parse(where)
	if err != nil {
		return nil, err
	}
	own, err := url.Parse(p.trailPlace())
	if p.tokenFile == "" && (err != nil || own.Scheme != log.Scheme || own.Host != log.Host) {
		return c, nil
	}
	token, err := p.token()
	if err != nil {
		return nil, err
	}
	c.Transport = &withToken{token: token, scheme: log.Scheme, host: log.Host}
	return c, nil
}

// withToken sends a token with every request to one host.
type withToken struct{ token, scheme, host string }

// RoundTrip implements http.RoundTripper.
func (t *withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.token != "" && r.URL.Scheme == t.scheme && r.URL.Host == t.host {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+t.token)
	}
	return http.DefaultTransport.RoundTrip(r)
}
