package server

import (
	"context"
	"sync"
	"time"
)

// deadlines bounds how long requests take. Those that come within a moment, an eighth of
// that, share one timer: a context with a timer of its own is a good part of what
// recording one event costs.
type deadlines struct {
	after time.Duration

	mu    sync.Mutex
	last  context.Context // ends after, behind the end of the moment
	since time.Time       // begin of the moment
}

// bound returns a context that has the values of ctx and ends some time between after and
// an eighth later, whatever becomes of ctx.
func (d *deadlines) bound(ctx context.Context) context.Context {
	now, moment := time.Now(), d.after/8
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil || now.Sub(d.since) > moment {
		last, cancel := context.WithTimeout(context.Background(), d.after+moment)
		context.AfterFunc(last, cancel) // it ends by itself
		d.last, d.since = last, now
	}
	return bounded{d.last, context.WithoutCancel(ctx)}
}

// bounded is a context with the values of another one.
type bounded struct {
	context.Context
	values context.Context
}

// Value implements context.Context.
func (b bounded) Value(key any) any { return b.values.Value(key) }
