package filestore

import (
	"context"
	"fmt"
	"slices"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs"
)

// First implements storage.Store.
func (s *Store) First() uint64 { return s.current().first() }

// Prunable implements storage.Store.
func (s *Store) Prunable() uint64 { return uint64(len(s.view.Load().sealed)) * segment.Entries }

// first is the minimum index.
func (v *view) first() uint64 {
	n := slices.IndexFunc(v.sealed, func(p *sealed) bool { return p.pruned == nil })
	if n < 0 {
		n = len(v.sealed)
	}
	return uint64(n) * segment.Entries
}

// Prune implements storage.Store.
//
// The file that takes the place of a segment gets its name once it is durable,
// and counts from then on; only then do the segment and its index go. Segments
// are pruned from the oldest on, so that what a crash leaves is a trail that was
// pruned, up to there.
func (s *Store) Prune(ctx context.Context, to uint64, keep func(typ string) bool) error {
	if s.opts.ReadOnly {
		return storage.ErrReadOnly
	}
	s.removing.Lock()
	defer s.removing.Unlock()
	if err := s.Failed(); err != nil {
		return fmt.Errorf("%w: %w", storage.ErrFailed, err)
	}
	v := s.view.Load()
	if end := s.Prunable(); to%segment.Entries != 0 || to > end {
		return fmt.Errorf("pruning to index %d: it has to be a multiple of %d, and %d at most", to, segment.Entries, end)
	}
	sizes, err := s.attachedSizes()
	if err != nil {
		return err
	}
	from, end := int(v.first()/segment.Entries), int(to/segment.Entries)
	for n := from; n < end; n++ {
		if _, err := v.sealed[n].keep(ctx, keep, sizes); err != nil {
			return fmt.Errorf("pruning to index %d: %w; nothing was pruned", to, err)
		}
	}
	for n := from; n < end; n++ {
		b, err := v.sealed[n].keep(ctx, keep, sizes)
		if err == nil {
			err = s.pruneSegment(n, b)
		}
		if err != nil {
			return fmt.Errorf("pruning %s: %w", v.sealed[n].name, err)
		}
	}
	// Also what an attempt before left, and what lies in files beside entries.
	if err := s.cleanTails(ctx, nil); err != nil {
		return err
	}
	return s.countRemoval()
}

// pruneSegment puts a file in the place of segment number n.
func (s *Store) pruneSegment(n int, file []byte) error {
	old := s.view.Load().sealed[n]
	old.supersede()
	if err := vfs.WriteFileAtomic(s.fsys, prunedName(s.dir, old.first), file); err != nil {
		return err
	}
	next := s.openPart(old.first)
	if next.err != nil {
		return next.err
	}
	s.addFilter(next)
	return s.replace(n, next)
}

// cleanPruned writes pruned segment number n anew without some payloads.
func (s *Store) cleanPruned(n int, at evidence.Ranges) error {
	old := s.view.Load().sealed[n]
	if old.err != nil {
		return old.err
	}
	kept, found := *old.pruned.Pruned, false
	kept.Records = slices.Clone(kept.Records)
	for i := range kept.Records {
		if r := &kept.Records[i]; r.Body != nil && at.Contains(old.first+uint64(r.Position)) {
			r.Body, found = nil, true
		}
	}
	if !found {
		return nil
	}
	b, err := segment.AppendPruned(nil, &kept)
	if err == nil {
		err = s.pruneSegment(n, b)
	}
	if err != nil {
		return fmt.Errorf("removing payloads from %s: %w", old.name, err)
	}
	return nil
}

// keep returns the file that takes the place of a segment. Everything that goes
// is checked: what does not check out is evidence, and stays. sizes are those at which
// the tree has to be known later.
func (p *sealed) keep(ctx context.Context, keep func(typ string) bool, sizes []uint64) ([]byte, error) {
	if p.err != nil {
		return nil, p.err
	}
	kept := segment.Pruned{First: p.first, FirstTime: p.seg.FirstTime, LastTime: p.seg.LastTime,
		Tile: p.seg.Tile, Root: p.seg.Root, Checkpoints: p.seg.Checkpoints}
	// Bundles of which the leaf hashes are kept: those with an entry that is, the
	// last one, and those that a checkpoint ends in, so that it can be checked, and
	// a witness that has seen no later one can be told how the trail went on.
	wanted := [segment.Bundles]bool{segment.Bundles - 1: true}
	sizes = slices.Clone(sizes)
	for _, signed := range kept.Checkpoints {
		if c, err := evidence.PeekCheckpoint(signed); err == nil {
			sizes = append(sizes, c.Size)
		}
	}
	for _, size := range sizes {
		if size > p.first && size-p.first < segment.Entries && size%segment.BundleEntries != 0 {
			wanted[(size-p.first)/segment.BundleEntries] = true
		}
	}
	var tree, bundle evidence.Tree
	var hashes []evidence.Hash
	var rec storage.Record
	for pos := range uint32(segment.Entries) {
		if pos%segment.BundleEntries == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			hashes, bundle = make([]evidence.Hash, 0, segment.BundleEntries), evidence.Tree{}
		}
		index := p.first + uint64(pos)
		if err := p.read(pos, &rec); err != nil {
			return nil, fmt.Errorf("entry %d: %w", index, err)
		}
		n := pos / segment.BundleEntries
		switch typ := rec.Envelope.Type; {
		case keep(typ):
			wanted[n] = true
			r := segment.PrunedRecord{Position: pos, Entry: slices.Clone(rec.Entry)}
			if rec.Body != nil {
				r.Body = slices.Clone(rec.Body)
			}
			kept.Records = append(kept.Records, r)
		case rec.Body != nil:
			return nil, fmt.Errorf("entry %d, %s, still has its payload, which has to be removed first", index, typ)
		}
		hashes = append(hashes, rec.Hash)
		bundle.Append(rec.Hash)
		if len(hashes) < segment.BundleEntries {
			continue
		}
		if bundle.Root() != kept.Tile[n] {
			return nil, fmt.Errorf("%s: %w: the tile holds another hash for the %d entries before entry %d", p.name, storage.ErrAltered, segment.BundleEntries, index+1)
		}
		tree.Extend(&bundle)
		if wanted[n] {
			kept.Hashes[n] = hashes
		}
	}
	if tree.Root() != kept.Root {
		return nil, fmt.Errorf("%s: %w: the root that is kept is not that of its entries", p.name, storage.ErrAltered)
	}
	return segment.AppendPruned(nil, &kept)
}
