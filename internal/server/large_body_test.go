package server

import (
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/custodylog/custody/internal/trails"
)

// repeated yields a text again and again, and counts what it yields.
type repeated struct {
	text string
	n    atomic.Int64
}

// Read implements io.Reader.
func (r *repeated) Read(b []byte) (n int, err error) {
	at := r.n.Load()
	for n < len(b) {
		n += copy(b[n:], r.text[(at+int64(n))%int64(len(r.text)):])
	}
	r.n.Add(int64(n))
	return n, nil
}

// Bodies of 100 MB are refused, or a line of them, without anybody having them in memory,
// and nothing of them is recorded.
func TestHundredMegabytes(t *testing.T) {
	const large = 100 << 20
	s := newSite(t, Limits{})
	const head = `{"event_type":"turn_ended","session_id":"s","details":{"x":"`
	first, last := turn("first", "s")+"\n", turn("last", "s")+"\n"
	for _, tt := range []struct {
		name, media        string
		before, text, tail string
		announced          bool
		status             int
		lines              string // what answers them; empty: a problem
		read               int64  // how many bytes the server takes at most
		recorded           uint64
	}{
		{"one event", typeJSON, head, "x", `"}}`, true, 413, "", 40 << 20, 0},
		{"one event, of a length that is not known", typeJSON, head, "x", `"}}`, false, 413, "", 40 << 20, 0},
		{"an array", typeJSON, "[", turn("", "s") + ",", turn("", "s") + "]", false, 413, "", 40 << 20, 0},
		{"a line of a stream", typeNDJSON, first + head, "x", `"}}` + "\n" + last, false, 200, "1 first, 2 413 too_large, 3 last", 2 * large, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := s.with(t)
			size := s.trail(trails.Default).Size()
			filling := &repeated{text: strings.Repeat(tt.text, 4096)}
			n := int64(large - large%len(tt.text))
			r := s.request("POST", events, "x", "Content-Type", tt.media)
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(tt.before), io.LimitReader(filling, n), strings.NewReader(tt.tail)))
			r.ContentLength = -1
			if tt.announced {
				r.ContentLength = int64(len(tt.before)) + n + int64(len(tt.tail))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			a := s.send(r)
			runtime.ReadMemStats(&after)
			if tt.lines == "" {
				a.problem(tt.status, "too_large")
			} else if got := summary(lines(t, a.want(tt.status).body)); got != tt.lines {
				t.Errorf("the lines are answered by %q, want %q", got, tt.lines)
			}
			if taken := filling.n.Load(); taken > tt.read {
				t.Errorf("the server took %d bytes of it", taken)
			}
			if used := after.TotalAlloc - before.TotalAlloc; tt.lines != "" && used >= large { // all of it came
				t.Errorf("it took %d bytes of memory", used)
			}
			if n := s.trail(trails.Default).Size() - size; n != tt.recorded {
				t.Errorf("%d events of it are recorded", n)
			}
		})
	}
}
