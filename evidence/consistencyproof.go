package evidence

import (
	"bytes"
	"errors"
	"fmt"
)

const consistencyHeader = "custody consistency proof v1"

// maxConsistencyProof bounds a consistency proof in bytes: header, hashes and two
// checkpoints.
const maxConsistencyProof = 2*MaxCheckpointSize + 4096

// ConsistencyProof is a proof that needs no network: that the tree of a later
// checkpoint begins with the entries of an earlier one. Its text form is that of
// C2SP tlog-proof with two checkpoints (docs/format/proof.md).
type ConsistencyProof struct {
	Old, New []byte // signed checkpoints
	Hashes   []Hash // see [ProveConsistency]
}

// Marshal returns the text of the proof.
func (p *ConsistencyProof) Marshal() ([]byte, error) {
	if err := p.form(); err != nil {
		return nil, err
	}
	b := []byte(consistencyHeader + "\n")
	b = appendHashLines(b, p.Hashes)
	b = append(b, '\n')
	b = append(b, p.Old...)
	b = append(b, '\n')
	return append(b, p.New...), nil
}

// ParseConsistencyProof reads what [ConsistencyProof.Marshal] writes, and no
// other form. The checkpoints are parts of b. Nothing is proved yet; see
// [ConsistencyProof.Check].
func ParseConsistencyProof(b []byte) (*ConsistencyProof, error) {
	if len(b) > maxConsistencyProof {
		return nil, fmt.Errorf("consistency proof has %d bytes, more than %d", len(b), maxConsistencyProof)
	}
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	if string(line) != consistencyHeader {
		return nil, fmt.Errorf("consistency proof, line 1: expected %q, not %.60q", consistencyHeader, line)
	}
	hashes, rest, err := parseHashLines(rest, 2)
	if err != nil {
		return nil, fmt.Errorf("consistency proof, %w", err)
	}
	// A checkpoint has one empty line, that before its signatures.
	body, more, _ := bytes.Cut(rest, []byte("\n\n"))
	signatures, last, found := bytes.Cut(more, []byte("\n\n"))
	if !found {
		return nil, errors.New("consistency proof has no second checkpoint")
	}
	old := len(body) + len("\n\n") + len(signatures) + len("\n")
	p := &ConsistencyProof{Old: rest[:old:old], New: last, Hashes: hashes}
	if err := p.form(); err != nil {
		return nil, err
	}
	return p, nil
}

// form reports whether p can be written down.
func (p *ConsistencyProof) form() error {
	if len(p.Hashes) > maxProofHashes {
		return fmt.Errorf("consistency proof has %d hashes, more than %d", len(p.Hashes), maxProofHashes)
	}
	if err := checkpointForm(p.Old); err != nil {
		return fmt.Errorf("consistency proof, the old checkpoint: %w", err)
	}
	if err := checkpointForm(p.New); err != nil {
		return fmt.Errorf("consistency proof, the new checkpoint: %w", err)
	}
	return nil
}

// Check opens both checkpoints under the policy and checks that they are of one
// history: the same origin, and each entry of the old one in the new one at the
// same index. The error says which step fails. It wraps [ErrQuorum] if the
// policy's witnesses are what is missing.
func (p *ConsistencyProof) Check(policy *Policy) (old, latest *Opened, err error) {
	old, err = policy.Open(p.Old)
	if err != nil {
		return nil, nil, fmt.Errorf("the old checkpoint: %w", err)
	}
	latest, err = policy.Open(p.New)
	if err != nil {
		return nil, nil, fmt.Errorf("the new checkpoint: %w", err)
	}
	a, b := &old.Checkpoint, &latest.Checkpoint
	if a.Origin != b.Origin {
		return nil, nil, fmt.Errorf("the checkpoints are of two trails, %q and %q", a.Origin, b.Origin)
	}
	if err := CheckConsistency(p.Hashes, a.Size, b.Size, a.Root, b.Root); err != nil {
		return nil, nil, err
	}
	return old, latest, nil
}
