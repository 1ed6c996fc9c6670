package server

import (
	"context"
	"net/http"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/cloudevents"
	"github.com/custodylog/custody/internal/trails"
)

// isCloudEvent reports whether the body of a request is made of CloudEvents: one in
// structured mode, a batch, or the data of one whose attributes are headers.
func isCloudEvent(r *http.Request) bool {
	switch mediaType(r) {
	case cloudevents.Structured, cloudevents.Batch:
		return true
	}
	return cloudevents.IsBinary(r.Header)
}

// recordCloudEvents records the CloudEvents of a request.
func (s *Server) recordCloudEvents(ctx context.Context, r *http.Request, t *trails.Trail, text []byte, strict bool) (status int, body []byte, err error) {
	admit := s.admitsUnsigned(ctx, t)
	admitted := func(e event.Event, notes []string, err error) (event.Event, error) {
		if err != nil {
			return e, unread(err)
		}
		if e, err = noted(e, notes, strict); err == nil {
			err = admit(&e)
		}
		return e, err
	}
	switch mediaType(r) {
	case cloudevents.Batch:
		events, err := s.readArray(text, func(element []byte) (event.Event, error) { return admitted(cloudevents.ParseStructured(element)) })
		if err != nil {
			return 0, nil, err
		}
		return recordAll(ctx, t, events)
	case cloudevents.Structured:
		e, err := admitted(cloudevents.ParseStructured(text))
		if err != nil {
			return 0, nil, err
		}
		return recordOne(ctx, t, e)
	default:
		e, err := admitted(cloudevents.ParseBinary(r.Header, text))
		if err != nil {
			return 0, nil, err
		}
		return recordOne(ctx, t, e)
	}
}
