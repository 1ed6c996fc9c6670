package witness

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody/evidence"
)

// The limits of an add-checkpoint request: the protocol's for the proof, and the
// bytes of an old size line, a whole proof, an empty line and a checkpoint.
const (
	maxProof       = 63
	maxRequestSize = len("old \n") + 20 + maxProof*(44+1) + len("\n") + evidence.MaxCheckpointSize
)

// request is the body of an add-checkpoint request (C2SP tlog-witness).
type request struct {
	old        uint64          // size of the checkpoint that was cosigned last
	proof      []evidence.Hash // that the new one continues it
	checkpoint []byte          // the new one, signed
}

// append appends the text of the request.
func (r *request) append(dst []byte) []byte {
	dst = fmt.Appendf(dst, "old %d\n", r.old)
	for _, h := range r.proof {
		dst = fmt.Appendf(dst, "%s\n", h)
	}
	dst = append(dst, '\n')
	return append(dst, r.checkpoint...)
}

// parseRequest reads what append writes, and no other spelling of it. It leaves
// the checkpoint as it is.
func parseRequest(body []byte) (request, error) {
	var r request
	head, checkpoint, ok := bytes.Cut(body, []byte("\n\n"))
	if !ok {
		return r, errors.New("request has no empty line before the checkpoint")
	}
	lines := strings.Split(string(head), "\n")
	size, ok := strings.CutPrefix(lines[0], "old ")
	if !ok {
		return r, fmt.Errorf("line 1: %.40q is not an old size: expected \"old \" and a number", lines[0])
	}
	old, err := parseSize(size)
	if err != nil {
		return r, fmt.Errorf("line 1: %w", err)
	}
	proof := lines[1:]
	if len(proof) > maxProof {
		return r, fmt.Errorf("the consistency proof has %d lines, more than %d", len(proof), maxProof)
	}
	for i, line := range proof {
		h, err := tlog.ParseHash(line)
		if err != nil || h.String() != line { // base64 has several spellings
			return r, fmt.Errorf("line %d: %.60q is not the base64 of a hash", i+2, line)
		}
		r.proof = append(r.proof, h)
	}
	r.old, r.checkpoint = old, checkpoint
	return r, nil
}

// parseSize reads a tree size in decimal, without leading zeros.
func parseSize(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%.40q is not a tree size in decimal", s)
	}
	return n, nil
}
