// Package tsaclient gets time-stamps from an authority over HTTP (RFC 3161,
// section 3.4).
package tsaclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/custodylog/custody/evidence/timestamp"
)

// Stamp has the authority at a URL stamp a signed checkpoint, and returns the
// token, to be kept with it. The token is one of this checkpoint and of this
// query; whether its authority is to be trusted is for [timestamp.Verify] to say.
//
// It makes one attempt, which takes as long as ctx and hc allow: a caller gives
// ctx a deadline. The answer is signed and the
// query is a hash, so http: does as well as https:.
func Stamp(ctx context.Context, hc *http.Client, url string, signed []byte) (token []byte, err error) {
	query, err := timestamp.Request(signed)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(query.DER))
	if err != nil {
		return nil, fmt.Errorf("time-stamping authority: %w", err)
	}
	req.Header.Set("Content-Type", "application/timestamp-query")
	req.Header.Set("Accept", "application/timestamp-reply")
	resp, err := hc.Do(req)
	if err != nil {
		return nil, fmt.Errorf("time-stamping authority: %w", err)
	}
	defer resp.Body.Close()
	token, err = read(resp, query)
	if err != nil {
		return nil, fmt.Errorf("time-stamping authority %s: %w", req.URL.Redacted(), err)
	}
	return token, nil
}

// read returns the token in an answer over HTTP.
func read(resp *http.Response, query *timestamp.Query) ([]byte, error) {
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered with the HTTP status %.80q", resp.Status)
	}
	sent := resp.Header.Get("Content-Type")
	// Parameters, and a header that breaks the rules for them, do not matter.
	if typ, _, err := mime.ParseMediaType(sent); typ != "application/timestamp-reply" || err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return nil, fmt.Errorf("it answered with the content type %.80q, not application/timestamp-reply: is this the URL of its time-stamps?", sent)
	}
	// A byte more than is allowed, which Parse refuses.
	body, err := io.ReadAll(io.LimitReader(resp.Body, timestamp.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("its answer broke off after %d bytes: %w", len(body), err)
	}
	return timestamp.Parse(body, query)
}
