package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
)

const (
	stateVersion = 1
	maxState     = 16 << 20    // bytes of the file: 100 rules with 1,000 times each take some 3 MiB
	saveEvery    = time.Second // while nothing is raised; what is not saved is read again
)

// position is how far the rules have come in a trail. What it says follows from the
// entries before Next alone, but for what went by the clock of the server.
type position struct {
	Version int               `json:"version"`
	Origin  string            `json:"origin"`
	Next    uint64            `json:"next"`
	Marks   marks             `json:"marks,omitempty"` // files of earlier versions have none
	Windows map[string]window `json:"windows"`         // by rule

	last mark // of the entry before Next, which save adds
}

// follower applies rules to one trail.
type follower struct {
	a       *Alerts
	trail   *trails.Trail
	rules   []Rule
	file    string
	handler *custody.Handler
	failing time.Time // since when following fails; guarded by a.mu
	raised  uint64    // position after the last entry whose alerts were raised; belongs to handle

	mu    sync.Mutex
	pos   position  // guarded by mu
	saved time.Time // guarded by mu
}

// follow begins to apply the rules that watch a trail. It implements what
// [trails.Set.Attend] takes.
func (a *Alerts) follow(t *trails.Trail) error {
	f := &follower{a: a, trail: t, file: filepath.Join(a.dir, "state", t.Name+".json")}
	for _, r := range a.rules {
		if r.watches(t.Name) {
			f.rules = append(f.rules, r)
		}
	}
	if len(f.rules) == 0 {
		return nil
	}
	pos, kept, replaced := f.load()
	if f.pos = pos; !kept {
		// From here on nothing is missed, however the server ends.
		if err := f.save(&f.pos); err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	if replaced != "" {
		a.replaced[t.Name] = replaced
	}
	q := query(f.rules)
	q.From = f.pos.Next
	f.handler = t.AddHandler(f.handle, custody.HandlerOptions{Name: "alerts", Query: q})
	a.followers = append(a.followers, f)
	return nil
}

// load returns where the rules were, or if that is not known the end of the trail. kept
// says that the file has it as it is. replaced says that the trail is another one than
// they had followed, and where they go on in this one: behind the last entry that is
// known to be in both.
func (f *follower) load() (_ position, kept bool, replaced string) {
	begin := position{Version: stateVersion, Origin: f.trail.Origin(), Next: f.trail.Size(), Windows: map[string]window{}}
	begin.last = markOf(f.trail, begin.Next)
	var p position
	b, err := vfs.ReadFile(f.a.fs, f.file, maxState)
	if err == nil {
		if err = json.Unmarshal(b, &p); err == nil {
			err = p.fits(f.trail)
		}
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			f.a.log.Warn("custody: rules for alerts begin at the end of a trail, since it is not known how far they were", "trail", f.trail.Name, "err", err)
		}
		return begin, false, ""
	}
	if next, seen, err := p.Marks.resume(f.trail, p.Next); err != nil {
		begin.Next, begin.Marks, begin.last = next, seen, markOf(f.trail, next)
		f.a.log.Error("custody: the rules for alerts go on in a trail that is not the one they had followed", "trail", f.trail.Name, "followed", p.Next, "next", next)
		return begin, false, fmt.Sprintf("the trail is not the one that the rules for alerts had followed as far as entry %d, as after a restore from a backup: they went on from entry %d, so they may have raised an alert again; compare the trail with a checkpoint that was kept (custody verify --checkpoint)", p.Next, next)
	}
	if p.Windows == nil {
		p.Windows = begin.Windows
	}
	for name := range p.Windows {
		if !slices.ContainsFunc(f.rules, func(r Rule) bool { return r.Name == name }) {
			delete(p.Windows, name)
		}
	}
	return p, true, ""
}

// fits says why a position is not one of the trail.
func (p *position) fits(t *trails.Trail) error {
	switch {
	case p.Version != stateVersion:
		return fmt.Errorf("the file has version %d; this program reads version %d", p.Version, stateVersion)
	case p.Origin != t.Origin():
		return fmt.Errorf("the file is about the trail %q", p.Origin)
	}
	return p.Marks.fit(p.Next)
}

// handle applies the rules to an entry. When it fails it is called again with the same
// one: then nothing is raised twice.
func (f *follower) handle(ctx context.Context, e custody.Entry) error {
	f.mu.Lock()
	next, saved := f.pos, f.saved
	f.mu.Unlock()
	if e.Index < next.Next {
		return nil
	}
	next.Next, next.last = e.Index+1, mark{e.Index, e.Hash}
	ev, err := e.Event()
	if err != nil {
		f.a.log.Error("custody: rules for alerts pass over an entry that cannot be read", "trail", f.trail.Name, "err", err)
	}
	raised := false
	for i := range f.rules {
		r := &f.rules[i]
		if err != nil || !r.matches(&ev) {
			continue
		}
		w, alert := next.Windows[r.Name].count(r, f.trail, &e, severityOf(&ev), time.Now().UTC())
		next.Windows = maps.Clone(next.Windows)
		next.Windows[r.Name] = w
		if alert == nil {
			continue
		}
		raised = true
		if f.raised == next.Next {
			continue // it was only not saved
		}
		if err := f.a.raise(ctx, alert); err != nil {
			return err
		}
	}
	if raised {
		f.raised = next.Next
	}
	if raised || time.Since(saved) > saveEvery {
		if err := f.save(&next); err != nil {
			return err
		}
	}
	f.mu.Lock()
	f.pos = next
	f.mu.Unlock()
	return nil
}

// save writes a position.
func (f *follower) save(p *position) error {
	p.Marks = p.Marks.with(p.last)
	b, err := json.Marshal(p)
	if err == nil {
		err = vfs.WriteFileAtomic(f.a.fs, f.file, b)
	}
	if err != nil {
		return fmt.Errorf("how far the rules for alerts are is not written: %w", err)
	}
	f.mu.Lock()
	f.saved = time.Now()
	f.mu.Unlock()
	return nil
}

// close ends following.
func (f *follower) close() error {
	f.handler.Remove()
	return f.save(&f.pos) // nobody else changes it any more
}

// recent returns the last alert of each rule, if it was raised since a time.
func (f *follower) recent(since time.Time) (all []Raised) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(f.pos.Windows)) {
		if last := f.pos.Windows[name].Last; last != nil && last.Time.After(since) {
			all = append(all, *last)
		}
	}
	return all
}

// raise has an alert delivered, and records it. What was queued or recorded by a server
// that ended before it could note that, is so only once.
func (a *Alerts) raise(ctx context.Context, r *Raised) error {
	a.metrics.raised.WithLabelValues(r.Rule).Inc()
	a.queue.add(message{ID: r.ID, About: r.Rule, Kind: "alert.raised", Time: r.Time, Data: r}, a.webhooksFor(r.Rule), true)
	err := a.record(ctx, event.Event{ID: "alert-" + r.ID, Type: event.AlertRaised, Details: map[string]any{
		"rule": r.Rule, "trail": r.Trail, "count": r.Count, "window_ms": r.WindowMS, "index": r.Index,
	}})
	if ctx.Err() != nil || errors.Is(err, custody.ErrClosed) {
		return err // the next start raises it again
	}
	return nil
}
