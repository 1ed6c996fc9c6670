package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/custodylog/custody"
)

const mcpCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`

// recordedActions returns the types of the events of a trail and their errors.
func recordedActions(t *testing.T, dir string) []string {
	t.Helper()
	trail, err := custody.Open(dir, &custody.Options{ReadOnly: true})
	check(t, err)
	defer trail.Close()
	var all []string
	for entry, err := range trail.Entries(t.Context(), custody.Query{From: 1}) {
		check(t, err)
		e, err := entry.Event()
		check(t, err)
		why, _ := e.Details["error"].(string)
		all = append(all, strings.TrimSpace(string(e.Type)+" "+why))
	}
	return all
}

// Whoever ends the recorder while a call runs has it recorded that nobody knows what became
// of it, and not that the client called it off.
func TestMCPInterrupted(t *testing.T) {
	arrived := make(chan bool)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(w).Flush()
		arrived <- true
		<-r.Context().Done()
	}))
	defer upstream.Close()
	dir, keys := newTrail(t)
	cmd := exec.Command("custody", "mcp", "--upstream", upstream.URL+"/mcp?key=secret", "--state", t.TempDir())
	cmd.Env = append(os.Environ(), "CUSTODY_TRAIL="+dir, "CUSTODY_KEYS="+keys, "GORACE=atexit_sleep_ms=0")
	stderr, err := cmd.StderrPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	said := make([]byte, 4096)
	n, err := stderr.Read(said)
	check(t, err)
	_, url, _ := strings.Cut(string(said[:n]), "Listening at ")
	url, rest, _ := strings.Cut(url, " for ")
	if strings.Contains(rest, "secret") {
		t.Errorf("it says %q", rest)
	}
	resp, err := http.Post(url, "application/json", strings.NewReader(mcpCall))
	check(t, err)
	defer resp.Body.Close()
	<-arrived
	check(t, cmd.Process.Signal(os.Interrupt))
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if got, want := recordedActions(t, dir), []string{"action_requested", "action_failed the recorder ended"}; !slices.Equal(got, want) {
		t.Errorf("recorded %q", got)
	}
}
