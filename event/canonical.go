package event

import (
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may be nested in a payload, the
// payload itself and its details included.
const MaxDepth = 128

// TimeLayout is how the payload writes times: UTC, exactly six digits.
const TimeLayout = "2006-01-02T15:04:05.000000Z"

// FieldError says which value cannot be encoded or read, why, and what to do
// about it. Nothing is written when it is returned.
type FieldError struct {
	Pointer string // JSON Pointer (RFC 6901), such as /details/count; empty for the whole value
	Problem string
}

func (e *FieldError) Error() string {
	if e.Pointer == "" {
		return "the value: " + e.Problem
	}
	return e.Pointer + ": " + e.Problem
}

// in puts one member name or array index before the pointer.
func (e *FieldError) in(name string) *FieldError {
	if !utf8.ValidString(name) {
		name = strings.ToValidUTF8(name, "\uFFFD")
	}
	if strings.ContainsAny(name, "~/") {
		name = strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	}
	e.Pointer = "/" + name + e.Pointer
	return e
}

func refuse(problem string) *FieldError { return &FieldError{Problem: problem} }

const (
	problemUTF8  = "not valid UTF-8, and other bytes have no place in JSON; send it as base64 or hex"
	problemKey   = "the name is not valid UTF-8, and other bytes have no place in JSON; use another name"
	problemNaN   = "NaN and infinity are not JSON numbers; leave the member out or send a string"
	problemYear  = "the year is outside 0000 to 9999, which RFC 3339 cannot write; leave the time out or send it as a string in details"
	problemRange = "too large for a float64, which is what JSON readers use; send it as a string"
)

var problemDepth = fmt.Sprintf("nested deeper than %d levels; flatten it or send the inner part as a string", MaxDepth)

func problemInexact(number string) string {
	if len(number) > 64 {
		number = number[:64] + "…"
	}
	return "the number " + number + " is not exact as a float64, so readers of the trail could see another number; send it as a string"
}

// AppendPayload appends the payload of the event to dst: its canonical JSON
// (RFC 8785), members sorted by name and empty ones left out. Times are
// written in UTC and cut to microseconds.
//
// It encodes what is there: it neither fills nor checks members, which is what
// [Event.Normalize] does. A value that JSON readers would disagree on is
// refused with a [*FieldError], and dst is returned as it was. It does not
// allocate, beyond growing dst, for details of JSON kinds and at most 32
// members per object.
//
// Details may hold nil, bool, string, [json.Number], any Go integer or float,
// [time.Time] (written as TimeLayout), error (its text), []any, []string,
// map[string]any, map[string]string, [json.RawMessage], and whatever else
// [json.Marshal] accepts.
func (e *Event) AppendPayload(dst []byte) ([]byte, error) {
	out, err := e.appendPayload(dst)
	if err != nil {
		return dst, err
	}
	return out, nil
}

func (e *Event) appendPayload(dst []byte) ([]byte, *FieldError) {
	var err *FieldError
	start := len(dst)
	dst = append(dst, '{')
	if dst, err = appendMember(dst, "action_id", e.ActionID); err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, "agent_id", e.AgentID); err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, "correlation_id", e.CorrelationID); err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, "decision", string(e.Decision)); err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, "decision_source", string(e.DecisionSource)); err != nil {
		return nil, err
	}
	if len(e.Defects) > 0 {
		dst = append(dst, `"defects":`...)
		if dst, err = appendStrings(dst, e.Defects); err != nil {
			return nil, err.in("defects")
		}
		dst = append(dst, ',')
	}
	if len(e.Details) > 0 {
		dst = append(dst, `"details":`...)
		if dst, err = appendObject(dst, e.Details, 1); err != nil {
			return nil, err.in("details")
		}
		dst = append(dst, ',')
	}
	if dst, err = appendMember(dst, "event_type", string(e.Type)); err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, "id", e.ID); err != nil {
		return nil, err
	}
	if dst, err = appendTimeMember(dst, "occurred_at", e.OccurredAt); err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, "outcome", string(e.Outcome)); err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, "parent_id", e.ParentID); err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, "principal", e.Principal); err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, "project_id", e.ProjectID); err != nil {
		return nil, err
	}
	if len(e.Redactions) > 0 {
		dst = append(dst, `"redactions":`...)
		if dst, err = appendRedactions(dst, e.Redactions); err != nil {
			return nil, err.in("redactions")
		}
		dst = append(dst, ',')
	}
	if dst, err = appendMember(dst, "session_id", e.SessionID); err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, "severity", string(e.Severity)); err != nil {
		return nil, err
	}
	if e.Signature != nil {
		dst = append(dst, `"signature":`...)
		if dst, err = appendSignature(dst, e.Signature); err != nil {
			return nil, err.in("signature")
		}
		dst = append(dst, ',')
	}
	if dst, err = appendMember(dst, "source", e.Source); err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, "source_run", e.SourceRun); err != nil {
		return nil, err
	}
	if e.SourceSeq != nil {
		dst = append(dst, `"source_seq":`...)
		if dst, err = appendUint(dst, *e.SourceSeq); err != nil {
			return nil, err.in("source_seq")
		}
		dst = append(dst, ',')
	}
	if dst, err = appendMember(dst, "span_id", e.SpanID); err != nil {
		return nil, err
	}
	if dst, err = appendTimeMember(dst, "timestamp", e.Timestamp); err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, "trace_id", e.TraceID); err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, "user_id", e.UserID); err != nil {
		return nil, err
	}
	if len(dst) == start+1 {
		return append(dst, '}'), nil
	}
	dst[len(dst)-1] = '}'
	return dst, nil
}

// appendMember appends `"name":"value",`, or nothing for an empty value.
func appendMember(dst []byte, name, value string) ([]byte, *FieldError) {
	if value == "" {
		return dst, nil
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	dst, ok := appendString(dst, value)
	if !ok {
		return nil, refuse(problemUTF8).in(name)
	}
	return append(dst, ','), nil
}

// zeroUnix is the Unix time of the zero [time.Time].
const zeroUnix = -62135596800

func appendTimeMember(dst []byte, name string, t time.Time) ([]byte, *FieldError) {
	if t.Unix() == zeroUnix && t.Nanosecond() < 1000 {
		return dst, nil // zero, or zero once cut to microseconds
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	dst, ok := appendTime(dst, t)
	if !ok {
		return nil, refuse(problemYear).in(name)
	}
	return append(dst, ','), nil
}

func appendStrings(dst []byte, v []string) ([]byte, *FieldError) {
	dst = append(dst, '[')
	for i, s := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		var ok bool
		if dst, ok = appendString(dst, s); !ok {
			return nil, refuse(problemUTF8).in(strconv.Itoa(i))
		}
	}
	return append(dst, ']'), nil
}

func appendRedactions(dst []byte, v []Redaction) ([]byte, *FieldError) {
	dst = append(dst, '[')
	for i := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		for _, m := range [...]struct{ open, name, value string }{
			{`{"method":`, "method", v[i].Method},
			{`,"pointer":`, "pointer", v[i].Pointer},
			{`,"rule":`, "rule", v[i].Rule},
		} {
			dst = append(dst, m.open...)
			var ok bool
			if dst, ok = appendString(dst, m.value); !ok {
				return nil, refuse(problemUTF8).in(m.name).in(strconv.Itoa(i))
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, ']'), nil
}

// AppendJSON appends the canonical JSON (RFC 8785) of one value of the kinds
// that Details may hold. Errors are as for [Event.AppendPayload].
func AppendJSON(dst []byte, v any) ([]byte, error) {
	out, err := appendValue(dst, v, 0)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// Canonicalize appends the canonical form (RFC 8785) of a JSON text. Malformed
// text, duplicate names and invalid UTF-8 are refused with a [*SyntaxError],
// numbers that a float64 does not hold with a [*FieldError]; dst is then
// returned as it was.
//
// An integer has to be exact. A fraction may have up to 17 significant digits,
// which is what names one float64; longer ones have to be exact.
func Canonicalize(dst, json []byte) ([]byte, error) {
	s := scanner{b: string(json)}
	v, err := s.document()
	if err != nil {
		return dst, err
	}
	return AppendJSON(dst, v)
}

// appendValue appends v, which stands inside depth containers.
func appendValue(dst []byte, v any, depth int) ([]byte, *FieldError) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case string:
		return appendText(dst, v)
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int:
		return appendInt(dst, int64(v))
	case float64:
		return appendFloat(dst, v)
	case json.Number:
		return appendNumber(dst, string(v))
	case map[string]any:
		if v == nil {
			return append(dst, "null"...), nil
		}
		return appendObject(dst, v, depth)
	case []any:
		if v == nil {
			return append(dst, "null"...), nil
		}
		if depth >= MaxDepth {
			return nil, refuse(problemDepth)
		}
		dst = append(dst, '[')
		for i, x := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err *FieldError
			if dst, err = appendValue(dst, x, depth+1); err != nil {
				return nil, err.in(strconv.Itoa(i))
			}
		}
		return append(dst, ']'), nil
	case []string:
		if v == nil {
			return append(dst, "null"...), nil
		}
		if depth >= MaxDepth {
			return nil, refuse(problemDepth)
		}
		return appendStrings(dst, v)
	case map[string]string:
		if v == nil {
			return append(dst, "null"...), nil
		}
		m := make(map[string]any, len(v))
		for k, s := range v {
			m[k] = s
		}
		return appendObject(dst, m, depth)
	case int64:
		return appendInt(dst, v)
	case int32:
		return appendInt(dst, int64(v))
	case int16:
		return appendInt(dst, int64(v))
	case int8:
		return appendInt(dst, int64(v))
	case uint:
		return appendUint(dst, uint64(v))
	case uint64:
		return appendUint(dst, v)
	case uint32:
		return appendUint(dst, uint64(v))
	case uint16:
		return appendUint(dst, uint64(v))
	case uint8:
		return appendUint(dst, uint64(v))
	case uintptr:
		return appendUint(dst, uint64(v))
	case float32:
		// The shortest decimal that names the float32, as encoding/json has it.
		f, err := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
		if err != nil {
			return nil, refuse(problemNaN)
		}
		return appendFloat(dst, f)
	case time.Time:
		dst, ok := appendTime(dst, v)
		if !ok {
			return nil, refuse(problemYear)
		}
		return dst, nil
	case Type:
		return appendText(dst, string(v))
	case Decision:
		return appendText(dst, string(v))
	case DecisionSource:
		return appendText(dst, string(v))
	case Outcome:
		return appendText(dst, string(v))
	case Severity:
		return appendText(dst, string(v))
	case json.RawMessage:
		if v == nil {
			return append(dst, "null"...), nil
		}
		return appendForeign(dst, string(v), depth, false)
	case error:
		return appendText(dst, v.Error())
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, refuse(fmt.Sprintf("a %T does not become JSON (%s); send plain values", v, strings.ToValidUTF8(err.Error(), "\uFFFD")))
	}
	return appendForeign(dst, string(b), depth, true)
}

// appendForeign appends JSON text that others wrote. json.Marshal turns
// invalid UTF-8 into the escape \ufffd without an error: where that is what
// wrote the text, marshalled is set and the escape is refused.
func appendForeign(dst []byte, text string, depth int, marshalled bool) ([]byte, *FieldError) {
	s := scanner{b: text, noReplacement: marshalled}
	v, err := s.document()
	if err != nil {
		return nil, refuse(err.Error())
	}
	return appendValue(dst, v, depth)
}

// member is one member of an object that is being sorted.
type member struct {
	key   string
	value any
}

func appendObject(dst []byte, m map[string]any, depth int) ([]byte, *FieldError) {
	if depth >= MaxDepth {
		return nil, refuse(problemDepth)
	}
	var room [32]member
	members := room[:0]
	if len(m) > len(room) {
		members = make([]member, 0, len(m))
	}
	for k, v := range m {
		members = append(members, member{k, v})
	}
	if len(members) <= len(room) {
		for i := 1; i < len(members); i++ {
			for j := i; j > 0 && lessUTF16(members[j].key, members[j-1].key); j-- {
				members[j], members[j-1] = members[j-1], members[j]
			}
		}
	} else {
		slices.SortFunc(members, func(a, b member) int {
			if lessUTF16(a.key, b.key) {
				return -1
			}
			return 1 // names are distinct
		})
	}
	dst = append(dst, '{')
	for i := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		var ok bool
		if dst, ok = appendString(dst, members[i].key); !ok {
			return nil, refuse(problemKey).in(members[i].key)
		}
		dst = append(dst, ':')
		var err *FieldError
		if dst, err = appendValue(dst, members[i].value, depth+1); err != nil {
			return nil, err.in(members[i].key)
		}
	}
	return append(dst, '}'), nil
}

// lessUTF16 compares valid UTF-8 in the order of its UTF-16 code units, as
// RFC 8785 asks. That is byte order, but for characters beyond U+FFFF: their
// surrogates sort before U+E000.
func lessUTF16(a, b string) bool {
	n := min(len(a), len(b))
	for i := 0; i < n; i++ {
		if x, y := a[i], b[i]; x != y {
			if x >= 0xee && y >= 0xee && (x >= 0xf0) != (y >= 0xf0) {
				return x > y
			}
			return x < y
		}
	}
	return len(a) < len(b)
}

func appendText(dst []byte, s string) ([]byte, *FieldError) {
	dst, ok := appendString(dst, s)
	if !ok {
		return nil, refuse(problemUTF8)
	}
	return dst, nil
}

const hexDigits = "0123456789abcdef"

// appendString appends the JSON string of s. It reports false for invalid UTF-8.
func appendString(dst []byte, s string) ([]byte, bool) {
	dst = append(dst, '"')
	for {
		n := plainLen(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			return append(dst, '"'), true
		}
		s = s[n:]
		switch c := s[0]; {
		case c >= utf8.RuneSelf:
			n = 0
			for n < len(s) && s[n] >= utf8.RuneSelf {
				r, size := utf8.DecodeRuneInString(s[n:])
				if r == utf8.RuneError && size == 1 {
					return nil, false
				}
				n += size
			}
			dst = append(dst, s[:n]...)
			s = s[n:]
			continue
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		s = s[1:]
	}
}

// plainLen returns how many bytes at the start of s stand for themselves in a
// JSON string: ASCII from 0x20 on, without '"' and '\'.
func plainLen(s string) int {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(s); i += 8 {
		// Eight bytes at a time. A byte that does not stand for itself sets
		// its high bit in m; a borrow can only set bits above such a byte.
		x := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		quote := x ^ ones*'"'
		slash := x ^ ones*'\\'
		m := (x | (x-ones*0x20)&^x | (quote-ones)&^quote | (slash-ones)&^slash) & high
		if m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// appendTime reports false for a year that RFC 3339 cannot write.
func appendTime(dst []byte, t time.Time) ([]byte, bool) {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return nil, false
	}
	hour, minute, second := t.Clock()
	us := t.Nanosecond() / 1000
	return append(dst, '"',
		byte('0'+year/1000), byte('0'+year/100%10), byte('0'+year/10%10), byte('0'+year%10), '-',
		byte('0'+int(month)/10), byte('0'+int(month)%10), '-',
		byte('0'+day/10), byte('0'+day%10), 'T',
		byte('0'+hour/10), byte('0'+hour%10), ':',
		byte('0'+minute/10), byte('0'+minute%10), ':',
		byte('0'+second/10), byte('0'+second%10), '.',
		byte('0'+us/100000), byte('0'+us/10000%10), byte('0'+us/1000%10),
		byte('0'+us/100%10), byte('0'+us/10%10), byte('0'+us%10), 'Z', '"'), true
}

// maxExact is the largest number below which a float64 holds every integer.
const maxExact = 1 << 53

func appendInt(dst []byte, n int64) ([]byte, *FieldError) {
	if -maxExact <= n && n <= maxExact {
		return strconv.AppendInt(dst, n, 10), nil
	}
	if n < 0 {
		// The magnitude of the smallest int64 is a power of two.
		if f := float64(n); uint64(-f) == -uint64(n) {
			return appendFloat(dst, f)
		}
		return nil, refuse(problemInexact(strconv.FormatInt(n, 10)))
	}
	return appendUint(dst, uint64(n))
}

func appendUint(dst []byte, n uint64) ([]byte, *FieldError) {
	if n <= maxExact {
		return strconv.AppendUint(dst, n, 10), nil
	}
	// A float64 holds 53 bits; what is shifted out has to be zero.
	if bits.Len64(n)-bits.TrailingZeros64(n) > 53 {
		return nil, refuse(problemInexact(strconv.FormatUint(n, 10)))
	}
	return appendFloat(dst, float64(n))
}

// appendFloat appends f as ECMAScript's Number::toString writes it.
func appendFloat(dst []byte, f float64) ([]byte, *FieldError) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, refuse(problemNaN)
	}
	abs := math.Abs(f)
	if abs < maxExact && f == math.Trunc(f) {
		return strconv.AppendInt(dst, int64(f), 10), nil // also writes -0 as 0
	}
	if 1e-6 <= abs && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64), nil
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	// Go writes e-07, ECMAScript e-7.
	if n := len(dst); dst[n-4] == 'e' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst, nil
}

// appendNumber appends the number that the JSON text s stands for.
func appendNumber(dst []byte, s string) ([]byte, *FieldError) {
	n := numberLen(s)
	if n == 0 || n != len(s) {
		if len(s) > 64 {
			s = s[:64]
		}
		return nil, refuse(fmt.Sprintf("%q is not a JSON number; send it as a string", s))
	}
	if n <= 15 && isDigits(s) {
		return append(dst, s...), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, refuse(problemRange)
	}
	start := len(dst)
	dst, ferr := appendFloat(dst, f)
	if ferr != nil {
		return nil, ferr
	}
	if string(dst[start:]) == s || (f != 0 && n <= 15 && math.Abs(f) >= minNormal) || holds(f, s, string(dst[start:])) {
		return dst, nil
	}
	return nil, refuse(problemInexact(s))
}

// minNormal is the smallest float64 of full precision.
const minNormal = 0x1p-1022

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// holds reports whether f stands for the number text without loss: text is the
// shortest decimal of f or one equal to it, or the exact value of f, or a
// fraction with no more than the 17 digits that it takes to name a float64.
func holds(f float64, text, shortest string) bool {
	digits, exp := decimal(text)
	if d, e := decimal(shortest); d == digits && e == exp {
		return true
	}
	if f == 0 {
		return false
	}
	if fraction := exp < len(digits); fraction && len(digits) <= 17 && math.Abs(f) >= minNormal {
		return true
	}
	// No float64 has more than 767 significant digits.
	if len(digits) > 767 {
		return false
	}
	d, e := decimal(strconv.FormatFloat(f, 'e', 766, 64))
	return d == digits && e == exp
}

// decimal splits a JSON number into its significant digits, without zeros at
// either end, and the exponent of 0.digits. The exponent is bounded to ±2^30;
// callers have already found the value to be in the range of a float64.
func decimal(s string) (digits string, exp int) {
	var buf []byte
	seen, point := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			point = true
		case c == 'e' || c == 'E':
			e := 0
			neg := false
			for _, c := range []byte(s[i+1:]) {
				switch {
				case c == '-':
					neg = true
				case c >= '0' && c <= '9' && e < 1<<26:
					e = e*10 + int(c-'0')
				}
			}
			if neg {
				e = -e
			}
			exp += e
			i = len(s)
		case c >= '0' && c <= '9':
			if c != '0' {
				seen = true
			}
			if seen {
				buf = append(buf, c)
				if !point {
					exp++
				}
			} else if point {
				exp--
			}
		}
	}
	n := len(buf)
	for n > 0 && buf[n-1] == '0' {
		n--
	}
	if n == 0 {
		return "", 0
	}
	return string(buf[:n]), exp
}
