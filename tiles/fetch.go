package tiles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/custodylog/custody/evidence"
)

// served is what a log serves for a tile or an entry bundle.
type served struct {
	path    string
	width   int // of what stands at path: more than was asked for when a partial tile is gone
	content []byte
}

// load fetches a tile or an entry bundle. Instead of a partial one that is not there
// any more, it takes the full one (C2SP tlog-tiles, "Partial Tiles"). The error says
// what [Source].Fetch said of the tile itself; s.path is right in any case.
func (c *checker) load(ctx context.Context, t evidence.Tile) (s served, err error) {
	s = served{path: t.Path(), width: t.Width}
	s.content, err = c.src.Fetch(ctx, s.path)
	if t.Width == evidence.TileWidth || !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	full := evidence.Tile{Level: t.Level, Index: t.Index, Width: evidence.TileWidth}
	content, fullErr := c.src.Fetch(ctx, full.Path())
	if errors.Is(fullErr, fs.ErrNotExist) {
		return s, err
	}
	return served{full.Path(), full.Width, content}, fullErr
}

func errFetch(err error) error { return fmt.Errorf("the log cannot be fetched: %w", err) }

// hashTile is a tile of the tree as the log serves it.
type hashTile struct {
	path   string
	hashes []evidence.Hash // nil: it is not there, or is not what a tile is
	wrong  error           // why
}

// loadHashes fetches a tile of the tree. The error says that it could not be found out
// what the log serves.
func (c *checker) loadHashes(ctx context.Context, t evidence.Tile) (*hashTile, error) {
	s, err := c.load(ctx, t)
	h := &hashTile{path: s.path}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrTooLarge) {
		h.wrong = err
		return h, nil
	} else if err != nil {
		return nil, errFetch(err)
	}
	if len(s.content) != s.width*int(hashSize) {
		h.wrong = fmt.Errorf("it has %d bytes; %d hashes have %d", len(s.content), s.width, s.width*int(hashSize))
		return h, nil
	}
	h.hashes = make([]evidence.Hash, t.Width)
	for i := range h.hashes {
		h.hashes[i] = evidence.Hash(s.content[i*int(hashSize):])
	}
	return h, nil
}

// bundle is an entry bundle as the log serves it, with the tile of its leaf hashes.
type bundle struct {
	t       evidence.Tile
	path    string
	entries [][]byte        // as many as there are
	leaves  []evidence.Hash // of the entries; nil unless there are as many as there should be
	wrong   error           // why there are not
	tile    *hashTile       // nil for the partial one, which is fetched before
	err     error           // it could not be found out what the log serves
	fetched chan struct{}   // closed when the rest is there
}

// bundles fetches the bundles from number first to last in order, some at the same
// time. What it returns is to be read until it is closed or ctx is done; wait is
// called in the end.
func (c *checker) bundles(ctx context.Context, first, last uint64) (<-chan *bundle, *sync.WaitGroup) {
	queue := make(chan *bundle, c.opts.Workers-1)
	var wait sync.WaitGroup
	wait.Go(func() {
		defer close(queue)
		for i := first; i <= last; i++ {
			b := &bundle{t: c.tileAt(evidence.EntriesLevel, i), fetched: make(chan struct{})}
			select {
			case queue <- b: // there is room for as many as are fetched at the same time
			case <-ctx.Done():
				return
			}
			wait.Go(func() {
				defer close(b.fetched)
				b.err = c.fetch(ctx, b)
			})
		}
	})
	return queue, &wait
}

// fetch fetches a bundle and its tile, and hashes the entries.
func (c *checker) fetch(ctx context.Context, b *bundle) error {
	s, err := c.load(ctx, b.t)
	b.path = s.path
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrTooLarge):
		b.wrong = err
	case err != nil:
		return errFetch(err)
	default:
		b.parse(s)
	}
	if b.t.Width == evidence.TileWidth {
		b.tile, err = c.loadHashes(ctx, evidence.Tile{Level: 0, Index: b.t.Index, Width: b.t.Width})
		return err
	}
	return nil
}

// parse reads the entries. Of a bundle that is not as it should be it takes those that
// it can read, so that it can be told what was done to it.
func (b *bundle) parse(s served) {
	if b.entries, b.wrong = evidence.ParseBundle(s.content, s.width); b.wrong != nil {
		for rest, ok := s.content, true; len(b.entries) <= evidence.TileWidth; {
			var entry []byte
			if entry, rest, ok = evidence.CutEntry(rest); !ok {
				return
			}
			b.entries = append(b.entries, entry)
		}
		return
	}
	b.entries = b.entries[:b.t.Width] // of a full bundle, when the partial one is gone
	b.leaves = make([]evidence.Hash, len(b.entries))
	for i, entry := range b.entries {
		b.leaves[i] = evidence.LeafHash(entry)
	}
}
