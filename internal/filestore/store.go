package filestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/index"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs"
)

// Options says how a store is opened. Extract is required.
type Options struct {
	// ReadOnly opens without the lock: beside a writer, and whatever state
	// the files are in.
	ReadOnly bool

	// Extract takes the keys out of a payload, to build an index again.
	Extract storage.Extract

	// OnProblem is told what went wrong in the background, where no caller
	// waits for an error. May be nil. It must not call the store.
	OnProblem func(error)

	// OnSpace is told now and then how much room is left on the disk. May
	// be nil. It must not call the store.
	OnSpace func(free, total uint64)

	upkeep   time.Duration // for tests; 0: upkeepInterval
	patience time.Duration // for tests; 0: see there
}

// Recovery is what opening for writing had to cut off: the end of a write that
// a crash cut short. Nothing in it was ever acknowledged.
type Recovery struct {
	Size  uint64 // entries that remain
	Bytes int64  // bytes cut off; 0: nothing
	File  string
}

// Store is a trail in a directory. It implements storage.Store.
type Store struct {
	fsys vfs.FS
	dir  string
	opts Options
	meta Meta
	lock io.Closer

	metaErr error // why meta is empty

	// view is what readers see. It is replaced, never changed, under viewMu.
	view   atomic.Pointer[view]
	viewMu sync.Mutex
	filter index.Filter

	recovery Recovery

	// appending is held by Append, and while the tails are replaced.
	appending sync.Mutex
	frame     []byte          // guarded by appending
	places    []segment.Place // guarded by appending
	recent    recent
	committed committed
	allocated int64 // guarded by appending: of the tail that is appended to

	sealingOne sync.Mutex // held while a tail is sealed, or a file is replaced; taken after appending
	removing   sync.Mutex // held by RemovePayloads; taken before the other two

	removals atomic.Int64 // changed under viewMu: length of the file of removals, when a reader opened or refreshed

	failed atomic.Pointer[error] // set once; the store takes no more

	spare atomic.Pointer[memory] // of a tail that was given up, for the next one

	changedMu sync.Mutex
	changed   chan struct{} // guarded by changedMu; nil: nobody waits
	polling   bool          // guarded by changedMu; the goroutine poll runs

	background sync.WaitGroup
	sealing    chan struct{}         // holds a value when there may be a tail to seal
	sealed     chan struct{}         // holds a value when a tail was sealed, or could not be
	sealErr    atomic.Pointer[error] // how that ended the last time
	stop       chan struct{}         // closed by Close
	closeOnce  sync.Once
	closeErr   error
}

// view is one state of the trail's files. What it points to changes on its own,
// the view does not.
type view struct {
	// sealed holds the segments; number n begins at n*segment.Entries. One
	// that is missing or cannot be read has its err set.
	sealed []*sealed
	// tails follow them. All but the last are full. A store that is open
	// for writing appends to the last one.
	tails []*tail
}

func (v *view) size() uint64 {
	if n := len(v.tails); n > 0 {
		return v.tails[n-1].first + uint64(v.tails[n-1].count.Load())
	}
	return uint64(len(v.sealed)) * segment.Entries
}

func (v *view) close() error {
	var errs []error
	for _, seg := range v.sealed {
		errs = append(errs, seg.close())
	}
	for _, t := range v.tails {
		errs = append(errs, t.file.Close())
	}
	return errors.Join(errs...)
}

// part returns the segment or the tail that holds the entries from
// n*segment.Entries on; both are nil when there is none.
func (v *view) part(n uint64) (*sealed, *tail) {
	if n < uint64(len(v.sealed)) {
		return v.sealed[n], nil
	}
	for _, t := range v.tails {
		if t.first == n*segment.Entries {
			return nil, t
		}
	}
	return nil, nil
}

// Open opens the trail in dir. For writing it takes the lock, finishes what a
// crash left unfinished, and refuses with storage.ErrNoRecover what a crash
// cannot explain. For reading it takes the files as they are.
func Open(fsys vfs.FS, dir string, opts Options) (*Store, error) {
	meta, metaErr := ReadMeta(fsys, dir)
	if metaErr != nil && (!opts.ReadOnly || !hasEntries(fsys, dir, metaErr)) {
		if opts.ReadOnly {
			return nil, metaErr
		}
		return nil, noRecover(metaErr)
	}
	if opts.upkeep == 0 {
		opts.upkeep = upkeepInterval
	}
	if opts.patience == 0 {
		opts.patience = patience
	}
	s := &Store{fsys: fsys, dir: dir, opts: opts, meta: meta, metaErr: metaErr,
		sealing: make(chan struct{}, 1), sealed: make(chan struct{}, 1), stop: make(chan struct{})}
	var err error
	if !opts.ReadOnly {
		if s.lock, err = fsys.Lock(filepath.Join(dir, lockName), fmt.Sprintf("process %d", os.Getpid())); err != nil {
			return nil, err
		}
	}
	s.removals.Store(s.countRemovals())
	l, err := s.load()
	for attempt := 0; errors.Is(err, errGone) && attempt < 10; attempt++ {
		// A writer sealed a tail just when it was to be opened for reading.
		s.closeFiles()
		l, err = s.load()
	}
	if err == nil && !opts.ReadOnly {
		err = s.recover(l)
	}
	if err != nil {
		s.closeFiles()
		return nil, err
	}
	s.background.Add(1)
	go s.loadFilters(s.view.Load().sealed)
	if !opts.ReadOnly {
		s.background.Add(1)
		go s.runBackground()
		s.signal(s.sealing)
	}
	return s, nil
}

// maxMissing bounds how many segments may be missing before one that is there.
// More are not looked for: its name is a mistake.
const maxMissing = 1 << 16

// load makes the first view out of what the directory holds.
func (s *Store) load() (listed, error) {
	v, l, err := s.loadView()
	s.view.Store(v)
	return l, err
}

// loadView makes a view out of what the directory holds. It is there with an error
// too, so that its files can be closed.
func (s *Store) loadView() (*view, listed, error) {
	v := &view{}
	l, err := list(s.fsys, s.dir)
	if err != nil {
		return v, l, err
	}
	segments := uint64(0)
	for n := uint64(len(l.segments)); n > 0 && segments == 0; n-- {
		if number := l.segments[n-1] / segment.Entries; number < n+maxMissing {
			segments = number + 1
		}
	}
	if segments == 0 && len(l.tails) > 0 {
		segments = min(l.tails[0]/segment.Entries, maxMissing) // should be 0; what is before is missing
	}
	tails := make(map[uint64]bool, len(l.tails))
	for _, first := range l.tails {
		tails[first] = true
	}
	there := make(map[uint64]bool, len(l.segments))
	for _, first := range l.segments {
		there[first] = true
	}
	for n := range segments {
		first := n * segment.Entries
		var seg *sealed
		if there[first] || !tails[first] {
			seg = s.openPart(first)
			if seg.err != nil && !errors.Is(seg.err, storage.ErrNewer) && tails[first] {
				seg.close() // the tail it was made from is still there
				seg = nil
			}
		}
		if seg == nil {
			break // the tails go on from here
		}
		v.sealed = append(v.sealed, seg)
	}
	for _, first := range l.tails {
		if first < uint64(len(v.sealed))*segment.Entries {
			continue // sealed already
		}
		t, err := s.openTail(first)
		if err != nil {
			return v, l, noRecover(err)
		}
		v.tails = append(v.tails, t)
	}
	return v, l, nil
}

// noRecover makes an error that tells of damage one that says what follows from
// it. What a newer version wrote, or could not be read just now, is no damage.
func noRecover(err error) error {
	if causeOf(err) != evidence.Altered {
		return err
	}
	return fmt.Errorf("%w: %w", storage.ErrNoRecover, err)
}

// openTail opens a tail. It returns errGone when a writer in another process
// gave it up meanwhile.
func (s *Store) openTail(first uint64) (*tail, error) {
	t, err := s.openTailFile(first)
	if s.opts.ReadOnly && (err != nil || !t.isOurs()) {
		if _, serr := s.fsys.Size(tailName(s.dir, first)); errors.Is(serr, fs.ErrNotExist) {
			if err == nil {
				err = t.file.Close()
			}
			return nil, errors.Join(errGone, err)
		}
	}
	return t, err
}

func (s *Store) openTailFile(first uint64) (*tail, error) {
	name := tailName(s.dir, first)
	open := s.fsys.OpenWrite
	if s.opts.ReadOnly {
		open = s.fsys.Open
	}
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	h, err := readHeader(name, first, file)
	switch {
	case s.opts.ReadOnly && errors.Is(err, storage.ErrNewer):
		return newTail(name, first, segment.Nonce{}, file, newMemory()), nil // what is in it cannot be told
	case s.opts.ReadOnly && errors.Is(err, storage.ErrAltered):
		h.Nonce, err = firstNonce(file), nil
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	t := newTail(name, first, h.Nonce, file, newMemory())
	t.ending, err = t.load(s.opts.Extract, !s.opts.ReadOnly)
	if s.opts.ReadOnly && (errors.Is(err, storage.ErrNewer) || err == nil && t.ending.kind == endDamaged) {
		err = t.salvage(s.opts.Extract)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return t, nil
}

// recover brings the files into the state in which Append goes on. It changes
// nothing before everything has been found to be in order.
func (s *Store) recover(l listed) error {
	v := s.view.Load()
	for n, seg := range v.sealed {
		if seg.err != nil {
			return noRecover(seg.err)
		}
		if seg.pruned != nil && n > 0 && v.sealed[n-1].pruned == nil {
			return fmt.Errorf("%w: %s: it was pruned, but the entries before it were not", storage.ErrNoRecover, seg.name)
		}
	}
	next := uint64(len(v.sealed)) * segment.Entries
	for i, t := range v.tails {
		last := i == len(v.tails)-1
		if t.first != next {
			return fmt.Errorf("%w: %s: the entries from %d to %d are missing before it", storage.ErrNoRecover, t.name, next, t.first-1)
		}
		if t.ending.kind == endDamaged || !last && t.count.Load() < segment.Entries {
			return fmt.Errorf("%w: %s: %s", storage.ErrNoRecover, t.name, t.ending.detail)
		}
		next += uint64(t.count.Load())
	}
	head := s.Head()
	newest, err := s.Checkpoint()
	if err != nil {
		return err
	}
	if newest != nil {
		if err := extends(&head, newest, true); err != nil {
			return fmt.Errorf("%w: its newest checkpoint: %w", storage.ErrNoRecover, err)
		}
	}
	anchors, err := s.Anchors()
	if err != nil {
		return err
	}
	for _, a := range anchors {
		if err := extends(&head, a, false); err != nil {
			return fmt.Errorf("%w: %s: %w", storage.ErrNoRecover, filepath.Join(s.dir, checkpointName), err)
		}
	}

	// All is in order: from here on files are changed. A copy may lack a
	// directory that is empty. What is seen may not be durable, if the writer
	// died between a rename and the sync of the directory; only once it is may
	// what it takes the place of go.
	for _, sub := range []string{tailDir, segmentDir} {
		if err := s.fsys.MkdirAll(filepath.Join(s.dir, sub)); err != nil {
			return err
		}
	}
	for _, sub := range []string{"", tailDir, segmentDir} {
		if err := s.fsys.SyncDir(filepath.Join(s.dir, sub)); err != nil {
			return err
		}
	}
	for _, name := range l.leftover {
		if err := vfs.Discard(s.fsys, name); err != nil {
			return err
		}
	}
	for _, first := range l.tails {
		if first < uint64(len(v.sealed))*segment.Entries {
			// A crash came between sealing it and giving it up.
			if err := s.fsys.Remove(tailName(s.dir, first)); err != nil {
				return err
			}
		}
	}
	unfinished, err := s.listAttached()
	if err != nil {
		return err
	}
	for _, name := range unfinished {
		if filepath.Ext(name) == vfs.TempSuffix {
			if err := vfs.Discard(s.fsys, filepath.Join(s.dir, attachedDir, name)); err != nil {
				return err
			}
		}
	}
	for _, name := range l.superseded(v) {
		// A crash came between pruning a segment and removing it.
		if err := vfs.Discard(s.fsys, name); err != nil {
			return err
		}
	}
	if n := len(v.tails); n > 0 {
		t := v.tails[n-1]
		s.allocated = t.end
		if t.ending.kind == endTorn {
			size, err := t.file.Size()
			if err != nil {
				return err
			}
			s.recovery = Recovery{Size: head.Tree.Size(), Bytes: size - t.end, File: t.name}
			// A crash before the sync leaves the torn end as it was.
			if err := t.file.Truncate(t.end); err != nil {
				return err
			}
		}
		// What was read may never have been synced: the writer may have died
		// between the write and the sync, and others have seen it since.
		if err := t.file.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// extends reports whether a checkpoint covers entries that the trail does not
// have, or, when whole is set, other entries than those of the trail.
func extends(head *storage.Head, signed []byte, whole bool) error {
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		return err
	}
	switch size := head.Tree.Size(); {
	case c.Size > size:
		return fmt.Errorf("it covers %d entries, but only %d are here: the end of the trail is gone", c.Size, size)
	case c.Size == size && c.Root != head.Tree.Root():
		return fmt.Errorf("it names another root for %d entries than they have", size)
	case whole && c.Size < size:
		return fmt.Errorf("it covers %d of %d entries", c.Size, size)
	}
	return nil
}

// Recovery returns what opening for writing cut off.
func (s *Store) Recovery() Recovery { return s.recovery }

// hasEntries reports whether entries can be read although what the directory says
// about the trail is damaged or missing.
func hasEntries(fsys vfs.FS, dir string, metaErr error) bool {
	if !errors.Is(metaErr, storage.ErrAltered) && !errors.Is(metaErr, storage.ErrNotFound) {
		return false
	}
	l, err := list(fsys, dir)
	return err == nil && len(l.segments)+len(l.tails) > 0
}

// MetaErr returns why Meta is empty, which it can be in a store that is open for
// reading.
func (s *Store) MetaErr() error { return s.metaErr }

// Meta returns what the directory says about the trail.
func (s *Store) Meta() Meta { return s.meta }

// Size implements storage.Store.
func (s *Store) Size() uint64 { return s.current().size() }

// current returns the view. A store that is open for reading first looks at
// what the writer has done since.
func (s *Store) current() *view {
	if s.opts.ReadOnly {
		s.refresh()
	}
	return s.view.Load()
}

// Anchors implements storage.Store: the checkpoint file.
func (s *Store) Anchors() ([][]byte, error) {
	file, err := s.fsys.Open(filepath.Join(s.dir, checkpointName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer file.Close()
	// One that is too long is cut, so that it is found to be none.
	b := make([]byte, evidence.MaxCheckpointSize+1)
	n, err := file.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return [][]byte{b[:n:n]}, nil
}

// Bytes implements storage.Store.
func (s *Store) Bytes() (int64, error) {
	total := int64(0)
	for _, sub := range []string{"", segmentDir, tailDir, attachedDir} {
		dir := filepath.Join(s.dir, sub)
		names, err := s.fsys.List(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a copy may lack a directory that is empty
		} else if err != nil {
			return 0, err
		}
		for _, name := range names {
			if sub == "" && (name == segmentDir || name == tailDir || name == attachedDir) {
				continue
			}
			n, err := s.fsys.Size(filepath.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue // moved meanwhile
			} else if err != nil {
				return 0, err
			}
			total += n
		}
	}
	return total, nil
}

// Failed returns why the store takes no further batch, or nil.
func (s *Store) Failed() error {
	if p := s.failed.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *Store) fail(err error) error {
	s.failed.CompareAndSwap(nil, &err)
	return err
}

func (s *Store) problem(err error) {
	if s.opts.OnProblem != nil && err != nil {
		s.opts.OnProblem(err)
	}
}

func (s *Store) signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Changed implements storage.Store.
func (s *Store) Changed(size uint64) <-chan struct{} {
	s.changedMu.Lock()
	defer s.changedMu.Unlock()
	select {
	case <-s.stop:
		return s.stop
	default:
	}
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	c := s.changed
	if now := s.Size(); now > size {
		s.announceLocked()
	} else if s.opts.ReadOnly && !s.polling {
		s.polling = true
		s.background.Add(1)
		go s.poll(now)
	}
	return c
}

// announce wakes those who wait for a change.
func (s *Store) announce() {
	s.changedMu.Lock()
	s.announceLocked()
	s.changedMu.Unlock()
}

func (s *Store) announceLocked() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// pollInterval is how often a reader looks for what another process wrote
// while somebody waits for it.
const pollInterval = 50 * time.Millisecond

// poll looks for changes that another process makes while somebody waits. size
// is what those who wait have seen.
func (s *Store) poll(size uint64) {
	defer s.background.Done()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
		if now := s.Size(); now != size {
			size = now
			s.announce()
		}
		s.changedMu.Lock()
		idle := s.changed == nil
		if idle {
			s.polling = false
		}
		s.changedMu.Unlock()
		if idle {
			return
		}
	}
}

// Close implements storage.Store. What is durable stays; a tail that waits to
// be sealed is sealed after the next Open.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.changedMu.Lock()
		close(s.stop)
		s.announceLocked()
		s.changedMu.Unlock()
		s.background.Wait()
		if !s.opts.ReadOnly && s.Failed() == nil {
			s.closeErr = s.settle()
		}
		s.fail(storage.ErrClosed)
		s.closeErr = errors.Join(s.closeErr, s.closeFiles())
	})
	return s.closeErr
}

// settle leaves the directory as small as it can be, with the newest
// checkpoint beside the entries.
func (s *Store) settle() error {
	v := s.view.Load()
	var err error
	if n := len(v.tails); n > 0 {
		// Beyond the end lies room that was reserved, or what is left of
		// an earlier use.
		err = v.tails[n-1].file.Truncate(v.tails[n-1].end)
	}
	return errors.Join(err, vfs.Discard(s.fsys, filepath.Join(s.dir, tailDir, spareName)), s.writeCheckpoint())
}

// writeCheckpoint brings the checkpoint file up to date.
func (s *Store) writeCheckpoint() error {
	c, err := s.Checkpoint()
	if err != nil || c == nil {
		return err
	}
	return vfs.WriteFileAtomic(s.fsys, filepath.Join(s.dir, checkpointName), c)
}

func (s *Store) closeFiles() error {
	s.viewMu.Lock() // no refresh opens another file meanwhile, and none will after
	defer s.viewMu.Unlock()
	var errs []error
	if v := s.view.Load(); v != nil {
		errs = append(errs, v.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
