package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/custodylog/custody/event"
)

// jsonPart is a piece of JSON that is laid out for people.
type jsonPart struct {
	Text     string
	Redacted string // how, if the value was redacted; empty: it was not
}

// indent lays a payload out, in its own order, and marks what was redacted. It is
// still JSON of the same value. Characters that nobody sees, or that change how others
// are seen, are written as escapes.
func indent(payload []byte, redactions []event.Redaction) ([]jsonPart, error) {
	w := jsonWriter{in: json.NewDecoder(bytes.NewReader(payload)), redacted: map[string]string{}}
	w.in.UseNumber()
	for _, r := range redactions {
		w.redacted[r.Pointer] = r.Method + ", " + r.Rule
	}
	if err := w.value("", ""); err != nil {
		return nil, err
	}
	if _, err := w.in.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind its end")
	}
	w.flush("")
	return w.parts, nil
}

// jsonWriter writes what it reads.
type jsonWriter struct {
	in       *json.Decoder
	redacted map[string]string // by pointer
	parts    []jsonPart
	text     strings.Builder // since the last part
}

// flush makes a part of what was written.
func (w *jsonWriter) flush(redacted string) {
	if w.text.Len() > 0 {
		w.parts = append(w.parts, jsonPart{w.text.String(), redacted})
		w.text.Reset()
	}
}

// value writes the next value, which stands at a pointer. margin is that of its line.
func (w *jsonWriter) value(pointer, margin string) error {
	how, marked := w.redacted[pointer]
	if marked {
		w.flush("")
		defer w.flush(how)
	}
	t, err := w.in.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case json.Delim:
		return w.composite(rune(t), pointer, margin)
	case string:
		w.text.WriteString(quote(t))
	case nil:
		w.text.WriteString("null")
	default:
		fmt.Fprint(&w.text, t) // a number or a boolean
	}
	return nil
}

// composite writes an object or an array whose opening was read.
func (w *jsonWriter) composite(opening rune, pointer, margin string) error {
	w.text.WriteRune(opening)
	within := margin + "  "
	n := 0
	for ; w.in.More(); n++ {
		if n > 0 {
			w.text.WriteByte(',')
		}
		w.text.WriteString("\n" + within)
		name := strconv.Itoa(n)
		if opening == '{' {
			t, err := w.in.Token()
			if err != nil {
				return err
			}
			name, _ = t.(string)
			w.text.WriteString(quote(name) + ": ")
		}
		if err := w.value(pointer+"/"+pointerEscapes.Replace(name), within); err != nil {
			return err
		}
	}
	if n > 0 {
		w.text.WriteString("\n" + margin)
	}
	_, err := w.in.Token()
	w.text.WriteRune(opening + 2) // } is two behind {, and ] behind [
	return err
}

// pointerEscapes are those of JSON Pointer (RFC 6901 section 3).
var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// quote writes a string of JSON.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
