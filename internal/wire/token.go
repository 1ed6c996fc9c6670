package wire

import (
	"time"

	"github.com/custodylog/custody/internal/auth"
)

// Token is an API token.
type Token struct {
	Token     string      `json:"token,omitempty" doc:"The token itself, once: when it was created just now"`
	ID        string      `json:"id"`
	Name      string      `json:"name" doc:"Who uses it; events name it token:NAME"`
	State     string      `json:"state" enum:"good,expired,revoked"`
	Roles     []auth.Role `json:"roles"`
	Trails    []string    `json:"trails,omitempty" doc:"The only trails that it is good for"`
	Agents    []string    `json:"agents,omitempty" doc:"The only agents whose events it may record"`
	Created   string      `json:"created"`
	CreatedBy string      `json:"created_by"`
	Expires   string      `json:"expires,omitempty"`
	LastUsed  string      `json:"last_used,omitempty" doc:"A minute old at most"`
	Revoked   string      `json:"revoked,omitempty"`
	RevokedBy string      `json:"revoked_by,omitempty"`
}

// TokenOf returns what is kept of a token as it is at a time.
func TokenOf(t *auth.TokenInfo, now time.Time) Token {
	return Token{ID: t.ID, Name: t.Name, State: TokenState(t, now), Roles: t.Roles, Trails: t.Trails, Agents: t.Agents,
		Created: Time(t.Created), CreatedBy: t.CreatedBy, Expires: Time(t.Expires), LastUsed: Time(t.LastUsed),
		Revoked: Time(t.Revoked), RevokedBy: t.RevokedBy}
}

// TokenState says whether a token is good at a time: "good", "expired" or "revoked".
func TokenState(t *auth.TokenInfo, now time.Time) string {
	switch {
	case !t.Revoked.IsZero():
		return "revoked"
	case t.ExpiredAt(now):
		return "expired"
	}
	return "good"
}
