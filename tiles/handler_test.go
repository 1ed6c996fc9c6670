package tiles_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/tiles"
)

const origin = "example.org/tiles"

func newTrail(t testing.TB, entries int) *custody.Trail {
	t.Helper()
	dir, keys := filepath.Join(t.TempDir(), "trail"), t.TempDir()
	if _, err := custody.Create(dir, custody.CreateOptions{Origin: origin, KeyDir: keys}); err != nil {
		t.Fatal(err)
	}
	trail, err := custody.Open(dir, &custody.Options{KeyDir: keys, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { trail.Close() })
	grow(t, trail, entries-1)
	return trail
}

func grow(t testing.TB, trail *custody.Trail, n int) {
	t.Helper()
	events := make([]event.Event, n)
	for i := range events {
		events[i] = event.Event{Type: event.TurnStarted, AgentID: fmt.Sprint("a", i)}
	}
	if _, err := trail.RecordBatch(t.Context(), events); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, url string, header ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity") // or else the client asks for gzip and hides it
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// TestHandler asks for what C2SP tlog-tiles says that a log serves.
func TestHandler(t *testing.T) {
	trail := newTrail(t, 700)
	server := httptest.NewServer(tiles.NewHandler(trail, slog.New(slog.DiscardHandler)))
	defer server.Close()
	for path, want := range map[string]struct {
		status      int
		contentType string
		cache       string
		size        int
	}{
		"/checkpoint":             {200, "text/plain; charset=utf-8", "no-cache", -1},
		"/tile/0/000":             {200, "application/octet-stream", "public, max-age=31536000, immutable", 256 * 32},
		"/tile/0/002.p/188":       {200, "application/octet-stream", "public, max-age=31536000, immutable", 188 * 32},
		"/tile/0/002.p/3":         {200, "application/octet-stream", "public, max-age=31536000, immutable", 3 * 32}, // of a smaller size
		"/tile/0/000.p/255":       {200, "application/octet-stream", "public, max-age=31536000, immutable", 255 * 32},
		"/tile/1/000.p/2":         {200, "application/octet-stream", "public, max-age=31536000, immutable", 2 * 32},
		"/tile/entries/002.p/188": {200, "application/octet-stream", "public, max-age=31536000, immutable", -1},
		"/tile/entries/000":       {200, "application/octet-stream", "public, max-age=31536000, immutable", -1},
		"/tile/0/002":             {status: 404},
		"/tile/0/002.p/189":       {status: 404},
		"/tile/0/003.p/1":         {status: 404},
		"/tile/2/000.p/1":         {status: 404},
		"/tile/64/000":            {status: 404},
		"/tile/0/0":               {status: 404},
		"/tile/0/x000/000":        {status: 404},
		"/tile/0/000.p/256":       {status: 404},
		"/tile/0/999999999999":    {status: 404},
		"/tile/":                  {status: 404},
		"/":                       {status: 404},
	} {
		resp, body := get(t, server.URL+path)
		if resp.StatusCode != want.status {
			t.Errorf("%s: %s: %.200q", path, resp.Status, body)
			continue
		}
		if want.status != 200 {
			continue
		}
		if got := resp.Header.Get("Content-Type"); got != want.contentType {
			t.Errorf("%s: content type %q", path, got)
		}
		if got := resp.Header.Get("Cache-Control"); got != want.cache {
			t.Errorf("%s: cache control %q", path, got)
		}
		if want.size >= 0 && len(body) != want.size {
			t.Errorf("%s: %d bytes, want %d", path, len(body), want.size)
		}
	}
	resp, err := http.Post(server.URL+"/checkpoint", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", resp.Status)
	}
}

func TestHandlerGzip(t *testing.T) {
	trail := newTrail(t, 300)
	server := httptest.NewServer(tiles.NewHandler(trail, slog.New(slog.DiscardHandler)))
	defer server.Close()
	_, plain := get(t, server.URL+"/tile/entries/000")
	if entries, err := evidence.ParseBundle(plain, 256); err != nil || len(entries) != 256 {
		t.Fatal(err)
	}
	for accept, zipped := range map[string]bool{
		"gzip": true, "br, gzip;q=0.5": true, "*": true, "gzip;q=0": false, "identity": false, "br": false, "gzip; q=0.001": true,
	} {
		resp, body := get(t, server.URL+"/tile/entries/000", "Accept-Encoding", accept)
		if got := resp.Header.Get("Content-Encoding") == "gzip"; got != zipped || resp.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: gzip %v, %q", accept, got, resp.Header)
		}
		if zipped {
			r, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(body, plain) {
			t.Errorf("%s: another content", accept)
		}
	}
}

// TestHandlerDamage: damage is an error of the server, not a tile, and is logged.
func TestHandlerDamage(t *testing.T) {
	trail := newTrail(t, 300)
	log := &strings.Builder{}
	handler := tiles.NewHandler(trail, slog.New(slog.NewTextHandler(log, nil)))
	names, err := filepath.Glob(filepath.Join(trail.Dir(), "tail", "*.tail"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	f, err := os.OpenFile(names[0], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{7}, 4000), 2000); err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/tile/entries/000", nil))
	if answer.Code != http.StatusInternalServerError || !strings.Contains(log.String(), "/tile/entries/000") || strings.Contains(answer.Body.String(), trail.Dir()) {
		t.Errorf("%d %s; log: %s", answer.Code, answer.Body, log)
	}
}

func TestExport(t *testing.T) {
	trail := newTrail(t, 250)
	dir := t.TempDir()
	read := func(path string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
		if err != nil {
			t.Error(err)
		}
		return b
	}
	for _, size := range []uint64{250, 250, 256, 700} {
		if n := size - trail.Size(); n > 0 {
			grow(t, trail, int(n))
		}
		x, err := tiles.Export(t.Context(), trail, dir)
		if err != nil || x.Size != size || x.Minimum != 0 {
			t.Fatalf("%+v, %v", x, err)
		}
		c, err := evidence.PeekCheckpoint(read("checkpoint"))
		if err != nil || c.Size != size {
			t.Errorf("checkpoint of %d entries (%v)", c.Size, err)
		}
	}
	for _, path := range []string{"tile/0/000", "tile/0/000.p/250", "tile/0/002.p/188", "tile/1/000.p/1", "tile/1/000.p/2", "tile/entries/002.p/188"} {
		at, err := evidence.ParseTile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := trail.Tile(t.Context(), at)
		if err != nil || !bytes.Equal(read(path), want) {
			t.Errorf("%s is another one (%v)", path, err)
		}
	}
	other := newTrail(t, 800)
	if _, err := tiles.Export(t.Context(), other, dir); err == nil || !strings.Contains(err.Error(), "does not continue") {
		t.Errorf("another trail: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "checkpoint"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tiles.Export(t.Context(), trail, dir); err == nil {
		t.Error("over something else")
	}
}
