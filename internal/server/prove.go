package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/trails"
)

// registerProofs serves
//
//	POST /v1/trails/{trail}/proofs
//	POST /v1/trails/{trail}/consistency-proofs
//
// They are posted, since checkpoints are too long for an address.
func (s *Server) registerProofs() {
	operation(s, huma.Operation{OperationID: "proveEntry", Method: http.MethodPost, Path: "/v1/trails/{trail}/proofs", Tags: []string{"evidence"},
		Summary:     "Get a proof that the trail holds an entry, against a checkpoint of your choice (C2SP tlog-proof)",
		Description: "Where the newest checkpoint will do, so does getProof.",
		Errors:      []int{400, 403, 404, 410, 415, 422}}, s.proveEntry)
	operation(s, huma.Operation{OperationID: "proveConsistency", Method: http.MethodPost, Path: "/v1/trails/{trail}/consistency-proofs", Tags: []string{"evidence"},
		Summary:     "Get a proof that the trail at an earlier checkpoint is the beginning of what it is at a later one (docs/format/proof.md)",
		Description: "Nothing before was changed, then.",
		Errors:      []int{400, 403, 404, 410, 415, 422}}, s.proveConsistency)
}

func (s *Server) proveEntry(ctx context.Context, in *struct {
	InTrail
	Body struct {
		Index      uint64 `json:"index" doc:"Index of the entry, from 0"`
		Payload    bool   `json:"payload,omitempty" doc:"Disclose the payload too. Otherwise the proof shows only that something of this type was recorded"`
		Checkpoint string `json:"checkpoint,omitempty" maxLength:"65536" doc:"Signed checkpoint of the trail. Without it, the newest that witnesses cosigned, if it covers the entry, else the newest"`
	}
}) (*bytesOutput, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	opts := custody.ProveOptions{Payload: in.Body.Payload}
	if in.Body.Checkpoint != "" {
		if opts.Checkpoint, err = checkpointOf(t, "body.checkpoint", in.Body.Checkpoint); err != nil {
			return nil, err
		}
	}
	return s.prove(ctx, t, in.Body.Index, opts)
}

func (s *Server) proveConsistency(ctx context.Context, in *struct {
	InTrail
	Body struct {
		Old string `json:"old" maxLength:"65536" doc:"The earlier signed checkpoint"`
		New string `json:"new,omitempty" maxLength:"65536" doc:"The later one. Without it, the newest"`
	}
}) (*bytesOutput, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	old, err := checkpointOf(t, "body.old", in.Body.Old)
	if err != nil {
		return nil, err
	}
	var latest []byte
	if in.Body.New != "" {
		if latest, err = checkpointOf(t, "body.new", in.Body.New); err != nil {
			return nil, err
		}
	}
	proof, err := t.ProveConsistency(ctx, old, latest)
	if err != nil {
		return nil, err
	}
	text, err := proof.Marshal()
	return &bytesOutput{"text/plain; charset=utf-8", text}, err
}

// checkpointOf refuses what is no checkpoint of the trail, as far as that can be seen
// of it alone: that it does not fit the trail must then not be taken for damage.
func checkpointOf(t *trails.Trail, where, text string) ([]byte, error) {
	c, err := evidence.PeekCheckpoint([]byte(text))
	if err != nil {
		return nil, invalid(where, "%s", err)
	}
	if c.Origin != t.Origin() {
		return nil, invalid(where, "it is a checkpoint of %q, and this trail is %q", c.Origin, t.Origin())
	}
	return []byte(text), nil
}
