package ingest

import (
	"github.com/custodylog/custody/event"
)

// Item is one event and where it came from.
type Item struct {
	Event event.Event

	// Line is the line of the source, from 1, on which the record that the
	// event came from begins.
	Line int

	// Mapped is false where the record is kept whole but its kind is not
	// understood, or its text is malformed.
	Mapped bool

	// Note says, for a person, what was wrong with the record, or is empty.
	Note string
}

// Source describes what is read. The zero value will do.
type Source struct {
	// Name stands in errors, such as the path of a file. Ids and events do
	// not depend on it.
	Name string

	// MaxRecord bounds the bytes of one record. A longer one becomes an item
	// that holds its beginning, its length and its digest. Default: 64 MiB.
	MaxRecord int

	// MaxPayload bounds the payload of an event in bytes. Default: 1,000,000,
	// which leaves room below a trail's default of 1 MiB for what recording
	// adds.
	MaxPayload int
}

func (s Source) maxRecord() int {
	if s.MaxRecord > 0 {
		return s.MaxRecord
	}
	return 64 << 20
}

func (s Source) maxPayload() int {
	if s.MaxPayload > 0 {
		return s.MaxPayload
	}
	return 1_000_000
}

// name begins an error about the source.
func (s Source) name() string {
	if s.Name != "" {
		return s.Name
	}
	return "the source"
}
