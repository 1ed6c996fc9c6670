package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/terminal"
)

type initOptions struct {
	origin string
	json   bool
}

func newInitCommand(p *program) *cobra.Command {
	var opts initOptions
	cmd := &cobra.Command{
		Use:   "init [DIR] [--origin NAME] [--json]",
		Short: "Create a trail and its signing key",
		Long: `Create a trail in a directory, and the key that it is signed with.

The origin names the trail, for ever and unique in the world: a host name that you
control and a path, such as example.org/agents. Without --origin it is made of this
machine's name and the name of the directory.

The signing key is written to a file outside the trail (mode 0600): whoever can
change the trail's files should not find the key beside them. The trail cannot be
continued without it, so keep a copy. The verifier key that is printed is what others
need to check the trail: give it to them now, by a way that you trust.`,
		GroupID: groupWrite,
		Args:    cobra.MaximumNArgs(1),
		Example: `  custody init
  custody init /var/lib/custody/agents --origin example.org/agents`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				p.trail = args[0]
			}
			if p.remote() {
				return interrupted(cmd.Context(), runInitRemote(cmd.Context(), p, opts))
			}
			return runInit(p, opts)
		},
	}
	annotate(cmd, `  0  the trail was created
  2  it was not, for example because one is there already`)
	cmd.Flags().StringVar(&opts.origin, "origin", "", "`NAME` of the trail (default: machine/directory)")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write one JSON object")
	return cmd
}

// initJSON is a new trail in JSON output.
type initJSON struct {
	Dir     string `json:"dir"`
	Origin  string `json:"origin"`
	VKey    string `json:"vkey"`
	KeyFile string `json:"key_file"`
}

func runInit(p *program, opts initOptions) error {
	dir, err := p.trailDir()
	if err != nil {
		return err
	}
	chosen := opts.origin == ""
	if chosen {
		if opts.origin, err = originFor(dir); err != nil {
			return err
		}
	}
	vkey, err := custody.Create(dir, custody.CreateOptions{Origin: opts.origin, KeyDir: p.keyDir})
	if errors.Is(err, fs.ErrExist) {
		return withHint(err, "custody stats%s shows it; custody init DIR creates another one", p.trailFlag())
	} else if err != nil {
		return err
	}
	file, err := custody.KeyFile(p.keyDir, vkey)
	if err != nil {
		return err
	}
	if opts.json {
		return writeJSON(p.out, initJSON{dir, opts.origin, vkey, file})
	}
	p.out.Fields(0,
		terminal.Field{Name: "trail", Value: dir},
		terminal.Field{Name: "origin", Value: opts.origin},
		terminal.Field{Name: "verifier key", Value: vkey},
		terminal.Field{Name: "signing key", Value: file})
	p.out.Flush()
	if chosen {
		p.note("\nThe origin is made of the names of this machine and the directory. It never changes;\nif it should be another one, remove the directory and give --origin NAME.")
	}
	p.note(`
Keep a copy of the signing key in a safe place, and give the verifier key to whoever will
check the trail. Then:

  custody record%[1]s --type session_started --agent agent-1 --session s1
  custody import%[1]s claude ~/.claude/projects
  custody query%[1]s
  custody verify%[1]s`, p.trailFlag())
	return nil
}

// originFor makes the name of a trail from those of the machine and the
// directory.
func originFor(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	name := filepath.Base(abs)
	if name == string(filepath.Separator) {
		name = defaultTrail
	}
	origin := strings.Map(func(r rune) rune {
		if r == '+' || unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar {
			return '-'
		}
		return r
	}, host+"/"+name)
	if len(origin) > 255 {
		return "", withHint(fmt.Errorf("the names of this machine and the directory are too long for an origin (%d bytes, 255 are allowed)", len(origin)), "give one with --origin NAME")
	}
	return origin, nil
}
