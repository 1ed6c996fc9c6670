package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/custodylog/custody"
)

// Webhook is who gets alerts.
type Webhook struct {
	Name   string
	URL    string
	Secret Secret
	Rules  []string // the only ones whose alerts it gets; empty: all. Alerts of the operation it gets in any case.
}

// Secret is what a receiver checks that an alert is from us with. It is not shown, nor
// written.
type Secret struct{ key []byte }

// secretPrefix begins a secret as it is given (Standard Webhooks, "Signature scheme").
const secretPrefix = "whsec_"

// ParseSecret reads a secret: whsec_ and 24 to 64 bytes in base64. An error does not show
// it.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), secretPrefix)
	if !ok {
		return Secret{}, errors.New("a secret of a webhook begins with whsec_")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return Secret{}, errors.New("what stands behind whsec_ in a secret of a webhook is not base64")
	}
	if len(key) < 24 || len(key) > 64 {
		return Secret{}, fmt.Errorf("a secret of a webhook has 24 to 64 bytes, and this one %d; make one with: echo whsec_$(head -c 32 /dev/urandom | base64)", len(key))
	}
	return Secret{key}, nil
}

// String implements fmt.Stringer.
func (Secret) String() string { return secretPrefix + "…" }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// sign returns the header webhook-signature.
func (s Secret) sign(id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, s.key)
	fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

const (
	postTimeout = 15 * time.Second
	maxAnswer   = 64 << 10 // bytes that are read, so that the connection can be used again
)

// newClient returns what posts alerts. It follows no redirects: an alert goes where the
// configuration says.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = maxAnswer
	return &http.Client{
		Transport:     transport,
		Timeout:       postTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// errDisabled: the receiver answered that it wants no alerts any more (410).
var errDisabled = errors.New("it answers 410: it is given no alerts until the server is started again")

// post delivers an alert once. Errors do not show the address, which may have a secret in
// it.
func (w *Webhook) post(ctx context.Context, client *http.Client, id string, body []byte, now time.Time) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("its address cannot be used")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "custody/"+custody.Version())
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("webhook-signature", w.Secret.sign(id, now, body))
	resp, err := client.Do(r)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	} else if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.CopyN(io.Discard, resp.Body, maxAnswer) // what it says does not matter
	switch {
	case resp.StatusCode == http.StatusGone:
		return errDisabled
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return fmt.Errorf("it answers %d", resp.StatusCode)
	}
	return nil
}
