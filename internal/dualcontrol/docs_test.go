package dualcontrol

import (
	"os"
	"regexp"
	"testing"
)

// The example of docs/format/requests.md is a file as it says.
func TestDocumentedFile(t *testing.T) {
	page, err := os.ReadFile("../../docs/format/requests.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(page)
	if m == nil {
		t.Fatal("there is no example")
	}
	f, err := parse(m[1])
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.encode(); err != nil || string(again) != string(m[1]) {
		t.Errorf("it is written as\n%s", again)
	}
}
