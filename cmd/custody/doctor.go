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

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/connect"
	"github.com/custodylog/custody/internal/spool"
	"github.com/custodylog/custody/internal/terminal"
)

// Bounds of what a doctor waits for.
const (
	doctorTimeout = 10 * time.Second // for an answer
	doctorArrival = 3 * time.Second  // from the answer to the trail
)

// doctorEvent is the name of the test event, of which no agent has one.
const doctorEvent = "CustodyDoctor"

func newDoctorCommand(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [AGENT…]",
		Short: "Check that what agents tell arrives in the trail",
		Long: `Send a test event by every path by which an agent is connected, as its settings have it:
run the command of a hook, post to the address of one, send telemetry. Say what arrived
in the trail, which events have no hook, and what the agent does that no hook tells of.

The settings are those of the user, and of the project in this directory. What the
settings of a project say is tried only if it is what custody connect with the same flags
writes: they may come from anybody, and say anything. Each test is an event of the trail,
of the type hook_custody_doctor.`,
		GroupID: groupWrite,
		Example: `  custody doctor --trail http://127.0.0.1:8420
  custody doctor claude-code`,
		ValidArgs: connect.Agents(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = connect.Agents()
			}
			return interrupted(cmd.Context(), runDoctor(cmd.Context(), p, args))
		},
	}
	annotate(cmd, `  0  what was sent by every path is in the trail
  2  something is not, or was not tried, or no agent is connected`)
	return cmd
}

// doctor checks the paths to one trail.
type doctor struct {
	p       *program
	project string // --project
	failed  int
}

// errNotTried says that something is not tried, since it is in the settings of a project.
var errNotTried = errors.New("not tried, since the settings of a project say so, and it is not what custody connect writes for this trail")

// agentPaths are those by which an agent may be connected to the trail of the command.
type agentPaths struct {
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
		all.url = cmp.Or(all.url, o.URL)
	}
	how := connectOptions{telemetry: true}
	if o, err := how.options(d.p, agent); err == nil { // it can be sent there
		all.telemetry = o.Telemetry
	}
	return all, nil
}

func runDoctor(ctx context.Context, p *program, agents []string) error {
	d := &doctor{p: p}
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	here, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	found := 0
	for _, agent := range agents {
		paths, err := d.paths(agent)
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, project := range []string{"", here} {
			if agent == "copilot" && project == "" {
				continue // it has none of a user
			}
			in, err := connect.Find(&connect.Options{Agent: agent, Home: home, Getenv: os.Getenv, Project: project, URL: paths.url})
			if err != nil {
				d.failed++
				p.warn("%s is not examined: %v", agent, err)
				continue
			}
			if in == nil || seen[in.File] {
				continue
			}
			seen[in.File] = true
			if found++; found > 1 {
				p.out.Printf("\n")
			}
			known := paths
			if project == "" {
				known = nil
			}
			d.examine(ctx, agent, in, known)
		}
	}
	if err := d.spooled(); err != nil {
		return err
	}
	switch {
	case found == 0 && d.failed == 0:
		return withHint(errors.New("no agent is connected by the settings of this user, or of this directory"), "custody connect AGENT%s connects one", p.trailFlag())
	case d.failed > 0:
		return fmt.Errorf("%s not lead to %s", terminal.Plural(d.failed, "path does", "paths do"), p.trailPlace())
	}
	return ctx.Err()
}

// examine sends a test by every path of one file of settings. Where known is set, only what
// is in it is tried.
func (d *doctor) examine(ctx context.Context, agent string, in *connect.Installed, known *agentPaths) {
	fields := []terminal.Field{{Name: "agent", Value: d.p.heading(agent)}, {Name: "settings", Value: terminal.OneLine(in.File)}}
	say := func(name, format string, args ...any) {
		fields = append(fields, terminal.Field{Name: name, Value: terminal.OneLine(fmt.Sprintf(format, args...))})
	}
	test := func(name, what string, known bool, send func(ctx context.Context, session string) error) {
		index, err := uint64(0), errNotTried
		if known {
			index, err = d.test(ctx, send)
		}
		if err != nil {
			d.failed++
			say(name, "%s: %v", what, err)
		} else {
			say(name, "%s: arrived, entry %d", what, index)
		}
	}
	if in.Off != "" {
		d.failed++
		say("off", "%s: the agent does not run the hooks", in.Off)
	}
	for _, h := range in.Hooks {
		if h.URL != "" {
			test("hook", h.URL, known == nil || h.URL == known.url, func(ctx context.Context, session string) error { return postHook(ctx, &h, session) })
		} else {
			test("hook", h.Command, known == nil || known.commands[h.Command], func(ctx context.Context, session string) error { return runHookCommand(ctx, h.Command, session) })
		}
	}
	if in.Telemetry != "" {
		test("telemetry", in.Telemetry, known == nil || in.Telemetry == known.telemetry, func(ctx context.Context, session string) error {
			return sendLog(ctx, agent, in, session)
		})
	}
	if len(in.Missing) > 0 {
		say("no hook for", "%s", strings.Join(in.Missing, ", "))
	}
	for _, hole := range connect.Unseen(agent) {
		say("not seen", "%s", hole)
	}
	d.p.out.Fields(0, fields...)
	d.p.out.Flush()
}

// test sends a test, and looks for it in the trail.
func (d *doctor) test(ctx context.Context, send func(ctx context.Context, session string) error) (index uint64, err error) {
	session := "custody-doctor-" + custody.NewID()
	sending, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	if err := send(sending, session); err != nil {
		return 0, err
	}
	const again = 100 * time.Millisecond
	for until := time.Now().Add(doctorArrival); ; {
		index, found, err := d.find(ctx, session)
		if err != nil || found {
			return index, err
		}
		if time.Now().After(until) {
			return 0, fmt.Errorf("it was taken, and is not in %s: is that another trail, or is the server away?", d.p.trailPlace())
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(again):
		}
	}
}

func (d *doctor) find(ctx context.Context, session string) (index uint64, found bool, err error) {
	t, err := d.p.openTrail(ctx)
	if err != nil {
		return 0, false, err
	}
	defer closing(t, &err)
	for e, err := range t.Entries(ctx, custody.Query{SessionID: session, Limit: 1}) {
		return e.Index, err == nil, err
	}
	return 0, false, nil
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
	return post200(ctx, h.URL, header, doctorMessage(session))
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
	return post200(ctx, in.Telemetry, header, body)
}

// post200 posts JSON, and fails unless it is taken.
func post200(ctx context.Context, address string, header http.Header, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 300))
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("it answers %s: %s", resp.Status, answer)
	}
	return err
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
