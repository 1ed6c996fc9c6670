// Package timestamp asks a time-stamping authority (TSA) for the time of a
// checkpoint and checks the answer, a time-stamp token (RFC 3161). It does no
// I/O: sending the query is for the caller.
//
// # What is stamped
//
// The message imprint is SHA-256 over the body of the checkpoint: its text up to
// and including the newline before the empty line, which is what a log and its
// witnesses sign. Signatures are left out, so that a checkpoint that gathers
// cosignatures after it was stamped, or is kept with other signatures elsewhere,
// stays one with its token. Origin, size and root are in the body, so the token
// is about all entries that the checkpoint covers.
//
// # What a token proves
//
// That the body existed at the time of the token, by the word of the authority. Not
// that it was signed by then: signatures are for [evidence.OpenCheckpoint] to
// check, and may be younger. Nor that there was no other body of that origin and
// size: whoever makes two histories can have both stamped.
//
// # What is read
//
// Tokens in DER, as RFC 3161, section 3.4, demands over HTTP, with one signature,
// made with RSA (PKCS #1 v1.5) or ECDSA and SHA-256, SHA-384 or SHA-512, and with
// the certificate that signed. Signatures and digests are checked over the bytes
// as they are given. Revocation is not checked: that needs a network.
//
// Values are plain and may be used from several goroutines.
package timestamp

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/custodylog/custody/evidence"
)

// MaxSize bounds a response and a token, in bytes. Real ones have 1 to 10 KiB,
// nearly all of it certificates.
const MaxSize = 64 << 10

// Timestamp is what a token says (RFC 3161, section 2.4.2, TSTInfo).
type Timestamp struct {
	Time time.Time // in UTC, with the digits that the authority gave
	// Accuracy is how far Time may be off in either direction; 0 if the token
	// does not say.
	Accuracy time.Duration
	Policy   string   // the policy under which it was issued: an object identifier, dotted
	Serial   *big.Int // unique among the tokens of the authority
	TSA      string   // subject of the certificate that signed (RFC 2253)
}

// Verify checks a token against a signed checkpoint, of which only the body
// counts, and returns what it says. It holds if
//
//   - the imprint is SHA-256 of the checkpoint's body,
//   - the token carries one signature, which is right, and covers the
//     certificate that made it (RFC 5816, signing-certificate attribute),
//   - that certificate is for time-stamping and nothing else: its extended key
//     usage is critical and holds id-kp-timeStamping alone (RFC 3161, section 2.3),
//   - it chains to one of roots at the time of the token. It may have expired
//     since.
//
// Intermediate certificates are taken from the token. The error says which of
// these fails.
func Verify(token, checkpoint []byte, roots *x509.CertPool) (*Timestamp, error) {
	if roots == nil {
		// crypto/x509 would take those of the operating system.
		return nil, errors.New("time-stamp token: no root certificates were given to check it against")
	}
	imprint, err := imprintOf(checkpoint)
	if err != nil {
		return nil, err
	}
	t, err := openToken(token)
	if err != nil {
		return nil, err
	}
	if err := t.info.Imprint.check(imprint); err != nil {
		return nil, err
	}
	if err := t.checkChain(roots); err != nil {
		return nil, err
	}
	return t.says(), nil
}

// Peek returns what a token says, without a checkpoint that it would be about and
// without asking whether its authority is one to be trusted: for showing what somebody
// claims, never for believing it.
func Peek(token []byte) (*Timestamp, error) {
	t, err := openToken(token)
	if err != nil {
		return nil, err
	}
	return t.says(), nil
}

func (t *token) says() *Timestamp {
	return &Timestamp{
		Time:     t.info.Time.UTC(),
		Accuracy: t.info.Accuracy.duration(),
		Policy:   t.info.Policy.String(),
		Serial:   t.info.Serial,
		TSA:      t.signer.Subject.String(),
	}
}

// imprintOf returns the digest that stands for a signed checkpoint.
func imprintOf(signed []byte) ([sha256.Size]byte, error) {
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("time-stamp: %w", err)
	}
	// A body has one form only: these are the bytes that were read.
	return sha256.Sum256(c.AppendBody(nil)), nil
}
