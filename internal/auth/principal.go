package auth

import (
	"context"
	"slices"
)

// Principal is who sent a request. It does not change once it was made, so that many
// goroutines may use it.
type Principal struct {
	// Name is how events name it: "token:ci-agents", "mtls:CN=agent-1,O=Example",
	// "unix:uid=1000", "oidc:alice@example.com", "local".
	Name string
	// Kind is how it was found out: "token", "mtls", "unix", "oidc", "local".
	Kind string
	// Person is who is behind it; nil: nobody in particular ("local").
	Person *Person
	// Roles say what it may do.
	Roles []Role
	// Trails are those that it may do that on; empty: on all of them, and on the
	// server itself.
	Trails []string
	// Agents are the agent ids that it may record events as; empty: as any.
	Agents []string
	// TokenID is the id of its API token, if it has one.
	TokenID string
	// Authenticated says that it has shown who it is.
	Authenticated bool
	// Session says that it did so when it logged in to the web page ([Sessions]).
	Session bool
}

// The kinds of principals.
const (
	KindToken = "token"
	KindMTLS  = "mtls"
	KindUnix  = "unix"
	KindOIDC  = "oidc"
	KindLocal = "local"
)

// May reports whether p may do something on a trail, the one that it would create
// included. Empty stands for no trail in particular: it, and what concerns the whole
// server, is not for a principal that is bound to trails. A nil p may do nothing.
func (p *Principal) May(perm Permission, trail string) bool {
	if p == nil {
		return false
	}
	if len(p.Trails) > 0 && (slices.Contains(ofServer, perm) || !slices.Contains(p.Trails, trail)) {
		return false
	}
	return slices.ContainsFunc(p.Roles, func(r Role) bool { return slices.Contains(permissions[r], perm) })
}

// Concerned reports whether p may do anything about a trail, whatever it is.
func (p *Principal) Concerned(trail string) bool {
	return p != nil && slices.ContainsFunc(p.Roles, func(r Role) bool {
		return slices.ContainsFunc(permissions[r], func(perm Permission) bool { return p.May(perm, trail) })
	})
}

// MayClaim reports whether p may record events that name this agent. Whether it may
// record events at all is up to [Principal.May]. An event that names no agent has the
// empty one, which is not for a principal that is bound to agents.
func (p *Principal) MayClaim(agent string) bool {
	return p != nil && (len(p.Agents) == 0 || slices.Contains(p.Agents, agent))
}

// PersonID returns the ID of who is behind p, "" for nobody in particular. p may be nil.
func (p *Principal) PersonID() string {
	if p == nil || p.Person == nil {
		return ""
	}
	return p.Person.ID
}

type principalKey struct{}

// With returns a context that carries p.
func With(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// From returns the principal that ctx carries, or nil.
func From(ctx context.Context) *Principal {
	p, _ := ctx.Value(principalKey{}).(*Principal)
	return p
}
