package benchmark

import (
	"crypto/sha256"
	"errors"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/custodylog/custody/internal/vfs"
)

// RawLimit measures what the disk and one processor allow at best: commits
// times, bytesPerCommit bytes are hashed with SHA-256, written at the end of a
// fresh file in dir and made durable (fdatasync on Linux). It returns how long
// that took. The file is removed.
func RawLimit(dir string, bytesPerCommit, commits int) (elapsed time.Duration, err error) {
	name := filepath.Join(dir, "raw-limit")
	f, err := vfs.OS{}.Create(name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(name)) }()
	b := make([]byte, bytesPerCommit)
	for i := range b {
		b[i] = byte(mix(uint64(i)))
	}
	start := time.Now()
	for i := range commits {
		sum := sha256.Sum256(b)
		copy(b, sum[:]) // so that no two commits are the same
		if _, err := f.WriteAt(b, int64(i)*int64(len(b))); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// Raw says what is written at the raw limit.
type Raw struct {
	EventsPerCommit float64
	BytesPerEvent   float64
}

// maxRawFile bounds the file that the raw limit is measured with.
const maxRawFile = 1 << 30

// Rate measures the raw limit in dir for about as long as given, or until the
// file is large, and returns events per second.
func (r Raw) Rate(dir string, long time.Duration) (float64, error) {
	size := max(1, int(math.Round(r.EventsPerCommit*r.BytesPerEvent)))
	most := max(1, maxRawFile/size)
	for n := min(8, most); ; {
		elapsed, err := RawLimit(dir, size, n)
		if err != nil {
			return 0, err
		}
		if elapsed >= long/2 || n == most {
			return float64(n) * r.EventsPerCommit / elapsed.Seconds(), nil
		}
		n = min(most, max(2*n, int(float64(n)*float64(long)/float64(elapsed))))
	}
}
