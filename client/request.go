package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Bounds of requests.
const (
	answerTimeout = time.Minute            // for an answer, but for those that have no bound
	firstDelay    = 100 * time.Millisecond // before something is sent again; it doubles
	maxDelay      = 5 * time.Second
	maxAnswer     = 64 << 20 // bytes of an answer that is read as a whole

	// The server shows every 15 s that it is there.
	silence = time.Minute
)

// conn sends requests to a server.
type conn struct {
	base     *url.URL
	http     *http.Client
	token    string
	retryFor time.Duration
	batch    int           // events in one request
	silence  time.Duration // how long a subscription may be silent before it is taken for dead
	log      *slog.Logger
}

// request is what is asked of the server.
type request struct {
	method string
	path   []string // parts, which are escaped
	query  url.Values
	header http.Header
	body   any // sent as JSON; []byte: as it is

	once bool // it must not be done twice
	long bool // the answer may take as long as it does
}

// finalError is an error after which a request is not made again.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// do makes a request, again and again if need be, and hands the answer, of status 2xx,
// to take. An error of take is about the connection, unless it is a *finalError.
func (c *conn) do(ctx context.Context, r request, take func(*http.Response) error) error {
	body, err := r.encode()
	if err != nil {
		return err
	}
	again := c.retries()
	for {
		err := c.attempt(ctx, &r, body, take)
		if err == nil {
			return nil
		}
		if !again.worth(err, r.once) {
			return unfinal(err)
		}
		if werr := again.wait(ctx, err); werr != nil {
			return werr
		}
	}
}

// unfinal takes the mark off an error.
func unfinal(err error) error {
	var f *finalError
	if errors.As(err, &f) {
		return f.error
	}
	return err
}

// json makes a request and reads the JSON of the answer.
func (c *conn) json(ctx context.Context, r request, v any) error {
	return c.do(ctx, r, func(resp *http.Response) error {
		b, err := readAll(resp)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, v); err != nil {
			return &finalError{fmt.Errorf("%s %s: the answer is not what this version of the client reads: %w", r.method, resp.Request.URL.Path, err)}
		}
		return nil
	})
}

// text makes a request and returns the answer as it is.
func (c *conn) text(ctx context.Context, r request) (b []byte, err error) {
	err = c.do(ctx, r, func(resp *http.Response) error {
		b, err = readAll(resp)
		return err
	})
	return b, err
}

func readAll(resp *http.Response) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(b) > maxAnswer {
		err = &finalError{fmt.Errorf("the answer has more than %d bytes; ask for less", maxAnswer)}
	}
	return b, err
}

func (r *request) encode() ([]byte, error) {
	if b, ok := r.body.([]byte); ok || r.body == nil {
		return b, nil
	}
	return json.Marshal(r.body)
}

// new returns the HTTP request.
func (c *conn) new(ctx context.Context, r *request, body io.Reader) (*http.Request, error) {
	u := c.base.JoinPath(escaped(r.path)...)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.body != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

func escaped(parts []string) []string {
	all := make([]string, len(parts))
	for i, part := range parts {
		all[i] = url.PathEscape(part)
	}
	return all
}

// attempt makes a request once.
func (c *conn) attempt(ctx context.Context, r *request, body []byte, take func(*http.Response) error) error {
	if !r.long {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTimeout)
		defer cancel()
	}
	req, err := c.new(ctx, r, bytes.NewReader(body))
	if err != nil {
		return &finalError{err}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := answered(resp); err != nil {
		return err
	}
	return take(resp)
}

// answered returns the problem that an answer is, if it is one.
func answered(resp *http.Response) error {
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return problemOf(resp)
}

// retries says how long something is tried again, and when.
type retries struct {
	conn  *conn
	until time.Time
	delay time.Duration
	told  bool
}

func (c *conn) retries() *retries {
	return &retries{conn: c, until: time.Now().Add(c.retryFor), delay: firstDelay}
}

// worth reports whether what failed with err may succeed if it is done again, and may
// be done again. once says that it must not be done twice.
func (r *retries) worth(err error, once bool) bool {
	var final *finalError
	if errors.As(err, &final) {
		return false
	}
	if p := asProblem(err); p != nil {
		again, nothing := p.temporary()
		return again && (nothing || !once)
	}
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	var dial *net.OpError
	switch {
	case errors.As(err, &certificate), errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &dns) && dns.IsNotFound:
		return false // it stays so
	case errors.As(err, &dial) && dial.Op == "dial":
		return true // nothing was sent
	}
	return !once
}

// wait waits before the next attempt. It returns err where there is none, and the
// error of ctx when that ends.
func (r *retries) wait(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%w; the last attempt: %w", cause, err)
	}
	delay := r.delay/2 + rand.N(r.delay/2) // so that not all come at the same time
	if p := asProblem(err); p != nil {
		delay = max(delay, p.RetryAfter)
	}
	if time.Now().Add(delay).After(r.until) {
		return err
	}
	if !r.told {
		r.told = true
		r.conn.log.Warn("custody: the server does not answer as it should; trying again", "server", r.conn.base.Redacted(), "err", err)
	}
	r.delay = min(2*r.delay, maxDelay)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w; the last attempt: %w", ctx.Err(), err)
	}
}

// progress says that something succeeded: what fails next is tried again for as long
// as the first time.
func (r *retries) progress() {
	r.until, r.delay, r.told = time.Now().Add(r.conn.retryFor), firstDelay, false
}
