package ui

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/auth"
)

// What the pages show of payloads is told, and what they hand out. Who gets no payload
// has read none.
func TestReadsAreTold(t *testing.T) {
	trails := set{"default": newTrail(t, story()...)}
	var read map[uint64]bool
	var exports []Export
	serve := func(may func(*http.Request, auth.Permission, string) bool) http.Handler {
		return New(Config{Trails: trails, May: may, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Read: func(_ *http.Request, trail string, e *custody.Entry) {
				if trail != "default" || e.Payload == nil {
					t.Errorf("entry %d of %s is read", e.Index, trail)
				}
				read[e.Index] = true
			},
			Exported: func(_ *http.Request, x Export) { exports = append(exports, x) }})
	}
	for _, tt := range []struct {
		path string
		want int // entries that are read
	}{
		{"", 14}, {"/events", 14}, {"/events?session_id=nobody", 0}, {"/events/rows?from=10", 4}, {"/events/2", 4}, {"/timeline?agent_id=worker", 7},
		{"/events.ndjson?agent_id=worker", 7}, {"/events.csv", 14}, {"/integrity", 0},
	} {
		read = map[uint64]bool{}
		mustGet(t, serve(allowed), "/trails/default"+tt.path)
		if n := len(read); n != tt.want {
			t.Errorf("%s: %d entries are read, want %d", tt.path, n, tt.want)
		}
		read = map[uint64]bool{}
		if get(t, serve(only(auth.ReadEntries)), "/trails/default"+tt.path); len(read) > 0 {
			t.Errorf("%s: who may not read payloads has read %v", tt.path, read)
		}
	}
	got := ""
	for _, x := range exports {
		got += fmt.Sprintf("%s %s %q %d %v; ", x.Trail, x.Format, x.Query.AgentID, x.Entries, x.Broken)
	}
	// The one that asks for an agent is not for whoever may not read payloads.
	if want := `default ndjson "worker" 7 false; default csv "" 14 false; default csv "" 14 false; `; got != want {
		t.Errorf("exported are %s\nwant %s", got, want)
	}
}

// failing is a client that goes away.
type failing struct{ *httptest.ResponseRecorder }

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestBrokenExportIsTold(t *testing.T) {
	var exports []Export
	trails := set{"default": newTrail(t, story()...)}
	for range 5 { // more than is kept back before it is sent
		for _, e := range story() {
			e.Details["input"] = strings.Repeat("x", 1000)
			record(t, trails["default"], e)
		}
	}
	h := New(Config{Trails: trails, May: allowed, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Exported: func(_ *http.Request, x Export) { exports = append(exports, x) }})
	for _, format := range []string{"ndjson", "csv"} {
		exports = nil
		func() {
			defer func() {
				if got := recover(); got != http.ErrAbortHandler {
					t.Errorf("it ends with %v", got)
				}
			}()
			h.ServeHTTP(failing{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/trails/default/events."+format, nil))
		}()
		if len(exports) != 1 || !exports[0].Broken || exports[0].Format != format || exports[0].Entries == 0 || exports[0].Entries >= trails["default"].Size() {
			t.Errorf("exported are %+v", exports)
		}
	}
}
