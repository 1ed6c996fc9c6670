package ui

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/wire"
)

// tokensPage is the API tokens of the server.
type tokensPage struct {
	Now    time.Time
	Tokens []token
	Form   formPage
	Roles  []role
	Trails []string
	Ends   []choice
}

// token is one of them.
type token struct{ wire.Token }

// Tone returns the class that its state is shown in.
func (t *token) Tone() string {
	return map[string]string{"good": "good", "expired": "partial", "revoked": "bad"}[t.State]
}

// role is one, and what it is for.
type role struct {
	Name auth.Role
	For  string
}

var roles = []role{
	{auth.Submitter, "may only record events"},
	{auth.Reader, "reads entries, not what the events say"},
	{auth.PayloadReader, "reads events too"},
	{auth.Auditor, "reads everything, has it verified, takes proofs and bundles"},
	{auth.Operator, "retention, holds, witnesses, erasure, emergency stops"},
	{auth.Admin, "tokens, configuration, new trails, emergency stops"},
}

// choice is one of several values of a field.
type choice struct{ Value, Name string }

// ends are when a token may end; empty: never.
var ends = []choice{{"1d", "in a day"}, {"7d", "in 7 days"}, {"30d", "in 30 days"}, {"90d", "in 90 days"}, {"365d", "in 365 days"}, {"never", "never"}}

// usualEnd is the one that is proposed.
const usualEnd = "90d"

func (u *ui) tokens(w http.ResponseWriter, v *view) error {
	if _, err := parameters(v.r, noticeParameter); err != nil {
		return err
	}
	return u.showTokens(w, v, http.StatusOK, formPage{Values: url.Values{"expires": {usualEnd}}})
}

func (u *ui) showTokens(w http.ResponseWriter, v *view, status int, form formPage) error {
	var answer struct{ Tokens []token }
	if err := u.call(v, http.MethodGet, "/v1/tokens", nil, &answer); err != nil {
		return err
	}
	return u.administration(w, v, status, "tokens", &tokensPage{Now: v.now, Tokens: answer.Tokens, Form: form, Roles: roles, Trails: u.Trails.List(), Ends: ends})
}

func (u *ui) createToken(w http.ResponseWriter, v *view) error {
	values, err := v.sent(w, []string{"roles", "trails"}, "name", "agents", "expires")
	if err != nil {
		return err
	}
	body := map[string]any{"name": values.Get("name"), "roles": list(values.Get("roles"))}
	for _, name := range []string{"trails", "agents"} {
		if only := list(values.Get(name)); len(only) > 0 {
			body[name] = only
		}
	}
	wrong := ""
	end := values.Get("expires")
	var days int
	switch _, err := fmt.Sscanf(end, "%dd", &days); {
	case values.Get("name") == "":
		wrong = "Say who uses the token: events name it by that."
	case !values.Has("roles"):
		wrong = "Choose what the token is for: one role at least."
	case end == "never":
	case err != nil || days < 1 || days > 3650:
		wrong = "Choose when the token ends."
	default:
		body["expires"] = v.now.Add(time.Duration(days) * dayLong).UTC()
	}
	var made wire.Token
	if wrong == "" {
		if wrong, err = correctable(u.call(v, http.MethodPost, "/v1/tokens", body, &made)); err != nil {
			return err
		}
	}
	if wrong != "" {
		return u.showTokens(w, v, http.StatusUnprocessableEntity, formPage{values, wrong})
	}
	return u.done(w, v, "/server/tokens", notice{Title: "The token is created", Secret: made.Token,
		Detail: fmt.Sprintf("It is shown this once: only its hash is stored. Whoever has it acts as token:%s. If it gets lost, revoke it (%s) and create another one.", made.Name, made.ID)})
}

func (u *ui) revokeToken(w http.ResponseWriter, v *view) error {
	if _, err := v.sent(w, nil); err != nil {
		return err
	}
	var gone wire.Token
	if err := u.call(v, http.MethodPost, "/v1/tokens/"+url.PathEscape(v.r.PathValue("id"))+"/revoke", nil, &gone); err != nil {
		return err
	}
	return u.done(w, v, "/server/tokens", notice{Title: "The token is revoked", Detail: fmt.Sprintf("Requests with %s of %s are refused from now on.", gone.ID, gone.Name)})
}
