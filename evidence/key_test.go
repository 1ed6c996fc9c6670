package evidence

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func (failingKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errUnreachable
}

func TestValidOrigin(t *testing.T) {
	for _, s := range []string{"a", "example.org/trail", "ÄÖÜ.example/日本", strings.Repeat("x", 255)} {
		if err := ValidOrigin(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		if _, _, err := GenerateKey(s); err != nil {
			t.Errorf("GenerateKey(%q): %v", s, err)
		}
	}
	for _, s := range []string{"", " ", "a b", "a+b", "a\tb", "a\nb", "a\x00b", "a\x7fb", "a\u0085b", "a\u009bb", "a\u00a0b", "a\u2028b", "a\xffb", strings.Repeat("x", 256)} {
		if err := ValidOrigin(s); err == nil {
			t.Errorf("%q: accepted", s)
		}
		if _, _, err := GenerateKey(s); err == nil {
			t.Errorf("GenerateKey(%q): accepted", s)
		}
		if _, err := NewSigner(s, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))); err == nil {
			t.Errorf("NewSigner(%q): accepted", s)
		}
	}
}

func TestKeyRoundTrip(t *testing.T) {
	skey, vkey, err := GenerateKey(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := ParseVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	if s.Name() != testOrigin || v.Name() != testOrigin || s.KeyHash() != v.KeyHash() || s.VerifierKey() != vkey {
		t.Errorf("signer %s %08x %s\nverifier %s %08x %s", s.Name(), s.KeyHash(), s.VerifierKey(), v.Name(), v.KeyHash(), vkey)
	}
	if want := testOrigin + "+" + KeyID(v.KeyHash()) + "+"; !strings.HasPrefix(vkey, want) {
		t.Errorf("vkey %s does not begin with %s", vkey, want)
	}
	msg := []byte("a message")
	sig, err := s.Sign(msg)
	if err != nil || !v.Verify(msg, sig) || !s.Verifier().Verify(msg, sig) {
		t.Errorf("signature %x, %v, does not verify", sig, err)
	}
	if v.Verify([]byte("another message"), sig) {
		t.Error("signature verifies for another message")
	}
	// The same key as package note has it.
	other, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	if sig2, err := other.Sign(msg); err != nil || string(sig2) != string(sig) || other.KeyHash() != s.KeyHash() {
		t.Errorf("package note signs %x, %v", sig2, err)
	}
}

func TestKeyIDHasEightDigits(t *testing.T) {
	if got := KeyID(0x2a); got != "0000002a" {
		t.Errorf("%s", got)
	}
}

// remoteKey signs behind an interface, as a token or a service does.
type remoteKey struct{ key ed25519.PrivateKey }

func (k remoteKey) Public() crypto.PublicKey { return k.key.Public() }

func (k remoteKey) Sign(rand io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.key.Sign(rand, msg, opts)
}

func TestNewSignerTakesAnyEd25519Key(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(testOrigin, remoteKey{key})
	if err != nil {
		t.Fatal(err)
	}
	c := goldenCheckpoint()
	signed, err := SignCheckpoint(&c, s)
	if err != nil {
		t.Fatal(err)
	}
	v, err := ParseVerifier(s.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenCheckpoint(signed, v); err != nil {
		t.Error(err)
	}

	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewSigner(testOrigin, ec); err == nil || !strings.Contains(err.Error(), "*ecdsa.PublicKey") {
		t.Errorf("an ECDSA key: %v", err)
	}
}

func TestParseKeysRefuse(t *testing.T) {
	skey, vkey, err := GenerateKey(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	// An algorithm that is not Ed25519, with the right key id.
	unknown := append([]byte{2}, make([]byte, 32)...)
	sum := sha256.Sum256([]byte(testOrigin + "\n" + string(unknown)))
	other := fmt.Sprintf("%s+%x+%s", testOrigin, sum[:4], base64.StdEncoding.EncodeToString(unknown))
	for _, s := range []string{"", "x", testOrigin, skey, vkey[1:], vkey + "A", vkey[:len(vkey)-1], "a " + vkey, other, "PRIVATE+KEY+" + vkey} {
		if _, err := ParseVerifier(s); err == nil {
			t.Errorf("ParseVerifier(%q): accepted", s)
		} else if secret := strings.SplitN(skey, "+", 5)[4]; strings.Contains(err.Error(), secret[:20]) {
			t.Errorf("the error shows the signing key: %v", err)
		}
	}
	for _, s := range []string{"", "x", vkey, skey[1:], skey + "A", skey[:len(skey)-4], strings.Replace(skey, "PRIVATE", "PUBLIC", 1), "PRIVATE+KEY+" + vkey} {
		if _, err := ParseSigner(s); err == nil {
			t.Errorf("ParseSigner(%q): accepted", s)
		} else if len(s) > 20 && strings.Contains(err.Error(), s[len(s)-20:]) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func TestRotation(t *testing.T) {
	a, b, c := testSigner(t, testOrigin, "a"), testSigner(t, testOrigin, "b"), testSigner(t, testOrigin, "c")
	foreign := testSigner(t, "example.org/other", "b")
	statement, err := SignRotation(a, b)
	if err != nil {
		t.Fatal(err)
	}
	vkey, next, err := OpenRotation(statement, a.Verifier())
	if err != nil || vkey != b.VerifierKey() || next.KeyHash() != b.KeyHash() {
		t.Fatalf("OpenRotation = %s, %v", vkey, err)
	}
	msg := []byte("a message")
	if sig, err := b.Sign(msg); err != nil || !next.Verify(msg, sig) {
		t.Errorf("the verifier is not that of the new key: %v", err)
	}

	if _, err := SignRotation(a, a); err == nil {
		t.Error("to the same key: signed")
	}
	if _, err := SignRotation(a, foreign); err == nil {
		t.Error("to a key of another trail: signed")
	}

	text := rotationText(testOrigin, a.VerifierKey(), b.VerifierKey())
	sign := func(text string, signers ...note.Signer) []byte {
		signed, err := note.Sign(&note.Note{Text: text}, signers...)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	if _, _, err := OpenRotation(sign(text, a, b), a.Verifier()); err != nil {
		t.Fatalf("the form that the cases below vary: %v", err)
	}
	wrongSig := func() []byte { // b's signature is of another text
		good, other := sign(text, a), sign(rotationText(testOrigin, b.VerifierKey(), a.VerifierKey()), b)
		return append(good, other[strings.Index(string(other), "\n\n")+2:]...)
	}
	for _, tt := range []struct {
		name   string
		signed []byte
		want   string
	}{
		{"not signed by the old key", sign(text, b), "not signed by the key in force"},
		{"not signed by the new key", sign(text, a), "not signed by the new key"},
		{"a wrong signature of the new key", wrongSig(), "not signed by the new key"},
		{"signed by neither", sign(text, c), "not signed by the key in force"},
		{"not signed", []byte(text), "malformed note"},
		{"of another trail", sign(rotationText("example.org/other", a.VerifierKey(), b.VerifierKey()), a, b), "another trail"},
		{"to a key of another trail", sign(rotationText(testOrigin, a.VerifierKey(), foreign.VerifierKey()), a, foreign), "another trail"},
		{"from another key", sign(rotationText(testOrigin, c.VerifierKey(), b.VerifierKey()), a, b), "another key than the one in force"},
		{"from no key", sign(rotationText(testOrigin, "key", b.VerifierKey()), a, b), "another key than the one in force"},
		{"to the key in force", sign(rotationText(testOrigin, a.VerifierKey(), a.VerifierKey()), a), "in force already"},
		{"to no key", sign(rotationText(testOrigin, a.VerifierKey(), "key"), a, b), "not a verifier key"},
		{"another version", sign(strings.Replace(text, "v1", "v2", 1), a, b), "another form"},
		{"a checkpoint", sign(goldenBody, a, b), "another form"},
		{"a line more", sign(text+"more\n", a, b), "another form"},
		{"a line less", sign(strings.TrimSuffix(text, b.VerifierKey()+"\n"), a, b), "another form"},
		{"too long", make([]byte, MaxCheckpointSize+1), "too long"},
	} {
		if _, _, err := OpenRotation(tt.signed, a.Verifier()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, _, err := OpenRotation(statement, b.Verifier()); err == nil {
		t.Error("against the new key: accepted")
	}
	// A statement is not a checkpoint, whichever key signs.
	if _, _, err := OpenCheckpoint(statement, a.Verifier()); err == nil {
		t.Error("a statement was read as a checkpoint")
	}
}
