package filestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs"
)

// attachedDir holds documents about the trail, each in a file of its own:
// <size>.<kind>.
const attachedDir = "attached"

// maxAttached bounds a document, in bytes.
const maxAttached = 1 << 20

func (s *Store) attachedName(kind string, size uint64) string {
	return filepath.Join(s.dir, attachedDir, fmt.Sprintf("%020d.%s", size, kind))
}

// Attach implements storage.Store. It needs no lock: files are replaced whole, and each
// process writes under a temporary name of its own.
func (s *Store) Attach(kind string, size uint64, content []byte) error {
	if len(content) > maxAttached {
		return fmt.Errorf("a document of kind %s has %d bytes, more than %d", kind, len(content), maxAttached)
	}
	if err := s.fsys.MkdirAll(filepath.Join(s.dir, attachedDir)); err != nil {
		return err
	}
	name := s.attachedName(kind, size)
	return vfs.ReplaceFile(s.fsys, name, fmt.Sprintf("%s.%d%s", name, os.Getpid(), vfs.TempSuffix), content)
}

// Attached implements storage.Store.
func (s *Store) Attached(kind string) (sizes []uint64, err error) {
	names, err := s.listAttached()
	for _, name := range names {
		if size, ok := parseNumber(name, "."+kind); ok {
			sizes = append(sizes, size)
		}
	}
	return sizes, err
}

// attachedSizes returns the sizes of documents of all kinds.
func (s *Store) attachedSizes() (sizes []uint64, err error) {
	names, err := s.listAttached()
	for _, name := range names {
		if size, ok := parseNumber(name, filepath.Ext(name)); ok {
			sizes = append(sizes, size)
		}
	}
	return sizes, err
}

func (s *Store) listAttached() ([]string, error) {
	names, err := s.fsys.List(filepath.Join(s.dir, attachedDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}

// Attachment implements storage.Store.
func (s *Store) Attachment(kind string, size uint64) ([]byte, error) {
	b, err := vfs.ReadFile(s.fsys, s.attachedName(kind, size), maxAttached)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("a document of kind %s at size %d: %w", kind, size, storage.ErrNotFound)
	}
	return b, err
}

// Detach implements storage.Store.
func (s *Store) Detach(kind string, size uint64) error {
	if err := vfs.Discard(s.fsys, s.attachedName(kind, size)); err != nil {
		return err
	}
	return s.fsys.SyncDir(filepath.Join(s.dir, attachedDir))
}
