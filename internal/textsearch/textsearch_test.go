package textsearch

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
)

func TestWords(t *testing.T) {
	e := event.Event{Type: event.ActionRequested, ID: "1", AgentID: "Planner", Timestamp: time.Unix(0, 0),
		Details: map[string]any{"resource": `rm -rf "build"`, "note": "über\nalles ÉCOLE <b> \x01", "more": "\u212aelvin Straße Σίσυφος"}}
	payload, err := e.AppendPayload(nil)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"":                       true,
		"   ":                    true,
		`""`:                     true,
		"planner":                true,
		"PLANNER build":          true,
		"build planner":          true,
		"planner nobody":         false,
		`"rm -rf"`:               true,
		`"-rf rm"`:               false,
		`rm "-rf"`:               true,
		"école":                  true,
		"ÜBER":                   true,
		"<b>":                    true,
		"\x01":                   true,
		"\\":                     false, // that of an escape is none
		"alles":                  true,
		"\u212aelvin":            true, // a sign of its own, whose small letter is k
		"KELVIN":                 true,
		"STRASSE":                false, // letters are compared one by one
		"straße":                 true,
		"ΣΊΣΥΦΟΣ":                false, // its last letter has a form for the end of a word
		"σίσυφος":                true,
		"agent_id":               true,
		`"action_requested","id`: false,
	} {
		words, err := Parse(text)
		if strings.Count(text, `"`)%2 == 1 {
			if err == nil {
				t.Errorf("%q is read as %q", text, words)
			}
			continue
		}
		if m := words.Matcher(); err != nil || m.Match(payload) != want {
			t.Errorf("%q, as %q: %v, want %v", text, words, err, want)
		}
	}
	for _, text := range []string{`"`, `a "b`, "\xff", strings.Repeat("a ", maxWords+1)} {
		if words, err := Parse(text); err == nil {
			t.Errorf("%.20q is read as %.20q", text, words)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "a b", `a "b c" d`, `"`, "\x00", "É"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := Parse(text)
		if err != nil {
			return
		}
		// What is looked for is found in a payload that is the text.
		payload, err := event.AppendJSON(nil, strings.ReplaceAll(text, `"`, " "))
		if err != nil {
			t.Fatal(err)
		}
		if m := words.Matcher(); text == strings.ToLower(text) && !m.Match(payload) {
			t.Errorf("%q is not in %s", words, payload)
		}
	})
}

// One matcher gives for one payload after the other what the words say of each.
func TestMatcher(t *testing.T) {
	m := Words{"ab"}.Matcher()
	for _, tt := range []struct {
		payload string
		want    bool
	}{{"xxxxxxxxxxxxxAB", true}, {"AÉB", false}, {"", false}, {"aB", true}, {strings.Repeat("a", 100), false}} {
		if got := m.Match([]byte(tt.payload)); got != tt.want {
			t.Errorf("%q: %v", tt.payload, got)
		}
	}
	payload := []byte(strings.Repeat(`{"note":"Some Text"}`, 50))
	if n := testing.AllocsPerRun(100, func() { m.Match(payload) }); n > 0 {
		t.Errorf("%v allocations for a payload", n)
	}
}

func FuzzLower(f *testing.F) {
	for _, text := range []string{"", "ABCDEFGH@[`{Z", "aÉBCDEFGHIJKLMN", "ABCDEFGHİK", "\xff\xfeABCDEFG", "ÄÖÜ", "A\u212aB", strings.Repeat("É", 9) + "\xe2\x84"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, want := appendLower(nil, b), bytes.ToLower(b); !bytes.Equal(got, want) {
			t.Errorf("%q becomes %q, and has to be %q", b, got, want)
		}
	})
}
