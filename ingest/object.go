package ingest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/custodylog/custody/event"
)

// ParseObject reads a JSON object, as strictly as package event reads payloads:
// invalid UTF-8 and names that stand twice in one object are errors. Numbers
// are [json.Number]. The result can be encoded as part of an event's Details;
// defects lists what was changed for that.
func ParseObject(text []byte) (object map[string]any, defects []string, err error) {
	object, defects, err = tolerant(text, parseObject)
	if err != nil {
		return nil, nil, err
	}
	_, changed := encodable(object)
	return object, append(defects, changed...), nil
}

// DecodeEvent is [event.Decode] with what that notes in Defects, and Details
// that can be encoded.
func DecodeEvent(text []byte) (event.Event, error) {
	var notes []string
	e, defects, err := tolerant(text, func(text []byte) (e event.Event, err error) {
		e, notes, err = event.Decode(text)
		return e, err
	})
	if err != nil {
		return event.Event{}, err
	}
	_, changed := encodable(e.Details)
	e.Defects = slices.Concat(e.Defects, notes, defects, changed)
	return e, nil
}

// tolerant calls parse, and where that fails again with halves of surrogate
// pairs made text. Programs that cut strings without regard to characters write
// such halves.
func tolerant[T any](text []byte, parse func([]byte) (T, error)) (v T, defects []string, err error) {
	if v, err = parse(text); err == nil {
		return v, nil, nil
	}
	escaped, changed := EscapeHalves(text)
	if !changed {
		return v, nil, err
	}
	if again, e := parse(escaped); e == nil {
		return again, []string{defectHalves}, nil
	}
	return v, nil, err
}

const defectHalves = `halves of surrogate pairs, which are no characters, are kept as the text of their escape (\ud83d)`

// parseObject has package event read the object as the details of a payload.
func parseObject(text []byte) (map[string]any, error) {
	const open = `{"details":`
	payload := make([]byte, 0, len(open)+len(text)+1)
	payload = append(append(append(payload, open...), text...), '}')
	e, err := event.ParsePayload(payload)
	var syntax *event.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, &event.SyntaxError{Offset: min(max(syntax.Offset-len(open), 0), len(text)), Problem: syntax.Problem}
	case err != nil || e.Details == nil:
		return nil, errors.New("JSON, but not an object")
	case !json.Valid(text):
		// Text such as {},"id":"x" would be a payload as well.
		return nil, errors.New("malformed JSON: more follows after the end of the object")
	}
	return e.Details, nil
}

// EscapeHalves puts a backslash before every escape of half a surrogate pair,
// so that it becomes text: text itself, and false, where there is none.
func EscapeHalves(text []byte) ([]byte, bool) {
	var out []byte
	done := 0
	for i := 0; i+1 < len(text); {
		if text[i] != '\\' {
			next := bytes.IndexByte(text[i:], '\\')
			if next < 0 {
				break
			}
			i += next
			continue
		}
		r, ok := unicodeEscape(text[i:])
		switch low, paired := unicodeEscape(text[min(i+6, len(text)):]); {
		case !ok:
			i += 2
		case !utf16.IsSurrogate(r):
			i += 6
		case paired && utf16.DecodeRune(r, low) != '\uFFFD':
			i += 12
		default:
			out = append(append(out, text[done:i]...), '\\')
			done = i
			i += 6
		}
	}
	if out == nil {
		return text, false
	}
	return append(out, text[done:]...), true
}

// unicodeEscape reads the escape \uXXXX that b begins with.
func unicodeEscape(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 32)
	return rune(n), err == nil
}

// maxDepth is how deep a value may be nested in a record, so that it still can
// be in Details, which puts it somewhat deeper.
const maxDepth = event.MaxDepth - 16

// maxDefects bounds what is said about the numbers of one record.
const maxDefects = 16

// encodable replaces, in v itself, what event.AppendJSON refuses: numbers that
// are not exact as a float64 become the string of their digits, and what is
// nested deeper than maxDepth the string of its JSON. v has the kinds that
// package event decodes.
func encodable(v any) (any, []string) {
	if isEncodable(v, 0) {
		return v, nil
	}
	var d changes
	v = d.value(v, "", 0)
	if d.more > 0 {
		d.defects = append(d.defects, fmt.Sprintf("and %d more of the kind", d.more))
	}
	return v, d.defects
}

func isEncodable(v any, depth int) bool {
	switch v := v.(type) {
	case json.Number:
		return isExact(v)
	case map[string]any:
		for _, x := range v {
			if !isEncodable(x, depth+1) {
				return false
			}
		}
		return depth < maxDepth
	case []any:
		for _, x := range v {
			if !isEncodable(x, depth+1) {
				return false
			}
		}
		return depth < maxDepth
	}
	return true
}

func isExact(n json.Number) bool {
	var room [64]byte
	_, err := event.AppendJSON(room[:0], n)
	return err == nil
}

// changes makes a value encodable and lists what that took.
type changes struct {
	defects []string
	more    int // changes beyond maxDefects
}

func (d *changes) add(pointer, change string) {
	if len(d.defects) == maxDefects {
		d.more++
		return
	}
	d.defects = append(d.defects, Short(pointer, 200)+": "+change)
}

// value goes through names in their order, so that the list is always the same.
func (d *changes) value(v any, pointer string, depth int) any {
	switch x := v.(type) {
	case json.Number:
		if !isExact(x) {
			d.add(pointer, "a number that a float64 does not hold, kept as a string")
			return string(x)
		}
	case map[string]any:
		for _, name := range sortedNames(x) {
			x[name] = d.value(x[name], pointer+"/"+pointerToken(name), depth+1)
		}
		if depth == maxDepth {
			return d.flatten(v, pointer)
		}
	case []any:
		for i := range x {
			x[i] = d.value(x[i], pointer+"/"+strconv.Itoa(i), depth+1)
		}
		if depth == maxDepth {
			return d.flatten(v, pointer)
		}
	}
	return v
}

// flatten returns the JSON of v, whose members are flat already.
func (d *changes) flatten(v any, pointer string) any {
	text, err := event.AppendJSON(nil, v)
	if err != nil {
		return v // cannot be: what v holds is encodable by now
	}
	d.add(pointer, "nested too deep, kept as the text of its JSON")
	return string(text)
}

// pointerToken escapes a name as RFC 6901 asks.
func pointerToken(name string) string {
	if !strings.ContainsAny(name, "~/") {
		return name
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// Get returns the value at the end of a path of member names, or nil.
func Get(object map[string]any, path ...string) any {
	var v any = object
	for _, name := range path {
		o, _ := v.(map[string]any)
		v = o[name]
	}
	return v
}

// Text is [Get] for strings: "" where there is none.
func Text(object map[string]any, path ...string) string {
	s, _ := Get(object, path...).(string)
	return s
}

// Object is [Get] for objects: nil where there is none.
func Object(object map[string]any, path ...string) map[string]any {
	o, _ := Get(object, path...).(map[string]any)
	return o
}

// Time reads a time as RFC 3339 writes it. It is zero where s is none, or where
// its year in UTC is none that a payload can write.
func Time(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if t = t.UTC(); err != nil || t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.Truncate(time.Microsecond)
}

// Digest returns "sha256:" and the hex digest of the canonical JSON (RFC 8785)
// of v, or "" if v cannot be encoded.
func Digest(v any) string {
	b, err := event.AppendJSON(nil, v)
	if err != nil {
		return ""
	}
	return digest(b)
}

// TextDigest returns "sha256:" and the hex digest of the bytes of s.
func TextDigest(s string) string { return digest([]byte(s)) }

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Short returns the beginning of s, at most n bytes and the sign "…" if that is
// not all.
func Short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return wholeRunes(s, n) + "…"
}

// wholeRunes returns the first n bytes of s, which has more, without a
// character that would be cut.
func wholeRunes[T string | []byte](s T, n int) T {
	for back := 0; back < utf8.UTFMax-1 && n > 0 && !utf8.RuneStart(s[n]); back++ {
		n--
	}
	return s[:n]
}

func sortedNames(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
