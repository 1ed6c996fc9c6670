// Package openid finds out from an OpenID provider who somebody is: by the
// authorization code flow (OpenID Connect Core 1.0 section 3.1), with PKCE (RFC 7636).
package openid

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/custodylog/custody/internal/auth"
)

// Config says which provider is asked, and as whom.
type Config struct {
	Issuer   string // URL, as it is in the provider's tokens
	ClientID string

	// Secret returns the secret of the client. nil: it has none (a public client).
	Secret func() (string, error)

	RedirectURL string   // where the provider sends people back to
	Scopes      []string // beside openid and email
	GroupsClaim string   // the claim that has the groups of somebody
}

// Provider is an OpenID provider. It may be used from several goroutines.
type Provider struct {
	cfg  Config
	http *http.Client

	mu     sync.Mutex
	found  *found    // guarded by mu; nil: it has not answered yet
	failed error     // guarded by mu; why it did not answer when it was asked last
	asked  time.Time // guarded by mu; when that ended
}

// found is what a provider says of itself.
type found struct {
	*oidc.Provider
	verifier *oidc.IDTokenVerifier
	oauth2   oauth2.Config // without a secret
}

// Bounds of what is asked of a provider.
const (
	maxAnswer = 1 << 20 // bytes
	maxWait   = 10 * time.Second
	askAgain  = time.Second // after it did not answer
)

// New returns a provider. It is asked when it is needed for the first time, so that a
// provider that cannot be reached keeps no server from starting.
func New(cfg Config) *Provider {
	return &Provider{cfg: cfg, http: &http.Client{Timeout: maxWait, Transport: bounded{http.DefaultTransport}}}
}

// bounded cuts answers off that are too long.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// Issuer returns the URL that the provider is known by.
func (p *Provider) Issuer() string { return p.cfg.Issuer }

// find asks the provider where everything is (OpenID Connect Discovery 1.0). While it does
// not answer, all who want to know that wait for the same attempt.
func (p *Provider) find(ctx context.Context) (*found, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil && (p.failed == nil || time.Since(p.asked) >= askAgain) {
		p.found, p.failed = p.discover(context.WithoutCancel(ctx)) // it is for the others too
		p.asked = time.Now()
	}
	return p.found, p.failed
}

// discover is one attempt.
func (p *Provider) discover(ctx context.Context) (*found, error) {
	o, err := oidc.NewProvider(ctx, p.cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("asking the OpenID provider where everything is: %w", err)
	}
	var says struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := o.Claims(&says); err != nil {
		return nil, fmt.Errorf("reading what the OpenID provider says of itself: %w", err)
	}
	f := &found{Provider: o, verifier: o.Verifier(&oidc.Config{ClientID: p.cfg.ClientID})}
	f.oauth2 = oauth2.Config{ClientID: p.cfg.ClientID, Endpoint: o.Endpoint(), RedirectURL: p.cfg.RedirectURL, Scopes: []string{oidc.ScopeOpenID, "email"}}
	for _, s := range p.cfg.Scopes {
		if !slices.Contains(f.oauth2.Scopes, s) {
			f.oauth2.Scopes = append(f.oauth2.Scopes, s)
		}
	}
	// Without the list it is the header (OpenID Connect Discovery 1.0 section 3).
	f.oauth2.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if p.cfg.Secret == nil || len(says.Methods) > 0 && !slices.Contains(says.Methods, "client_secret_basic") {
		f.oauth2.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return f, nil
}

// Attempt is what a browser keeps while somebody is away to log in. Whoever comes back
// without it is somebody else.
type Attempt struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // of PKCE
}

// Begin returns an attempt, and the address at the provider that the browser has to go
// to.
func (p *Provider) Begin(ctx context.Context) (Attempt, string, error) {
	f, err := p.find(oidc.ClientContext(ctx, p.http))
	if err != nil {
		return Attempt{}, "", err
	}
	a := Attempt{State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier()}
	return a, f.oauth2.AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), nil
}

func random() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Finish returns what the provider says of somebody who came back with the parameters
// of an address. An *[auth.Denied] says why that is nobody; another error is for the
// operator.
func (p *Provider) Finish(ctx context.Context, a Attempt, came url.Values) (auth.Claims, error) {
	code, err := p.code(a, came)
	if err != nil {
		return auth.Claims{}, err
	}
	ctx = oidc.ClientContext(ctx, p.http)
	f, err := p.find(ctx)
	if err != nil {
		return auth.Claims{}, err
	}
	tokens, err := p.exchange(ctx, f, code, a.Verifier)
	if err != nil {
		return auth.Claims{}, err
	}
	c, err := p.identity(ctx, f, tokens, a.Nonce)
	if err != nil || c.Email != "" && len(c.Groups) > 0 || f.UserInfoEndpoint() == "" {
		return c, err
	}
	return p.userInfo(ctx, f, tokens, c)
}

// code returns the authorization code that somebody came back with.
func (p *Provider) code(a Attempt, came url.Values) (string, error) {
	if a.State == "" || subtle.ConstantTimeCompare([]byte(a.State), []byte(came.Get("state"))) != 1 {
		return "", denied("this browser did not ask for it, or too long ago; log in again")
	}
	if iss := came.Get("iss"); iss != "" && iss != p.cfg.Issuer { // RFC 9207
		return "", denied("the answer is from another provider, %.200q", iss)
	}
	if reason := came.Get("error"); reason != "" {
		return "", denied("the provider did not let you in: %.100q %.300q", reason, came.Get("error_description"))
	}
	return came.Get("code"), nil
}

// exchange gets the tokens that a code stands for.
func (p *Provider) exchange(ctx context.Context, f *found, code, verifier string) (*oauth2.Token, error) {
	as := f.oauth2
	if p.cfg.Secret != nil {
		secret, err := p.cfg.Secret()
		if err != nil {
			return nil, fmt.Errorf("the secret for the OpenID provider: %w", err)
		}
		as.ClientSecret = secret
	}
	tokens, err := as.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode == "invalid_grant" {
		return nil, denied("the provider does not take the code: it was used before, is too old, or is for somebody else; log in again")
	}
	if err != nil {
		return nil, fmt.Errorf("asking the OpenID provider who logged in: %w", err)
	}
	return tokens, nil
}

// identity checks the ID token (OpenID Connect Core 1.0 section 3.1.3.7).
func (p *Provider) identity(ctx context.Context, f *found, tokens *oauth2.Token, nonce string) (auth.Claims, error) {
	raw, _ := tokens.Extra("id_token").(string)
	id, err := f.verifier.Verify(ctx, raw)
	if _, expired := errors.AsType[*oidc.TokenExpiredError](err); expired {
		return auth.Claims{}, &auth.Denied{Reason: auth.Expired, Detail: "what the provider says is too old; log in again, and if that does not help, look at the clocks of the provider and of this server"}
	}
	if err != nil {
		return auth.Claims{}, denied("what the provider says does not check out: %.300s", err)
	}
	if nonce == "" || subtle.ConstantTimeCompare([]byte(nonce), []byte(id.Nonce)) != 1 {
		return auth.Claims{}, denied("what the provider says is not for this attempt to log in (its nonce is another one); log in again")
	}
	var also struct {
		For string `json:"azp"`
	}
	if err := id.Claims(&also); err != nil {
		return auth.Claims{}, denied("what the provider says cannot be read: %.300s", err)
	}
	if also.For != "" && also.For != p.cfg.ClientID {
		return auth.Claims{}, denied("what the provider says is for %.100q, and not for this server", also.For)
	}
	return p.claims(auth.Claims{Issuer: id.Issuer, Subject: id.Subject}, id.Claims)
}

// userInfo adds what the ID token does not say (OpenID Connect Core 1.0 section 5.3).
func (p *Provider) userInfo(ctx context.Context, f *found, tokens *oauth2.Token, c auth.Claims) (auth.Claims, error) {
	info, err := f.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return c, fmt.Errorf("asking the OpenID provider who somebody is: %w", err)
	}
	if info.Subject != c.Subject {
		return c, denied("the provider says that you are two: %.100q and %.100q", c.Subject, info.Subject)
	}
	more, err := p.claims(c, info.Claims)
	if c.Email != "" {
		more.Email, more.EmailVerified = c.Email, c.EmailVerified
	}
	if len(c.Groups) > 0 {
		more.Groups = c.Groups
	}
	return more, err
}

// claims adds to c what somebody is known by.
func (p *Provider) claims(c auth.Claims, read func(any) error) (auth.Claims, error) {
	var all map[string]json.RawMessage
	if err := read(&all); err != nil {
		return c, denied("what the provider says cannot be read: %.300s", err)
	}
	json.Unmarshal(all["email"], &c.Email) // what is no text is no address
	var verified any
	json.Unmarshal(all["email_verified"], &verified)
	c.EmailVerified = verified == true || verified == "true" // some write a text
	var one string
	if groups := all[p.cfg.GroupsClaim]; json.Unmarshal(groups, &one) == nil && one != "" {
		c.Groups = []string{one}
	} else {
		json.Unmarshal(groups, &c.Groups)
	}
	return c, nil
}

func denied(format string, args ...any) error {
	return &auth.Denied{Reason: auth.BadCredentials, Detail: fmt.Sprintf(format, args...)}
}
