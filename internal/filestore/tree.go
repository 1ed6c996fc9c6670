package filestore

import (
	"context"
	"fmt"
	"slices"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
)

// Head implements storage.Store. It is the zero head when entries are missing or
// cannot be read, as it may be in a store that is open for reading.
func (s *Store) Head() storage.Head {
	for {
		if h, ok := s.view.Load().head(); ok {
			return h
		}
	}
}

// head reports false when a tail was sealed, or a segment replaced, meanwhile.
func (v *view) head() (h storage.Head, ok bool) {
	for _, seg := range v.sealed {
		if seg.err != nil {
			return storage.Head{}, true
		}
		h.Tree.AppendSubtree(16, seg.root())
		_, h.Time = seg.times()
	}
	if n := len(v.sealed); n > 0 {
		p := v.sealed[n-1]
		if !p.acquire() {
			return h, false
		}
		last, err := p.lastHash()
		p.release()
		if err != nil {
			return storage.Head{}, true
		}
		h.Hash = last
	}
	for _, t := range v.tails {
		if h.Tree.Size() != t.first {
			return storage.Head{}, true
		}
		t.mu.RLock()
		m := t.memory
		if m != nil {
			h.Tree.Extend(&t.tree)
			if n := len(m.hashes); n > 0 {
				h.Hash, h.Time = m.hashes[n-1], m.times[n-1]
			}
		}
		t.mu.RUnlock()
		if m == nil {
			return h, false
		}
	}
	return h, true
}

// TreeAt implements storage.Store.
func (s *Store) TreeAt(ctx context.Context, size uint64) (tree evidence.Tree, last evidence.Hash, err error) {
	v := s.current()
	if size > v.size() {
		return tree, last, fmt.Errorf("the tree of %d entries: %w: the trail has %d", size, storage.ErrNotFound, v.size())
	}
	for n := uint64(0); n*segment.Entries < size; n++ {
		if err := ctx.Err(); err != nil {
			return tree, last, err
		}
		want := int(min(size-n*segment.Entries, segment.Entries))
		hashes, root, pruned, err := s.hashesOf(n, want, size <= (n+1)*segment.Entries)
		if err != nil {
			return tree, last, err
		}
		switch {
		case pruned != nil:
			part, err := pruned.treeAt(want)
			if err != nil {
				return tree, last, fmt.Errorf("the tree of %d entries: %w", size, err)
			}
			tree.Extend(&part)
			last, _ = pruned.Hash(uint32(want - 1)) // else the zero hash
		case want == segment.Entries && root != nil:
			tree.AppendSubtree(16, *root)
		default:
			for _, h := range hashes {
				tree.Append(h)
			}
		}
		if len(hashes) > 0 {
			last = hashes[len(hashes)-1]
		}
	}
	return tree, last, nil
}

// hashesOf returns the first want leaf hashes of part n. Of a whole segment it
// returns the root, and only the last hash if that is asked for; of one that was
// pruned, what was kept of it.
func (s *Store) hashesOf(n uint64, want int, last bool) (hashes []evidence.Hash, root *evidence.Hash, pruned *pruned, err error) {
	for {
		seg, t := s.view.Load().part(n)
		switch {
		case t != nil:
			t.mu.RLock()
			m := t.memory
			if m != nil && len(m.hashes) >= want {
				hashes = slices.Clone(m.hashes[:want])
			}
			t.mu.RUnlock()
			if m == nil {
				continue // sealed meanwhile
			}
			if hashes == nil {
				return nil, nil, nil, fmt.Errorf("%w: %s holds fewer entries than it should", storage.ErrAltered, t.name)
			}
			return hashes, nil, nil, nil
		case seg == nil:
			return nil, nil, nil, fmt.Errorf("%w: the entries from %d on are missing", storage.ErrAltered, n*segment.Entries)
		case seg.err != nil:
			return nil, nil, nil, seg.err
		case seg.pruned != nil:
			return nil, nil, seg.pruned, nil
		case !seg.acquire():
			continue // replaced meanwhile
		}
		defer seg.release()
		if want < segment.Entries {
			hashes, err = seg.seg.Hashes(nil, 0, want)
			return hashes, nil, nil, err
		}
		if last {
			hashes, err = seg.seg.Hashes(nil, segment.Entries-1, 1)
		}
		return hashes, &seg.seg.Root, nil, err
	}
}

// Checkpoint implements storage.Store. It returns nil when there is none yet.
func (s *Store) Checkpoint() ([]byte, error) {
	v := s.current()
	for i := len(v.tails) - 1; i >= 0; i-- {
		t := v.tails[i]
		t.mu.RLock()
		last := t.last
		t.mu.RUnlock()
		if last != nil {
			return last, nil
		}
	}
	for i := len(v.sealed) - 1; i >= 0; i-- {
		if v.sealed[i].err != nil {
			return nil, v.sealed[i].err
		}
		if c := v.sealed[i].checkpoints(); len(c) > 0 {
			return c[len(c)-1], nil
		}
	}
	return nil, nil
}
