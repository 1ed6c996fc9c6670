package event

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// SyntaxError says where a JSON text is malformed, and how.
type SyntaxError struct {
	Offset  int // byte offset from 0
	Problem string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("malformed JSON at byte %d: %s", e.Offset, e.Problem)
}

// scanner reads JSON (RFC 8259) strictly. Beyond the grammar it refuses
// invalid UTF-8, surrogates without their partner, duplicate names and nesting
// deeper than MaxDepth. Strings it returns share the memory of b.
type scanner struct {
	b string
	i int

	// noReplacement refuses the escape \ufffd.
	noReplacement bool
}

func (s *scanner) fail(at int, problem string) *SyntaxError {
	return &SyntaxError{Offset: at, Problem: problem}
}

// unexpected is the error for the byte at i, where want was wanted.
func (s *scanner) unexpected(want string) *SyntaxError {
	if s.i >= len(s.b) {
		return s.fail(len(s.b), "it ends where "+want+" should be; was it cut off?")
	}
	return s.fail(s.i, fmt.Sprintf("%q where %s should be", s.b[s.i:s.i+1], want))
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// take consumes c if it is next.
func (s *scanner) take(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// document reads one value with nothing but space around it.
func (s *scanner) document() (any, error) {
	v, err := s.value(0)
	if err != nil {
		return nil, err
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	return v, nil
}

func (s *scanner) end() *SyntaxError {
	s.space()
	if s.i < len(s.b) {
		return s.unexpected("the end of the text")
	}
	return nil
}

// value reads a value that stands inside depth containers: nil, bool, string,
// json.Number, []any or map[string]any.
func (s *scanner) value(depth int) (any, *SyntaxError) {
	s.space()
	if s.i >= len(s.b) {
		return nil, s.unexpected("a value")
	}
	switch c := s.b[s.i]; c {
	case '"':
		return boxed(s.text())
	case '{':
		return boxed(s.object(depth))
	case '[':
		return boxed(s.array(depth))
	case 't':
		return true, s.word("true")
	case 'f':
		return false, s.word("false")
	case 'n':
		return nil, s.word("null")
	}
	n := numberLen(s.b[s.i:])
	if n == 0 {
		return nil, s.unexpected("a value")
	}
	s.i += n
	return json.Number(s.b[s.i-n : s.i]), nil
}

func boxed[T any](v T, err *SyntaxError) (any, *SyntaxError) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (s *scanner) word(w string) *SyntaxError {
	if !strings.HasPrefix(s.b[s.i:], w) {
		return s.unexpected("a value")
	}
	s.i += len(w)
	return nil
}

func (s *scanner) array(depth int) ([]any, *SyntaxError) {
	if depth >= MaxDepth {
		return nil, s.fail(s.i, problemDepth)
	}
	s.i++
	a := []any{}
	s.space()
	if s.take(']') {
		return a, nil
	}
	for {
		v, err := s.value(depth + 1)
		if err != nil {
			return nil, err
		}
		a = append(a, v)
		s.space()
		if s.take(']') {
			return a, nil
		}
		if !s.take(',') {
			return nil, s.unexpected("',' or ']'")
		}
	}
}

func (s *scanner) object(depth int) (map[string]any, *SyntaxError) {
	m := map[string]any{}
	err := s.members(depth, func(name string, at int) *SyntaxError {
		if _, dup := m[name]; dup {
			return s.duplicate(name, at)
		}
		v, err := s.value(depth + 1)
		if err != nil {
			return err
		}
		m[name] = v
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (s *scanner) duplicate(name string, at int) *SyntaxError {
	return s.fail(at, fmt.Sprintf("the name %q stands twice in one object, and readers differ in which one counts; send it once", short(name)))
}

// members reads an object; read is called after each name and has to read the
// value.
func (s *scanner) members(depth int, read func(name string, at int) *SyntaxError) *SyntaxError {
	if depth >= MaxDepth {
		return s.fail(s.i, problemDepth)
	}
	if !s.take('{') {
		return s.unexpected("'{'")
	}
	s.space()
	if s.take('}') {
		return nil
	}
	for {
		s.space()
		at := s.i
		if at >= len(s.b) || s.b[at] != '"' {
			return s.unexpected("a name in quotes")
		}
		name, err := s.text()
		if err != nil {
			return err
		}
		s.space()
		if !s.take(':') {
			return s.unexpected("':'")
		}
		if err := read(name, at); err != nil {
			return err
		}
		s.space()
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.unexpected("',' or '}'")
		}
	}
}

// opensText reports whether a string comes next.
func (s *scanner) opensText() bool {
	s.space()
	return s.i < len(s.b) && s.b[s.i] == '"'
}

// text reads the string whose opening quote is next.
func (s *scanner) text() (string, *SyntaxError) {
	open := s.i
	s.i++
	start := s.i
	var out []byte // what was read so far, once there is an escape
	for {
		s.i += plainLen(s.b[s.i:])
		if s.i >= len(s.b) {
			return "", s.fail(open, "a string that begins here never ends; was it cut off?")
		}
		switch c := s.b[s.i]; {
		case c == '"':
			part := s.b[start:s.i]
			s.i++
			if out == nil {
				return part, nil
			}
			return string(append(out, part...)), nil
		case c == '\\':
			out = append(out, s.b[start:s.i]...)
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
			start = s.i
		case c < 0x20:
			return "", s.fail(s.i, fmt.Sprintf("the control character %#02x inside a string; write it as \\u00%02x", c, c))
		default:
			r, size := utf8.DecodeRuneInString(s.b[s.i:])
			if r == utf8.RuneError && size == 1 {
				return "", s.fail(s.i, "the string is "+problemUTF8)
			}
			s.i += size
		}
	}
}

// escape reads the escape sequence that is next.
func (s *scanner) escape() (rune, *SyntaxError) {
	at := s.i
	if at+1 >= len(s.b) {
		return 0, s.fail(at, "it ends inside an escape sequence; was it cut off?")
	}
	s.i += 2
	switch s.b[at+1] {
	case '"', '\\', '/':
		return rune(s.b[at+1]), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, ok := hex4(s.b[s.i:])
		if !ok {
			return 0, s.fail(at, "\\u needs four hex digits")
		}
		s.i += 4
		if utf16.IsSurrogate(r) {
			if strings.HasPrefix(s.b[s.i:], `\u`) {
				if low, ok := hex4(s.b[s.i+2:]); ok {
					if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
						s.i += 6
						return full, nil
					}
				}
			}
			return 0, s.fail(at, "half of a surrogate pair, which is not a character; was the text cut in the middle of one?")
		}
		if r == utf8.RuneError && s.noReplacement {
			return 0, s.fail(at, "a string is "+problemUTF8)
		}
		return r, nil
	}
	return 0, s.fail(at, fmt.Sprintf("%q is not an escape sequence", s.b[at:at+2]))
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var r rune
	for i := 0; i < 4; i++ {
		c := lower(s[i])
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// numberLen returns the length of the JSON number at the start of s, or 0.
func numberLen(s string) int {
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	switch n := digitsLen(s[i:]); {
	case n == 0:
		return 0
	case s[i] == '0':
		i++ // a zero ends the integer part
	default:
		i += n
	}
	if i < len(s) && s[i] == '.' {
		n := digitsLen(s[i+1:])
		if n == 0 {
			return 0
		}
		i += 1 + n
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		n := digitsLen(s[j:])
		if n == 0 {
			return 0
		}
		i = j + n
	}
	return i
}

func digitsLen(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// short cuts what is quoted in a message.
func short(s string) string {
	const limit = 64
	if len(s) <= limit {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.ToValidUTF8(s[:limit], "") + "… (" + strconv.Itoa(len(s)) + " bytes)"
}
