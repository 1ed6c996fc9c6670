package dualcontrol

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// One person does not approve what they asked for, whatever name and credentials they use.
func TestOnePerson(t *testing.T) {
	before := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	account := func(name, subject string) *auth.Principal {
		return &auth.Principal{Name: "oidc:" + name, Person: &auth.Person{ID: "oidc:https://id.example.com|" + subject}}
	}
	token := func(id string, made time.Time, by *auth.Principal) *auth.Principal {
		return &auth.Principal{Name: "token:" + id, Person: &auth.Person{ID: "token_id:" + id, Made: made, MadeBy: by.Name, Maker: by.Person}}
	}
	// unknown is a principal of which only the name is known.
	unknown := func(name string) *auth.Principal { return &auth.Principal{Name: name} }

	alice, bob := account("alice@example.com", "1"), account("bob@example.com", "2")
	renamed := account("alice.new@example.com", "1")
	ofAlice := token("a1", before, alice)
	ofOfAlice := token("a2", before, ofAlice)
	ofBob, late := token("b1", before, bob), token("b2", before.Add(time.Hour), bob)
	first, second := token("o1", before, unknown("operator")), token("o2", before, unknown("operator"))
	byName := token("n1", before, unknown("oidc:alice@example.com"))
	for _, tt := range []struct {
		name         string
		asks, grants *auth.Principal
		may          bool
	}{
		{"two people", alice, bob, true},
		{"two people with tokens of somebody else", first, second, true},
		{"a token of somebody else", alice, ofBob, true},
		{"the same", alice, alice, false},
		{"another name", alice, renamed, false},
		{"another name, back again", renamed, alice, false},
		{"the name of another one", account("alice@example.com", "3"), alice, false},
		{"a token that the person made", alice, ofAlice, false},
		{"a token that the person made under another name", renamed, ofAlice, false},
		{"a token that a token of the person made", alice, ofOfAlice, false},
		{"whoever made the token", ofAlice, alice, false},
		{"whoever made the token, under another name", ofOfAlice, renamed, false},
		{"the token that made the token", ofOfAlice, ofAlice, false},
		{"a token made by somebody of whom only the name is known", alice, byName, false},
		{"who made the token, only the name is known", byName, alice, false},
		{"a token that was made after it was asked for", alice, late, false},
		{"nobody in particular asked, the token was made later", unknown("configuration"), late, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffice(t, vfstest.NewMem())
			r, err := o.Add(Request{Kind: Erasure, Parameters: json.RawMessage(carol), By: tt.asks.Name, ByPerson: tt.asks.Person.Line()}, ignore)
			if err != nil {
				t.Fatal(err)
			}
			o.reopen() // it is known after the server was started again
			_, err = o.Approve(r.ID, tt.grants, ignore)
			if tt.may {
				if err != nil {
					t.Error(err)
				} else if a := o.want(r.ID, Approved); strings.Join(a.DecidedByPerson, " ") != strings.Join(tt.grants.Person.Line(), " ") {
					t.Errorf("it is approved by %q", a.DecidedByPerson)
				}
				return
			}
			if !errors.Is(err, ErrSamePerson) {
				t.Errorf("got %v", err)
			}
			o.want(r.ID, Pending)
		})
	}
}

const carol = `{"query":{"user_id":"carol@example.com"}}`

// A file of the format before this one is read, and its persons are known by their names.
func TestOlderFile(t *testing.T) {
	const older = `{
  "format": 1,
  "requests": [
    {
      "id": "4be2bb2c0c7cb131",
      "kind": "erasure",
      "trail": "default",
      "state": "pending",
      "parameters": {"erasure":{"query":{"user_id":"carol@example.com"},"ground":"GDPR Art. 17(1)(b)"},"entries":"41,50-52","count":4},
      "salt": "AAECAwQFBgcICQoLDA0ODw==",
      "digest": "sha256:05be22e26db255421ca924bb0ddc0ed2e78ce9e94a9aefe119d29ab29855b613",
      "by": "token:alice",
      "requested": "2026-11-25T10:00:00Z",
      "expires": "2026-12-02T10:00:00Z"
    }
  ]
}
`
	o := &office{t: t, fsys: vfstest.NewMem(), now: time.Date(2026, 11, 25, 11, 0, 0, 0, time.UTC)}
	if err := errors.Join(o.fsys.MkdirAll("data"), vfs.WriteFileAtomic(o.fsys, inFile, []byte(older))); err != nil {
		t.Fatal(err)
	}
	o.reopen()
	late := holder("token:bob")
	late.Person.Made = o.now
	ofAlice := holder("token:carol")
	ofAlice.Person.MadeBy = "token:alice"
	for name, p := range map[string]*auth.Principal{"the same name": holder("token:alice"), "a token that was made later": late, "a token that the name made": ofAlice} {
		if _, err := o.Approve("4be2bb2c0c7cb131", p, ignore); !errors.Is(err, ErrSamePerson) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := o.Approve("4be2bb2c0c7cb131", holder("token:bob"), ignore); err != nil {
		t.Fatal(err)
	}
	if o.want("4be2bb2c0c7cb131", Approved); !strings.Contains(o.content(), `"format": 2`) {
		t.Errorf("it is written as\n%s", o.content())
	}
}
