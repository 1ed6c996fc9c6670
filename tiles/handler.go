package tiles

import (
	"bytes"
	"compress/gzip"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
)

// Handler serves a trail:
//
//	GET /checkpoint
//	GET /tile/<L>/<N>[.p/<W>]
//	GET /tile/entries/<N>[.p/<W>]
//
// What the trail does not have, or has pruned, is 404. Each size that the trail ever
// had stays servable: partial tiles are cut from the full ones.
type Handler struct {
	trail  *custody.Trail
	log    *slog.Logger
	routes *http.ServeMux
}

// NewHandler returns a handler for a trail, which stays the caller's. What goes wrong
// is logged to log.
func NewHandler(trail *custody.Trail, log *slog.Logger) *Handler {
	h := &Handler{trail: trail, log: log, routes: http.NewServeMux()}
	h.routes.HandleFunc("GET /checkpoint", h.checkpoint)
	h.routes.HandleFunc("GET /tile/", h.tile)
	return h
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.routes.ServeHTTP(w, r) }

func (h *Handler) checkpoint(w http.ResponseWriter, r *http.Request) {
	signed, err := h.trail.Published(r.Context())
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	write(w, signed)
}

func (h *Handler) tile(w http.ResponseWriter, r *http.Request) {
	tile, err := evidence.ParseTile(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	content, err := h.trail.Tile(r.Context(), tile)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	if tile.Level == evidence.EntriesLevel {
		w.Header().Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			w.Header().Set("Content-Encoding", "gzip")
			content = compress(content)
		}
	}
	write(w, content)
}

func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, custody.ErrNotFound):
		http.Error(w, "the log is not that large", http.StatusNotFound)
	case errors.Is(err, custody.ErrPruned):
		http.Error(w, "it was pruned", http.StatusNotFound)
	case r.Context().Err() != nil:
		// Nobody waits for it any more.
	default:
		h.log.Error("custody: a part of the published log could not be read", "path", r.URL.Path, "err", err)
		http.Error(w, "it cannot be read; the log of the server says why", http.StatusInternalServerError)
	}
}

func write(w http.ResponseWriter, content []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Write(content) // an error means that the client is gone
}

// acceptsGzip reports whether a request takes gzip (RFC 9110 section 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for _, header := range r.Header.Values("Accept-Encoding") {
		for item := range strings.SplitSeq(header, ",") {
			coding, weight, _ := strings.Cut(item, ";")
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip", "*":
				q, weighted := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
				value, err := strconv.ParseFloat(q, 64)
				return !weighted || err == nil && value > 0
			}
		}
	}
	return false
}

func compress(content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(content) // neither fails in memory
	z.Close()
	return b.Bytes()
}
