package wire

import (
	"bytes"
	"encoding/csv"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// entriesOf yields entries of payloads, then an error if that is not nil.
func entriesOf(err error, payloads ...string) iter.Seq2[custody.Entry, error] {
	return func(yield func(custody.Entry, error) bool) {
		at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
		for i, p := range payloads {
			e := custody.Entry{Index: uint64(i), Time: at, Type: event.MessageSent}
			if p != "" {
				e.Payload = []byte(p)
			}
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(custody.Entry{}, err)
		}
	}
}

// TestCSVFormulas: no cell that a producer chose is one that a spreadsheet calculates.
func TestCSVFormulas(t *testing.T) {
	for _, text := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＋1", "－1", "＠SUM(A1)"} {
		quoted := strings.NewReplacer("\t", `\t`, "\r", `\r`, "\n", `\n`).Replace(text)
		var b bytes.Buffer
		n, err := WriteCSV(&b, entriesOf(nil, strings.ReplaceAll(`{"action_id":"X","agent_id":"X","decision":"X","details":{"tool_name":"X"},"event_type":"message_sent","id":"i","outcome":"X","session_id":"X","severity":"X","timestamp":"2026-11-24T10:00:00Z","user_id":"X"}`, "X", quoted)))
		if err != nil || n != 1 {
			t.Fatalf("%q: %d lines, %v", text, n, err)
		}
		table, err := csv.NewReader(&b).ReadAll()
		if err != nil || len(table) != 2 {
			t.Fatalf("%q: %v, %v", text, table, err)
		}
		want := "'" + strings.ReplaceAll(text, "\r\n", "\n")
		guarded := 0
		for i, cell := range table[1] {
			if cell == want {
				guarded++
			} else if strings.HasPrefix(cell, text) {
				t.Errorf("%q: the cell %s is %q", text, table[0][i], cell)
			}
		}
		if guarded != 8 { // action, agent, session, user, decision, outcome, severity, summary
			t.Errorf("%q: %d cells are guarded: %q", text, guarded, table[1])
		}
	}
}

func TestCSV(t *testing.T) {
	var b bytes.Buffer
	n, err := WriteCSV(&b, entriesOf(nil, `{"agent_id":"a, \"b\"","details":{"note":"x"},"event_type":"message_sent","id":"i","timestamp":"2026-11-24T10:00:00Z"}`, ""))
	table, rerr := csv.NewReader(&b).ReadAll()
	if err != nil || rerr != nil || n != 2 || len(table) != 3 {
		t.Fatalf("%d lines, %v, %v: %q", n, err, rerr, table)
	}
	if !slices.Equal(table[0], columns) || table[1][4] != `a, "b"` || table[2][0] != "1" || table[2][1] != "2026-11-24T10:00:00.000000Z" || table[2][4] != "" {
		t.Errorf("%q", table)
	}
	broken := errors.New("broken")
	if _, err := WriteCSV(&b, entriesOf(broken, "")); !errors.Is(err, broken) {
		t.Errorf("it broke off with %v", err)
	}
	if _, err := WriteCSV(&b, entriesOf(nil, "{")); err == nil {
		t.Error("a payload that is none was taken")
	}
	if _, err := WriteCSV(full(10), entriesOf(nil, "")); err == nil {
		t.Error("nothing is wrong although it did not fit")
	}
}

// full takes as many bytes and fails.
func full(n int) writer {
	return func(b []byte) (int, error) {
		if n -= len(b); n < 0 {
			return 0, errors.New("full")
		}
		return len(b), nil
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }
