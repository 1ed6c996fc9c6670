package evidence

import (
	"crypto/sha256"
	"fmt"
)

// CommitmentPrefix opens the bytes that a commitment hashes, so that no other
// use of SHA-256 in this format can give the same input.
const CommitmentPrefix = "custody payload v1\n"

// SaltSize is the length of a payload's salt in bytes.
const SaltSize = 16

// Commit is the salted commitment that binds a payload to its entry:
// SHA-256("custody payload v1\n" || salt || payload). Without the salt, which
// is erased together with the payload, the commitment tells nothing about it.
// It fails when salt is not [SaltSize] bytes long.
func Commit(salt, payload []byte) (Hash, error) {
	if len(salt) != SaltSize {
		return Hash{}, fmt.Errorf("salt has %d bytes instead of %d", len(salt), SaltSize)
	}
	h := sha256.New()
	h.Write([]byte(CommitmentPrefix))
	h.Write(salt)
	h.Write(payload)
	var sum Hash
	h.Sum(sum[:0])
	return sum, nil
}

// CommitBody is [Commit] for a salt and a payload that lie one after the other.
// It takes no memory for bodies below a kilobyte. It panics when body is
// shorter than a salt, which its callers rule out.
func CommitBody(body []byte) Hash {
	_ = body[SaltSize-1]
	var buf [1024]byte
	if len(CommitmentPrefix)+len(body) <= len(buf) {
		n := copy(buf[:], CommitmentPrefix)
		n += copy(buf[n:], body)
		return sha256.Sum256(buf[:n])
	}
	sum, _ := Commit(body[:SaltSize], body[SaltSize:]) // the length is right
	return sum
}
