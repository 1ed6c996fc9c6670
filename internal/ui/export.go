package ui

import (
	"bufio"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/wire"
)

// Export is a file that was made of the entries of a trail.
type Export struct {
	Trail   string
	Format  string // ndjson or csv
	Query   custody.Query
	Text    string            // words that events had to say beside
	Fields  map[string]string // values that they had to have beside, by JSON Pointer
	Entries uint64            // that are in it
	Broken  bool              // it broke off before its last entry, and whoever gets it knows that
}

// exported yields the entries that a filter asks for, the oldest first, and tells of
// them at the end.
func (u *ui) exported(v *view, format string) (iter.Seq2[custody.Entry, error], error) {
	values, err := parameters(v.r, filterNames...)
	if err != nil {
		return nil, err
	}
	f, err := v.filter(values)
	if err != nil {
		return nil, err
	}
	return func(yield func(custody.Entry, error) bool) {
		x := Export{Trail: v.name, Format: format, Query: f.query, Text: f.values.Get("text"), Fields: f.fields, Broken: true}
		defer func() {
			if u.Exported != nil {
				u.Exported(v.r, x)
			}
		}()
		var done custody.Searched
		wire.Found(func(found func(custody.Entry) bool) (custody.Searched, error) {
			return v.trail.Search(v.ctx, f.search(), func(e custody.Entry) bool {
				v.entry(&e)
				x.Entries++
				return found(e)
			})
		}, &done)(yield)
		x.Broken = !done.Done
	}, nil
}

// download sets the headers of a file. Its name says which trail it is from, and when.
func (v *view) download(w http.ResponseWriter, contentType, extension string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.%s"`, v.name, v.now.UTC().Format("20060102T150405Z"), extension))
}

// broken ends a download that cannot be completed, so that nobody takes it for whole.
func (u *ui) broken(v *view, err error) {
	if v.ctx.Err() == nil {
		u.Logger.Error("custody: an export ended early", "trail", v.name, "err", err)
	}
	panic(http.ErrAbortHandler)
}

func (u *ui) exportNDJSON(w http.ResponseWriter, v *view) error {
	entries, err := u.exported(v, "ndjson")
	if err != nil {
		return err
	}
	v.download(w, "application/x-ndjson", "ndjson")
	b := bufio.NewWriter(w)
	out := json.NewEncoder(b)
	out.SetEscapeHTML(false)
	for e, err := range entries {
		if err == nil {
			err = out.Encode(wire.EntryOf(&e))
		}
		if err != nil {
			u.broken(v, err)
		}
	}
	if err := b.Flush(); err != nil {
		u.broken(v, err)
	}
	return nil
}

func (u *ui) exportCSV(w http.ResponseWriter, v *view) error {
	entries, err := u.exported(v, "csv")
	if err != nil {
		return err
	}
	v.download(w, "text/csv; charset=utf-8", "csv")
	if _, err := wire.WriteCSV(w, entries); err != nil {
		u.broken(v, err)
	}
	return nil
}
