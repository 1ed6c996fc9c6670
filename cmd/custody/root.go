package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newRootCommand returns the command line of the program.
func newRootCommand(p *program) *cobra.Command {
	cobra.EnableCommandSorting = false // theirs is the order below
	root := &cobra.Command{
		Use:   "custody",
		Short: "Keep a tamper-evident audit trail of what AI agents do",
		Long: `Custody records what AI agents ask to do, what is decided, who approves it and
what then happens, in a trail that shows every later change. New here? Run

  custody demo

COMMANDS work on a trail: --trail, or else the environment variable
CUSTODY_TRAIL, or else ./custody-trail. It is a directory, or the address of a
trail on a server, such as https://custody.example.org:8420/trails/payments;
a server that asks for an API token gets it from the file of --token-file, or
else the environment variable CUSTODY_TOKEN.`,
		Example: `  custody init
  custody import claude ~/.claude/projects
  custody query --type action_denied,action_failed --since 7d
  custody verify`,
		Version:           version(),
		Args:              cobra.ArbitraryArgs, // they are misspelt commands
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.SetIn(p.in)
	root.SetFlagErrorFunc(usageError)
	root.PersistentFlags().StringVar(&p.trail, "trail", "", "`DIR` or URL of the trail (default: $CUSTODY_TRAIL, or ./"+defaultTrail+")")
	root.PersistentFlags().StringVar(&p.tokenFile, "token-file", "", "`FILE` with the API token for a server (default: the token in $CUSTODY_TOKEN)")
	root.PersistentFlags().StringVar(&p.keyDir, "key-dir", "", "`DIR` with the signing keys (default: $CUSTODY_KEYS, or custody/keys in the user's configuration directory)")
	root.PersistentFlags().StringVar(&p.redaction, "redaction", "", "`FILE` with the rules of redaction (default: $CUSTODY_REDACTION, or those of the program)")
	root.MarkPersistentFlagFilename("redaction", "yaml", "yml")
	root.MarkPersistentFlagDirname("trail")
	root.MarkPersistentFlagFilename("token-file")
	root.MarkPersistentFlagDirname("key-dir")
	root.AddGroup(
		&cobra.Group{ID: groupWrite, Title: "RECORD"},
		&cobra.Group{ID: groupRead, Title: "LOOK"},
		&cobra.Group{ID: groupProve, Title: "PROVE"},
		&cobra.Group{ID: groupKeep, Title: "KEEP AND FORGET"},
		&cobra.Group{ID: groupOther, Title: "OTHER"},
	)
	root.AddCommand(
		newInitCommand(p),
		newRecordCommand(p),
		newImportCommand(p),
		newConnectCommand(p),
		newDoctorCommand(p),
		newHookCommand(p),
		newStopCommand(p),
		newMCPCommand(p),
		newServeCommand(p),
		newTokenCommand(p),
		newProducerCommand(p),
		newConfigCommand(p),
		newQueryCommand(p),
		newShowCommand(p),
		newTimelineCommand(p),
		newStatsCommand(p),
		newMCPServerCommand(p),
		newExportCommand(p),
		newVerifyCommand(p),
		newReconcileCommand(p),
		newCheckpointCommand(p),
		newProveCommand(p),
		newBundleCommand(p),
		newCheckCommand(p),
		newSampleCommand(p),
		newServeLogCommand(p),
		newCosignCommand(p),
		newTimestampCommand(p),
		newWitnessCommand(p),
		newKeyCommand(p),
		newFindSecretCommand(p),
		newRedactCommand(p),
		newHoldCommand(p),
		newEraseCommand(p),
		newRetentionCommand(p),
		newReanchorCommand(p),
		newDemoCommand(p),
		newBenchCommand(p),
		newVersionCommand(p),
	)
	root.SetHelpCommandGroupID(groupOther)
	root.SetCompletionCommandGroupID(groupOther)
	root.SetUsageTemplate(usageTemplate)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	root.SetVersionTemplate("custody {{.Version}}\n")
	complete(root)
	return root
}

// The groups of commands in the help.
const (
	groupWrite = "write"
	groupRead  = "read"
	groupProve = "prove"
	groupKeep  = "keep"
	groupOther = "other"
)

// exitStatusText is the EXIT STATUS of a command that says nothing else.
const exitStatusText = `  0  it was done
  1  the trail does not check out; custody verify says why
  2  it could not be done`

// exitNote is where a command keeps an EXIT STATUS of its own.
const exitNote = "exit status"

// complete gives every command what the help of each has to end with.
func complete(cmd *cobra.Command) {
	if cmd.Annotations[exitNote] == "" {
		annotate(cmd, exitStatusText)
	}
	switch parent := cmd.Parent(); {
	case cmd.Example != "":
	case cmd.Name() == "help":
		cmd.Example = "  custody help query"
	case cmd.Name() == "completion":
		cmd.Example = "  custody completion bash > /etc/bash_completion.d/custody"
	case parent != nil && parent.Name() == "completion":
		cmd.Example = "  custody completion " + cmd.Name()
	}
	if parent := cmd.Parent(); cmd.Name() == "help" || cmd.Name() == "completion" || parent != nil && parent.Name() == "completion" {
		annotate(cmd, "  0  it was done\n  2  it could not be done")
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		// Without this, cobra takes a misspelt subcommand for a question
		// for help.
		cmd.RunE = needSubcommand
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError(cmd, err)
			}
			return nil
		}
	}
	cmd.Flags().SortFlags = false
	cmd.DisableFlagsInUseLine = true
	cmd.SuggestionsMinimumDistance = 2
	for _, sub := range cmd.Commands() {
		complete(sub)
	}
}

// needSubcommand is what a command does that has only subcommands.
func needSubcommand(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 0:
		err := fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0])
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return withHint(err, "%s %s", cmd.CommandPath(), strings.Join(near, ", or "+cmd.CommandPath()+" "))
		}
		return withHint(err, "it has %s", subcommands(cmd))
	case cmd.HasParent():
		return withHint(fmt.Errorf("%s what? It has %s", cmd.CommandPath(), subcommands(cmd)), "%s --help", cmd.CommandPath())
	}
	return cmd.Help()
}

func subcommands(cmd *cobra.Command) string {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return strings.Join(names, ", ")
}

func annotate(cmd *cobra.Command, exit string) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[exitNote] = exit
}

// usageError makes an error of the command line lead to the help.
func usageError(cmd *cobra.Command, err error) error {
	return withHint(err, "%s --help", cmd.CommandPath())
}

const usageTemplate = `USAGE
{{- if not .HasAvailableSubCommands}}
  {{.UseLine}}{{end}}
{{- if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND
{{- $cmds := .Commands}}
{{- range $group := .Groups}}

{{.Title}}
{{- range $cmds}}{{if (and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help")))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}
{{- if not .Groups}}

COMMANDS
{{- range $cmds}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}
{{- if .HasAvailableLocalFlags}}

FLAGS
{{.LocalFlags.FlagUsagesWrapped 100 | trimTrailingWhitespaces}}{{end}}
{{- if .HasAvailableInheritedFlags}}

GLOBAL FLAGS
{{.InheritedFlags.FlagUsagesWrapped 100 | trimTrailingWhitespaces}}{{end}}

EXIT STATUS
{{index .Annotations "exit status"}}

EXAMPLE
{{.Example}}
`
