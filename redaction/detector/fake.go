package detector

import "strings"

// Examples are put together from pieces and from letters that are drawn, so
// that scanners of source code do not take them for leaked secrets.

// Alphabets.
const (
	digits  = "0123456789"
	hexa    = "0123456789abcdef"
	lowers  = "abcdefghijklmnopqrstuvwxyz"
	uppers  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	letters = uppers + lowers
	alnum   = digits + letters
	base32  = uppers + "234567"
	lower36 = digits + lowers
	upper36 = digits + uppers
	b64     = alnum + "+/"
	b64url  = alnum + "-_"
)

// fake joins the pieces of an example.
func fake(pieces ...string) string { return strings.Join(pieces, "") }

// some draws n letters of the alphabet, always the same.
func some(n int, alphabet string) string {
	b := make([]byte, n)
	x := uint32(n)*2654435761 + uint32(len(alphabet))
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = alphabet[int(x>>8)%len(alphabet)]
	}
	return string(b)
}

// uuid returns a UUID, always the same.
func uuid() string {
	return fake(some(8, hexa), "-", some(4, hexa), "-4", some(3, hexa), "-a", some(3, hexa), "-", some(12, hexa))
}
