package textsearch

import (
	"encoding/binary"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Each byte of a word of eight.
const (
	ones = 0x0101010101010101
	high = 0x80 * ones
)

// appendLower appends what bytes.ToLower makes of b. Payloads are nearly all ASCII, so
// that goes eight bytes at a time.
func appendLower(dst, b []byte) []byte {
	dst = slices.Grow(dst, len(b))
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		if w&high != 0 {
			dst, b = lowerRunes(dst, b)
			continue
		}
		// The high bit of a byte is set where it is at or behind A, and not behind Z.
		// No byte carries into the next one, since none is above 0x7f.
		upper := (w + (0x80-'A')*ones) &^ (w + (0x80-'Z'-1)*ones) & high
		dst = binary.LittleEndian.AppendUint64(dst, w|upper>>2)
		b = b[8:]
	}
	for len(b) > 0 {
		c := b[0]
		switch {
		case c >= utf8.RuneSelf:
			dst, b = lowerRunes(dst, b)
			continue
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		dst, b = append(dst, c), b[1:]
	}
	return dst
}

// lowerRunes goes on up to behind the next character that is not ASCII, and those that
// follow it without a gap. It returns what is left.
func lowerRunes(dst, b []byte) (lower, rest []byte) {
	seen := false
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r < utf8.RuneSelf && seen {
			break
		}
		seen = seen || r >= utf8.RuneSelf
		dst, b = utf8.AppendRune(dst, unicode.ToLower(r)), b[n:]
	}
	return dst, b
}
