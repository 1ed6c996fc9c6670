// Package ndjson imports events that are JSON already: those of this project,
// such as an export, and those that the original Python logger wrote. Each is
// an object on a line of its own, or an element of an array.
//
// # First call
//
//	for item, err := range ndjson.Read(r, ingest.Source{Name: path}) { … }
//
// Events are read by [event.Decode], tolerantly; what had to be interpreted is
// said in Defects. What Decode refuses becomes an event of the type ndjson_line,
// which is not registered, with the text in details.raw. Hashes that another
// logger left in the details (_hash, _prev_hash) are data here: they are kept,
// and nothing follows from them.
//
// An event keeps its id. One without gets an id made of its bytes and those of
// the events before it.
//
// Event.Source is "ndjson", so that nobody can pass an event off as one that
// came by another path; a claimed source is kept in details.
package ndjson

import (
	"fmt"
	"io"
	"iter"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
)

var format = ingest.Format{
	Name:    "ndjson",
	Unknown: "ndjson_line",
	Framing: ingest.Framing{Arrays: true},
	Parse:   parse,
}

// Read yields the events in their order.
func Read(r io.Reader, src ingest.Source) iter.Seq2[ingest.Item, error] { return format.Read(r, src) }

func parse(text []byte) (own string, events func(id string) []ingest.Item, err error) {
	e, err := ingest.DecodeEvent(text)
	if err != nil {
		return "", nil, err
	}
	return "", func(id string) []ingest.Item {
		if len(e.ID) > event.MaxIDLen {
			claim(&e, "id", e.ID)
			e.Defects = append(e.Defects, fmt.Sprintf("id: %d bytes, more than the %d it may have; replaced", len(e.ID), event.MaxIDLen))
			e.ID = ""
		}
		if e.ID == "" {
			e.ID = id
		}
		// The trail and the import set these two.
		claim(&e, "source", e.Source)
		claim(&e, "principal", e.Principal)
		e.Principal = ""
		if e.OccurredAt.IsZero() {
			e.OccurredAt = e.Timestamp
		} else if e.Timestamp.IsZero() {
			e.Timestamp = e.OccurredAt
		}
		return []ingest.Item{{Event: e, Mapped: true}}
	}, nil
}

// claim keeps what the event claimed in its details, under a name that is free.
func claim(e *event.Event, name, value string) {
	if value == "" {
		return
	}
	if e.Details == nil {
		e.Details = map[string]any{}
	}
	for {
		if _, taken := e.Details[name]; !taken {
			break
		}
		name = "_" + name
	}
	e.Details[name] = value
}
