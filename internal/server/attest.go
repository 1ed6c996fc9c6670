package server

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody/internal/wire"
)

// registerAttesting serves
//
//	POST /v1/trails/{trail}/cosign
//	POST /v1/trails/{trail}/timestamp
func (s *Server) registerAttesting() {
	const trail = "/v1/trails/{trail}"
	operation(s, huma.Operation{OperationID: "cosign", Method: http.MethodPost, Path: trail + "/cosign", Tags: []string{"evidence"},
		Summary: "Have the configured witnesses cosign the newest checkpoint now", Description: "The server does it by itself, too, while the trail grows. A witness that did not cosign is in the answer; that none did is an error.",
		Errors: []int{403, 404, 409, 502, 503}}, s.cosign)
	operation(s, huma.Operation{OperationID: "timestamp", Method: http.MethodPost, Path: trail + "/timestamp", Tags: []string{"evidence"},
		Summary: "Have the configured authority time-stamp the checkpoint that outsiders are shown (RFC 3161) now", Description: "The server does it by itself, too, while the trail grows. One that has a time-stamp gets no other one.",
		Errors: []int{403, 404, 409, 502, 503}}, s.timestamp)
}

func (s *Server) cosign(ctx context.Context, in *InTrail) (*struct{ Body wire.Cosigned }, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	w := s.trails.Witnessing()
	if w == nil {
		return nil, notConfigured("no witnesses are configured, so nobody was asked; witnesses.policy in the configuration of the server names them")
	}
	asked := *w
	if policy, err := s.policyFor(ctx, t); err != nil {
		return nil, err
	} else if policy != nil {
		asked.Policy = policy // it knows the trail, without which there is no quorum
	}
	r, err := t.Cosign(ctx, asked)
	if err != nil {
		return nil, notAttested(err)
	}
	return &struct{ Body wire.Cosigned }{wire.CosignedOf(r)}, nil
}

// Stamped says what was time-stamped.
type Stamped struct {
	Size uint64 `json:"size" doc:"Entries that the checkpoint covers"`
}

func (s *Server) timestamp(ctx context.Context, in *InTrail) (*struct{ Body Stamped }, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	by := s.trails.Timestamping()
	if by == nil {
		return nil, notConfigured("no authority is configured, so nobody was asked; timestamps.url in the configuration of the server names one")
	}
	size, err := t.Timestamp(ctx, *by)
	if err != nil {
		return nil, notAttested(err)
	}
	return &struct{ Body Stamped }{Stamped{size}}, nil
}

func notConfigured(detail string) *Problem {
	return newProblem(http.StatusConflict, "not_configured", "%s", detail)
}

// notAttested says why nobody signed. What is wrong here, and not with those who were asked,
// is answered as it is anywhere.
func notAttested(err error) error {
	var file *fs.PathError
	var link *os.LinkError
	if errors.As(err, &file) || errors.As(err, &link) { // what they signed could not be kept
		return err
	}
	switch problemOf(err).Code {
	case "internal", "timeout", "slow", "cut_off":
		p := newProblem(http.StatusBadGateway, "not_attested", "%s", err)
		p.err = err
		return p
	}
	return err
}
