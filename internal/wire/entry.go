package wire

import (
	"encoding/json"

	"github.com/custodylog/custody"
)

// Entry is one entry.
type Entry struct {
	Index uint64          `json:"index"`
	Time  string          `json:"time"`
	Hash  string          `json:"hash"`
	Type  string          `json:"type"`
	Event json.RawMessage `json:"event"` // the payload as stored; null when it is not held
}

// EntryOf returns the JSON of an entry.
func EntryOf(e *custody.Entry) Entry {
	j := Entry{Index: e.Index, Time: Time(e.Time), Hash: e.Hash.String(), Type: string(e.Type), Event: json.RawMessage("null")}
	if e.Payload != nil {
		j.Event = e.Payload
	}
	return j
}

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
