package tsaclient_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/evidence/timestamp"
	"github.com/custodylog/custody/internal/tsaclient"
	"github.com/custodylog/custody/internal/tsatest"
)

// TestStamp: an authority stamps checkpoints over HTTP, several at once.
func TestStamp(t *testing.T) {
	tsa := tsatest.New(t, tsatest.Options{})
	server := httptest.NewServer(tsa)
	defer server.Close()
	var wg sync.WaitGroup
	for size := range uint64(3) {
		wg.Go(func() {
			cp := checkpoint(t, size)
			token, err := tsaclient.Stamp(t.Context(), server.Client(), server.URL, cp)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := timestamp.Verify(token, cp, tsa.Roots); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestStampRefuses: whatever else answers is told apart.
func TestStampRefuses(t *testing.T) {
	cp := checkpoint(t, 41)
	reply := func(contentType string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Write(body)
		}
	}
	for _, tc := range []struct {
		name string
		h    http.Handler
		want string
	}{
		{"rejection", tsatest.New(t, tsatest.Options{Config: "digests = sha512"}), "rejection: hash algorithm not supported"},
		{"not found", http.NotFoundHandler(), `the HTTP status "404 Not Found"`},
		{"HTML", reply("text/html; charset=utf-8", []byte("<!DOCTYPE html>")), `the content type "text/html; charset=utf-8"`},
		{"HTML by another name", reply("application/timestamp-reply", []byte("<!DOCTYPE html>")), "is not a TimeStampResp in DER"},
		{"no content type", reply("", nil), `the content type ""`},
		{"nothing", reply("application/timestamp-reply; q", nil), "is not a TimeStampResp in DER"},
		{"too large", reply("application/timestamp-reply", make([]byte, 1<<20)), "65537 bytes, more than 65536"},
		{"broken off", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/timestamp-reply")
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("0"))
		}), "broke off after 1 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := httptest.NewServer(tc.h)
			defer server.Close()
			u := strings.Replace(server.URL, "://", "://user:secret@", 1)
			token, err := tsaclient.Stamp(t.Context(), server.Client(), u, cp)
			if err == nil || token != nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %x, %v\nwant an error with %q", token, err, tc.want)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), server.Listener.Addr().String())) {
				t.Errorf("%v: names the password, or not the server", err)
			}
		})
	}
}

// TestStampIsCancelled: a server that does not answer holds nobody up longer than
// the context says.
func TestStampIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	asked := errors.New("the server was asked")
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel(asked)
		<-hold
	}))
	defer server.Close()
	defer close(hold)
	_, err := tsaclient.Stamp(ctx, server.Client(), server.URL, checkpoint(t, 41))
	if !errors.Is(err, context.Canceled) && !errors.Is(err, asked) {
		t.Errorf("got %v, want that the context was cancelled", err)
	}
	if context.Cause(ctx) != asked {
		t.Error("the server was not asked")
	}
}

// TestStampWithoutServer: mistakes before any answer say what they are.
func TestStampWithoutServer(t *testing.T) {
	if _, err := tsaclient.Stamp(t.Context(), http.DefaultClient, "http://example.com/tsa", []byte("x")); err == nil || !strings.Contains(err.Error(), "no signatures") {
		t.Errorf("no checkpoint: %v", err)
	}
	var wrong *url.Error
	if _, err := tsaclient.Stamp(t.Context(), http.DefaultClient, "tsa:", checkpoint(t, 41)); !errors.As(err, &wrong) {
		t.Errorf("a URL of another kind: %v", err)
	}
	if _, err := tsaclient.Stamp(t.Context(), http.DefaultClient, ":", checkpoint(t, 41)); !errors.As(err, &wrong) {
		t.Errorf("no URL: %v", err)
	}
}

func checkpoint(t testing.TB, size uint64) []byte {
	t.Helper()
	skey, _, err := evidence.GenerateKey("example.org/trail")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := evidence.ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := evidence.SignCheckpoint(&evidence.Checkpoint{Origin: "example.org/trail", Size: size}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}
