package redaction

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

// names judges the names of members. Only verdicts changes once it is made.
type names struct {
	terms []term
	first []letters       // sets of terms; a name that has none of them has no term
	allow map[string]bool // by folded name

	// verdicts remembers what was found last, by the hash of the name: events
	// of one program have few different names.
	seed maphash.Seed
	// Two that have the same hash do not drive each other out.
	verdicts [1024][2]atomic.Pointer[verdict]
}

// verdict is the rule that was found for a name, or "".
type verdict struct{ name, rule string }

// maxRemembered bounds the length of names that are remembered, and with it the
// memory that they take.
const maxRemembered = 64

func newNames(extra, allow []string) *names {
	n := &names{terms: slices.Clip(known), allow: map[string]bool{}, seed: maphash.MakeSeed()}
	for _, name := range extra {
		if t := newTerm(name, true); t.folded != "" {
			n.terms = append(n.terms, t)
		}
	}
	for i := range n.terms {
		n.first = append(n.first, n.terms[i].set)
	}
	n.first = smallest(n.first)
	for _, name := range allow {
		if r := read(nil, nil, name, false); len(r.folded) > 0 {
			n.allow[string(r.folded)] = true
		}
	}
	return n
}

// rule returns the rule by which what stands under name is redacted, or "". It
// does not allocate for a name that it met not long ago.
func (n *names) rule(name string) string {
	if len(name) > maxRemembered {
		return n.find(name)
	}
	h := maphash.String(n.seed, name)
	slots := &n.verdicts[h%uint64(len(n.verdicts))]
	for i := range slots {
		if v := slots[i].Load(); v != nil && v.name == name {
			return v.rule
		}
	}
	rule := n.find(name)
	slot := &slots[h>>63]
	if other := &slots[1-h>>63]; slot.Load() != nil && other.Load() == nil {
		slot = other
	}
	slot.Store(&verdict{strings.Clone(name), rule})
	return rule
}

// namesOne reports whether a name says that the name of a secret follows, as
// secretName does.
func (n *names) namesOne(name string) bool {
	return (strings.HasSuffix(name, "Name") || strings.HasSuffix(name, "_name")) && n.rule(name) == "" && n.mayHave(name, lettersOf(name))
}

// allows reports whether a name is one of those that are allowed.
func (n *names) allows(name string) bool {
	if len(n.allow) == 0 {
		return false
	}
	return n.allow[string(read(nil, nil, name, false).folded)]
}

// withoutAllowed returns names that only find.
func (n *names) withoutAllowed() *names { return &names{terms: n.terms, first: n.first} }

// find is rule without its memory.
func (n *names) find(name string) string {
	has := lettersOf(name)
	for _, set := range n.first {
		if has&set != set {
			continue
		}
		if n.mayHave(name, has) {
			return n.judge(name, has)
		}
		break
	}
	return ""
}

// mayHave reports whether the letters of some term stand in a name in their
// order. It is much faster than judge, and most names end here.
func (n *names) mayHave(name string, has letters) bool {
	var room [128]byte
	folded := room[:0]
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c >= utf8.RuneSelf:
			return true
		case c-'A' < 26:
			folded = append(folded, c|0x20)
		case c-'a' < 26 || c-'0' < 10:
			folded = append(folded, c)
		}
	}
	for i := range n.terms {
		if t := &n.terms[i]; has&t.set == t.set && bytes.Contains(folded, []byte(t.folded)) {
			return true
		}
	}
	return false
}

// judge is rule for a name that may have a term.
func (n *names) judge(name string, has letters) string {
	if isSource(name) {
		return ""
	}
	// First by words as the case has them. A name in which that finds nothing
	// may be written oddly (APIkey, PASSWORDhash), so then by separators only.
	for _, camel := range [...]bool{true, false} {
		var folded [128]byte
		var ends [24]int
		r := read(folded[:0], ends[:0], name, camel)
		if n.allow[string(r.folded)] {
			return ""
		}
		t, end, found := n.last(&r, has)
		if t != nil && !r.describes(t, end) {
			return t.rule
		}
		if found {
			return ""
		}
	}
	return ""
}

// last returns the last term that a name has and where it ends, nil if it has
// none. Tokens that are counted are found, but are no term.
func (n *names) last(r *reading, has letters) (last *term, end int, found bool) {
	for i := range n.terms {
		t := &n.terms[i]
		if has&t.set != t.set {
			continue
		}
		for at := 0; ; at++ {
			next := bytes.Index(r.folded[at:], []byte(t.folded))
			if next < 0 {
				break
			}
			at += next
			e, ok := r.stands(t, at)
			if !ok {
				continue
			}
			found = true
			if e > end && !r.counts(t, at, e) {
				last, end = t, e
			}
		}
	}
	return last, end, found
}

// reading is a name taken apart: its words in lower case, one after the other
// without what separated them.
type reading struct {
	folded []byte
	ends   []int // of each word in folded
}

// read takes a name apart at everything that is neither letter nor digit and,
// if camel is set, where the case changes: api·Key, HTTP·Header. It appends to
// folded and ends.
func read(folded []byte, ends []int, name string, camel bool) reading {
	start := 0
	before := rune(0) // 0 at the start of a word
	for i, c := range name {
		letter := unicode.IsLetter(c) || unicode.IsDigit(c)
		split := !letter
		if camel && unicode.IsUpper(c) {
			after, _ := utf8.DecodeRuneInString(name[i+utf8.RuneLen(c):])
			split = !unicode.IsUpper(before) || unicode.IsLower(after)
		}
		if split && len(folded) > start {
			start = len(folded)
			ends = append(ends, start)
		}
		before = 0
		if letter {
			folded = utf8.AppendRune(folded, unicode.ToLower(c))
			before = c
		}
	}
	if len(folded) > start {
		ends = append(ends, len(folded))
	}
	return reading{folded, ends}
}

// word returns where the word begins that holds the letter at offset at, and
// where it ends.
func (r *reading) word(at int) (start, end int) {
	i, _ := slices.BinarySearch(r.ends, at+1)
	if i > 0 {
		start = r.ends[i-1]
	}
	return start, r.ends[i]
}

// rest returns what of a word follows at offset at: nothing between words, and
// nothing for a number (password2).
func (r *reading) rest(at int) []byte {
	if at == 0 || at >= len(r.folded) {
		return nil
	}
	_, end := r.word(at - 1)
	rest := r.folded[at:end]
	if isNumber(rest) {
		return nil
	}
	return rest
}

// stands reports whether the letters of t at offset at stand for t there, and
// where they end, a plural s included.
func (r *reading) stands(t *term, at int) (end int, ok bool) {
	start, wordEnd := r.word(at)
	end = at + len(t.folded)
	rest := r.rest(end)
	if len(rest) > 0 && rest[0] == 's' && (len(rest) == 1 || isNumber(rest[1:])) {
		end, rest = end+1, nil
	}
	if t.whole || end > wordEnd {
		// Nothing may follow, and a longer word can only be the first of two:
		// openaiapi_key.
		joined := !t.whole && at+t.joint == wordEnd
		if len(rest) > 0 || at > start && !joined {
			return 0, false
		}
	}
	return end, !t.isOther(rest)
}

// counts reports whether t, at offsets at to end, are tokens as language
// models have them.
func (r *reading) counts(t *term, at, end int) bool {
	if t.folded != "token" || at == 0 {
		return false
	}
	start, _ := r.word(at)
	if start == at {
		start, _ = r.word(at - 1)
	}
	if at-start > 16 {
		return false // longer than any word that is looked for
	}
	before := r.folded[start:at]
	return countedToken[string(before)] || end > at+len(t.folded) && countedTokens[string(before)]
}

// describes reports whether what follows the term t, which ends at offset end,
// makes the name one that only tells something about a secret.
func (r *reading) describes(t *term, end int) bool {
	var head []byte
	n := 0
	for at := end; at < len(r.folded); {
		_, wordEnd := r.word(at)
		word := r.folded[at:wordEnd]
		at = wordEnd
		if isNumber(word) {
			continue
		}
		if prepositions[string(word)] {
			break
		}
		head = word
		n++
	}
	if n == 1 && t.folded == "secret" && string(head) == "id" {
		return false // the secret_id of an AppRole is a credential
	}
	return describing[string(head)]
}

func isNumber(word []byte) bool {
	for _, c := range word {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// isSource reports whether a name is the path of source code or prose.
// Programs keep maps from paths to changes, and src/auth/login.ts is no secret.
func isSource(name string) bool {
	if !strings.ContainsAny(name, `/\`) {
		return false
	}
	return sources[name[strings.LastIndexByte(name, '.')+1:]]
}

// letters is the set of the letters a to z in a name, without regard to case.
type letters uint32

// lettersOf returns all letters for a name that has characters beyond ASCII:
// some of them are a letter in another case.
func lettersOf(name string) (set letters) {
	for i := 0; i < len(name); i++ {
		if name[i] >= utf8.RuneSelf {
			return 1<<26 - 1
		}
		if c := name[i] | 0x20 - 'a'; c < 26 {
			set |= 1 << c
		}
	}
	return set
}

// smallest returns the sets that contain none of the others.
func smallest(sets []letters) (out []letters) {
	for i, set := range sets {
		contains := func(j int, other letters) bool {
			return set&other == other && (set != other || j < i)
		}
		keep := true
		for j, other := range sets {
			keep = keep && !contains(j, other)
		}
		if keep {
			out = append(out, set)
		}
	}
	return out
}
