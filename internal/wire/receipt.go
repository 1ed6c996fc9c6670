package wire

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
)

// Receipt is what a producer gets for an event. In asynchronous mode only the id is
// known.
type Receipt struct {
	ID         string  `json:"id"`
	Index      *uint64 `json:"index,omitempty"`
	Hash       string  `json:"hash,omitempty"`
	Time       string  `json:"time,omitempty"`
	Checkpoint string  `json:"checkpoint,omitempty"`
	Duplicate  bool    `json:"duplicate,omitempty"`
}

// ReceiptOf returns the JSON of the receipt of an event that is durable.
func ReceiptOf(r *custody.Receipt) Receipt {
	return Receipt{ID: r.ID, Index: &r.Index, Hash: r.Hash.String(), Time: Time(r.Time), Checkpoint: string(r.Checkpoint), Duplicate: r.Duplicate}
}

// ReceiptEncoder writes receipts of events that are durable, many of which share a
// checkpoint: it is quoted once. The zero value is ready.
type ReceiptEncoder struct {
	checkpoint []byte // that was quoted last
	quoted     []byte
}

// Append appends what json.Marshal makes of [ReceiptOf].
func (e *ReceiptEncoder) Append(dst []byte, r *custody.Receipt) []byte {
	dst = slices.Grow(dst, 256+2*len(r.Checkpoint))
	dst = append(dst, `{"id":`...)
	dst = appendQuoted(dst, r.ID)
	dst = append(dst, `,"index":`...)
	dst = strconv.AppendUint(dst, r.Index, 10)
	dst = append(dst, `,"hash":"`...)
	dst = append(dst, r.Hash.String()...)
	dst = append(dst, `","time":"`...)
	dst = append(r.Time.UTC().AppendFormat(dst, evidence.TimeLayout), '"')
	if len(r.Checkpoint) > 0 {
		if len(e.checkpoint) != len(r.Checkpoint) || &e.checkpoint[0] != &r.Checkpoint[0] {
			e.checkpoint, e.quoted = r.Checkpoint, appendQuoted(e.quoted[:0], string(r.Checkpoint))
		}
		dst = append(dst, `,"checkpoint":`...)
		dst = append(dst, e.quoted...)
	}
	if r.Duplicate {
		dst = append(dst, `,"duplicate":true`...)
	}
	return append(dst, '}')
}

// appendQuoted appends a string as JSON.
func appendQuoted(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			b, _ := json.Marshal(s) // of a string there is no error
			return append(dst, b...)
		}
	}
	dst = append(append(dst, '"'), s...)
	return append(dst, '"')
}
