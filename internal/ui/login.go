package ui

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/openid"
)

// Login lets people in whose machine is not trusted.
type Login struct {
	Sessions *auth.Sessions
	Tokens   *auth.Tokens

	// Provider and People let in whom an OpenID provider knows. nil: there is none.
	Provider *openid.Provider
	People   *auth.OIDC

	// LoggedIn is told of whoever was let in, and what the provider says of them.
	LoggedIn func(*http.Request, *auth.Principal, auth.Claims)

	// Refused is told of credentials that were refused.
	Refused func(*http.Request, *auth.Denied)
}

// registerLogin serves
//
//	GET  /login           the form for an API token, and the way to the provider
//	POST /login           the token
//	GET  /login/oidc      leads to the provider
//	GET  /login/callback  comes back from it
//	POST /logout
func (u *ui) registerLogin(mux *http.ServeMux) {
	if u.Login == nil {
		return
	}
	mux.HandleFunc("GET /login", u.showLogin)
	mux.HandleFunc("POST /login", u.logIn)
	mux.HandleFunc("POST /logout", u.logOut)
	if u.Login.Provider != nil {
		mux.HandleFunc("GET /login/oidc", u.toProvider)
		mux.HandleFunc("GET /login/callback", u.fromProvider)
	}
}

// loginPage is what somebody sees who is to log in.
type loginPage struct {
	Next    string // where they wanted to go
	OIDC    bool   // there is a provider
	Problem string // why they were not let in
}

func (u *ui) showLogin(w http.ResponseWriter, r *http.Request) {
	u.login(w, r, http.StatusOK, r.URL.Query().Get("next"), "")
}

func (u *ui) login(w http.ResponseWriter, r *http.Request, status int, next, problem string) {
	page := &loginPage{Next: localPath(next), OIDC: u.Login.Provider != nil, Problem: problem}
	if err := u.render(w, r, status, "login.html", layout{Title: "Log in"}, page); err != nil {
		u.fail(w, r, err)
	}
}

// maxForm bounds the form for a token, in bytes.
const maxForm = 16 << 10

func (u *ui) logIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		u.login(w, r, http.StatusBadRequest, "", "The form could not be read.")
		return
	}
	next, token := r.PostForm.Get("next"), strings.TrimSpace(r.PostForm.Get("token"))
	if token == "" {
		u.login(w, r, http.StatusUnprocessableEntity, next, "Enter an API token.")
		return
	}
	p, err := u.Login.Tokens.Check(token)
	if err != nil {
		u.refuse(w, r, next, err)
		return
	}
	u.letIn(w, r, p, auth.Claims{}, next)
}

// letIn opens a session, unless the page of another site wants to have it.
func (u *ui) letIn(w http.ResponseWriter, r *http.Request, p *auth.Principal, c auth.Claims, next string) {
	if err := u.Login.Sessions.CheckOrigin(r); err != nil {
		u.refuse(w, r, next, err)
		return
	}
	u.Login.Sessions.Begin(w, r, p)
	u.Login.LoggedIn(r, p, c)
	http.Redirect(w, r, localPath(next), http.StatusSeeOther)
}

// refuse says why somebody is not let in.
func (u *ui) refuse(w http.ResponseWriter, r *http.Request, next string, err error) {
	d, ok := errors.AsType[*auth.Denied](err)
	if !ok {
		u.Logger.Error("custody: it could not be found out who wants to log in", "err", err)
		u.login(w, r, http.StatusServiceUnavailable, next, "It cannot be found out at the moment who you are. The log of the server says why.")
		return
	}
	if d.Status() == http.StatusUnauthorized {
		u.Login.Refused(r, d)
	}
	u.login(w, r, d.Status(), next, sentence(d.Detail))
}

func (u *ui) logOut(w http.ResponseWriter, r *http.Request) {
	if err := u.Login.Sessions.End(w, r); err != nil {
		u.refuse(w, r, "", err)
		return
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// away is what the browser keeps while somebody is at the provider.
type away struct {
	openid.Attempt
	Next string `json:"next"`
}

// awayCookie names its cookie, which lasts awaySeconds.
const (
	awayCookie  = "custody-login"
	awaySeconds = 10 * 60
)

func (u *ui) toProvider(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	attempt, address, err := u.Login.Provider.Begin(r.Context())
	if err != nil {
		u.refuse(w, r, next, err)
		return
	}
	b, err := json.Marshal(away{attempt, next})
	if err != nil {
		u.fail(w, r, err)
		return
	}
	c := u.Login.Sessions.Cookie(awayCookie, base64.RawURLEncoding.EncodeToString(b))
	c.MaxAge = awaySeconds
	http.SetCookie(w, c)
	http.Redirect(w, r, address, http.StatusSeeOther)
}

func (u *ui) fromProvider(w http.ResponseWriter, r *http.Request) {
	var a away
	if b, err := base64.RawURLEncoding.DecodeString(u.Login.Sessions.CookieOf(r, awayCookie)); err == nil {
		json.Unmarshal(b, &a) // what is not ours is an attempt of nobody
	}
	http.SetCookie(w, u.Login.Sessions.NoCookie(awayCookie))
	p, c, err := u.askProvider(r.Context(), &a, r.URL.Query())
	if err != nil {
		u.refuse(w, r, a.Next, err)
		return
	}
	u.letIn(w, r, p, c, a.Next)
}

func (u *ui) askProvider(ctx context.Context, a *away, came url.Values) (*auth.Principal, auth.Claims, error) {
	c, err := u.Login.Provider.Finish(ctx, a.Attempt, came)
	if err != nil {
		return nil, c, err
	}
	p, err := u.Login.People.Principal(c)
	return p, c, err
}

// maxPath is how long a path may be that somebody is led to, in bytes.
const maxPath = 2000

// localPath returns where on this server a path leads, and / where it leads elsewhere.
func localPath(s string) string {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxPath || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" ||
		!strings.HasPrefix(u.Path, "/") || path.Clean(u.Path) != u.Path || strings.ContainsAny(u.Path, "\\") || u.Path == "/login" || u.Path == "/logout" || strings.HasPrefix(u.Path, "/login/") {
		return "/"
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String()
}
