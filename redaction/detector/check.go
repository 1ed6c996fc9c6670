package detector

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// not returns the check that holds if the other does not.
func not(check func(string) bool) func(string) bool {
	return func(s string) bool { return !check(s) }
}

// all returns the check that holds if all of them do.
func all(checks ...func(string) bool) func(string) bool {
	return func(s string) bool {
		for _, holds := range checks {
			if !holds(s) {
				return false
			}
		}
		return true
	}
}

// mixed reports whether a digit and a letter stand in s.
func mixed(s string) bool {
	return strings.ContainsAny(s, digits) && strings.ContainsAny(s, letters)
}

// luhn reports whether the digits of s have the check digit of ISO/IEC 7812-1.
func luhn(s string) bool {
	sum, double := 0, false
	for i := len(s) - 1; i >= 0; i-- {
		if !isDigit[s[i]] {
			continue
		}
		d := int(s[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		double = !double
	}
	return sum%10 == 0
}

// mod97 reports whether s has the check digits of an IBAN (ISO 13616, ISO/IEC
// 7064 MOD 97-10).
func mod97(s string) bool {
	s = strings.ReplaceAll(s, " ", "")
	if len(s) < 15 || len(s) > 34 {
		return false
	}
	rest := 0
	for _, c := range []byte(s[4:] + s[:4]) {
		switch {
		case isDigit[c]:
			rest = (rest*10 + int(c-'0')) % 97
		case 'A' <= c && c <= 'Z':
			rest = (rest*100 + int(c-'A') + 10) % 97
		default:
			return false
		}
	}
	return rest == 1
}

// jwtHeader reports whether s begins with the header of a JSON Web Token: an
// object that names an algorithm, in base64url (RFC 7515 section 4.1.1).
func jwtHeader(s string) bool {
	first, _, _ := strings.Cut(s, ".")
	b, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		return false
	}
	var header struct {
		Alg string `json:"alg"`
	}
	return json.Unmarshal(b, &header) == nil && header.Alg != ""
}

// basicAuth reports whether s is user and password as in RFC 7617.
func basicAuth(s string) bool {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil || !utf8.Valid(b) {
		return false
	}
	for _, r := range string(b) {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	i := strings.IndexByte(string(b), ':')
	return i >= 0 && len(b) > 2
}

// random reports whether s looks drawn rather than written: digits and letters
// alternate in a part of it that no sign divides, and no byte is much more
// frequent than the others. UUIDs and digests in hex are drawn too, but seldom
// secret.
func random(s string) bool {
	if entropy(s) < 3.2 || isDigest(s) || isUUID(s) {
		return false
	}
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if len(part) >= 10 && alternations(part) >= 3 && !isDigest(part) {
			return true
		}
	}
	return false
}

// alternations counts how often a digit follows a letter or a letter a digit.
func alternations(s string) (n int) {
	last := byte(0)
	for i := range len(s) {
		kind := byte(0)
		switch c := s[i]; {
		case isDigit[c]:
			kind = 'd'
		case isName[c] && c != '_':
			kind = 'l'
		}
		if kind != 0 && last != 0 && kind != last {
			n++
		}
		last = kind
	}
	return n
}

// entropy is that of the bytes of s, in bits a byte (Shannon 1948).
func entropy(s string) (bits float64) {
	var count [256]int
	for i := range len(s) {
		count[s[i]]++
	}
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(s))
			bits -= p * math.Log2(p)
		}
	}
	return bits
}

// isDigest reports whether s has the form of an MD5, SHA-1 (git) or SHA-2
// digest in hex.
func isDigest(s string) bool {
	switch len(s) {
	case 32, 40, 56, 64, 96, 128:
	default:
		return false
	}
	for i := range len(s) {
		if !isHex[s[i]] {
			return false
		}
	}
	return true
}

// isUUID reports whether s has the form of a UUID (RFC 9562).
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (s[i] == '-') || !dash && !isHex[s[i]] {
			return false
		}
	}
	return true
}
