package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/custodylog/custody"
)

// The reference servers of the Model Context Protocol, and the inspector, from the npm
// registry.
const (
	mcpFilesystem = "@modelcontextprotocol/server-filesystem@2026.8.31"
	mcpEverything = "@modelcontextprotocol/server-everything@2026.8.31"
	mcpInspector  = "@modelcontextprotocol/inspector@0.15.0"
)

// mcpPeers installs packages, and returns the directory of their programs.
func mcpPeers(t *testing.T, packages ...string) string {
	t.Helper()
	dir := t.TempDir()
	install := exec.Command("npm", append([]string{"install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"}, packages...)...)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("this test needs npm, and %s from its registry: %v\n%s", strings.Join(packages, ", "), err, out)
	}
	return filepath.Join(dir, "node_modules", ".bin")
}

// recorder is custody mcp with a trail.
type recorder struct {
	store
	state string
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	s := store{filepath.Join(t.TempDir(), "trail"), t.TempDir()}
	get(custody.Create(s.dir, custody.CreateOptions{Origin: origin, KeyDir: s.keys}))(t)
	return &recorder{s, t.TempDir()}
}

// args returns the arguments of the command with more of them.
func (r *recorder) args(more ...string) []string {
	return append([]string{"mcp", "--trail", r.dir, "--key-dir", r.keys, "--state", r.state, "--session", "s1", "--server", "peer"}, more...)
}

func (r *recorder) command(ctx context.Context, more ...string) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(filepath.Dir(fsckProgram), "custody"), r.args(more...)...)
}

// script writes a program that is a server behind the recorder, for clients that take a
// program and its arguments.
func (r *recorder) script(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "recorded")
	text := "#!/bin/sh\nexec '" + strings.Join(r.command(t.Context(), "--").Args, "' '") + "' \"$@\"\n"
	must(t, os.WriteFile(name, []byte(text), 0o700))
	return name
}

// events returns what is recorded: types, and what tells the events apart.
func (r *recorder) events(t *testing.T) string {
	t.Helper()
	trail := get(custody.Open(r.dir, &custody.Options{ReadOnly: true, Logger: logger(t)}))(t)
	defer trail.Close()
	var all []string
	actions := map[string]string{}
	for entry, err := range trail.Entries(t.Context(), custody.Query{From: 1}) {
		must(t, err)
		e := get(entry.Event())(t)
		if len(e.Defects) > 0 {
			t.Errorf("entry %d, %s, has defects: %q", entry.Index, e.Type, e.Defects)
		}
		one := string(e.Type)
		for _, name := range []string{"tool_name", "layer", "action", "protocol_version"} {
			if v, ok := e.Details[name].(string); ok {
				one += " " + v
			}
		}
		if e.ActionID != "" && actions[e.ActionID] == "" {
			actions[e.ActionID] = fmt.Sprintf(" (%d)", len(actions)+1)
		}
		all = append(all, one+actions[e.ActionID])
	}
	return strings.Join(all, "\n")
}

// run runs a program and returns its output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, out, errs.Bytes())
	}
	return string(out)
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

// The inspector gets from the reference servers, over standard input and output and over
// HTTP, what it gets without the recorder, and every call is recorded.
func TestMCPInspector(t *testing.T) {
	bin := mcpPeers(t, mcpFilesystem, mcpEverything, mcpInspector)
	inspector := filepath.Join(bin, "mcp-inspector")

	files := t.TempDir()
	must(t, os.WriteFile(filepath.Join(files, "a.txt"), []byte("hello\n"), 0o600))
	server := filepath.Join(bin, "mcp-server-filesystem")
	r := newRecorder(t)
	program := r.script(t)
	for _, method := range [][]string{
		{"tools/list"},
		{"tools/call", "--tool-name", "read_text_file", "--tool-arg", "path=" + files + "/a.txt"},
		{"tools/call", "--tool-name", "read_text_file", "--tool-arg", "path=/etc/passwd"},
	} {
		args := append([]string{server, files, "--method"}, method...)
		same(t, strings.Join(method, " "), run(t, inspector, append([]string{"--cli", program}, args...)...), run(t, inspector, append([]string{"--cli"}, args...)...))
	}
	const opened, closed = "tool_server_connected 2025-11-25\n", "\ntool_server_disconnected 2025-11-25"
	same(t, "recorded", r.events(t), opened+"tool_surface_changed"+closed+"\n"+
		opened+"action_requested mcp__peer__read_text_file (1)\naction_executed mcp__peer__read_text_file (1)"+closed+"\n"+
		opened+"action_requested mcp__peer__read_text_file (2)\naction_failed mcp__peer__read_text_file tool (2)"+closed)

	port := freePort(t)
	everything := exec.CommandContext(t.Context(), filepath.Join(bin, "mcp-server-everything"), "streamableHttp")
	everything.Env = append(os.Environ(), "PORT="+port)
	waitFor := started(t, everything, regexp.MustCompile(`(?i)listening on port`))
	waitFor()
	r = newRecorder(t)
	front, end := r.listen(t, "http://127.0.0.1:"+port+"/mcp")
	for _, url := range []string{front, "http://127.0.0.1:" + port + "/mcp"} {
		got := run(t, inspector, "--cli", url, "--transport", "http", "--method", "tools/call", "--tool-name", "echo", "--tool-arg", "message=hi")
		if !strings.Contains(got, "Echo: hi") {
			t.Errorf("%s: %s", url, got)
		}
	}
	end()
	same(t, "recorded", r.events(t), opened+"tool_surface_changed\naction_requested mcp__peer__echo (1)\naction_executed mcp__peer__echo (1)"+closed)
}

func freePort(t *testing.T) string {
	t.Helper()
	l := get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}

// started starts a program, and returns a function that waits until it says something on
// standard error or output and returns that line.
func started(t *testing.T, cmd *exec.Cmd, says *regexp.Regexp) func() string {
	t.Helper()
	out, w, err := os.Pipe()
	must(t, err)
	cmd.Stdout, cmd.Stderr = w, w
	must(t, cmd.Start())
	w.Close()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		out.Close()
	})
	return func() string {
		t.Helper()
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if line := lines.Text(); says.MatchString(line) {
				go func() {
					for lines.Scan() {
					}
				}()
				return line
			}
		}
		t.Fatalf("%s ended without saying %s", cmd, says)
		return ""
	}
}

// listen has the recorder listen for a server. It returns its address, and what ends it.
func (r *recorder) listen(t *testing.T, upstream string) (url string, end func()) {
	t.Helper()
	cmd := r.command(context.Background(), "--upstream", upstream)
	line := started(t, cmd, regexp.MustCompile(`^Listening at http://`))()
	return strings.Fields(line)[2], func() {
		t.Helper()
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		must(t, cmd.Wait())
	}
}

// asking returns a server with a tool that asks the person.
func asking() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "asking", Version: "1.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "buy"}, func(_ context.Context, req *mcp.CallToolRequest, _ any) (*mcp.CallToolResult, any, error) {
		if req.Params.InputResponses == nil {
			return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"sure": &mcp.ElicitParams{Message: "sure?", RequestedSchema: json.RawMessage(`{"type":"object","properties":{}}`)}}}, nil, nil
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "bought"}}}, nil, nil
	})
	return server
}

// The Go SDK speaks the revision 2026-07-28 through the recorder.
func TestMCPNewRevision(t *testing.T) {
	client := func(t *testing.T, transport mcp.Transport) *mcp.ClientSession {
		t.Helper()
		c := mcp.NewClient(&mcp.Implementation{Name: "interop", Version: "1.0"}, &mcp.ClientOptions{
			ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
				return &mcp.ElicitResult{Action: "accept"}, nil
			},
		})
		return get(c.Connect(t.Context(), transport, nil))(t)
	}
	call := func(t *testing.T, s *mcp.ClientSession, name string, args any) string {
		t.Helper()
		result := get(s.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: args}))(t)
		return result.Content[0].(*mcp.TextContent).Text
	}
	const opened, closed = "tool_server_connected 2026-07-28\n", "\ntool_server_disconnected 2026-07-28"

	for _, example := range []string{"everything", "hello"} {
		t.Run("stdio, "+example, func(t *testing.T) {
			r := newRecorder(t)
			s := client(t, &mcp.CommandTransport{Command: r.command(t.Context(), "--", filepath.Join(filepath.Dir(fsckProgram), "mcp-"+example))})
			same(t, "greet", call(t, s, "greet", map[string]any{"name": "you"}), "Hi you")
			if _, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "none"}); err == nil {
				t.Error("there is a tool none")
			}
			get(s.ListTools(t.Context(), nil))(t)
			must(t, s.Close())
			same(t, "recorded", r.events(t), opened+"action_requested mcp__peer__greet (1)\naction_executed mcp__peer__greet (1)\naction_requested mcp__peer__none (2)\naction_failed mcp__peer__none protocol (2)\ntool_surface_changed"+closed)
		})
	}
	t.Run("HTTP", func(t *testing.T) {
		server := asking()
		back := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
		defer back.Close()
		r := newRecorder(t)
		front, end := r.listen(t, back.URL)
		s := client(t, &mcp.StreamableClientTransport{Endpoint: front})
		same(t, "buy", call(t, s, "buy", nil), "bought")
		must(t, s.Close())
		end()
		same(t, "recorded", r.events(t), opened+"action_requested mcp__peer__buy (1)\nuser_input_requested mcp__peer__buy (1)\nuser_input_given mcp__peer__buy accept (1)\naction_executed mcp__peer__buy (1)"+closed)
	})
}
