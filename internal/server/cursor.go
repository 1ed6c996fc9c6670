package server

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"

	"github.com/custodylog/custody"
)

// cursor says where a list goes on. Since entries never move, an index is enough for
// neither to miss nor to repeat any; the size keeps the list from growing while it is
// read.
type cursor struct {
	size  uint64  // of the trail when the list began
	index uint64  // of the last entry that was given or, with text or field, looked at
	of    [8]byte // digest of what is listed: a cursor is of one list
}

const cursorLen = 24

// listID identifies what is listed, and in which order.
func listID(trail string, f *Filter, text *WithText, newest bool) (id [8]byte, err error) {
	b, err := json.Marshal(struct {
		Trail  string
		Filter *Filter
		Text   *WithText
		Newest bool
	}{trail, f, text, newest})
	sum := sha256.Sum256(b)
	return [8]byte(sum[:8]), err
}

func (c cursor) String() string {
	b := make([]byte, 0, cursorLen)
	b = binary.BigEndian.AppendUint64(b, c.size)
	b = binary.BigEndian.AppendUint64(b, c.index)
	return base64.RawURLEncoding.EncodeToString(append(b, c.of[:]...))
}

func parseCursor(s string) (c cursor, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != cursorLen {
		return c, invalid("query.cursor", "not a cursor of this server; take next from the answer before, as it is")
	}
	c.size, c.index = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	copy(c.of[:], b[16:])
	return c, nil
}

// restrict returns the part of a query that a list with this cursor still has to give.
func (c *cursor) restrict(q custody.Query) custody.Query {
	next := q.After(c.index)
	next.From = max(next.From, q.From)
	next.To = min(limitOf(next.To), limitOf(q.To), c.size)
	return next
}

// limitOf returns the index before which a bound of a query lets entries through.
func limitOf(to uint64) uint64 {
	if to == 0 {
		return 1<<64 - 1
	}
	return to
}
