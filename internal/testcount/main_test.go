package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

var update = flag.Bool("update", false, "write testdata/mixed.txt anew")

// mixed.ndjson is what go test -json wrote for packages that pass, fail, do not
// build, panic, exit and have no test.
func TestMixedRun(t *testing.T) {
	in, err := os.ReadFile("testdata/mixed.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c, err := read(bytes.NewReader(in), &out)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.String(), "8 passed, 6 failed, 1 skipped"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if want := []string{
		"example.com/m/bad.TestA/sub", "example.com/m/bad.TestA", "example.com/m/broken", "example.com/m/crash.TestPanics/sub",
		"example.com/m/crash.TestPanics", "example.com/m/slow.TestExits",
	}; !slices.Equal(c.failed, want) {
		t.Errorf("failed\ngot  %q\nwant %q", c.failed, want)
	}
	if *update {
		if err := os.WriteFile("testdata/mixed.txt", out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/mixed.txt")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("got\n%s\nwant\n%s", out.Bytes(), want)
	}
}

func TestVerdict(t *testing.T) {
	const (
		pass = `{"Action":"run","Package":"p","Test":"T"}` + "\n" + `{"Action":"pass","Package":"p","Test":"T"}` + "\n"
		skip = `{"Action":"run","Package":"p","Test":"S"}` + "\n" + `{"Action":"skip","Package":"p","Test":"S"}` + "\n"
		fail = `{"Action":"fail","Package":"p","Test":"F"}` + "\n"
		good = `{"Action":"pass","Package":"p"}` + "\n"
		bad  = `{"Action":"fail","Package":"p"}` + "\n"
	)
	for _, tt := range []struct {
		name, in string
		noSkip   bool
		count    string
		want     string // in the error; empty for none
	}{
		{"pass", pass + good, true, "1 passed, 0 failed, 0 skipped", ""},
		{"skip", pass + skip + good, false, "1 passed, 0 failed, 1 skipped", ""},
		{"skip where none may be", pass + skip + good, true, "1 passed, 0 failed, 1 skipped", "none may be: p.S"},
		{"fail", pass + fail + bad, false, "1 passed, 1 failed, 0 skipped", "failed: p.F"},
		{"fail outside of tests", pass + bad, false, "1 passed, 1 failed, 0 skipped", "failed: p"},
		{"the end is missing", pass, false, "1 passed, 1 failed, 0 skipped", "failed: p"},
		{"cut off in a test", `{"Action":"run","Package":"p","Test":"T"}`, false, "0 passed, 1 failed, 0 skipped", "failed: p.T"},
		{"nothing", "", false, "0 passed, 0 failed, 0 skipped", "no test ran"},
		{"no test files", `{"Action":"skip","Package":"p"}`, false, "0 passed, 0 failed, 0 skipped", "no test ran"},
		{"no JSON", "go: no such module\n", false, "0 passed, 0 failed, 0 skipped", "no test ran"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := read(strings.NewReader(tt.in), io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if c.String() != tt.count {
				t.Errorf("got %s, want %s", c, tt.count)
			}
			err = c.verdict(tt.noSkip)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("verdict %v, want …%s", err, tt.want)
			}
		})
	}
}

func TestOtherLinesAreKept(t *testing.T) {
	var out bytes.Buffer
	if _, err := read(strings.NewReader("go: downloading x\n{}\nlast"), &out); err != nil || out.String() != "go: downloading x\n{}\nlast" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	broken := errors.New("broken")
	if _, err := read(iotest.ErrReader(broken), io.Discard); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
