package tiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/custodylog/custody/evidence"
)

// Source is where a published log is read from. It is used from several goroutines.
type Source interface {
	// Fetch returns what stands at a path below the log's prefix: "checkpoint", or
	// the path of an [evidence.Tile]. The error wraps [fs.ErrNotExist] when there is
	// nothing, and [ErrTooLarge] when there is more than can be right. Any other
	// error says that it could not be found out what is there.
	Fetch(ctx context.Context, path string) ([]byte, error)
}

// ErrTooLarge is wrapped by [Source].Fetch when there are more bytes at a path than
// anything of its kind has.
var ErrTooLarge = errors.New("it has more bytes than it can have")

// maxSize returns how many bytes at most there can be at a path.
func maxSize(path string) (int64, error) {
	if path == checkpointPath {
		return evidence.MaxCheckpointSize, nil
	}
	t, err := evidence.ParseTile(path)
	if err != nil {
		return 0, err
	}
	if t.Level == evidence.EntriesLevel {
		return int64(t.Width) * (2 + evidence.MaxEntrySize), nil
	}
	return int64(t.Width) * hashSize, nil
}

const (
	checkpointPath = "checkpoint"
	hashSize       = int64(len(evidence.Hash{}))
)

// readAll reads at most limit bytes, and fails with ErrTooLarge if there are more.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: more than %d", ErrTooLarge, limit)
	}
	return b, err
}

// Dir returns the log that lies in a directory, as [Export] writes it. Nothing outside
// of the directory is read, whatever links there are in it.
func Dir(dir string) Source { return directory(dir) }

type directory string

// Fetch implements [Source].
func (d directory) Fetch(ctx context.Context, path string) ([]byte, error) {
	limit, err := maxSize(path)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	name := filepath.FromSlash(path)
	info, err := root.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return nil, fmt.Errorf("%s is no file", filepath.Join(string(d), name))
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	defer f.Close()
	b, err := readAll(f, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(string(d), name), err)
	}
	return b, nil
}
