package wire

import (
	"encoding/csv"
	"io"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/timeline"
)

// columns are those of entries as CSV.
var columns = []string{"index", "time", "type", "severity", "agent_id", "action_id", "session_id", "user_id", "decision", "outcome", "summary", "hash"}

// WriteCSV writes entries as CSV (RFC 4180, but lines end in a line feed), one line each,
// below one with the names of the columns, and returns how many they are. What it wrote
// before an error is not whole.
func WriteCSV(w io.Writer, entries iter.Seq2[custody.Entry, error]) (n uint64, err error) {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return 0, err
	}
	for e, err := range entries {
		if err != nil {
			return n, err
		}
		s, err := timeline.StepOf(&e)
		if err != nil {
			return n, err
		}
		line := []string{strconv.FormatUint(e.Index, 10), Time(e.Time), string(s.Type), string(s.Severity), s.AgentID,
			s.ActionID, s.SessionID, s.UserID, string(s.Decision), string(s.Outcome), s.Summary()}
		for i, text := range line {
			line[i] = cell(text)
		}
		if err := out.Write(append(line, e.Hash.String())); err != nil {
			return n, err
		}
		n++
	}
	out.Flush()
	return n, out.Error()
}

// formula are the characters that a cell may not begin with: a spreadsheet takes it for a
// formula, or passes over the character and then does so.
const formula = "=+-@\t\r\n＝＋－＠"

// cell returns a text so that a spreadsheet does not take it for a formula.
func cell(s string) string {
	if r, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune(formula, r) {
		return "'" + s
	}
	return s
}
