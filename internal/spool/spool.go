package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/custodylog/custody/internal/vfs"
)

// ErrNotPrivate says that others than the user may get at what is in a directory.
var ErrNotPrivate = errors.New("others may use the directory")

// ErrFull says that a spool has as much as it may have.
var ErrFull = errors.New("the spool is full")

// Options bound a spool. They count what was set aside, too, and several processes that
// append at the same moment may exceed them by what these append.
type Options struct {
	MaxBytes   int64 // of all files. Default: 256 MiB
	MaxRecords int   // Default: 50,000
}

// Spool is a spool in a directory. Its methods may be called from several goroutines,
// and by several processes.
type Spool struct {
	fsys vfs.FS
	dir  string
	opts Options
	now  func() time.Time
}

// New returns the spool in a directory, which is made when there is something to keep.
func New(fsys vfs.FS, dir string, o Options) *Spool {
	if o.MaxBytes == 0 {
		o.MaxBytes = 256 << 20
	}
	if o.MaxRecords == 0 {
		o.MaxRecords = 50_000
	}
	return &Spool{fsys: fsys, dir: dir, opts: o, now: time.Now}
}

// Dir returns the directory.
func (s *Spool) Dir() string { return s.dir }

// OpenPrivate returns the spool in a directory of the operating system, as [New] does. It
// fails with [ErrNotPrivate] where somebody else could read, change or make up what is in
// it: the directory is a link, or another user's, or others have rights to it.
func OpenPrivate(dir string, o Options) (*Spool, error) {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it is made for the user alone
	case err != nil:
		return nil, err
	case !isPrivate(info):
		return nil, fmt.Errorf("%s: %w; make it yours, with rights for nobody else (chmod 700), or name another one", dir, ErrNotPrivate)
	}
	return New(vfs.OS{}, dir, o), nil
}

// names returns what is in the directory.
func (s *Spool) names() ([]string, error) {
	names, err := s.fsys.List(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}

// Waiting returns how many records wait to be replayed.
func (s *Spool) Waiting() (int, error) { return s.count(waiting) }

// Aside returns how many records are set aside.
func (s *Spool) Aside() (int, error) { return s.count(aside) }

func (s *Spool) count(ending string) (n int, err error) {
	names, err := s.names()
	for _, name := range names {
		if _, _, ok := parseName(name); ok && strings.HasSuffix(name, ending) {
			n++
		}
	}
	return n, err
}

// Again has the records that were set aside wait once more, each at its old place.
func (s *Spool) Again() error {
	names, err := s.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		base, ok := strings.CutSuffix(name, aside)
		if _, _, known := parseName(name); !ok || !known {
			continue
		}
		if err := s.fsys.Rename(filepath.Join(s.dir, name), filepath.Join(s.dir, base+waiting)); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		return nil // there may be no directory
	}
	return s.fsys.SyncDir(s.dir)
}

// Append keeps a record: when it returns nil, the record is on the disk, and comes after
// all whose Append had returned before. It fails with [ErrFull] where the spool has no
// room for it. After another error the record may be kept or not.
func (s *Spool) Append(record []byte) error {
	content := encode(record)
	size := int64(len(content))
	if err := s.fsys.MkdirAll(s.dir); err != nil {
		return err
	}
	if _, err := s.next(size); err != nil {
		return err
	}
	unique := rand.Text()
	temp := filepath.Join(s.dir, strconv.FormatInt(s.now().Unix(), 10)+"-"+unique+vfs.TempSuffix)
	if err := s.write(temp, content); err != nil {
		return errors.Join(err, vfs.Discard(s.fsys, temp))
	}
	number, err := s.next(size)
	if err == nil {
		err = s.fsys.Rename(temp, filepath.Join(s.dir, nameOf(number, size, unique)+waiting))
	}
	if err != nil {
		return errors.Join(err, vfs.Discard(s.fsys, temp))
	}
	return s.fsys.SyncDir(s.dir)
}

// next returns the number that comes after those of all records, where there is room
// for a file of that size.
func (s *Spool) next(size int64) (number uint64, err error) {
	names, err := s.names()
	if err != nil {
		return 0, err
	}
	records, total := 0, size
	for _, name := range names {
		if n, have, ok := parseName(name); ok {
			records++
			number = max(number, n)
			total += min(have, s.opts.MaxBytes)
		}
	}
	if records >= s.opts.MaxRecords || total > s.opts.MaxBytes {
		return 0, fmt.Errorf("%s: %w: it has %d records, and may have %d, and %d bytes with this one of %d; what waits has to be replayed, and what was set aside moved away", s.dir, ErrFull, records, s.opts.MaxRecords, s.opts.MaxBytes, size)
	}
	return number + 1, nil
}

func (s *Spool) write(name string, content []byte) error {
	f, err := s.fsys.Create(name)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(content, 0); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Replayed is how a replay went.
type Replayed struct {
	Taken int     // records that were taken, and are not kept any more
	Aside []error // why records were set aside, each with the name of its file
	Torn  []string
}

// Bounds of what is handed out at a time.
const (
	batchRecords = 100
	batchBytes   = 4 << 20
)

// tornAfter is after how long a file is taken for one that nobody is writing any more.
const tornAfter = time.Hour

// lockFile keeps replays apart.
const lockFile = "replay.lock"

// Replay hands out the records in the order in which they were appended, until none is
// left, also of those that are appended meanwhile. take is given some, and says of as
// many of them as it has judged whether they are taken: one that is is dropped. One with
// an error is not taken as things are; it is set aside, in a file that Replay does not
// look at until [Spool.Again], as is one that does not check out. An error of take itself
// ends the replay, and is returned; what was not judged then stays.
//
// It fails with a *[vfs.LockedError] when somebody else replays at the moment.
//
// What a crash left half-written was never acknowledged. It is removed an hour after it
// was begun, and its name is in Torn.
func (s *Spool) Replay(take func(records [][]byte) (judged []error, err error)) (r Replayed, err error) {
	if n, err := s.Waiting(); err != nil || n == 0 {
		return r, err
	}
	lock, err := s.fsys.Lock(filepath.Join(s.dir, lockFile), "process "+strconv.Itoa(os.Getpid()))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.fsys.SyncDir(s.dir), lock.Close()) }()
	if err := s.removeTorn(&r); err != nil {
		return r, err
	}
	for {
		names, err := s.names()
		if err != nil {
			return r, err
		}
		names = slices.DeleteFunc(names, func(name string) bool {
			_, _, ok := parseName(name)
			return !ok || !strings.HasSuffix(name, waiting)
		})
		if len(names) == 0 {
			return r, nil
		}
		for len(names) > 0 {
			var n int
			if n, err = s.replay(names, take, &r); err != nil {
				return r, err
			}
			names = names[n:]
		}
	}
}

// replay hands out the first of the records, and returns how many were dealt with.
func (s *Spool) replay(names []string, take func([][]byte) ([]error, error), r *Replayed) (int, error) {
	var records [][]byte
	var of []string
	n, total := 0, 0
	for ; n < len(names) && len(records) < batchRecords && total < batchBytes; n++ {
		record, bad, err := s.read(names[n])
		if err != nil {
			return 0, err
		}
		if bad != nil {
			if err := s.setAside(names[n], bad, r); err != nil {
				return 0, err
			}
			continue
		}
		records, of, total = append(records, record), append(of, names[n]), total+len(record)
	}
	if len(records) == 0 {
		return n, nil
	}
	judged, terr := take(records)
	for i, bad := range judged[:min(len(judged), len(of))] {
		var err error
		if bad != nil {
			err = s.setAside(of[i], bad, r)
		} else if err = s.fsys.Remove(filepath.Join(s.dir, of[i])); err == nil {
			r.Taken++
		}
		if err != nil {
			return 0, err
		}
	}
	if terr == nil && len(judged) != len(records) {
		terr = fmt.Errorf("of %d records %d were judged", len(records), len(judged))
	}
	return n, terr
}

// read reads a record. bad says why it does not check out.
func (s *Spool) read(name string) (record []byte, bad, err error) {
	file, err := vfs.ReadFile(s.fsys, filepath.Join(s.dir, name), s.opts.MaxBytes)
	if err != nil {
		return nil, nil, err
	}
	record, bad = Parse(file)
	if errors.Is(bad, ErrNewer) { // who wrote it will read it
		return nil, nil, fmt.Errorf("%s: %w; replay it with that version", filepath.Join(s.dir, name), bad)
	}
	return record, bad, nil
}

func (s *Spool) setAside(name string, why error, r *Replayed) error {
	to := filepath.Join(s.dir, strings.TrimSuffix(name, waiting)+aside)
	if err := s.fsys.Rename(filepath.Join(s.dir, name), to); err != nil {
		return err
	}
	r.Aside = append(r.Aside, fmt.Errorf("%s: %w", to, why))
	return nil
}

// removeTorn removes what a crash left of records that were being written.
func (s *Spool) removeTorn(r *Replayed) error {
	names, err := s.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		begun, _, _ := strings.Cut(name, "-")
		at, err := strconv.ParseInt(begun, 10, 64)
		if err != nil || !strings.HasSuffix(name, vfs.TempSuffix) || s.now().Sub(time.Unix(at, 0)).Abs() < tornAfter {
			continue
		}
		if err := vfs.Discard(s.fsys, filepath.Join(s.dir, name)); err != nil {
			return err
		}
		r.Torn = append(r.Torn, name)
	}
	return nil
}
