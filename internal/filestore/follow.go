package filestore

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
)

// refresh takes in what the writer, in another process, has done since. What
// cannot be read is left as it was known: the next refresh tries again, and
// verification reads the files for itself.
func (s *Store) refresh() {
	s.viewMu.Lock()
	defer s.viewMu.Unlock()
	select {
	case <-s.stop:
		return // the files are closed, or will be
	default:
	}
	if n := s.countRemovals(); n != s.removals.Load() {
		if err := s.reload(); err != nil {
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errGone) {
				s.problem(err)
			}
			return // the next refresh tries again
		}
		s.removals.Store(n)
	}
	v := s.view.Load()
	if n := len(v.tails); n > 0 {
		t := v.tails[n-1]
		if t.isOurs() && t.count.Load() < segment.Entries {
			if err := t.loadMore(s.opts.Extract); err != nil {
				s.problem(err)
			}
			if n == 1 && t.count.Load() < segment.Entries {
				return
			}
		}
	}
	if !s.moved(v) {
		return
	}
	if err := s.relist(v); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.problem(err)
	}
}

// countRemovals returns how often files were replaced since the trail was made.
func (s *Store) countRemovals() int64 {
	n, err := s.fsys.Size(filepath.Join(s.dir, removalsName))
	if err != nil {
		return 0 // there is none
	}
	return n
}

// reload opens all files again, since the writer replaced some of them, and
// closes those that were known. The caller holds viewMu.
func (s *Store) reload() error {
	old := s.view.Load()
	next, _, err := s.loadView()
	if err != nil {
		return errors.Join(err, next.close())
	}
	s.view.Store(next)
	for _, p := range old.sealed {
		err = errors.Join(err, p.retire())
	}
	for _, t := range old.tails {
		_, terr := t.retire()
		err = errors.Join(err, terr)
	}
	for _, p := range next.sealed {
		if p.err == nil {
			s.addFilter(p)
		}
	}
	if err != nil {
		s.problem(err)
	}
	return nil
}

// retire takes a tail out of use after a view without it was stored. It returns
// its memory, which nobody uses any more.
func (t *tail) retire() (*memory, error) {
	t.use.Lock() // waits for those who read from it
	t.gone = true
	err := t.file.Close()
	t.use.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.memory
	t.memory = nil
	return m, err
}

// isOurs reports whether the file still holds the tail that was opened: the
// writer uses the files of sealed ones again.
func (t *tail) isOurs() bool {
	var b [segment.TailHeaderSize]byte
	if _, err := t.file.ReadAt(b[:], 0); err != nil {
		return false
	}
	h, err := segment.ParseTailHeader(b[:])
	return err == nil && h.First == t.first && h.Nonce == t.nonce
}

// moved reports whether the writer has sealed the oldest tail, or begun another
// one behind the last.
func (s *Store) moved(v *view) bool {
	sealedTo := uint64(len(v.sealed)) * segment.Entries
	for _, name := range []string{segmentName(s.dir, sealedTo), prunedName(s.dir, sealedTo)} {
		if _, err := s.fsys.Size(name); err == nil {
			return true
		}
	}
	_, err := s.fsys.Size(tailName(s.dir, v.end()))
	return err == nil
}

// end returns where the tail behind the last one begins.
func (v *view) end() uint64 {
	if n := len(v.tails); n > 0 {
		return v.tails[n-1].first + segment.Entries
	}
	return uint64(len(v.sealed)) * segment.Entries
}

// relist looks at the directory again and replaces the view if there is more.
// The caller holds viewMu.
func (s *Store) relist(v *view) error {
	l, err := list(s.fsys, s.dir)
	if err != nil {
		return err
	}
	next := &view{sealed: slices.Clip(v.sealed)}
	for n := uint64(len(v.sealed)); slices.Contains(l.segments, n*segment.Entries); n++ {
		p := s.openPart(n * segment.Entries)
		if p.err != nil && (slices.Contains(l.tails, p.first) || causeOf(p.err) == evidence.Unreadable) {
			break // its tail is still there, or the next attempt may succeed
		}
		next.sealed = append(next.sealed, p)
		if p.err == nil {
			s.addFilter(p)
		}
	}
	sealedTo := uint64(len(next.sealed)) * segment.Entries
	var gone []*tail
	for _, t := range v.tails {
		if t.first < sealedTo {
			gone = append(gone, t)
		} else {
			next.tails = append(next.tails, t)
		}
	}
	for _, first := range l.tails {
		if first != next.end() {
			continue // known already; or one is missing before it, which shows at the next look
		}
		t, err := s.openTail(first)
		if err != nil {
			break // it may be moved just now
		}
		next.tails = append(next.tails, t)
	}
	if len(next.sealed) == len(v.sealed) && len(next.tails) == len(v.tails) {
		return nil
	}
	s.view.Store(next)
	for _, t := range gone {
		_, terr := t.retire()
		err = errors.Join(err, terr)
	}
	return err
}
