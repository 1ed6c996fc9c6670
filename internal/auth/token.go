package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// A token is tokenPrefix, an id of eight hexadecimal digits, "_", and a secret of 32
// random bytes in base64url (RFC 4648 section 5) without padding. The prefix lets
// scanners for secrets find one that went astray.
const (
	tokenPrefix = "cst_"
	idLen       = 8
	secretBytes = 32
	secretLen   = (secretBytes*8 + 5) / 6
	tokenLen    = len(tokenPrefix) + idLen + 1 + secretLen
)

// parseToken takes a token apart. Its errors do not repeat it.
func parseToken(token string) (id, secret string, err error) {
	rest, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return "", "", errors.New("a token begins with " + tokenPrefix)
	}
	if len(token) != tokenLen {
		return "", "", fmt.Errorf("a token has %d characters, and this one %d", tokenLen, len(token))
	}
	id, secret = rest[:idLen], rest[idLen+1:]
	if !validID(id) || rest[idLen] != '_' {
		return "", "", fmt.Errorf("a token goes on with %d hexadecimal digits, in lower case, and _", idLen)
	}
	if _, err := base64.RawURLEncoding.Strict().DecodeString(secret); err != nil || strings.ContainsAny(secret, "\r\n") {
		return "", "", errors.New("the end of the token is not base64url")
	}
	return id, secret, nil
}

// validID reports whether s is the id of a token.
func validID(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == idLen/2 && s == strings.ToLower(s)
}

// newToken makes a token whose id is not taken.
func newToken(taken func(id string) bool) (token, id, secret string) {
	var b [idLen / 2]byte
	for id == "" || taken(id) {
		rand.Read(b[:])
		id = hex.EncodeToString(b[:])
	}
	var s [secretBytes]byte
	rand.Read(s[:])
	secret = base64.RawURLEncoding.EncodeToString(s[:])
	return tokenPrefix + id + "_" + secret, id, secret
}

// hashSecret returns what is stored of a secret. It is 256 random bits, so there is
// nothing to gain from a slow hash or a salt.
func hashSecret(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

// TokenSpec says what a new token is for.
type TokenSpec struct {
	// Name says who uses it. Several may have the same, such as one that is about to
	// expire and the next.
	Name   string
	Roles  []Role
	Trails []string // as in [Principal]
	Agents []string // as in [Principal]
	// Expires is when it is good no more; zero: never. It counts in whole seconds.
	Expires time.Time
	// CreatedBy is the principal that creates it.
	CreatedBy string
	// CreatedByPerson is the ID of the [Person] behind CreatedBy; empty: it is not known.
	CreatedByPerson string
}

// check returns what is wrong with the specification.
func (s *TokenSpec) check() error {
	if err := checkTokenName(s.Name); err != nil {
		return err
	}
	if err := checkID(s.CreatedBy); err != nil {
		return fmt.Errorf("created_by: %w", err)
	}
	if s.CreatedByPerson != "" {
		if err := checkID(s.CreatedByPerson); err != nil {
			return fmt.Errorf("created_by_person: %w", err)
		}
	}
	return checkGrant(s.Roles, s.Trails, s.Agents)
}

// maxTokenName is how many bytes the name of a token may have.
const maxTokenName = 100

func checkTokenName(name string) error {
	if len(name) == 0 || len(name) > maxTokenName {
		return fmt.Errorf("name: %.40q has %d bytes; 1 to %d are allowed", name, len(name), maxTokenName)
	}
	allowed := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-@", r) }
	if i := strings.IndexFunc(name, func(r rune) bool { return !allowed(r) }); i >= 0 {
		return fmt.Errorf("name: %q is not allowed; it may have letters, digits and . _ - @", name)
	}
	return nil
}

// TokenInfo is what is kept of a token, apart from the hash of its secret. Its JSON is
// described in docs/format/tokens.md.
type TokenInfo struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Roles     []Role    `json:"roles"`
	Trails    []string  `json:"trails,omitempty"`
	Agents    []string  `json:"agents,omitempty"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`

	// CreatedByPerson is as in [TokenSpec].
	CreatedByPerson string `json:"created_by_person,omitempty"`

	Expires   time.Time `json:"expires,omitzero"`
	LastUsed  time.Time `json:"last_used,omitzero"` // a minute old at most while a server runs
	Revoked   time.Time `json:"revoked,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
}

// ExpiredAt reports whether the token is good no more at a time because it expired.
func (i *TokenInfo) ExpiredAt(now time.Time) bool {
	return !i.Expires.IsZero() && !now.Before(i.Expires)
}

// principal returns whom the token stands for, who is that person.
func (i *TokenInfo) principal(person *Person) *Principal {
	return &Principal{Name: KindToken + ":" + i.Name, Kind: KindToken, Person: person, Roles: i.Roles, Trails: i.Trails, Agents: i.Agents, TokenID: i.ID, Authenticated: true}
}

// clone returns a copy that shares nothing with i.
func (i *TokenInfo) clone() TokenInfo {
	c := *i
	c.Roles, c.Trails, c.Agents = slices.Clone(i.Roles), slices.Clone(i.Trails), slices.Clone(i.Agents)
	return c
}
