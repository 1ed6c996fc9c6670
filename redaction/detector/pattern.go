package detector

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
)

// pattern is what can be told of a regular expression without running it.
type pattern struct {
	whole    int      // the fewest bytes that it matches
	secret   int      // the fewest bytes of its first group, or of the whole
	fold     bool     // some of it matches letters of either case
	literals []string // one of them stands in all that it matches
}

func parse(expr string) (pattern, error) {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return pattern{}, err
	}
	p := pattern{whole: shortest(re), fold: folds(re)}
	p.secret = p.whole
	if g := firstGroup(re); g != nil {
		p.secret = shortest(g)
	}
	if p.whole == 0 || p.secret == 0 {
		return pattern{}, errors.New("the pattern matches the empty text")
	}
	p.literals = literals(re)
	for _, l := range p.literals {
		if len(l) > maxKeyword {
			return pattern{}, fmt.Errorf("the pattern has a literal of %d bytes; give a keyword of at most %d", len(l), maxKeyword)
		}
	}
	return p, nil
}

func folds(re *syntax.Regexp) bool {
	return re.Flags&syntax.FoldCase != 0 || slices.ContainsFunc(re.Sub, folds)
}

// shortest returns the fewest bytes that re matches.
func shortest(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpCapture, syntax.OpPlus:
		return shortest(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min * shortest(re.Sub[0])
	case syntax.OpConcat:
		n := 0
		for _, sub := range re.Sub {
			n += shortest(sub)
		}
		return n
	case syntax.OpAlternate:
		n := shortest(re.Sub[0])
		for _, sub := range re.Sub[1:] {
			n = min(n, shortest(sub))
		}
		return n
	}
	return 0
}

func firstGroup(re *syntax.Regexp) *syntax.Regexp {
	if re.Op == syntax.OpCapture {
		return re
	}
	for _, sub := range re.Sub {
		if g := firstGroup(sub); g != nil {
			return g
		}
	}
	return nil
}

// literals returns strings of which one stands in all that re matches, or nil
// if there are none that are long enough. Of several in a row it takes the
// longest.
func literals(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		// Beyond ASCII, letters have other cases than the automaton knows.
		for _, r := range re.Rune {
			if r >= 0x80 && re.Flags&syntax.FoldCase != 0 {
				return nil
			}
		}
		if s := string(re.Rune); len(s) >= minKeyword {
			return []string{s}
		}
	case syntax.OpCapture, syntax.OpPlus:
		return literals(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return literals(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if l := literals(sub); best == nil || l != nil && least(l) > least(best) {
				best = l
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			l := literals(sub)
			if l == nil {
				return nil
			}
			all = append(all, l...)
		}
		return all
	}
	return nil
}

// least is the length of the shortest.
func least(list []string) int {
	n := maxKeyword + 1
	for _, s := range list {
		n = min(n, len(s))
	}
	return n
}
