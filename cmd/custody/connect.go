package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/connect"
	"github.com/custodylog/custody/internal/terminal"
)

type connectOptions struct {
	scope      string
	project    string
	command    bool
	failClosed string
	telemetry  bool
	undo       bool
	dryRun     bool
	yes        bool
}

// The scopes of an agent's settings.
const (
	scopeUser    = "user"
	scopeProject = "project"
)

// mcpPeer stands for whatever speaks the Model Context Protocol.
const mcpPeer = "mcp"

func newConnectCommand(p *program) *cobra.Command {
	opts := connectOptions{}
	cmd := &cobra.Command{
		Use:   "connect AGENT [FLAGS]",
		Short: "Have an agent tell the trail what it does",
		Long: `Put hooks into the settings of an agent, so that it tells the trail what it does. AGENT
is ` + strings.Join(connect.Agents(), ", ") + `. With ` + mcpPeer + ` the line is printed that goes before
the command of an MCP server, and with ` + connect.OpenAIAgents + ` the lines that go into a program that
uses the OpenAI Agents SDK. docs/agents.md says what each agent tells, and what not.

Everything else in the settings stays as it is. What changes is shown, and done when it
is confirmed. A file that does not parse is refused. A copy is kept beside the file, as
FILE.before-custody; --undo restores it, or takes only the hooks out where somebody else
has changed the file since. Connecting an agent twice changes nothing; with other flags
or another trail it is connected in that way.

Where the trail is on a server, Claude Code posts to it by itself, and goes on when the
server is away: what it does then is not recorded. With --command it runs custody hook,
as all other agents do, which keeps it on this machine until the server is back.

No agent says which project it works in. With --project what it tells is recorded as of
that project, and a stop of the project holds for it.`,
		GroupID: groupWrite,
		Args:    cobra.ExactArgs(1),
		Example: `  custody connect claude-code --trail http://127.0.0.1:8420
  custody connect codex --trail http://127.0.0.1:8420 --telemetry --dry-run
  custody connect cursor --scope project --project shop --fail-closed
  custody connect claude-code --undo`,
		ValidArgs: append(connect.Agents(), connect.OpenAIAgents, mcpPeer),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFailClosed(cmd, opts.failClosed); err != nil {
				return usageError(cmd, err)
			}
			if err := checkProject(cmd, opts.project); err != nil {
				return usageError(cmd, err)
			}
			if opts.scope == "" {
				opts.scope = scopeUser
				if args[0] == "copilot" {
					opts.scope = scopeProject // it has no other
				}
			}
			if opts.scope != scopeUser && opts.scope != scopeProject {
				return usageError(cmd, fmt.Errorf("--scope %s: it is %s or %s", opts.scope, scopeUser, scopeProject))
			}
			return runConnect(cmd.Context(), p, opts, args[0])
		},
	}
	annotate(cmd, `  0  the agent is connected, or was before
  2  it is not`)
	f := cmd.Flags()
	f.StringVar(&opts.scope, "scope", "", "whose settings: `user`, or project for those in this directory (default: user, of copilot project)")
	addProjectFlag(cmd, &opts.project)
	f.BoolVar(&opts.command, "command", false, "Claude Code: run custody hook instead of posting to the server")
	f.StringVar(&opts.failClosed, "fail-closed", "", "deny what is not in the trail; with `=spool`, what is not even kept on this machine")
	f.Lookup("fail-closed").NoOptDefVal = failTrail
	f.BoolVar(&opts.telemetry, "telemetry", false, "have the agent send its logs to the server as well (OpenTelemetry)")
	f.BoolVar(&opts.undo, "undo", false, "take out what is ours")
	f.BoolVar(&opts.dryRun, "dry-run", false, "only show what would change")
	f.BoolVar(&opts.yes, "yes", false, "do not ask")
	cmd.MarkFlagsMutuallyExclusive("undo", "command")
	cmd.MarkFlagsMutuallyExclusive("undo", "telemetry")
	completeValues(cmd, "scope", []string{scopeUser, scopeProject})
	return cmd
}

// addProjectFlag adds the flag that says which project an agent works in.
func addProjectFlag(cmd *cobra.Command, project *string) {
	cmd.Flags().StringVar(project, "project", "", "`ID` of the project that the agent works in, for stops of it")
}

// checkProject checks the value of --project. One that is empty, as of a variable that is
// not set, names no project, and no stop of one would hold.
func checkProject(cmd *cobra.Command, id string) error {
	switch {
	case id == "" && cmd.Flags().Changed("project"):
		return errors.New("--project: it is empty; give the ID of a project")
	case len(id) > event.MaxIDLen:
		return fmt.Errorf("--project: it has %d bytes; use at most %d", len(id), event.MaxIDLen)
	case !utf8.ValidString(id):
		return errors.New("--project: it is not UTF-8")
	}
	return nil
}

func runConnect(ctx context.Context, p *program, opts connectOptions, agent string) error {
	o, err := opts.options(p, agent)
	if err != nil {
		return err
	}
	if agent == connect.OpenAIAgents {
		return p.showProgram(opts, o)
	}
	if agent == mcpPeer {
		p.out.Printf("%s --\n", o.Line(""))
		p.note("Put this before the command of each MCP server in the settings of the agent, as in")
		p.note("  claude mcp add files -- %s -- npx -y @modelcontextprotocol/server-filesystem .", o.Line(""))
		return nil
	}
	plan := connect.Connect
	if opts.undo {
		plan = connect.Undo
	}
	c, err := plan(o)
	if err != nil {
		return err
	}
	if c.Nothing() {
		p.note("%s is as it should be; nothing to do", c.File)
		return nil
	}
	p.showChange(c)
	if opts.dryRun {
		return nil
	}
	if !opts.yes {
		if err := p.confirm("Change " + terminal.OneLine(c.File) + "?"); err != nil {
			return err
		}
	}
	if err := c.Apply(); err != nil {
		return err
	}
	p.note("changed %s", c.File)
	for _, note := range c.Notes {
		p.note("%s", note)
	}
	if !opts.undo {
		p.note("custody doctor%s checks what arrives in the trail", p.trailFlag())
	}
	return nil
}

// showProgram prints what a program needs to tell the trail what it does.
func (p *program) showProgram(opts connectOptions, o *connect.Options) error {
	switch {
	case opts.undo:
		return errors.New("nothing was put into the program: take the lines out that custody connect printed")
	case opts.failClosed != "" || opts.command || opts.telemetry:
		return errors.New("the OpenAI Agents SDK tells of calls afterwards, and posts by itself: --fail-closed, --command and --telemetry are not for it")
	case o.URL == "":
		return withHint(fmt.Errorf("the OpenAI Agents SDK posts to the address of a server, and %s is none", p.trailPlace()), "custody serve serves trails; give the address of one with --trail http://HOST:PORT")
	}
	p.out.Printf("%s", connect.Program(o))
	p.note("Put this into the program, before it runs its first agent. Its traces go to OpenAI as before, too,")
	p.note("unless set_trace_processors([…]) takes the place of add_trace_processor(…).")
	if o.Token {
		p.note("The program needs the token in its environment, as CUSTODY_TOKEN.")
	}
	p.note("custody doctor %s%s checks that the server takes them", connect.OpenAIAgents, p.trailFlag())
	return nil
}

func (p *program) showChange(c *connect.Change) {
	p.out.Printf("%s\n", p.heading(terminal.OneLine(c.File)))
	if c.After == nil {
		p.out.Printf("(removed: there was none before)\n")
	} else {
		for _, line := range connect.Diff(c.Before, c.After) {
			p.out.Printf("%s\n", terminal.Clean(line))
		}
	}
	p.out.Flush()
}

// options returns how the agent is to be connected to the trail of the command.
func (o *connectOptions) options(p *program, agent string) (*connect.Options, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	c := &connect.Options{Agent: agent, Home: home, Getenv: os.Getenv, FailClosed: o.failClosed != ""}
	if o.scope == scopeProject {
		if c.Project, err = filepath.Abs("."); err != nil {
			return nil, err
		}
	}
	if o.undo {
		return c, nil
	}
	program, err := ownPath()
	if err != nil {
		return nil, err
	}
	c.Hook = []string{program, "hook", agent}
	if agent == mcpPeer {
		c.Hook = []string{program, mcpPeer}
	}
	place := p.trailPlace()
	if !p.remote() {
		if place, err = filepath.Abs(place); err != nil {
			return nil, err
		}
	}
	c.Hook = append(c.Hook, "--trail", place)
	for _, given := range []struct{ flag, file string }{{"--token-file", p.tokenFile}, {"--key-dir", p.keyDir}, {"--redaction", p.redaction}} {
		if given.file == "" {
			continue
		}
		file, err := filepath.Abs(given.file)
		if err != nil {
			return nil, err
		}
		c.Hook = append(c.Hook, given.flag, file)
	}
	if o.project != "" {
		c.Hook = append(c.Hook, "--project", o.project)
	}
	switch o.failClosed {
	case "":
	case failTrail:
		c.Hook = append(c.Hook, "--fail-closed")
	default:
		c.Hook = append(c.Hook, "--fail-closed="+o.failClosed)
	}
	return c, o.addresses(p, c)
}

// ownPath returns where this program was started from. Where that is a link, such as one
// that a package manager keeps, the link stays when another version is installed.
func ownPath() (string, error) {
	name, err := exec.LookPath(os.Args[0])
	if err != nil {
		return os.Executable()
	}
	return filepath.Abs(name)
}

// addresses sets where the agent posts by itself.
func (o *connectOptions) addresses(p *program, c *connect.Options) error {
	if !p.remote() {
		if o.telemetry {
			return withHint(fmt.Errorf("--telemetry: agents send it to a server, and %s is a directory", p.trailPlace()), "custody serve serves trails; give the address of one with --trail")
		}
		return nil
	}
	server, err := client.NewServer(p.trailPlace(), nil)
	if err != nil {
		return err
	}
	query := url.Values{}
	if name := server.TrailName(); name != client.DefaultTrail {
		query.Set("trail", name)
	}
	asked := func(address string) string {
		if address == "" || len(query) == 0 {
			return address
		}
		return address + "?" + query.Encode()
	}
	token, err := p.token()
	c.Token = token != ""
	if o.telemetry {
		if c.Telemetry = asked(server.URL("v1", "logs")); c.Telemetry == "" {
			return errors.New("--telemetry: agents do not send it to a socket; give the address of a server, as http://HOST:PORT")
		}
		if len(query) > 0 && c.Agent == "gemini" {
			return errors.New("--telemetry: Gemini CLI cannot name a trail, so what it sends would be in the trail default; leave it out, or give the address of that trail")
		}
	}
	if o.project != "" {
		query.Set("project", o.project)
	}
	if connect.Posts(c.Agent) && !o.command && o.failClosed == "" {
		c.URL = asked(server.URL("v1", "hooks", c.Agent))
	}
	return err
}
