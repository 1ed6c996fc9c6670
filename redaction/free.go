package redaction

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"
	"unicode/utf8"
)

// span is a secret in a text.
type span struct {
	start, end int
	rule       string
	encoded    string // the secret itself, where the span is base64 with that inside
	method     Method
}

// maxRounds is how often a text is searched until nothing more is found: what
// stands behind a secret may look otherwise once that is gone.
const maxRounds = 4

// free redacts a text that is not JSON: secrets that have a form of their own, and
// values that are given to a name that says secret. It returns s if there is
// nothing to redact. The text begins at offset in the string at that place.
func (w *walk) free(s string, at *place, offset int) (string, change) {
	if !w.spend(len(s)) {
		return w.limit(at, ruleSize), changed
	}
	for round := range maxRounds {
		w.spans = w.spans[:0]
		w.forms(s)
		w.given(s)
		w.encoded(s)
		switch {
		case len(w.spans) > 0:
		case round == 0:
			return s, same
		default:
			return s, changed
		}
		s = w.cut(s)
		if round > 0 {
			offset = -1
		}
		w.noteSpans(at, offset)
	}
	return w.limit(at, w.spans[0].rule), changed
}

// forms adds to the spans what detectors find in a text.
func (w *walk) forms(s string) {
	w.matches = w.set.Find(w.matches[:0], s)
	for _, m := range w.matches {
		w.add(s, m.Start, m.End, w.rules[m.Detector])
	}
}

// given adds to the spans what a text gives to names that say secret.
func (w *walk) given(s string) {
	a := assignments{s: s, names: w.names}
	for a.next() {
		w.add(s, a.start, a.end, a.rule)
	}
}

// add adds a span, unless it was redacted already or the rules allow it.
func (w *walk) add(s string, start, end int, rule string) {
	for {
		n := maskedLen(s[start:end])
		if start += n; start == end {
			return
		}
		if n == 0 {
			break
		}
	}
	// The longest masked form is that of an HMAC. In the middle of one there may
	// be what looks like a secret.
	before := max(0, start-len(hmacOpen)-hmacDigits)
	if i := strings.LastIndex(s[before:start], maskOpen); i >= 0 && before+i+maskedLen(s[before+i:]) >= end {
		return
	}
	if w.allows(s[start:end]) {
		return
	}
	w.spans = append(w.spans, span{start: start, end: end, rule: rule})
}

// cut returns s with something else in place of the spans, or without them. It
// joins those that overlap, and says how each was redacted.
func (w *walk) cut(s string) string {
	slices.SortStableFunc(w.spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end)) })
	out := make([]byte, 0, len(s)+len(Mask))
	done := 0
	joined := w.spans[:0]
	for i := 0; i < len(w.spans); {
		x := w.spans[i]
		for i++; i < len(w.spans) && w.spans[i].start < x.end; i++ {
			x.end = max(x.end, w.spans[i].end)
		}
		var in string
		if x.encoded == "" {
			in, x.method = w.replace(x.rule, s[x.start:x.end])
		} else if in, x.method = w.replace(x.rule, x.encoded); x.method == MethodPartial {
			in, x.method = Mask, MethodMask // the last of it are not those of the secret
		}
		out = append(append(out, s[done:x.start]...), in...)
		done = x.end
		joined = append(joined, x)
	}
	w.spans = joined
	return string(append(out, s[done:]...))
}

// noteSpans lists what was cut out of a text, which begins at offset in the string
// at that place; negative, if that is not known any more.
func (w *walk) noteSpans(at *place, offset int) {
	for _, x := range w.spans {
		r := redacted{rule: x.rule, method: x.method}
		if offset >= 0 {
			r.start, r.end = offset+x.start, offset+x.end
		}
		w.note(at, r)
	}
}

// Limits of what is taken for text in base64.
const (
	minEncoded = 24
	peekedAt   = 48 // characters that tell whether it is text
)

// encoded looks into runs of base64 that are text. A run in which there is a secret
// is redacted as a whole.
func (w *walk) encoded(s string) {
	for i := 0; i < len(s); {
		if base64Class[s[i]] == 0 {
			i++
			continue
		}
		start := i
		var classes uint8
		for i < len(s) && base64Class[s[i]] != 0 {
			classes |= base64Class[s[i]]
			i++
		}
		if i-start < minEncoded || classes&3 == 3 {
			continue // short, or of both alphabets, such as a path
		}
		run := s[start:i]
		if strings.HasPrefix(run, "eyJ") && i < len(s) && s[i] == '.' {
			continue // a JSON web token, which has a detector
		}
		enc := base64.RawStdEncoding
		if classes&2 != 0 {
			enc = base64.RawURLEncoding
		}
		if !isText(enc, run[:min(len(run), peekedAt)/4*4]) {
			continue
		}
		decoded, err := enc.DecodeString(run[:len(run)-len(run)%4+[4]int{0, 0, 2, 3}[len(run)%4]])
		if err != nil || !utf8.Valid(decoded) {
			continue
		}
		n := len(w.spans)
		text := string(decoded)
		w.forms(text)
		w.given(text)
		if len(w.spans) > n {
			x := w.spans[n]
			w.spans = append(w.spans[:n], span{start: start, end: i, rule: x.rule, encoded: text[x.start:x.end]})
		}
	}
}

// isText reports whether base64 begins with printable text.
func isText(enc *base64.Encoding, run string) bool {
	var room, src [peekedAt]byte
	n, err := enc.Decode(room[:], src[:copy(src[:], run)])
	if err != nil {
		return false
	}
	for _, c := range room[:n] {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return n > 0
}

// base64Class is 1 for what only the standard alphabet has, 2 for what only that
// for URLs has, 4 for what both have.
var base64Class = func() (class [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		class[c] = 4
	}
	for c := 'a'; c <= 'z'; c++ {
		class[c], class[c-'a'+'A'] = 4, 4
	}
	class['+'], class['/'], class['-'], class['_'] = 1, 1, 2, 2
	return class
}()
