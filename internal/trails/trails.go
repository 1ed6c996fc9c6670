// Package trails holds the trails of a data directory open for writing:
//
//	DIR/lock           taken by the process that has them open
//	DIR/keys/          signing keys
//	DIR/trails/NAME/   one trail each
//
// Two are there from the first start on: [Default], and [System], which the server
// records in what concerns itself.
package trails

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/vfs"
)

// The trails that every data directory has.
const (
	Default = "default"
	System  = "system"
)

// Errors that callers branch on. They are always wrapped.
var (
	ErrNotFound = errors.New("there is no such trail")
	ErrExists   = errors.New("there is a trail of that name already")
	ErrName     = errors.New("not a name for a trail")
	ErrClosed   = errors.New("the trails were closed")
)

// Config says where the trails are and how they are opened.
type Config struct {
	Dir string // data directory; it is made if need be

	// Origin begins the origin of every new trail, which is Origin/NAME: a host
	// name that the operator controls, perhaps with a path. Default: the name of
	// the machine.
	Origin string

	// Options is how each trail is opened. KeyDir and ReadOnly are set here.
	Options custody.Options
}

// Trail is a trail of the set.
type Trail struct {
	*custody.Trail
	Name string

	// Err, if not nil, is why the trail is open for reading only: it does not
	// check out, or its key is missing.
	Err error

	place os.FileInfo // of its directory, when it was opened
	seen  atomic.Pointer[sight]
}

// Set is the trails of a data directory. Its methods may be called from several
// goroutines.
type Set struct {
	cfg  Config
	fs   vfs.FS
	lock interface{ Close() error }

	mu     sync.RWMutex
	trails map[string]*Trail // guarded by mu; nil once closed

	creating   sync.Mutex           // held while a trail is made
	attendants []func(*Trail) error // guarded by creating
}

// Open opens all trails of a data directory, and makes what is not there yet. It
// fails with a *custody.LockedError when another process has them open. A trail that
// cannot be opened for writing is opened for reading, with [Trail.Err] set.
func Open(cfg Config) (_ *Set, err error) {
	if cfg.Origin == "" {
		cfg.Origin = machine()
	}
	s := &Set{cfg: cfg, fs: vfs.OS{}, trails: map[string]*Trail{}}
	s.cfg.Options.KeyDir = filepath.Join(cfg.Dir, "keys")
	s.cfg.Options.ReadOnly = false
	if err := s.fs.MkdirAll(s.dir("")); err != nil {
		return nil, err
	}
	if s.lock, err = s.fs.Lock(filepath.Join(cfg.Dir, "lock"), fmt.Sprintf("pid %d on %s", os.Getpid(), machine())); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	names, err := s.fs.List(s.dir(""))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !ValidName(name) {
			s.log().Warn("custody: not a trail, so it is left alone", "path", s.dir(name))
			continue
		}
		t, err := s.open(name)
		if errors.Is(err, custody.ErrNotFound) {
			s.log().Warn("custody: no trail is in this directory; a crash may have cut its making short, and making it again finishes it", "path", s.dir(name))
			continue
		} else if err != nil {
			return nil, fmt.Errorf("trail %s: %w", name, err)
		}
		s.trails[name] = t
	}
	for _, name := range []string{Default, System} {
		if _, err := s.Create(name); err != nil && !errors.Is(err, ErrExists) {
			return nil, fmt.Errorf("trail %s: %w", name, err)
		}
	}
	return s, nil
}

func (s *Set) dir(name string) string { return filepath.Join(s.cfg.Dir, "trails", name) }

func (s *Set) log() *slog.Logger {
	if s.cfg.Options.Logger != nil {
		return s.cfg.Options.Logger
	}
	return slog.Default()
}

// open opens a trail, for reading only where writing has to be refused.
func (s *Set) open(name string) (*Trail, error) {
	opts := s.cfg.Options
	t, err := custody.Open(s.dir(name), &opts)
	if err == nil {
		return newTrail(name, t, nil)
	}
	if !errors.Is(err, custody.ErrDamaged) && !errors.Is(err, custody.ErrKey) && !errors.Is(err, custody.ErrRolledBack) {
		return nil, err
	}
	s.log().Error("custody: a trail is open for reading only", "trail", name, "err", err)
	opts.ReadOnly = true
	t, rerr := custody.Open(s.dir(name), &opts)
	if rerr != nil {
		return nil, errors.Join(err, rerr)
	}
	return newTrail(name, t, err)
}

// Create makes a new trail, with a new key. It fails with [ErrName] and [ErrExists].
func (s *Set) Create(name string) (*Trail, error) {
	if !ValidName(name) {
		return nil, fmt.Errorf("%w: %q; it takes 1 to %d of a-z, 0-9, '-' and '_', and begins with a letter or digit", ErrName, name, maxName)
	}
	s.creating.Lock()
	defer s.creating.Unlock()
	if _, err := s.Get(name); err == nil {
		return nil, fmt.Errorf("%s: %w", name, ErrExists)
	} else if errors.Is(err, ErrClosed) {
		return nil, err
	}
	if _, err := custody.Create(s.dir(name), custody.CreateOptions{Origin: s.cfg.Origin + "/" + name, KeyDir: s.cfg.Options.KeyDir}); err != nil {
		return nil, err
	}
	t, err := s.open(name)
	if err != nil {
		return nil, err
	}
	for _, attend := range s.attendants {
		if err := attend(t); err != nil {
			return nil, errors.Join(fmt.Errorf("trail %s: %w", name, err), t.Close())
		}
	}
	s.mu.Lock()
	closed := s.trails == nil
	if !closed {
		s.trails[name] = t
	}
	s.mu.Unlock()
	if closed {
		return nil, errors.Join(ErrClosed, t.Close())
	}
	return t, nil
}

// Attend calls f for every trail that there is, and for each that is made later before
// it can be used. It returns the first error of f; one for a new trail fails its making.
func (s *Set) Attend(f func(*Trail) error) error {
	s.creating.Lock()
	defer s.creating.Unlock()
	for _, t := range s.List() {
		if err := f(t); err != nil {
			return fmt.Errorf("trail %s: %w", t.Name, err)
		}
	}
	s.attendants = append(s.attendants, f)
	return nil
}

// Get returns a trail. It fails with [ErrNotFound].
func (s *Set) Get(name string) (*Trail, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.trails == nil {
		return nil, ErrClosed
	}
	t, ok := s.trails[name]
	if !ok {
		return nil, fmt.Errorf("%q: %w", name, ErrNotFound)
	}
	return t, nil
}

// List returns all trails, by name.
func (s *Set) List() []*Trail {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*Trail, 0, len(s.trails))
	for _, name := range slices.Sorted(maps.Keys(s.trails)) {
		all = append(all, s.trails[name])
	}
	return all
}

// Dir returns the data directory.
func (s *Set) Dir() string { return s.cfg.Dir }

// Free returns how many bytes can be written below the data directory, and how many
// its file system has altogether.
func (s *Set) Free() (free, total uint64, err error) { return s.fs.Free(s.cfg.Dir) }

// Close writes what the trails have accepted and closes them all, [System] last.
func (s *Set) Close() error {
	s.mu.Lock()
	all := s.trails
	s.trails = nil
	s.mu.Unlock()
	if all == nil {
		return nil
	}
	var errs []error
	last := all[System]
	delete(all, System)
	for _, t := range all {
		if err := t.Close(); err != nil {
			errs = append(errs, fmt.Errorf("trail %s: %w", t.Name, err))
		}
	}
	if last != nil {
		errs = append(errs, last.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

const maxName = 63

// ValidName reports whether a trail may have that name: it stands in paths and
// addresses.
func ValidName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || i > 0 && (c == '-' || c == '_')) {
			return false
		}
	}
	return true
}

// machine returns the name of the machine, as it can stand in an origin.
func machine() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "localhost"
	}
	return strings.Map(func(r rune) rune {
		if r == '+' || unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar {
			return '-'
		}
		return r
	}, host)
}
