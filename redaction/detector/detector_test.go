package detector

import (
	"regexp"
	"strings"
	"testing"
)

// compiledSet compiles what is on by default, or fails the test.
func compiledSet(t testing.TB, ds []Detector) *Set {
	t.Helper()
	s, err := Compile(ds)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// on returns the detectors that are not off.
func on() (list []Detector) {
	for _, d := range Builtin() {
		if !d.Off {
			list = append(list, d)
		}
	}
	return list
}

// found are the secrets that a set finds in a text, each with its detector.
func found(s *Set, text string) (list []string) {
	for _, m := range s.Find(nil, text) {
		list = append(list, m.Detector+" "+text[m.Start:m.End])
	}
	return list
}

// TestTable holds every detector to its examples, alone and among the others.
func TestTable(t *testing.T) {
	everything := compiledSet(t, Builtin())
	byDefault := compiledSet(t, on())
	for _, d := range Builtin() {
		t.Run(d.Name, func(t *testing.T) {
			if d.Doc == "" || len(d.Examples) == 0 || len(d.CounterExamples) == 0 {
				t.Error("it has no doc, no example or no counter-example")
			}
			alone := compiledSet(t, []Detector{d})
			for _, text := range d.Examples {
				// What the pattern alone says is the whole secret.
				m := alone.Find(nil, text)
				if len(m) != 1 {
					t.Errorf("in the example %q it finds %q, want one secret", text, found(alone, text))
					continue
				}
				for _, in := range []string{text, "see: " + text + "\nnext line", "{\"a\": \"" + text + "\"}"} {
					offset := strings.Index(in, text)
					if !covered(everything.Find(nil, in), m[0].Start+offset, m[0].End+offset) {
						t.Errorf("all detectors together find %q in %q, want all of %q", found(everything, in), in, text[m[0].Start:m[0].End])
					}
				}
			}
			for _, text := range d.CounterExamples {
				if got := found(byDefault, text); len(got) > 0 {
					t.Errorf("in the counter-example %q it finds %q", text, got)
				}
				if got := found(alone, text); len(got) > 0 {
					t.Errorf("alone it finds %q in the counter-example %q", got, text)
				}
			}
		})
	}
}

// covered reports whether one of the matches is all of [start, end).
func covered(matches []Match, start, end int) bool {
	for _, m := range matches {
		if m.Start <= start && end <= m.End {
			return true
		}
	}
	return false
}

func TestBuiltin(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	off := map[string]bool{"email": true, "phone": true, "iban": true}
	n := 0
	for _, d := range Builtin() {
		if !name.MatchString(d.Name) {
			t.Errorf("the name %q is not of lower case words joined by hyphens", d.Name)
		}
		if d.Off != off[d.Name] {
			t.Errorf("%s: off is %v", d.Name, d.Off)
		}
		if !d.Off {
			n++
		}
	}
	if n < 60 {
		t.Errorf("%d kinds of credential are known, want 60 at least", n)
	}
}
