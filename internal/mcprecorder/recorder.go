// Package mcprecorder stands between a client and a server of the Model Context Protocol:
// it forwards what they say to each other byte for byte, and records the calls in it
// (package mcp).
//
// A call is recorded before it is forwarded. What is answered is forwarded as it comes,
// and recorded behind it, in order.
package mcprecorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/mcp"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/spool"
)

// MaxMessage is how many bytes of one message are read. A longer one is forwarded, and
// recorded as one that cannot be read.
const MaxMessage = 64 << 20

// maxActors bounds for how many it is asked at once whether a stop holds, so that nobody
// makes it last until nobody waits for the answer.
const maxActors = 128

// Options say what is recorded where. Sink is required.
type Options struct {
	Sink Sink

	// FailClosed has calls refused that could not be recorded, and those of which it
	// could not be asked whether an emergency stop holds. Without it they go on.
	FailClosed bool

	// Wait is how long a call waits at most until it is recorded. Default: 1 s; with
	// FailClosed 5 s.
	Wait time.Duration

	Server    string // name of the server, as the agent knows it
	Fallback  string // name of one that says none
	Transport string // "stdio" or "http"
	Agent     string // default: what the client calls itself
	Session   string
	Project   string

	// Spool keeps what cannot be recorded, until it can; nil: it is kept in memory.
	Spool *spool.Spool

	// Surfaces remembers the tools of servers; nil: nobody does.
	Surfaces *Surfaces

	Log *slog.Logger // default: slog.Default()
}

// Recorder records what goes to one server and comes from it. Its methods may be called
// from several goroutines.
type Recorder struct {
	opts   Options
	log    *slog.Logger
	server *mcp.Server
	queue  *queue

	unasked atomic.Bool // the gate did not answer when it was asked last
}

// New returns a recorder, which runs until [Recorder.Close].
func New(o Options) *Recorder {
	if o.Wait == 0 {
		if o.Wait = time.Second; o.FailClosed {
			o.Wait = 5 * time.Second
		}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	m := mcp.Options{Server: o.Server, Fallback: o.Fallback, Transport: o.Transport, Agent: o.Agent, Session: o.Session, Project: o.Project}
	if o.Surfaces != nil {
		m.Known = o.Surfaces.known
	}
	r := &Recorder{opts: o, log: o.Log, server: mcp.NewServer(m)}
	r.queue = newQueue(o.Sink, o.Spool, r.remember, o.Log)
	return r
}

// Close records the end of what is connected still, and waits until all is recorded, or
// ctx ends: then it says how much is not.
func (r *Recorder) Close(ctx context.Context) error {
	r.queue.put(r.server.Close())
	return r.queue.close(ctx)
}

// remember keeps the tools of a server when it is recorded what they are.
func (r *Recorder) remember(s *sighting.Sighting) {
	if r.opts.Surfaces == nil || s.Event.Type != event.ToolSurfaceChanged {
		return
	}
	server, _ := s.Event.Details["server"].(string)
	tools, _ := s.Event.Details["tools"].(map[string]any)
	if err := r.opts.Surfaces.remember(server, tools); err != nil {
		r.log.Warn("custody: the tools of the server are not remembered, so that it will not be found out whether they change until it is asked again", "server", server, "err", err)
	}
}

// admit records what a client sends, and returns the reason why it is not to be
// forwarded; "" if it is.
func (r *Recorder) admit(ctx context.Context, c *mcp.Conn, m *mcp.Message) string {
	done := r.queue.putUpTo(c.FromClient(m), maxCalls)
	if !m.Acts() {
		return ""
	}
	refuse := func(reason string, details map[string]any) string {
		r.queue.put(c.Refused(m, reason, details))
		return "custody: " + reason
	}
	failClosed := map[string]any{"policy_id": "fail_closed"}
	actors := c.Actors(m)
	if len(actors) > maxActors {
		return refuse(fmt.Sprintf("refused, since it is of more than %d sessions or agents", maxActors), map[string]any{"policy_id": "too_many_actors"})
	}
	stop, err := r.ask(ctx, actors)
	if stop != nil {
		return refuse(stop.why(), map[string]any{"policy_id": "emergency_stop", "stop_event_id": stop.ID})
	}
	if err != nil && r.opts.FailClosed {
		return refuse("refused, since nobody says whether an emergency stop holds: "+err.Error(), failClosed)
	}
	if err := r.wait(ctx, done); err != nil && r.opts.FailClosed {
		return refuse("refused, since it cannot be recorded: "+err.Error(), failClosed)
	}
	return ""
}

// ask asks whether an emergency stop holds for somebody. It returns the first one that
// does.
func (r *Recorder) ask(ctx context.Context, actors []mcp.Actor) (*Stop, error) {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	var failed error
	for _, a := range actors {
		stop, err := r.opts.Sink.Stopped(ctx, a)
		if stop != nil {
			return stop, nil
		}
		failed = errors.Join(failed, err)
	}
	if was := r.unasked.Swap(failed != nil); failed != nil && !was {
		r.log.Warn("custody: nobody says whether an emergency stop holds", "calls", map[bool]string{true: "are refused", false: "go on"}[r.opts.FailClosed], "err", failed)
	}
	return nil, failed
}

// wait waits until a call is recorded.
func (r *Recorder) wait(ctx context.Context, done <-chan error) error {
	timer := time.NewTimer(r.opts.Wait)
	defer timer.Stop()
	var failing <-chan struct{}
	if !r.opts.FailClosed {
		failing = r.queue.failing() // nothing is gained by waiting
	}
	select {
	case err := <-done:
		return err
	case <-failing:
		return errors.New("recording fails")
	case <-timer.C:
		return fmt.Errorf("it is not recorded after %s", r.opts.Wait)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func one(s sighting.Sighting) []sighting.Sighting { return []sighting.Sighting{s} }
