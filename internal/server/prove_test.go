package server

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/custodylog/custody/evidence"
)

// Proofs are against the checkpoint that is given, and not against one of another trail.
func TestProofsOfChoice(t *testing.T) {
	s := newSite(t, Limits{})
	first := s.record(turn("t-1", "s-1"))
	second := s.record(turn("t-2", "s-1"))
	body := func(v any) string {
		b, err := json.Marshal(v)
		must(t, err)
		return string(b)
	}
	const proofs, consistency = "/v1/trails/default/proofs", "/v1/trails/default/consistency-proofs"

	p, err := evidence.ParseProof(s.do("POST", proofs, body(map[string]any{"index": 1, "checkpoint": first.Checkpoint})).want(200).body)
	must(t, err)
	if string(p.Checkpoint) != first.Checkpoint || p.Index != 1 {
		t.Errorf("proof %+v", p)
	}
	s.do("POST", proofs, body(map[string]any{"index": 2, "checkpoint": first.Checkpoint})).problem(404, "not_found")
	s.do("POST", proofs, body(map[string]any{"index": 1, "payload": true}), "Test-Roles", "reader").problem(403, "forbidden")

	c, err := evidence.ParseConsistencyProof(s.do("POST", consistency, body(map[string]any{"old": first.Checkpoint})).want(200).body)
	must(t, err)
	if string(c.New) != second.Checkpoint {
		t.Errorf("consistency with %q", c.New)
	}
	s.do("POST", consistency, body(map[string]any{"old": second.Checkpoint, "new": strings.Replace(first.Checkpoint, "example.org/default", "example.org/other", 1)})).problem(422, "invalid")
	s.do("POST", consistency, body(map[string]any{"old": strings.Replace(first.Checkpoint, "example.org/default", "example.org/other", 1)})).problem(422, "invalid")
}

// With bytes=true an entry has what it is checked by; the salt is for whoever may read
// the payload.
func TestEntriesWithBytes(t *testing.T) {
	s := newSite(t, Limits{})
	s.record(turn("t-1", "s-1"))
	e := decode[entry](s.do("GET", events+"/1?bytes=true", "").want(200))
	d := evidence.Disclosed{Entry: []byte(e.Bytes), Salt: e.Salt, Payload: e.Event}
	if _, err := d.Open(); err != nil || evidence.LeafHash(d.Entry).String() != e.Hash {
		t.Errorf("%+v: %v", e, err)
	}
	e = decode[entry](s.do("GET", events+"/1?bytes=true", "", "Test-Roles", "reader").want(200))
	if !e.Withheld || e.Salt != nil || e.Bytes == "" {
		t.Errorf("a reader gets %+v", e)
	}
	if e := decode[entry](s.do("GET", events+"/1", "").want(200)); e.Bytes != "" || e.Salt != nil {
		t.Errorf("unasked: %+v", e)
	}
}
