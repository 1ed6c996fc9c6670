package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// MaxCheckpointSize bounds a signed checkpoint in bytes, signatures included.
const MaxCheckpointSize = 64 << 10

// Checkpoint is a statement of a trail's size and root (C2SP tlog-checkpoint).
type Checkpoint struct {
	Origin string // the trail's name, unique in the world
	Size   uint64
	Root   Hash

	// Extensions are the further lines of the body, without newlines.
	// Custody writes none and keeps those of others.
	Extensions []string
}

// AppendBody appends the text that is signed: origin, size, root and any
// extension lines, each ending in a newline.
func (c *Checkpoint) AppendBody(dst []byte) []byte {
	dst = append(dst, c.Origin...)
	dst = append(dst, '\n')
	dst = strconv.AppendUint(dst, c.Size, 10)
	dst = append(dst, '\n')
	dst = base64.StdEncoding.AppendEncode(dst, c.Root[:])
	dst = append(dst, '\n')
	for _, line := range c.Extensions {
		dst = append(dst, line...)
		dst = append(dst, '\n')
	}
	return dst
}

// ParseCheckpointBody reads the body of a checkpoint (C2SP tlog-checkpoint,
// "Format"), without signatures. It does not check who signed it; see
// [OpenCheckpoint].
func ParseCheckpointBody(body string) (Checkpoint, error) {
	var c Checkpoint
	if len(body) > MaxCheckpointSize {
		return c, fmt.Errorf("checkpoint has %d bytes, more than %d", len(body), MaxCheckpointSize)
	}
	if !strings.HasSuffix(body, "\n") {
		return c, errors.New("checkpoint does not end in a newline")
	}
	if !utf8.ValidString(body) || strings.ContainsFunc(body, func(r rune) bool { return r < ' ' && r != '\n' }) {
		return c, errors.New("checkpoint is not UTF-8 without control characters, as a signed note has to be")
	}
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	if len(lines) < 3 {
		return c, fmt.Errorf("checkpoint has %d lines; origin, size and root are required", len(lines))
	}
	if lines[0] == "" {
		return c, errors.New("checkpoint line 1: the origin is empty")
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil || strconv.FormatUint(size, 10) != lines[1] {
		return c, fmt.Errorf("checkpoint line 2: %.40q is not a size in decimal", lines[1])
	}
	if len(lines[2]) != 44 || decodeHash(&c.Root, []byte(lines[2])) != nil {
		return c, fmt.Errorf("checkpoint line 3: %.60q is not the base64 of a root hash", lines[2])
	}
	for i, line := range lines[3:] {
		if line == "" {
			return c, fmt.Errorf("checkpoint line %d: an extension line is empty", i+4)
		}
	}
	c.Origin, c.Size = lines[0], size
	if len(lines) > 3 {
		c.Extensions = lines[3:]
	}
	return c, nil
}

// SignCheckpoint returns c as a signed note (C2SP signed-note), one signature
// for each signer, in order. It gives the bytes that note.Sign would give, and
// takes memory for nothing but those and the signatures, since a trail signs
// with every commit.
func SignCheckpoint(c *Checkpoint, signers ...note.Signer) ([]byte, error) {
	const bodyRoom, signatureRoom = 80, 110
	n := len(c.Origin) + bodyRoom
	for _, line := range c.Extensions {
		n += len(line) + 1
	}
	for _, s := range signers {
		n += len(s.Name()) + signatureRoom
	}
	signed := c.AppendBody(make([]byte, 0, n))
	body := signed[:len(signed):len(signed)]
	signed = append(signed, '\n')
	for _, s := range signers {
		sig, err := s.Sign(body)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", KeyID(s.KeyHash()), err)
		}
		var room [128]byte
		raw := binary.BigEndian.AppendUint32(room[:0], s.KeyHash())
		raw = append(raw, sig...)
		signed = append(signed, "\u2014 "...)
		signed = append(signed, s.Name()...)
		signed = append(signed, ' ')
		signed = base64.StdEncoding.AppendEncode(signed, raw)
		signed = append(signed, '\n')
	}
	return signed, nil
}

// PeekCheckpoint reads a signed checkpoint without checking any signature: for
// showing what somebody claims, never for believing it.
func PeekCheckpoint(signed []byte) (Checkpoint, error) {
	if len(signed) > MaxCheckpointSize {
		return Checkpoint{}, fmt.Errorf("checkpoint has %d bytes, more than %d", len(signed), MaxCheckpointSize)
	}
	// The signatures start after the last empty line (C2SP signed-note).
	split := bytes.LastIndex(signed, []byte("\n\n"))
	if split < 0 {
		return Checkpoint{}, errors.New("checkpoint has no signatures: no empty line before them")
	}
	return ParseCheckpointBody(string(signed[:split+1]))
}

// ErrUnsigned is wrapped by [OpenCheckpoint] when no signature of a known key
// is on a checkpoint, or one of a known key is wrong.
var ErrUnsigned = errors.New("checkpoint carries no valid signature of a known key")

// OpenCheckpoint checks a signed checkpoint against known keys and returns it
// with the key hashes that signed. At least one known key must have signed, and
// no signature in the name of a known key may be wrong. Signatures by unknown
// keys are ignored, as C2SP signed-note demands. Whether the origin is that of
// the trail in question is for the caller to compare.
func OpenCheckpoint(signed []byte, known ...note.Verifier) (Checkpoint, []uint32, error) {
	if len(signed) > MaxCheckpointSize {
		return Checkpoint{}, nil, fmt.Errorf("checkpoint has %d bytes, more than %d", len(signed), MaxCheckpointSize)
	}
	n, err := note.Open(signed, note.VerifierList(known...))
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("%w: %w", ErrUnsigned, err)
	}
	c, err := ParseCheckpointBody(n.Text)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	by := make([]uint32, len(n.Sigs))
	for i, sig := range n.Sigs {
		by[i] = sig.Hash
	}
	return c, by, nil
}

// SignatureKeys returns the key hashes in whose name a checkpoint is signed, in
// order. It checks no signature: for finding the key that may belong to one.
func SignatureKeys(signed []byte) ([]uint32, error) {
	n, err := unverifiedNote(signed)
	if err != nil {
		return nil, err
	}
	hashes := make([]uint32, len(n.UnverifiedSigs))
	for i, sig := range n.UnverifiedSigs {
		hashes[i] = sig.Hash
	}
	return hashes, nil
}

// SignatureNames returns the names in which a checkpoint is signed, in order. It
// checks no signature: for telling people what to look for.
func SignatureNames(signed []byte) ([]string, error) {
	n, err := unverifiedNote(signed)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(n.UnverifiedSigs))
	for i, sig := range n.UnverifiedSigs {
		names[i] = sig.Name
	}
	return names, nil
}
