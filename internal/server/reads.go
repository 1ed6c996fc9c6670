package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
)

// readsInterval is how long it takes at most until the reading of payloads is an event.
const readsInterval = 10 * time.Second

// reads counts which payloads were read by whom, so that many are one event.
type reads struct {
	mu      sync.Mutex
	pending map[readBy]*readRange // guarded by mu
}

type readBy struct{ principal, trail string }

type readRange struct{ first, last, count uint64 }

func (r *reads) add(by readBy, index uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil {
		r.pending = map[readBy]*readRange{}
	}
	have := r.pending[by]
	if have == nil {
		have = &readRange{first: index, last: index}
		r.pending[by] = have
	}
	have.first, have.last = min(have.first, index), max(have.last, index)
	have.count++
}

// take returns what was counted since the last time.
func (r *reads) take() map[readBy]*readRange {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.pending
	r.pending = nil
	return all
}

// tellReads records, now and then and when the server stops, which payloads were read,
// and what was refused.
func (s *Server) tellReads() {
	tick := time.NewTicker(readsInterval)
	defer tick.Stop()
	for s.stopped.Err() == nil {
		select {
		case <-tick.C:
		case <-s.stopped.Done():
		}
		s.noteReads()
		s.noteRefusals()
	}
}

func (s *Server) noteReads() {
	for by, r := range s.reads.take() {
		ctx := auth.With(context.Background(), &auth.Principal{Name: by.principal})
		s.note(ctx, event.Event{Type: event.AccessRead, Details: map[string]any{
			"what": "payloads of trail " + by.trail, "from_index": r.first, "to_index": r.last + 1, "count": r.count, "by": by.principal,
		}})
	}
}

// ReadByPage counts the payload of an entry that the web page shows to whoever sent r.
func (s *Server) ReadByPage(r *http.Request, trail string, e *custody.Entry) {
	s.readerOf(r.Context(), trail, WithBytes{}).read(e)
}

// noteExport records that whoever sends a request makes a file of a list.
func (s *Server) noteExport(ctx context.Context, in *listInput, q *custody.Query) {
	query, err := q.Members()
	if err != nil {
		s.log.ErrorContext(ctx, "custody: what an export is of is not recorded", "err", err)
		query = map[string]any{}
	}
	if in.Text != "" {
		query["text"] = in.Text
	}
	if fields, err := in.fields(); err == nil && len(fields) > 0 {
		query["fields"] = fields
	}
	s.note(ctx, event.Event{Type: event.ExportCreated, Details: map[string]any{
		"what": "entries of trail " + in.Trail, "trail": in.Trail, "format": in.Export, "query": query, "by": sender(ctx),
	}})
}

// ExportedByPage records that a file was made of a trail for whoever sent r: in which
// format, of what was asked for, and with how many entries. broken says that it is not
// whole.
func (s *Server) ExportedByPage(r *http.Request, trail, format string, query map[string]any, entries uint64, broken bool) {
	details := map[string]any{"what": "entries of trail " + trail, "trail": trail, "format": format, "query": query, "count": entries, "by": sender(r.Context())}
	if broken {
		details["broken"] = true
	}
	s.note(r.Context(), event.Event{Type: event.ExportCreated, Details: details})
}

// reader gives entries to whoever sends a request, and counts the payloads that are in
// them.
type reader struct {
	counts   *reads
	by       readBy
	payloads bool // it may read them
	bytes    bool // it wants what entries are checked by
}

func (s *Server) readerOf(ctx context.Context, trail string, with WithBytes) reader {
	return reader{&s.reads, readBy{sender(ctx), trail}, auth.From(ctx).May(auth.ReadPayloads, trail), with.Bytes}
}

// read counts the payload of an entry. That somebody read that payloads were read is
// not counted: whoever follows the trail system would never come to its end.
func (r reader) read(e *custody.Entry) {
	if e.Payload != nil && !(r.by.trail == trails.System && e.Type == event.AccessRead) {
		r.counts.add(r.by, e.Index)
	}
}
