// Package textsearch finds payloads by words that they say, and reads which values they
// have to have.
package textsearch

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/custodylog/custody/event"
)

// maxWords bounds how many words a search may have.
const maxWords = 16

// How far somebody who waits for an answer has words looked for at once.
const (
	MaxEntries = 500_000
	MaxTime    = time.Second
)

// Words are what a payload has to say, all of them, in any place and order, and whatever
// the case of its letters.
type Words []string

// Parse takes words apart at white space; what is in double quotes is one of them. None
// at all is no error.
func Parse(text string) (Words, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("it is not UTF-8")
	}
	var words Words
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	if strings.Count(text, `"`)%2 == 1 {
		return nil, errors.New("a double quote is not closed")
	}
	var wanted Words
	for _, w := range words {
		if w == "" {
			continue
		}
		said, err := event.AppendJSON(nil, strings.ToLower(w)) // as a payload writes it
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, string(said[1:len(said)-1]))
	}
	if len(wanted) > maxWords {
		return nil, fmt.Errorf("it has %d words, more than %d", len(wanted), maxWords)
	}
	return wanted, nil
}

// Matcher looks for words in one payload after the other. Only one goroutine may use it
// at a time.
type Matcher struct {
	words [][]byte
	lower []byte // of the payload before; its room is used again
}

// Matcher returns what looks for the words.
func (w Words) Matcher() Matcher {
	m := Matcher{words: make([][]byte, len(w))}
	for i, word := range w {
		m.words[i] = []byte(word)
	}
	return m
}

// Match reports whether a payload, in its canonical form, says all of the words. Names of
// members count as what it says.
func (m *Matcher) Match(payload []byte) bool {
	if len(m.words) == 0 {
		return true
	}
	m.lower = appendLower(m.lower[:0], payload)
	for _, word := range m.words {
		if !bytes.Contains(m.lower, word) {
			return false
		}
	}
	return true
}
