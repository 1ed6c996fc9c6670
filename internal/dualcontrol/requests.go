package dualcontrol

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/retention"
)

// Rules says how long what takes.
type Rules struct {
	// Delay is how long after its approval a request is done. Until then whoever
	// approves, and whoever asked, can still stop it.
	Delay time.Duration

	// Expires is how long after it was made a request can be approved.
	Expires time.Duration

	// Now gives the time. Default: time.Now.
	Now func() time.Time
}

// Tell is told what becomes of a request before that is written. What it returns keeps
// the request as it was. It is called by one goroutine at a time, and must not use the
// [Requests]. After it has returned nil writing can fail: then it is told again, when
// somebody tries again.
type Tell func(*Request) error

// Requests are the requests of a server. One process has them open at a time. Methods
// may be called from several goroutines; the requests that they return are the caller's,
// and what they point to must not be changed. What a method has changed is on the disk
// when it returns.
type Requests struct {
	fsys  vfs.FS
	name  string
	rules Rules

	mu   sync.Mutex
	file *file // guarded by mu
}

// Open opens the file of requests with that name. There need not be one yet. A file that
// cannot be read is an error, since what it asks for would be forgotten with it.
func Open(fsys vfs.FS, name string, rules Rules) (*Requests, error) {
	if rules.Now == nil {
		rules.Now = time.Now
	}
	q := &Requests{fsys: fsys, name: name, rules: rules, file: &file{Format: format}}
	content, err := vfs.ReadFile(fsys, name, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return q, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the removals that were requested: %w", err)
	}
	if q.file, err = parse(content); err != nil {
		return nil, fmt.Errorf("the removals that were requested, in %s: %w; restore the file from a backup, or move it away: what it asks for is then not done, and the retention policy of the configuration has to be approved again", name, err)
	}
	return q, nil
}

func (q *Requests) now() time.Time { return q.rules.Now().UTC().Truncate(time.Microsecond) }

// change writes the file with what edit makes of a copy. The caller holds mu.
func (q *Requests) change(edit func(*file) error) error {
	next := &file{Format: format, Schedule: q.file.Schedule, Requests: make([]*Request, len(q.file.Requests))}
	for i, r := range q.file.Requests {
		copied := *r
		next.Requests[i] = &copied
	}
	if err := edit(next); err != nil {
		return err
	}
	content, err := next.encode()
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("it would have %d bytes, more than the %d it may have", len(content), maxFile)
	}
	if err == nil {
		err = q.fsys.MkdirAll(filepath.Dir(q.name))
	}
	if err == nil {
		err = vfs.WriteFileAtomic(q.fsys, q.name, content)
	}
	if err != nil {
		return fmt.Errorf("writing the removals that were requested: %w", err)
	}
	q.file = next
	return nil
}

func (f *file) find(id string) (*Request, error) {
	i := slices.IndexFunc(f.Requests, func(r *Request) bool { return r.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("%w: %.40q", ErrNotFound, id)
	}
	return f.Requests[i], nil
}

// Add takes in what somebody asks for: r has Kind, Trail, Parameters (JSON), By and,
// unless nobody in particular asks, ByPerson. Of what the same person has asked for
// already, and nobody has decided yet, it returns that. It fails with [ErrTooLarge] and
// [ErrTooMany].
func (q *Requests) Add(r Request, tell Tell) (Request, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	r.Parameters = compact(r.Parameters)
	if !json.Valid(r.Parameters) {
		return Request{}, errors.New("what a request asks for is no JSON")
	}
	if len(r.Parameters) > maxAsked {
		return Request{}, fmt.Errorf("%w: what it asks for has %d bytes, more than the %d it may have; ask for less at once", ErrTooLarge, len(r.Parameters), maxAsked)
	}
	open := 0
	for _, o := range q.file.Requests {
		if !o.State.Open() {
			continue
		}
		open++
		if o.State == Pending && now.Before(o.Expires) && o.Kind == r.Kind && o.Trail == r.Trail && o.By == r.By && string(o.Parameters) == string(r.Parameters) {
			return *o, nil
		}
	}
	if open >= maxOpen {
		return Request{}, fmt.Errorf("%w: %d; approve, refuse or withdraw some of them", ErrTooMany, open)
	}
	r = Request{ID: newID(), Kind: r.Kind, Trail: r.Trail, State: Pending, Parameters: r.Parameters, Salt: newSalt(), By: r.By, ByPerson: r.ByPerson, Requested: now, Expires: now.Add(q.rules.Expires)}
	r.Digest = r.digest()
	if err := r.check(); err != nil {
		return Request{}, err
	}
	return r, q.change(func(f *file) error {
		f.Requests = append(f.Requests, &r)
		return tell(&r)
	})
}

// Approve approves a request. Whoever asked for it cannot, nor whoever has an API token
// that is theirs, or may be since it was made later: that is [ErrSamePerson].
func (q *Requests) Approve(id string, by *auth.Principal, tell Tell) (Request, error) {
	person := by.Person.Line()
	return q.transition(id, tell, func(r *Request, now time.Time) error {
		switch {
		case r.State != Pending:
			return fmt.Errorf("%w: it is %s", ErrState, r.State)
		case !now.Before(r.Expires):
			return fmt.Errorf("%w: it could be approved until %s", ErrState, r.Expires.Format(time.RFC3339))
		case by.Name == "" || by.Name == r.By:
			return fmt.Errorf("%w: %s asked for it, and somebody else has to approve it", ErrSamePerson, r.By)
		case r.asked(by.Name, person):
			return fmt.Errorf("%w: %s asked for it, and %s is the same person, or one of them has made the API token of the other", ErrSamePerson, r.By, by.Name)
		case len(r.ByPerson) > 0 && madeSince(by.Person, r.Requested):
			return fmt.Errorf("%w: the API token of %s was made after %s had asked for it, so it may be theirs; approve with an older one, or log in", ErrSamePerson, by.Name, r.By)
		}
		r.decide(Approved, by.Name, now)
		r.DecidedByPerson = person
		r.NotBefore = now.Add(q.rules.Delay)
		return nil
	})
}

// madeSince reports whether somebody has an API token that was made since then.
func madeSince(p *auth.Person, then time.Time) bool { return p != nil && !p.Made.Before(then) }

// Refuse refuses a request, also one that was approved, until it is begun to be done.
func (q *Requests) Refuse(id, by string, tell Tell) (Request, error) {
	return q.transition(id, tell, func(r *Request, now time.Time) error {
		if err := r.stoppable(); err != nil {
			return err
		}
		r.decide(Refused, by, now)
		return nil
	})
}

// Withdraw takes a request back, as Refuse does, for whoever asked for it. why is
// noted.
func (q *Requests) Withdraw(id, by, why string, tell Tell) (Request, error) {
	return q.transition(id, tell, func(r *Request, now time.Time) error {
		if err := r.stoppable(); err != nil {
			return err
		}
		r.decide(Withdrawn, by, now)
		r.Note = why
		return nil
	})
}

func (r *Request) stoppable() error {
	switch {
	case !r.State.Open():
		return fmt.Errorf("%w: it is %s", ErrState, r.State)
	case !r.Begun.IsZero():
		return fmt.Errorf("%w: it is being done", ErrState)
	}
	return nil
}

// Begin notes that a request is begun to be done, whose time has come. One that was begun
// before, by a server that was killed, stays as of then.
func (q *Requests) Begin(id string) (Request, error) {
	return q.transition(id, noTell, func(r *Request, now time.Time) error {
		switch {
		case r.State != Approved:
			return fmt.Errorf("%w: it is %s", ErrState, r.State)
		case now.Before(r.NotBefore):
			return fmt.Errorf("%w: it is not done before %s", ErrState, r.NotBefore.Format(time.RFC3339))
		case r.Begun.IsZero():
			r.Begun = now
		}
		return nil
	})
}

// Executed notes that a request was done.
func (q *Requests) Executed(id string) (Request, error) {
	return q.transition(id, noTell, func(r *Request, now time.Time) error {
		r.end(Executed, now)
		return nil
	})
}

// Failed notes that a request could not be done, and why.
func (q *Requests) Failed(id, why string, tell Tell) (Request, error) {
	return q.transition(id, tell, func(r *Request, now time.Time) error {
		r.end(Failed, now)
		r.Note = why
		return nil
	})
}

func noTell(*Request) error { return nil }

func (q *Requests) transition(id string, tell Tell, edit func(*Request, time.Time) error) (Request, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var changed Request
	err := q.change(func(f *file) error {
		r, err := f.find(id)
		if err != nil {
			return err
		}
		if err := edit(r, q.now()); err != nil {
			return err
		}
		changed = *r
		return tell(r)
	})
	return changed, err
}

// Expire ends the requests that nobody has approved in time.
func (q *Requests) Expire(tell Tell) error {
	for _, r := range q.List() {
		if r.State != Pending || q.now().Before(r.Expires) {
			continue
		}
		_, err := q.transition(r.ID, tell, func(r *Request, now time.Time) error {
			if r.State != Pending {
				return ErrState // somebody has decided meanwhile
			}
			r.end(Expired, now)
			return nil
		})
		if err != nil && !errors.Is(err, ErrState) {
			return err
		}
	}
	return nil
}

// List returns all requests, the oldest first.
func (q *Requests) List() []Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]Request, len(q.file.Requests))
	for i, r := range q.file.Requests {
		all[i] = *r
	}
	return all
}

// Get returns a request. It fails with [ErrNotFound].
func (q *Requests) Get(id string) (Request, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r, err := q.file.find(id)
	if err != nil {
		return Request{}, err
	}
	return *r, nil
}

// Due returns the requests whose time to be done has come, and how long it is until
// something else becomes due or expires, at most an hour.
func (q *Requests) Due() (due []Request, wait time.Duration) {
	wait = time.Hour
	now := q.now()
	for _, r := range q.List() {
		at := r.Expires
		if r.State == Approved {
			at = r.NotBefore
		}
		switch {
		case !r.State.Open():
		case at.After(now):
			wait = min(wait, at.Sub(now))
		case r.State == Approved:
			due = append(due, r)
		}
	}
	return due, wait
}

// Schedule returns the policy that the server may apply by itself, nil where none was
// approved yet.
func (q *Requests) Schedule() *Schedule {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.file.Schedule
}

// Lengthen makes a policy the one that the server may apply by itself, which removes
// nothing earlier than the one that was. It reports false where it would.
func (q *Requests) Lengthen(p retention.Policy) (ok bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := retention.Policy{Payloads: retention.Period{Forever: true}}
	if s := q.file.Schedule; s != nil {
		if s.Policy.Digest() == p.Digest() {
			return true, nil
		}
		before = s.Policy
	}
	if p.Shortens(&before) != "" {
		return false, nil
	}
	return true, q.change(func(f *file) error {
		f.Schedule = &Schedule{Policy: p, Since: q.now()}
		return nil
	})
}

// Unschedule takes away the policy that the server may apply by itself: nothing expires
// any more, and the next one removes earlier than that.
func (q *Requests) Unschedule() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.file.Schedule == nil {
		return nil
	}
	return q.change(func(f *file) error {
		f.Schedule = nil
		return nil
	})
}

// Adopt makes a policy the one that the server may apply by itself, as a request asks
// for that was begun, and notes that this one was done.
func (q *Requests) Adopt(id string, p retention.Policy) (Request, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var done Request
	err := q.change(func(f *file) error {
		r, err := f.find(id)
		if err != nil {
			return err
		}
		if r.State != Approved || r.Begun.IsZero() {
			return fmt.Errorf("%w: it is not being done", ErrState)
		}
		f.Schedule = &Schedule{Policy: p, Since: q.now(), Request: r.ID, ApprovedBy: r.DecidedBy}
		r.end(Executed, q.now())
		done = *r
		return nil
	})
	return done, err
}
