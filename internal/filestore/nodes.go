package filestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
)

// Nodes implements storage.Store.
func (s *Store) Nodes(ctx context.Context, dst []evidence.Hash, level int, first uint64, n int) ([]evidence.Hash, error) {
	if level != 0 && level != 8 && level != 16 {
		return dst, fmt.Errorf("no hashes of level %d are kept", level)
	}
	size := s.current().size()
	if end := first + uint64(n); end > size>>level {
		return dst, fmt.Errorf("node %d of level %d: %w: the trail has %d entries", end-1, level, storage.ErrNotFound, size)
	}
	perPart := uint64(segment.Entries) >> level
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return dst, err
		}
		pos := first % perPart
		k := min(n, int(perPart-pos))
		var err error
		if dst, err = s.nodesOf(dst, first/perPart, level, int(pos), k); err != nil {
			return dst, err
		}
		first, n = first+uint64(k), n-k
	}
	return dst, nil
}

// nodesOf appends n nodes of part number part, from the one with number pos in it.
func (s *Store) nodesOf(dst []evidence.Hash, part uint64, level, pos, n int) ([]evidence.Hash, error) {
	for {
		seg, t := s.view.Load().part(part)
		switch {
		case t != nil:
			nodes, err := t.nodes(level, pos, n)
			if errors.Is(err, errGone) {
				continue // sealed meanwhile
			}
			return append(dst, nodes...), err
		case seg == nil:
			return dst, fmt.Errorf("%w: the entries from %d on are missing", storage.ErrAltered, part*segment.Entries)
		case seg.err != nil:
			return dst, seg.err
		case seg.pruned != nil:
			return seg.pruned.nodes(dst, level, pos, n)
		case !seg.acquire():
			continue // replaced meanwhile
		}
		defer seg.release()
		switch level {
		case 0:
			return seg.seg.Hashes(dst, uint32(pos), n)
		case 8:
			return append(dst, seg.seg.Tile[pos:pos+n]...), nil
		default:
			return append(dst, seg.seg.Root), nil
		}
	}
}

// nodes returns nodes of a tail. It gives errGone when the tail was given up.
func (t *tail) nodes(level, pos, n int) ([]evidence.Hash, error) {
	if have := int(t.count.Load()); (pos+n)<<level > have {
		return nil, fmt.Errorf("%w: %s holds %d entries, fewer than it should", storage.ErrAltered, t.name, have)
	}
	if level == 0 {
		t.mu.RLock()
		defer t.mu.RUnlock()
		if t.memory == nil {
			return nil, errGone
		}
		return append([]evidence.Hash(nil), t.memory.hashes[pos:pos+n]...), nil
	}
	end := pos + n // number of the bundle behind the last one
	if level == 16 {
		end = segment.Bundles
	}
	// Roots of bundles are computed when they are first asked for, one at a time,
	// so that nobody waits for long.
	for {
		t.mu.RLock()
		m := t.memory
		if m == nil {
			t.mu.RUnlock()
			return nil, errGone
		}
		done := len(m.bundles)
		if done >= end {
			nodes := append([]evidence.Hash(nil), m.bundles[:end]...)
			t.mu.RUnlock()
			if level == 8 {
				return nodes[pos:], nil
			}
			return []evidence.Hash{evidence.Join(8, nodes)}, nil
		}
		var bundle [segment.BundleEntries]evidence.Hash
		copy(bundle[:], m.hashes[done*segment.BundleEntries:])
		t.mu.RUnlock()
		root := evidence.Join(0, bundle[:])
		t.mu.Lock()
		if t.memory == m && len(m.bundles) == done {
			m.bundles = append(m.bundles, root)
		}
		t.mu.Unlock()
	}
}

func (p *pruned) nodes(dst []evidence.Hash, level, pos, n int) ([]evidence.Hash, error) {
	switch level {
	case 8:
		return append(dst, p.Tile[pos:pos+n]...), nil
	case 16:
		return append(dst, p.Root), nil
	}
	for i := pos; i < pos+n; i++ {
		h, ok := p.Hash(uint32(i))
		if !ok {
			return dst, fmt.Errorf("the hash of entry %d: %w", p.First+uint64(i), storage.ErrPruned)
		}
		dst = append(dst, h)
	}
	return dst, nil
}
