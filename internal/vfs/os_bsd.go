//go:build darwin || dragonfly || freebsd

package vfs

import "syscall"

func blockSize(s *syscall.Statfs_t) uint64 { return uint64(s.Bsize) }
