//go:build darwin || dragonfly || freebsd || linux

package vfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// tryLock returns false when another open file has the lock.
func tryLock(f *os.File) (taken bool, err error) {
	err = flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func unlock(f *os.File) error { return flock(f, syscall.LOCK_UN) }

func flock(f *os.File, how int) error {
	return control(f, "flock", func(fd uintptr) error {
		return uninterrupted(func() error { return syscall.Flock(int(fd), how) })
	})
}

func freeSpace(dir string) (free, total uint64, err error) {
	var s syscall.Statfs_t
	if err := uninterrupted(func() error { return syscall.Statfs(dir, &s) }); err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	// Some systems count below zero when only root may still write.
	available := max(0, int64(s.Bavail))
	return uint64(available) * blockSize(&s), uint64(s.Blocks) * blockSize(&s), nil
}

// uninterrupted repeats a system call that a signal interrupted.
func uninterrupted(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}
