package ingest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Files returns the paths of the files at or below root that match accepts, the
// files of a directory before those of the directories in it, each in the order
// of their names. root itself may be a file. Links to files count, links to
// directories below root are not followed. A nil match accepts all.
//
// What cannot be read is in the error, all of it; the paths are of the rest.
func Files(root string, match func(path string) bool) ([]string, error) {
	if match == nil {
		match = func(string) bool { return true }
	}
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if match(root) {
			return []string{root}, nil
		}
		return nil, nil
	}
	return filesIn(root, match)
}

func filesIn(dir string, match func(path string) bool) ([]string, error) {
	entries, err := os.ReadDir(dir) // by name; what was read before an error too
	errs := []error{err}
	var paths, below []string
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if entry.IsDir() {
			more, err := filesIn(path, match)
			below, errs = append(below, more...), append(errs, err)
			continue
		}
		if !match(path) {
			continue
		}
		if info, err := os.Stat(path); err != nil {
			errs = append(errs, err)
		} else if info.Mode().IsRegular() {
			paths = append(paths, path)
		}
	}
	return append(paths, below...), errors.Join(errs...)
}

// Extension returns a match for [Files]: names that end in one of the
// extensions, such as ".jsonl", or in one and the extension of a format that
// [Decompress] reads.
func Extension(extensions ...string) func(path string) bool {
	return func(path string) bool {
		for _, compressed := range [...]string{"", ".gz", ".zst"} {
			for _, ext := range extensions {
				if strings.HasSuffix(path, ext+compressed) {
					return true
				}
			}
		}
		return false
	}
}
