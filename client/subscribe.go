package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/custodylog/custody"
)

// errSilent says that nothing came for that long.
var errSilent = errors.New("the connection is silent although the server should show that it is there")

// Subscribe yields the entries that match from q.From on, and then each as it becomes
// durable, as custody.Trail.Subscribe does: none twice and none left out. When the
// connection breaks, or the server is started anew, it goes on behind the last entry.
// It ends when ctx does, at q.Limit, or when the server refuses it. That the server
// cannot be reached ends it after [Options].RetryFor as long as it has never been
// reached; later it is only logged.
func (t *Trail) Subscribe(ctx context.Context, q custody.Query) iter.Seq2[custody.Entry, error] {
	return func(yield func(custody.Entry, error) bool) {
		q.To = 0
		s := subscription{t: t, left: q.Limit, yield: yield}
		var err error
		if s.filter, err = filterOf(&q); err != nil {
			yield(custody.Entry{}, err)
			return
		}
		s.filter.Set("bytes", "true")
		s.filter.Set("from_index", strconv.FormatUint(q.From, 10))
		again := t.conn.retries()
		for {
			err := s.follow(ctx, again)
			if s.done {
				return
			}
			if err == nil {
				err = io.ErrUnexpectedEOF // the server has ended it
			}
			if cause := ctx.Err(); cause != nil {
				yield(custody.Entry{}, cause)
				return
			}
			if again.worth(err, false) {
				if s.reached {
					again.until = time.Now().Add(max(again.conn.retryFor, maxSilence)) // for ever
				}
				err = again.wait(ctx, err)
			}
			if err != nil {
				if cause := ctx.Err(); cause != nil {
					err = cause
				}
				yield(custody.Entry{}, unfinal(err))
				return
			}
		}
	}
}

// maxSilence is longer than any delay that is waited between attempts.
const maxSilence = time.Hour

// subscription is where a subscription is.
type subscription struct {
	t       *Trail
	filter  url.Values
	left    int
	yield   func(custody.Entry, error) bool
	order   inOrder
	reached bool // the server has answered
	done    bool // nobody wants more
}

// follow reads one stream until it ends.
func (s *subscription) follow(ctx context.Context, again *retries) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dead := time.AfterFunc(s.t.conn.silence, func() { cancel(errSilent) })
	defer dead.Stop()
	r := request{method: http.MethodGet, path: s.t.path("stream"), query: s.filter, long: true}
	if s.order.any {
		r.header = http.Header{"Last-Event-Id": {strconv.FormatUint(s.order.last, 10)}}
	}
	err := s.t.conn.attempt(ctx, &r, nil, func(resp *http.Response) error {
		s.reached = true
		again.progress()
		for m, err := range messages(&alive{resp.Body, dead, s.t.conn.silence}, maxAnswer) {
			if err != nil {
				return err
			}
			if err := s.take(&m); err != nil || s.done {
				return err
			}
		}
		return nil
	})
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

// take takes one message.
func (s *subscription) take(m *message) error {
	switch m.event {
	case "entry":
	case "problem":
		var p Problem
		if err := json.Unmarshal(m.data, &p); err != nil {
			return &finalError{err}
		}
		return &p
	default:
		return nil
	}
	var j entryJSON
	if err := json.Unmarshal(m.data, &j); err != nil {
		return &finalError{altered("%w", err)}
	}
	e, err := s.t.entry(&j)
	if err == nil {
		err = s.order.next(e.Index)
	}
	if err != nil {
		return &finalError{err}
	}
	s.left--
	s.done = !s.yield(e, nil) || s.left == 0
	return nil
}

// alive notes that something comes.
type alive struct {
	r       io.Reader
	dead    *time.Timer
	silence time.Duration
}

func (a *alive) Read(b []byte) (int, error) {
	n, err := a.r.Read(b)
	a.dead.Reset(a.silence)
	return n, err
}
