package detector

import (
	"errors"
	"fmt"
	"regexp"
	"sync"
)

// A Set finds what any of its detectors describes. It is immutable and may be
// used by several goroutines at once.
type Set struct {
	detectors  []compiled
	automaton  *automaton
	uses       [][]use        // by keyword, in lower case
	rank       map[string]int // by name, the place in detectors
	candidates []int          // the detectors that have no keywords

	windows sync.Pool // of *windows, for texts in which a pattern is tried
}

// compiled is a detector that is ready to be used.
type compiled struct {
	name  string
	re    *regexp.Regexp
	min   int  // the fewest bytes of the secret, or of all that the pattern of a Token matches
	fold  bool // the case of keywords does not matter
	where Where
	ahead func(text string, i int) int
	check func(string) bool

	candidates func(text string, from int) (start, end int)
}

// use is a keyword as one detector has it.
type use struct {
	detector int
	keyword  string
	fold     bool
}

const (
	minKeyword = 3 // bytes: shorter ones stand in every other text
	maxKeyword = 64
	maxKeys    = 1 << 16
)

// Compile makes a set of the detectors, of those that are Off as well. Its
// error names the first detector that is wrong.
func Compile(ds []Detector) (*Set, error) {
	s := &Set{rank: map[string]int{}}
	ids := map[string]int{}
	var keywords []string
	for _, d := range ds {
		c, keys, err := compile(d)
		if err != nil {
			return nil, fmt.Errorf("detector %q: %w", d.Name, err)
		}
		if _, twice := s.rank[d.Name]; twice {
			return nil, fmt.Errorf("detector %q: there is another one of that name; rename one of them", d.Name)
		}
		n := len(s.detectors)
		s.rank[d.Name] = n
		s.detectors = append(s.detectors, c)
		if c.candidates != nil {
			s.candidates = append(s.candidates, n)
			continue
		}
		for _, k := range keys {
			folded := fold(k)
			id, known := ids[folded]
			if !known {
				id = len(keywords)
				ids[folded] = id
				keywords = append(keywords, folded)
				s.uses = append(s.uses, nil)
			}
			s.uses[id] = append(s.uses[id], use{n, k, c.fold})
		}
	}
	if len(keywords) > maxKeys {
		return nil, fmt.Errorf("the detectors have %d keywords, %d at most are possible", len(keywords), maxKeys)
	}
	s.automaton = newAutomaton(keywords)
	s.windows.New = func() any { return &windows{open: make([]window, len(s.detectors))} }
	return s, nil
}

func compile(d Detector) (compiled, []string, error) {
	c := compiled{name: d.Name, where: d.Where, check: d.Check, ahead: d.ahead, candidates: d.candidates}
	if d.Name == "" {
		return c, nil, errors.New("it has no name")
	}
	if d.Where > Block {
		return c, nil, fmt.Errorf("where: %d is not known", d.Where)
	}
	p, err := parse(d.Pattern)
	if err != nil {
		return c, nil, err
	}
	if c.re, err = regexp.Compile(d.Pattern); err != nil {
		return c, nil, err
	}
	c.fold = p.fold
	if c.min = p.secret; d.Where == Token {
		c.min = p.whole
		// The word ends where the secret does. Said in the pattern, so that
		// of its alternatives the one is taken for which that holds.
		expr := "(?:" + d.Pattern + ")"
		if c.re.NumSubexp() == 0 {
			expr = "(" + d.Pattern + ")"
		}
		if c.re, err = regexp.Compile(expr + `(?:\W|$)`); err != nil {
			return c, nil, err
		}
	}
	keys := d.Keywords
	if len(keys) == 0 && d.candidates == nil {
		if keys = p.literals; keys == nil {
			return c, nil, fmt.Errorf("it has no keyword, and the pattern has no literal of %d or more characters that stands in all it matches; give keywords", minKeyword)
		}
	}
	for _, k := range keys {
		if len(k) < minKeyword || len(k) > maxKeyword {
			return c, nil, fmt.Errorf("keyword %q has %d bytes; give one of %d to %d", k, len(k), minKeyword, maxKeyword)
		}
	}
	return c, keys, nil
}

// Find appends to dst the secrets in the text: in order, and no two overlap. If
// the finds of two detectors do, they are one match over both, which bears the
// name of the longer, or of the one that was given to Compile first. Find
// allocates nothing if it finds nothing.
func (s *Set) Find(dst []Match, text string) []Match {
	dst, _ = s.find(dst, text)
	return dst
}

// find also returns how many bytes were read by regular expressions.
func (s *Set) find(dst []Match, text string) ([]Match, int) {
	f := finder{set: s, text: text, found: dst}
	a := s.automaton
	state := uint32(0)
	for i := range len(text) {
		if state = a.next[state+uint32(a.class[text[i]])]; state >= a.first {
			for _, k := range a.ends[(state-a.first)/a.width] {
				f.hit(s.uses[k], i+1)
			}
		}
	}
	f.close()
	for _, n := range s.candidates {
		d := &s.detectors[n]
		for start, end := d.candidates(text, 0); start >= 0; start, end = d.candidates(text, end) {
			f.search(d, window{start, end})
		}
	}
	return s.resolve(f.found, len(dst)), f.read
}
