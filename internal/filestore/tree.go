package filestore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/custodylog/custody/evidence"
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
	if there := s.current().size(); size > there {
		return tree, last, fmt.Errorf("the tree of %d entries: %w: the trail has %d", size, storage.ErrNotFound, there)
	}
	var nodes []evidence.Hash
	for _, level := range []int{16, 8, 0} {
		first := tree.Size() >> level
		nodes, err = s.Nodes(ctx, nodes[:0], level, first, int(size>>level-first))
		if err != nil {
			return tree, last, fmt.Errorf("the tree of %d entries: %w", size, err)
		}
		for _, h := range nodes {
			tree.AppendSubtree(level, h)
		}
	}
	if size == 0 {
		return tree, last, nil
	}
	nodes, err = s.Nodes(ctx, nodes[:0], 0, size-1, 1)
	if errors.Is(err, storage.ErrPruned) {
		return tree, last, nil // the zero hash
	}
	if err != nil {
		return tree, last, err
	}
	return tree, nodes[0], nil
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

// Checkpoints implements storage.Store.
func (s *Store) Checkpoints(limit int) (all [][]byte) {
	v := s.current()
	add := func(kept [][]byte) {
		for _, c := range slices.Backward(kept) {
			if len(c) > 0 && (limit <= 0 || len(all) < limit) {
				all = append(all, c)
			}
		}
	}
	for _, t := range slices.Backward(v.tails) {
		add(t.checkpoints())
	}
	for _, p := range slices.Backward(v.sealed) {
		if p.err == nil {
			add(p.checkpoints())
		}
	}
	return all
}
