package redaction

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/custodylog/custody/redaction/detector"
)

// maxSearched bounds how many bytes of one event are searched for secrets, several
// times what a payload may have. Strings beyond are redacted whole.
const maxSearched = 8 << 20

// span is a secret in a text.
type span struct {
	start, end int
	rule       string
}

// rulePrefix is what the rules of detectors begin with.
const rulePrefix = "value:"

// free redacts a text that is not JSON: secrets that have a form of their own, and
// values that are assigned to a name that says secret. It returns s and false if
// there is nothing to redact.
func (w *walk) free(s string, at *place) (string, bool) {
	if w.searched += len(s); w.searched > maxSearched {
		return w.mask(at, ruleSize), true
	}
	w.spans = w.spans[:0]
	w.search(s, 0, 0)
	w.encoded(s)
	if len(w.spans) == 0 {
		return s, false
	}
	slices.SortStableFunc(w.spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end)) })
	out := make([]byte, 0, len(s))
	done := 0
	for i := 0; i < len(w.spans); {
		x := w.spans[i]
		for i++; i < len(w.spans) && w.spans[i].start < x.end; i++ {
			x.end = max(x.end, w.spans[i].end)
		}
		out = append(out, s[done:x.start]...)
		out = append(out, w.mask(at, x.rule)...)
		done = x.end
	}
	return string(append(out, s[done:]...)), true
}

// search adds the secrets of a text to the spans. They are noted as from to to, if
// to is not 0, and where they stand otherwise.
func (w *walk) search(s string, from, to int) {
	add := func(start, end int, rule string) {
		if s[start:end] == Mask || strings.HasPrefix(s[start:], Mask) {
			return
		}
		if to > 0 {
			start, end = from, to
		}
		w.spans = append(w.spans, span{start, end, rule})
	}
	w.matches = w.set.Find(w.matches[:0], s)
	for _, m := range w.matches {
		add(m.Start, m.End, w.ruleOf(m.Detector))
	}
	a := assignments{s: s, names: w.names}
	for a.next() {
		add(a.start, a.end, a.rule)
	}
}

// ruleOf returns the rule of a detector without making a new string each time.
func (w *walk) ruleOf(name string) string { return w.rules[name] }

// rulesOf names the rules of detectors.
func rulesOf(ds []detector.Detector) map[string]string {
	rules := make(map[string]string, len(ds))
	for _, d := range ds {
		rules[d.Name] = rulePrefix + d.Name
	}
	return rules
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
		w.search(string(decoded), start, i)
	}
}

// isText reports whether base64 begins with printable text.
func isText(enc *base64.Encoding, run string) bool {
	var room [peekedAt]byte
	n, err := enc.Decode(room[:], []byte(run))
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
