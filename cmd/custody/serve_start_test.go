package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/config"
	"github.com/custodylog/custody/internal/terminal"
)

// What custody serve prints at its start is what docs/http.md shows, but for the directory.
func TestDocumentedStart(t *testing.T) {
	page, err := os.ReadFile("../../docs/http.md")
	check(t, err)
	var out bytes.Buffer
	s := &service{p: &program{out: terminal.NewFixed(&out, 0, false)}, cfg: &config.Config{Data: "custody-data"}}
	check(t, s.announce("http://127.0.0.1:8420"))
	said := regexp.MustCompile(`(?m)^(data +).*`).ReplaceAllString(out.String(), "${1}/home/user/custody-data")
	if !strings.Contains(string(page), "```\n$ custody serve\n"+said+"```\n") {
		t.Errorf("docs/http.md does not show\n%s", said)
	}
}
