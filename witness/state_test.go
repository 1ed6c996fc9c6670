package witness

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden file anew: never that of a version that was released")

// goldenState is a state file that version 1 wrote: it is read for ever.
const goldenState = "testdata/v1.state"

func TestGoldenState(t *testing.T) {
	h := newHistory(t, testOrigin, 7, noFork)
	s := state{Checkpoint: h.at(7), signed: h.sign(7), time: testTime}
	if *update {
		must(t, os.WriteFile(goldenState, s.append(nil), 0o644))
	}
	want, err := os.ReadFile(goldenState)
	must(t, err)
	if got := s.append(nil); string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	read, err := parseState(want)
	must(t, err)
	if !read.time.Equal(s.time) || string(read.signed) != string(s.signed) || read.Size != 7 || read.Root != s.Root || read.Origin != testOrigin {
		t.Errorf("%+v", read)
	}
	page, err := os.ReadFile("../docs/format/witness.md")
	must(t, err)
	if !strings.Contains(string(page), "```\n"+string(want)+"```\n") {
		t.Error("docs/format/witness.md has another example than " + goldenState)
	}
	if got := stateFile(testOrigin); got != fmt.Sprintf("%x", sha256.Sum256([]byte(testOrigin))) {
		t.Errorf("its name is %s", got)
	}
}

func TestParseStateRefuses(t *testing.T) {
	signed := string(newHistory(t, testOrigin, 7, noFork).sign(7))
	sealed := func(rest string) string { // with the checksum that fits
		return fmt.Sprintf("%s%x\n%s", stateHeader, sha256.Sum256([]byte(rest)), rest)
	}
	if s, err := parseState([]byte(sealed("1795471800\n" + signed))); err != nil || !s.time.Equal(time.Unix(1795471800, 0)) {
		t.Errorf("what the others are made from: %+v, %v", s, err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "does not begin with"},
		{"another file", "custody tail v1\n", "does not begin with"},
		{"a newer version", "custody witness v2\n", "newer version"},
		{"version 0", "custody witness v0\n", "does not begin with"},
		{"no checksum", stateHeader, "altered"},
		{"another checksum", strings.Replace(sealed("1795471800\n"+signed), "1795471800", "1795471801", 1), "altered"},
		{"a checksum in capitals", strings.Replace(strings.ToUpper(sealed("1795471800\n"+signed)), strings.ToUpper(stateHeader), stateHeader, 1), "altered"},
		{"nothing behind the checksum", sealed(""), "line 3"},
		{"no time", sealed(signed), "line 3"},
		{"a time with a sign", sealed("+1795471800\n" + signed), "line 3"},
		{"no checkpoint", sealed("1795471800\n"), "no signatures"},
		{"an unsigned checkpoint", sealed("1795471800\n" + signed[:strings.Index(signed, "\n\n")+1]), "no signatures"},
		{"a size that is none", sealed("1795471800\n" + strings.Replace(signed, "\n7\n", "\n07\n", 1)), "is not a size"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if s, err := parseState([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%+v, %v, want %q", s, err, tt.want)
			}
		})
	}
}
