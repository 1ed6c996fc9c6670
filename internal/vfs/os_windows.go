package vfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"unsafe"
)

var (
	kernel32            = syscall.NewLazyDLL("kernel32.dll")
	lockFileEx          = kernel32.NewProc("LockFileEx")
	unlockFileEx        = kernel32.NewProc("UnlockFileEx")
	getDiskFreeSpaceExW = kernel32.NewProc("GetDiskFreeSpaceExW")
)

const (
	lockfileFailImmediately = 0x1
	lockfileExclusiveLock   = 0x2
	errorLockViolation      = syscall.Errno(33)
)

// lockPlace is the one byte that is locked. It lies far behind the holder's
// text, since nobody else can read what is locked.
var lockPlace = syscall.Overlapped{OffsetHigh: 1 << 30}

// syncDir only looks for the directory: Windows cannot sync one.
func syncDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "sync", Path: dir, Err: syscall.ENOTDIR}
	}
	return err
}

// tryLock returns false when another open file has the lock.
func tryLock(f *os.File) (taken bool, err error) {
	err = control(f, "lock", func(fd uintptr) error {
		place := lockPlace
		ok, _, err := lockFileEx.Call(fd, lockfileExclusiveLock|lockfileFailImmediately, 0, 1, 0, uintptr(unsafe.Pointer(&place)))
		return callError(ok, err)
	})
	if errors.Is(err, errorLockViolation) {
		return false, nil
	}
	return err == nil, err
}

func unlock(f *os.File) error {
	return control(f, "unlock", func(fd uintptr) error {
		place := lockPlace
		ok, _, err := unlockFileEx.Call(fd, 0, 1, 0, uintptr(unsafe.Pointer(&place)))
		return callError(ok, err)
	})
}

func freeSpace(dir string) (free, total uint64, err error) {
	name, err := syscall.UTF16PtrFromString(dir)
	if err == nil {
		var ok uintptr
		ok, _, err = getDiskFreeSpaceExW.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&free)), uintptr(unsafe.Pointer(&total)), 0)
		err = callError(ok, err)
	}
	if err != nil {
		return 0, 0, &fs.PathError{Op: "GetDiskFreeSpaceEx", Path: dir, Err: err}
	}
	return free, total, nil
}

// callError returns the error of a call, which Windows sets only when the
// result is FALSE.
func callError(result uintptr, err error) error {
	if result != 0 {
		return nil
	}
	return err
}
