package mcprecorder

import (
	"bufio"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/server"
	"github.com/custodylog/custody/internal/trails"
)

// serverSink returns the sink that is a trail of a server on this machine.
func serverSink(t testing.TB) *Server {
	t.Helper()
	set, err := trails.Open(trails.Config{Dir: t.TempDir(), Origin: "example.org", Options: custody.Options{Logger: quiet, DiskWarning: -1}})
	must(t, err)
	t.Cleanup(func() { set.Close() })
	api, err := server.New(server.Config{Trails: set, Logger: quiet, Authenticators: []auth.Authenticator{auth.Local{}}, Local: true})
	must(t, err)
	s := httptest.NewServer(api.Handler())
	t.Cleanup(func() {
		api.Stop()
		s.Close()
	})
	c, err := client.NewServer(s.URL, &client.Options{RetryFor: -1, Logger: quiet})
	must(t, err)
	return NewServer(c)
}

// BenchmarkLatency measures how long a call and its answer, or a message that is no call,
// take over pipes, from a client to cat and back, with and without a recorder between
// them: the median, in microseconds. make bench-mcp prints them.
func BenchmarkLatency(b *testing.B) {
	for _, sink := range []struct {
		name string
		open func(testing.TB) Sink
	}{
		{"without", nil},
		{"memory", func(testing.TB) Sink { return newMemory() }},
		{"directory", func(t testing.TB) Sink { _, s := newTrail(t); return s }},
		{"server", func(t testing.TB) Sink { return serverSink(t) }},
	} {
		for _, kind := range []string{"ping", "call"} {
			b.Run(sink.name+"/"+kind, func(b *testing.B) {
				b.Setenv(envChild, "cat")
				in, toUs, err := os.Pipe()
				must(b, err)
				fromUs, out, err := os.Pipe()
				must(b, err)
				ended := make(chan error, 1)
				if sink.open == nil {
					cmd := exec.Command(os.Args[0])
					cmd.Stdin, cmd.Stdout = in, out
					must(b, cmd.Start())
					in.Close()
					out.Close()
					go func() { ended <- cmd.Wait() }()
				} else {
					r := New(Options{Sink: sink.open(b), Transport: "stdio", Agent: "a", Session: "s", Log: quiet})
					go func() {
						_, err := r.RunCommand(b.Context(), []string{os.Args[0]}, Pipes{In: in, Out: out, Err: os.Stderr})
						r.Close(b.Context())
						ended <- err
					}()
				}
				lines := bufio.NewReader(fromUs)
				took := make([]time.Duration, 0, 1024)
				n := 0
				for b.Loop() {
					n++
					message := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, n)
					if kind == "call" {
						message = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"read","arguments":{"path":"/file/%d"}}}`, n, n)
					}
					began := time.Now()
					_, err := toUs.WriteString(message + "\n")
					must(b, err)
					line, err := lines.ReadString('\n')
					must(b, err)
					took = append(took, time.Since(began))
					if strings.TrimSpace(line) != message {
						b.Fatalf("%s came", line)
					}
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "p50-µs")
				b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "p99-µs")
				toUs.Close()
				must(b, <-ended)
				fromUs.Close()
			})
		}
	}
}
