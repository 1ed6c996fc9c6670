package server

import (
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/dualcontrol"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/wire"
)

// Somebody who may make API tokens, and may remove, does not do alone what takes two: not
// with a token made before, nor with one made later.
func TestOnePersonWithManyTokens(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	dir := t.TempDir()
	set, err := trails.Open(trails.Config{Dir: dir, Origin: "example.org", Options: custody.Options{Logger: log, DiskWarning: -1}})
	must(t, err)
	t.Cleanup(func() { set.Close() })
	requests, err := dualcontrol.Open(vfs.OS{}, filepath.Join(dir, dualcontrol.FileName), dualcontrol.Rules{Delay: time.Hour, Expires: time.Hour})
	must(t, err)
	tokens, err := auth.OpenTokens(vfs.OS{}, filepath.Join(dir, auth.TokensFile))
	must(t, err)
	o := &office{serveSet(t, set, Config{Logger: log, Authenticators: []auth.Authenticator{tokens, byHeader{}}, Tokens: tokens, Requests: requests}), requests}
	o.sample()
	with := func(token string) []string { return []string{"Authorization", "Bearer " + token, "Test-Roles", ""} }
	given := func(name string, roles ...auth.Role) (token, id string) {
		t.Helper()
		token, info, err := tokens.Create(auth.TokenSpec{Name: name, Roles: roles, CreatedBy: "operator"})
		must(t, err)
		return token, info.ID
	}
	makes := func(token, name string) wire.Token {
		t.Helper()
		return decode[wire.Token](o.do("POST", "/v1/tokens", `{"name":"`+name+`","roles":["admin","operator"]}`, with(token)...).want(201))
	}
	alice, id := given("alice", auth.Admin, auth.Operator)
	bob, _ := given("bob", auth.Operator)
	before := makes(alice, "before")
	beforeThat := makes(before.Token, "before-that")
	r := decode[erasureAnswer](o.do("POST", erasures, ofAlice, with(alice)...).want(202)).Request
	later := makes(alice, "later")
	lateToo, _ := given("late-too", auth.Operator)
	for name, token := range map[string]string{"alice": alice, "before": before.Token, "before-that": beforeThat.Token, "later": later.Token, "late-too": lateToo} {
		if p := o.decide(*r, "approve", with(token)).problem(403, "same_person"); p.Detail == "" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if got := decode[dualcontrol.Request](o.decide(*r, "approve", with(bob)).want(200)); got.ByPerson[0] != "token_id:"+id || got.DecidedBy != "token:bob" || len(got.DecidedByPerson) == 0 {
		t.Errorf("the request is %+v", got)
	}
	made := o.told(trails.System, event.TokenCreated)
	if len(made) != 5 || made[0].Details["by_person"] != nil || made[0].Principal != "" || made[2].Details["by_person"] != "token_id:"+id || made[2].Principal != "token:alice" {
		t.Errorf("the tokens are told of as %+v", made)
	}
	if told := o.told(trails.System, event.RemovalRequested, event.RemovalApproved); len(told) != 2 || told[0].Details["by_person"] != "token_id:"+id || told[1].Details["by_person"] == told[0].Details["by_person"] {
		t.Errorf("the events are %+v", told)
	}
}
