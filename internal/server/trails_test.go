package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/auth"
)

// Every role sees the trails that it may do anything with, and their size where it may
// read or record.
func TestTrailsThatConcern(t *testing.T) {
	s := newSite(t, Limits{})
	s.do("POST", "/v1/trails", `{"name":"t2"}`).want(201)
	list := func(headers ...string) (seen string) {
		t.Helper()
		for _, info := range decode[struct{ Trails []TrailInfo }](s.do("GET", "/v1/trails", "", headers...).want(200)).Trails {
			seen += " " + info.Name
			if info.Size != nil {
				seen += fmt.Sprint(":", *info.Size)
			}
			if info.Origin != "example.org/"+info.Name || info.Key != s.trail(info.Name).FirstKey() {
				t.Errorf("it is %+v", info)
			}
		}
		return strings.TrimSpace(seen)
	}
	all, bare := fmt.Sprintf("default:1 system:%d t2:1", s.trail("system").Size()), "default system t2"
	for _, role := range auth.Roles {
		want := all
		if role == auth.Operator || role == auth.Admin {
			want = bare
		}
		if got := list("Test-Roles", string(role)); got != want {
			t.Errorf("%s sees %q, want %q", role, got, want)
		}
		if got := list("Test-Roles", string(role), "Test-Trails", "t2"); got != want[strings.LastIndex(want, " ")+1:] {
			t.Errorf("%s of one trail sees %q", role, got)
		}
	}
	if got := list("Test-Roles", "none"); got != "" {
		t.Errorf("somebody without a role sees %q", got)
	}
}
