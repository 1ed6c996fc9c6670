// Package textsearch finds events by words that they say. There is no index of words:
// payloads are read one by one, so a search looks through a part of the trail and says
// how far it came.
package textsearch

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// maxWords bounds how many words a search may have.
const maxWords = 16

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

// In reports whether a payload, in its canonical form, says all of the words. Names of
// members count as what it says.
func (w Words) In(payload []byte) bool {
	if len(w) == 0 {
		return true
	}
	lower := bytes.ToLower(payload)
	for _, word := range w {
		if !bytes.Contains(lower, []byte(word)) {
			return false
		}
	}
	return true
}

// Budget bounds a search. Zero is no bound.
type Budget struct {
	Entries int           // that are looked at
	Time    time.Duration // that it takes
}

// timeEach is after how many entries the clock is looked at.
const timeEach = 256

// Progress is how far a search came.
type Progress struct {
	Looked int       // how many entries it looked at
	Last   uint64    // index of the last of them
	Time   time.Time // of that entry
	Done   bool      // there are no more
}

// Find looks through entries, and calls found for each that says all of the words, until
// it returns false, the budget is used up, or there are no more. Entries whose payload
// is not held say nothing.
func (w Words) Find(entries iter.Seq2[custody.Entry, error], b Budget, found func(*custody.Entry) bool) (Progress, error) {
	var p Progress
	began := time.Now()
	for e, err := range entries {
		switch {
		case err != nil:
			return p, err
		case b.Entries > 0 && p.Looked == b.Entries:
			return p, nil
		case b.Time > 0 && p.Looked%timeEach == timeEach-1 && time.Since(began) > b.Time:
			return p, nil
		}
		p.Looked, p.Last, p.Time = p.Looked+1, e.Index, e.Time
		if e.Payload != nil && w.In(e.Payload) && !found(&e) {
			return p, nil
		}
	}
	p.Done = true
	return p, nil
}
