package bundle

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/custodylog/custody/evidence"
)

// Format is the name and version of the format, as the manifest gives it.
const Format = "custody bundle v1"

// Manifest says what a bundle is and lists its files. Nobody signs it: what it
// says counts as far as the tree and the signatures bear it out, and is
// otherwise the word of whoever made the bundle.
type Manifest struct {
	Counts  Counts `json:"counts"`
	Created Time   `json:"created"` // by the clock of whoever made the bundle
	Files   []File `json:"files"`   // all but manifest.json and index.html, in their order in the zip
	Format  string `json:"format"`
	Origin  string `json:"origin"`
	Page    string `json:"page"`    // SHA-256, in hexadecimal, of index.html without its data
	Program string `json:"program"` // that made it, with its version
	Range   Span   `json:"range"`   // the indices that the question comes to
	Scope   Scope  `json:"scope"`
}

// Counts says how many entries there are of each kind.
type Counts struct {
	Asked   uint64 `json:"asked"`   // events that the question asks for
	Entries uint64 `json:"entries"` // entries disclosed
	Events  uint64 `json:"events"`  // payloads disclosed
	Removed uint64 `json:"removed"` // entries of the range whose payload the trail no longer holds
}

// File is a file of a bundle.
type File struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // in hexadecimal
	Size   int64  `json:"size"`   // in bytes
}

// Scope is the question that a bundle answers.
type Scope struct {
	// Fields are members of a payload, such as agent_id, with the value that
	// each has in the events asked for. Without any, every event of the range
	// is asked for.
	Fields map[string]string `json:"fields,omitempty"`

	// Since and Until bound the time of the entries: Since <= time < Until, in
	// whole microseconds. Zero means no bound. Without both, the question is for
	// the range of indices itself.
	Since Time `json:"since,omitzero"`

	// Text is the question in the words of a person.
	Text string `json:"text"`

	Until Time `json:"until,omitzero"`
}

func (s *Scope) check() error {
	for name := range s.Fields {
		// Such names have one order, whether by bytes or, as RFC 8785 has it, by
		// UTF-16 code units.
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("scope: %.80q cannot name a member of a payload; it may have letters, digits and signs of ASCII", name)
		}
	}
	if !s.Since.IsZero() && !s.Until.IsZero() && !s.Since.Before(s.Until.Time) {
		return errors.New("scope: until is not later than since")
	}
	return nil
}

// Span is the run of indices From <= index < To. It may be empty.
type Span struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

func (s Span) ranges() evidence.Ranges {
	if s.From >= s.To {
		return nil
	}
	return evidence.Ranges{{First: s.From, Last: s.To - 1}}
}

// Time is a time that JSON has in [evidence.TimeLayout].
type Time struct{ time.Time }

// MarshalJSON writes [evidence.TimeLayout]. Digits below a microsecond are cut
// off.
func (t Time) MarshalJSON() ([]byte, error) {
	if y := t.UTC().Year(); y < 0 || y > 9999 {
		return nil, fmt.Errorf("the year %d cannot be written; it has to be from 0 to 9999", y)
	}
	return append(evidence.AppendTime([]byte{'"'}, t.Time), '"'), nil
}

// UnmarshalJSON reads what MarshalJSON writes, and no other form.
func (t *Time) UnmarshalJSON(b []byte) error {
	text, ok := quoted(b)
	if !ok {
		return fmt.Errorf("%.40q is not a time in quotes", b)
	}
	at, err := evidence.ParseTime(text)
	t.Time = at
	return err
}

// Set is a set of indices that JSON has in the form of [evidence.Ranges.String].
type Set struct{ evidence.Ranges }

// MarshalText writes the form of [evidence.Ranges.String].
func (s Set) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes, and no other form.
func (s *Set) UnmarshalText(b []byte) (err error) {
	s.Ranges, err = evidence.ParseRanges(string(b))
	return err
}

// Removal says why the payloads of some entries are missing, or the entries
// themselves: an event of the trail itself lists them (docs/format/removal.md).
type Removal struct {
	Entries Set    `json:"entries"`
	Event   uint64 `json:"event"` // its index
	// Minimum is the trail's minimum index from then on where entries were pruned,
	// and 0 where it is about payloads.
	Minimum uint64 `json:"minimum,omitzero"`
	Type    string `json:"type"` // payload_erased or retention_applied
}

// The types of the events that tell of removals.
const (
	payloadErased    = "payload_erased"
	retentionApplied = "retention_applied"
)

// proof is proof.json.
type proof struct {
	Entries Set             `json:"entries"` // those that entries.ndjson discloses
	Leaves  []evidence.Hash `json:"leaves"`  // their leaf hashes
	Nodes   []evidence.Hash `json:"nodes"`   // the hashes of Cover
	Root    evidence.Hash   `json:"root"`
	Size    uint64          `json:"size"`
}

// eventLine is a line of events.ndjson. The payload stands in it as text, so
// that any reader of JSON gives its bytes.
type eventLine struct {
	Index   uint64 `json:"index"`
	Payload string `json:"payload"`
	Salt    []byte `json:"salt"`
}

// newLine returns the line of an event, without its newline.
func newLine(index uint64, salt, payload []byte) ([]byte, error) {
	if len(salt) != evidence.SaltSize {
		return nil, fmt.Errorf("entry %d: its salt has %d bytes instead of %d", index, len(salt), evidence.SaltSize)
	}
	if !utf8.Valid(payload) {
		return nil, fmt.Errorf("entry %d: its payload is not UTF-8, so it cannot stand in events.ndjson", index)
	}
	return canonical(eventLine{index, string(payload), salt})
}
