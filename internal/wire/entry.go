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
