package filestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs"
)

const (
	metaName       = "trail.json"
	lockName       = "lock"
	checkpointName = "checkpoint"
	tailDir        = "tail"
	segmentDir     = "segments"
	spareName      = "spare"
	intentName     = "removal"  // what is about to be removed
	removalsName   = "removals" // one byte for each time that files were replaced
	tailSuffix     = ".tail"
	segmentSuffix  = ".segment"
	prunedSuffix   = ".pruned"
	indexSuffix    = ".index"

	formatVersion = 1
	maxMeta       = 1 << 20
)

// Meta is what a trail's directory says about the trail. Nothing in it is
// believed when the trail is verified.
type Meta struct {
	Format int    `json:"format"`
	Origin string `json:"origin"`
	Key    string `json:"key"` // verifier key that the trail began with
}

// CanCreate returns an error that wraps fs.ErrExist when a trail is in dir.
func CanCreate(fsys vfs.FS, dir string) error {
	if _, err := fsys.Size(filepath.Join(dir, metaName)); err == nil {
		return fmt.Errorf("%s: %w: a trail is here already", dir, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l, err := list(fsys, dir)
	if err == nil && len(l.segments)+len(l.tails) > 0 {
		err = fmt.Errorf("%s: %w: entries of a trail are here, but its %s is missing; restore that from a copy", dir, fs.ErrExist, metaName)
	}
	return err
}

// Create makes the directory of a new trail. It fails when one is there.
func Create(fsys vfs.FS, dir string, meta Meta) error {
	if err := CanCreate(fsys, dir); err != nil {
		return err
	}
	name := filepath.Join(dir, metaName)
	for _, sub := range []string{tailDir, segmentDir} {
		if err := fsys.MkdirAll(filepath.Join(dir, sub)); err != nil {
			return err
		}
	}
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	meta.Format = formatVersion
	b, err := json.MarshalIndent(meta, "", "  ")
	if err != nil {
		return err
	}
	// Last, so that a directory with this file is a whole trail.
	return vfs.WriteFileAtomic(fsys, name, append(b, '\n'))
}

// ReadMeta reads what the directory says about the trail. It wraps
// storage.ErrNotFound when no trail is there.
func ReadMeta(fsys vfs.FS, dir string) (Meta, error) {
	var m Meta
	name := filepath.Join(dir, metaName)
	b, err := vfs.ReadFile(fsys, name, maxMeta)
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%s: %w: no trail is here (there is no %s)", dir, storage.ErrNotFound, metaName)
	} else if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return Meta{}, &storage.FormatError{Err: storage.ErrAltered, File: name, Detail: err.Error()}
	}
	if m.Format > formatVersion {
		return m, &storage.FormatError{Err: storage.ErrNewer, File: name, Detail: fmt.Sprintf("it says format %d, this program reads %d", m.Format, formatVersion)}
	}
	if m.Format < 1 || m.Origin == "" || m.Key == "" {
		return Meta{}, &storage.FormatError{Err: storage.ErrAltered, File: name, Detail: "format, origin and key are required"}
	}
	if key, err := evidence.ParseVerifier(m.Key); err != nil {
		return Meta{}, &storage.FormatError{Err: storage.ErrAltered, File: name, Detail: err.Error()}
	} else if key.Name() != m.Origin {
		return Meta{}, &storage.FormatError{Err: storage.ErrAltered, File: name, Detail: fmt.Sprintf("its key belongs to %q, its origin is %q", key.Name(), m.Origin)}
	}
	return m, nil
}

func tailName(dir string, first uint64) string {
	return filepath.Join(dir, tailDir, fmt.Sprintf("%020d%s", first, tailSuffix))
}

func segmentName(dir string, first uint64) string {
	return filepath.Join(dir, segmentDir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

func prunedName(dir string, first uint64) string {
	return filepath.Join(dir, segmentDir, fmt.Sprintf("%020d%s", first, prunedSuffix))
}

func indexName(dir string, first uint64) string {
	return filepath.Join(dir, segmentDir, fmt.Sprintf("%020d%s", first, indexSuffix))
}

// listed is what the directory of a trail holds.
type listed struct {
	segments []uint64 // first indices of segments, pruned or not, ascending
	pruned   []uint64 // first indices of those that were pruned, ascending
	tails    []uint64 // first indices, ascending
	leftover []string // unfinished files, by path

	beside map[uint64][]string // by first index: segment and index, by path
}

func list(fsys vfs.FS, dir string) (listed, error) {
	l := listed{beside: make(map[uint64][]string)}
	// A writer beside us removes a tail once there is its segment: in this
	// order, one of them is seen.
	for _, sub := range []string{tailDir, segmentDir} {
		names, err := fsys.List(filepath.Join(dir, sub))
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed by somebody; what is missing shows below
			}
			return l, err
		}
		for _, name := range names {
			path := filepath.Join(dir, sub, name)
			switch {
			case strings.HasSuffix(name, vfs.TempSuffix):
				l.leftover = append(l.leftover, path)
			case sub == tailDir && strings.HasSuffix(name, tailSuffix):
				if first, ok := parseName(name, tailSuffix); ok {
					l.tails = append(l.tails, first)
				}
			case sub == segmentDir && strings.HasSuffix(name, segmentSuffix):
				if first, ok := parseName(name, segmentSuffix); ok {
					l.segments = append(l.segments, first)
					l.beside[first] = append(l.beside[first], path)
				}
			case sub == segmentDir && strings.HasSuffix(name, indexSuffix):
				if first, ok := parseName(name, indexSuffix); ok {
					l.beside[first] = append(l.beside[first], path)
				}
			case sub == segmentDir && strings.HasSuffix(name, prunedSuffix):
				if first, ok := parseName(name, prunedSuffix); ok {
					l.segments = append(l.segments, first)
					l.pruned = append(l.pruned, first)
				}
			}
		}
	}
	slices.Sort(l.segments)
	l.segments = slices.Compact(l.segments) // a crash may leave both files of one
	return l, nil
}

// superseded returns the files, by path, of segments that were pruned since.
func (l *listed) superseded(v *view) (names []string) {
	for _, first := range l.pruned {
		if p, _ := v.part(first / segment.Entries); p != nil && p.pruned != nil {
			names = append(names, l.beside[first]...)
		}
	}
	return names
}

// parseName reads the first index out of the name of a part's file.
func parseName(name, suffix string) (first uint64, ok bool) {
	first, ok = parseNumber(name, suffix)
	return first, ok && first%segment.Entries == 0
}

// parseNumber reads the number of 20 digits before a suffix.
func parseNumber(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	n, err := strconv.ParseUint(digits, 10, 53) // evidence.MaxIndex
	return n, ok && err == nil && len(digits) == 20
}
