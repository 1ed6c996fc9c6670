package tiles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
)

// Exported says what an export wrote.
type Exported struct {
	Size    uint64 // of the checkpoint
	Minimum uint64 // entries before it were pruned, and are not exported
	Written int    // files; those of an earlier export that are as they were do not count
}

// Export writes a trail as files below dir, as a static file server would serve them:
// checkpoint, tile/…. An export of the same trail that is there already is brought up
// to date. The checkpoint comes last, so what it covers is there. Everything is
// checked to be what the checkpoint covers, and an export of another history is
// refused before anything is written.
func Export(ctx context.Context, trail *custody.Trail, dir string) (Exported, error) {
	signed, err := trail.Published(ctx)
	if err != nil {
		return Exported{}, err
	}
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		return Exported{}, err
	}
	x := Exported{Size: c.Size, Minimum: trail.First()}
	if _, err := trail.ProveConsistency(ctx, signed, nil); err != nil {
		return x, fmt.Errorf("the checkpoint to be published: %w", err)
	}
	switch before, err := os.ReadFile(filepath.Join(dir, "checkpoint")); {
	case err == nil:
		if _, err := trail.ProveConsistency(ctx, before, signed); err != nil {
			return x, fmt.Errorf("%s holds an export that this one does not continue: %w; export to an empty directory", dir, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return x, err
	}
	for tile := range tilesOf(c.Size) {
		if err := ctx.Err(); err != nil {
			return x, err
		}
		name := filepath.Join(dir, filepath.FromSlash(tile.Path()))
		if _, err := os.Stat(name); err == nil {
			continue // tiles never change
		}
		content, err := trail.Tile(ctx, tile)
		if errors.Is(err, custody.ErrPruned) {
			continue
		}
		if err == nil {
			err = replace(name, content)
		}
		if err != nil {
			return x, err
		}
		x.Written++
	}
	x.Written++
	return x, replace(filepath.Join(dir, "checkpoint"), signed)
}

// tilesOf yields all tiles and entry bundles of a tree of that size.
func tilesOf(size uint64) func(func(evidence.Tile) bool) {
	return func(yield func(evidence.Tile) bool) {
		level := func(level int, hashes uint64) bool {
			for index := range (hashes + evidence.TileWidth - 1) / evidence.TileWidth {
				width := min(hashes-index*evidence.TileWidth, evidence.TileWidth)
				if !yield(evidence.Tile{Level: level, Index: index, Width: int(width)}) {
					return false
				}
			}
			return true
		}
		if !level(evidence.EntriesLevel, size) {
			return
		}
		for l := 0; size>>(8*l) > 0; l++ {
			if !level(l, size>>(8*l)) {
				return
			}
		}
	}
}

// replace writes a file in one step, so that a server never sees a part of it.
func replace(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
