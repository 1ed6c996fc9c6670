package evidence

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// MaxPolicySize bounds a trust policy in bytes.
const MaxPolicySize = 1 << 20

// noQuorum is the name of the quorum that asks for no cosignature.
const noQuorum = "none"

// Policy says which logs are known, which witnesses, and which of the witnesses
// have to have cosigned a checkpoint for it to count (C2SP tlog-policy). It may
// be used from several goroutines. The zero value accepts nothing.
type Policy struct {
	logs      []note.Verifier
	witnesses []PolicyWitness
	groups    []policyGroup // each behind its members
	quorum    string        // a witness, a group or noQuorum
}

type policyGroup struct {
	name      string
	threshold int
	members   []string
}

// PolicyWitness is a witness that a policy names.
type PolicyWitness struct {
	Name     string               // in the policy; the key has a name of its own
	Verifier *CosignatureVerifier // nil: its key is of a type that is not supported, so it never counts
	URL      string               // where checkpoints are submitted; may be empty
}

// Witnesses returns the witnesses of the policy, in the order of its lines.
func (p *Policy) Witnesses() []PolicyWitness { return slices.Clone(p.witnesses) }

// NeedsWitnesses reports whether the policy asks for any cosignature.
func (p *Policy) NeedsWitnesses() bool { return p.quorum != "" && !p.met(nil) }

// Logs returns the keys of the logs that the policy names and that are of a type
// which is supported.
func (p *Policy) Logs() []note.Verifier { return slices.Clone(p.logs) }

// ErrQuorum is wrapped by [Policy.Open] when a known log signed a checkpoint and
// too few witnesses cosigned it.
var ErrQuorum = errors.New("not cosigned by enough witnesses")

// Opened is a checkpoint that a policy knows the log of.
type Opened struct {
	Checkpoint Checkpoint
	Cosigned   []Cosignature // by witnesses of the policy, in the order of the checkpoint's lines
	Quorum     bool          // the policy's quorum is met; "none" always is
}

// Open checks a signed checkpoint: a log of the policy whose key has the origin
// as its name signed it, no signature in the name of such a key or of a witness is
// wrong, and the quorum is met. If only the quorum is missing, what was opened is returned along with an
// error that wraps [ErrQuorum].
func (p *Policy) Open(signed []byte) (*Opened, error) {
	claimed, err := PeekCheckpoint(signed)
	if err != nil {
		return nil, err
	}
	var logs []note.Verifier
	for _, log := range p.logs {
		if log.Name() == claimed.Origin {
			logs = append(logs, log)
		}
	}
	if len(logs) == 0 {
		return nil, fmt.Errorf("the policy has no log named %q with an Ed25519 key", claimed.Origin)
	}
	c, _, err := OpenCheckpoint(signed, logs...)
	if err != nil {
		return nil, fmt.Errorf("signature of the log: %w", err)
	}
	var known []*CosignatureVerifier
	for _, w := range p.witnesses {
		if w.Verifier != nil {
			known = append(known, w.Verifier)
		}
	}
	cosigned, err := Cosignatures(signed, known...)
	if err != nil {
		return nil, err
	}
	opened := &Opened{Checkpoint: c, Cosigned: cosigned, Quorum: p.met(cosigned)}
	if !opened.Quorum {
		return opened, fmt.Errorf("%w: the quorum is %.80q, and %d of the %d known witnesses cosigned; keys of other types than Ed25519 are not checked", ErrQuorum, p.quorum, len(cosigned), len(p.witnesses))
	}
	return opened, nil
}

// met reports whether the quorum is met by the witnesses that cosigned.
func (p *Policy) met(cosigned []Cosignature) bool {
	met := map[string]bool{noQuorum: true}
	for _, w := range p.witnesses {
		met[w.Name] = w.Verifier != nil && slices.ContainsFunc(cosigned, func(c Cosignature) bool {
			return c.Name == w.Verifier.Name() && c.KeyHash == w.Verifier.KeyHash()
		})
	}
	for _, g := range p.groups {
		n := 0
		for _, member := range g.members {
			if met[member] {
				n++
			}
		}
		met[g.name] = n >= g.threshold
	}
	return met[p.quorum]
}

// ParsePolicy reads a policy file (C2SP tlog-policy, "Policy file syntax and
// structure"). Errors name the line. Logs and witnesses with a key of a type that
// is not supported, such as ML-DSA-44, are accepted, and their signatures ignored
// like those of unknown keys: such a witness never counts. URLs are not checked.
func ParsePolicy(b []byte) (*Policy, error) {
	if len(b) > MaxPolicySize {
		return nil, fmt.Errorf("policy has %d bytes, more than %d", len(b), MaxPolicySize)
	}
	p := policyParser{defined: map[string]int{noQuorum: 0}, grouped: map[string]int{}, logKeys: map[string]int{}, witnessKeys: map[string]int{}}
	for line := range strings.Lines(string(b)) {
		p.line++
		if err := p.parse(line); err != nil {
			return nil, fmt.Errorf("policy, line %d: %w", p.line, err)
		}
	}
	if p.quorumLine == 0 {
		return nil, fmt.Errorf("policy has no quorum line; one such as %q is required, %q asks for no witness", "quorum <name>", "quorum none")
	}
	return &p.policy, nil
}

// policyParser keeps, beside the policy, the lines on which things were defined.
type policyParser struct {
	policy               Policy
	line                 int
	quorumLine           int
	defined              map[string]int // witnesses and groups, by name
	grouped              map[string]int // names that are a member of a group
	logKeys, witnessKeys map[string]int
}

func (p *policyParser) parse(line string) error {
	line, terminated := strings.CutSuffix(line, "\n")
	if !terminated {
		return errors.New("it does not end in a newline, so the file may be cut short; complete it")
	}
	for i := range len(line) {
		if c := line[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("byte %d is 0x%02x; no control character but tab and newline is allowed", i, c)
		}
	}
	items := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(items) == 0 || items[0][0] == '#' {
		return nil
	}
	switch keyword, items := items[0], items[1:]; keyword {
	case "log":
		return p.log(items)
	case "witness":
		return p.witness(items)
	case "group":
		return p.group(items)
	case "quorum":
		return p.setQuorum(items)
	default:
		return fmt.Errorf("%.40q is neither log nor witness, group, quorum or a comment with '#'", keyword)
	}
}

func (p *policyParser) log(items []string) error {
	if len(items) != 1 && len(items) != 2 {
		return errors.New("expected: log <vkey> [<url>]")
	}
	algorithm, key, err := publicKey(items[0])
	if err != nil {
		return err
	}
	switch algorithm {
	case algEd25519:
		log, err := ParseVerifier(items[0])
		if err != nil {
			return err
		}
		p.policy.logs = append(p.policy.logs, log)
	case algCosignature:
		return errors.New("this key is one that witnesses cosign with, of type 0x04; that of a log has type 0x01")
	}
	return p.define(p.logKeys, key, "this log's public key")
}

func (p *policyParser) witness(items []string) error {
	if len(items) != 2 && len(items) != 3 {
		return errors.New("expected: witness <name> <vkey> [<url>]")
	}
	_, key, err := publicKey(items[1])
	if err != nil {
		return err
	}
	verifier, err := ParseCosignatureVerifier(items[1])
	if err != nil && !errors.Is(err, ErrKeyAlgorithm) {
		return err // else verifier is nil
	}
	w := PolicyWitness{Name: items[0], Verifier: verifier}
	if len(items) == 3 {
		w.URL = items[2]
	}
	p.policy.witnesses = append(p.policy.witnesses, w)
	if err := p.define(p.witnessKeys, key, "this witness's public key"); err != nil {
		return err
	}
	return p.defineName(items[0])
}

func (p *policyParser) group(items []string) error {
	if len(items) < 3 {
		return errors.New("expected: group <name>, then all, any or a number, then the members")
	}
	g := policyGroup{name: items[0], members: items[2:]}
	switch n := len(g.members); items[1] {
	case "all":
		g.threshold = n
	case "any":
		g.threshold = 1
	default:
		k, err := strconv.ParseUint(items[1], 10, 31)
		if err != nil || k < 1 || int(k) > n {
			return fmt.Errorf("%.40q is neither all nor any nor a number from 1 to %d, the number of members", items[1], n)
		}
		g.threshold = int(k)
	}
	for _, member := range g.members {
		if member == noQuorum {
			return errors.New("none cannot be a member of a group")
		}
		if p.defined[member] == 0 {
			return fmt.Errorf("the member %.80q is not defined on a line before this one", member)
		}
		if err := p.define(p.grouped, member, fmt.Sprintf("the member %.80q", member)); err != nil {
			return err
		}
	}
	p.policy.groups = append(p.policy.groups, g)
	return p.defineName(g.name)
}

func (p *policyParser) setQuorum(items []string) error {
	if len(items) != 1 {
		return errors.New("expected: quorum <name>")
	}
	if p.quorumLine != 0 {
		return fmt.Errorf("there is a quorum on line %d already", p.quorumLine)
	}
	if _, ok := p.defined[items[0]]; !ok {
		return fmt.Errorf("the quorum %.80q is not defined on a line before this one", items[0])
	}
	p.policy.quorum, p.quorumLine = items[0], p.line
	return nil
}

func (p *policyParser) defineName(name string) error {
	if name == noQuorum {
		return errors.New("the name none is taken: it stands for a quorum of no witness")
	}
	return p.define(p.defined, name, fmt.Sprintf("the name %.80q", name))
}

// define notes that something stands on this line, which it may do once.
func (p *policyParser) define(lines map[string]int, key, what string) error {
	if line, ok := lines[key]; ok {
		return fmt.Errorf("%s is on line %d already; twice is not allowed", what, line)
	}
	lines[key] = p.line
	return nil
}

// publicKey returns the signature type and the public key in a vkey of any type.
func publicKey(vkey string) (algorithm byte, key string, err error) {
	if strings.HasPrefix(vkey, "PRIVATE+KEY+") {
		return 0, "", errSigningKey
	}
	fields := strings.SplitN(vkey, "+", 3) // base64 may hold a '+' of its own
	if len(fields) == 3 {
		if raw, err := base64.StdEncoding.DecodeString(fields[2]); err == nil && len(raw) > 1 {
			return raw[0], string(raw[1:]), nil
		}
	}
	return 0, "", fmt.Errorf("%.80q is not a verifier key: expected <name>+<hash>+<base64>", vkey)
}
