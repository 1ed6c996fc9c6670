package filestore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs"
)

// upkeepInterval is how often the checkpoint file is brought up to date and the
// room on the disk is looked at.
const upkeepInterval = 10 * time.Second

// runBackground seals full tails, and keeps the checkpoint file current. It
// ends when the store is closed.
func (s *Store) runBackground() {
	defer s.background.Done()
	ticker := time.NewTicker(s.opts.upkeep)
	defer ticker.Stop()
	kept := uint64(0) // size at the last upkeep
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			if size := s.view.Load().size(); size != kept && s.Failed() == nil {
				if err := s.writeCheckpoint(); err != nil {
					s.problem(fmt.Errorf("keeping the checkpoint file current: %w", err))
				}
				kept = size
			}
			s.sealAll() // what could not be sealed before
			s.CheckSpace()
		case <-s.sealing:
			s.sealAll()
			s.CheckSpace()
		}
	}
}

// sealAll seals the tails that are full, until one cannot be sealed or the store
// is closed.
func (s *Store) sealAll() {
	for s.sealNext() {
		select {
		case <-s.stop:
			return
		default:
		}
	}
}

// CheckSpace tells OnSpace how much room is left on the disk.
func (s *Store) CheckSpace() {
	if s.opts.OnSpace == nil {
		return
	}
	free, total, err := s.fsys.Free(s.dir)
	if err != nil {
		s.problem(fmt.Errorf("asking for the room on the disk: %w", err))
		return
	}
	s.opts.OnSpace(free, total)
}

// sealNext seals the oldest tail if it is full, and reports whether it is worth
// asking again.
func (s *Store) sealNext() bool {
	s.sealingOne.Lock()
	defer s.sealingOne.Unlock()
	v := s.view.Load()
	if len(v.tails) < 2 || s.Failed() != nil {
		return false
	}
	t := v.tails[0]
	err := s.seal(t)
	if err != nil {
		err = fmt.Errorf("sealing %s: %w", t.name, err)
		if errors.Is(err, storage.ErrAltered) {
			s.fail(err)
		}
		s.problem(err)
	}
	s.sealErr.Store(&err)
	s.signal(s.sealed)
	return err == nil
}

// seal compresses a full tail into a segment, with its index, and gives the
// tail up.
func (s *Store) seal(t *tail) error {
	// A crash before a rename is made durable leaves the tail, which counts
	// until there is a segment; afterwards the segment counts.
	seg, err := s.writeSegment(t.first, t.sealTo, func(root evidence.Hash) ([]byte, error) {
		t.mu.RLock()
		defer t.mu.RUnlock()
		return t.memory.index.Seal(t.first, root), nil
	})
	if err != nil {
		return err
	}
	s.viewMu.Lock()
	old := s.view.Load()
	s.view.Store(&view{sealed: append(old.sealed[:len(old.sealed):len(old.sealed)], seg), tails: old.tails[1:]})
	s.viewMu.Unlock()
	return s.giveUp(t)
}

// writeSegment writes the segment that begins at first, and its index, in place of
// any that are there, and opens it. write writes the segment and returns its root,
// and indexOf then returns the index. Both are durable before they get their names,
// the index first.
func (s *Store) writeSegment(first uint64, write func(io.Writer) (evidence.Hash, error), indexOf func(root evidence.Hash) ([]byte, error)) (_ *sealed, err error) {
	segName, idxName := segmentName(s.dir, first), indexName(s.dir, first)
	defer func() {
		if err != nil { // leave the room on the disk to the entries
			s.fsys.Remove(segName + vfs.TempSuffix)
			s.fsys.Remove(idxName + vfs.TempSuffix)
		}
	}()
	root, err := s.writeTemp(segName, write)
	if err != nil {
		return nil, err
	}
	idx, err := indexOf(root)
	if err != nil {
		return nil, err
	}
	if _, err := s.writeTemp(idxName, func(w io.Writer) (evidence.Hash, error) {
		_, err := w.Write(idx)
		return root, err
	}); err != nil {
		return nil, err
	}
	if err := s.fsys.Rename(idxName+vfs.TempSuffix, idxName); err != nil {
		return nil, err
	}
	if err := s.fsys.Rename(segName+vfs.TempSuffix, segName); err != nil {
		return nil, err
	}
	if err := s.fsys.SyncDir(filepath.Join(s.dir, segmentDir)); err != nil {
		return nil, err
	}
	seg := openSealed(s.fsys, s.dir, first)
	if seg.err != nil {
		return nil, seg.err
	}
	s.addFilter(seg)
	return seg, nil
}

// writeTemp writes name under its temporary name and syncs it.
func (s *Store) writeTemp(name string, write func(io.Writer) (evidence.Hash, error)) (root evidence.Hash, err error) {
	temp := name + vfs.TempSuffix
	if err := vfs.Discard(s.fsys, temp); err != nil {
		return root, err
	}
	file, err := s.fsys.Create(temp)
	if err != nil {
		return root, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := bufio.NewWriterSize(&appender{file: file}, 256<<10)
	if root, err = write(w); err != nil {
		return root, err
	}
	if err := w.Flush(); err != nil {
		return root, err
	}
	return root, file.Sync()
}

// appender writes to a file from its beginning on.
type appender struct {
	file vfs.File
	at   int64
}

func (a *appender) Write(b []byte) (int, error) {
	n, err := a.file.WriteAt(b, a.at)
	a.at += int64(n)
	return n, err
}

// sealTo writes the segment of a full tail, and checks every byte on the way.
func (t *tail) sealTo(w io.Writer) (evidence.Hash, error) {
	sw := segment.NewSealedWriter(w, t.first)
	defer sw.Abort()
	r := frameReader{file: t.file, at: segment.TailHeaderSize, nonce: t.nonce}
	bad := func(pos uint32, why string) error {
		return &storage.FormatError{Err: storage.ErrAltered, File: t.name, Offset: r.at, Detail: fmt.Sprintf("entry %d: %s", t.first+uint64(pos), why)}
	}
	pos := uint32(0)
	for pos < segment.Entries {
		f, err := r.next()
		if err != nil && !isFrameError(err) {
			return evidence.Hash{}, err
		}
		if err != nil {
			return evidence.Hash{}, bad(pos, err.Error())
		}
		for rec, err := range f.Records() {
			if err != nil {
				return evidence.Hash{}, bad(pos, err.Error())
			}
			if pos >= segment.Entries {
				return evidence.Hash{}, bad(pos, "the tail holds more entries than a segment")
			}
			t.mu.RLock()
			hash, time := t.memory.hashes[pos], t.memory.times[pos]
			t.mu.RUnlock()
			if err := t.checkRecord(pos, &rec); err != nil {
				return evidence.Hash{}, bad(pos, err.Error())
			}
			sw.Add(rec.Entry, rec.Body, hash, time)
			pos++
		}
	}
	return sw.Finish(t.checkpoints())
}

// giveUp takes a tail out of use after the view without it was stored. Its file
// becomes the spare, or goes.
func (s *Store) giveUp(t *tail) error {
	m, err := t.retire()
	m.reset()
	s.spare.Store(m)
	if err != nil {
		return err
	}
	// A crash before this leaves a tail beside its segment; the next Open
	// removes it.
	if err := s.fsys.Rename(t.name, filepath.Join(s.dir, tailDir, spareName)); err != nil {
		return err
	}
	return s.fsys.SyncDir(filepath.Join(s.dir, tailDir))
}
