// Package statefile reads and locks the JSON files in which a server keeps what it has
// to know when it starts again. Each says its format, and is replaced whole
// (vfs.WriteFileAtomic).
package statefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/custodylog/custody/internal/vfs"
)

// Decode reads the content of a file into v. Its member format has to be the one given;
// members that v does not have are errors. Errors say which line it is, where that is
// known.
func Decode(content []byte, format int, v any) error { return DecodeSince(content, format, format, v) }

// DecodeSince is Decode of a file that may have an older format, from oldest on, too.
// Members that came later are left as they are in v then.
func DecodeSince(content []byte, oldest, format int, v any) error {
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(content, &version); err != nil {
		return located(content, err)
	}
	known := strconv.Itoa(format)
	if oldest < format {
		known = fmt.Sprintf("%d to %d", oldest, format)
	}
	if version.Format > format {
		return fmt.Errorf("a newer version of this program wrote it: it says format %d, and this program reads %s", version.Format, known)
	}
	if version.Format < oldest {
		return fmt.Errorf("format: %d; expected %s", version.Format, known)
	}
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.DisallowUnknownFields()
	return located(content, dec.Decode(v))
}

// located adds to an error of package json where in the file it is, if that is known.
func located(content []byte, err error) error {
	var at int64
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = e.Offset
	} else if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		at = e.Offset
	} else {
		return err // an unknown member, which it names, or a time, which it shows
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(content[:min(at, int64(len(content)))], []byte("\n")), err)
}

const (
	// LockSuffix is what the name of the lock of a file has more than its own.
	LockSuffix = ".lock"

	// LockWait is how long somebody else may be changing a file.
	LockWait = 5 * time.Second

	lockRetry = 10 * time.Millisecond // how often it is tried meanwhile
)

// Lock takes the lock on the file with that name, which another process, and this one
// alike, hold for a moment only. It waits that long; then the error is a
// *vfs.LockedError.
func Lock(fsys vfs.FS, name string, wait time.Duration) (io.Closer, error) {
	for until := time.Now().Add(wait); ; time.Sleep(lockRetry) {
		lock, err := fsys.Lock(name+LockSuffix, fmt.Sprintf("process %d", os.Getpid()))
		if _, locked := errors.AsType[*vfs.LockedError](err); !locked || !time.Now().Before(until) {
			return lock, err
		}
	}
}
