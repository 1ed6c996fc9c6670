package ingest

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// ids names the records of one source.
type ids struct {
	format string
	chain  [sha256.Size]byte // digest of all records so far
	seen   Recent[int]       // how often an own id was seen
}

// maxOwn is how long an own id may be. With the parts that are added to it, the
// whole has to stay below event.MaxIDLen.
const maxOwn = 256

// next returns the id of the next record, whose bytes have the digest sum. own
// is what identifies the record wherever it stands, or empty.
//
// A record without an own id is named after the digest of all records up to and
// including it. So two equal records of one source have different ids, a copy
// of the source gives the same ones, and so does a source that has grown. An own
// id that comes again gets a number, "#2".
func (d *ids) next(sum [sha256.Size]byte, own string) string {
	d.chain = sha256.Sum256(append(d.chain[:], sum[:]...))
	if own == "" || len(own) > maxOwn || strings.Contains(own, "#") {
		return d.format + ":" + hex.EncodeToString(d.chain[:16])
	}
	n, _ := d.seen.Get(own)
	n++
	d.seen.Set(own, n)
	if n > 1 {
		own += "#" + strconv.Itoa(n)
	}
	return d.format + ":" + own
}
