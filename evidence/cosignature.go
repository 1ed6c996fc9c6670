package evidence

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// The signature types of the Ed25519 keys of logs and of witnesses (C2SP
// signed-note, "Signature types").
const (
	algEd25519     = 0x01
	algCosignature = 0x04
)

// cosignatureSize is the length of a cosignature in bytes: the time as a
// big-endian integer, then the Ed25519 signature.
const cosignatureSize = 8 + ed25519.SignatureSize

// keyHashSize is the length of the key's id, in bytes, that every signature begins
// with (C2SP signed-note).
const keyHashSize = 4

// maxCosignatureTime is the last second of the year 9999, in seconds since
// 1970. C2SP tlog-cosignature lets a verifier refuse times in the future; later
// ones than this cannot be written down (RFC 3339).
const maxCosignatureTime = 253402300799

// maxSignatures is how many signatures [note.Open] reads.
const maxSignatures = 100

// ErrKeyAlgorithm is wrapped by [ParseCosignatureVerifier] for a key that may be
// fine and is of an algorithm that this package does not verify, such as
// ML-DSA-44. Signatures of such a key are ignored like those of an unknown one.
var ErrKeyAlgorithm = errors.New("not an Ed25519 cosignature key")

// CosignatureVerifier checks the cosignatures of one witness: Ed25519 signatures
// with a time (C2SP tlog-cosignature, cosignature/v1). It implements
// [note.Verifier] and may be used from several goroutines.
type CosignatureVerifier struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

// ParseCosignatureVerifier reads a witness's verifier key (vkey), which has the
// signature type 0x04. The error for a key of another type wraps
// [ErrKeyAlgorithm]; for type 0x01, which is that of a log's own key, it does
// not, since that is a mistake.
func ParseCosignatureVerifier(vkey string) (*CosignatureVerifier, error) {
	if strings.HasPrefix(vkey, "PRIVATE+KEY+") {
		return nil, errSigningKey
	}
	fields := strings.SplitN(vkey, "+", 3) // base64 may hold a '+' of its own
	if len(fields) != 3 {
		return nil, fmt.Errorf("%.80q is not a verifier key: expected <name>+<hash>+<base64>", vkey)
	}
	if err := validWitness(fields[0]); err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil || len(raw) == 0 {
		return nil, fmt.Errorf("verifier key of %s: the part behind the last '+' is not base64", fields[0])
	}
	switch alg := raw[0]; {
	case alg == algEd25519:
		return nil, fmt.Errorf("verifier key of %s is one that logs sign with, of type 0x01; that of a witness has type 0x04", fields[0])
	case alg != algCosignature:
		return nil, fmt.Errorf("verifier key of %s: %w: it has type 0x%02x; only 0x04 is supported", fields[0], ErrKeyAlgorithm, alg)
	case len(raw) != 1+ed25519.PublicKeySize:
		return nil, fmt.Errorf("verifier key of %s: an Ed25519 key has %d bytes, not %d", fields[0], ed25519.PublicKeySize, len(raw)-1)
	}
	v := newCosignatureVerifier(fields[0], raw[1:])
	if v.VerifierKey() != vkey {
		return nil, fmt.Errorf("verifier key of %s: expected the key id %s, not %.20q; one character of the key may be wrong", fields[0], KeyID(v.hash), fields[1])
	}
	return v, nil
}

var errSigningKey = errors.New("this is a signing key, which must stay secret; expected a verifier key, <name>+<hash>+<base64>")

// validWitness reports whether a witness may have the name: the rules are those
// for the name of any key.
func validWitness(name string) error {
	if err := ValidOrigin(name); err != nil {
		return fmt.Errorf("name of a witness: %w", err)
	}
	return nil
}

// newCosignatureVerifier computes the key id as C2SP tlog-cosignature, "Format",
// says.
func newCosignatureVerifier(name string, key ed25519.PublicKey) *CosignatureVerifier {
	text := append([]byte(name), '\n', algCosignature)
	sum := sha256.Sum256(append(text, key...))
	return &CosignatureVerifier{name, binary.BigEndian.Uint32(sum[:4]), key}
}

// Name returns the witness's name.
func (v *CosignatureVerifier) Name() string { return v.name }

// KeyHash returns the key's id.
func (v *CosignatureVerifier) KeyHash() uint32 { return v.hash }

// Key returns the public key. The caller must not change it.
func (v *CosignatureVerifier) Key() ed25519.PublicKey { return v.key }

// VerifierKey returns the public key in text form (vkey).
func (v *CosignatureVerifier) VerifierKey() string {
	return v.name + "+" + KeyID(v.hash) + "+" + base64.StdEncoding.EncodeToString(append([]byte{algCosignature}, v.key...))
}

// Verify reports whether sig, a time and a signature, is a cosignature of the
// checkpoint with that body. It implements [note.Verifier].
func (v *CosignatureVerifier) Verify(body, sig []byte) bool {
	if len(sig) != cosignatureSize {
		return false
	}
	t := binary.BigEndian.Uint64(sig)
	return t <= maxCosignatureTime && ed25519.Verify(v.key, cosigned(body, t), sig[8:])
}

// Open checks one signature of a note whose text is body, and returns when the
// witness cosigned.
func (v *CosignatureVerifier) Open(body string, sig note.Signature) (time.Time, error) {
	if sig.Name != v.name || sig.Hash != v.hash {
		return time.Time{}, fmt.Errorf("signature of %.80q, key %s, is not one of witness %s, key %s", sig.Name, KeyID(sig.Hash), v.name, KeyID(v.hash))
	}
	// The first four bytes are the key id again.
	raw, err := base64.StdEncoding.DecodeString(sig.Base64)
	if err != nil || len(raw) < 4 || binary.BigEndian.Uint32(raw) != v.hash || !v.Verify([]byte(body), raw[4:]) {
		return time.Time{}, fmt.Errorf("cosignature: %w", &note.InvalidSignatureError{Name: v.name, Hash: v.hash})
	}
	return time.Unix(int64(binary.BigEndian.Uint64(raw[4:])), 0).UTC(), nil
}

// cosigned returns the bytes that a witness signs (C2SP tlog-cosignature,
// "Ed25519 signed message"). The body is signed whole, extension lines included.
func cosigned(body []byte, t uint64) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", t), body...)
}

// GenerateCosignatureKey makes an Ed25519 key for the witness with that name and
// returns it as a signing key ("PRIVATE+KEY+…") and a verifier key (vkey). It
// must sign nothing but cosignatures, and under no other name.
func GenerateCosignatureKey(name string) (skey, vkey string, err error) {
	if err := validWitness(name); err != nil {
		return "", "", err
	}
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	v := newCosignatureVerifier(name, pub)
	seed := append([]byte{algCosignature}, priv.Seed()...)
	return "PRIVATE+KEY+" + name + "+" + KeyID(v.hash) + "+" + base64.StdEncoding.EncodeToString(seed), v.VerifierKey(), nil
}

// ParseCosignatureSigner reads a signing key that [GenerateCosignatureKey] wrote.
func ParseCosignatureSigner(skey string) (*CosignatureSigner, error) {
	raw, err := decodeKeyField(skey)
	if err != nil || !strings.HasPrefix(skey, "PRIVATE+KEY+") {
		return nil, errors.New("not a signing key: expected the form PRIVATE+KEY+<name>+<hash>+<base64>")
	}
	if len(raw) != 1+ed25519.SeedSize || raw[0] != algCosignature {
		return nil, errors.New("not a signing key for cosignatures: its type is not 0x04; the key of a trail cannot be that of a witness")
	}
	fields := strings.SplitN(skey, "+", 5)
	s, err := NewCosignatureSigner(fields[2], ed25519.NewKeyFromSeed(raw[1:]))
	if err != nil {
		return nil, err
	}
	if fields[3] != KeyID(s.KeyHash()) {
		return nil, errors.New("signing key does not have the id that it names; it is damaged: take it from a copy")
	}
	return s, nil
}

// CosignatureSigner cosigns checkpoints for one witness. It is as safe for
// concurrent use as the key it was made from.
type CosignatureSigner struct {
	key      crypto.Signer
	verifier *CosignatureVerifier
}

// NewCosignatureSigner makes a signer from any Ed25519 key: in memory, in a
// hardware token or behind a service. The message that is signed does not hold
// the witness's name, so one key must not serve two names (C2SP
// tlog-cosignature).
func NewCosignatureSigner(name string, key crypto.Signer) (*CosignatureSigner, error) {
	if err := validWitness(name); err != nil {
		return nil, err
	}
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("key is a %T; checkpoints are cosigned with Ed25519", key.Public())
	}
	return &CosignatureSigner{key, newCosignatureVerifier(name, pub)}, nil
}

// Name returns the witness's name.
func (s *CosignatureSigner) Name() string { return s.verifier.name }

// KeyHash returns the key's id.
func (s *CosignatureSigner) KeyHash() uint32 { return s.verifier.hash }

// VerifierKey returns the public key in text form (vkey).
func (s *CosignatureSigner) VerifierKey() string { return s.verifier.VerifierKey() }

// Verifier returns the verifier of the signer's public key.
func (s *CosignatureSigner) Verifier() *CosignatureVerifier { return s.verifier }

// Cosign returns the signature line, with its newline, that says: at time t the
// largest consistent tree that the witness has seen of this log is that of the
// checkpoint with this body. Whether that is so, the caller has checked. The
// time has a resolution of a second.
func (s *CosignatureSigner) Cosign(body string, t time.Time) (line []byte, err error) {
	if _, err := ParseCheckpointBody(body); err != nil {
		return nil, err
	}
	seconds := t.Unix()
	if seconds <= 0 || seconds > maxCosignatureTime {
		return nil, fmt.Errorf("time %s cannot be that of a cosignature; check the clock", t)
	}
	sig, err := s.key.Sign(rand.Reader, cosigned([]byte(body), uint64(seconds)), crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", KeyID(s.KeyHash()), err)
	}
	raw := binary.BigEndian.AppendUint32(nil, s.KeyHash())
	raw = binary.BigEndian.AppendUint64(raw, uint64(seconds))
	raw = append(raw, sig...)
	return fmt.Appendf(nil, "\u2014 %s %s\n", s.Name(), base64.StdEncoding.EncodeToString(raw)), nil
}

// Cosignature says that a witness cosigned, and when.
type Cosignature struct {
	Name    string // of the witness
	KeyHash uint32 // its key's id
	Time    time.Time
}

// Cosignatures returns which of the known witnesses cosigned a checkpoint, in
// the order of its lines; none is no error. Lines of other keys are ignored. Of
// several lines of one key the first is given. A line of a known key that does
// not verify makes the whole note suspect (C2SP signed-note): the error wraps a
// [*note.InvalidSignatureError]. The log's own signature is for
// [OpenCheckpoint] to check.
func Cosignatures(signed []byte, known ...*CosignatureVerifier) ([]Cosignature, error) {
	n, err := unverifiedNote(signed)
	if err != nil {
		return nil, err
	}
	if _, err := ParseCheckpointBody(n.Text); err != nil {
		return nil, err
	}
	var all []Cosignature
	for _, sig := range n.UnverifiedSigs {
		i := slices.IndexFunc(known, func(v *CosignatureVerifier) bool { return v.name == sig.Name && v.hash == sig.Hash })
		if i < 0 {
			continue
		}
		t, err := known[i].Open(n.Text, sig)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(all, func(c Cosignature) bool { return c.Name == sig.Name && c.KeyHash == sig.Hash }) {
			all = append(all, Cosignature{sig.Name, sig.Hash, t})
		}
	}
	return all, nil
}

// PeekCosignatures returns the cosignatures that a checkpoint claims to carry, in the
// order of its lines, known by their form: no signature is checked. For showing what
// somebody claims, never for believing it.
func PeekCosignatures(signed []byte) ([]Cosignature, error) {
	n, err := unverifiedNote(signed)
	if err != nil {
		return nil, err
	}
	var all []Cosignature
	for _, sig := range n.UnverifiedSigs {
		raw, err := base64.StdEncoding.DecodeString(sig.Base64)
		if err != nil || len(raw) != keyHashSize+cosignatureSize {
			continue
		}
		if t := binary.BigEndian.Uint64(raw[keyHashSize:]); t <= maxCosignatureTime {
			all = append(all, Cosignature{sig.Name, sig.Hash, time.Unix(int64(t), 0).UTC()})
		}
	}
	return all, nil
}

// AddCosignature returns a signed checkpoint with one more signature line, which
// stands last. A line that the same key had there before is left out. No
// signature is checked.
func AddCosignature(signed, line []byte) ([]byte, error) {
	n, err := unverifiedNote(signed)
	if err != nil {
		return nil, err
	}
	if _, err := ParseCheckpointBody(n.Text); err != nil {
		return nil, err
	}
	added, err := parseSignatureLine(line)
	if err != nil {
		return nil, err
	}
	n.UnverifiedSigs = append(slices.DeleteFunc(n.UnverifiedSigs, func(sig note.Signature) bool {
		return sig.Name == added.Name && sig.Hash == added.Hash
	}), added)
	if len(n.UnverifiedSigs) > maxSignatures {
		return nil, fmt.Errorf("checkpoint would have %d signatures, more than %d", len(n.UnverifiedSigs), maxSignatures)
	}
	signed, err = note.Sign(n)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if len(signed) > MaxCheckpointSize {
		return nil, fmt.Errorf("checkpoint would have %d bytes, more than %d", len(signed), MaxCheckpointSize)
	}
	return signed, nil
}

// parseSignatureLine reads one signature line of a note, with its newline.
func parseSignatureLine(line []byte) (note.Signature, error) {
	// A note with an empty line as its text has the same lines of signatures.
	n, err := unverifiedNote(append([]byte("\n\n"), line...))
	if err != nil || bytes.IndexByte(line, '\n') != len(line)-1 {
		return note.Signature{}, fmt.Errorf("%.120q is not one signature line: expected an em dash, the key's name, base64 and a newline", line)
	}
	return n.UnverifiedSigs[0], nil
}

// unverifiedNote reads a signed checkpoint's parts, and checks no signature.
func unverifiedNote(signed []byte) (*note.Note, error) {
	if len(signed) > MaxCheckpointSize {
		return nil, fmt.Errorf("checkpoint has %d bytes, more than %d", len(signed), MaxCheckpointSize)
	}
	_, err := note.Open(signed, note.VerifierList())
	var unverified *note.UnverifiedNoteError
	if !errors.As(err, &unverified) {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return unverified.Note, nil
}
