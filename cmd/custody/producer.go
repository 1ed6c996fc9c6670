package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/producers"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/wire"
)

func newProducerCommand(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "producer",
		Short: "Say which keys producers sign their events with",
		Long: `Make keys for producers, enroll, list and revoke them at a server, by the file in its data
directory, and check what they signed. A server that runs sees the change within a second
and records it in the trail system (docs/producers.md).

Who enrolled a key has to know whose it is: the server takes what it signs for the word of
the producer that the key names.`,
		GroupID: groupOther,
		Example: `  custody producer generate agent-7.example.com --out agent-7.key
  custody producer enroll VKEY --agents agent-7 --must-sign --by operations
  custody producer check`,
	}
	cmd.AddCommand(newProducerGenerateCommand(p), newProducerEnrollCommand(p), newProducerListCommand(p), newProducerRevokeCommand(p), newProducerCheckCommand(p))
	return cmd
}

// openKeys opens the keys that producers sign with.
func (f *dataFlag) openKeys() (*producers.Keys, error) {
	return producers.OpenKeys(vfs.OS{}, filepath.Join(f.dir, producers.KeysFile))
}

// producerHint adds to an error what to try next.
func producerHint(cmd *cobra.Command, err error) error {
	switch _, locked := errors.AsType[*vfs.LockedError](err); {
	case locked:
		return withHint(err, "another process is changing the keys; run it again")
	case errors.Is(err, producers.ErrNoKey), errors.Is(err, producers.ErrEnrolled):
		return withHint(err, "custody producer list shows those that there are; --data names the directory of another server")
	case errors.Is(err, producers.ErrKeySpec):
		return usageError(cmd, err)
	}
	return err
}

func newProducerGenerateCommand(p *program) *cobra.Command {
	out := ""
	cmd := &cobra.Command{
		Use:   "generate NAME --out FILE",
		Short: "Make a key for a producer",
		Long: `Make an Ed25519 key for the producer of that name, write the signing key to a file that only
you can read, and print the verifier key, which is what is enrolled. The signing key belongs
to the producer alone: make it where the producer runs.`,
		Args:    cobra.ExactArgs(1),
		Example: `  custody producer generate agent-7.example.com --out agent-7.key`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usageError(cmd, errors.New("say where the signing key goes: --out FILE"))
			}
			skey, vkey, err := evidence.GenerateKey(args[0])
			if err != nil {
				return err
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			_, err = f.WriteString(skey + "\n")
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				return err
			}
			p.out.Printf("%s\n", vkey)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`FILE` for the signing key; it must not be there yet")
	cmd.MarkFlagFilename("out")
	return cmd
}

func newProducerEnrollCommand(p *program) *cobra.Command {
	var data dataFlag
	var spec producers.Key
	cmd := &cobra.Command{
		Use:   "enroll VKEY --by WHO [--principals …] [--agents …] [--must-sign]",
		Short: "Make the key of a producer known",
		Long: `Make the key of a producer known to a server, by its verifier key, whose name is that of the
producer. A producer may have several keys, such as one that is about to be replaced; what
its newest one says holds for the producer.

With --agents it acts for these agents only, and nobody else signs for them. With
--principals only these may send what it signs. With --must-sign unsigned events of these
agents, and from these principals, are refused.`,
		Args:    cobra.ExactArgs(1),
		Example: `  custody producer enroll "$(cat agent-7.vkey)" --agents agent-7 --must-sign --by operations`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if spec.EnrolledBy == "" {
				return usageError(cmd, errors.New("say who enrolls it: --by WHO"))
			}
			keys, err := data.openKeys()
			if err != nil {
				return err
			}
			spec.VKey = args[0]
			k, err := keys.Enroll(spec)
			if err != nil {
				return producerHint(cmd, err)
			}
			p.note("enrolled the key %s of %s in %s", k.ID, terminal.OneLine(k.Producer()), filepath.Join(data.dir, producers.KeysFile))
			return nil
		},
	}
	data.add(cmd)
	cmd.Flags().StringSliceVar(&spec.Principals, "principals", nil, "`NAME,…` of who may send what it signs, such as token:ci-agents (default: anybody)")
	cmd.Flags().StringSliceVar(&spec.Agents, "agents", nil, "`ID,…` of the agents that it acts for (default: any)")
	cmd.Flags().BoolVar(&spec.MustSign, "must-sign", false, "refuse unsigned events of these agents and principals")
	cmd.Flags().StringVar(&spec.EnrolledBy, "by", "", "`WHO` enrolls it; kept with it")
	return cmd
}

func newProducerListCommand(p *program) *cobra.Command {
	var data dataFlag
	asJSON := false
	cmd := &cobra.Command{
		Use:     "list [--data DIR] [--json]",
		Short:   "List the keys of producers",
		Long:    `List the keys of producers, the oldest first, with those that were revoked.`,
		Args:    cobra.NoArgs,
		Example: `  custody producer list`,
		RunE: func(*cobra.Command, []string) error {
			keys, err := data.openKeys()
			if err != nil {
				return err
			}
			list, err := keys.List()
			if err != nil {
				return err
			}
			return p.showProducers(list, asJSON)
		},
	}
	data.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write NDJSON, one object for each key")
	return cmd
}

func (p *program) showProducers(list []producers.Key, asJSON bool) error {
	if asJSON {
		for i := range list {
			if err := writeJSON(p.out, producerToJSON(&list[i])); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		p.note("no producer has a key here")
		return nil
	}
	table := p.out.NewTable(terminal.Column{Title: "KEY"}, terminal.Column{Title: "PRODUCER"}, terminal.Column{Title: "STATE"},
		terminal.Column{Title: "MUST SIGN"}, terminal.Column{Title: "AGENTS"}, terminal.Column{Title: "PRINCIPALS"})
	for i := range list {
		k := &list[i]
		state, must := "good", "no"
		if !k.Revoked.IsZero() {
			state = "revoked " + terminal.Time(k.Revoked)
		}
		if k.MustSign {
			must = "yes"
		}
		row(table, k.ID, k.Producer(), state, must, orAll(k.Agents), orAll(k.Principals))
	}
	return table.Flush()
}

func newProducerRevokeCommand(p *program) *cobra.Command {
	var data dataFlag
	by, reason := "", ""
	cmd := &cobra.Command{
		Use:   "revoke KEY --by WHO [--reason WHY] [--data DIR]",
		Short: "Take no more events that a key signed",
		Long: `Revoke the key with that id, of eight hex digits: from now on what it signs is refused. It
stays in the list. What it signed before can still be checked. A producer that has to sign
has to sign with another key.`,
		Args:    cobra.ExactArgs(1),
		Example: `  custody producer revoke 54016b3e --by operations --reason 'the machine was replaced'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if by == "" {
				return usageError(cmd, errors.New("say who revokes it: --by WHO"))
			}
			keys, err := data.openKeys()
			if err != nil {
				return err
			}
			k, err := keys.Revoke(args[0], by, reason)
			if err != nil {
				return producerHint(cmd, err)
			}
			p.note("the key %s of %s was revoked %s by %s", k.ID, terminal.OneLine(k.Producer()), terminal.Time(k.Revoked), terminal.OneLine(k.RevokedBy))
			return nil
		},
	}
	data.add(cmd)
	cmd.Flags().StringVar(&by, "by", "", "`WHO` revokes it; kept with it")
	cmd.Flags().StringVar(&reason, "reason", "", "`WHY`; it stays in the trail system")
	return cmd
}

type producerCheckOptions struct {
	keys []string
	json bool
}

func newProducerCheckCommand(p *program) *cobra.Command {
	var opts producerCheckOptions
	cmd := &cobra.Command{
		Use:   "check [--key VKEY]... [--json]",
		Short: "Check what producers signed in a trail",
		Long: `Check the signature of every event of the trail that has one. The keys are those of the
server whose trail it is (--trail DIR/trails/NAME), and those given with --key. Revoked keys
count too: what they signed before was taken while they were good.

Of an event that was redacted or changed otherwise before it was recorded, the signature
shows that the producer signed some event, and nothing of what stands here: only who kept
the event as it was sent can show that. A signature that two entries have was used again.`,
		Args: cobra.NoArgs,
		Example: `  custody producer check --trail custody-data/trails/default
  custody producer check --key "$(cat agent-7.vkey)"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), runProducerCheck(cmd.Context(), p, opts))
		},
	}
	annotate(cmd, `  0  every signature checks out
  1  one does not, or its key is not known; it is on standard output
  2  they could not be checked, or not to the end`)
	cmd.Flags().StringArrayVar(&opts.keys, "key", nil, "`VKEY` of a producer; repeatable")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write one JSON object")
	return cmd
}

// signaturesJSON is what producer check --json writes.
type signaturesJSON struct {
	OK       bool               `json:"ok"`
	Entries  uint64             `json:"entries"`
	Unsigned uint64             `json:"unsigned"`
	Keys     []signedByJSON     `json:"keys"`
	Findings []badSignatureJSON `json:"findings"`
}

type signedByJSON struct {
	KeyID    string `json:"key_id"`
	Producer string `json:"producer"`
	Intact   uint64 `json:"intact"`
	Changed  uint64 `json:"changed"`
}

type badSignatureJSON struct {
	Index  uint64 `json:"index"`
	Detail string `json:"detail"`
}

func runProducerCheck(ctx context.Context, p *program, opts producerCheckOptions) (err error) {
	t, err := p.openForReading()
	if err != nil {
		return err
	}
	defer closing(t, &err)
	known, err := knownProducers(t.Dir())
	if err != nil {
		return err
	}
	verifiers := make([]note.Verifier, 0, len(known)+len(opts.keys))
	for _, vkey := range slices.Concat(vkeysOf(known), opts.keys) {
		v, err := evidence.ParseVerifier(vkey)
		if err != nil {
			return withHint(fmt.Errorf("--key: %w", err), "custody producer generate and custody producer list show them")
		}
		verifiers = append(verifiers, v)
	}
	result, err := checkSignatures(ctx, t, verifiers)
	if err != nil {
		return err
	}
	if opts.json {
		err = writeJSON(p.out, result)
	} else {
		p.showSignatures(result)
	}
	if err == nil && !result.OK {
		err = errFindings
	}
	return err
}

// checkSignatures checks every signature in a trail.
func checkSignatures(ctx context.Context, t *custody.Trail, keys []note.Verifier) (*signaturesJSON, error) {
	r := &signaturesJSON{Keys: []signedByJSON{}, Findings: []badSignatureJSON{}}
	first := map[[sha256.Size]byte]uint64{} // entry with a commitment
	for e, err := range t.Entries(ctx, custody.Query{}) {
		if err != nil {
			return nil, err
		}
		r.Entries++
		if e.Payload == nil {
			continue
		}
		c, err := event.CheckSignature(e.Payload, keys...)
		switch {
		case errors.Is(err, event.ErrNotSigned):
			r.Unsigned++
			continue
		case err != nil:
			r.Findings = append(r.Findings, badSignatureJSON{e.Index, err.Error()})
			continue
		}
		if at, used := first[c.Commitment]; used {
			r.Findings = append(r.Findings, badSignatureJSON{e.Index, fmt.Sprintf("it has the signature of entry %d: somebody used that again", at)})
			continue
		}
		first[c.Commitment] = e.Index
		id := evidence.KeyID(c.Key.KeyHash())
		i := slices.IndexFunc(r.Keys, func(s signedByJSON) bool { return s.KeyID == id && s.Producer == c.Key.Name() })
		if i < 0 {
			i, r.Keys = len(r.Keys), append(r.Keys, signedByJSON{KeyID: id, Producer: c.Key.Name()})
		}
		if c.Intact {
			r.Keys[i].Intact++
		} else {
			r.Keys[i].Changed++
		}
	}
	r.OK = len(r.Findings) == 0
	return r, nil
}

// maxShown is how many findings are shown one by one.
const maxShown = 20

func (p *program) showSignatures(r *signaturesJSON) {
	fields := []terminal.Field{{Name: "read", Value: terminal.Plural(r.Entries, "entry", "entries")}, {Name: "unsigned", Value: terminal.Count(r.Unsigned)}}
	for _, k := range r.Keys {
		value := fmt.Sprintf("%s of %s: %s as signed", k.KeyID, terminal.OneLine(k.Producer), terminal.Count(k.Intact))
		if k.Changed > 0 {
			value += fmt.Sprintf(", %s redacted or changed before they were recorded", terminal.Count(k.Changed))
		}
		fields = append(fields, terminal.Field{Name: "signed", Value: value})
	}
	p.out.Fields(0, fields...)
	for i, f := range r.Findings {
		if i == maxShown {
			p.out.Printf("\nand %d more\n", len(r.Findings)-i)
			break
		}
		p.out.Printf("\n%s\n", p.heading(fmt.Sprintf("entry %d", f.Index)))
		p.out.Fields(2, terminal.Field{Name: "seen", Value: wrap(terminal.Clean(f.Detail), 80)})
	}
	if r.OK {
		p.out.Printf("\n%s  every signature checks out\n", p.out.Paint(terminal.Green, "OK"))
		return
	}
	p.out.Printf("\n%s  %s\n", p.out.Paint(terminal.Alarm, "NOT OK"), terminal.Plural(len(r.Findings), "finding", "findings"))
}

// knownProducers returns the keys of the server in whose data directory a trail is. Of
// another trail there are none.
func knownProducers(trail string) ([]producers.Key, error) {
	dir, err := filepath.Abs(trail)
	if err != nil {
		return nil, err
	}
	data := dataFlag{dir: filepath.Dir(filepath.Dir(dir))}
	keys, err := data.openKeys()
	if err != nil {
		return nil, err
	}
	return keys.List()
}

func vkeysOf(keys []producers.Key) (vkeys []string) {
	for i := range keys {
		vkeys = append(vkeys, keys[i].VKey)
	}
	return vkeys
}

// showSignature tells who signed an event, and whether that checks out.
func (p *program) showSignature(trail string, payload []byte) {
	known, err := knownProducers(trail)
	if err != nil {
		p.warn("the signature is not checked: %s", err)
		return
	}
	var verifiers []note.Verifier
	for _, vkey := range vkeysOf(known) {
		if v, err := evidence.ParseVerifier(vkey); err == nil {
			verifiers = append(verifiers, v)
		}
	}
	c, err := event.CheckSignature(payload, verifiers...)
	said := ""
	switch {
	case payload == nil, errors.Is(err, event.ErrNotSigned):
		return
	case errors.Is(err, event.ErrUnknownKey):
		said = "not checked: " + err.Error() + "; custody producer check --key VKEY takes it"
	case err != nil:
		said = p.out.Paint(terminal.Alarm, "DOES NOT CHECK OUT") + ": " + terminal.Clean(err.Error())
	default:
		said = describeSignature(c, known)
	}
	p.out.Printf("\n%s\n", p.heading("signature"))
	p.out.Fields(2, terminal.Field{Name: "producer", Value: wrap(said, 80)})
}

func describeSignature(c *event.CheckedSignature, known []producers.Key) string {
	id := evidence.KeyID(c.Key.KeyHash())
	said := fmt.Sprintf("signed by %s (key %s), which checks out", terminal.OneLine(c.Key.Name()), id)
	switch {
	case !c.Intact:
		said = fmt.Sprintf("%s (key %s) signed an event, but not as it stands here: it was redacted or changed before it was recorded, and only who kept it as it was sent can show what was signed", terminal.OneLine(c.Key.Name()), id)
	case len(c.Unsigned) > 0:
		said += "; the trail added " + strings.Join(c.Unsigned, ", ")
	}
	if i := slices.IndexFunc(known, func(k producers.Key) bool { return k.ID == id && !k.Revoked.IsZero() }); i >= 0 {
		said += "; the key was revoked " + known[i].Revoked.Format(time.RFC3339)
	}
	return said
}

// producerJSON is the key of a producer in JSON output.
type producerJSON struct {
	KeyID      string   `json:"key_id"`
	Producer   string   `json:"producer"`
	VKey       string   `json:"vkey"`
	State      string   `json:"state"`
	MustSign   bool     `json:"must_sign"`
	Agents     []string `json:"agents,omitempty"`
	Principals []string `json:"principals,omitempty"`
	Enrolled   string   `json:"enrolled"`
	EnrolledBy string   `json:"enrolled_by"`
	Revoked    string   `json:"revoked,omitempty"`
	RevokedBy  string   `json:"revoked_by,omitempty"`
	Reason     string   `json:"reason,omitempty"`
}

func producerToJSON(k *producers.Key) producerJSON {
	state := "good"
	if !k.Revoked.IsZero() {
		state = "revoked"
	}
	return producerJSON{KeyID: k.ID, Producer: k.Producer(), VKey: k.VKey, State: state, MustSign: k.MustSign, Agents: k.Agents, Principals: k.Principals,
		Enrolled: wire.Time(k.Enrolled), EnrolledBy: k.EnrolledBy, Revoked: wire.Time(k.Revoked), RevokedBy: k.RevokedBy, Reason: k.Reason}
}
