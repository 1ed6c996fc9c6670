package filestore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/index"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs"
)

// maxIntent bounds what is read as an intent, in bytes.
const maxIntent = 1 << 20

// Intent implements storage.Store.
func (s *Store) Intent() ([]byte, error) {
	note, err := vfs.ReadFile(s.fsys, filepath.Join(s.dir, intentName), maxIntent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return note, err
}

// SetIntent implements storage.Store.
func (s *Store) SetIntent(note []byte) error {
	if s.opts.ReadOnly {
		return storage.ErrReadOnly
	}
	name := filepath.Join(s.dir, intentName)
	if note != nil {
		return vfs.WriteFileAtomic(s.fsys, name, note)
	}
	if err := vfs.Discard(s.fsys, name); err != nil {
		return err
	}
	return s.fsys.SyncDir(s.dir)
}

// RemovePayloads implements storage.Store.
//
// Tails and segments that hold any of the payloads are written anew without
// them, under a temporary name, and take the place of the old ones once they are
// durable. A crash at any point leaves each file either as it was or without the
// payloads.
func (s *Store) RemovePayloads(ctx context.Context, at evidence.Ranges) error {
	if s.opts.ReadOnly {
		return storage.ErrReadOnly
	}
	s.removing.Lock()
	defer s.removing.Unlock()
	if err := s.Failed(); err != nil {
		return fmt.Errorf("%w: %w", storage.ErrFailed, err)
	}
	if len(at) == 0 {
		return nil
	}
	if last := at[len(at)-1].Last; last >= s.view.Load().size() {
		return fmt.Errorf("removing the payload of entry %d: %w: the trail has %d entries", last, storage.ErrNotFound, s.view.Load().size())
	}
	defer s.recent.forget()
	if err := s.clean(ctx, at); err != nil {
		// Some files may have been replaced all the same.
		return errors.Join(err, s.countRemoval())
	}
	return s.countRemoval()
}

// clean takes payloads out of all files.
func (s *Store) clean(ctx context.Context, at evidence.Ranges) error {
	if err := s.cleanTails(ctx, at); err != nil {
		return err
	}
	for n := range s.view.Load().sealed {
		first := uint64(n) * segment.Entries
		part := at.Between(first, first+segment.Entries)
		if len(part) == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		clean := s.cleanSegment
		if s.view.Load().sealed[n].pruned != nil {
			clean = s.cleanPruned
		}
		if err := clean(n, part); err != nil {
			return err
		}
	}
	return nil
}

// cleanTails takes payloads out of the tails, and with them everything that lies
// in files of theirs beside the entries. Nothing is appended or sealed meanwhile.
func (s *Store) cleanTails(ctx context.Context, at evidence.Ranges) error {
	// In this order: Append, which holds the first, may wait for the sealing.
	s.appending.Lock()
	defer s.appending.Unlock()
	s.sealingOne.Lock()
	defer s.sealingOne.Unlock()
	if err := s.Failed(); err != nil {
		return fmt.Errorf("%w: %w", storage.ErrFailed, err)
	}
	if err := s.removeUnused(); err != nil {
		return err
	}
	tails := s.view.Load().tails
	for i, t := range tails {
		if err := ctx.Err(); err != nil {
			return err
		}
		active := i == len(tails)-1
		if t.holdsAny(at) {
			if err := s.cleanTail(i, t, at); err != nil {
				return fmt.Errorf("removing payloads from %s: %w", t.name, err)
			}
		} else {
			err := t.file.Truncate(t.end)
			if err == nil {
				err = t.file.Sync()
			}
			if err != nil {
				return s.fail(err)
			}
		}
		if active {
			s.allocated = s.view.Load().tails[i].end
		}
	}
	return nil
}

// removeUnused removes the files that no entry is read from: the one that is kept to
// be used again, tails that were sealed and could not be given up, unfinished files.
// What is left in them holds payloads of any age. The caller holds sealingOne.
func (s *Store) removeUnused() error {
	l, err := list(s.fsys, s.dir)
	if err != nil {
		return err
	}
	names := []string{filepath.Join(s.dir, tailDir, spareName)}
	v := s.view.Load()
	for _, first := range l.tails {
		if _, t := v.part(first / segment.Entries); t == nil {
			names = append(names, tailName(s.dir, first))
		}
	}
	names = append(names, l.superseded(v)...)
	for _, first := range l.pruned {
		if p, _ := v.part(first / segment.Entries); p != nil && p.seg != nil {
			names = append(names, prunedName(s.dir, first)) // pruning was given up
		}
	}
	for _, name := range l.leftover {
		// Those of an index and beside the directories hold no payload, and may
		// be being written.
		if !strings.HasSuffix(name, indexSuffix+vfs.TempSuffix) && filepath.Dir(name) != filepath.Clean(s.dir) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if err := vfs.Discard(s.fsys, name); err != nil {
			return err
		}
	}
	// Also for what was removed before, when this may have failed.
	for _, sub := range []string{tailDir, segmentDir} {
		if err := s.fsys.SyncDir(filepath.Join(s.dir, sub)); err != nil {
			return err
		}
	}
	return nil
}

// holdsAny reports whether the tail holds the payload of any of the entries.
func (t *tail) holdsAny(at evidence.Ranges) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i := range at.Between(t.first, t.first+uint64(t.count.Load())).All() {
		if t.memory.places[i-t.first].body > 0 {
			return true
		}
	}
	return false
}

// cleanTail writes tail number i of the view anew without some payloads.
func (s *Store) cleanTail(i int, t *tail, at evidence.Ranges) (err error) {
	temp := t.name + vfs.TempSuffix
	if err := vfs.Discard(s.fsys, temp); err != nil {
		return err
	}
	file, err := s.fsys.Create(temp)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
			s.fsys.Remove(temp) // where it stays, the next Open removes it
		}
	}()
	next, err := t.copyWithout(file, at, s.opts.Extract)
	if err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	// A crash before the rename leaves an unfinished file, after it one tail or
	// the other: both hold the same entries. When it fails, it is not known
	// which one is there.
	if err := s.fsys.Rename(temp, t.name); err != nil {
		return s.fail(err)
	}
	if err := s.fsys.SyncDir(filepath.Join(s.dir, tailDir)); err != nil {
		return s.fail(err)
	}
	s.viewMu.Lock()
	old := s.view.Load()
	tails := slices.Clone(old.tails)
	tails[i] = next
	s.view.Store(&view{sealed: old.sealed, tails: tails})
	s.viewMu.Unlock()
	if _, err := t.retire(); err != nil {
		s.problem(err) // its file is replaced all the same
	}
	return nil
}

// copyWithout copies the tail into a new file, commit by commit, without some
// payloads. Everything is checked on the way.
func (t *tail) copyWithout(file vfs.File, at evidence.Ranges, extract storage.Extract) (*tail, error) {
	var nonce segment.Nonce
	rand.Read(nonce[:]) // never fails
	if _, err := file.WriteAt(segment.AppendTailHeader(nil, segment.TailHeader{First: t.first, Nonce: nonce}), 0); err != nil {
		return nil, err
	}
	r := frameReader{file: t.file, at: segment.TailHeaderSize, nonce: t.nonce}
	end := int64(segment.TailHeaderSize)
	var frame []byte
	var places []segment.Place
	for pos := uint32(0); pos < t.count.Load(); {
		f, err := r.next()
		if isFrameError(err) {
			err = &storage.FormatError{Err: storage.ErrAltered, File: t.name, Offset: r.at, Detail: err.Error()}
		}
		if err != nil {
			return nil, err
		}
		b := storage.Batch{First: f.First, Checkpoint: f.Checkpoint}
		for rec, err := range f.Records() {
			if err == nil {
				err = t.checkRecord(pos, &rec)
			}
			if err != nil {
				return nil, &storage.FormatError{Err: storage.ErrAltered, File: t.name, Offset: r.at, Detail: err.Error()}
			}
			item := storage.Item{Entry: rec.Entry, Body: rec.Body}
			if at.Contains(t.first + uint64(pos)) {
				item.Body = nil
			}
			b.Items = append(b.Items, item)
			pos++
		}
		if frame, places, err = segment.AppendFrame(frame[:0], nonce, &b, places[:0]); err != nil {
			return nil, err
		}
		if _, err := file.WriteAt(frame, end); err != nil {
			return nil, err
		}
		end += int64(len(frame))
	}
	next := newTail(t.name, t.first, nonce, file, newMemory())
	ending, err := next.load(extract, true)
	if err == nil && (ending.kind != endClean || next.end != end || next.count.Load() != t.count.Load()) {
		err = fmt.Errorf("%w: what was written is not what is read back: %s", storage.ErrAltered, ending.detail)
	}
	return next, err
}

// checkRecord compares a record with the hash that was committed, and its payload
// with the commitment.
func (t *tail) checkRecord(pos uint32, rec *segment.TailRecord) error {
	t.mu.RLock()
	hash := t.memory.hashes[pos]
	t.mu.RUnlock()
	if evidence.LeafHash(rec.Entry) != hash {
		return fmt.Errorf("entry %d changed since it was committed", t.first+uint64(pos))
	}
	e, err := evidence.ParseEntry(rec.Entry)
	if err != nil {
		return err
	}
	if rec.Body != nil && evidence.CommitBody(rec.Body) != e.Payload {
		return fmt.Errorf("the payload of entry %d is not the one it commits to", e.Index)
	}
	return nil
}

// cleanSegment writes segment number n and its index anew without some payloads.
func (s *Store) cleanSegment(n int, at evidence.Ranges) (err error) {
	s.sealingOne.Lock()
	defer s.sealingOne.Unlock()
	old := s.view.Load().sealed[n]
	holds, err := old.holdsAny(at)
	if err != nil || !holds {
		return err
	}
	old.supersede()
	defer func() {
		if err != nil {
			err = fmt.Errorf("removing payloads from %s: %w", old.name, err)
		}
	}()
	m := index.NewMemory()
	// The root is the same, so the index belongs to the old segment too: a
	// crash between the two renames hides the entries from searches that are
	// about to lose their payloads, and nothing else.
	next, err := s.writeSegment(old.first,
		func(w io.Writer) (evidence.Hash, error) { return s.copyWithout(w, old, at, m) },
		func(root evidence.Hash) ([]byte, error) {
			if root != old.seg.Root {
				return nil, fmt.Errorf("%w: its entries do not have the root that is kept", storage.ErrAltered)
			}
			return m.Seal(old.first, root), nil
		})
	if err != nil {
		return err
	}
	return s.replace(n, next)
}

// holdsAny reports whether the segment holds the payload of any of the entries.
func (p *sealed) holdsAny(at evidence.Ranges) (bool, error) {
	if p.err != nil {
		return false, p.err
	}
	var raw []byte
	var bodies [][]byte
	block := -1
	for i := range at.All() {
		pos := uint32(i - p.first)
		if n := p.seg.PayloadBlockOf(pos); n != block {
			var err error
			if raw, bodies, err = p.seg.PayloadBlock(n, raw[:0], bodies[:0]); err != nil {
				return false, fmt.Errorf("%s: %w", p.name, err)
			}
			block = n
		}
		if from, _ := p.seg.PayloadRange(block); bodies[pos-from] != nil {
			return true, nil
		}
	}
	return false, nil
}

// copyWithout writes a segment anew without some payloads, and takes what is left
// into an index. Everything is checked on the way.
func (s *Store) copyWithout(w io.Writer, p *sealed, at evidence.Ranges, m *index.Memory) (evidence.Hash, error) {
	sw := segment.NewSealedWriter(w, p.first)
	defer sw.Abort()
	var rec storage.Record
	var keys []storage.Key
	for pos := range uint32(segment.Entries) {
		if err := p.read(pos, &rec); err != nil {
			return evidence.Hash{}, fmt.Errorf("entry %d: %w", p.first+uint64(pos), err)
		}
		if at.Contains(p.first + uint64(pos)) {
			rec.Body = nil
		}
		sw.Add(rec.Entry, rec.Body, rec.Hash, rec.Envelope.Time.UnixMicro())
		keys = s.addToIndex(m, &rec, keys)
	}
	return sw.Finish(p.seg.Checkpoints)
}

// acquire keeps the files of a segment open until release. It reports false when
// the segment was replaced: the view without it is there already.
func (p *sealed) acquire() bool {
	p.use.RLock()
	if p.retired {
		p.use.RUnlock()
		return false
	}
	return true
}

func (p *sealed) release() { p.use.RUnlock() }

// supersede keeps the index of a segment that is about to be replaced from being
// written again: it would hold what is to be removed, and has the same temporary
// name as the one that takes its place. If the segment stays after all, an index
// that is built again lies in memory until the trail is next opened.
func (p *sealed) supersede() {
	p.mu.Lock()
	p.superseded = true
	p.mu.Unlock()
}

// replace puts next in the place of segment number n, and closes that.
func (s *Store) replace(n int, next *sealed) error {
	s.viewMu.Lock()
	v := s.view.Load()
	parts := slices.Clone(v.sealed)
	old := parts[n]
	parts[n] = next
	s.view.Store(&view{sealed: parts, tails: v.tails})
	s.viewMu.Unlock()
	return old.retire()
}

// retire closes a segment that was replaced, once nobody reads from it.
func (p *sealed) retire() error {
	p.use.Lock()
	defer p.use.Unlock()
	p.retired = true
	return p.close()
}

// Rewrites implements storage.Store.
func (s *Store) Rewrites() uint64 { return uint64(s.countRemovals()) }

// countRemoval tells readers in other processes that files were replaced: one more
// byte stands in the file that they look at.
func (s *Store) countRemoval() error {
	name := filepath.Join(s.dir, removalsName)
	b, err := vfs.ReadFile(s.fsys, name, 1<<30)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return vfs.WriteFileAtomic(s.fsys, name, append(b, '\n'))
}
