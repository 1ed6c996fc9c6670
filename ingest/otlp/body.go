package otlp

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/custodylog/custody/ingest"
)

// maxNesting is how deep messages may be nested: values of attributes some thirty levels.
const maxNesting = 100

// maxMessages is how many messages an export may be made of, where each attribute is one
// and its value another. On the wire they have two bytes at least, in memory some hundred.
const maxMessages = 500_000

// TooManyError says that an export has more of something than is taken at once.
type TooManyError struct {
	Most int
	What string // what it has more of
}

func (e *TooManyError) Error() string {
	return fmt.Sprintf("the export has more than %d %s; have the exporter send smaller batches", e.Most, e.What)
}

var errTooManyMessages = &TooManyError{maxMessages, "records, attributes and values"}

// unmarshal reads a body into m. What is too large in memory is refused before any of it
// is made. Text that is not UTF-8, which programs write that cut it anywhere, is mended:
// by it an export would be lost as a whole, with what others say in it. For the same
// reason records in JSON that are no OTLP are empty in m, and bad has them by their
// positions.
func unmarshal(enc Encoding, body []byte, m proto.Message, in records) (bad map[int]*malformed, err error) {
	name := "protobuf"
	if enc == JSON {
		name = "JSON"
		bad, err = unmarshalJSON(body, m, in)
	} else if body, err = new(wire).mend(body, m.ProtoReflect().Descriptor(), maxNesting); err == nil {
		err = proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxNesting}.Unmarshal(body, m)
	}
	if _, many := errors.AsType[*TooManyError](err); err != nil && !many {
		return nil, fmt.Errorf("the body is no OTLP in %s: %w", name, err)
	}
	return bad, err
}

func unmarshalJSON(body []byte, m proto.Message, in records) (bad map[int]*malformed, err error) {
	if countObjects(body) > maxMessages {
		return nil, errTooManyMessages
	}
	text, _ := ingest.EscapeHalves(bytes.ToValidUTF8(body, replacement))
	if err = readJSON.Unmarshal(text, m); err == nil {
		return nil, nil
	}
	text, bad, failed := in.sift(text)
	if failed != nil || len(bad) == 0 {
		return nil, err
	}
	proto.Reset(m)
	return bad, readJSON.Unmarshal(text, m)
}

// replacement is what stands for bytes that are not UTF-8 (U+FFFD).
var replacement = []byte("\uFFFD")

// countObjects returns how many objects there are in JSON: each message is one.
func countObjects(text []byte) (n int) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			quoted = !quoted
		case '\\':
			i++
		case '{':
			if !quoted {
				n++
			}
		}
	}
	return n
}

// wire is a body in protobuf while it is looked through.
type wire struct{ messages int }

// mend returns a message with its strings in UTF-8: b itself, where they are.
func (w *wire) mend(b []byte, d protoreflect.MessageDescriptor, nesting int) ([]byte, error) {
	if w.messages++; w.messages > maxMessages {
		return nil, errTooManyMessages
	}
	if nesting == 0 {
		return nil, fmt.Errorf("messages are nested deeper than %d levels", maxNesting)
	}
	var out []byte
	done := 0 // of b: what is in out
	for at := 0; at < len(b); {
		number, kind, n := protowire.ConsumeTag(b[at:])
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(number, kind, b[at+n:])
		if size < 0 {
			return nil, protowire.ParseError(size)
		}
		field := d.Fields().ByNumber(number)
		if kind == protowire.BytesType && field != nil {
			value, _ := protowire.ConsumeBytes(b[at+n:])
			mended, err := w.value(value, field, nesting)
			if err != nil {
				return nil, err
			}
			if !bytes.Equal(value, mended) {
				out = protowire.AppendBytes(append(out, b[done:at+n]...), mended)
				done = at + n + size
			}
		}
		at += n + size
	}
	if out == nil {
		return b, nil
	}
	return append(out, b[done:]...), nil
}

// value is mend for the value of a field that has a length.
func (w *wire) value(b []byte, field protoreflect.FieldDescriptor, nesting int) ([]byte, error) {
	switch {
	case field.Kind() == protoreflect.MessageKind:
		return w.mend(b, field.Message(), nesting-1)
	case field.Kind() == protoreflect.StringKind && !utf8.Valid(b):
		return bytes.ToValidUTF8(b, replacement), nil
	}
	return b, nil
}
