//go:build !(darwin || dragonfly || freebsd || linux)

package spool

import "io/fs"

// isPrivate leaves it to the rights that a directory gets from the one above it.
func isPrivate(dir fs.FileInfo) bool { return dir.IsDir() }
