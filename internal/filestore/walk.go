package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs"
)

// Parts implements storage.Store.
func (s *Store) Parts(ctx context.Context) ([]storage.Part, error) {
	v := s.current()
	parts := make([]storage.Part, 0, len(v.sealed)+len(v.tails))
	for _, p := range v.sealed {
		parts = append(parts, storage.Part{First: p.first, Count: segment.Entries, Name: filepath.Base(p.name)})
	}
	for i, t := range v.tails {
		count := uint64(segment.Entries)
		if i == len(v.tails)-1 {
			count = uint64(t.count.Load())
		}
		parts = append(parts, storage.Part{First: t.first, Count: count, Name: filepath.Base(t.name)})
	}
	return parts, ctx.Err()
}

// Walk implements storage.Store. It opens the file again and believes nothing
// that is known of it.
func (s *Store) Walk(ctx context.Context, p storage.Part, v storage.Visitor) error {
	from := p.First // the next entry to hand over
	for {
		view := s.view.Load()
		seg, t := view.part(p.First / segment.Entries)
		switch {
		case seg != nil:
			fresh := s.openPart(p.First)
			return errors.Join(fresh.walk(ctx, v, from), fresh.close())
		case t != nil:
			w := tailWalk{s: s, t: t, p: p, v: v, final: view.tails[len(view.tails)-1] == t}
			err := w.run(ctx)
			if !errors.Is(err, errGone) && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			from = w.next
			if s.opts.ReadOnly {
				s.refresh() // the writer may have sealed it
			}
			if _, again := s.view.Load().part(p.First / segment.Entries); again == t {
				v.Lost(p.First+p.Count-from, evidence.Deleted, p.Name, "the file is missing")
				return nil
			}
		default:
			v.Lost(p.Count, evidence.Deleted, p.Name, "the file is missing")
			return nil
		}
	}
}

// causeOf says what an error about a file means for what is in it.
func causeOf(err error) evidence.Cause {
	switch {
	case errors.Is(err, storage.ErrNewer):
		return evidence.NewerFormat
	case errors.Is(err, storage.ErrAltered):
		return evidence.Altered
	}
	return evidence.Unreadable
}

// walk walks over a segment. What is before the entry with index from was
// handed over already, out of the tail that the segment was made from.
func (p *sealed) walk(ctx context.Context, v storage.Visitor, from uint64) error {
	where := filepath.Base(p.name)
	if p.err != nil {
		cause := causeOf(p.err)
		if p.gone {
			cause = evidence.Deleted
		}
		v.Lost(p.first+segment.Entries-from, cause, where, p.err.Error())
		return nil
	}
	if p.pruned != nil {
		return p.walkPruned(ctx, v, from)
	}
	notes := newPending(p.seg.Checkpoints, p.first, where)
	for notes.next <= from {
		notes.pass()
	}
	// The tile of which a part was handed over without hashes goes on without.
	hashesFrom := uint32(from-p.first+255) / 256 * 256
	// The last entry of a block is looked at while the next is read.
	var raw [2][]byte
	var entries [2][][]byte
	var hashes []evidence.Hash
	bodies := kept{part: p, payloadBlock: -1}
	var bodyErr error
	for block := range p.seg.EntryBlocks() {
		if err := ctx.Err(); err != nil {
			return err
		}
		pos := uint32(block * segment.BlockEntries)
		if p.first+uint64(pos)+segment.BlockEntries <= from {
			continue
		}
		var err error
		b := block % 2
		raw[b], entries[b], err = p.seg.EntryBlock(block, raw[b][:0], entries[b][:0])
		if err != nil {
			v.Lost(p.first+uint64(pos)+segment.BlockEntries-max(from, p.first+uint64(pos)), causeOf(err), where, err.Error())
			continue
		}
		if hashes, err = p.seg.Hashes(hashes[:0], pos, segment.BlockEntries); err != nil {
			v.Damage(p.first+uint64(pos), segment.BlockEntries, causeOf(err), where, err.Error())
			hashes = hashes[:0]
		}
		// In a block that entries were taken out of or put into, an entry goes
		// by the index it names.
		whole := len(entries[b]) == segment.BlockEntries
		for i, entry := range entries[b] {
			if p.first+uint64(pos) < from {
				pos++
				continue
			}
			notes.upTo(v, p.first+uint64(pos))
			at := pos
			if !whole {
				at = p.positionOf(entry)
			}
			var hash *evidence.Hash
			if whole && i < len(hashes) && pos >= hashesFrom {
				hash = &hashes[i]
			}
			var body []byte
			if at < segment.Entries {
				if n := p.seg.PayloadBlockOf(at); n != bodies.payloadBlock {
					bodies.payloadBlock = n
					bodies.bodyRaw, bodies.bodies, bodyErr = p.seg.PayloadBlock(n, bodies.bodyRaw[:0], bodies.bodies[:0])
				}
				if from, _ := p.seg.PayloadRange(bodies.payloadBlock); bodyErr != nil {
					v.BodyLost(where, bodyErr.Error())
				} else {
					body = bodies.bodies[at-from]
				}
			}
			if i == 0 && p.seg.BlockTimes[block] != timeOf(entry) || at == segment.Entries-1 && p.seg.LastTime != timeOf(entry) {
				v.Damage(p.first+uint64(pos), 1, evidence.Altered, where, "the footer names another time for this entry")
			}
			v.Entry(entry, body, hash)
			pos++
		}
		if (block+1)%(256/segment.BlockEntries) == 0 {
			v.Node(8, p.seg.Tile[block/(256/segment.BlockEntries)], where)
		}
	}
	notes.upTo(v, p.first+segment.Entries)
	v.Node(16, p.seg.Root, where)
	notes.rest(v)
	return nil
}

// positionOf returns the position of the entry with the index that entry names,
// or segment.Entries if it is none of the segment.
func (p *sealed) positionOf(entry []byte) uint32 {
	e, err := evidence.ParseEntry(entry)
	if err != nil || e.Index < p.first || e.Index-p.first >= segment.Entries {
		return segment.Entries
	}
	return uint32(e.Index - p.first)
}

// timeOf returns the time of an entry in microseconds, or 0 if it has none.
func timeOf(entry []byte) int64 {
	e, err := evidence.ParseEntry(entry)
	if err != nil {
		return 0
	}
	return e.Time.UnixMicro()
}

// pending holds the checkpoints of a segment until the entries that they cover
// have been seen.
type pending struct {
	notes [][]byte
	next  uint64 // size of the first of them; MaxUint64 if it stands nowhere
	first uint64 // index of the segment's first entry
	where string
}

func newPending(notes [][]byte, first uint64, where string) *pending {
	p := &pending{notes: notes, first: first, where: where}
	p.peek()
	return p
}

func (p *pending) peek() {
	p.next = math.MaxUint64
	if len(p.notes) > 0 {
		if c, err := evidence.PeekCheckpoint(p.notes[0]); err == nil && c.Size > p.first {
			p.next = c.Size
		}
	}
}

// upTo hands over the checkpoints of a trail that has size entries.
func (p *pending) upTo(v storage.Visitor, size uint64) {
	for p.next <= size {
		v.Checkpoint(p.notes[0], p.where)
		p.pass()
	}
}

// pass goes on behind a checkpoint.
func (p *pending) pass() {
	p.notes = p.notes[1:]
	p.peek()
}

func (p *pending) rest(v storage.Visitor) {
	for _, n := range p.notes {
		v.Checkpoint(n, p.where)
	}
}

// firstNonce returns the nonce of the first frame of a tail, for reading one
// whose header is damaged.
func firstNonce(file vfs.File) (n segment.Nonce) {
	var b [segment.FrameHeaderSize]byte
	if got, _ := file.ReadAt(b[:], segment.TailHeaderSize); got == len(b) {
		copy(n[:], b[24:])
	}
	return n
}

// tailWalk walks over a tail.
type tailWalk struct {
	s     *Store
	t     *tail
	p     storage.Part
	v     storage.Visitor
	final bool
	next  uint64 // index that the next entry should have
	last  []byte // the entry before it
	where string
}

func (w *tailWalk) run(ctx context.Context) error {
	w.next, w.where = w.p.First, filepath.Base(w.t.name)
	w.t.use.RLock() // the file stays what it is
	defer w.t.use.RUnlock()
	if w.t.gone {
		return errGone
	}
	file, err := w.s.fsys.Open(w.t.name)
	if err != nil {
		return err
	}
	defer file.Close()
	var nonce segment.Nonce
	if h, err := readHeader(w.t.name, w.t.first, file); err == nil {
		nonce = h.Nonce
	} else if causeOf(err) == evidence.Unreadable {
		return err
	} else if w.givenUp() {
		return errGone
	} else {
		w.v.Damage(w.p.First, 0, causeOf(err), w.where, err.Error())
		if causeOf(err) == evidence.NewerFormat {
			return nil // what follows may be anything
		}
		nonce = firstNonce(file)
	}
	r := &frameReader{file: file, at: segment.TailHeaderSize, nonce: nonce}
	end := w.p.First + w.p.Count
	for w.next < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := r.at
		f, err := r.next()
		if isFrameError(err) && w.givenUp() {
			return errGone
		}
		if err == nil || errors.Is(err, segment.ErrFrameSum) && f.First == w.next {
			if why := unfit(&f); why != nil {
				r.seek(at)
				err = why
			} else {
				if err != nil {
					w.v.Damage(f.First, uint64(f.Count), evidence.Altered, w.where, fmt.Sprintf("the checksum of the commit at byte %d is wrong", at))
					r.keep()
					r.seek(at + int64(f.Size()))
				}
				w.frame(&f, at)
				continue
			}
		}
		if !isFrameError(err) {
			return err
		}
		more, err := w.resume(r, err)
		if err != nil || !more {
			return err
		}
	}
	if !w.final || !w.s.opts.ReadOnly {
		return nil // what is behind was looked at when it was opened
	}
	return w.behind(ctx, r)
}

// givenUp reports whether a writer in another process has sealed the tail since
// and uses its file for something else. What looks like damage then is none.
func (w *tailWalk) givenUp() bool {
	if !w.s.opts.ReadOnly {
		return false // use is held
	}
	_, err := w.s.fsys.Size(w.t.name)
	return errors.Is(err, fs.ErrNotExist)
}

// errUnfit: a frame's records do not fill it.
var errUnfit = errors.New("its records do not fit it")

// unfit reports why the records of a frame cannot be told apart.
func unfit(f *segment.Frame) error {
	if f.Count == 0 {
		return fmt.Errorf("%w: it holds none", errUnfit)
	}
	for _, err := range f.Records() {
		if err != nil {
			return fmt.Errorf("%w: %w", errUnfit, err)
		}
	}
	return nil
}

func isFrameError(err error) bool {
	return errors.Is(err, segment.ErrFrameEnd) || errors.Is(err, segment.ErrFrameShort) || errors.Is(err, segment.ErrFrameSum) || errors.Is(err, errUnfit)
}

// frame hands over what a frame holds, whose records fit it.
func (w *tailWalk) frame(f *segment.Frame, at int64) {
	lies := false // about where it begins
	if f.First != w.next && !w.follows(f) {
		lies = misfit(f) != ""
		index := w.next
		if !lies {
			index = min(index, f.First)
		}
		w.v.Damage(index, 0, evidence.Altered, w.where, fmt.Sprintf("the commit at byte %d begins at index %d instead of %d", at, f.First, w.next))
	}
	for rec, err := range f.Records() {
		if err == nil {
			w.v.Entry(rec.Entry, rec.Body, nil)
			w.last = rec.Entry
		}
	}
	if lies {
		w.next += uint64(f.Count) // by its place
	} else {
		w.next = max(w.next, f.First+uint64(f.Count))
	}
	w.v.Checkpoint(f.Checkpoint, w.where)
}

// follows reports whether a frame begins behind the last entry of the one before
// it, which then holds more or fewer entries than it should.
func (w *tailWalk) follows(f *segment.Frame) bool {
	e, err := evidence.ParseEntry(w.last)
	return err == nil && e.Index+1 == f.First
}

// resume goes on behind a frame that cannot be read. It reports false when
// nothing behind it can be read either.
func (w *tailWalk) resume(r *frameReader, why error) (bool, error) {
	at, end := r.at, w.p.First+w.p.Count
	detail := fmt.Sprintf("the commit at byte %d cannot be read: %v", at, why)
	later, first, err := r.find(at + 1)
	if err != nil {
		return false, err
	}
	if later == 0 {
		w.v.Lost(end-w.next, evidence.Altered, w.where, detail)
		return false, nil
	}
	r.seek(later)
	w.passOver(first, detail)
	return true, nil
}

// passOver tells of what stands, unreadable, before the entry at index first.
func (w *tailWalk) passOver(first uint64, detail string) {
	if first > w.next {
		w.v.Lost(first-w.next, evidence.Altered, w.where, detail)
		w.next = first
	} else {
		w.v.Damage(first, 0, evidence.Altered, w.where, detail)
	}
}

// patience is how long a reader waits for a commit that is being written just
// now, before it takes it for one that was cut short.
const patience = 500 * time.Millisecond

// behind looks at what stands behind the last entry that was known when the
// walk began: nothing, what a writer added since, a write that a crash cut
// short, or damage with more commits behind it.
func (w *tailWalk) behind(ctx context.Context, r *frameReader) error {
	deadline := time.Now().Add(w.s.opts.patience)
	damaged := false
	for {
		r.seek(r.at)
		at := r.at
		f, err := r.next()
		if err == nil && !damaged && f.First == w.next && misfit(&f) == "" {
			return nil // a writer is at work
		}
		if err == nil {
			damaged = true
			if why := unfit(&f); why == nil {
				w.frame(&f, at)
			} else {
				w.v.Damage(w.next, 0, evidence.Altered, w.where, fmt.Sprintf("the commit at byte %d cannot be read: %v", at, why))
			}
			continue
		}
		if !isFrameError(err) {
			return err
		}
		if w.givenUp() {
			return nil
		}
		end, err := r.ending(err, w.next)
		if err != nil {
			return err
		}
		switch {
		case end.kind == endClean:
			return nil
		case time.Now().Before(deadline):
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		case end.kind == endTorn:
			w.v.Damage(w.next, 0, evidence.Torn, w.where, end.detail)
			return nil
		default:
			// Whole commits stand behind something that is none.
			damaged = true
			r.seek(end.later)
			w.passOver(end.first, end.detail)
		}
	}
}

// CheckIndex implements storage.Store.
func (s *Store) CheckIndex(ctx context.Context, p storage.Part, keys *storage.KeySum) (string, error) {
	seg, _ := s.view.Load().part(p.First / segment.Entries)
	if seg == nil || seg.err != nil || seg.pruned != nil || p.Count < segment.Entries {
		return "", nil // a tail, also one that was sealed meanwhile, is indexed in memory from its own entries, as what was pruned is
	}
	name := indexName(s.dir, p.First)
	file, err := s.fsys.Open(name)
	if err != nil {
		seg.mu.Lock()
		defer seg.mu.Unlock()
		if seg.idxBad != nil {
			return seg.idxBad.Error(), nil
		}
		return "", nil // missing: it is built again
	}
	defer file.Close()
	idx, err := openIndex(file, seg)
	if err == nil {
		var sum storage.KeySum
		if sum, err = idx.Sum(); err == nil && sum != *keys {
			return fmt.Sprintf("%s: it does not list what the entries hold", filepath.Base(name)), nil
		}
	}
	if err != nil && causeOf(err) != evidence.Altered {
		return "", fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	if err != nil {
		return fmt.Sprintf("%s: %v", filepath.Base(name), err), nil
	}
	return "", nil
}
