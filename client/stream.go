package client

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// streamRoom is how many bytes of events of a stream wait for their answers.
const streamRoom = 8 << 20

// RecordEach records any number of events, each for itself, over one connection: a
// stream of NDJSON. For each event it yields the receipt, or why it was refused (a
// *custody.BatchError with its position), in order, and goes on behind one that was
// refused. Any other error ends it; then the events for which nothing was yielded may
// be recorded or not.
//
// events is called on another goroutine, and is ahead of what is yielded by at most 8
// MiB of events; when the loop is left early, it may give one event more. When the
// connection breaks, what was not answered is sent again. Receipts have no proofs.
func (t *Trail) RecordEach(ctx context.Context, events iter.Seq[event.Event]) iter.Seq2[custody.Receipt, error] {
	return func(yield func(custody.Receipt, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		s := &flow{t: t, yield: yield, offered: make(chan offered), room: semaphore.NewWeighted(streamRoom)}
		defer cancel()
		go s.feed(ctx, events)
		again := t.conn.retries()
		for {
			err := s.send(ctx, again)
			if err == nil || s.stopped {
				return
			}
			if again.worth(err, false) {
				err = again.wait(ctx, err)
			}
			if err != nil {
				yield(custody.Receipt{}, unfinal(err))
				return
			}
		}
	}
}

// offered is an event on its way through a stream, or why it cannot be sent.
type offered struct {
	outgoing
	err  error
	size int64
}

// flow is a stream of events that are recorded.
type flow struct {
	t       *Trail
	yield   func(custody.Receipt, error) bool
	offered chan offered
	room    *semaphore.Weighted

	mu      sync.Mutex
	waiting []offered // guarded by mu: without an answer, in order
	ended   bool      // guarded by mu: there are no more

	position int  // of the first that waits
	stopped  bool // nobody wants more
}

// feed hands events over as there is room for them.
func (s *flow) feed(ctx context.Context, events iter.Seq[event.Event]) {
	defer close(s.offered)
	for e := range events {
		var o offered
		o.outgoing, o.err = s.t.outgoing(e)
		o.size = min(int64(len(o.text)), streamRoom)
		if s.room.Acquire(ctx, o.size) != nil {
			return
		}
		select {
		case s.offered <- o:
		case <-ctx.Done():
			return
		}
	}
}

// send sends what waits, and what is offered, over one connection. It returns nil when
// everything was answered.
func (s *flow) send(ctx context.Context, again *retries) error {
	ctx, cancel := context.WithCancel(ctx)
	body, w := io.Pipe()
	var writing sync.WaitGroup
	writing.Go(func() { w.CloseWithError(s.write(ctx, w)) })
	defer writing.Wait()
	defer body.Close()
	defer cancel()
	r := request{method: http.MethodPost, path: s.t.path("events"), query: s.t.strict(), header: http.Header{"Content-Type": {"application/x-ndjson"}}}
	req, err := s.t.conn.new(ctx, &r, body)
	if err != nil {
		return &finalError{err}
	}
	resp, err := s.t.conn.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := answered(resp); err != nil {
		return err
	}
	return s.read(resp.Body, again)
}

// write writes lines until there are no more.
func (s *flow) write(ctx context.Context, w io.Writer) error {
	s.mu.Lock()
	before := append([]offered(nil), s.waiting...)
	s.mu.Unlock()
	out := bufio.NewWriterSize(w, 64<<10)
	line := func(o *offered) error {
		if o.err != nil {
			return nil // the server does not get to see it
		}
		_, err := out.Write(append(o.text, '\n'))
		return err
	}
	for i := range before {
		if err := line(&before[i]); err != nil {
			return err
		}
	}
	for {
		var o offered
		ok := true
		select {
		case o, ok = <-s.offered:
		default:
			if err := out.Flush(); err != nil {
				return err
			}
			select {
			case o, ok = <-s.offered:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		s.mu.Lock()
		if s.ended = s.ended || !ok; ok {
			s.waiting = append(s.waiting, o)
		}
		s.mu.Unlock()
		if !ok {
			return out.Flush()
		}
		if err := line(&o); err != nil {
			return err
		}
	}
}

// read reads answers until the server has given the last.
func (s *flow) read(r io.Reader, again *retries) error {
	answers := json.NewDecoder(r)
	for n := 1; ; n++ {
		if !s.refused() {
			return nil
		}
		var answer struct {
			Line    int          `json:"line"`
			Receipt *receiptJSON `json:"receipt"`
			Error   *Problem     `json:"error"`
		}
		err := answers.Decode(&answer)
		if err == io.EOF {
			if s.refused(); s.stopped || s.whole() {
				return nil
			}
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		if p := answer.Error; p != nil && p.Status >= http.StatusInternalServerError {
			return p // it ends the stream
		}
		if !s.refused() { // what stands before the answered one
			return nil
		}
		o, ok := s.first()
		if !ok || answer.Line != n || (answer.Receipt == nil) == (answer.Error == nil) {
			return &finalError{altered("line %d of it answers no event that was sent", n)}
		}
		var receipt custody.Receipt
		if answer.Error != nil {
			err = &custody.BatchError{Position: s.position, Err: answer.Error}
		} else if receipt, err = s.t.receiptOf(&o.outgoing, answer.Receipt); err != nil {
			return &finalError{err}
		}
		again.progress()
		if !s.settle(receipt, err) {
			return nil
		}
	}
}

// first returns the event that has waited longest.
func (s *flow) first() (o offered, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return o, false
	}
	return s.waiting[0], true
}

// whole reports whether everything was answered.
func (s *flow) whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended && len(s.waiting) == 0
}

// settle yields the result of the event that has waited longest.
func (s *flow) settle(r custody.Receipt, err error) bool {
	s.mu.Lock()
	s.room.Release(s.waiting[0].size)
	s.waiting = s.waiting[1:]
	s.mu.Unlock()
	s.position++
	s.stopped = !s.yield(r, err)
	return !s.stopped
}

// refused yields what could not be sent, as far as it is next. It reports whether more
// is wanted.
func (s *flow) refused() bool {
	for {
		o, ok := s.first()
		if !ok || o.err == nil {
			return true
		}
		if !s.settle(custody.Receipt{}, &custody.BatchError{Position: s.position, Err: o.err}) {
			return false
		}
	}
}
