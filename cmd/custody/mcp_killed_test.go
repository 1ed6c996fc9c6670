package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/custodylog/custody/event"
)

// envNotes names the file that noteServer writes to.
const envNotes = "TEST_MCP_NOTES"

// noteServer is a server of MCP with a tool that adds a line to a file: the program
// mcp-notes of the tests.
func noteServer() {
	s := mcp.NewServer(&mcp.Implementation{Name: "notes"}, nil)
	type note struct {
		Text string `json:"text"`
	}
	mcp.AddTool(s, &mcp.Tool{Name: "add", Description: "Add a note"}, func(_ context.Context, _ *mcp.CallToolRequest, n note) (*mcp.CallToolResult, any, error) {
		f, err := os.OpenFile(os.Getenv(envNotes), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, err
		}
		_, err = f.WriteString(n.Text + "\n")
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "added"}}}, nil, cmp.Or(err, f.Close())
	})
	if err := s.Run(context.Background(), &mcp.StdioTransport{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestMCPWhileServerIsKilled kills the server while an agent calls tools behind the
// recorder, and starts it again. Nothing that was called is lost or recorded twice; with
// --fail-closed the tools get nothing that is not in the trail.
func TestMCPWhileServerIsKilled(t *testing.T) {
	const workers, calls = 3, 8
	for _, closed := range []bool{false, true} {
		t.Run(fmt.Sprint("fail-closed ", closed), func(t *testing.T) {
			data, addr, notes := filepath.Join(t.TempDir(), "data"), freeAddress(t), filepath.Join(t.TempDir(), "notes")
			server, _ := startServer(t, data, "--listen", addr)
			args := []string{"mcp", "--trail", "http://" + addr, "--state", t.TempDir(), "--server", "notes", "--agent-id", "a1", "--session", "s1", "--"}
			if closed {
				args = append([]string{"mcp", "--fail-closed"}, args[1:]...)
			}
			cmd := exec.Command("custody", append(args, "mcp-notes")...)
			cmd.Env = append(os.Environ(), envNotes+"="+notes, "GORACE=atexit_sleep_ms=0")
			cmd.Stderr = t.Output()
			client, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
			check(t, err)

			var begun, done atomic.Int64
			var mu sync.Mutex
			var working sync.WaitGroup
			refused := map[string]bool{}
			for w := range workers {
				working.Go(func() {
					for c := range calls {
						text := fmt.Sprintf("note %d-%d", w, c)
						if begun.Add(1) == workers*calls/3 { // while others are under way
							server.cmd.Process.Kill()
							server.wait()
						}
						answer, err := client.CallTool(t.Context(), &mcp.CallToolParams{Name: "add", Arguments: map[string]any{"text": text}})
						switch {
						case err != nil && closed && strings.Contains(err.Error(), "custody: "):
							mu.Lock()
							refused[text] = true
							mu.Unlock()
						case err != nil || answer.IsError:
							t.Errorf("%s: %v, %v", text, answer, err)
						}
						if done.Add(1) == workers*calls*2/3 {
							server, _ = startServer(t, data, "--listen", addr)
						}
					}
				})
			}
			working.Wait()
			check(t, client.Close())
			server.end(os.Interrupt)

			forwarded := map[string]int{}
			content, err := os.ReadFile(notes)
			check(t, err)
			for line := range strings.Lines(string(content)) {
				forwarded[strings.TrimSpace(line)]++
			}
			if closed == (len(refused) == 0) {
				t.Errorf("%d calls were refused", len(refused))
			}
			types, events := actionsOf(t, filepath.Join(data, "trails", "default"), filepath.Join(data, "keys"))
			recorded := map[string][]event.Type{} // by what was to be noted
			for _, e := range events {
				input, _ := e.Details["input"].(map[string]any)
				if text, _ := input["text"].(string); text != "" && e.Type == event.ActionRequested {
					recorded[text] = append(recorded[text], types[e.ActionID]...)
				}
			}
			for w := range workers {
				for c := range calls {
					text := fmt.Sprintf("note %d-%d", w, c)
					want, times := []event.Type{event.ActionRequested, event.ActionExecuted}, 1
					if refused[text] {
						want[1], times = event.ActionDenied, 0
					}
					if fmt.Sprint(recorded[text]) != fmt.Sprint(want) || forwarded[text] != times {
						t.Errorf("of %s the trail has %v, want %v; the tool was called %d times", text, recorded[text], want, forwarded[text])
					}
				}
			}
			if len(types) != workers*calls {
				t.Errorf("%d calls are recorded as %d actions", workers*calls, len(types))
			}
		})
	}
}
