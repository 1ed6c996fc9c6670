// Package vfs is the file system as the file store needs it: few operations,
// each with the durability it promises, so that tests can run the store on
// memory, crash it at any point and let any operation fail.
//
// [OS] is the real one. Package vfstest has one in memory that knows what a
// crash would leave of it, and one that lets chosen operations of another fail.
package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// FS is a file system. Names are paths as package filepath has them. Errors
// wrap those of package io/fs (fs.ErrNotExist, fs.ErrExist) where they apply
// and name the file. All methods may be called from several goroutines.
type FS interface {
	// Create opens a new file for reading and writing, mode 0600. It fails
	// with fs.ErrExist when the name is taken.
	Create(name string) (File, error)

	// Open opens a file for reading.
	Open(name string) (File, error)

	// OpenWrite opens a file that exists for reading and writing.
	OpenWrite(name string) (File, error)

	// Rename moves a file over another one, if there is one. It is durable
	// after SyncDir of the directory; a crash before leaves the old name or
	// the new one, never neither and never both.
	Rename(from, to string) error

	// Remove deletes a file. Durable after SyncDir.
	Remove(name string) error

	// MkdirAll makes a directory, mode 0700, and those above it. Those that
	// it made are durable when it returns.
	MkdirAll(dir string) error

	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)

	// Size returns the length of a file.
	Size(name string) (int64, error)

	// SyncDir makes durable which names are in the directory.
	SyncDir(dir string) error

	// Lock takes the file for this process until the result is closed, or
	// the process ends however it ends. It creates the file if need be, and
	// writes holder into it. When another one has it the error is a
	// *LockedError.
	Lock(name, holder string) (io.Closer, error)

	// Free returns how many bytes can be written below dir, and how many
	// the file system has altogether.
	Free(dir string) (free, total uint64, err error)
}

// File is an open file. ReadAt may be called from several goroutines, also
// while one other goroutine writes.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer

	// Sync makes durable everything written, and the length.
	Sync() error

	// Size returns the current length.
	Size() (int64, error)

	// Truncate changes the length.
	Truncate(size int64) error

	// Allocate reserves room up to size without changing what is read or
	// the length. It is only a hint: where the file system cannot do that,
	// it does nothing and returns nil; a full disk is an error.
	Allocate(size int64) error
}

// LockedError says that another process, or another part of this one, has a
// lock.
type LockedError struct {
	Name   string
	Holder string // what the holder wrote, such as its pid; may be empty
}

func (e *LockedError) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("%s is locked by another process", e.Name)
	}
	return fmt.Sprintf("%s is locked by %s", e.Name, e.Holder)
}

// Discard removes a file, if there is one. Durable after SyncDir.
func Discard(fsys FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ReadFile reads a whole file of at most limit bytes.
func ReadFile(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d it may have", name, size, limit)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// TempSuffix ends the names of files that are not finished. Whoever owns the
// directory removes them when it is opened for writing.
const TempSuffix = ".tmp"

// WriteFileAtomic writes a whole file: a crash leaves what was there before or
// the new content, nothing between.
func WriteFileAtomic(fsys FS, name string, content []byte) error {
	return ReplaceFile(fsys, name, name+TempSuffix, content)
}

// ReplaceFile is WriteFileAtomic with the name of the file that is not finished, for
// those that several processes write.
func ReplaceFile(fsys FS, name, temp string, content []byte) error {
	if err := fsys.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		return errors.Join(err, f.Close(), fsys.Remove(temp))
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close(), fsys.Remove(temp))
	}
	if err := f.Close(); err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	// A crash here leaves the temporary file beside the old one.
	if err := fsys.Rename(temp, name); err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	return fsys.SyncDir(filepath.Dir(name))
}
