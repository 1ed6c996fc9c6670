package vfs

import (
	"errors"
	"os"
	"syscall"
)

// datasync also syncs the length, but not the times (fdatasync(2)).
func datasync(f *os.File) error {
	return control(f, "fdatasync", func(fd uintptr) error {
		return uninterrupted(func() error { return syscall.Fdatasync(int(fd)) })
	})
}

const fallocKeepSize = 0x1 // FALLOC_FL_KEEP_SIZE

func allocate(f *os.File, size int64) error {
	if size <= 0 {
		return nil
	}
	err := control(f, "fallocate", func(fd uintptr) error {
		return uninterrupted(func() error { return syscall.Fallocate(int(fd), fallocKeepSize, 0, size) })
	})
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

// blockSize returns the unit of the block counts, which is the fragment size
// where the file system has one.
func blockSize(s *syscall.Statfs_t) uint64 {
	if s.Frsize > 0 {
		return uint64(s.Frsize)
	}
	return uint64(s.Bsize)
}
