package filestore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs"
)

const (
	// maxWaiting bounds the full tails that wait to be sealed. A writer that
	// is faster than the sealing waits here, and memory stays bounded.
	maxWaiting = 1

	// maxUnsealed bounds them when they cannot be sealed, as on a disk that
	// is almost full: until then, entries are still taken.
	maxUnsealed = 4

	// Room is reserved ahead of the end of a tail, twice what is there and
	// at most this much, so that commits do not each change the file's map
	// of blocks and a small trail stays small.
	maxReserve = 8 << 20
	minReserve = 256 << 10
)

// Append implements storage.Store.
func (s *Store) Append(b *storage.Batch) error {
	if s.opts.ReadOnly {
		return storage.ErrReadOnly
	}
	if err := s.Failed(); err != nil {
		if errors.Is(err, storage.ErrClosed) {
			return err
		}
		return fmt.Errorf("%w: %w", storage.ErrFailed, err)
	}
	s.appending.Lock()
	defer s.appending.Unlock()
	v := s.view.Load()
	if size := v.size(); b.First != size {
		return fmt.Errorf("%w: the batch begins at %d, the trail ends at %d", storage.ErrConflict, b.First, size)
	}
	if len(b.Items) == 0 {
		return s.fail(fmt.Errorf("batch at index %d has no entries", b.First))
	}
	var t *tail
	if n := len(v.tails); n > 0 {
		t = v.tails[n-1]
	}
	if t == nil || t.count.Load() == segment.Entries {
		var err error
		if t, err = s.nextTail(b.First); err != nil {
			return s.fail(err)
		}
	}
	if int(t.count.Load())+len(b.Items) > segment.Entries {
		return s.fail(fmt.Errorf("batch of %d entries at index %d reaches over the end of a segment", len(b.Items), b.First))
	}
	var err error
	if s.frame, s.places, err = segment.AppendFrame(s.frame[:0], t.nonce, b, s.places[:0]); err != nil {
		return s.fail(err)
	}
	s.reserve(t, t.end+int64(len(s.frame)))
	// A crash here leaves the trail as it was.
	if _, err := t.file.WriteAt(s.frame, t.end); err != nil {
		return s.fail(err)
	}
	// A crash here leaves a torn frame, which the next Open cuts off, or a
	// whole one that nobody was told of, which it keeps.
	start := time.Now()
	if err := t.file.Sync(); err != nil {
		return s.fail(err)
	}
	s.committed.add(len(b.Items), time.Since(start))
	// The batch is durable. A crash from here on loses nothing of it.
	s.recent.add(t, t.end, s.frame)
	t.publish(t.end, b.Items, s.places, b.Checkpoint)
	t.end += int64(len(s.frame))
	s.announce()
	return nil
}

// reserve reserves room in the tail up to end and some more. That it cannot is
// no failure: there may still be room for what is to be written.
func (s *Store) reserve(t *tail, end int64) {
	if end <= s.allocated {
		return
	}
	s.allocated = end + min(max(end, minReserve), maxReserve)
	if free, _, err := s.fsys.Free(s.dir); err != nil || free < 4*maxReserve {
		return // what room there is, is for entries
	}
	if err := t.file.Allocate(s.allocated); err != nil {
		s.problem(fmt.Errorf("reserving room for %s: %w", t.name, err))
	}
}

// nextTail begins the tail whose first entry has index first, and hands the
// full one to the background to be sealed.
func (s *Store) nextTail(first uint64) (*tail, error) {
	for {
		select {
		case <-s.sealed: // of an attempt before
		default:
		}
		waiting := len(s.view.Load().tails)
		if waiting <= maxWaiting {
			break
		}
		s.signal(s.sealing)
		select {
		case <-s.sealed:
		case <-s.stop:
			return nil, storage.ErrClosed
		}
		if err := s.Failed(); err != nil {
			return nil, err
		}
		if err := *s.sealErr.Load(); err != nil {
			if waiting < maxUnsealed {
				break
			}
			return nil, err
		}
	}
	var nonce segment.Nonce
	rand.Read(nonce[:]) // never fails
	name := tailName(s.dir, first)
	header := segment.AppendTailHeader(nil, segment.TailHeader{First: first, Nonce: nonce})
	spare := filepath.Join(s.dir, tailDir, spareName)

	// A crash before the rename leaves a spare, whatever is in it, or an
	// unfinished file, which the next Open removes; after it, an empty tail.
	temp := spare
	file, err := s.fsys.OpenWrite(spare)
	if errors.Is(err, fs.ErrNotExist) {
		temp = name + vfs.TempSuffix
		file, err = s.fsys.Create(temp)
	}
	if err != nil {
		return nil, err
	}
	_, err = file.WriteAt(header, 0)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = s.fsys.Rename(temp, name)
	}
	if err == nil {
		err = s.fsys.SyncDir(filepath.Join(s.dir, tailDir))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	m := s.spare.Swap(nil)
	if m == nil {
		m = newMemory()
	}
	t := newTail(name, first, nonce, file, m)
	if s.allocated, err = file.Size(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	s.viewMu.Lock()
	old := s.view.Load()
	s.view.Store(&view{sealed: old.sealed, tails: append(old.tails[:len(old.tails):len(old.tails)], t)})
	s.viewMu.Unlock()
	s.signal(s.sealing)
	return t, nil
}
