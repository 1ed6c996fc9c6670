package ui

import (
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/benchmark"
	"github.com/custodylog/custody/internal/trails"
)

var (
	benchEvents = flag.Int("page-events", 10_000, "how many events the trail of BenchmarkFirstScreen has")
	benchData   = flag.String("page-data", "", "data directory for BenchmarkFirstScreen, which is kept; one that has the events already is used as it is")
)

// BenchmarkFirstScreen measures the pages that somebody opens first, from the request
// to the last byte over a loopback connection, of a trail that has many events. make
// bench-page runs it with a million, and docs/benchmarks.md has what came out.
func BenchmarkFirstScreen(b *testing.B) {
	dir := *benchData
	if dir == "" {
		dir = b.TempDir()
	}
	all, err := trails.Open(trails.Config{Dir: dir, Origin: "example.com", Options: custody.Options{Logger: slog.New(slog.DiscardHandler), DiskWarning: -1}})
	if err != nil {
		b.Fatal(err)
	}
	defer all.Close()
	t, err := all.Get(trails.Default)
	if err != nil {
		b.Fatal(err)
	}
	if missing := *benchEvents - int(t.Size()); missing > 0 {
		load := benchmark.Load{Name: "filling the trail", Callers: 8, Batch: 1000}
		if _, err := load.Run(b.Context(), &benchmark.TrailLog{Trail: t.Trail}, benchmark.NewWorkload(1), t.Size(), missing); err != nil {
			b.Fatal(err)
		}
	}
	srv := httptest.NewServer(handler(set{trails.Default: t.Trail}, allowed))
	defer srv.Close()
	for _, page := range []struct{ name, path string }{
		{"overview", "/trails/default"},
		{"events", "/trails/default/events"},
		{"integrity", "/trails/default/integrity"},
	} {
		b.Run(page.name, func(b *testing.B) {
			for b.Loop() {
				resp, err := http.Get(srv.URL + page.path)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK || n == 0 {
					b.Fatalf("%d, %d bytes, %v", resp.StatusCode, n, err)
				}
			}
		})
	}
}
