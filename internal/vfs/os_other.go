//go:build !linux

package vfs

import "os"

func datasync(f *os.File) error { return f.Sync() }

// allocate does nothing: not every system can reserve room behind the end.
func allocate(*os.File, int64) error { return nil }
