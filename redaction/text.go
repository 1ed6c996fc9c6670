package redaction

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/custodylog/custody/event"
)

// text redacts JSON as it was written: all bytes but those of redacted values
// stay as they are, with their spaces, digits, order and duplicate names.
//
// It is lenient, since a program may have cut the text short or put a line of
// something else behind it. It redacts up to where the text stops to look like
// JSON; several texts one after the other are one after the other redacted.
type text struct {
	s     string
	i     int    // what is next in s
	out   []byte // what replaces s[:kept]
	kept  int
	texts int // strings of JSON around it, this one included
}

// mayBeJSON reports whether s begins as an object, a list or a string does.
func mayBeJSON(s string) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ', '\t', '\n', '\r':
		case '{', '[', '"':
			return true
		default:
			return false
		}
	}
	return false
}

// text redacts a string that is JSON. It returns s and false if there is
// nothing to redact.
func (w *walk) text(s, rule string, at *place, depth, texts int) (string, bool) {
	t := text{s: s, texts: texts}
	for word := 0; ; {
		t.space()
		top := t.i
		if t.peek() != ':' && t.peek() != '=' {
			word = top
		}
		if rule == "" && !mayBeJSON(s[top:]) || !w.textValue(&t, rule, at, depth) {
			// What stands here, or behind what was redacted of it, is
			// something else.
			// A string before a colon is the name of what is behind that.
			if rest := max(min(top, word), t.kept); rule == "" && rest < len(s) {
				if free, changed := w.free(s[rest:], at); changed {
					return string(append(append(t.out, s[t.kept:rest]...), free...)), true
				}
			}
			break
		}
	}
	if t.out == nil {
		return s, false
	}
	return string(append(t.out, s[t.kept:]...)), true
}

// textValue redacts the next value, and reports whether there was a whole one.
func (w *walk) textValue(t *text, rule string, at *place, depth int) bool {
	t.space()
	start := t.i
	switch t.peek() {
	case '{', '[':
		if depth >= event.MaxDepth {
			whole := t.skip()
			t.replace(start, w.mask(at, ruleDepth))
			return whole
		}
		if t.s[t.i] == '{' {
			return w.textObject(t, rule, at, depth)
		}
		return w.textList(t, rule, at, depth)
	case '"':
		s, whole := t.string()
		if s, changed := w.leaf(s, rule, at, depth, t.texts); changed {
			t.replace(start, s)
		}
		return whole
	}
	return w.textBare(t, rule, at)
}

func (w *walk) textObject(t *text, rule string, at *place, depth int) bool {
	t.i++
	here := place{in: at, index: -1}
	for {
		t.separators()
		switch t.peek() {
		case '}':
			t.i++
			return true
		case '"':
		default:
			return false
		}
		name, _ := t.string()
		t.space()
		if t.peek() != ':' {
			return false
		}
		t.i++
		here.name = name
		if !w.textValue(t, w.ruleFor(rule, name), &here, depth+1) {
			return false
		}
	}
}

func (w *walk) textList(t *text, rule string, at *place, depth int) bool {
	t.i++
	here := place{in: at}
	for {
		t.separators()
		if t.peek() == ']' {
			t.i++
			return true
		}
		if !w.textValue(t, rule, &here, depth+1) {
			return false
		}
		here.index++
	}
}

// textBare reads what stands without quotes: a number, true, false or null. Where
// a secret is expected, anything else is taken for one.
func (w *walk) textBare(t *text, rule string, at *place) bool {
	start := t.i
	for t.i < len(t.s) && !strings.ContainsRune(" \t\n\r,:{}[]\"", rune(t.s[t.i])) {
		t.i++
	}
	word := t.s[start:t.i]
	if word == "" {
		return false
	}
	if rule == "" || word == "true" || word == "false" || word == "null" {
		return true
	}
	if strings.Trim(word, "0123456789+-.eE") != "" {
		t.replace(start, w.mask(at, rule))
	}
	return true
}

// peek returns the next byte, 0 at the end.
func (t *text) peek() byte {
	if t.i < len(t.s) {
		return t.s[t.i]
	}
	return 0
}

func (t *text) space() {
	for t.i < len(t.s) && (t.s[t.i] == ' ' || t.s[t.i] == '\n' || t.s[t.i] == '\t' || t.s[t.i] == '\r') {
		t.i++
	}
}

func (t *text) separators() {
	for t.space(); t.peek() == ','; t.space() {
		t.i++
	}
}

// skip passes over a list or an object.
func (t *text) skip() bool {
	open := 0
	for t.i < len(t.s) {
		switch t.s[t.i] {
		case '"':
			t.string()
			continue
		case '{', '[':
			open++
		case '}', ']':
			open--
		}
		t.i++
		if open == 0 {
			return true
		}
	}
	return false
}

// string reads the string whose opening quote is next, and reports whether it
// has a closing one. Escapes that JSON does not have stay as they are.
func (t *text) string() (string, bool) {
	t.i++
	start := t.i
	var out []byte // what was read so far, once there is an escape
	for {
		n := strings.IndexAny(t.s[t.i:], `"\`)
		if n < 0 {
			t.i = len(t.s)
			return string(append(out, t.s[start:]...)), false
		}
		t.i += n
		if t.s[t.i] == '"' {
			t.i++
			if out == nil {
				return t.s[start : t.i-1], true
			}
			return string(append(out, t.s[start:t.i-1]...)), true
		}
		out = append(out, t.s[start:t.i]...)
		r, size := unescape(t.s[t.i:])
		out = utf8.AppendRune(out, r)
		t.i += size
		start = t.i
	}
}

// unescape reads the escape sequence at the start of s.
func unescape(s string) (r rune, size int) {
	if len(s) < 2 {
		return '\\', 1
	}
	switch s[1] {
	case '"', '\\', '/':
		return rune(s[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r, ok := hex4(s[2:])
		if !ok {
			break
		}
		if utf16.IsSurrogate(r) {
			if strings.HasPrefix(s[6:], `\u`) {
				low, _ := hex4(s[8:])
				if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
					return full, 12
				}
			}
			return utf8.RuneError, 6
		}
		return r, 6
	}
	return '\\', 1
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:4], 16, 16)
	return rune(n), err == nil
}

// replace puts the string s in the place of what was read since start.
func (t *text) replace(start int, s string) {
	t.out = append(t.out, t.s[t.kept:start]...)
	t.kept = t.i
	// What is no UTF-8 here would be refused wherever it is recorded.
	quoted, err := event.AppendJSON(t.out, strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil {
		quoted = append(t.out, `"`+Mask+`"`...)
	}
	t.out = quoted
}
