package mcprecorder

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/custodylog/custody/ingest"
)

// An answer that is compressed goes by as it is, and is recorded.
func TestCompressed(t *testing.T) {
	for coding, pack := range map[string]func(io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w)
			must(t, err)
			return z
		},
	} {
		t.Run(coding, func(t *testing.T) {
			var packed bytes.Buffer
			z := pack(&packed)
			io.WriteString(z, resultA)
			z.Close()
			asked := ""
			w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				asked = r.Header.Get("Accept-Encoding")
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Encoding", coding)
				w.Write(packed.Bytes())
			})
			if got := w.post(callA, "Accept-Encoding", "br, "+coding+";q=0.5, deflate"); got != packed.String() || asked != coding+";q=0.5" {
				t.Errorf("%q, %s", got, asked)
			}
			if all := w.end(); all != "action_requested action_executed" {
				t.Errorf("recorded %s", all)
			}
		})
	}
}

func TestEventSplitter(t *testing.T) {
	for in, want := range map[string]string{
		"data: a\n\n":                                              "a",
		"data:a\r\ndata: b\r\n\r\n":                                "a\nb",
		"data: a\r\rdata:  b\n\n":                                  "a| b",
		"event: endpoint\ndata: /x\n\ndata: a\n\n":                 "a",
		"event: message\ndata: a\n\n: c\nid: 1\n\n":                "a",
		"data: not ended\n":                                        "",
		"data\ndata: a\n\n":                                        "a",
		"retry: 1\n" + strings.Repeat("x", 9000) + "\ndata: a\n\n": "a",
		"data:\ndata:\n\n":                                         "\n",
		"\ufeffdata: a\n\n\ufeffdata: b\n\n":                       "a",
		"data: " + resultA:                                         resultA,
		"data: " + resultA + "\n":                                  resultA,
		"event: x\ndata: " + resultA:                               "",
	} {
		for _, size := range []int{1, 2, 3, len(in)} {
			var all []string
			s := newEventSplitter(func(rec ingest.Record) { all = append(all, string(rec.Text)) })
			for rest := in; rest != ""; {
				n := min(size, len(rest))
				s.add([]byte(rest[:n]))
				rest = rest[n:]
			}
			s.end()
			if got := strings.Join(all, "|"); got != want {
				t.Errorf("%q in pieces of %d: %q", in, size, got)
			}
		}
	}
}

func FuzzEventSplitter(f *testing.F) {
	f.Add([]byte("event: message\r\ndata: a\rdata:b\n\n: x\n\n"), 3)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		read := func(size int) string {
			var all []string
			s := newEventSplitter(func(rec ingest.Record) { all = append(all, fmt.Sprintf("%q", rec.Text)) })
			for rest := stream; len(rest) > 0; {
				n := min(size, len(rest))
				s.add(rest[:n])
				rest = rest[n:]
			}
			return strings.Join(all, " ")
		}
		if whole, pieces := read(len(stream)), read(max(1, size)); whole != pieces {
			t.Fatalf("%s, and in pieces %s", whole, pieces)
		}
	})
}
