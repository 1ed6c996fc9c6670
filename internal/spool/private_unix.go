//go:build darwin || dragonfly || freebsd || linux

package spool

import (
	"io/fs"
	"os"
	"syscall"
)

func isPrivate(dir fs.FileInfo) bool {
	s, ok := dir.Sys().(*syscall.Stat_t)
	return ok && dir.IsDir() && int(s.Uid) == os.Geteuid() && dir.Mode().Perm()&0o077 == 0
}
