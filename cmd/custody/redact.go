package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/redaction"
)

// envRedaction names the file with the rules of redaction.
const envRedaction = "CUSTODY_REDACTION"

// redactor returns the redactor of the rules in force: --redaction, or else the
// environment, or else those of the program.
func (p *program) redactor() (redaction.Redactor, error) {
	name := p.redaction
	if name == "" {
		name = os.Getenv(envRedaction)
	}
	if name == "" {
		return redaction.Default(), nil
	}
	return readRedactor(name)
}

// readRedactor returns the redactor of the rules in a file.
func readRedactor(name string) (redaction.Redactor, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	rules, err := redaction.ParseRules(name, text)
	if err != nil {
		return nil, err
	}
	r, err := redaction.New(rules)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

func newRedactCommand(p *program) *cobra.Command {
	explain, asJSON := false, false
	cmd := &cobra.Command{
		Use:   "redact [--explain [--json]]",
		Short: "Show what redaction does to an event",
		Long: `Read an event in JSON from standard input and write it as it would be recorded, without
its secrets. With --explain, write what would be redacted and why instead, and what
stays although its name says secret. The secrets themselves are not shown. Nothing is
recorded.

The rules are those of --redaction, or else of the file that CUSTODY_REDACTION names, or
else those of the program (docs/redaction.md).`,
		GroupID: groupOther,
		Args:    cobra.NoArgs,
		Example: `  custody redact --explain < event.json`,
		RunE: func(*cobra.Command, []string) error {
			return runRedact(p, explain, asJSON)
		},
	}
	annotate(cmd, "  0  it was done\n  2  it could not be done")
	cmd.Flags().BoolVar(&explain, "explain", false, "say what would be redacted, and why")
	cmd.Flags().BoolVar(&asJSON, "json", false, "with --explain, write one JSON object for each")
	return cmd
}

// explanationJSON is one explanation in JSON output.
type explanationJSON struct {
	Pointer string `json:"pointer"`
	Rule    string `json:"rule"`
	Method  string `json:"method"`
	Start   int    `json:"start"`
	End     int    `json:"end"`
	Reason  string `json:"reason"`
}

func runRedact(p *program, explain, asJSON bool) error {
	text, err := io.ReadAll(io.LimitReader(p.in, maxLine+1))
	if err != nil {
		return err
	}
	if len(text) > maxLine {
		return fmt.Errorf("the event has more than %s", terminal.Bytes(maxLine))
	}
	e, notes, err := event.Decode(bytes.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	e.Defects = append(e.Defects, notes...)
	r, err := p.redactor()
	if err != nil {
		return err
	}
	if !explain {
		redacted := r.Redact(e)
		payload, err := redacted.AppendPayload(nil)
		if err != nil {
			return err
		}
		p.out.Printf("%s\n", payload)
		return nil
	}
	all, err := redaction.Explain(r, e)
	if err != nil {
		return err
	}
	if d, ok := r.(redaction.Described); ok && d.Description().IncludeSensitive {
		p.warn("redaction is turned off for some events by include_sensitive; this is what it would do")
	}
	if asJSON {
		for _, x := range all {
			if err := writeJSON(p.out, explanationJSON{x.Pointer, x.Rule, string(x.Method), x.Start, x.End, x.Reason}); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		p.note("nothing would be redacted")
		return nil
	}
	table := p.out.NewTable(terminal.Column{Title: "WHERE"}, terminal.Column{Title: "METHOD"}, terminal.Column{Title: "RULE"}, terminal.Column{Title: "WHY"})
	for _, x := range all {
		method := string(x.Method)
		if method == "" {
			method = "stays"
		}
		table.Row(terminal.Cell{Text: x.Pointer}, terminal.Cell{Text: method}, terminal.Cell{Text: x.Rule}, terminal.Cell{Text: x.Reason})
	}
	return table.Flush()
}

func newFindSecretCommand(p *program) *cobra.Command {
	keyFile, asJSON := "", false
	cmd := &cobra.Command{
		Use:   "find-secret --hmac-key FILE [--json]",
		Short: "Find where a secret was redacted",
		Long: `Read a secret from standard input and print the entries in which it was replaced by its
keyed hash (method hmac, docs/redaction.md): those recorded under the key in FILE. The
secret is everything up to the first line break. It is neither shown nor recorded. Every
entry is read.`,
		GroupID: groupRead,
		Args:    cobra.NoArgs,
		Example: `  custody find-secret --hmac-key redaction.key < leaked.txt`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if keyFile == "" {
				return usageError(cmd, errors.New("say with which key: --hmac-key FILE"))
			}
			return interrupted(cmd.Context(), runFindSecret(cmd.Context(), p, keyFile, asJSON))
		},
	}
	cmd.Flags().StringVar(&keyFile, "hmac-key", "", "`FILE` with the key, as hmac_key_file in the rules names it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write NDJSON, as custody query does")
	cmd.MarkFlagFilename("hmac-key")
	return cmd
}

// maxSecret bounds the secret that is looked for, in bytes.
const maxSecret = 1 << 20

func runFindSecret(ctx context.Context, p *program, keyFile string, asJSON bool) (err error) {
	key, err := redaction.ReadHMACKey(keyFile)
	if err != nil {
		return err
	}
	secret, err := bufio.NewReader(io.LimitReader(p.in, maxSecret)).ReadBytes('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if secret = bytes.TrimRight(secret, "\r\n"); len(secret) == 0 {
		return errors.New("standard input: there is no secret in it")
	}
	token := []byte(redaction.HMACToken(key, string(secret)))
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	w := newEntryWriter(p, asJSON)
	found := 0
	for e, err := range t.Entries(ctx, custody.Query{}) {
		if err != nil {
			w.flush()
			return err
		}
		if bytes.Contains(e.Payload, token) {
			if err := w.write(&e); err != nil {
				return err
			}
			found++
		}
	}
	if found == 0 {
		p.note("none of %s in %s has it under this key", terminal.Plural(t.Size(), "entry", "entries"), placeOf(t))
		return nil
	}
	return w.flush()
}
