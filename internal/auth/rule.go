package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/custodylog/custody/event"
)

// Rule says what those may do whose credentials match. See [MTLS], [Peer] and [OIDC]
// for what Match may be.
type Rule struct {
	Match  string
	Roles  []Role
	Trails []string // as in [Principal]
	Agents []string // as in [Principal]
}

// RuleError says which rule of a list cannot be used, and why.
type RuleError struct {
	For   string // whom the rules are for
	Index int
	Match string // of the rule
	Err   error
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("rule %d for %s, %.80q: %v", e.Index+1, e.For, e.Match, e.Err)
}

func (e *RuleError) Unwrap() error { return e.Err }

// check returns what is wrong with the rule, apart from Match.
func (u *Rule) check() error { return checkGrant(u.Roles, u.Trails, u.Agents) }

// principal returns whom the rule stands for. person is what tells them from others of
// their kind.
func (u *Rule) principal(kind, name, person string) *Principal {
	return &Principal{Name: kind + ":" + name, Kind: kind, Person: newPerson(kind, person), Roles: u.Roles, Trails: u.Trails, Agents: u.Agents, Authenticated: true}
}

// checkGrant returns what is wrong with what is to be allowed to somebody.
func checkGrant(roles []Role, trails, agents []string) error {
	if len(roles) == 0 {
		return errors.New("roles: at least one is required; there are " + fmt.Sprintf("%q", Roles))
	}
	for i, r := range roles {
		if _, err := ParseRole(string(r)); err != nil {
			return fmt.Errorf("roles: %w", err)
		}
		if slices.Contains(roles[:i], r) {
			return fmt.Errorf("roles: %q is there twice", r)
		}
	}
	if err := checkBinding("trails", trails); err != nil {
		return err
	}
	return checkBinding("agents", agents)
}

// maxBound is how many trails or agents somebody may be bound to.
const maxBound = 1000

func checkBinding(field string, names []string) error {
	if len(names) > maxBound {
		return fmt.Errorf("%s: there are %d; at most %d are allowed", field, len(names), maxBound)
	}
	for i, name := range names {
		if err := checkID(name); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("%s: %q is there twice", field, name)
		}
	}
	return nil
}

// checkID returns what keeps a text from being an id in an event.
func checkID(s string) error {
	if s == "" || len(s) > event.MaxIDLen {
		return fmt.Errorf("%.40q has %d bytes; 1 to %d are allowed", s, len(s), event.MaxIDLen)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("%q is not allowed: it must be valid UTF-8 without control characters", s)
	}
	return nil
}
