package interop

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// answering writes a program that is custody mcp-server for a trail, for clients that take
// a program and its arguments.
func answering(t *testing.T, trail string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "audit")
	text := "#!/bin/sh\nexec '" + filepath.Join(filepath.Dir(fsckProgram), "custody") + "' mcp-server --trail '" + trail + "'\n"
	must(t, os.WriteFile(name, []byte(text), 0o700))
	return name
}

// The inspector finds what can be asked of a trail, in a directory and on a server, and
// gets answers, as a client that we did not write.
func TestMCPServerInspector(t *testing.T) {
	events := []event.Event{
		{Type: event.ActionRequested, ID: "e1", AgentID: "a1", SessionID: "s1", ActionID: "x/1", Details: map[string]any{"tool_name": "Bash", "resource": "rm -rf build"}},
		{Type: event.ActionDenied, ID: "e2", AgentID: "a1", SessionID: "s1", ActionID: "x/1", Decision: event.Deny, Details: map[string]any{"tool_name": "Bash", "reasons": []any{"not yours"}}},
	}
	s, local := newTrail(t)
	get(local.RecordBatch(t.Context(), events))(t)

	serve := exec.CommandContext(context.Background(), filepath.Join(filepath.Dir(fsckProgram), "custody"), "serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--origin", "example.org")
	url := strings.Fields(started(t, serve, regexp.MustCompile(`^listening +http://`))())[1]
	remote := get(client.Open(t.Context(), url, nil))(t)
	get(remote.RecordBatch(t.Context(), events))(t)
	must(t, remote.Close())

	inspector := filepath.Join(mcpPeers(t, mcpInspector), "mcp-inspector")
	for _, place := range []string{s.dir, url} {
		program := answering(t, place)
		ask := func(into any, method string, args ...string) {
			t.Helper()
			out := run(t, inspector, append([]string{"--cli", program, "--method", method}, args...)...)
			if err := json.Unmarshal([]byte(out), into); err != nil {
				t.Fatalf("%s: %v\n%s", method, err, out)
			}
		}
		var tools struct{ Tools []struct{ Name string } }
		ask(&tools, "tools/list")
		var names []string
		for _, tool := range tools.Tools {
			names = append(names, tool.Name)
		}
		slices.Sort(names)
		same(t, "tools of "+place, strings.Join(names, " "), "query show stats stops timeline verify")

		var called struct {
			Content []struct{ Text string }
			IsError bool
		}
		ask(&called, "tools/call", "--tool-name", "query", "--tool-arg", "agent=a1", "--tool-arg", "limit=1", "--tool-arg", `types=["action_denied"]`)
		if len(called.Content) != 1 || called.IsError || !strings.Contains(called.Content[0].Text, `"summary":"Bash - not yours"`) {
			t.Errorf("%s: the query answers %+v", place, called)
		}

		var listed struct{ Resources []struct{ URI string } }
		ask(&listed, "resources/list")
		if len(listed.Resources) != 2 {
			t.Errorf("%s: the resources are %q", place, listed.Resources)
		}
		var templates struct {
			ResourceTemplates []struct{ URITemplate string }
		}
		if ask(&templates, "resources/templates/list"); len(templates.ResourceTemplates) != 4 {
			t.Errorf("%s: the templates are %v", place, templates)
		}
		for _, uri := range []string{"custody://trail/checkpoint", "custody://trail/actions/x%2F1", "custody://trail/proofs/2"} {
			var read struct {
				Contents []struct{ URI, MimeType, Text string }
			}
			if ask(&read, "resources/read", "--uri", uri); len(read.Contents) != 1 || read.Contents[0].URI != uri {
				t.Fatalf("%s: %s: %+v", place, uri, read)
			}
			switch c := read.Contents[0]; {
			case strings.Contains(uri, "/proofs/"):
				get(evidence.ParseProof([]byte(c.Text)))(t)
			case strings.HasSuffix(uri, "/checkpoint"):
				if at := get(evidence.PeekCheckpoint([]byte(c.Text)))(t); at.Size != 3 {
					t.Errorf("%s: the checkpoint is of %d entries", place, at.Size)
				}
			default:
				if c.MimeType != "application/json" || !json.Valid([]byte(c.Text)) || !strings.Contains(c.Text, "not yours") {
					t.Errorf("%s: %s is %s: %s", place, uri, c.MimeType, c.Text)
				}
			}
		}
	}
	must(t, serve.Process.Signal(syscall.SIGTERM))
	must(t, serve.Wait())
}
