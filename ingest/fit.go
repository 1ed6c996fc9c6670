package ingest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/custodylog/custody/event"
)

// Fit makes an event fit in a payload of limit bytes: the longest strings of its
// details are cut, with the length and digest of the whole in the detail "cut". As a last
// resort, for which it gives the reason, it leaves nothing but the text of the payload,
// as an event of the type unknown.
func Fit(e *event.Event, limit int, unknown event.Type) (why error) {
	if fit(e, limit) {
		return nil
	}
	why = fmt.Errorf("too many values for one event of %d bytes; kept as the text of its payload", limit)
	text, err := e.AppendPayload(nil)
	if err != nil {
		why = err // cannot be: what is parsed can be encoded
	}
	n := raw(unknown, &Record{Text: text, Size: int64(len(text))}, why.Error())
	n.ID, n.Source, n.Timestamp, n.OccurredAt = e.ID, e.Source, e.Timestamp, e.OccurredAt
	fit(&n, limit)
	*e = n
	return why
}

// fit makes the payload of an event that can be encoded no larger than limit.
// Details lose nothing but the ends of their longest strings: the detail "cut"
// lists, for each, where it was, and the length and digest of the whole. Where
// there are too many small values for that, the arrays and objects in Details
// become the text of their JSON first.
//
// It reports false, and leaves the event as it is, where even that does not
// help.
func fit(e *event.Event, limit int) bool {
	if payloadSize(e) <= limit {
		return true
	}
	// Members that are too long for an event move to Details, as they do when
	// it is recorded.
	n, err := e.Normalize(event.Lenient)
	if err != nil {
		return false
	}
	if cutDetails(&n, limit) {
		*e = n
		return true
	}
	texts := make(map[string]any, len(n.Details))
	for name, v := range n.Details {
		texts[name] = v
		switch v.(type) {
		case map[string]any, []any:
			if b, err := event.AppendJSON(nil, v); err == nil && len(b) > shortest {
				texts[name] = string(b)
			}
		}
	}
	n.Details = texts
	if cutDetails(&n, limit) {
		*e = n
		return true
	}
	return false
}

func payloadSize(e *event.Event) int {
	b, err := e.AppendPayload(nil)
	if err != nil {
		return int(^uint(0) >> 1)
	}
	return len(b)
}

// shortest is how short strings are cut at most, in bytes.
const shortest = 1 << 10

// cutDetails cuts the strings of e.Details that are longer than some length,
// which it chooses as large as the limit allows.
func cutDetails(e *event.Event, limit int) bool {
	whole := e.Details
	try := func(length int) (event.Event, bool) {
		c := cutter{length: length}
		n := *e
		n.Details = c.object(whole, "/details")
		name := "cut"
		for whole[name] != nil {
			name = "_" + name
		}
		n.Details[name] = c.cuts
		n.Defects = append(n.Defects[:len(n.Defects):len(n.Defects)], fmt.Sprintf(
			"details: %d strings were cut to make the payload fit in %d bytes; details.%s has their length and digest", len(c.cuts), limit, name))
		return n, payloadSize(&n) <= limit
	}
	best, ok := try(shortest)
	if !ok {
		return false
	}
	for low, high := shortest, limit; high-low > shortest; {
		middle := low + (high-low)/2
		if n, ok := try(middle); ok {
			best, low = n, middle
		} else {
			high = middle
		}
	}
	*e = best
	return true
}

// cutter copies values with the strings cut that are longer than length.
type cutter struct {
	length int
	cuts   []any
}

func (c *cutter) object(m map[string]any, pointer string) map[string]any {
	out := make(map[string]any, len(m)+1)
	for _, name := range sortedNames(m) {
		out[name] = c.value(m[name], pointer+"/"+pointerToken(name))
	}
	return out
}

func (c *cutter) value(v any, pointer string) any {
	switch v := v.(type) {
	case map[string]any:
		return c.object(v, pointer)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = c.value(x, pointer+"/"+strconv.Itoa(i))
		}
		return out
	case string:
		if len(v) <= c.length {
			return v
		}
		kept := wholeRunes(v, c.length)
		c.cuts = append(c.cuts, cutMark(pointer, len(kept), int64(len(v)), TextDigest(v)))
		return kept
	}
	return v
}

func cutMark(pointer string, kept int, size int64, digest string) map[string]any {
	return map[string]any{"pointer": pointer, "kept_bytes": kept, "bytes": size, "digest": digest}
}

// raw returns the event that keeps a record as it is: as the detail raw, or
// raw_base64 if it is not UTF-8.
func raw(t event.Type, rec *Record, why string) event.Event {
	e := event.Event{Type: t, Defects: []string{why}, Details: map[string]any{}}
	name := "raw"
	if utf8.Valid(rec.Text) {
		e.Details[name] = string(rec.Text)
	} else {
		name = "raw_base64"
		e.Details[name] = base64.StdEncoding.EncodeToString(rec.Text)
		e.Defects = append(e.Defects, "not valid UTF-8, kept as base64 in details.raw_base64")
	}
	if !rec.Whole() {
		e.Details["cut"] = []any{cutMark("/details/"+name, len(rec.Text), rec.Size, "sha256:"+hex.EncodeToString(rec.Sum[:]))}
	}
	return e
}
