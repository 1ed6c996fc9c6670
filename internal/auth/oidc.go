package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Claims is what an OpenID provider says about somebody (OpenID Connect Core 1.0
// section 5.1).
type Claims struct {
	Issuer        string // who says it
	Subject       string // who it is; never given to somebody else
	Email         string
	EmailVerified bool     // the provider has made sure that the address is theirs
	Groups        []string // that they belong to
}

// OIDC says what people may do whom an OpenID provider knows.
type OIDC struct{ rules []Rule }

// NewOIDC returns what rules say. The first rule that matches counts; somebody whom no
// rule matches is refused. What a rule matches:
//
//	email:alice@example.com   an address that the provider has verified
//	email:*@example.com       any one of a domain
//	group:operators           a group
//	sub:00u1a2b3              the subject
//
// The principal is named after the address, "oidc:alice@example.com", and where none is
// verified, after the subject, "oidc:sub:00u1a2b3".
func NewOIDC(rules []Rule) (*OIDC, error) {
	for i := range rules {
		u := &rules[i]
		err := u.check()
		if err == nil {
			err = checkClaimMatch(u.Match)
		}
		if err != nil {
			return nil, &RuleError{"an OpenID provider", i, u.Match, err}
		}
	}
	return &OIDC{slices.Clone(rules)}, nil
}

func checkClaimMatch(match string) error {
	kind, value, _ := strings.Cut(match, ":")
	if value == "" || !slices.Contains([]string{"email", "group", "sub"}, kind) {
		return errors.New("expected email:, group: or sub: and what the provider must say")
	}
	if err := checkID(match); err != nil {
		return err
	}
	if kind != "email" {
		return nil // a * in it stands for itself
	}
	local, domain, ok := strings.Cut(value, "@")
	if !ok || local == "" || domain == "" || strings.Contains(domain, "*") || local != "*" && strings.Contains(local, "*") {
		return errors.New("expected an address; * may only be all that is before @")
	}
	return nil
}

// Principal returns whom claims are about. A *[Denied] says why it is nobody.
func (o *OIDC) Principal(c Claims) (*Principal, error) {
	name := "sub:" + c.Subject
	// No address is taken for what somebody without one is named.
	if c.EmailVerified && c.Email != "" && !strings.HasPrefix(lower(c.Email), "sub:") {
		name = lower(c.Email)
	}
	if err := checkID(name); c.Subject == "" || err != nil {
		return nil, &Denied{Reason: BadCredentials, Detail: fmt.Sprintf("the provider does not say who you are: %v", err)}
	}
	unverified := false
	for i := range o.rules {
		kind, want, _ := strings.Cut(o.rules[i].Match, ":")
		var matches bool
		switch kind {
		case "sub":
			matches = c.Subject == want
		case "group":
			matches = slices.Contains(c.Groups, want)
		case "email":
			matches = matchesEmail(c.Email, want)
			unverified = unverified || matches && !c.EmailVerified
			matches = matches && c.EmailVerified
		}
		if matches {
			return o.rules[i].principal(KindOIDC, name, c.Issuer+"|"+c.Subject), nil
		}
	}
	d := &Denied{Reason: BadCredentials, Detail: "no rule of this server is for you: the provider knows you as " + name, Principal: &Principal{Name: KindOIDC + ":" + name, Kind: KindOIDC}}
	if unverified {
		d.Detail = fmt.Sprintf("the provider has not verified that the address %q is yours", c.Email)
	}
	return nil, d
}

// matchesEmail takes upper and lower case for the same, as mail does in practice.
func matchesEmail(email, want string) bool {
	email, want = lower(email), lower(want)
	if domain, ok := strings.CutPrefix(want, "*@"); ok {
		at := strings.LastIndexByte(email, '@')
		return at > 0 && email[at+1:] == domain
	}
	return email == want
}

// lower is for letters of ASCII only. By Unicode an address with the Kelvin sign (U+212A) is
// the same as one with a k, and is somebody else's.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
