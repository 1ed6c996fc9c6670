// Package ingesttest has the checks that every format's tests make of what its
// Read yields.
package ingesttest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
)

// Read is the function of a format's package.
type Read func(io.Reader, ingest.Source) iter.Seq2[ingest.Item, error]

// All returns the items of a source, and what ended it if that was an error.
func (read Read) All(r io.Reader, src ingest.Source) ([]ingest.Item, error) {
	var items []ingest.Item
	for item, err := range read(r, src) {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

// Check returns what is wrong with the items of a source of the format name:
// each has to have that source, a line, an id that no other one has and a
// payload that can be recorded and read again.
func Check(items []ingest.Item, name string) error {
	lines := map[string]int{}
	for i, item := range items {
		e := item.Event
		where := fmt.Sprintf("item %d (line %d, %s)", i, item.Line, e.ID)
		if e.Source != name {
			return fmt.Errorf("%s: source %q, want %q", where, e.Source, name)
		}
		if e.ID == "" || len(e.ID) > event.MaxIDLen {
			return fmt.Errorf("%s: an id of %d bytes", where, len(e.ID))
		}
		if first, there := lines[e.ID]; there {
			return fmt.Errorf("%s: the id is that of an event of line %d", where, first)
		}
		lines[e.ID] = item.Line
		if item.Line < 1 || i > 0 && item.Line < items[i-1].Line {
			return fmt.Errorf("%s: the line does not follow that of the item before", where)
		}
		if e.Type.Registered() && !item.Mapped {
			return fmt.Errorf("%s: not mapped, but of the registered type %s", where, e.Type)
		}
		if !item.Mapped && item.Note == "" {
			return fmt.Errorf("%s: not mapped, and no note says why", where)
		}
		if _, err := payload(item); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return nil
}

// payload returns the payload as a trail would record it.
func payload(item ingest.Item) ([]byte, error) {
	e, err := item.Event.Normalize(event.Lenient)
	if err != nil {
		return nil, err
	}
	b, err := e.AppendPayload(nil)
	if err != nil {
		return nil, err
	}
	if _, err := event.ParsePayload(b); err != nil {
		return nil, fmt.Errorf("the payload does not read back: %w", err)
	}
	return b, nil
}

// Same returns the first difference between two imports; the second may have
// more items.
func Same(first, second []ingest.Item) error {
	if len(second) < len(first) {
		return fmt.Errorf("%d items, then only %d", len(first), len(second))
	}
	for i := range first {
		a, err := payload(first[i])
		if err != nil {
			return err
		}
		b, err := payload(second[i])
		if err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			return fmt.Errorf("item %d differs:\n%s\n%s", i, ingest.Short(string(a), 2000), ingest.Short(string(b), 2000))
		}
		if a, b := first[i], second[i]; a.Line != b.Line || a.Mapped != b.Mapped || a.Note != b.Note {
			return fmt.Errorf("item %d: line %d, mapped %v, note %q; then %d, %v, %q", i, a.Line, a.Mapped, a.Note, b.Line, b.Mapped, b.Note)
		}
	}
	return nil
}

// Again imports the data in other ways, under another name, compressed and in
// small portions, and returns an error unless each gives the same items.
func (read Read) Again(data []byte, items []ingest.Item) error {
	for _, way := range []struct {
		name string
		open func() io.Reader
	}{
		{"again", func() io.Reader { return bytes.NewReader(data) }},
		{"in small portions", func() io.Reader { return portions{bytes.NewReader(data), 61} }},
		{"gzip", func() io.Reader { return bytes.NewReader(Gzip(data)) }},
		{"zstd", func() io.Reader { return bytes.NewReader(Zstd(data)) }},
	} {
		r, err := ingest.Decompress(way.open())
		if err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
		again, err := read.All(r, ingest.Source{Name: "/another/path/" + way.name})
		if err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
		if len(again) != len(items) {
			return fmt.Errorf("%s: %d items instead of %d", way.name, len(again), len(items))
		}
		if err := Same(items, again); err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
	}
	return nil
}

// Growing imports beginnings of the data, which end with a line, and returns an
// error unless the items of each are the first ones of all.
func (read Read) Growing(data []byte, items []ingest.Item) error {
	lines := bytes.SplitAfter(data, []byte("\n"))
	for n := 1; n < len(lines); n += 1 + n/2 {
		before, err := read.All(bytes.NewReader(bytes.Join(lines[:n], nil)), ingest.Source{})
		if err != nil {
			return fmt.Errorf("%d lines: %w", n, err)
		}
		if len(before) == 0 {
			return fmt.Errorf("%d lines: no items", n)
		}
		if err := Same(before, items); err != nil {
			return fmt.Errorf("%d lines: %w", n, err)
		}
	}
	return nil
}

// OneByte returns a reader that gives r's bytes one at a time.
func OneByte(r io.Reader) io.Reader { return portions{r, 1} }

// portions reads no more than size bytes at once.
type portions struct {
	r    io.Reader
	size int
}

func (p portions) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.size)]) }

// Compare compares items with their descriptions: the type, and then members or
// details as name=value, in any order.
func Compare(items []ingest.Item, want []string) error {
	var errs []error
	if len(items) != len(want) {
		errs = append(errs, fmt.Errorf("%d items, want %d", len(items), len(want)))
	}
	for i := range min(len(items), len(want)) {
		e := items[i].Event
		got := string(e.Type)
		for _, name := range names.FindAllStringSubmatch(want[i], -1) {
			got += fmt.Sprintf(" %s=%v", name[1], valueOf(e, name[1]))
		}
		if got != want[i] {
			errs = append(errs, fmt.Errorf("item %d:\n got %s\nwant %s", i, got, want[i]))
		}
	}
	return errors.Join(errs...)
}

var names = regexp.MustCompile(` ([a-z_0-9]+)=`)

func valueOf(e event.Event, name string) any {
	switch name {
	case "id":
		return e.ID
	case "session_id":
		return e.SessionID
	case "agent_id":
		return e.AgentID
	case "action_id":
		return e.ActionID
	case "user_id":
		return e.UserID
	case "project_id":
		return e.ProjectID
	case "correlation_id":
		return e.CorrelationID
	case "parent_id":
		return e.ParentID
	case "outcome":
		return e.Outcome
	case "decision":
		return e.Decision
	case "decision_source":
		return e.DecisionSource
	case "severity":
		return e.Severity
	case "occurred_at":
		return e.OccurredAt.Format(time.RFC3339Nano)
	case "timestamp":
		return e.Timestamp.Format(time.RFC3339Nano)
	}
	return e.Details[name]
}

// Lost returns an error if a string or number of a JSON text is in none of the
// events. implied ones need not be.
func Lost(text []byte, items []ingest.Item, implied ...string) error {
	kept := map[string]bool{}
	for _, s := range implied {
		kept[s] = true
	}
	for _, item := range items {
		e := item.Event
		for _, member := range []string{e.ID, e.SessionID, e.AgentID, e.ActionID, e.CorrelationID, e.UserID, e.ProjectID} {
			kept[member] = true
		}
		leaves(e.Details, func(leaf string) { kept[leaf] = true })
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	var err error
	leaves(v, func(leaf string) {
		if !kept[leaf] && err == nil {
			err = fmt.Errorf("%q is in none of the events", ingest.Short(leaf, 200))
		}
	})
	return err
}

// leaves calls yield for the strings and numbers of a value.
func leaves(v any, yield func(string)) {
	switch v := v.(type) {
	case string:
		yield(v)
	case json.Number:
		yield(string(v))
	case []any:
		for _, x := range v {
			leaves(x, yield)
		}
	case map[string]any:
		for _, x := range v {
			leaves(x, yield)
		}
	}
}

// Gzip compresses data, as two members.
func Gzip(data []byte) []byte {
	var out bytes.Buffer
	for _, part := range [][]byte{data[:len(data)/2], data[len(data)/2:]} {
		z := gzip.NewWriter(&out)
		z.Write(part)
		z.Close()
	}
	return out.Bytes()
}

// Zstd compresses data, as two frames.
func Zstd(data []byte) []byte {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err) // without options there is nothing to go wrong
	}
	return z.EncodeAll(data[len(data)/2:], z.EncodeAll(data[:len(data)/2], nil))
}

// Summary counts items by type and problems of the mapped ones by text.
func Summary(items []ingest.Item) string {
	types, problems := map[string]int{}, map[string]int{}
	for _, item := range items {
		e := item.Event
		kind := string(e.Type)
		for _, name := range []string{"outcome", "decision", "decision_source"} {
			if v := fmt.Sprint(valueOf(e, name)); v != "" {
				kind += " " + name + "=" + v
			}
		}
		if !item.Mapped {
			kind += " not mapped"
		}
		types[kind]++
		for _, p := range slices.Concat(e.Defects, e.Check()) {
			if p != event.DefectUnregistered {
				problems[p]++
			}
		}
	}
	var out strings.Builder
	for _, part := range []struct {
		title  string
		counts map[string]int
	}{{"types", types}, {"problems", problems}} {
		fmt.Fprintf(&out, "%s\n", part.title)
		for _, k := range slices.SortedFunc(maps.Keys(part.counts), cmp.Compare[string]) {
			fmt.Fprintf(&out, "%6d %s\n", part.counts[k], k)
		}
	}
	return out.String()
}
