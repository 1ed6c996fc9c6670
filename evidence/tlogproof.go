package evidence

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// MaxProofSize bounds a proof in bytes: payloads of 47 MB fit.
const MaxProofSize = 64 << 20

const (
	proofHeader = "c2sp.org/tlog-proof@v1"

	// maxProofHashes is the length of the longest proof between trees of sizes
	// below 2^63.
	maxProofHashes = 63
)

// Proof is a proof that needs no network: that an entry is in a log's tree, with
// a checkpoint of that tree (C2SP tlog-proof).
type Proof struct {
	// Extra says which entry it is. It is not signed: what it says counts only
	// if the proof fits it. Custody puts a [Disclosed] there.
	Extra []byte

	Index      uint64 // below 2^63
	Hashes     []Hash // inclusion proof, see [ProveInclusion]
	Checkpoint []byte // signed, cosignatures included
}

// Marshal returns the text of the proof, the content of a .tlog-proof file.
func (p *Proof) Marshal() ([]byte, error) {
	if p.Index > math.MaxInt64 {
		return nil, fmt.Errorf("proof: %d is 2^63 or more, and no index", p.Index)
	}
	if len(p.Hashes) > maxProofHashes {
		return nil, fmt.Errorf("proof has %d hashes, more than %d", len(p.Hashes), maxProofHashes)
	}
	if err := checkpointForm(p.Checkpoint); err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	b := []byte(proofHeader + "\n")
	if len(p.Extra) > 0 {
		b = append(b, "extra "...)
		b = base64.StdEncoding.AppendEncode(b, p.Extra)
		b = append(b, '\n')
	}
	b = append(b, "index "...)
	b = strconv.AppendUint(b, p.Index, 10)
	b = append(b, '\n')
	b = appendHashLines(b, p.Hashes)
	b = append(b, '\n')
	b = append(b, p.Checkpoint...)
	if len(b) > MaxProofSize {
		return nil, fmt.Errorf("proof would have %d bytes, more than %d; disclose the entry without its payload", len(b), MaxProofSize)
	}
	return b, nil
}

// ParseProof reads what [Proof.Marshal] writes, and no other form. The
// checkpoint is a part of b. Nothing is proved yet; see [Proof.Check].
func ParseProof(b []byte) (*Proof, error) {
	if len(b) > MaxProofSize {
		return nil, fmt.Errorf("proof has %d bytes, more than %d", len(b), MaxProofSize)
	}
	var p Proof
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	if string(line) != proofHeader {
		return nil, fmt.Errorf("proof, line 1: expected %s, not %.60q", proofHeader, line)
	}
	number := 2
	line, rest, _ = bytes.Cut(rest, []byte("\n"))
	if text, ok := bytes.CutPrefix(line, []byte("extra ")); ok {
		if len(text) == 0 {
			return nil, errors.New("proof, line 2: extra data that is empty has to be left out")
		}
		var err error
		if p.Extra, err = decodeBase64(text); err != nil {
			return nil, fmt.Errorf("proof, line 2: extra data is %w", err)
		}
		number++
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
	}
	text, ok := bytes.CutPrefix(line, []byte("index "))
	index, err := parseIndex(string(text))
	if !ok || err != nil {
		return nil, fmt.Errorf("proof, line %d: expected index and a decimal number below 2^63, not %.60q", number, line)
	}
	p.Index = index
	if p.Hashes, p.Checkpoint, err = parseHashLines(rest, number+1); err != nil {
		return nil, fmt.Errorf("proof, %w", err)
	}
	if err := checkpointForm(p.Checkpoint); err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	return &p, nil
}

// CheckedProof is what a proof that checks out proves.
type CheckedProof struct {
	Opened              // the checkpoint over the entry, and who cosigned it
	Entry     Entry     // as the trail committed it
	Hash      Hash      // its leaf hash
	Disclosed Disclosed // its bytes and, if it was disclosed, its payload
}

// Check verifies a proof of a trail in the order of C2SP tlog-proof, "Verifying
// a tlog proof": the disclosed entry, which has to have the proof's index and to
// commit to the disclosed payload; the checkpoint under the policy; and the
// inclusion of the entry in its tree. The error says which step fails. It wraps
// [ErrQuorum] if the policy's witnesses are what is missing.
func (p *Proof) Check(policy *Policy) (*CheckedProof, error) {
	if len(p.Extra) == 0 {
		return nil, errors.New("proof discloses no entry: it has no extra data, so what it proves has to be known from elsewhere")
	}
	disclosed, err := ParseDisclosed(p.Extra)
	if err != nil {
		return nil, fmt.Errorf("extra data: %w", err)
	}
	entry, err := disclosed.Open()
	if err != nil {
		return nil, fmt.Errorf("disclosed entry: %w", err)
	}
	if entry.Index != p.Index {
		return nil, fmt.Errorf("proof is for index %d, but discloses entry %d", p.Index, entry.Index)
	}
	opened, err := policy.Open(p.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	hash := LeafHash(disclosed.Entry)
	if err := CheckInclusion(p.Hashes, p.Index, opened.Checkpoint.Size, hash, opened.Checkpoint.Root); err != nil {
		return nil, fmt.Errorf("inclusion: %w", err)
	}
	return &CheckedProof{Opened: *opened, Entry: entry, Hash: hash, Disclosed: *disclosed}, nil
}

// checkpointForm reports whether b has the form of a signed checkpoint. It checks
// no signature.
func checkpointForm(b []byte) error {
	n, err := unverifiedNote(b)
	if err != nil {
		return err
	}
	_, err = ParseCheckpointBody(n.Text)
	return err
}

// appendHashLines appends each hash in base64 as a line.
func appendHashLines(dst []byte, hashes []Hash) []byte {
	for _, h := range hashes {
		dst = base64.StdEncoding.AppendEncode(dst, h[:])
		dst = append(dst, '\n')
	}
	return dst
}

// parseHashLines reads lines of hashes up to an empty line and returns what
// follows that. The first line has the given number.
func parseHashLines(b []byte, number int) (hashes []Hash, rest []byte, err error) {
	for {
		line, rest, found := bytes.Cut(b, []byte("\n"))
		switch {
		case !found:
			return nil, nil, fmt.Errorf("line %d: expected a hash or the empty line before the checkpoint; the end is missing", number)
		case len(line) == 0:
			return hashes, rest, nil
		case len(hashes) == maxProofHashes:
			return nil, nil, fmt.Errorf("line %d: there are more than %d hashes", number, maxProofHashes)
		}
		var h Hash
		if err := decodeHash(&h, line); err != nil {
			return nil, nil, fmt.Errorf("line %d: %.60q is %w", number, line, err)
		}
		hashes, b, number = append(hashes, h), rest, number+1
	}
}
