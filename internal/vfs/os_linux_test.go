package vfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/custodylog/custody/internal/vfs"
)

// A file system that cannot reserve room must not be an error; one that can
// must have done so.
func TestAllocateReserves(t *testing.T) {
	const size = 1 << 20
	dir := t.TempDir()
	probe, err := os.Create(filepath.Join(dir, "probe"))
	must(t, err)
	defer probe.Close()
	supported := true
	if err := syscall.Fallocate(int(probe.Fd()), 1, 0, size); errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		supported = false
	} else {
		must(t, err)
	}

	name := filepath.Join(dir, "a")
	f, err := vfs.OS{}.Create(name)
	must(t, err)
	defer f.Close()
	must(t, f.Allocate(size))
	var s syscall.Stat_t
	must(t, syscall.Stat(name, &s))
	if s.Size != 0 {
		t.Errorf("the length is %d after Allocate", s.Size)
	}
	if reserved := s.Blocks * 512; supported && reserved < size {
		t.Errorf("%d bytes are reserved, want %d", reserved, size)
	}
}
