package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"
)

// Person is who is behind a principal, where it takes two of them: it stays the same
// when the name changes that events have. Somebody who has two kinds of credentials, or
// two accounts, is two of them.
type Person struct {
	// ID is, of the OpenID provider, its issuer and the subject,
	// "oidc:https://id.example.com|00u1a2b3"; of a client certificate, its issuer and its
	// subject, "mtls:CN=ca|CN=alice"; of a Unix socket the user, "unix:uid=1000"; of an
	// API token its id, "token_id:3f9a1c2e". No name of a principal is one.
	ID string

	// Of an API token: when it was made, who had it then by name, and who that was, as
	// far as that is known.
	Made   time.Time
	MadeBy string
	Maker  *Person
}

// newPerson returns the person of a kind with that identity, or with the digest of one
// that is too long for an event.
func newPerson(kind, identity string) *Person {
	id := kind + ":" + identity
	if checkID(id) != nil {
		sum := sha256.Sum256([]byte(identity))
		id = kind + ":sha256:" + hex.EncodeToString(sum[:])
	}
	return &Person{ID: id}
}

// tokenPerson is the ID of whoever has the API token with an id. The name of a token
// cannot be one.
func tokenPerson(id string) string { return "token_id:" + id }

// person returns who has the token, and adds them to persons, which are those by ID of
// the tokens that are older.
func (i *TokenInfo) person(persons map[string]*Person) *Person {
	p := &Person{ID: tokenPerson(i.ID), Made: i.Created, MadeBy: i.CreatedBy, Maker: persons[i.CreatedByPerson]}
	if p.Maker == nil && i.CreatedByPerson != "" {
		p.Maker = &Person{ID: i.CreatedByPerson}
	}
	persons[p.ID] = p
	return p
}

// Line returns the ID and then, of an API token, the names and IDs of those who can use
// it as well, since they have made it, or the token that made it, and so on. Of nil there
// are none.
func (p *Person) Line() []string {
	var line []string
	for ; p != nil; p = p.Maker {
		line = append(line, p.ID)
		if p.MadeBy != "" && !slices.Contains(line, p.MadeBy) {
			line = append(line, p.MadeBy)
		}
	}
	return line
}
