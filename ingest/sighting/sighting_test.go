package sighting_test

import (
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

func TestActionID(t *testing.T) {
	long := strings.Repeat("x", event.MaxIDLen)
	for _, c := range []struct{ id, session, want string }{
		{"", "s", ""},
		{"call_1", "", "call_1"},
		{"call_1", "s", "s/call_1"},
		{"toolu_1", "s", "toolu_1"},
		{long, "", long},
		{long, "s", ingest.TextDigest("s/" + long)},
		{"toolu_" + long, "s", ingest.TextDigest("toolu_" + long)},
	} {
		call := sighting.Call{ID: c.id, Session: c.session}
		if got := call.ActionID(); got != c.want {
			t.Errorf("%.20q in %q: %.80s", c.id, c.session, got)
		}
	}
}
