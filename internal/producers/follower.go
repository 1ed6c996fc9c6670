package producers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/recording"
	"github.com/custodylog/custody/internal/vfs"
)

// StateDir is the directory of the files of followers in the data directory of a server.
const StateDir = "producers"

const (
	saveEach = 10 * time.Second // how often it is written how far a follower is
	checkMax = time.Second      // how often it is looked for what is due, at least
	checkMin = 10 * time.Millisecond
)

// Follower follows a trail and records its gaps in it.
type Follower struct {
	trail *custody.Trail
	fsys  vfs.FS
	name  string // of the file
	log   *slog.Logger

	// now is a clock that nobody can set.
	now func() time.Duration

	handler *custody.Handler

	saved uint64 // how far the file is; Run alone looks at it

	mu      sync.Mutex // guards what follows
	tracker *tracker
	last    evidence.Hash // leaf hash of the last entry that was seen
}

// Follow begins to follow a trail: it goes on where the file with that name says, or
// reads the whole trail where that does not fit. [Follower.Run] has to be called.
func Follow(t *custody.Trail, fsys vfs.FS, name string, cfg Config, log *slog.Logger) (*Follower, error) {
	began := time.Now()
	f := newFollower(t, fsys, name, cfg, log, func() time.Duration { return time.Since(began) })
	if err := fsys.MkdirAll(filepath.Dir(name)); err != nil {
		return nil, fmt.Errorf("following a trail for gaps: %w", err)
	}
	f.handler = t.AddHandler(f.see, custody.HandlerOptions{Name: "producers", Query: custody.Query{From: f.tracker.next}})
	return f, nil
}

func newFollower(t *custody.Trail, fsys vfs.FS, name string, cfg Config, log *slog.Logger, now func() time.Duration) *Follower {
	f := &Follower{trail: t, fsys: fsys, name: name, log: log, now: now}
	tracker, err := f.load(cfg)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			log.Warn("custody: what was known of producers does not fit the trail, which is read again for it", "dir", t.Dir(), "err", err)
		}
		tracker = newTracker(cfg)
	}
	tracker.replay = t.Size()
	f.tracker, f.saved = tracker, tracker.next
	return f
}

// load reads the file, and returns an error unless it fits the trail.
func (f *Follower) load(cfg Config) (*tracker, error) {
	content, err := vfs.ReadFile(f.fsys, f.name, maxStateFile)
	if err != nil {
		return nil, err
	}
	st, err := parseState(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	if st.Origin != f.trail.Origin() {
		return nil, fmt.Errorf("%s: it is of the trail %.80q", f.name, st.Origin)
	}
	if st.Next > 0 {
		e, err := f.trail.Entry(context.Background(), st.Next-1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		if f.last = e.Hash; f.last.String() != st.Hash {
			return nil, fmt.Errorf("%s: the trail has another entry %d", f.name, e.Index)
		}
	}
	return st.tracker(cfg, f.now()), nil
}

// see takes in an entry.
func (f *Follower) see(ctx context.Context, e custody.Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	ev := &event.Event{Type: e.Type}
	if f.tracker.concerns(&e) {
		var err error
		if ev, err = entryEvent(&e); err != nil {
			f.log.ErrorContext(ctx, "custody: an entry cannot be looked at for gaps", "dir", f.trail.Dir(), "err", err)
		}
	}
	f.tracker.see(e.Index, e.Time, ev, f.now())
	f.last = e.Hash
	return nil
}

// tell records what is due.
func (f *Follower) tell(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.tracker.due(f.now(), f.trail.Size()) {
		_, err := f.trail.Record(custody.WithPrincipal(ctx, Principal), r.event)
		if errors.Is(err, custody.ErrConflict) { // somebody who foresaw the id took it for something else
			r.event.ID = ""
			_, err = f.trail.Record(custody.WithPrincipal(ctx, Principal), r.event)
		}
		switch {
		case recording.IsRefusal(err): // the others are recorded all the same
			f.log.ErrorContext(ctx, "custody: the trail does not take the event of a gap", "dir", f.trail.Dir(), "err", err)
		case err != nil:
			return fmt.Errorf("recording a gap: %w", err)
		}
		r.told()
	}
	return nil
}

// save writes how far the follower is. Until it has seen what was there when it began, it
// does not know what that is worth, and writes nothing.
func (f *Follower) save() error {
	f.mu.Lock()
	next := f.tracker.next
	if next == f.saved || next < f.tracker.replay {
		f.mu.Unlock()
		return nil
	}
	content, err := f.tracker.encode(f.trail.Origin(), f.last.String())
	f.mu.Unlock()
	if err == nil {
		err = vfs.WriteFileAtomic(f.fsys, f.name, content)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.name, err)
	}
	f.saved = next
	return nil
}

// Run records what is due until ctx ends. Then it stops following the trail and writes
// how far it is.
func (f *Follower) Run(ctx context.Context) {
	tick := time.NewTicker(min(max(f.tracker.cfg.Grace/4, checkMin), checkMax))
	defer tick.Stop()
	saved := time.Now()
	failing := false
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			continue
		}
		err := f.tell(context.WithoutCancel(ctx))
		if err == nil && time.Since(saved) >= saveEach {
			saved = time.Now()
			err = f.save()
		}
		if err != nil && !failing && !errors.Is(err, custody.ErrClosed) {
			f.log.Error("custody: gaps of producers are not told of; it is tried again", "dir", f.trail.Dir(), "err", err)
		}
		failing = err != nil
	}
	f.handler.Remove()
	if err := f.save(); err != nil {
		f.log.Error("custody: what is known of producers is not kept; the trail is read again for it", "err", err)
	}
}
