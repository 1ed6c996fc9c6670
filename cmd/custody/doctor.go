package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody/internal/connect"
	"github.com/custodylog/custody/internal/spool"
	"github.com/custodylog/custody/internal/terminal"
)

// doctorEvent is the name of the test event, of which no agent has one.
const doctorEvent = "CustodyDoctor"

func newDoctorCommand(p *program) *cobra.Command {
	d := &doctor{p: p}
	cmd := &cobra.Command{
		Use:   "doctor [AGENT…]",
		Short: "Check that what agents tell arrives in the trail",
		Long: `Send a test event by every path by which an agent is connected, as its settings have it:
run the command of a hook, post to the address of one, send telemetry, start an MCP server
that custody mcp stands before and say hello to it. Say what arrived in the trail, which
events have no hook, and what the agent does that no hook tells of. A token that may not
read entries, as an agent should have it, is enough: then what the server took is not
looked up.

The settings are those of the user, and of the project in this directory. What the
settings of a project say is tried only if it is what custody connect with the same flags
writes: they may come from anybody, and say anything. The MCP servers of a project are not
started. Each test is an event of the trail, of the type hook_custody_doctor, or
tool_server_connected with the name custody-doctor-… of the client.

` + connect.OpenAIAgents + ` has no settings: named, a test is sent to where its programs post.`,
		GroupID: groupWrite,
		Example: `  custody doctor --trail http://127.0.0.1:8420
  custody doctor claude-code`,
		ValidArgs: append(connect.Agents(), connect.OpenAIAgents),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkProject(cmd, d.project); err != nil {
				return usageError(cmd, err)
			}
			if len(args) == 0 {
				args = connect.Agents()
			}
			return interrupted(cmd.Context(), d.run(cmd.Context(), args))
		},
	}
	annotate(cmd, `  0  what was sent by every path is in the trail, or was taken by a server that the
     token may not read from
  2  something is not, or was not tried, or no agent is connected`)
	addProjectFlag(cmd, &d.project)
	return cmd
}

// doctor checks the paths to one trail.
type doctor struct {
	p       *program
	project string // --project
	found   int    // files of settings that connect an agent, and programs
	failed  int
}

// agentPaths are those by which an agent may be connected to the trail of the command.
type agentPaths struct {
	hook           []string // command line
	commands       map[string]bool
	url, telemetry string
}

// paths returns what custody connect would write into the settings of an agent.
func (d *doctor) paths(agent string) (*agentPaths, error) {
	all := &agentPaths{commands: map[string]bool{}}
	for _, failClosed := range []string{"", failTrail, failSpool} {
		how := connectOptions{failClosed: failClosed, project: d.project}
		o, err := how.options(d.p, agent)
		if err != nil {
			return nil, err
		}
		for _, event := range append(connect.Events(o), "") {
			all.commands[o.Line(event)] = true
		}
		all.url, all.hook = cmp.Or(all.url, o.URL), o.Hook
	}
	how := connectOptions{telemetry: true}
	if o, err := how.options(d.p, agent); err == nil { // it can be sent there
		all.telemetry = o.Telemetry
	}
	return all, nil
}

func (d *doctor) run(ctx context.Context, agents []string) error {
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	here, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	for _, agent := range agents {
		if agent == connect.OpenAIAgents {
			if err := d.examineProgram(ctx); err != nil {
				return err
			}
			continue
		}
		paths, err := d.paths(agent)
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, project := range []string{"", here} {
			if agent == "copilot" && project == "" {
				continue // it has none of a user
			}
			o := &connect.Options{Agent: agent, Home: home, Getenv: os.Getenv, Project: project, URL: paths.url, Hook: paths.hook}
			in, err := connect.Find(o)
			if err != nil {
				d.failed++
				d.p.warn("%s is not examined: %v", agent, err)
				continue
			}
			if in != nil && !seen[in.File] {
				seen[in.File] = true
				known := paths
				if project == "" {
					known = nil
				}
				d.examine(ctx, agent, in, known)
			}
			d.examineServers(ctx, o, here, seen)
		}
	}
	if err := d.spooled(); err != nil {
		return err
	}
	switch {
	case d.found == 0 && d.failed == 0:
		return withHint(errors.New("no agent is connected by the settings of this user, or of this directory"), "custody connect AGENT%s connects one", d.p.trailFlag())
	case d.failed > 0:
		return fmt.Errorf("%s not lead to %s", terminal.Plural(d.failed, "path does", "paths do"), d.p.trailPlace())
	}
	return ctx.Err()
}

// examine sends a test by every path of one file of settings. Where known is set, only what
// is in it is tried.
func (d *doctor) examine(ctx context.Context, agent string, in *connect.Installed, known *agentPaths) {
	s := d.section(agent, terminal.Field{Name: "settings", Value: in.File})
	if in.Off != "" {
		d.failed++
		s.say("off", "%s: the agent does not run the hooks", in.Off)
	}
	for _, h := range in.Hooks {
		if h.URL != "" {
			s.try(ctx, "hook", h.URL, known == nil || h.URL == known.url, func(ctx context.Context, session string) error { return postHook(ctx, &h, session) })
		} else {
			s.try(ctx, "hook", h.Command, known == nil || known.commands[h.Command], func(ctx context.Context, session string) error { return runHookCommand(ctx, h.Command, session) })
		}
	}
	if in.Telemetry != "" {
		s.try(ctx, "telemetry", in.Telemetry, known == nil || in.Telemetry == known.telemetry, func(ctx context.Context, session string) error {
			return sendLog(ctx, agent, in, session)
		})
	}
	if len(in.Missing) > 0 {
		s.say("no hook for", "%s", strings.Join(in.Missing, ", "))
	}
	s.unseen(agent)
	s.print()
}

// doctorMessage is what an agent would tell its hook.
func doctorMessage(session string) []byte {
	b, err := json.Marshal(map[string]string{"hook_event_name": doctorEvent, "session_id": session, "note": "sent by custody doctor"})
	if err != nil {
		panic(fmt.Sprintf("custody: %v", err)) // cannot be: strings
	}
	return b
}

// runHookCommand runs the command line of a hook, as an agent does.
func runHookCommand(ctx context.Context, line, session string) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	if runtime.GOOS == "windows" {
		cmd = exec.CommandContext(ctx, "cmd", "/C", line)
	}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(doctorMessage(session)), &out, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %.300s", err, errs.String())
	}
	var answer map[string]any
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		return fmt.Errorf("it answers with %.100q, which is no JSON object", out.String())
	}
	if errs.Len() > 0 {
		return fmt.Errorf("%.300s", errs.String())
	}
	return nil
}

// postHook posts to the address of a hook, as an agent does.
func postHook(ctx context.Context, h *connect.Hook, session string) error {
	header := http.Header{}
	for name, value := range h.Headers {
		header.Set(name, os.Expand(value, func(variable string) string {
			if !slices.Contains(h.Allowed, variable) {
				return ""
			}
			return os.Getenv(variable)
		}))
	}
	_, err := post200(ctx, h.URL, header, doctorMessage(session))
	return err
}

// sendLog sends a log record (OTLP, JSON), as an agent does.
func sendLog(ctx context.Context, agent string, in *connect.Installed, session string) error {
	type value struct {
		Text string `json:"stringValue"`
	}
	type attribute struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	attributes := func(pairs ...string) (all []attribute) {
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, attribute{pairs[i], value{pairs[i+1]}})
		}
		return all
	}
	services := map[string]string{"claude-code": "claude-code", "codex": "codex_exec", "gemini": "gemini-cli"}
	names := map[string]string{"claude-code": "claude_code.", "codex": "codex.", "gemini": "gemini_cli."}
	name := names[agent] + "custody_doctor"
	body, err := json.Marshal(map[string]any{"resourceLogs": []any{map[string]any{
		"resource": map[string]any{"attributes": attributes("service.name", services[agent])},
		"scopeLogs": []any{map[string]any{"logRecords": []any{map[string]any{
			"timeUnixNano": fmt.Sprint(time.Now().UnixNano()), "body": value{name},
			"attributes": attributes("event.name", name, "session.id", session, "conversation.id", session),
		}}}}}}})
	if err != nil {
		return err
	}
	header := http.Header{}
	for name, value := range in.Headers {
		header.Set(name, value)
	}
	answer, err := post200(ctx, in.Telemetry, header, body)
	var said struct {
		Partial struct {
			Rejected any    `json:"rejectedLogRecords"`
			Why      string `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if err == nil && json.Unmarshal(answer, &said) == nil && said.Partial.Rejected != nil {
		return fmt.Errorf("it takes nothing: %s", said.Partial.Why)
	}
	return err
}

// post200 posts JSON, and fails unless it is taken. It returns how the answer begins.
func post200(ctx context.Context, address string, header http.Header, body []byte) (answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("it answers %s: %.300s", resp.Status, answer)
	}
	return answer, err
}

// spooled says what waits on this machine.
func (d *doctor) spooled() error {
	box, err := d.p.hookSpool("")
	if err != nil {
		return err
	}
	n, err := box.Waiting()
	if err == nil && n > 0 {
		d.p.warn("%s in %s; custody hook --flush%s records them", terminal.Plural(n, "message waits", "messages wait"), box.Dir(), d.p.trailFlag())
	}
	aside, aerr := box.Aside()
	if aside > 0 {
		d.p.warn("%s in %s was refused, and set aside; custody hook --flush --again%s says why", terminal.Plural(aside, "message", "messages"), box.Dir(), d.p.trailFlag())
	}
	others, oerr := filepath.Glob(filepath.Join(filepath.Dir(box.Dir()), "*"))
	for _, dir := range others {
		other, err := spool.OpenPrivate(dir, spool.Options{})
		if err != nil || dir == box.Dir() {
			continue
		}
		if n, err := other.Waiting(); err == nil && n > 0 {
			d.p.warn("%s in %s for another trail, or for this one by another address: custody hook --flush with --trail as the agent's settings have it records them", terminal.Plural(n, "message waits", "messages wait"), dir)
		}
	}
	return errors.Join(err, aerr, oerr)
}
