package filestore

import (
	"errors"
	"fmt"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
)

// salvage takes in the commits that stand behind damage, for a store that is
// open for reading. The entries that cannot be read keep their places, so that
// the others keep theirs; reading one says that it does not check out.
func (t *tail) salvage(extract storage.Extract) error {
	r := &frameReader{file: t.file, at: t.end, nonce: t.nonce}
	for {
		at, next := r.at, t.first+uint64(t.count.Load())
		f, err := r.next()
		switch {
		case err == nil && f.First >= next && f.First < t.first+segment.Entries && misfit(&f) == "":
			t.pad(f.First - next)
			t.end = at
			_, _, err := t.loadFrames(extract, false)
			if err != nil && !isFrameError(err) && !errors.Is(err, storage.ErrNewer) {
				return err
			}
			if t.end == at {
				continue // it did not fit after all
			}
			r.seek(t.end)
		case err == nil:
			// Whole, but wrong or stored twice: what is behind it may be right.
		case isFrameError(err):
			later, _, err := r.find(at + 1)
			if err != nil || later == 0 {
				return err
			}
			r.seek(later)
		default:
			return err
		}
	}
}

// misfit says why no writer would have written a frame whose checksum is right.
// Empty: one would.
func misfit(f *segment.Frame) string {
	if f.Count == 0 {
		return "it holds no entries"
	}
	index := f.First
	for rec, err := range f.Records() {
		if err != nil {
			return err.Error()
		}
		e, err := evidence.ParseEntry(rec.Entry)
		if err != nil {
			return err.Error()
		}
		if e.Index != index {
			return fmt.Sprintf("entry %d stands in the place of entry %d", e.Index, index)
		}
		index++
	}
	return ""
}

// pad adds n entries that cannot be read.
func (t *tail) pad(n uint64) {
	t.mu.Lock()
	m := t.memory
	last := int64(0)
	if len(m.times) > 0 {
		last = m.times[len(m.times)-1] // so that times never decrease
	}
	for range n {
		m.places = append(m.places, place{})
		m.hashes = append(m.hashes, evidence.Hash{}) // no entry has it
		m.times = append(m.times, last)
		m.index.Add(last, "", nil)
		t.tree.Append(evidence.Hash{})
	}
	t.mu.Unlock()
	t.count.Add(uint32(n))
}
