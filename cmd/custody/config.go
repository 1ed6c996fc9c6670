package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody/internal/config"
	"github.com/custodylog/custody/internal/terminal"
)

func newConfigCommand(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check how a server is set up",
		Long: `Check how custody serve is set up: by a YAML file (--config, or the environment variable
CUSTODY_CONFIG), and by environment variables, which win: the setting tls.key of the file
is CUSTODY_TLS_KEY.`,
		GroupID: groupOther,
		Example: `  custody config check --config custody.yaml`,
	}
	cmd.AddCommand(newConfigCheckCommand(p))
	return cmd
}

func newConfigCheckCommand(p *program) *cobra.Command {
	file, asJSON := "", false
	cmd := &cobra.Command{
		Use:   "check [--config FILE] [--json]",
		Short: "Show every setting, its value, and where it is from, or what is wrong with it",
		Long: `Read the configuration as custody serve does, and show every setting with its value and
where it is from: the file, the environment or the program. What cannot be used is an error
that names the file with the line, or the variable, and the setting.

The files that it names are read too, so run it as the user that the server runs as.
Nothing is written, and no other machine is asked.`,
		Args:    cobra.NoArgs,
		Example: `  CUSTODY_LISTEN=127.0.0.1:9000 custody config check`,
		RunE: func(*cobra.Command, []string) error {
			cfg, settings, err := config.Load(configFile(file), os.Environ(), nil)
			if err == nil {
				err = checkFiles(cfg)
			}
			if err != nil {
				return err
			}
			for _, s := range settings {
				if asJSON {
					if err := writeJSON(p.out, settingJSON{s.Name, s.Value, s.From}); err != nil {
						return err
					}
				}
			}
			if !asJSON {
				p.showSettings(settings)
			}
			return nil
		},
	}
	annotate(cmd, "  0  it can be used\n  2  it cannot")
	addConfigFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write NDJSON")
	return cmd
}

func addConfigFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "", "`FILE` with the configuration, in YAML (default: $CUSTODY_CONFIG, or none)")
	cmd.MarkFlagFilename("config", "yaml", "yml")
}

// configFile returns the file to read; empty: none.
func configFile(flag string) string {
	if flag == "" {
		return os.Getenv("CUSTODY_CONFIG")
	}
	return flag
}

// settingJSON is one setting, in JSON output.
type settingJSON struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"`
}

func (p *program) showSettings(settings []config.Setting) {
	table := p.out.NewTable(terminal.Column{Title: "SETTING"}, terminal.Column{Title: "VALUE"}, terminal.Column{Title: "FROM"})
	for _, s := range settings {
		table.Row(terminal.Cell{Text: s.Name}, terminal.Cell{Text: terminal.Clean(s.Value)}, terminal.Cell{Text: terminal.Clean(s.From)})
	}
	table.Flush()
}
