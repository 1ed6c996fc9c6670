package config

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/custodylog/custody/internal/auth"
)

// Grant says what those may do whose credentials match (package auth has what there is
// to match).
type Grant struct {
	Match  string   `yaml:"match"`
	Roles  []string `yaml:"roles"`
	Trails []string `yaml:"trails,omitempty"` // empty: on all of them, and on the server itself
	Agents []string `yaml:"agents,omitempty"` // whose events they may record; empty: anybody's
}

// Rules returns what grants say, as package auth takes it.
func Rules(grants []Grant) []auth.Rule {
	rules := make([]auth.Rule, len(grants))
	for i, g := range grants {
		rules[i] = auth.Rule{Match: g.Match, Trails: g.Trails, Agents: g.Agents}
		for _, r := range g.Roles {
			rules[i].Roles = append(rules[i].Roles, auth.Role(r))
		}
	}
	return rules
}

// Socket is a Unix socket that the server listens at beside Listen.
type Socket struct {
	Path  string  `yaml:"path"` // empty: there is none
	Mode  Mode    `yaml:"mode"` // of the socket; who connects needs the right to write
	Rules []Grant `yaml:"rules"`
}

// Session is how long somebody stays logged in to the web page.
type Session struct {
	Idle    Duration `yaml:"idle"`    // without a request
	Longest Duration `yaml:"longest"` // at all
}

// OIDC is the OpenID provider by which people log in to the web page.
type OIDC struct {
	Issuer           string   `yaml:"issuer"` // URL, as it is in the provider's tokens; empty: there is none
	ClientID         string   `yaml:"client_id"`
	ClientSecretFile string   `yaml:"client_secret_file"` // empty: a public client, which has none
	Scopes           []string `yaml:"scopes"`             // beside openid and email
	GroupsClaim      string   `yaml:"groups_claim"`       // the claim that rules for groups look at
	Rules            []Grant  `yaml:"rules"`              // what people may do
}

// On reports whether people can log in by a provider.
func (o *OIDC) On() bool { return o.Issuer != "" }

// SecureCookies reports whether browsers reach the server over TLS.
func (c *Config) SecureCookies() bool {
	return c.TLS.On() || c.Unprotected.BehindProxy || strings.HasPrefix(c.ExternalURL, "https://")
}

// validateAccess calls bad for everything that is wrong with how people and programs
// show who they are.
func (c *Config) validateAccess(bad complain) {
	switch {
	case c.TLS.ClientCA != "" && !c.TLS.On():
		bad("tls.client_ca", "the server sees certificates of clients only when it speaks TLS itself; give tls.certificate and tls.key")
	case c.TLS.ClientCA != "" && len(c.TLS.Rules) == 0:
		bad("tls.client_ca", "tls.rules say what clients may do with it; at least one is needed")
	case c.TLS.ClientCA == "" && len(c.TLS.Rules) > 0:
		bad("tls.rules", "they are for clients whose certificates tls.client_ca verifies, and that is missing")
	}
	if _, err := auth.MTLS(Rules(c.TLS.Rules)); err != nil {
		badRule(bad, "tls.rules", err)
	}
	if len(c.Socket.Rules) > 0 {
		if _, err := auth.Peer(Rules(c.Socket.Rules)); err != nil {
			badRule(bad, "socket.rules", err)
		}
	}
	if c.Socket.Path == "" && len(c.Socket.Rules) > 0 {
		bad("socket.rules", "they are for who connects to socket.path, and that is missing")
	}
	if len(c.Socket.Path) > maxSocketPath {
		bad("socket.path", "it has %d bytes; a system allows about %d", len(c.Socket.Path), maxSocketPath)
	}
	if c.ExternalURL != "" {
		if err := checkURL(c.ExternalURL); err != nil {
			bad("external_url", "%s", err)
		} else if u, _ := url.Parse(c.ExternalURL); u.Path != "" || u.RawQuery != "" {
			bad("external_url", "%q is more than a scheme and a host, such as https://custody.example.org", c.ExternalURL)
		}
	}
	if c.Session.Idle > c.Session.Longest {
		bad("session.idle", "%s is longer than session.longest, %s", c.Session.Idle, c.Session.Longest)
	}
	c.validateOIDC(bad)
}

// badRule tells of the rule that err is about.
func badRule(bad complain, list string, err error) {
	if r, ok := errors.AsType[*auth.RuleError](err); ok {
		bad(fmt.Sprintf("%s[%d]", list, r.Index), "%.80q: %s", r.Match, r.Err)
		return
	}
	bad(list, "%s", err)
}

// maxSocketPath is how many bytes sun_path of macOS takes; Linux takes four more.
const maxSocketPath = 103

func (c *Config) validateOIDC(bad complain) {
	o := &c.OIDC
	if !o.On() {
		for _, given := range []struct {
			path string
			is   bool
		}{{"oidc.client_id", o.ClientID != ""}, {"oidc.client_secret_file", o.ClientSecretFile != ""}, {"oidc.rules", len(o.Rules) > 0}} {
			if given.is {
				bad(given.path, "it is of no use without oidc.issuer, which is missing")
			}
		}
		return
	}
	if err := checkURL(o.Issuer); err != nil {
		bad("oidc.issuer", "%s", err)
	}
	if o.ClientID == "" {
		bad("oidc.issuer", "the provider knows the server by oidc.client_id, which is missing")
	}
	if _, err := auth.NewOIDC(Rules(o.Rules)); err != nil {
		badRule(bad, "oidc.rules", err)
	}
	if len(o.Rules) == 0 {
		bad("oidc.issuer", "oidc.rules say what people may do; at least one is needed")
	}
	if o.GroupsClaim == "" {
		bad("oidc.groups_claim", "it is empty")
	}
	if c.ExternalURL == "" {
		bad("oidc.issuer", "the provider sends people back to external_url, which is missing; /login/callback below it is the redirect URI")
	}
}

// checkURL returns what is wrong with a URL that secrets are sent to: others than this
// machine have to speak TLS.
func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q is no URL of a server", s)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("%q has to begin with https://; http is for this machine only", s)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q has to begin with https://", s)
	}
	return nil
}

// Mode is the permissions of a file, written as 0660.
type Mode uint32

func (m Mode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Mode) UnmarshalText(b []byte) error {
	v, err := strconv.ParseUint(strings.TrimPrefix(string(b), "0o"), 8, 32)
	if err != nil || v > 0o777 {
		return fmt.Errorf("%q is no mode of a file; write 0600, 0660 or 0666", b)
	}
	*m = Mode(v)
	return nil
}

// Lasts returns the two bounds of a session.
func (s *Session) Lasts() (idle, longest time.Duration) {
	return time.Duration(s.Idle), time.Duration(s.Longest)
}
