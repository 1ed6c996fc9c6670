package auth

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

func TestParsePeerMatch(t *testing.T) {
	for match, want := range map[string]peerMatch{
		"uid:0":          {id: 0},
		"uid:1000":       {id: 1000},
		"gid:1000":       {group: true, id: 1000},
		"uid:4294967295": {id: 1<<32 - 1},
	} {
		if got, err := parsePeerMatch(match); got != want || err != nil {
			t.Errorf("%q = %+v, %v, want %+v", match, got, err, want)
		}
	}
	for _, match := range []string{"", "uid", "uid:", "uid:-1", "uid:+1", "uid: 1", "uid:root", "uid:4294967296", "user:1", "1000", "uid:1:2"} {
		if got, err := parsePeerMatch(match); err == nil {
			t.Errorf("%q = %+v", match, got)
		}
	}
}

func TestPeersChooseTheFirstRule(t *testing.T) {
	p := peers{
		rules: []Rule{
			{Roles: []Role{Submitter}, Agents: []string{"a1"}},
			{Roles: []Role{Reader}},
		},
		matches: []peerMatch{{id: 1000}, {group: true, id: 50}},
	}
	for _, tt := range []struct {
		name string
		c    *credentials
		want string // role, reason, "" for no credentials of this kind, or "error"
	}{
		{"user", &credentials{uid: 1000, gid: 1000}, "submitter"},
		{"user before group", &credentials{uid: 1000, gid: 50}, "submitter"},
		{"group", &credentials{uid: 1001, gid: 50}, "reader"},
		{"group with the number of a user", &credentials{uid: 1, gid: 1000}, "bad_credentials"},
		{"user with the number of a group", &credentials{uid: 50, gid: 1}, "bad_credentials"},
		{"root has no rights that no rule gives", &credentials{}, "bad_credentials"},
		{"they are not known", &credentials{uid: 1000, err: errors.New("no")}, "error"},
		{"not a Unix socket", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			if tt.c != nil {
				r = r.WithContext(context.WithValue(r.Context(), credentialsKey{}, *tt.c))
			}
			got := ""
			principal, err := p.Authenticate(r)
			if d, ok := err.(*Denied); ok {
				got = string(d.Reason)
			} else if err != nil {
				got = "error"
			} else if principal != nil {
				got = string(principal.Roles[0])
				if principal.Kind != KindUnix || !principal.Authenticated || !strings.HasPrefix(principal.Name, "unix:uid=") {
					t.Errorf("the principal is %+v", principal)
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestConnContextLeavesOtherConnectionsAlone(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if ctx := ConnContext(t.Context(), a); ctx.Value(credentialsKey{}) != nil {
		t.Error("a connection that is none of a Unix socket has credentials")
	}
}
