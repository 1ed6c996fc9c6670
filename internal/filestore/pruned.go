package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sort"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/index"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs"
)

// pruned is a segment that was pruned. All of it lies in memory.
type pruned struct {
	*segment.Pruned
	envelopes []evidence.Entry // of its records
	keys      [][]storage.Key  // that they are found by
}

// openPart opens a segment, or what was kept of it when it was pruned. What is
// wrong with it is in err.
func (s *Store) openPart(first uint64) *sealed {
	p := s.openPruned(first)
	if p != nil && p.err == nil {
		return p
	}
	seg := openSealed(s.fsys, s.dir, first)
	if !seg.gone {
		return seg // that counts where the other one does not check out
	}
	if p == nil {
		p = s.openPruned(first) // pruned just now
	}
	if p != nil {
		return p
	}
	return seg
}

// openPruned returns nil when the segment was not pruned.
func (s *Store) openPruned(first uint64) *sealed {
	p := &sealed{first: first, name: prunedName(s.dir, first)}
	b, err := vfs.ReadFile(s.fsys, p.name, segment.MaxPruned)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		p.pruned, err = newPruned(b, first, s.opts.Extract)
	}
	if err != nil {
		p.err = formatError(err, p.name, 0)
	}
	return p
}

func newPruned(b []byte, first uint64, extract storage.Extract) (*pruned, error) {
	kept, err := segment.ParsePruned(b)
	if err != nil {
		return nil, err
	}
	if kept.First != first {
		return nil, fmt.Errorf("%w: it says that it begins at index %d", storage.ErrAltered, kept.First)
	}
	p := &pruned{Pruned: kept}
	for _, r := range p.Records {
		index := first + uint64(r.Position)
		e, err := evidence.ParseEntry(r.Entry)
		if errors.Is(err, evidence.ErrEntryVersion) {
			return nil, fmt.Errorf("%w: entry %d: %w", storage.ErrNewer, index, err)
		}
		if err == nil && e.Index != index {
			err = fmt.Errorf("entry %d stands in its place", e.Index)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: entry %d: %w", storage.ErrAltered, index, err)
		}
		var payload []byte
		if r.Body != nil {
			payload = r.Body[evidence.SaltSize:]
		}
		keys, err := extract(nil, e.Type, payload)
		if err != nil {
			keys = nil // found by nothing but its index
		}
		p.envelopes, p.keys = append(p.envelopes, e), append(p.keys, keys)
	}
	return p, nil
}

// at returns the number of the first record at or behind a position.
func (p *pruned) at(pos uint32) int {
	return sort.Search(len(p.Records), func(i int) bool { return p.Records[i].Position >= pos })
}

func (p *sealed) readPruned(pos uint32, r *storage.Record) error {
	i := p.pruned.at(pos)
	if i == len(p.pruned.Records) || p.pruned.Records[i].Position != pos {
		return storage.ErrPruned
	}
	k := keptOf(r)
	rec := &p.pruned.Records[i]
	// What a record holds belongs to the caller.
	k.buf = append(append(k.buf[:0], rec.Entry...), rec.Body...)
	n := len(rec.Entry)
	r.Entry, r.Body = k.buf[:n:n], nil
	if rec.Body != nil {
		r.Body = k.buf[n:]
	}
	r.Hash, _ = p.pruned.Hash(pos)
	if err := check(r); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// find appends the positions in [lo, hi) of the records that have a key of every
// group.
func (p *pruned) find(dst []uint32, groups [][]storage.Key, lo, hi uint32) []uint32 {
	for i := p.at(lo); i < len(p.Records) && p.Records[i].Position < hi; i++ {
		if !slices.ContainsFunc(groups, func(g []storage.Key) bool {
			return !slices.ContainsFunc(g, func(k storage.Key) bool { return slices.Contains(p.keys[i], k) })
		}) {
			dst = append(dst, p.Records[i].Position)
		}
	}
	return dst
}

// timeBounds returns the positions between which the records lie whose times are
// in [from, to).
func (p *pruned) timeBounds(from, to int64) (lo, hi uint32) {
	position := func(time int64) uint32 {
		i := sort.Search(len(p.envelopes), func(i int) bool { return p.envelopes[i].Time.UnixMicro() >= time })
		if i == len(p.Records) {
			return segment.Entries
		}
		return p.Records[i].Position
	}
	return position(from), position(to)
}

func (p *pruned) buckets(dst []index.Bucket) []index.Bucket {
	for _, e := range p.envelopes {
		dst = append(dst, index.Bucket{Hour: index.HourOf(e.Time.UnixMicro()), Type: e.Type, Count: 1})
	}
	return dst
}

// root, times, checkpoints and lastHash are there of every segment that can be
// read, pruned or not.
func (p *sealed) root() evidence.Hash {
	if p.pruned != nil {
		return p.pruned.Root
	}
	return p.seg.Root
}

func (p *sealed) times() (first, last int64) {
	if p.pruned != nil {
		return p.pruned.FirstTime, p.pruned.LastTime
	}
	return p.seg.FirstTime, p.seg.LastTime
}

func (p *sealed) checkpoints() [][]byte {
	if p.pruned != nil {
		return p.pruned.Checkpoints
	}
	return p.seg.Checkpoints
}

func (p *sealed) lastHash() (evidence.Hash, error) {
	if p.pruned != nil {
		h, _ := p.pruned.Hash(segment.Entries - 1) // always kept
		return h, nil
	}
	last, err := p.seg.Hashes(nil, segment.Entries-1, 1)
	if err != nil {
		return evidence.Hash{}, err
	}
	return last[0], nil
}

// walkPruned hands over what was kept. What is before the entry with index from
// was handed over already, out of the tail that the segment was made from.
func (p *sealed) walkPruned(ctx context.Context, v storage.Visitor, from uint64) error {
	where := filepath.Base(p.name)
	kept := p.pruned
	notes := newPending(kept.Checkpoints, p.first, where)
	for notes.next <= from {
		notes.pass()
	}
	next := 0 // number of the next record
	for bundle, hashes := range kept.Hashes {
		if err := ctx.Err(); err != nil {
			return err
		}
		begin := p.first + uint64(bundle*segment.BundleEntries)
		switch {
		case begin+segment.BundleEntries <= from:
			continue
		case hashes == nil && begin < from:
			return fmt.Errorf("%s was pruned while it was read; try again", where)
		case hashes == nil:
			notes.upTo(v, begin)
			v.Pruned(8, kept.Tile[bundle])
		}
		for i, hash := range hashes {
			index := begin + uint64(i)
			if index < from {
				continue
			}
			notes.upTo(v, index)
			for next < len(kept.Records) && p.first+uint64(kept.Records[next].Position) < index {
				next++
			}
			if next < len(kept.Records) && p.first+uint64(kept.Records[next].Position) == index {
				v.Entry(kept.Records[next].Entry, kept.Records[next].Body, &hash)
			} else {
				v.Pruned(0, hash)
			}
		}
		v.Node(8, kept.Tile[bundle], where)
	}
	notes.upTo(v, p.first+segment.Entries)
	v.Node(16, kept.Root, where)
	notes.rest(v)
	return nil
}
