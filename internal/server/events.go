package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/textsearch"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/wire"
)

// registerEvents serves
//
//	GET /v1/trails/{trail}/events
//	GET /v1/trails/{trail}/events/{index}
//	GET /v1/trails/{trail}/events/{index}/entry
//	GET /v1/trails/{trail}/events/{index}/payload
//	GET /v1/trails/{trail}/events/{index}/proof
//	GET /v1/trails/{trail}/events/{index}/receipt
//	GET /v1/trails/{trail}/ids/{id}
func (s *Server) registerEvents() {
	const one = "/v1/trails/{trail}/events/{index}"
	operation(s, huma.Operation{OperationID: "listEvents", Method: http.MethodGet, Path: "/v1/trails/{trail}/events", Tags: []string{"events"},
		Summary:     "List entries",
		Description: "A page of the entries that match, as they are in the trail. The pages that lead on from one another (cursor) show the trail as it was at the first of them: they neither miss nor repeat anything, however much is recorded meanwhile. A page of a list with text or field may have few entries or none, and next all the same.",
		Errors:      []int{400, 403, 404, 422}}, s.listEvents)
	operation(s, huma.Operation{OperationID: "getEvent", Method: http.MethodGet, Path: one, Tags: []string{"events"},
		Summary: "Get an entry by its index", Errors: []int{403, 404, 410}}, s.getEvent)
	operation(s, huma.Operation{OperationID: "getEventByID", Method: http.MethodGet, Path: "/v1/trails/{trail}/ids/{id}", Tags: []string{"events"},
		Summary: "Get the entry of the event with an id", Errors: []int{403, 404}}, s.getEventByID)
	operation(s, huma.Operation{OperationID: "getEntryBytes", Method: http.MethodGet, Path: one + "/entry", Tags: []string{"evidence"},
		Summary: "Get the bytes of an entry, as they were hashed", Errors: []int{403, 404, 410}}, s.getEntryBytes)
	operation(s, huma.Operation{OperationID: "getPayloadBytes", Method: http.MethodGet, Path: one + "/payload", Tags: []string{"evidence"},
		Summary: "Get the bytes of a payload, as the entry commits to them", Errors: []int{403, 404, 410}}, s.getPayloadBytes)
	operation(s, huma.Operation{OperationID: "getProof", Method: http.MethodGet, Path: one + "/proof", Tags: []string{"evidence"},
		Summary: "Get a proof that the trail holds an entry (C2SP tlog-proof)", Errors: []int{403, 404, 410}}, s.getProof)
	operation(s, huma.Operation{OperationID: "getReceipt", Method: http.MethodGet, Path: one + "/receipt", Tags: []string{"evidence"},
		Summary: "Get a receipt of an entry", Description: "It need not be the one that the producer got: its checkpoint is the one that outsiders are shown (getLog) where that covers the entry, else the newest.", Errors: []int{403, 404, 410}}, s.getReceipt)
}

// maxWait is how long a long poll waits at most.
const maxWait = time.Minute

type listInput struct {
	InTrail
	Filter
	WithText
	WithBytes
	Newest bool   `query:"newest" doc:"The newest first. Default: the oldest"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Entries on a page"`
	Cursor string `query:"cursor" doc:"Goes on where a page before ended: its next. All other parameters but limit stay the same"`
	Mode   string `header:"Sec-Fetch-Mode" hidden:"true"`
	Export string `query:"export" enum:"ndjson,csv" doc:"The sender makes such a file of the list. That is an event (export_created) of the trail system, one for all pages of a list"`
	Wait   int    `query:"wait" minimum:"0" maximum:"60" doc:"Where nothing matches yet, wait up to so many seconds until something does"`
}

// entry is one entry as a reader gets it.
type entry struct {
	wire.Entry
	Withheld bool   `json:"withheld,omitempty" doc:"There is a payload that the reader may not read"`
	Bytes    string `json:"entry,omitempty" doc:"With bytes=true: the bytes that hash is of (docs/format/entry.md)"`
	Salt     []byte `json:"salt,omitempty" doc:"With bytes=true: what the entry's commitment to the payload was made with"`
}

// WithBytes asks for what a reader needs to check entries.
type WithBytes struct {
	Bytes bool `query:"bytes" doc:"With each entry also the bytes that were hashed, and the salt of its payload, so that it can be checked"`
}

// entry makes what the reader gets of an entry.
func (r reader) entry(e *custody.Entry) entry {
	shown := *e
	if !r.payloads {
		shown.Payload, shown.Salt = nil, nil
	}
	r.read(&shown)
	j := entry{Entry: wire.EntryOf(&shown), Withheld: e.Payload != nil && shown.Payload == nil}
	if r.bytes {
		j.Bytes, j.Salt = string(shown.Envelope), shown.Salt
	}
	return j
}

type page struct {
	Entries  []entry `json:"entries"`
	Next     string  `json:"next,omitempty" doc:"Cursor of the page behind this one; left out on the last one"`
	Size     uint64  `json:"size" doc:"Entries of the trail that the list is of"`
	NextFrom *uint64 `json:"next_from,omitempty" doc:"On the last page of a list with the oldest first: from_index of a list of what is recorded later"`

	Search *searched `json:"search,omitempty" doc:"With text or field: how far was looked for it"`
}

type pageOutput struct{ Body page }

func (s *Server) listEvents(ctx context.Context, in *listInput) (*pageOutput, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(in.maySearch(auth.From(ctx), in.Trail), in.mayAsk(auth.From(ctx), in.Trail)); err != nil {
		return nil, err
	}
	q, err := in.query("query")
	if err != nil {
		return nil, err
	}
	if _, err := textsearch.Parse(in.Text); err != nil {
		return nil, invalid("query.text", "%s", err)
	}
	if _, err := in.fields(); err != nil {
		return nil, err
	}
	if in.Wait > 0 && (in.Newest || in.Cursor != "" || in.given()) {
		return nil, invalid("query.wait", "waits for what comes, so it goes neither with newest nor with cursor, and not with text or field, which look at what is there")
	}
	q.Newest = in.Newest
	c := cursor{size: t.Size()}
	if c.of, err = listID(in.Trail, &in.Filter, &in.WithText, in.Newest); err != nil {
		return nil, err
	}
	if in.Cursor != "" {
		given, err := parseCursor(in.Cursor)
		if err != nil {
			return nil, err
		}
		if given.of != c.of {
			return nil, invalid("query.cursor", "the cursor is of another list: of another trail, with another filter, text or order")
		}
		c, q = given, given.restrict(q)
	} else {
		if in.Export != "" {
			if in.Mode == "navigate" { // a page of anybody's may lead a browser here
				return nil, invalid("query.export", "it is for programs; the web page has exports of its own")
			}
			s.noteExport(ctx, in, &q)
		}
		q.To = min(limitOf(q.To), c.size)
	}
	bounded, cancel := context.WithTimeout(ctx, s.limits.Request)
	defer cancel()
	if in.given() {
		p, err := s.searchPage(bounded, t, q, c, in)
		return &pageOutput{p}, err
	}
	p, err := s.page(bounded, t, q, c, in)
	if err != nil || len(p.Entries) > 0 || in.Wait == 0 {
		return &pageOutput{p}, err
	}
	// What matches comes after all that was there.
	if q.From, err = s.await(ctx, t, q, c.size, min(time.Duration(in.Wait)*time.Second, maxWait)); err != nil {
		return nil, err
	}
	c.size = t.Size()
	q.To = min(limitOf(in.To), c.size)
	bounded, cancel = context.WithTimeout(ctx, s.limits.Request)
	defer cancel()
	p, err = s.page(bounded, t, q, c, in)
	return &pageOutput{p}, err
}

// maxPageBytes is how many bytes of payloads are on a page, beside one.
const maxPageBytes = 8 << 20

// page gives the part of a list that a query finds.
func (s *Server) page(ctx context.Context, t *trails.Trail, q custody.Query, c cursor, in *listInput) (page, error) {
	p := page{Entries: []entry{}, Size: c.size}
	if q.From >= q.To {
		return s.lastPage(p, q), nil
	}
	reader, bytes := s.readerOf(ctx, t.Name, in.WithBytes), 0
	q.Limit = in.Limit + 1 // one more shows that there is more
	for e, err := range t.Entries(ctx, q) {
		if err != nil {
			return p, err
		}
		if bytes += len(e.Payload); len(p.Entries) == in.Limit || bytes > maxPageBytes && len(p.Entries) > 0 {
			p.Next = c.String()
			return p, nil
		}
		p.Entries = append(p.Entries, reader.entry(&e))
		c.index = e.Index
	}
	return s.lastPage(p, q), nil
}

func (s *Server) lastPage(p page, q custody.Query) page {
	if !q.Newest {
		from := max(p.Size, q.From)
		p.NextFrom = &from
	}
	return p
}

// await waits until an entry matches that comes after the first size ones. It returns
// the index from which on a list has it; where none did in time, that of what was not
// looked at.
func (s *Server) await(ctx context.Context, t *trails.Trail, q custody.Query, size uint64, wait time.Duration) (uint64, error) {
	q.From, q.Limit = max(q.From, size), 1
	leave, err := s.follow()
	if err != nil {
		return q.From, err
	}
	defer leave()
	ctx, cancel := s.untilStopped(ctx)
	defer cancel()
	ctx, cancelWait := context.WithTimeout(ctx, wait)
	defer cancelWait()
	for e, err := range t.Subscribe(ctx, q) {
		if err == nil {
			return e.Index, nil
		}
		if ctx.Err() == nil && !errors.Is(err, custody.ErrClosed) {
			return q.From, err
		}
	}
	return q.From, nil
}

type IndexInput struct {
	InTrail
	Index uint64 `path:"index" doc:"Index of the entry, from 0"`
}

type entryOutput struct{ Body entry }

func (s *Server) entryAt(ctx context.Context, in *IndexInput) (*trails.Trail, custody.Entry, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, custody.Entry{}, err
	}
	e, err := t.Entry(ctx, in.Index)
	return t, e, err
}

func (s *Server) getEvent(ctx context.Context, in *struct {
	IndexInput
	WithBytes
}) (*entryOutput, error) {
	_, e, err := s.entryAt(ctx, &in.IndexInput)
	if err != nil {
		return nil, err
	}
	return &entryOutput{s.readerOf(ctx, in.Trail, in.WithBytes).entry(&e)}, nil
}

func (s *Server) getEventByID(ctx context.Context, in *struct {
	InTrail
	WithBytes
	ID string `path:"id" maxLength:"1024"`
}) (*entryOutput, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	e, err := t.EntryByID(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &entryOutput{s.readerOf(ctx, in.Trail, in.WithBytes).entry(&e)}, nil
}

// bytesOutput is an answer that is no JSON of huma's.
type bytesOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *Server) getEntryBytes(ctx context.Context, in *IndexInput) (*bytesOutput, error) {
	_, e, err := s.entryAt(ctx, in)
	return &bytesOutput{typeJSON, e.Envelope}, err
}

// heldAt returns an entry whose payload is held, and counts that somebody reads it.
func (s *Server) heldAt(ctx context.Context, in *IndexInput) (*trails.Trail, custody.Entry, error) {
	t, e, err := s.entryAt(ctx, in)
	if err == nil && e.Payload == nil {
		err = fmt.Errorf("entry %d: %w", in.Index, custody.ErrErased)
	}
	if err == nil {
		s.readerOf(ctx, in.Trail, WithBytes{}).read(&e)
	}
	return t, e, err
}

func (s *Server) getPayloadBytes(ctx context.Context, in *IndexInput) (*bytesOutput, error) {
	_, e, err := s.heldAt(ctx, in)
	return &bytesOutput{typeJSON, e.Payload}, err
}

func (s *Server) getReceipt(ctx context.Context, in *IndexInput) (*receiptOutput, error) {
	t, e, err := s.heldAt(ctx, in)
	if err != nil {
		return nil, err
	}
	ev, err := e.Event()
	if err != nil {
		return nil, err
	}
	signed, err := covering(ctx, t, e.Index)
	if err != nil {
		return nil, err
	}
	r := custody.Receipt{ID: ev.ID, Index: e.Index, Hash: e.Hash, Time: e.Time, Checkpoint: signed}
	return &receiptOutput{wire.ReceiptOf(&r)}, nil
}

// covering returns the checkpoint that outsiders are shown if it covers an entry, else
// the newest.
func covering(ctx context.Context, t *trails.Trail, index uint64) ([]byte, error) {
	signed, err := t.Published(ctx)
	if err != nil {
		return nil, err
	}
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil || index < c.Size {
		return signed, err
	}
	return t.Checkpoint(ctx)
}

func (s *Server) getProof(ctx context.Context, in *struct {
	IndexInput
	Payload bool `query:"payload" doc:"Disclose the payload too. Otherwise the proof shows only that something of this type was recorded"`
}) (*bytesOutput, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	return s.prove(ctx, t, in.Index, custody.ProveOptions{Payload: in.Payload})
}

// prove proves an entry to whoever sends the request.
func (s *Server) prove(ctx context.Context, t *trails.Trail, index uint64, opts custody.ProveOptions) (*bytesOutput, error) {
	if p := auth.From(ctx); opts.Payload && !p.May(auth.ReadPayloads, t.Name) {
		return nil, newProblem(http.StatusForbidden, "forbidden", "%s may not read payloads on trail %q; leave payload out", p.Name, t.Name)
	}
	proof, err := t.Prove(ctx, index, opts)
	if err != nil {
		return nil, err
	}
	if opts.Payload {
		s.reads.add(readBy{sender(ctx), t.Name}, index)
	}
	text, err := proof.Marshal()
	return &bytesOutput{"text/plain; charset=utf-8", text}, err
}
