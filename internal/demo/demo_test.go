package demo_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"testing"

	"github.com/custodylog/custody/internal/demo"
)

// The session is what README.md says of it.
func TestSession(t *testing.T) {
	z, err := gzip.NewReader(bytes.NewReader(demo.Session()))
	if err != nil {
		t.Fatal(err)
	}
	lines, calls, errors := 0, 0, 0
	s := bufio.NewScanner(z)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		lines++
		var line struct {
			SessionID string `json:"sessionId"`
			Message   struct {
				Content json.RawMessage `json:"content"`
			} `json:"message"`
		}
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatalf("line %d: %v", lines, err)
		}
		if line.SessionID != "" && line.SessionID != demo.SessionID {
			t.Errorf("line %d is of session %q", lines, line.SessionID)
		}
		var blocks []struct {
			Type    string `json:"type"`
			IsError bool   `json:"is_error"`
		}
		if json.Unmarshal(line.Message.Content, &blocks) != nil {
			continue // a text
		}
		for _, b := range blocks {
			switch {
			case b.Type == "tool_use":
				calls++
			case b.IsError:
				errors++
			}
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if lines != 1863 || calls != 186 || errors != 7 {
		t.Errorf("%d lines, %d tool calls, %d of them not done; want 1863, 186, 7", lines, calls, errors)
	}
}
