package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/wire"
)

func newTokenCommand(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Say who may use a server",
		Long: `Create, list and revoke the API tokens of a server, by the file in its data directory: a
server that runs sees the change within a second. Where the trail is on a server (--trail
URL) and --data is not given, that server does it, for whoever has a token that may. What
may be done with a token is up to its roles:

  submitter       append events, and nothing else
  reader          read entries, not what the events say
  payload_reader  read events too
  auditor         read everything, have it verified, take proofs and bundles
  operator        retention, holds, witnesses, erasure, emergency stops
  admin           tokens, configuration, new trails, emergency stops

None of them allows to change an entry.`,
		GroupID: groupOther,
		Example: `  custody token create --name ci-agents --roles submitter --trails default --expires 90d --by operations
  custody token list
  custody token revoke ID --by operations`,
	}
	cmd.AddCommand(newTokenCreateCommand(p), newTokenListCommand(p), newTokenRevokeCommand(p))
	return cmd
}

// defaultData is the data directory of a server where nothing else is said.
const defaultData = "custody-data"

// dataFlag says which server is meant.
type dataFlag struct {
	dir string
	cmd *cobra.Command // that has the flag
}

func (f *dataFlag) add(cmd *cobra.Command) {
	f.cmd = cmd
	cmd.Flags().StringVar(&f.dir, "data", defaultData, "data `DIR` of the server")
	cmd.MarkFlagDirname("data")
}

func (f *dataFlag) file() string { return filepath.Join(f.dir, auth.TokensFile) }

// given reports whether the flag was given.
func (f *dataFlag) given() bool { return f.cmd.Flags().Changed("data") }

// open opens the tokens of the server.
func (f *dataFlag) open() (*auth.Tokens, error) { return auth.OpenTokens(vfs.OS{}, f.file()) }

// tokenHint adds to an error what to try next.
func tokenHint(cmd *cobra.Command, err error) error {
	switch _, locked := errors.AsType[*vfs.LockedError](err); {
	case locked:
		return withHint(err, "another process is changing the tokens; run it again")
	case errors.Is(err, auth.ErrNoToken):
		return withHint(err, "custody token list shows those that there are; --data names the directory of another server")
	case errors.Is(err, auth.ErrTokenSpec):
		return usageError(cmd, err)
	}
	return err
}

type tokenCreateOptions struct {
	data    dataFlag
	spec    auth.TokenSpec
	roles   []string
	expires string
	json    bool
}

func newTokenCreateCommand(p *program) *cobra.Command {
	var opts tokenCreateOptions
	cmd := &cobra.Command{
		Use:   "create --name NAME --roles ROLE,… --by WHO [--trails …] [--agents …] [--expires WHEN]",
		Short: "Create a token",
		Long: `Create a token and print it. It is printed this once: only its hash is stored. Whoever has
it may do what its roles say, until it expires or is revoked.

A token with --trails is good for these trails only. One with --agents may record events
only as these agents, so that one agent cannot pass for another.`,
		Args: cobra.NoArgs,
		Example: `  custody token create --name ci-agents --roles submitter --agents a1 --expires 90d --by operations
  custody token create --name ci-agents --roles submitter --by operations > token`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := opts.complete(p, time.Now())
			if err != nil {
				return usageError(cmd, err)
			}
			return tokenHint(cmd, runTokenCreate(cmd.Context(), p, &opts))
		},
	}
	opts.data.add(cmd)
	cmd.Flags().StringVar(&opts.spec.Name, "name", "", "`NAME` of who uses it; events name it token:NAME")
	cmd.Flags().StringSliceVar(&opts.roles, "roles", nil, "what it is for: `ROLE,…`")
	cmd.Flags().StringSliceVar(&opts.spec.Trails, "trails", nil, "`NAME,…` of the trails that it is good for (default: all)")
	cmd.Flags().StringSliceVar(&opts.spec.Agents, "agents", nil, "`ID,…` of the agents whose events it may record (default: any)")
	cmd.Flags().StringVar(&opts.expires, "expires", "", "`WHEN` it expires: after 12h or 90d, or at a time such as 2027-01-01 (default: never)")
	cmd.Flags().StringVar(&opts.spec.CreatedBy, "by", "", "`WHO` creates it; kept with it")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write one JSON object")
	return cmd
}

// complete puts into the specification what the other flags say.
func (o *tokenCreateOptions) complete(p *program, now time.Time) (err error) {
	if err := p.knownBy(o.spec.CreatedBy, p.asksServer(&o.data)); err != nil || o.spec.Name == "" || len(o.roles) == 0 {
		return errors.New("say who uses it, what for, and who creates it: --name NAME --roles ROLE,… --by WHO")
	}
	for _, name := range o.roles {
		role, err := auth.ParseRole(name)
		if err != nil {
			return err
		}
		o.spec.Roles = append(o.spec.Roles, role)
	}
	if o.spec.Expires, err = parseExpiry(o.expires, now); err != nil {
		return fmt.Errorf("--expires: %w", err)
	}
	return nil
}

// parseExpiry reads how long something is good, or until when. Empty means the zero
// time: for ever.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, ok := parseAgo(s); ok {
		return now.Add(d), nil
	}
	t, err := parseTime(s, now)
	if err != nil {
		return t, fmt.Errorf("%q is neither a time, such as 2027-01-01 or 2027-01-01T12:00:00Z, nor how long from now on (90s, 30m, 12h, 90d, 2w)", s)
	}
	return t, nil
}

func runTokenCreate(ctx context.Context, p *program, opts *tokenCreateOptions) error {
	tokens, err := p.tokens(ctx, &opts.data)
	if err != nil {
		return err
	}
	token, info, err := tokens.Create(opts.spec)
	if err != nil {
		return err
	}
	if opts.json {
		created := wire.TokenOf(&info, time.Now())
		created.Token = token
		return writeJSON(p.out, created)
	}
	p.out.Printf("%s\n", token)
	if err := p.out.Flush(); err != nil {
		return fmt.Errorf("the token %s was created, but it could not be printed; revoke it: %w", info.ID, err)
	}
	until := "it never expires"
	if !info.Expires.IsZero() {
		until = "it expires " + terminal.Time(info.Expires)
	}
	p.note("created the token %s of %s in %s; %s", info.ID, terminal.OneLine(info.Name), opts.data.file(), until)
	p.note("Keep it in a safe place. It is not stored and cannot be shown again.")
	return nil
}

func newTokenListCommand(p *program) *cobra.Command {
	var data dataFlag
	asJSON := false
	cmd := &cobra.Command{
		Use:   "list [--data DIR] [--json]",
		Short: "List the tokens",
		Long: `List the tokens, the oldest first, with those that are good no more. The tokens themselves
are not stored, so they are not shown.`,
		Args:    cobra.NoArgs,
		Example: `  custody token list`,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runTokenList(cmd.Context(), p, &data, asJSON) },
	}
	data.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write NDJSON, one object for each token")
	return cmd
}

func runTokenList(ctx context.Context, p *program, data *dataFlag, asJSON bool) error {
	tokens, err := p.tokens(ctx, data)
	if err != nil {
		return err
	}
	list, err := tokens.List()
	if err != nil {
		return err
	}
	if len(list) == 0 && !asJSON {
		p.note("there are no tokens in %s", data.file())
		return nil
	}
	now := time.Now()
	if asJSON {
		for i := range list {
			if err := writeJSON(p.out, wire.TokenOf(&list[i], now)); err != nil {
				return err
			}
		}
		return nil
	}
	table := p.out.NewTable(terminal.Column{Title: "ID"}, terminal.Column{Title: "NAME"}, terminal.Column{Title: "STATE"}, terminal.Column{Title: "LAST USED"},
		terminal.Column{Title: "ROLES"}, terminal.Column{Title: "TRAILS"}, terminal.Column{Title: "AGENTS"})
	for i := range list {
		t := &list[i]
		used := "never"
		if !t.LastUsed.IsZero() {
			used = terminal.Time(t.LastUsed)
		}
		row(table, t.ID, t.Name, describeState(t, now), used, joinRoles(t.Roles), orAll(t.Trails), orAll(t.Agents))
	}
	return table.Flush()
}

func newTokenRevokeCommand(p *program) *cobra.Command {
	var data dataFlag
	by := ""
	cmd := &cobra.Command{
		Use:     "revoke ID --by WHO [--data DIR]",
		Short:   "Make a token good no more",
		Long:    `Revoke a token: from now on it is refused. It stays in the list.`,
		Args:    cobra.ExactArgs(1),
		Example: `  custody token revoke 3f9a1c2e --by operations`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.knownBy(by, p.asksServer(&data)); err != nil {
				return usageError(cmd, errors.New("say who revokes it: --by WHO"))
			}
			return tokenHint(cmd, runTokenRevoke(cmd.Context(), p, &data, args[0], by))
		},
	}
	data.add(cmd)
	cmd.Flags().StringVar(&by, "by", "", "`WHO` revokes it; kept with it")
	return cmd
}

func runTokenRevoke(ctx context.Context, p *program, data *dataFlag, id, by string) error {
	tokens, err := p.tokens(ctx, data)
	if err != nil {
		return err
	}
	info, err := tokens.Revoke(id, by)
	if err != nil {
		return err
	}
	p.note("the token %s of %s was revoked %s by %s", info.ID, terminal.OneLine(info.Name), terminal.Time(info.Revoked), terminal.OneLine(info.RevokedBy))
	return nil
}

// describeState says whether a token is good, and until when.
func describeState(t *auth.TokenInfo, now time.Time) string {
	switch state := wire.TokenState(t, now); {
	case state == "revoked":
		return "revoked " + terminal.Time(t.Revoked)
	case state == "expired":
		return "expired " + terminal.Time(t.Expires)
	case !t.Expires.IsZero():
		return "good until " + terminal.Time(t.Expires)
	}
	return "good"
}

func joinRoles(roles []auth.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

func orAll(names []string) string {
	if len(names) == 0 {
		return "all"
	}
	return strings.Join(names, ", ")
}
