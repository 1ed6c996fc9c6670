package ingest

import (
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/custodylog/custody/event"
)

// Format is what [Format.Read] has to know of a format.
type Format struct {
	Name    string     // Event.Source of every event, and what ids begin with
	Unknown event.Type // type of what is not understood; not a registered one
	Framing Framing

	// Parse reads the text of one record. own is what identifies the record
	// wherever it stands, such as a UUID, or "". events returns its events,
	// at least one; those without an ID get one made of id, their position
	// among them, and nothing else. An error says what is malformed.
	//
	// For a second import to find the events of the first, all of that may
	// depend on the record and the ones before it, and on nothing else.
	Parse func(text []byte) (own string, events func(id string) []Item, err error)
}

// ParseObjects returns a [Format.Parse] for records that are JSON objects: own
// and events get the object that [ParseObject] reads; events may change and keep it.
func ParseObjects(own func(object map[string]any) string, events func(object map[string]any, id string) []Item) func([]byte) (string, func(string) []Item, error) {
	return func(text []byte) (string, func(string) []Item, error) {
		object, defects, err := ParseObject(text)
		if err != nil {
			return "", nil, err
		}
		return own(object), func(id string) []Item {
			items := events(object, id)
			for i := range items {
				items[i].Event.Defects = append(items[i].Event.Defects, defects...)
			}
			return items
		}, nil
	}
}

// Read yields the events of a source in their order.
func (f *Format) Read(r io.Reader, src Source) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		names := ids{format: f.Name}
		for rec, err := range Records(r, src, f.Framing) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			for _, item := range f.items(&rec, &names, src) {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// items returns the finished items of one record.
func (f *Format) items(rec *Record, names *ids, src Source) []Item {
	var items []Item
	var id string
	if rec.Whole() {
		own, events, err := f.Parse(rec.Text)
		id = names.next(rec.Sum, own)
		if err == nil {
			items = events(id)
		} else {
			items = f.raw(rec, err)
		}
	} else {
		id = names.next(rec.Sum, "")
		items = f.raw(rec, fmt.Errorf("the record has %d bytes, more than the limit of %d; its beginning is kept", rec.Size, src.maxRecord()))
	}
	for i := range items {
		e := &items[i].Event
		items[i].Line = rec.Line
		if e.ID == "" {
			e.ID = id + ":" + strconv.Itoa(i)
		}
		e.Source = f.Name
		if why := Fit(e, src.maxPayload(), f.Unknown); why != nil {
			items[i].Mapped, items[i].Note = false, why.Error()
		}
	}
	return items
}

func (f *Format) raw(rec *Record, why error) []Item {
	return []Item{{Event: raw(f.Unknown, rec, why.Error()), Note: why.Error()}}
}
