package tiles_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/tiles"
)

// zeros is content without an end.
type zeros struct{ read int }

func (z *zeros) Read(b []byte) (int, error) {
	clear(b)
	z.read += len(b)
	return len(b), nil
}

func compressed(t testing.TB, content io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.Copy(z, content)
	must(t, errors.Join(err, z.Close()))
	return b.Bytes()
}

// What a server may answer.
func TestHTTP(t *testing.T) {
	const path = "tile/0/000.p/2"
	content := bytes.Repeat([]byte("0123456789abcdef"), 4)
	encoded := func(coding string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", coding)
			w.Write(body)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) }
	}
	redirects := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			at := 0
			fmt.Sscan(r.URL.Query().Get("at"), &at)
			if at == n {
				w.Write(content)
				return
			}
			http.Redirect(w, r, fmt.Sprintf("/elsewhere?at=%d", at+1), http.StatusFound)
		}
	}
	members := bytes.Repeat(compressed(t, strings.NewReader("")), 1<<16) // 1.5 MB that hold nothing
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		err    error  // that is wrapped
		says   string // "": the content is returned
	}{
		{"content", func(w http.ResponseWriter, _ *http.Request) { w.Write(content) }, nil, ""},
		{"compressed", encoded("gzip", compressed(t, bytes.NewReader(content))), nil, ""},
		{"compressed, by an old name", encoded("x-gzip", compressed(t, bytes.NewReader(content))), nil, ""},
		{"not compressed", encoded("identity", content), nil, ""},
		{"five redirections", redirects(5), nil, ""},
		{"six redirections", redirects(6), nil, "redirects more than 5 times"},
		{"redirections without end", redirects(-1), nil, "redirects more than 5 times"},
		{"not there", status(404), fs.ErrNotExist, "404"},
		{"not there any more", status(410), fs.ErrNotExist, "410"},
		{"forbidden", status(403), nil, "403"},
		{"a fault", status(500), nil, "500"},
		{"no content", status(204), nil, "204"},
		{"a byte more", func(w http.ResponseWriter, _ *http.Request) { w.Write(append(content, 0)) }, tiles.ErrTooLarge, "more than 64"},
		{"content without end", func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, new(zeros)) }, tiles.ErrTooLarge, "more than 64"},
		{"a small answer that gets large", encoded("gzip", compressed(t, io.LimitReader(new(zeros), 10<<20))), tiles.ErrTooLarge, "more than 64"},
		{"a large answer that gets small", encoded("gzip", members), nil, "gzip: unexpected EOF"},
		{"compressed, cut short", encoded("gzip", compressed(t, bytes.NewReader(content))[:20]), nil, "gzip: unexpected EOF"},
		{"no gzip", encoded("gzip", content), nil, "gzip: invalid header"},
		{"another compression", encoded("br", content), nil, `"br"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			for _, client := range []*http.Client{nil, server.Client()} {
				got, err := tiles.HTTP(server.URL+"/", client).Fetch(t.Context(), path)
				switch {
				case tt.says == "":
					if err != nil || !bytes.Equal(got, content) {
						t.Errorf("%q, %v", got, err)
					}
				case err == nil || got != nil && !errors.Is(err, tiles.ErrTooLarge) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), server.URL):
					t.Errorf("%q, %v; want %q", got, err, tt.says)
				case tt.err != nil && !errors.Is(err, tt.err), tt.err == nil && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, tiles.ErrTooLarge)):
					t.Errorf("%v is not %v", err, tt.err)
				}
			}
		})
	}
}

func TestHTTPAsks(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Accept-Encoding"))
	}))
	defer server.Close()
	for _, path := range []string{"checkpoint", "tile/entries/x001/234"} {
		_, err := tiles.HTTP(server.URL+"/logs/agents//", nil).Fetch(t.Context(), path)
		must(t, err)
	}
	if got, want := strings.Join(asked, "; "), "GET /logs/agents/checkpoint gzip, identity; GET /logs/agents/tile/entries/x001/234 gzip, identity"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tiles.HTTP(server.URL, nil).Fetch(canceled, "checkpoint"); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := tiles.HTTP("ftp://example.org", nil).Fetch(t.Context(), "checkpoint"); err == nil || !strings.Contains(err.Error(), "unsupported protocol") {
		t.Errorf("no HTTP address: %v", err)
	}
}

// A client's own rule about redirections is kept.
func TestHTTPKeepsTheClient(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer server.Close()
	never := errors.New("never")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return never }}
	if _, err := tiles.HTTP(server.URL, client).Fetch(t.Context(), "checkpoint"); !errors.Is(err, never) {
		t.Errorf("%v", err)
	}
	if client := new(http.Client); client.CheckRedirect != nil || tiles.HTTP(server.URL, client) == nil || client.CheckRedirect != nil {
		t.Error("the caller's client is changed")
	}
}

func TestDir(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "log")
	write := func(name string, size int) {
		t.Helper()
		name = filepath.Join(dir, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must(t, os.WriteFile(name, make([]byte, size), 0o644))
	}
	write("tile/0/000", 8192)
	write("tile/0/001", 8193)
	write("tile/entries/000.p/1", 2+evidence.MaxEntrySize)
	write("tile/entries/001.p/1", 3+evidence.MaxEntrySize)
	write("checkpoint", evidence.MaxCheckpointSize+1)
	must(t, os.Mkdir(filepath.Join(dir, "tile", "0", "004"), 0o755))
	for path, want := range map[string]string{
		"tile/0/000":            "8192 bytes",
		"tile/entries/000.p/1":  "65537 bytes",
		"tile/0/001":            "more than 8192",
		"tile/entries/001.p/1":  "more than 65537",
		"checkpoint":            "more than 65536",
		"tile/0/004":            "is no file",
		"tile/0/005":            fs.ErrNotExist.Error(),
		"tile/0/000/000":        "that tile has the path",
		"../secret":             "not the path of a tile",
		"tile/../../secret":     "not the path of a tile",
		"/etc/passwd":           "not the path of a tile",
		"tile/0/000.p/256":      "from 1 to 255",
		"tile/entries/1000.p/1": "three digits",
	} {
		b, err := tiles.Dir(dir).Fetch(t.Context(), path)
		got := fmt.Sprintf("%d bytes", len(b))
		if errors.Is(err, fs.ErrNotExist) {
			got = fs.ErrNotExist.Error()
		} else if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s; want %s", path, got, want)
		}
		if strings.HasPrefix(want, "more than") != errors.Is(err, tiles.ErrTooLarge) {
			t.Errorf("%s: %v is of the wrong kind", path, err)
		}
	}
	if _, err := tiles.Dir(filepath.Join(parent, "nowhere")).Fetch(t.Context(), "checkpoint"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tiles.Dir(dir).Fetch(canceled, "tile/0/000"); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// A log as files, and as a server of files gives it.
func TestCheckFilesAndHandler(t *testing.T) {
	p := publish(t, 600)
	dir := t.TempDir()
	for path, content := range p.Log {
		name := filepath.Join(dir, filepath.FromSlash(path))
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must(t, os.WriteFile(name, content, 0o644))
	}
	if r := p.check(t, tiles.Dir(dir), nil); !r.OK() || r.Entries != 600 {
		t.Errorf("as files: %s", findings(r))
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	if r := p.check(t, tiles.HTTP(server.URL, nil), nil); !r.OK() || r.Entries != 600 {
		t.Errorf("over HTTP: %s", findings(r))
	}
}
