//go:build darwin || dragonfly || freebsd || linux

package vfs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/custodylog/custody/internal/vfs"
)

func TestModes(t *testing.T) {
	old := syscall.Umask(0) // so that what is seen is what was asked for
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "x", "y")
	must(t, vfs.OS{}.MkdirAll(dir))
	file, lockFile := filepath.Join(dir, "a"), filepath.Join(dir, "lock")
	write(t, vfs.OS{}, file, "")
	lock, err := vfs.OS{}.Lock(lockFile, "")
	must(t, err)
	must(t, lock.Close())
	for name, want := range map[string]fs.FileMode{
		file:              0o600,
		lockFile:          0o600,
		dir:               fs.ModeDir | 0o700,
		filepath.Dir(dir): fs.ModeDir | 0o700,
	} {
		info, err := os.Stat(name)
		must(t, err)
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
}
