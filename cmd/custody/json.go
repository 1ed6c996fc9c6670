package main

import (
	"encoding/json"
	"io"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
)

// writeJSON writes v as one line of JSON. What --json writes is a contract:
// docs/cli-json.md.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // a payload stays as it is stored
	return enc.Encode(v)
}

// jsonTime is how JSON output writes a time: as a payload does.
func jsonTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(evidence.TimeLayout)
}

// entryJSON is one entry in JSON output.
type entryJSON struct {
	Index uint64          `json:"index"`
	Time  string          `json:"time"`
	Hash  string          `json:"hash"`
	Type  string          `json:"type"`
	Event json.RawMessage `json:"event"` // the payload as stored; null when it is not held
}

func entryToJSON(e *custody.Entry) entryJSON {
	j := entryJSON{Index: e.Index, Time: jsonTime(e.Time), Hash: e.Hash.String(), Type: string(e.Type), Event: json.RawMessage("null")}
	if e.Payload != nil {
		j.Event = e.Payload
	}
	return j
}
