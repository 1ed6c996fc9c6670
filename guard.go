package custody

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/guard"
	"github.com/custodylog/custody/internal/storage"
)

// GuardOff as [Options].Guard keeps no record of the last checkpoint handed out.
const GuardOff = "off"

// ErrRolledBack says that a trail does not extend the last checkpoint that it handed
// out: it is an older copy, or another history. [Reanchor] is the way forward.
var ErrRolledBack = errors.New("the trail does not extend the last checkpoint that it handed out")

// guardFile is where the last checkpoint that the trail handed out is kept; empty:
// nowhere. It bears the name of the key that the trail began with, which stays when
// the key changes.
func (t *Trail) guardFile() (string, error) {
	switch {
	case t.opts.Guard == GuardOff:
		return "", nil
	case t.opts.Guard != "":
		return t.opts.Guard, nil
	case t.opts.KeyDir == "" && t.opts.Signer != nil:
		return "", nil // it is not known where this trail's keys are
	}
	key, err := KeyFile(t.opts.KeyDir, t.meta.Key)
	return strings.TrimSuffix(key, filepath.Ext(key)) + ".last", err
}

// lastHandedOut returns the last checkpoint that the trail handed out, as it is kept
// outside the trail's directory; nil: none is.
func (t *Trail) lastHandedOut() ([]byte, error) {
	name, err := t.guardFile()
	if err != nil || name == "" {
		return nil, err
	}
	return guard.Read(t.opts.fs, name)
}

// openGuard checks that the trail extends the last checkpoint that it handed out, and
// begins to keep those to come.
func (t *Trail) openGuard() error {
	name, err := t.guardFile()
	if err != nil || name == "" {
		return err
	}
	problem := func(err error) { t.opts.Logger.Error("custody: "+err.Error(), "dir", t.dir, "file", name) }
	opened, last, err := guard.Open(t.opts.fs, name, problem)
	if errors.Is(err, guard.ErrDamaged) {
		return fmt.Errorf("%w, so it cannot be told whether the trail is an older copy; custody reanchor goes on without it, and records that", err)
	}
	if err != nil {
		// Recording matters more than noticing a rollback.
		t.opts.Logger.Error("custody: the last checkpoint that is handed out cannot be kept, so a rollback of the trail would not be noticed", "dir", t.dir, "file", name, "err", err)
		return nil
	}
	t.guard = opened
	if last != nil {
		if err := t.extends(t.ctx, last); err != nil {
			return fmt.Errorf("%w (%s)", err, name)
		}
	}
	if last, err = t.store.Checkpoint(); err == nil && last != nil {
		t.guard.Keep(last)
	}
	return err
}

func (t *Trail) closeGuard() error {
	if t.guard == nil {
		return nil
	}
	err := t.guard.Close()
	t.guard = nil
	return err
}

// extends returns an error that wraps ErrRolledBack unless the trail extends a
// checkpoint.
func (t *Trail) extends(ctx context.Context, signed []byte) error {
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		return err
	}
	const what = "restore a newer copy, or if the rest is lost, accept that with custody reanchor, which records it for ever"
	if size := t.store.Size(); c.Size > size {
		return fmt.Errorf("%w: %s has %d entries, and a checkpoint of %d was handed out: it is an older copy, or entries were taken away; %s", ErrRolledBack, t.dir, size, c.Size, what)
	}
	tree, _, err := t.store.TreeAt(ctx, c.Size)
	switch {
	case errors.Is(err, storage.ErrPruned):
		return nil // it is older than what was pruned since
	case err != nil:
		return err
	case tree.Root() != c.Root:
		return fmt.Errorf("%w: %s has another history up to entry %d than the checkpoint that was handed out; %s", ErrRolledBack, t.dir, c.Size, what)
	}
	return nil
}

// guarded is a store that keeps what is handed out.
type guarded struct {
	storage.Store
	guard *guard.Guard
}

// Append implements storage.Store: before anybody gets the checkpoint of a batch, it
// is kept.
func (s *guarded) Append(b *storage.Batch) error {
	if err := s.Store.Append(b); err != nil {
		return err
	}
	s.guard.Keep(b.Checkpoint)
	return nil
}

// Reanchoring says who accepts that a trail goes on without what was lost, and why.
// Both are required.
type Reanchoring struct {
	By     string
	Reason string
}

// Reanchor accepts that the trail in dir does not extend the last checkpoint that it
// handed out, and goes on from what is there. The break is an event of the trail
// (event.TrailReanchored) that holds the checkpoint of the lost history; no policy
// removes it, and Verify shows it for ever. It is the first event behind what is there;
// in a trail without an entry it comes after event.LogOpened, with which every trail
// begins. Witnesses that cosigned the lost history will refuse what comes. It fails if
// the trail does extend that checkpoint.
func Reanchor(dir string, opts *Options, r Reanchoring) (Receipt, error) {
	if r.By == "" || r.Reason == "" {
		return Receipt{}, errors.New("a break in a trail's history needs the name of who accepts it, and a reason")
	}
	o := opts.withDefaults()
	guarded := o.Guard
	o.Guard = GuardOff
	var receipt Receipt
	var refused error
	t, err := open(dir, o, nil, func(t *Trail) {
		t.opts.Guard = guarded
		receipt, refused = t.reanchor(r)
	})
	if err != nil {
		return receipt, errors.Join(refused, err)
	}
	return receipt, errors.Join(refused, t.Close())
}

func (t *Trail) reanchor(r Reanchoring) (Receipt, error) {
	name, err := t.guardFile()
	if err == nil && name == "" {
		err = errors.New("no record of the last checkpoint that was handed out is kept for this trail, so there is nothing to accept")
	}
	if err != nil {
		return Receipt{}, err
	}
	lost, err := guard.Read(t.opts.fs, name)
	if err != nil && !errors.Is(err, guard.ErrDamaged) {
		return Receipt{}, err
	}
	if err == nil && lost == nil {
		return Receipt{}, fmt.Errorf("%s keeps no checkpoint, so there is nothing to accept", name)
	}
	details := map[string]any{"by": r.By, "reason": r.Reason, "size": t.store.Size()}
	if lost != nil {
		switch err := t.extends(t.ctx, lost); {
		case err == nil:
			return Receipt{}, errors.New("the trail extends the last checkpoint that it handed out; there is nothing to accept")
		case !errors.Is(err, ErrRolledBack):
			return Receipt{}, err
		}
		details["checkpoint"] = string(lost)
	}
	receipt, err := t.recordSelf(t.ctx, event.Event{Type: event.TrailReanchored, Source: sourceSelf, UserID: r.By, Details: details})
	if err != nil {
		return receipt, err
	}
	return receipt, guard.Replace(t.opts.fs, name, receipt.Checkpoint)
}

// Break is a place where the trail does not continue the history that it handed out
// before, as an event of it says.
type Break struct {
	Event  uint64 // index of the event: what is before it is what the trail went on from
	By     string
	Reason string

	// Lost is the last signed checkpoint of the history that was lost; nil when it
	// could not be read.
	Lost []byte
}

// breakOf reads a break from the event that tells of it.
func breakOf(index uint64, e *event.Event) Break {
	b := Break{Event: index}
	b.By, _ = e.Details["by"].(string)
	b.Reason, _ = e.Details["reason"].(string)
	if lost, ok := e.Details["checkpoint"].(string); ok {
		b.Lost = []byte(lost)
	}
	return b
}
