package filestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
)

// errGone says that a tail was sealed meanwhile, or a part was replaced: another
// file holds the entry.
var errGone = errors.New("the file was replaced")

// kept is what a record keeps between two reads: the blocks of a segment that
// were decompressed last, or a buffer.
type kept struct {
	part *sealed

	entryBlock int // -1: none
	entryRaw   []byte
	entries    [][]byte
	hashes     []evidence.Hash

	payloadBlock int // -1: none
	bodyRaw      []byte
	bodies       [][]byte

	// Of a tail: the bytes of its file from offset at on. Whoever has read one entry
	// and asks for the next gets those that follow with it.
	tail *tail
	next uint32 // position behind the one that was read last
	at   int64
	buf  []byte

	hashed bool // buf is from memory, not from the file
}

// readAhead is how many bytes of a tail are read at once for who reads on.
const readAhead = 32 << 10

func keptOf(r *storage.Record) *kept {
	k, ok := r.Kept.(*kept)
	if !ok {
		k = &kept{entryBlock: -1, payloadBlock: -1}
		r.Kept = k
	}
	return k
}

// Read implements storage.Store.
func (s *Store) Read(ctx context.Context, i uint64, r *storage.Record) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		v := s.view.Load()
		if i >= v.size() || s.opts.ReadOnly && s.countRemovals() != s.removals.Load() {
			v = s.current() // there may be more, or less
		}
		if i >= v.size() {
			return fmt.Errorf("entry %d: %w: the trail has %d entries", i, storage.ErrNotFound, v.size())
		}
		err := s.readFrom(v, i, r)
		switch {
		case errors.Is(err, errGone):
			continue // the view without it is there already
		case s.opts.ReadOnly && errors.Is(err, storage.ErrAltered):
			// The writer may have used the file for something else.
			s.refresh()
			if s.view.Load() != v {
				continue
			}
		}
		return err
	}
}

func (s *Store) readFrom(v *view, i uint64, r *storage.Record) (err error) {
	pos := uint32(i % segment.Entries)
	switch seg, t := v.part(i / segment.Entries); {
	case seg != nil:
		err = seg.read(pos, r)
	case t != nil:
		err = t.read(pos, r, &s.recent)
	default:
		err = fmt.Errorf("%w: the part that holds it is missing", storage.ErrAltered)
	}
	if errors.Is(err, storage.ErrPruned) {
		return fmt.Errorf("entry %d: %w; the trail begins at entry %d", i, err, v.first())
	}
	if err != nil && !errors.Is(err, errGone) {
		return fmt.Errorf("entry %d: %w", i, err)
	}
	r.Index = i
	return err
}

// check compares what was read with the hash that was committed, and decodes
// the entry.
func check(r *storage.Record) (err error) {
	if evidence.LeafHash(r.Entry) != r.Hash {
		return fmt.Errorf("%w: its bytes do not have the hash that was committed", storage.ErrAltered)
	}
	r.Envelope, err = evidence.ParseEntry(r.Entry)
	if errors.Is(err, evidence.ErrEntryVersion) {
		return fmt.Errorf("%w: %w", storage.ErrNewer, err)
	} else if err != nil {
		return fmt.Errorf("%w: %w", storage.ErrAltered, err)
	}
	if r.Body != nil && evidence.CommitBody(r.Body) != r.Envelope.Payload {
		return fmt.Errorf("%w: its payload is not the one it commits to", storage.ErrAltered)
	}
	return nil
}

func (t *tail) read(pos uint32, r *storage.Record, recent *recent) error {
	t.use.RLock()
	defer t.use.RUnlock()
	if t.gone {
		return errGone
	}
	if pos >= t.count.Load() {
		return fmt.Errorf("%w: %s does not hold it", storage.ErrAltered, t.name)
	}
	t.mu.RLock()
	places := t.memory.places // there while use is held and gone is not set
	place, hash := places[pos], t.memory.hashes[pos]
	end := places[len(places)-1].end()
	t.mu.RUnlock()
	if !r.Following {
		recent = nil
	}
	b, hashed, err := keptOf(r).loadTail(t, pos, place, end, recent)
	if err != nil {
		return readError(t.name, err)
	}
	r.Entry, r.Body, r.Hash = b[:place.entry:place.entry], nil, hash
	if place.body > 0 {
		r.Body = b[place.entry:]
	}
	if hashed {
		r.Envelope, err = evidence.ParseEntry(r.Entry)
	} else {
		err = check(r)
	}
	if err != nil {
		return fmt.Errorf("%s, byte %d: %w", t.name, place.offset, err)
	}
	return nil
}

// loadTail returns the bytes of the entry at a place of a tail, whose last entry ends at
// end. hashed says that they come from recent, which may be nil.
func (k *kept) loadTail(t *tail, pos uint32, p place, end int64, recent *recent) (b []byte, hashed bool, err error) {
	from, n := p.offset-k.at, p.end()-p.offset
	if k.tail != t || from < 0 || from+n > int64(len(k.buf)) {
		size := n
		if k.tail == t && k.next == pos {
			size = max(n, min(readAhead, end-p.offset))
		}
		if k.tail = nil; int64(cap(k.buf)) < size {
			k.buf = make([]byte, size, size+size/4)
		}
		k.buf = k.buf[:size]
		if k.hashed = recent != nil && recent.read(t, k.buf, p.offset); !k.hashed {
			if _, err := t.file.ReadAt(k.buf, p.offset); err != nil {
				return nil, false, err
			}
		}
		k.tail, k.at, from = t, p.offset, 0
	}
	k.next = pos + 1
	return k.buf[from : from+n : from+n], k.hashed, nil
}

func (p *sealed) read(pos uint32, r *storage.Record) error {
	if p.err != nil {
		return p.err
	}
	if p.pruned != nil {
		return p.readPruned(pos, r)
	}
	if !p.acquire() {
		return errGone
	}
	defer p.release()
	return p.readHeld(pos, r)
}

// readHeld is read for a caller who has acquired the segment.
func (p *sealed) readHeld(pos uint32, r *storage.Record) error {
	k := keptOf(r)
	if err := k.load(p, pos); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	from, _ := p.seg.PayloadRange(k.payloadBlock)
	r.Entry = k.entries[pos%segment.BlockEntries]
	r.Body = k.bodies[pos-from]
	r.Hash = k.hashes[pos%segment.BlockEntries]
	if err := check(r); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// load brings the blocks that hold position pos into k.
func (k *kept) load(p *sealed, pos uint32) (err error) {
	if k.part != p {
		k.part, k.entryBlock, k.payloadBlock = p, -1, -1
	}
	if n := int(pos / segment.BlockEntries); k.entryBlock != n {
		k.entryBlock = -1
		if k.entryRaw, k.entries, err = p.seg.EntryBlock(n, k.entryRaw[:0], k.entries[:0]); err != nil {
			return err
		}
		if len(k.entries) != segment.BlockEntries {
			return fmt.Errorf("%w: entry block %d holds %d entries", storage.ErrAltered, n, len(k.entries))
		}
		if k.hashes, err = p.seg.Hashes(k.hashes[:0], uint32(n*segment.BlockEntries), segment.BlockEntries); err != nil {
			return err
		}
		k.entryBlock = n
	}
	if from, to := uint32(0), uint32(0); k.payloadBlock >= 0 {
		if from, to = p.seg.PayloadRange(k.payloadBlock); pos >= from && pos < to {
			return nil
		}
	}
	n := p.seg.PayloadBlockOf(pos)
	k.payloadBlock = -1
	if k.bodyRaw, k.bodies, err = p.seg.PayloadBlock(n, k.bodyRaw[:0], k.bodies[:0]); err != nil {
		return err
	}
	k.payloadBlock = n
	return nil
}
