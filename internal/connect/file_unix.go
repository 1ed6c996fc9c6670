//go:build darwin || dragonfly || freebsd || linux

package connect

import (
	"io/fs"
	"os"
	"syscall"
)

// nonBlocking has nobody wait for the other end of a pipe.
const nonBlocking = syscall.O_NONBLOCK

// keepOwner gives a file the owner and the group of another one, since root, too, changes
// settings that are somebody's, and returns the permissions that it is to have. Only root
// gives a file to a group that the user is not in: then it stays in one that may do what
// others may.
func keepOwner(f *os.File, like fs.FileInfo) (fs.FileMode, error) {
	mode := like.Mode().Perm()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	is, ok := info.Sys().(*syscall.Stat_t)
	to, also := like.Sys().(*syscall.Stat_t)
	if !ok || !also || is.Uid == to.Uid && is.Gid == to.Gid {
		return mode, nil
	}
	err = f.Chown(int(to.Uid), int(to.Gid))
	if err != nil && is.Uid == to.Uid {
		return mode&^0o070 | mode&0o007<<3, nil
	}
	return mode, err
}
