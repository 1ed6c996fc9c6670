package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/custodylog/custody/internal/connect"
	"github.com/custodylog/custody/internal/terminal"
)

// errServerNotTried says that an MCP server is not started, since a project names it.
var errServerNotTried = errors.New("not tried, since the settings of a project say what is to be started")

// examineServers says which MCP servers of an agent have a recorder before them, and tries
// those that the user's own settings name.
func (d *doctor) examineServers(ctx context.Context, o *connect.Options, dir string, seen map[string]bool) {
	found, err := connect.FindServers(o, dir)
	if err != nil {
		d.failed++
		d.p.warn("the MCP servers of %s are not examined: %v", o.Agent, err)
		return
	}
	if found == nil || len(found.Recorded) == 0 || seen["servers "+found.File] {
		return
	}
	seen["servers "+found.File] = true
	s := d.section(o.Agent, terminal.Field{Name: "settings", Value: found.File})
	for _, server := range found.Recorded {
		index, err := uint64(0), errServerNotTried
		if o.Project == "" {
			index, err = d.test(ctx, func(ctx context.Context, name string) error { return initializeServer(ctx, &server, name) }, byClient)
		}
		s.tried("custody mcp", "before "+server.Name, index, err)
	}
	if len(found.Unrecorded) > 0 {
		s.say("not seen", "what passes to these servers, which custody mcp does not stand before, but by hooks: %s", strings.Join(found.Unrecorded, ", "))
	}
	s.print()
}

// maxGreeting bounds what a server may say before it answers.
const maxGreeting = 1 << 20

// initializeServer starts an MCP server, as an agent does, and opens a session under the
// name of a client.
func initializeServer(ctx context.Context, server *connect.Server, name string) error {
	cmd := exec.CommandContext(ctx, server.Command[0], server.Command[1:]...)
	cmd.Env = os.Environ()
	for variable, value := range server.Env {
		cmd.Env = append(cmd.Env, variable+"="+value)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 2 * time.Second
	var errs opening
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(in, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":%q,"version":"1"}}}`+"\n", name)
	if err == nil {
		err = initialized(out)
	}
	in.Close() // the end of its input is the end of the session
	ended := cmd.Wait()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		err = fmt.Errorf("it does not answer within %s", doctorTimeout)
	case ended != nil:
		err = ended
	}
	return fmt.Errorf("%w: %.300s", err, errs)
}

// maxComplaint bounds what is kept of what a server says beside its answers.
const maxComplaint = 4 << 10

// opening keeps the beginning of what is written to it.
type opening []byte

func (o *opening) Write(text []byte) (int, error) {
	*o = append(*o, text[:min(len(text), maxComplaint-len(*o))]...)
	return len(text), nil
}

// initialized waits for the answer of a server.
func initialized(out io.Reader) error {
	lines := bufio.NewScanner(io.LimitReader(out, maxGreeting))
	lines.Buffer(nil, maxGreeting)
	for lines.Scan() {
		var answer struct {
			ID     any             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if json.Unmarshal(lines.Bytes(), &answer) != nil || answer.ID != 1.0 {
			continue // a notification, or what is no message
		}
		if answer.Result == nil {
			return fmt.Errorf("it answers with the error %.200s", answer.Error)
		}
		return nil
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.New("it ended without an answer")
}
