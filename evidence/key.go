package evidence

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// ValidOrigin reports whether s can name a trail and its keys: one to 255
// bytes of UTF-8 without white space, control characters or '+' (C2SP
// signed-note, key name).
func ValidOrigin(s string) error {
	if len(s) == 0 || len(s) > 255 {
		return fmt.Errorf("origin %.40q has %d bytes; 1 to 255 are allowed", s, len(s))
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return fmt.Errorf("origin %q is not allowed: it must be valid UTF-8 without spaces, control characters or '+'", s)
	}
	return nil
}

// GenerateKey makes an Ed25519 key for the trail named origin and returns it
// as a signing key ("PRIVATE+KEY+…") and a verifier key (vkey), both in the
// text form of C2SP signed-note.
func GenerateKey(origin string) (skey, vkey string, err error) {
	if err := ValidOrigin(origin); err != nil {
		return "", "", err
	}
	return note.GenerateKey(rand.Reader, origin)
}

// ParseSigner reads a signing key that [GenerateKey] wrote.
func ParseSigner(skey string) (*Signer, error) {
	s, err := note.NewSigner(skey)
	if err != nil {
		return nil, errors.New("not a signing key: expected the form PRIVATE+KEY+<name>+<hash>+<base64>")
	}
	// The seed follows the algorithm byte in the last field.
	raw, err := decodeKeyField(skey)
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return nil, errors.New("not an Ed25519 signing key")
	}
	return NewSigner(s.Name(), ed25519.NewKeyFromSeed(raw[1:]))
}

// Signer signs the checkpoints of one trail. It implements [note.Signer] and
// is as safe for concurrent use as the key it was made from.
type Signer struct {
	name     string
	key      crypto.Signer
	verifier note.Verifier
	vkey     string
}

// NewSigner makes a signer from any Ed25519 key: in memory, in a hardware
// token or behind a service. origin names the trail.
func NewSigner(origin string, key crypto.Signer) (*Signer, error) {
	if err := ValidOrigin(origin); err != nil {
		return nil, err
	}
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("key is a %T; a trail is signed with Ed25519", key.Public())
	}
	vkey, err := note.NewEd25519VerifierKey(origin, pub)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	return &Signer{name: origin, key: key, verifier: verifier, vkey: vkey}, nil
}

// Name returns the key's name, which is the trail's origin.
func (s *Signer) Name() string { return s.name }

// KeyHash returns the key's id.
func (s *Signer) KeyHash() uint32 { return s.verifier.KeyHash() }

// VerifierKey returns the public key in text form (vkey).
func (s *Signer) VerifierKey() string { return s.vkey }

// Key returns the key that the signer was made from.
func (s *Signer) Key() crypto.Signer { return s.key }

// Verifier returns the verifier of the signer's public key.
func (s *Signer) Verifier() note.Verifier { return s.verifier }

// Sign returns the Ed25519 signature (RFC 8032) of msg.
func (s *Signer) Sign(msg []byte) ([]byte, error) {
	return s.key.Sign(rand.Reader, msg, crypto.Hash(0))
}

// ParseVerifier reads a verifier key (vkey).
func ParseVerifier(vkey string) (note.Verifier, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		if strings.HasPrefix(vkey, "PRIVATE+KEY+") {
			return nil, errors.New("this is a signing key, which must stay secret; expected a verifier key, <name>+<hash>+<base64>")
		}
		return nil, fmt.Errorf("%.80q is not a verifier key: expected <name>+<hash>+<base64>", vkey)
	}
	return v, nil
}

// KeyID writes a key's id the way it stands in a vkey: eight hex digits.
func KeyID(hash uint32) string { return fmt.Sprintf("%08x", hash) }

// rotationHeader opens the statement by which a trail passes to another key.
const rotationHeader = "custody key rotation v1\n"

// SignRotation returns the statement that the trail passes from one key to the
// next, as a note signed by both: the old key allows it, the new one shows that
// somebody holds it.
func SignRotation(from, to *Signer) ([]byte, error) {
	if from.name != to.name {
		return nil, fmt.Errorf("the new key is named %q, the trail %q; a trail keeps its name", to.name, from.name)
	}
	if from.KeyHash() == to.KeyHash() {
		return nil, errors.New("the new key has the id of the one in use")
	}
	return note.Sign(&note.Note{Text: rotationText(from.name, from.vkey, to.vkey)}, from, to)
}

// OpenRotation checks a statement of [SignRotation] against the key in force
// and returns the vkey of the next one.
func OpenRotation(signed []byte, from note.Verifier) (vkey string, to note.Verifier, err error) {
	if len(signed) > MaxCheckpointSize {
		return "", nil, errors.New("key rotation statement is too long")
	}
	n, err := note.Open(signed, note.VerifierList(from))
	if err != nil {
		return "", nil, fmt.Errorf("key rotation is not signed by the key in force: %w", err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 5 || lines[0]+"\n" != rotationHeader {
		return "", nil, errors.New("key rotation statement has another form than this program reads")
	}
	to, err = ParseVerifier(lines[3])
	if err != nil {
		return "", nil, err
	}
	if n.Text != rotationText(from.Name(), lines[2], lines[3]) || to.Name() != from.Name() {
		return "", nil, errors.New("key rotation statement names another trail")
	}
	if old, err := ParseVerifier(lines[2]); err != nil || old.KeyHash() != from.KeyHash() {
		return "", nil, errors.New("key rotation statement names another key than the one in force")
	}
	if to.KeyHash() == from.KeyHash() {
		return "", nil, errors.New("key rotation statement passes to the key that is in force already")
	}
	if _, err := note.Open(signed, note.VerifierList(to)); err != nil {
		return "", nil, fmt.Errorf("key rotation is not signed by the new key: %w", err)
	}
	return lines[3], to, nil
}

func rotationText(origin, from, to string) string {
	return rotationHeader + origin + "\n" + from + "\n" + to + "\n"
}

// decodeKeyField returns the bytes of the last field of a key in text form.
func decodeKeyField(key string) ([]byte, error) {
	// Base64 may itself contain '+': the field starts behind the hash, the
	// fourth field of PRIVATE+KEY+<name>+<hash>+<base64>.
	fields := strings.SplitN(key, "+", 5)
	if len(fields) != 5 {
		return nil, errors.New("key has too few fields")
	}
	return base64.StdEncoding.DecodeString(fields[4])
}
