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

	dropped bool      // the value read last has to be left out
	names   numbering // of names that had a secret in them
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

// text redacts a string that is JSON. It returns s if there is nothing to redact.
func (w *walk) text(s, rule string, at *place, depth, texts int) (string, change) {
	if !w.spend(len(s)) {
		return w.wrap(w.limit(at, ruleSize), texts), changed
	}
	t := text{s: s, texts: texts}
	for word := 0; ; {
		t.space()
		top := t.i
		if t.peek() != ':' && t.peek() != '=' {
			word = top
		}
		isJSON := rule != "" || mayBeJSON(s[top:])
		whole := isJSON && w.textValue(&t, rule, at, depth)
		if t.dropped {
			if texts == 0 {
				return `""`, dropped // the text is one value
			}
			t.empty(top)
		}
		if whole {
			continue
		}
		// What stands here, or behind what was redacted of it, is something else.
		// A string before a colon is the name of what is behind that.
		if rest := max(min(top, word), t.kept); rule == "" && rest < len(s) {
			if free, c := w.free(s[rest:], at, rest); c != same {
				return string(append(append(t.out, s[t.kept:rest]...), free...)), changed
			}
		}
		break
	}
	if t.kept == 0 {
		return s, same
	}
	return string(append(t.out, s[t.kept:]...)), changed
}

// wrap makes what stands in place of a text JSON where that has to be.
func (w *walk) wrap(s string, texts int) string {
	if texts == 0 {
		return `"` + s + `"`
	}
	return s
}

// textValue redacts the next value, and reports whether there was a whole one. If
// it sets t.dropped, the caller has to leave the value out.
func (w *walk) textValue(t *text, rule string, at *place, depth int) bool {
	t.space()
	start := t.i
	switch t.peek() {
	case '{', '[':
		if depth >= event.MaxDepth {
			whole := t.skip()
			t.replace(start, w.limit(at, ruleDepth))
			return whole
		}
		if t.s[t.i] == '{' {
			return w.textObject(t, rule, at, depth)
		}
		return w.textList(t, rule, at, depth)
	case '"':
		s, whole := t.string()
		switch s, c := w.leaf(s, rule, at, depth, t.texts); c {
		case changed:
			t.replace(start, s)
		case dropped:
			t.dropped = true
		}
		return whole
	}
	return w.textBare(t, rule, at)
}

func (w *walk) textObject(t *text, rule string, at *place, depth int) bool {
	t.i++
	here := place{in: at, index: -1}
	stays := false // a member before the next one
	pair := ""
	for {
		before := t.mark()
		t.separators()
		start := t.i
		switch t.peek() {
		case '}':
			t.i++
			return true
		case '"':
		default:
			return false
		}
		name, _ := t.string()
		end := t.i
		t.space()
		if t.peek() != ':' {
			return false
		}
		t.i++
		if isPairName(name) && pair == "" {
			pair = w.pairRule(t.ahead())
		} else if pair == "" && (name == "value" || name == "Value") {
			pair = w.pairAhead(*t)
		}
		if strings.Contains(name, maskOpen) {
			t.names.next(name)
		}
		here.name = name
		if w.isSecret(name) {
			shown, keep := w.rename(name, &t.names, nil)
			here.name = shown
			w.noteSpans(&here, 0)
			if !keep {
				whole := t.skipValue()
				t.leaveOut(before, start, stays)
				if !whole {
					return false
				}
				continue
			}
			t.replaceAt(start, end, shown)
		}
		whole := w.textValue(t, w.ruleFor(rule, pair, name, &here), &here, depth+1)
		if t.dropped {
			t.leaveOut(before, start, stays)
		} else {
			stays = true
		}
		if !whole {
			return false
		}
	}
}

// maxAhead is how many members are read ahead of the value of a pair for the name
// of it.
const maxAhead = 4

// pairAhead returns the rule for the value that is next, by a name that comes
// behind it.
func (w *walk) pairAhead(t text) string {
	if t.ahead() == "" {
		return ""
	}
	for range maxAhead {
		t.space()
		if t.peek() == '"' {
			t.string()
		}
		if t.separators(); t.peek() != '"' {
			return ""
		}
		name, _ := t.string()
		if t.space(); t.peek() != ':' {
			return ""
		}
		t.i++
		if isPairName(name) {
			return w.pairRule(t.ahead())
		}
	}
	return ""
}

// ahead returns the string that is next, or nothing.
func (t text) ahead() string {
	if t.space(); t.peek() != '"' {
		return ""
	}
	s, _ := t.string()
	return s
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
		start := t.i
		whole := w.textValue(t, rule, &here, depth+1)
		if t.dropped {
			t.empty(start)
		}
		if !whole {
			return false
		}
		here.index++
	}
}

// textBare reads what stands without quotes: a number, true, false or null. Where
// a secret is expected, anything else is taken for one.
func (w *walk) textBare(t *text, rule string, at *place) bool {
	start := t.i
	t.bare()
	word := t.s[start:t.i]
	if word == "" {
		return false
	}
	if rule == "" {
		return true
	}
	if word == "true" || word == "false" || word == "null" || strings.Trim(word, "0123456789+-.eE") == "" {
		w.stays(at, rule, staysNumber)
		return true
	}
	switch s, c := w.redact(at, rule, word); c {
	case changed:
		t.replace(start, s)
	case dropped:
		t.dropped = true
	}
	return true
}

// bare passes over what stands without quotes.
func (t *text) bare() {
	for t.i < len(t.s) && strings.IndexByte(" \t\n\r,:{}[]\"", t.s[t.i]) < 0 {
		t.i++
	}
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

// skipValue passes over the next value, and reports whether there was a whole one.
func (t *text) skipValue() bool {
	t.space()
	switch t.peek() {
	case '{', '[':
		return t.skip()
	case '"':
		_, whole := t.string()
		return whole
	}
	start := t.i
	t.bare()
	return t.i > start
}

// replace puts the string s in the place of what was read since start.
func (t *text) replace(start int, s string) { t.replaceAt(start, t.i, s) }

func (t *text) replaceAt(start, end int, s string) {
	t.out = append(t.out, t.s[t.kept:start]...)
	t.kept = end
	// What is no UTF-8 here would be refused wherever it is recorded.
	quoted, err := event.AppendJSON(t.out, strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil {
		quoted = append(t.out, `"`+Mask+`"`...)
	}
	t.out = quoted
}

// empty puts the empty string in the place of a value that has to be left out of
// where it would be missed.
func (t *text) empty(start int) {
	t.replace(start, "")
	t.dropped = false
}

// mark is how far a text was read and written.
type mark struct{ i, kept, out int }

func (t *text) mark() mark { return mark{t.i, t.kept, len(t.out)} }

// leaveOut leaves out the member that was read since start, and one of the commas
// beside it. stays says that there is a member before it in the object, behind
// which the mark was taken.
func (t *text) leaveOut(before mark, start int, stays bool) {
	t.dropped = false
	t.kept, t.out = before.kept, t.out[:before.out]
	if stays {
		start = before.i
	}
	t.out = append(t.out, t.s[t.kept:start]...)
	if !stays {
		t.separators()
	}
	t.kept = t.i
}
