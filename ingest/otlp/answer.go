package otlp

import (
	"encoding/json"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Signal is what an export is of.
type Signal string

// The signals.
const (
	Logs    Signal = "logs"
	Traces  Signal = "traces"
	Metrics Signal = "metrics"
)

// rejectedNames are the members of a partial success, by signal.
var rejectedNames = map[Signal]string{Logs: "rejectedLogRecords", Traces: "rejectedSpans", Metrics: "rejectedDataPoints"}

// AppendAccepted appends the answer to an export that was taken in: an
// Export…ServiceResponse. rejected is how many of its records were not, and why says the
// reason; clients do not send them again.
func AppendAccepted(b []byte, enc Encoding, signal Signal, rejected int, why string) []byte {
	if enc == JSON {
		if rejected == 0 {
			return append(b, "{}"...)
		}
		return appendJSON(b, map[string]any{"partialSuccess": map[string]any{rejectedNames[signal]: strconv.Itoa(rejected), "errorMessage": why}})
	}
	if rejected == 0 {
		return b
	}
	var partial []byte // of every signal: the number is field 1, the message 2
	partial = protowire.AppendTag(partial, 1, protowire.VarintType)
	partial = protowire.AppendVarint(partial, uint64(rejected))
	partial = protowire.AppendTag(partial, 2, protowire.BytesType)
	partial = protowire.AppendString(partial, why)
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	return protowire.AppendBytes(b, partial)
}

// AppendStatus appends the answer to an export that was refused: a google.rpc.Status.
// code is one of google.rpc.Code.
func AppendStatus(b []byte, enc Encoding, code int, message string) []byte {
	if enc == JSON {
		return appendJSON(b, map[string]any{"code": code, "message": message})
	}
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(code))
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return protowire.AppendString(b, message)
}

func appendJSON(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("custody: " + err.Error()) // cannot be: strings and numbers
	}
	return append(b, text...)
}
