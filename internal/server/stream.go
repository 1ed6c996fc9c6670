package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
)

// registerStream serves
//
//	GET /v1/trails/{trail}/stream
func (s *Server) registerStream() {
	op := huma.Operation{OperationID: "streamEvents", Method: http.MethodGet, Path: "/v1/trails/{trail}/stream", Tags: []string{"events"},
		Summary:     "Follow a trail (server-sent events)",
		Description: "Each entry that matches, once it is durable, in order, none twice and none left out: from from_index on, or else what is recorded from now on. The id of a message is the index of its entry, so a client that comes back with Last-Event-ID goes on exactly behind it. Comments show that the connection is alive.",
		Errors:      []int{400, 403, 404, 422, 503}}
	op.Responses = map[string]*huma.Response{"200": {Description: "Messages of type entry, whose data is an entry as JSON", Content: map[string]*huma.MediaType{
		"text/event-stream": {Schema: &huma.Schema{Type: "string"}}}}}
	operation(s, op, s.stream)
}

type streamInput struct {
	InTrail
	Filter
	WithoutText
	WithBytes
	LastEventID string `header:"Last-Event-ID" doc:"Index of the last entry that the client has"`

	from bool // from_index is given
}

// Resolve implements huma.Resolver: 0 is an index like any other.
func (in *streamInput) Resolve(ctx huma.Context) []error {
	in.from = ctx.Query("from_index") != ""
	return nil
}

func (s *Server) stream(ctx context.Context, in *streamInput) (*huma.StreamResponse, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(in.check("a stream"), in.mayAsk(auth.From(ctx), in.Trail)); err != nil {
		return nil, err
	}
	q, err := in.query("query")
	if err != nil {
		return nil, err
	}
	if in.To > 0 {
		return nil, invalid("query.to_index", "a stream has no end; list entries instead")
	}
	if !in.from {
		q.From = t.Size()
	}
	if in.LastEventID != "" {
		last, err := strconv.ParseUint(in.LastEventID, 10, 63)
		if err != nil {
			return nil, invalid("header.Last-Event-ID", "%.40q is no index of an entry", in.LastEventID)
		}
		q.From = last + 1
	}
	leave, err := s.follow()
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer leave()
		r, w := humago.Unwrap(hctx)
		s.send(r, w, t, q, in.WithBytes)
	}}, nil
}

// follow counts a follower, or says that there are too many.
func (s *Server) follow() (leave func(), err error) {
	select {
	case s.followers <- struct{}{}:
		return func() { <-s.followers }, nil
	default:
		return nil, newProblem(http.StatusServiceUnavailable, "followers", "%d clients follow trails already, as many as this server allows; try again later", cap(s.followers)).again(10)
	}
}

// next is what a subscription yields.
type next struct {
	entry custody.Entry
	err   error
}

// send sends what a subscription yields, until the client goes, its credentials are good
// no more, or the server stops.
func (s *Server) send(r *http.Request, w http.ResponseWriter, t *trails.Trail, q custody.Query, with WithBytes) {
	ctx, cancel := s.untilStopped(r.Context())
	defer cancel()
	reader := s.readerOf(ctx, t.Name, with)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy is not to keep it back
	control := http.NewResponseController(w)
	write := func(b []byte) bool {
		_, err := w.Write(b)
		return errors.Join(err, control.Flush()) == nil
	}
	if !write([]byte(": the trail is followed\n\n")) {
		return
	}
	entries := make(chan next)
	go func() {
		defer close(entries)
		for e, err := range t.Subscribe(ctx, q) {
			select {
			case entries <- next{e, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	heartbeat := time.NewTicker(s.limits.Heartbeat)
	defer heartbeat.Stop()
	var b bytes.Buffer
	fail := func(err error) {
		p, _ := json.Marshal(s.problem(ctx, err)) // it has no value that JSON has not
		fmt.Fprintf(&b, "event: problem\ndata: %s\n\n", p)
		write(b.Bytes())
	}
	for {
		b.Reset()
		select {
		case n, ok := <-entries:
			switch {
			case !ok || ctx.Err() != nil:
				return
			case n.err != nil:
				fail(n.err)
				return
			}
			if err := s.recheck(r); err != nil {
				fail(err)
				return
			}
			fmt.Fprintf(&b, "id: %d\nevent: entry\ndata: ", n.entry.Index)
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			enc.Encode(reader.entry(&n.entry)) // into memory; it ends the line
			b.WriteByte('\n')
			if !write(b.Bytes()) {
				return
			}
			heartbeat.Reset(s.limits.Heartbeat)
		case <-heartbeat.C:
			if err := s.recheck(r); err != nil {
				fail(err)
				return
			}
			if !write([]byte(": still here\n\n")) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
