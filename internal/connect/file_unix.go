//go:build darwin || dragonfly || freebsd || linux

package connect

import (
	"io/fs"
	"os"
	"syscall"
)

// nonBlocking has nobody wait for the other end of a pipe.
const nonBlocking = syscall.O_NONBLOCK

// keepOwner gives a file the owner and the group of another one: root, too, changes
// settings that are somebody's.
func keepOwner(f *os.File, like fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	is, ok := info.Sys().(*syscall.Stat_t)
	to, also := like.Sys().(*syscall.Stat_t)
	if !ok || !also || is.Uid == to.Uid && is.Gid == to.Gid {
		return nil
	}
	return f.Chown(int(to.Uid), int(to.Gid))
}
