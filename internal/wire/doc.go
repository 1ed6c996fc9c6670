// Package wire has the JSON that the command line and the server write
// (docs/cli-json.md, docs/http.md). What is in it is a contract: members may be added,
// none is removed or changes its meaning.
package wire

import (
	"time"

	"github.com/custodylog/custody/evidence"
)

// Time writes a time as a payload does: UTC, with microseconds. The zero time is the
// empty string.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(evidence.TimeLayout)
}
