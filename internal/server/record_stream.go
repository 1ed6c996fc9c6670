package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/wire"
)

// recordedLine is what is answered to one line of a stream: one of the two.
type recordedLine struct {
	Line    int           `json:"line" doc:"Number of the line of the request, from 1"`
	Receipt *wire.Receipt `json:"receipt,omitempty"`
	Error   *Problem      `json:"error,omitempty"`
}

const (
	streamBatch = 1000    // lines that are recorded at once
	streamRoom  = 8 << 20 // bytes of one stream that are in memory, beside one line
)

// line is one line of a stream on its way into the trail.
type line struct {
	number int
	size   int64 // bytes that it takes of the room
	err    error // it has no event, since it is refused
}

// lineBatch is lines that come one after the other, and the events of those that have one.
type lineBatch struct {
	lines  []line
	events []event.Event
}

func (l *lineBatch) reset() {
	clear(l.lines)
	clear(l.events)
	l.lines, l.events = l.lines[:0], l.events[:0]
}

// refuse refuses all of them.
func (l *lineBatch) refuse(err error) {
	for i := range l.lines {
		l.lines[i].err = err
	}
	clear(l.events)
	l.events = l.events[:0]
}

// arrivals are the lines that were read and are not being recorded yet. One goroutine
// puts, another takes.
type arrivals struct {
	came chan struct{} // holds a value when there may be lines, or the end
	left chan struct{} // holds a value when there may be room

	mu      sync.Mutex
	waiting lineBatch
	ended   bool
}

func newArrivals() *arrivals {
	return &arrivals{came: make(chan struct{}, 1), left: make(chan struct{}, 1)}
}

// put adds a line, with its event unless it is refused. It waits for room, and reports
// whether there was some before ctx ended.
func (a *arrivals) put(ctx context.Context, l line, e *event.Event) bool {
	for {
		a.mu.Lock()
		n := len(a.waiting.lines)
		if n < streamBatch {
			a.waiting.lines = append(a.waiting.lines, l)
			if l.err == nil {
				a.waiting.events = append(a.waiting.events, *e)
			}
		}
		a.mu.Unlock()
		if n == 0 {
			wake(a.came)
		}
		if n < streamBatch {
			return true
		}
		select {
		case <-a.left:
		case <-ctx.Done():
			return false
		}
	}
}

// end says that no more lines come.
func (a *arrivals) end() {
	a.mu.Lock()
	a.ended = true
	a.mu.Unlock()
	wake(a.came)
}

// take waits for lines and swaps them for those in l. It reports false at the end.
func (a *arrivals) take(l *lineBatch) bool {
	l.reset()
	for {
		a.mu.Lock()
		*l, a.waiting = a.waiting, *l
		ended := a.ended
		a.mu.Unlock()
		if len(l.lines) > 0 {
			wake(a.left)
			return true
		}
		if ended {
			return false
		}
		<-a.came
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it will look anyway
	}
}

// recordStream records what comes, as it comes, and answers each line once its event
// is on the disk. While the trail has no room it waits, and so does the client.
func (s *Server) recordStream(w http.ResponseWriter, r *http.Request, t *trails.Trail, strict bool) {
	control := http.NewResponseController(w)
	control.EnableFullDuplex() // HTTP/2 always is
	w.Header().Set("Content-Type", typeNDJSON)
	ctx, cancel := context.WithCancel(asSender(r.Context()))
	defer cancel()
	arriving := newArrivals()
	room, own := s.intake.room(t.Name), semaphore.NewWeighted(min(streamRoom, s.limits.Pending))
	go func() {
		defer arriving.end()
		s.readLines(ctx, r, t, strict, func(l line, e *event.Event) bool {
			l.size = min(l.size, streamRoom, s.limits.Pending)
			if own.Acquire(ctx, l.size) != nil {
				return false
			}
			if room.Acquire(ctx, l.size) != nil {
				own.Release(l.size)
				return false
			}
			if !arriving.put(ctx, l, e) {
				own.Release(l.size)
				room.Release(l.size)
				return false
			}
			return true
		})
	}()
	out := bufio.NewWriter(w)
	var batch lineBatch
	failed := false
	for arriving.take(&batch) {
		if !failed {
			if err := s.recheck(r); err != nil {
				batch.refuse(err)
				failed = true
			}
			failed = s.recordLines(ctx, t, &batch, out) || failed
			if errors.Join(out.Flush(), control.Flush()) != nil || failed {
				failed = true // nobody reads on, or there is no use in going on
				control.SetReadDeadline(time.Now())
				cancel()
			}
		}
		size := int64(0)
		for i := range batch.lines {
			size += batch.lines[i].size
		}
		own.Release(size)
		room.Release(size)
	}
}

// readLines reads the lines of a body, and yields each with the event in it.
func (s *Server) readLines(ctx context.Context, r *http.Request, t *trails.Trail, strict bool, yield func(line, *event.Event) bool) {
	last := 0
	for rec, err := range ingest.Records(r.Body, ingest.Source{Name: "body", MaxRecord: s.limits.Line}, ingest.Framing{}) {
		l := line{number: rec.Line, size: int64(len(rec.Text)), err: err}
		var e event.Event
		switch {
		case err != nil: // nothing comes behind it
			l.number = last + 1
		case !rec.Whole():
			l.err = newProblem(http.StatusRequestEntityTooLarge, "too_large", "the line has %d bytes, more than the %d that one may have", rec.Size, s.limits.Line)
		default:
			if e, l.err = readEvent(rec.Text, strict); l.err == nil {
				l.err = s.admit(ctx, t, &e, rec.Text)
			}
		}
		last = l.number
		if !yield(l, &e) || err != nil {
			return
		}
	}
}

// recordLines records the events of some lines and writes the answers. It reports
// whether one was refused for a reason that is not in the line.
func (s *Server) recordLines(ctx context.Context, t *trails.Trail, batch *lineBatch, out *bufio.Writer) (failed bool) {
	var results []result
	if len(batch.events) > 0 {
		results = recordEach(ctx, t, batch.events)
	}
	var receipts wire.ReceiptEncoder
	next := 0
	for i := range batch.lines {
		l := &batch.lines[i]
		var res result
		if l.err == nil {
			res = results[next]
			next++
			l.err = res.err
		}
		if l.err != nil {
			s.refuse(ctx, t.Name, l.err)
			p := s.problem(ctx, l.err)
			failed = failed || p.Status >= 500
			json.NewEncoder(out).Encode(recordedLine{Line: l.number, Error: p})
			continue
		}
		b := append(out.AvailableBuffer(), `{"line":`...)
		b = strconv.AppendInt(b, int64(l.number), 10)
		b = append(b, `,"receipt":`...)
		b = receipts.Append(b, &res.receipt)
		out.Write(append(b, "}\n"...))
	}
	return failed
}
