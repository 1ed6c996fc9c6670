package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
)

func version() string { return custody.Version() }

func newVersionCommand(p *program) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:     "version [--json]",
		Short:   "Print the version of the program",
		Long:    "Print the version of the program, and what it was built with and for.",
		GroupID: groupOther,
		Args:    cobra.NoArgs,
		Example: "  custody version",
		RunE:    func(*cobra.Command, []string) error { return runVersion(p, asJSON) },
	}
	annotate(cmd, "  0  it was done\n  2  it could not be done")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

// versionJSON is the version in JSON output.
type versionJSON struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func runVersion(p *program, asJSON bool) error {
	if asJSON {
		return writeJSON(p.out, versionJSON{version(), runtime.Version(), runtime.GOOS, runtime.GOARCH})
	}
	p.out.Printf("custody %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
