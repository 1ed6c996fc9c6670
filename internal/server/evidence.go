package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/wire"
	"github.com/custodylog/custody/tiles"
)

// registerEvidence serves
//
//	GET /v1/trails/{trail}/checkpoint
//	GET /v1/trails/{trail}/keys
//	GET /v1/trails/{trail}/bundle
//	POST /v1/trails/{trail}/bundle
func (s *Server) registerEvidence() {
	operation(s, huma.Operation{OperationID: "getCheckpoint", Method: http.MethodGet, Path: "/v1/trails/{trail}/checkpoint", Tags: []string{"evidence"},
		Summary: "Get the newest signed checkpoint (C2SP tlog-checkpoint)", Description: "Kept where the server cannot change it, it later proves that the trail still holds what it covers.",
		Errors: []int{403, 404}}, s.getCheckpoint)
	operation(s, huma.Operation{OperationID: "listKeys", Method: http.MethodGet, Path: "/v1/trails/{trail}/keys", Tags: []string{"evidence"},
		Summary: "List the keys that the trail was signed with, the first one first", Description: "It is what the trail says of itself.", Errors: []int{403, 404}}, s.listKeys)
	bundle := huma.Operation{OperationID: "getBundle", Method: http.MethodGet, Path: "/v1/trails/{trail}/bundle", Tags: []string{"evidence"},
		Summary: "Get events with all that is needed to check them, as one file (docs/format/bundle.md)", Description: "That it was handed out is an event of the trail system.", Errors: []int{403, 404, 422}}
	bundle.Responses = map[string]*huma.Response{"200": {Description: "An evidence bundle", Content: map[string]*huma.MediaType{
		"application/zip": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}}
	operation(s, bundle, s.getBundle)
	bundle.OperationID, bundle.Method, bundle.Errors = "makeBundle", http.MethodPost, []int{400, 403, 404, 415, 422}
	bundle.Summary = "Get such a file with a trust policy in it, or for a question that is too long for an address"
	operation(s, bundle, s.makeBundle)
}

func (s *Server) getCheckpoint(ctx context.Context, in *InTrail) (*bytesOutput, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	signed, err := t.Checkpoint(ctx)
	return &bytesOutput{"text/plain; charset=utf-8", signed}, err
}

func (s *Server) listKeys(ctx context.Context, in *InTrail) (*struct {
	Body struct {
		Keys []wire.Key `json:"keys"`
	}
}, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	out := &struct {
		Body struct {
			Keys []wire.Key `json:"keys"`
		}
	}{}
	out.Body.Keys, err = wire.KeysOf(ctx, t.Trail)
	return out, err
}

func (s *Server) getBundle(ctx context.Context, in *struct {
	InTrail
	Filter
	Question string `query:"question" doc:"What the bundle answers, in the words of a person"`
}) (*huma.StreamResponse, error) {
	q, err := in.query("query")
	if err != nil {
		return nil, err
	}
	return s.bundle(ctx, in.Trail, "query", custody.BundleOptions{Query: q, Text: in.Question})
}

func (s *Server) makeBundle(ctx context.Context, in *struct {
	InTrail
	Body struct {
		Query    Filter `json:"query" required:"false" doc:"Which events. Without it, all"`
		Question string `json:"question,omitempty" doc:"What the bundle answers, in the words of a person"`
		Policy   string `json:"policy,omitempty" maxLength:"65536" doc:"A trust policy (C2SP tlog-policy) to go with it; its reader should have it from elsewhere"`
	}
}) (*huma.StreamResponse, error) {
	q, err := in.Body.Query.query("body.query")
	if err != nil {
		return nil, err
	}
	opts := custody.BundleOptions{Query: q, Text: in.Body.Question}
	if in.Body.Policy != "" {
		t, err := s.trails.Get(in.Trail)
		if err != nil {
			return nil, err
		}
		policy, err := evidence.ParsePolicy([]byte(in.Body.Policy))
		if err != nil {
			return nil, invalid("body.policy", "%s", err)
		}
		if !slices.ContainsFunc(policy.Logs(), func(log note.Verifier) bool { return log.Name() == t.Origin() }) {
			return nil, invalid("body.policy", "it has no key of the log %q, so the bundle would not check out", t.Origin())
		}
		opts.Policy = []byte(in.Body.Policy)
	}
	return s.bundle(ctx, in.Trail, "body.query", opts)
}

// bundle answers with a bundle. where is the place of the query in the request.
func (s *Server) bundle(ctx context.Context, trail, where string, opts custody.BundleOptions) (_ *huma.StreamResponse, err error) {
	t, err := s.trails.Get(trail)
	if err != nil {
		return nil, err
	}
	q := opts.Query
	switch {
	case !q.OccurredSince.IsZero() || !q.OccurredUntil.IsZero():
		return nil, invalid(where, "a bundle is not by when events happened, which their producers say; give since and until")
	case len(q.Types) > 1:
		return nil, invalid(where+".event_type", "a bundle is about one type at most")
	}
	// A file, since what is wrong shows only while it is written.
	f, err := os.CreateTemp("", "custody-bundle-*.zip")
	if err != nil {
		return nil, err
	}
	drop := func() { f.Close(); os.Remove(f.Name()) }
	if err := t.Bundle(ctx, f, opts); err != nil {
		drop()
		return nil, err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	members, merr := q.Members()
	if err = errors.Join(err, merr); err != nil {
		drop()
		return nil, err
	}
	s.note(ctx, event.Event{Type: event.ExportCreated, Details: map[string]any{"what": "evidence bundle of trail " + t.Name, "trail": t.Name, "format": "bundle", "query": members, "by": sender(ctx)}})
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer drop()
		_, w := humago.Unwrap(hctx)
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", t.Name+"-evidence.zip"))
		io.Copy(w, f) // an error means that the client is gone
	}}, nil
}

// registerLog serves each trail as a C2SP tiled log:
//
//	GET /t/{trail}/checkpoint
//	GET /t/{trail}/tile/…
func (s *Server) registerLog() {
	s.document(&huma.Operation{
		OperationID: "getLog", Method: http.MethodGet, Path: "/t/{trail}/{path}", Tags: []string{"evidence"},
		Summary:     "Read the trail as a tiled log (C2SP tlog-tiles)",
		Description: "path is checkpoint, or that of a tile or entry bundle, such as tile/0/000 or tile/entries/000. Entries hold no payloads. The checkpoint is the newest that witnesses cosigned, if any did.",
		Parameters: []*huma.Param{
			{Name: "trail", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}, Description: "Name of the trail"},
			{Name: "path", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}, Description: "It may have slashes"},
		},
		Responses: map[string]*huma.Response{"200": {Description: "A checkpoint, tile or entry bundle", Content: map[string]*huma.MediaType{
			"text/plain":               {Schema: &huma.Schema{Type: "string"}},
			"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}},
		}}},
	}, 403, 404)
	s.HandleFunc("GET /t/{trail}/{path...}", func(w http.ResponseWriter, r *http.Request) {
		t, err := s.trails.Get(r.PathValue("trail"))
		if err != nil {
			s.fail(w, r, err)
			return
		}
		http.StripPrefix("/t/"+t.Name, tiles.NewHandler(t.Trail, s.log)).ServeHTTP(w, r)
	})
}
