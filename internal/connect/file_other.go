//go:build !(darwin || dragonfly || freebsd || linux)

package connect

import (
	"io/fs"
	"os"
)

const nonBlocking = 0

// keepOwner returns the permissions of the other file: a file gets the owner of its
// directory.
func keepOwner(_ *os.File, like fs.FileInfo) (fs.FileMode, error) { return like.Mode().Perm(), nil }
