package custody

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/custodylog/custody/internal/storage"
)

// Subscribe yields the entries that match from q.From on: first those that are
// there, then each as it becomes durable, in the order of their index, none
// twice and none left out. It ends when ctx does (with its error), when the
// trail is closed (with ErrClosed), or at q.Limit. q.Newest and q.To do not
// apply.
func (t *Trail) Subscribe(ctx context.Context, q Query) iter.Seq2[Entry, error] {
	return t.subscribe(ctx, q, func(uint64) {})
}

// keepRecord is how long a follower keeps what it read last while nothing comes: it may be
// large, and is not to outlive an erasure for long.
const keepRecord = time.Second

// subscribe is Subscribe. It calls passed with an index when every entry before it that
// matches was yielded.
func (t *Trail) subscribe(ctx context.Context, q Query, passed func(uint64)) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		left := q.Limit
		q.Newest = false
		r := storage.Record{Following: true}
		for {
			size := t.store.Size()
			q.To, q.Limit = size, left
			if q.From < size {
				for e, err := range t.entries(ctx, q, &r) {
					if !yield(e, err) || err != nil {
						return
					}
					if left--; left == 0 {
						return
					}
				}
				q.From = size
				passed(size)
			}
			changed, idle := t.store.Changed(size), time.NewTimer(keepRecord)
			select {
			case <-changed:
			case <-ctx.Done():
			case <-idle.C:
				r = storage.Record{Following: true}
				select {
				case <-changed:
				case <-ctx.Done():
				}
			}
			idle.Stop()
			if err := ctx.Err(); err != nil {
				yield(Entry{}, err)
				return
			}
			if t.ctx.Err() != nil {
				yield(Entry{}, ErrClosed)
				return
			}
		}
	}
}

// HandlerOptions says how a handler follows the trail.
type HandlerOptions struct {
	// Name stands in what is logged about the handler.
	Name string

	// Query says which entries the handler gets, from Query.From on.
	Query Query

	// MaxDelay bounds how long the handler is left alone after a failure; it
	// begins with 100 ms and doubles. Default: 1 minute.
	MaxDelay time.Duration
}

// Handler follows the trail and calls a function for each entry. See
// [Trail.AddHandler].
type Handler struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	next    uint64 // guarded by mu: the next entry the handler has not taken or passed over
	err     error  // guarded by mu: how it failed the last time, nil since it succeeded
	retries int    // guarded by mu: failures in a row
}

// AddHandler calls handle for every entry that matches, in order, each once it
// is durable, on a goroutine of the handler's own: a slow one never delays
// whoever records. An entry for which handle fails or panics is tried again
// after a growing delay, so a handler never loses its place; what went wrong is
// logged and in [Handler.Status]. Closing the trail stops it.
func (t *Trail) AddHandler(handle func(context.Context, Entry) error, opts HandlerOptions) *Handler {
	if opts.MaxDelay <= 0 {
		opts.MaxDelay = time.Minute
	}
	ctx, cancel := context.WithCancel(t.ctx)
	h := &Handler{name: opts.Name, cancel: cancel, done: make(chan struct{}), next: opts.Query.From}
	t.handlers.Store(h, nil)
	started := t.inBackground(func() {
		defer close(h.done)
		defer cancel()
		defer t.handlers.Delete(h)
		t.follow(ctx, h, handle, opts)
	})
	if !started {
		t.handlers.Delete(h)
		cancel()
		close(h.done)
	}
	return h
}

// inBackground runs f on a goroutine that Close waits for. It reports false when the
// trail is closed.
func (t *Trail) inBackground(f func()) bool {
	t.backgroundMu.Lock()
	defer t.backgroundMu.Unlock()
	if t.ctx.Err() != nil {
		return false
	}
	t.background.Add(1)
	go func() {
		defer t.background.Done()
		f()
	}()
	return true
}

// Remove stops the handler and waits until it has returned from the entry it is
// at. It must not be called by the handler itself.
func (h *Handler) Remove() {
	h.cancel()
	<-h.done
}

// HandlerStatus tells where a handler is.
type HandlerStatus struct {
	Name string
	Next uint64 // as of Handler.Status
	Err  error  // as of Handler.Status
}

// Handlers tells where the handlers of the trail are that have not ended, in the order
// of their names.
func (t *Trail) Handlers() []HandlerStatus {
	var all []HandlerStatus
	t.handlers.Range(func(key, _ any) bool {
		h := key.(*Handler)
		s := HandlerStatus{Name: h.name}
		s.Next, s.Err = h.Status()
		all = append(all, s)
		return true
	})
	slices.SortFunc(all, func(a, b HandlerStatus) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Next, b.Next))
	})
	return all
}

// Status returns the index of the first entry that the handler has not taken
// or passed over yet, and how it failed if it is being tried again.
func (h *Handler) Status() (next uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next, h.err
}

const firstDelay = 100 * time.Millisecond

func (t *Trail) follow(ctx context.Context, h *Handler, handle func(context.Context, Entry) error, opts HandlerOptions) {
	first := min(firstDelay, opts.MaxDelay)
	delay, taken := first, 0
	for ctx.Err() == nil {
		q := opts.Query
		q.From, _ = h.Status()
		if q.Limit > 0 {
			if q.Limit -= taken; q.Limit == 0 {
				return
			}
		}
		passed := func(index uint64) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.next = index
		}
		err := func() error {
			for e, err := range t.subscribe(ctx, q, passed) {
				if err != nil {
					return err
				}
				if err := callHandler(ctx, handle, e); err != nil {
					return fmt.Errorf("entry %d: %w", e.Index, err)
				}
				delay = first
				taken++
				h.mu.Lock()
				h.next, h.err, h.retries = e.Index+1, nil, 0
				h.mu.Unlock()
			}
			return nil
		}()
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrClosed) {
			return
		}
		h.mu.Lock()
		h.err = err
		h.retries++
		retries := h.retries
		h.mu.Unlock()
		t.opts.Logger.Error("custody: a handler failed and is tried again", "dir", t.dir, "handler", h.name, "err", err, "failures", retries, "delay", delay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
		delay = min(2*delay, opts.MaxDelay)
	}
}

// callHandler turns a panic into an error.
func callHandler(ctx context.Context, handle func(context.Context, Entry) error, e Entry) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("it panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return handle(ctx, e)
}
