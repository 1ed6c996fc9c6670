package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/evidence/bundle"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
)

type checkOptions struct {
	trust trustFlags
	roots string
	from  uint64
	since string
	json  bool
}

func newCheckCommand(p *program) *cobra.Command {
	var opts checkOptions
	cmd := &cobra.Command{
		Use:   "check FILE|DIR|URL --policy FILE | --key VKEY [--json]",
		Short: "Check a proof, a receipt, a bundle or a published log",
		Long: `Check what somebody gives as evidence, without the trail and, but for a URL, without a
network:

  a proof that an entry is in a trail (custody prove), which is what a producer gets as a
  receipt (custody record --receipts), or one line of an export
  a proof that a checkpoint continues an earlier one (custody prove --from)
  an evidence bundle (custody bundle)
  a published log, all of it: a directory (custody export tiles) or a URL (custody serve-log)

Whom to believe is yours to say: --policy names the log's key, the witnesses and how many
of them have to have cosigned (C2SP tlog-policy); --key only the log's key.`,
		GroupID: groupProve,
		Args:    cobra.ExactArgs(1),
		Example: `  custody check entry-41.tlog-proof --key "$(cat vkey.txt)"
  custody check since-monday.txt --policy policy.txt
  custody check https://log.example.org/agents --policy policy.txt --since monday.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return interrupted(cmd.Context(), runCheck(cmd.Context(), p, opts, args[0]))
		},
	}
	annotate(cmd, `  0  it checks out
  1  it does not; what is wrong is on standard output
  2  it could not be read, or it is not said whom to believe`)
	opts.trust.add(cmd)
	cmd.Flags().StringVar(&opts.roots, "tsa-roots", "", "`FILE` with root certificates (PEM) of authorities whose time-stamps count")
	cmd.MarkFlagFilename("tsa-roots", "pem")
	cmd.Flags().Uint64Var(&opts.from, "from", 0, "of a log, only entries from this `INDEX` on: what is before it is not expected to be there")
	cmd.Flags().StringVar(&opts.since, "since", "", "of a log, it has to continue the checkpoint in `FILE`")
	cmd.MarkFlagFilename("since")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write one JSON object")
	return cmd
}

func runCheck(ctx context.Context, p *program, opts checkOptions, name string) error {
	policy, err := opts.trust.read()
	if err != nil {
		return err
	}
	if info, err := os.Stat(name); isURL(name) || err == nil && info.IsDir() {
		return p.checkLog(ctx, opts, policy, name)
	}
	b, err := readBounded(name, max(evidence.MaxProofSize, bundle.MaxSize))
	if err != nil {
		return err
	}
	if bytes.HasPrefix(b, []byte("PK\x03\x04")) {
		return p.checkBundle(opts, policy, name)
	}
	header, _, _ := bytes.Cut(b, []byte("\n"))
	if strings.Contains(string(header), "consistency") {
		return p.checkConsistency(opts, policy, name, b)
	}
	return p.checkProof(opts, policy, name, b)
}

// readBounded reads a file of at most limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s: it has %s, more than the %s of any proof", name, terminal.Bytes(info.Size()), terminal.Bytes(limit))
	}
	return os.ReadFile(name)
}

// refusedJSON is evidence that does not check out, in JSON output.
type refusedJSON struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

// refuse says that evidence does not check out.
func (p *program) refuse(opts checkOptions, name string, why error) error {
	if opts.json {
		return errors.Join(errFindings, writeJSON(p.out, refusedJSON{false, why.Error()}))
	}
	p.out.Printf("%s  %s: %s\n", p.out.Paint(terminal.Alarm, "NOT OK"), name, terminal.Clean(why.Error()))
	return errFindings
}

// checkedProofJSON is a proof that checks out, in JSON output.
type checkedProofJSON struct {
	OK        bool            `json:"ok"`
	Origin    string          `json:"origin"`
	Index     uint64          `json:"index"`
	Time      string          `json:"time"`
	Hash      string          `json:"hash"`
	Type      string          `json:"type"`
	Size      uint64          `json:"size"`
	Root      string          `json:"root"`
	Witnesses []cosignedJSON  `json:"witnesses"`
	Event     json.RawMessage `json:"event"`
}

// cosignedJSON is a witness that cosigned, in JSON output.
type cosignedJSON struct {
	Name string `json:"name"`
	Time string `json:"time"`
}

func cosignedToJSON(cosigned []evidence.Cosignature) []cosignedJSON {
	j := make([]cosignedJSON, len(cosigned))
	for i, w := range cosigned {
		j[i] = cosignedJSON{w.Name, wire.Time(w.Time)}
	}
	return j
}

func (p *program) checkProof(opts checkOptions, policy *evidence.Policy, name string, b []byte) error {
	proof, err := evidence.ParseProof(b)
	if err != nil {
		return p.refuse(opts, name, err)
	}
	c, err := proof.Check(policy)
	if err != nil {
		return p.refuse(opts, name, err)
	}
	if opts.json {
		j := checkedProofJSON{OK: true, Origin: c.Checkpoint.Origin, Index: c.Entry.Index, Time: wire.Time(c.Entry.Time), Hash: c.Hash.String(), Type: c.Entry.Type,
			Size: c.Checkpoint.Size, Root: c.Checkpoint.Root.String(), Witnesses: cosignedToJSON(c.Cosigned), Event: json.RawMessage("null")}
		if c.Disclosed.Payload != nil {
			j.Event = c.Disclosed.Payload
		}
		return writeJSON(p.out, j)
	}
	p.out.Fields(0,
		terminal.Field{Name: "trail", Value: terminal.Clean(c.Checkpoint.Origin)},
		terminal.Field{Name: "entry", Value: fmt.Sprintf("%d of %s", c.Entry.Index, terminal.Count(c.Checkpoint.Size))},
		terminal.Field{Name: "type", Value: terminal.Clean(c.Entry.Type)},
		terminal.Field{Name: "recorded", Value: terminal.Time(c.Entry.Time)},
		terminal.Field{Name: "hash", Value: c.Hash.String()},
		terminal.Field{Name: "witnesses", Value: witnessLines(&c.Opened)})
	if c.Disclosed.Payload == nil {
		p.out.Printf("\n%s  the trail holds this entry; what happened is not disclosed\n", p.out.Paint(terminal.Green, "OK"))
		return nil
	}
	p.out.Fields(0, terminal.Field{Name: "event", Value: terminal.Clean(string(c.Disclosed.Payload))})
	p.out.Printf("\n%s  the trail holds this event\n", p.out.Paint(terminal.Green, "OK"))
	return nil
}

// witnessLines says who cosigned a checkpoint.
func witnessLines(o *evidence.Opened) string {
	if len(o.Cosigned) == 0 {
		return "none: whoever holds the signing key could have written another history"
	}
	lines := make([]string, len(o.Cosigned))
	for i, w := range o.Cosigned {
		lines[i] = fmt.Sprintf("%s at %s", terminal.Clean(w.Name), terminal.Time(w.Time))
	}
	return strings.Join(lines, "\n")
}

// checkedConsistencyJSON is a consistency proof that checks out, in JSON output.
type checkedConsistencyJSON struct {
	OK     bool   `json:"ok"`
	Origin string `json:"origin"`
	From   uint64 `json:"from"`
	To     uint64 `json:"to"`
	Root   string `json:"root"`
}

func (p *program) checkConsistency(opts checkOptions, policy *evidence.Policy, name string, b []byte) error {
	proof, err := evidence.ParseConsistencyProof(b)
	if err != nil {
		return p.refuse(opts, name, err)
	}
	old, latest, err := proof.Check(policy)
	if err != nil {
		return p.refuse(opts, name, err)
	}
	a, c := &old.Checkpoint, &latest.Checkpoint
	if opts.json {
		return writeJSON(p.out, checkedConsistencyJSON{true, c.Origin, a.Size, c.Size, c.Root.String()})
	}
	p.out.Fields(0,
		terminal.Field{Name: "trail", Value: terminal.Clean(c.Origin)},
		terminal.Field{Name: "witnesses", Value: witnessLines(latest)})
	p.out.Printf("\n%s  the %s of the earlier checkpoint are the beginning of the later one, of %s\n", p.out.Paint(terminal.Green, "OK"), terminal.Plural(a.Size, "entry", "entries"), terminal.Count(c.Size))
	return nil
}
