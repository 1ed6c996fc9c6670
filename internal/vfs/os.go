package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// OS is the file system of the operating system: Linux, macOS, FreeBSD,
// DragonFly BSD and Windows.
//
// A Sync is fdatasync on Linux, F_FULLFSYNC on macOS and fsync or its like
// elsewhere. Room is reserved on Linux only. Windows has no way to sync a
// directory; there SyncDir does nothing, and what a rename leaves after power
// loss is up to NTFS, which keeps a journal of its own.
type OS struct{}

// Create implements [FS].
func (OS) Create(name string) (File, error) {
	return openFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open implements [FS].
func (OS) Open(name string) (File, error) { return openFile(name, os.O_RDONLY) }

// OpenWrite implements [FS].
func (OS) OpenWrite(name string) (File, error) { return openFile(name, os.O_RDWR) }

func openFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Rename implements [FS].
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements [FS].
func (OS) Remove(name string) error { return os.Remove(name) }

// MkdirAll implements [FS].
func (OS) MkdirAll(dir string) error {
	var above []string // the directories that get a new name
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || !errors.Is(err, fs.ErrNotExist) || d == filepath.Dir(d) {
			break
		}
		above = append(above, filepath.Dir(d))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range above {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	return nil
}

// List implements [FS].
func (OS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Size implements [FS].
func (OS) Size(name string) (int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// SyncDir implements [FS].
func (OS) SyncDir(dir string) error { return syncDir(dir) }

// Lock implements [FS]. The lock is flock(2) or LockFileEx: it belongs to the
// open file, so it also keeps out another opener in the same process, and the
// kernel releases it when the process ends.
func (OS) Lock(name, holder string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	taken, err := tryLock(f)
	switch {
	case err != nil:
	case !taken:
		err = lockedError(f)
	default:
		err = writeHolder(f, holder)
	}
	if err != nil {
		f.Close() // also gives the lock up
		return nil, err
	}
	return osLock{f}, nil
}

// maxHolder bounds what is read from a lock file, in bytes.
const maxHolder = 4096

func lockedError(f *os.File) error {
	holder, err := io.ReadAll(io.LimitReader(f, maxHolder))
	if err != nil {
		return err
	}
	return &LockedError{Name: f.Name(), Holder: string(holder)}
}

// writeHolder replaces the text in a lock file. It cuts the file last, so that
// a full disk does not stand in the way once the file has a block.
func writeHolder(f *os.File, holder string) error {
	if _, err := f.WriteAt([]byte(holder), 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(holder)))
}

// Free implements [FS]. It counts what an unprivileged process may use.
func (OS) Free(dir string) (free, total uint64, err error) { return freeSpace(dir) }

// osFile is a File of [OS]; what it does not define is that of *os.File.
type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Sync() error { return datasync(f.File) }

func (f osFile) Allocate(size int64) error { return allocate(f.File, size) }

type osLock struct{ file *os.File }

// Close unlocks before it closes: a child process that is just being started
// may share the open file for a moment and would keep the lock.
func (l osLock) Close() error { return errors.Join(unlock(l.file), l.file.Close()) }

// control calls fn with the file's descriptor, which stays open meanwhile, and
// adds the file's name to its error.
func control(f *os.File, op string, fn func(fd uintptr) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return &fs.PathError{Op: op, Path: f.Name(), Err: err}
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = fn(fd) }); err != nil {
		failed = fs.ErrClosed // the only reason that Control has
	}
	if failed != nil {
		return &fs.PathError{Op: op, Path: f.Name(), Err: failed}
	}
	return nil
}
