// Package detector finds secrets in text by their form: the prefix, length,
// alphabet and checksum that their issuers document.
//
// # First call
//
//	set, err := detector.Compile(detector.Builtin())
//	for _, m := range set.Find(nil, text) {
//		fmt.Println(m.Detector, text[m.Start:m.End])
//	}
//
// # How it works
//
// One pass over the text looks for the keywords of all detectors at once (Aho
// and Corasick, 1975). Only where a keyword stands is the pattern of its
// detector tried, on a window around it. Windows of one detector that touch are
// joined, so that no detector reads a byte twice: with the linear time of Go's
// regular expressions the whole is linear in the text, whatever it holds. A
// text without keywords costs one table look-up for each byte and no memory.
//
// # What it does not see
//
// Secrets that have no form of their own, such as a password, are for package
// redaction, which goes by the name before them. Nor does it see a secret that
// is broken over lines, encoded or misspelt.
package detector

// A Detector describes one kind of secret.
type Detector struct {
	// Name identifies the detector in reports and in rules. Lower case words
	// joined by hyphens.
	Name string

	// Doc says what it finds, in a few words.
	Doc string

	// Pattern is a regular expression in the syntax of package regexp. The
	// secret is its first group, or all that it matches if it has none. With
	// (?i) in it the case of the keywords does not matter. It sees a part of the
	// text only, see Where: ^ and $ are the ends of that.
	Pattern string

	// Keywords are strings of which one stands in every text that the pattern
	// is to match. Without any, Compile takes a literal from the pattern.
	Keywords []string

	// Where says which part of the text around a keyword the pattern sees.
	Where Where

	// Check, if any, decides whether what the pattern found is a secret. It may
	// be called by several goroutines at once.
	Check func(secret string) bool

	// Off detectors are not used unless asked for.
	Off bool

	// Examples are texts in which the detector finds exactly one secret.
	// CounterExamples are texts, much like one, in which no detector finds any.
	Examples, CounterExamples []string

	// ahead, of a detector that looks After its keyword, returns an index that
	// the secret reaches if one may follow at i, or -1.
	ahead func(text string, i int) int

	// candidates, in place of keywords, returns the next part of the text from
	// an index on that the pattern has to see, or -1.
	candidates func(text string, from int) (start, end int)
}

// Where says which part of the text a pattern sees when a keyword was found.
type Where uint8

const (
	// Around: 256 bytes on both sides of the keyword, and then to the end of
	// the word.
	Around Where = iota

	// Token: the keyword begins the secret, which is one word, and no letter,
	// digit or underscore stands before it.
	Token

	// After: the secret is a word that begins within 160 bytes after the keyword.
	// Nothing is tried if no word there is long enough.
	After

	// Block: the keyword stands at the beginning of text over several lines
	// that goes on in base64.
	Block
)

// A Match is a secret in a text.
type Match struct {
	Start, End int    // byte range of the secret itself
	Detector   string // the name of the detector
}

// Builtin returns the detectors known to this package, in an order in which of
// two that find the same the former is meant.
func Builtin() []Detector {
	var all []Detector
	for _, part := range [][]Detector{cloud(), code(), models(), messaging(), payment(), operations(), saas(), keys(), files(), generic(), personal()} {
		all = append(all, part...)
	}
	return all
}
