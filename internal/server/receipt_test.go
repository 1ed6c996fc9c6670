package server

import (
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/wire"
)

// The receipt of an entry can be had again, as long as the payload is held, and has a
// checkpoint that covers the entry.
func TestReceipt(t *testing.T) {
	s := newSite(t, Limits{})
	first := s.record(turn("e1", "s"))
	s.record(turn("e2", "s"))
	const one = events + "/1/receipt"
	got := decode[wire.Receipt](s.do("GET", one, "", "Test-Roles", "payload_reader").want(200))
	v, err := evidence.ParseVerifier(s.trail(trails.Default).FirstKey())
	must(t, err)
	c, _, err := evidence.OpenCheckpoint([]byte(got.Checkpoint), v)
	must(t, err)
	if c.Size != s.size() || got.ID != "e1" || *got.Index != *first.Index || got.Hash != first.Hash || got.Time != first.Time || got.Duplicate {
		t.Errorf("it is %+v, with a checkpoint of %d; the producer got %+v", got, c.Size, first)
	}
	s.do("GET", one, "", "Test-Roles", "reader").problem(403, "forbidden") // it has the id
	s.do("GET", events+"/9/receipt", "").problem(404, "not_found")
	s.do("POST", "/v1/trails/default/erasures", `{"indices":"1","ground":"g"}`).want(200)
	s.do("GET", one, "").problem(410, "erased")
	s.api.Stop()
	if told := s.told(trails.System, event.AccessRead); len(told) != 1 || told[0].Details["by"] != "test:payload_reader" {
		t.Errorf("of reading it is told %+v", told)
	}
}
