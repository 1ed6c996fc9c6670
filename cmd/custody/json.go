package main

import (
	"encoding/json"
	"io"
)

// writeJSON writes v as one line of JSON. What --json writes is a contract:
// docs/cli-json.md.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // a payload stays as it is stored
	return enc.Encode(v)
}
