package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

func newKeyCommand(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Show or change the key that the trail is signed with",
		Long: `A trail is signed with an Ed25519 key. Its verifier key (vkey) is public: who has it can
check the trail. The signing key lies in a file of its own, outside the trail.`,
		GroupID: groupProve,
		Example: `  custody key show
  custody key rotate --by operator --reason "a year has passed"`,
	}
	cmd.AddCommand(newKeyShowCommand(p), newKeyListCommand(p), newKeyRotateCommand(p))
	return cmd
}

func newKeyShowCommand(p *program) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "show [--json]",
		Short: "Show the key in force",
		Long: `Show the verifier key that the trail is signed with now, and the file that its signing
key is looked for in. It is what the trail says of itself; custody verify checks it.`,
		Args:    cobra.NoArgs,
		Example: `  custody key show`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), runKeyList(cmd.Context(), p, asJSON, true))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func newKeyListCommand(p *program) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "list [--json]",
		Short: "List all keys that the trail was signed with",
		Long: `List the keys that the trail was signed with, the first one first: since which entry, who
changed it and why. It is what the trail says of itself; custody verify checks it.`,
		Args:    cobra.NoArgs,
		Example: `  custody key list`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), runKeyList(cmd.Context(), p, asJSON, false))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write NDJSON, one object for each key")
	return cmd
}

// keyJSON is a key of the trail in JSON output.
type keyJSON struct {
	wire.Key
	KeyFile string `json:"key_file"`
	Here    bool   `json:"key_file_exists"`
}

// keyOnServer stands for the file of a key that is on a server.
const keyOnServer = "on the server"

// keysOf returns the keys of the trail, as it says itself, the first one first.
func keysOf(ctx context.Context, p *program, t trail) ([]keyJSON, error) {
	all, err := wire.KeysOf(ctx, t)
	if err != nil {
		return nil, err
	}
	keys := make([]keyJSON, len(all))
	for i, k := range all {
		if p.remote() {
			keys[i] = keyJSON{k, keyOnServer, false}
			continue
		}
		file, err := custody.KeyFile(p.keyDir, k.VKey)
		if err != nil {
			return nil, err
		}
		_, err = os.Stat(file)
		keys[i] = keyJSON{k, file, !errors.Is(err, fs.ErrNotExist)}
	}
	return keys, nil
}

func runKeyList(ctx context.Context, p *program, asJSON, onlyNow bool) (err error) {
	t, err := p.openTrail(ctx)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	keys, err := keysOf(ctx, p, t)
	if err != nil {
		return err
	}
	if onlyNow {
		keys = keys[len(keys)-1:]
	}
	for i := range keys {
		k := &keys[i]
		if asJSON {
			if err := writeJSON(p.out, k); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			p.out.Printf("\n")
		}
		p.showKey(k)
	}
	return nil
}

func (p *program) showKey(k *keyJSON) {
	file := k.KeyFile
	if !k.Here && file != keyOnServer {
		file += "  (not there: writing needs it, reading does not)"
	}
	since := fmt.Sprintf("entry %d, %s", k.From, k.Time)
	if k.By != "" || k.Reason != "" {
		since += "  " + terminal.OneLine(joinWords(k.By, "-", k.Reason))
	}
	state := "replaced"
	if k.InForce {
		state = "in force"
	}
	p.out.Fields(0,
		terminal.Field{Name: "key", Value: p.heading(k.KeyID) + "  " + state},
		terminal.Field{Name: "since", Value: since},
		terminal.Field{Name: "verifier key", Value: terminal.Clean(k.VKey)},
		terminal.Field{Name: "signing key", Value: file})
}

type keyRotateOptions struct {
	by, reason string
	json       bool
}

func newKeyRotateCommand(p *program) *cobra.Command {
	var opts keyRotateOptions
	cmd := &cobra.Command{
		Use:   "rotate --by WHO --reason WHY [--json]",
		Short: "Make the trail go on under a new key",
		Long: `Make a new signing key and let the trail go on under it. The change becomes an entry that
both keys sign, so that whoever has the first verifier key can still check everything.

The file of the new key is written first: from the change on the trail needs it. The
file of the old key stays where it is. Once nothing has to be done with it any more it
may be destroyed; what it signed stays valid.`,
		Args:    cobra.NoArgs,
		Example: `  custody key rotate --by operator --reason "a year has passed"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.by == "" || opts.reason == "" {
				return usageError(cmd, errors.New("say who changes the key and why: --by WHO --reason WHY"))
			}
			return runKeyRotate(cmd.Context(), p, opts)
		},
	}
	annotate(cmd, `  0  the new key is in force
  1  the trail does not check out, so its key was not changed; custody verify says why
  2  the key was not changed`)
	cmd.Flags().StringVar(&opts.by, "by", "", "`WHO` changes the key")
	cmd.Flags().StringVar(&opts.reason, "reason", "", "`WHY` it is changed")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write one JSON object")
	return cmd
}

// stopServer is what to do where the files of a trail are written that a server has open.
const stopServer = "stop the server, and run it on its machine with --trail DATA/trails/NAME --key-dir DATA/keys"

func runKeyRotate(ctx context.Context, p *program, opts keyRotateOptions) (err error) {
	if err := p.needsFiles(stopServer); err != nil {
		return err
	}
	t, err := p.openFiles(&custody.Options{})
	if err != nil {
		return err
	}
	defer closing(t, &err)
	next, file, err := custody.NewKey(p.keyDir, t.Origin())
	if err != nil {
		return err
	}
	receipt, err := t.RotateKey(ctx, next.Key(), opts.by, opts.reason)
	if err != nil {
		return fmt.Errorf("%w; the new key in %s may not be in force: custody key show says which one is", err, file)
	}
	k := keyJSON{wire.Key{KeyID: evidence.KeyID(next.KeyHash()), VKey: next.VerifierKey(), From: receipt.Index + 1, Time: wire.Time(receipt.Time),
		By: opts.by, Reason: opts.reason, InForce: true}, file, true}
	if opts.json {
		return writeJSON(p.out, k)
	}
	p.showKey(&k)
	p.note("Keep a copy of the new signing key in a safe place.")
	return nil
}
