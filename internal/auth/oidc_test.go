package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestOIDC(t *testing.T) {
	people, err := NewOIDC([]Rule{
		{Match: "sub:00u1", Roles: []Role{Admin}},
		{Match: "email:alice@example.com", Roles: []Role{Operator}, Trails: []string{"default"}},
		{Match: "email:mike@example.com", Roles: []Role{Admin}},
		{Match: "group:auditors", Roles: []Role{Auditor}},
		{Match: "email:*@example.com", Roles: []Role{Reader}},
		{Match: "group:*", Roles: []Role{Submitter}},
		{Match: "email:*@examples.com", Roles: []Role{Admin}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		claims Claims
		want   string
		role   Role
	}{
		{"an address", Claims{Subject: "1", Email: "alice@example.com", EmailVerified: true}, "oidc:alice@example.com", Operator},
		{"an address in other case", Claims{Subject: "1", Email: "Alice@Example.COM", EmailVerified: true}, "oidc:alice@example.com", Operator},
		{"the first rule counts", Claims{Subject: "00u1", Email: "alice@example.com", EmailVerified: true}, "oidc:alice@example.com", Admin},
		{"a subject", Claims{Subject: "00u1"}, "oidc:sub:00u1", Admin},
		{"a subject whose address is not verified", Claims{Subject: "00u1", Email: "alice@example.com"}, "oidc:sub:00u1", Admin},
		{"a group", Claims{Subject: "2", Groups: []string{"x", "auditors"}}, "oidc:sub:2", Auditor},
		{"a domain", Claims{Subject: "2", Email: "bob@example.com", EmailVerified: true}, "oidc:bob@example.com", Reader},
		{"a star is no pattern for groups", Claims{Subject: "2", Groups: []string{"*"}}, "oidc:sub:2", Submitter},

		{"an address that is not verified", Claims{Subject: "1", Email: "alice@example.com"}, "has not verified", ""},
		{"an address with a letter that Unicode takes for another one", Claims{Subject: "3", Email: "mi\u212Ae@example.com", EmailVerified: true}, "oidc:mi\u212Ae@example.com", Reader},
		{"an address like somebody without one", Claims{Subject: "3", Email: "SUB:00u1@example.com", EmailVerified: true}, "oidc:sub:3", Reader},

		{"a domain with a letter that Unicode takes for another one", Claims{Subject: "1", Email: "bob@example\u017F.com", EmailVerified: true}, "no rule of this server", ""},
		{"a longer domain", Claims{Subject: "1", Email: "bob@example.com.attacker.example", EmailVerified: true}, "no rule of this server", ""},
		{"a domain below", Claims{Subject: "1", Email: "bob@sub.example.com", EmailVerified: true}, "no rule of this server", ""},
		{"a domain that ends like it", Claims{Subject: "1", Email: "bob@attackerexample.com", EmailVerified: true}, "no rule of this server", ""},
		{"the domain before another one", Claims{Subject: "1", Email: "bob@example.com@attacker.example", EmailVerified: true}, "no rule of this server", ""},
		{"no local part", Claims{Subject: "1", Email: "@example.com", EmailVerified: true}, "no rule of this server", ""},
		{"another group", Claims{Subject: "1", Groups: []string{"Auditors"}}, "no rule of this server", ""},
		{"nothing", Claims{}, "does not say who you are", ""},
		{"no subject", Claims{Email: "alice@example.com", EmailVerified: true}, "does not say who you are", ""},
		{"a control character", Claims{Subject: "1", Email: "a\nb@example.com", EmailVerified: true}, "does not say who you are", ""},
		{"a long subject", Claims{Subject: strings.Repeat("x", 1<<16)}, "does not say who you are", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := people.Principal(tt.claims)
			if tt.role == "" {
				d, ok := errors.AsType[*Denied](err)
				if !ok || p != nil || d.Reason != BadCredentials || !strings.Contains(d.Detail, tt.want) || len(d.Detail) > 1000 {
					t.Errorf("%+v, %v", p, err)
				}
				return
			}
			if err != nil || p.Name != tt.want || p.Kind != KindOIDC || !slices.Equal(p.Roles, []Role{tt.role}) || !p.Authenticated {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

func TestOIDCRules(t *testing.T) {
	for match, want := range map[string]string{
		"":                      "expected email:, group: or sub:",
		"alice@example.com":     "expected email:, group: or sub:",
		"mail:a@example.com":    "expected email:, group: or sub:",
		"email:":                "expected email:, group: or sub:",
		"email:example.com":     "expected an address",
		"email:@example.com":    "expected an address",
		"email:*":               "expected an address",
		"email:*@*.example.com": "expected an address",
		"email:a*@example.com":  "expected an address",
		"group:\x00":            "control characters",
	} {
		if _, err := NewOIDC([]Rule{{Match: match, Roles: []Role{Reader}}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", match, err, want)
		}
	}
	if _, err := NewOIDC([]Rule{{Match: "sub:1"}}); err == nil {
		t.Error("a rule without a role")
	}
}
