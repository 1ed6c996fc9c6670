package redaction

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// Mask is what stands in place of a secret that was masked.
const Mask = "[REDACTED]"

// A Method says what is done with a secret. The zero value means MethodMask.
type Method string

const (
	// MethodMask puts Mask in its place.
	MethodMask Method = "mask"

	// MethodPartial leaves the last four characters of a secret of 16 or more,
	// so that two can be told apart: [REDACTED:…wxyz]. Shorter secrets are
	// masked, as are those that end in other characters than those of tokens.
	MethodPartial Method = "partial"

	// MethodHMAC puts [HMACToken] in its place. Who holds the key can find a
	// secret again, and nobody else can try guesses.
	MethodHMAC Method = "hmac"

	// MethodDrop leaves out the member that is the secret. What stands in a
	// list becomes the empty string, so that the others keep their places, and
	// what is a part of a text is cut out of it.
	MethodDrop Method = "drop"
)

const (
	maskOpen    = "[REDACTED"
	partialOpen = "[REDACTED:…"
	hmacOpen    = "[REDACTED:hmac:"

	minPartial = 16 // characters of a secret of which some are shown
	shown      = 4
	hmacDigits = 32
)

// HMACToken returns what stands in place of a secret that MethodHMAC redacted:
//
//	"[REDACTED:hmac:" + hex(HMAC-SHA256(key, "custody redaction v1\n" || secret)[:16]) + "]"
func HMACToken(key []byte, secret string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("custody redaction v1\n"))
	mac.Write([]byte(secret))
	return hmacOpen + hex.EncodeToString(mac.Sum(nil)[:hmacDigits/2]) + "]"
}

// HMACKeyID returns the name of a key that is recorded beside what it redacted:
// eight hex digits that say nothing else about it.
func HMACKeyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("custody redaction hmac key id v1\n"), key...))
	return hex.EncodeToString(sum[:4])
}

// replace returns what stands in place of a secret, and the method by which it
// came about.
func (r *ruleset) replace(rule, secret string) (string, Method) {
	switch m := r.methodOf(rule); m {
	case MethodHMAC:
		return HMACToken(r.hmacKey, secret), m
	case MethodDrop:
		return "", m
	case MethodPartial:
		if tail := tailOf(secret); tail != "" {
			return partialOpen + tail + "]", m
		}
	}
	return Mask, MethodMask
}

// methodOf returns the method for what a rule asks for.
func (r *ruleset) methodOf(rule string) Method {
	if m, ok := r.methods[rule]; ok {
		return m
	}
	if rule == ruleDepth || rule == ruleSize {
		return MethodMask // there is not one secret in it
	}
	return r.method
}

// tailOf returns the last characters of a secret that is long enough to show them.
func tailOf(secret string) string {
	if len(secret) < minPartial || utf8.RuneCountInString(secret) < minPartial {
		return ""
	}
	tail := secret[len(secret)-shown:]
	if !isTail(tail) {
		return ""
	}
	return tail
}

func isTail(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isNameByte(s[i]) && s[i] != '=' && s[i] != '+' && s[i] != '/' {
			return false
		}
	}
	return true
}

// maskedLen returns the length of what stands in place of a secret at the start
// of s, or 0.
func maskedLen(s string) int {
	rest, ok := strings.CutPrefix(s, maskOpen)
	if !ok {
		return 0
	}
	if strings.HasPrefix(rest, "]") {
		return len(Mask)
	}
	open, width, valid := partialOpen, shown, isTail
	if strings.HasPrefix(s, hmacOpen) {
		open, width, valid = hmacOpen, hmacDigits, isHex
	}
	end := len(open) + width
	if !strings.HasPrefix(s, open) || len(s) <= end || s[end] != ']' || !valid(s[len(open):end]) {
		return 0
	}
	return end + 1
}

// isMasked reports whether a string is what stands in place of a secret.
func isMasked(s string) bool { return len(s) > 0 && maskedLen(s) == len(s) }

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}
