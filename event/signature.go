package event

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Signature is a producer's signature of an event. docs/producers.md says byte by byte
// what is signed: a salted commitment to the event without its signature. So the
// signature can be checked for ever, and says nothing about what a redaction removed.
type Signature struct {
	// KeyID is the id of the key, eight hex digits: the second field of its verifier
	// key (C2SP signed-note).
	KeyID string

	// Sig is the Ed25519 signature (RFC 8032), 64 bytes.
	Sig []byte

	// Commitment is what was signed: SHA-256 over Salt and the event.
	Commitment [sha256.Size]byte

	// Salt is [SignatureSaltSize] bytes that nobody can guess. nil says that the event
	// is not the one that was signed any more, as when something was redacted: the
	// salt is then not kept, so that nobody can find out by trying what was removed.
	Salt []byte

	// Unsigned names members that the producer did not sign, since the trail adds
	// them: some of defects, principal, redactions, severity and timestamp, in this
	// order. The signature covers all others. It is nil without a Salt.
	Unsigned []string
}

// SignatureSaltSize is the length of the salt of a signature, in bytes.
const SignatureSaltSize = 16

// addable are the members that a trail adds to an event, sorted.
var addable = []string{"defects", "principal", "redactions", "severity", "timestamp"}

const (
	commitmentHeader = "custody event commitment v1\n"
	signatureHeader  = "custody event v1\n"
	saltHeader       = "custody event salt v1\n"
)

// commitTo returns the commitment to an event without its signature, in canonical JSON.
func commitTo(salt, canonical []byte) (c [sha256.Size]byte) {
	h := sha256.New()
	h.Write([]byte(commitmentHeader))
	h.Write(salt)
	h.Write(canonical)
	h.Sum(c[:0])
	return c
}

// signedText returns the bytes that are signed.
func signedText(commitment [sha256.Size]byte) []byte {
	return append(base64.StdEncoding.AppendEncode([]byte(signatureHeader), commitment[:]), '\n')
}

// Sign returns the event with a signature of s, which has to be an Ed25519 key, such as
// an evidence.Signer. The same event gets the same signature each time, so that it may
// be signed again before it is sent again.
//
// It needs an ID: without one, whoever sees the event could have it recorded again and
// again. A Principal is taken out, which the trail sets. What is sent is the payload
// of the result ([Event.AppendPayload]).
func (e Event) Sign(s note.Signer) (Event, error) {
	if e.ID == "" {
		return e, errNoID
	}
	e.Principal, e.Signature = "", nil
	canonical, err := e.AppendPayload(nil)
	if err != nil {
		return e, err
	}
	secret, err := s.Sign(append([]byte(saltHeader), canonical...)) // nobody else can make it, and it is not sent
	if err != nil {
		return e, fmt.Errorf("signing an event: %w", err)
	}
	salt := sha256.Sum256(secret)
	sig := &Signature{KeyID: keyID(s.KeyHash()), Salt: salt[:SignatureSaltSize], Unsigned: []string{}}
	sig.Commitment = commitTo(sig.Salt, canonical)
	if sig.Sig, err = s.Sign(signedText(sig.Commitment)); err != nil {
		return e, fmt.Errorf("signing an event: %w", err)
	}
	if len(sig.Sig) != ed25519.SignatureSize {
		return e, errors.New("signing an event: the key is not an Ed25519 key, which events are signed with")
	}
	for _, name := range addable {
		if !e.carries(name) {
			sig.Unsigned = append(sig.Unsigned, name)
		}
	}
	e.Signature = sig
	return e, nil
}

var errNoID = &FieldError{Pointer: "/id", Problem: "a signed event needs an id, so that nobody can have it recorded twice; give it one before it is signed"}

func keyID(hash uint32) string { return fmt.Sprintf("%08x", hash) }

// carries reports whether the event has one of the addable members.
func (e *Event) carries(name string) bool {
	switch name {
	case "defects":
		return len(e.Defects) > 0
	case "principal":
		return e.Principal != ""
	case "redactions":
		return len(e.Redactions) > 0
	case "severity":
		return e.Severity != ""
	}
	at, _ := appendTimeMember(nil, name, e.Timestamp)
	return len(at) > 0
}

// without returns the event without its signature and some of the addable members.
func (e Event) without(names []string) Event {
	e.Signature = nil
	for _, name := range names {
		switch name {
		case "defects":
			e.Defects = nil
		case "principal":
			e.Principal = ""
		case "redactions":
			e.Redactions = nil
		case "severity":
			e.Severity = ""
		case "timestamp":
			e.Timestamp = time.Time{}
		}
	}
	return e
}

// settled returns the signature as it is recorded with the event: its salt is kept only
// where the event still is the one that was signed.
func (e *Event) settled() *Signature {
	sig := *e.Signature
	if sig.Salt != nil {
		signed := e.without(sig.Unsigned)
		if canonical, err := signed.AppendPayload(nil); err == nil && commitTo(sig.Salt, canonical) == sig.Commitment {
			added := []string{}
			for _, name := range sig.Unsigned {
				if e.carries(name) {
					added = append(added, name)
				}
			}
			sig.Unsigned = added
			return &sig
		}
	}
	sig.Salt, sig.Unsigned = nil, nil
	return &sig
}

// ErrNotSigned says that an event has no signature.
var ErrNotSigned = errors.New("the event is not signed")

// ErrUnknownKey says that an event is signed with a key that is not among those given.
var ErrUnknownKey = errors.New("the event is signed with a key that is not known here")

// ErrBadSignature says that a signature does not check out. It is always wrapped.
var ErrBadSignature = errors.New("the signature of the event does not check out")

// CheckedSignature is a signature that checks out.
type CheckedSignature struct {
	// Key made it. Its name is that of the producer.
	Key note.Verifier

	// Commitment is what it made the signature of. One that two entries have is a
	// signature that somebody used again.
	Commitment [sha256.Size]byte

	// Intact is set when the event is the one that was signed, but for the members
	// Unsigned. It is false when it was redacted or changed otherwise before it was
	// recorded: the producer then signed some event with this commitment, and whoever
	// kept its bytes and the salt can show which. Of what stands in this one the
	// signature says nothing.
	Intact bool

	// Unsigned names the members that the producer did not sign.
	Unsigned []string
}

// CheckSignature checks the signature of an event against the keys of producers. text
// is a payload, or the event as its producer sends it. It needs nothing but these
// bytes, so an auditor can call it on what an export, a bundle or a proof discloses.
//
// Its errors are [ErrNotSigned], [ErrUnknownKey], [ErrBadSignature], all wrapped, and a
// [*SyntaxError] for what is no JSON. Whether a key was revoked, it does not know.
func CheckSignature(text []byte, keys ...note.Verifier) (*CheckedSignature, error) {
	s := scanner{b: string(text)}
	v, err := s.document()
	if err != nil {
		return nil, err
	}
	members, _ := v.(map[string]any)
	claimed, there := members["signature"]
	if !there {
		return nil, ErrNotSigned
	}
	sig, ok := signatureOf(claimed, false)
	if !ok {
		return nil, fmt.Errorf("%w: it does not have the form that docs/producers.md describes", ErrBadSignature)
	}
	known := slices.DeleteFunc(slices.Clone(keys), func(k note.Verifier) bool { return keyID(k.KeyHash()) != sig.KeyID })
	if len(known) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrUnknownKey, sig.KeyID)
	}
	signer := slices.IndexFunc(known, func(k note.Verifier) bool { return k.Verify(signedText(sig.Commitment), sig.Sig) })
	if signer < 0 {
		return nil, fmt.Errorf("%w: the key %s did not sign this commitment", ErrBadSignature, sig.KeyID)
	}
	checked := &CheckedSignature{Key: known[signer], Commitment: sig.Commitment, Intact: sig.Salt != nil, Unsigned: sig.Unsigned}
	if !checked.Intact {
		return checked, nil
	}
	delete(members, "signature")
	for _, name := range sig.Unsigned {
		delete(members, name)
	}
	canonical, err := AppendJSON(nil, members)
	if err != nil {
		return nil, err
	}
	if commitTo(sig.Salt, canonical) != sig.Commitment {
		return nil, fmt.Errorf("%w: the event differs from the one that was signed; what is signed is its canonical JSON (RFC 8785) without the member signature", ErrBadSignature)
	}
	return checked, nil
}

var strictBase64 = base64.StdEncoding.Strict()

// decodeExactly reads n bytes in base64, as there is only one way to write them.
func decodeExactly(v any, n int) ([]byte, bool) {
	s, ok := v.(string)
	if !ok || len(s) != base64.StdEncoding.EncodedLen(n) {
		return nil, false
	}
	b, err := strictBase64.DecodeString(s)
	return b, err == nil && len(b) == n
}

// signatureOf reads the member signature. Members of it that are not known, which a newer
// version may write, are passed over or with closed refused.
func signatureOf(v any, closed bool) (*Signature, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	sig := &Signature{}
	var commitment []byte
	if commitment, ok = decodeExactly(m["commitment"], sha256.Size); !ok {
		return nil, false
	}
	sig.Commitment = [sha256.Size]byte(commitment)
	if sig.Sig, ok = decodeExactly(m["sig"], ed25519.SignatureSize); !ok {
		return nil, false
	}
	if sig.KeyID, ok = m["key_id"].(string); !ok {
		return nil, false
	}
	known := 3
	if v, there := m["salt"]; there {
		if sig.Salt, ok = decodeExactly(v, SignatureSaltSize); !ok {
			return nil, false
		}
		known++
	}
	if v, there := m["unsigned"]; there {
		if sig.Unsigned, ok = stringsOf(v); !ok {
			return nil, false
		}
		known++
	}
	return sig, sig.fault() == nil && !(closed && len(m) > known)
}

// fault says what is wrong with the form of a signature.
func (s *Signature) fault() *FieldError {
	for i := 0; i < len(s.KeyID); i++ {
		if c := s.KeyID[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return refuse("not eight hex digits in lower case").in("key_id")
		}
	}
	at := -1
	for _, name := range s.Unsigned {
		i := slices.Index(addable, name)
		if i <= at {
			return refuse("it may name defects, principal, redactions, severity and timestamp, in this order").in("unsigned")
		}
		at = i
	}
	switch {
	case len(s.KeyID) != 8:
		return refuse("not eight hex digits in lower case").in("key_id")
	case len(s.Sig) != ed25519.SignatureSize:
		return refuse(fmt.Sprintf("an Ed25519 signature has %d bytes", ed25519.SignatureSize)).in("sig")
	case s.Salt != nil && len(s.Salt) != SignatureSaltSize:
		return refuse(fmt.Sprintf("a salt has %d bytes", SignatureSaltSize)).in("salt")
	case s.Salt == nil && s.Unsigned != nil:
		return refuse("without a salt it has no meaning").in("unsigned")
	}
	return nil
}

// appendSignature appends the value of the member signature.
func appendSignature(dst []byte, s *Signature) ([]byte, *FieldError) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	dst = append(dst, `{"commitment":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, s.Commitment[:])
	dst = append(dst, `","key_id":"`+s.KeyID...)
	if s.Salt != nil {
		dst = append(dst, `","salt":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, s.Salt)
	}
	dst = append(dst, `","sig":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, s.Sig)
	dst = append(dst, '"')
	if s.Unsigned != nil {
		dst = append(dst, `,"unsigned":`...)
		var err *FieldError
		if dst, err = appendStrings(dst, s.Unsigned); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}
