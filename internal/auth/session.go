package auth

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"sync"
	"time"
)

// SessionConfig says how long sessions last and how browsers keep them.
type SessionConfig struct {
	// Idle and Longest are how long a session lasts without a request, and at all.
	Idle, Longest time.Duration

	// Secure says that browsers reach the server over TLS only.
	Secure bool

	// Origin is what browsers call the server, such as https://custody.example.org,
	// where a proxy in front of it changes the header Host. Empty: no proxy does.
	Origin string

	// Tokens are asked whether the API token is still good that somebody logged in
	// with. nil: nobody logs in with one.
	Tokens *Tokens
}

// Sessions are those of the people who are logged in to the web page. They are in
// memory, so that they end with the server, and keyed by the hash of a secret of 256
// bits, which the browser has in a cookie. It implements [Authenticator] and may be
// used from several goroutines.
type Sessions struct {
	cfg   SessionConfig
	cross *http.CrossOriginProtection

	mu   sync.Mutex
	open map[[sha256.Size]byte]*session // guarded by mu
	own  map[string]int                 // how many are whose, by owner; guarded by mu
}

// session is one of them. Its principal does not change.
type session struct {
	principal   *Principal
	began, used time.Time
}

// maxSessions is how many sessions are open at most, and maxOwnSessions those of one
// person, who so ends nobody else's. Beyond it the one ends that was not used for the
// longest time.
const (
	maxSessions    = 10_000
	maxOwnSessions = 100
)

// owner returns whose the sessions of a principal are: those of the person, or of the
// name of nobody in particular.
func owner(p *Principal) string { return cmp.Or(p.PersonID(), p.Name) }

// NewSessions returns sessions of which none is open. It fails when Origin is none.
func NewSessions(cfg SessionConfig) (*Sessions, error) {
	s := &Sessions{cfg: cfg, cross: http.NewCrossOriginProtection(), open: map[[sha256.Size]byte]*session{}, own: map[string]int{}}
	if cfg.Origin != "" {
		if err := s.cross.AddTrustedOrigin(cfg.Origin); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Begin opens a session for somebody who has shown who they are, and ends the one that
// the browser had.
func (s *Sessions) Begin(w http.ResponseWriter, r *http.Request, p *Principal) {
	var b [32]byte
	rand.Read(b[:])
	secret := base64.RawURLEncoding.EncodeToString(b[:])
	in := *p
	in.Session = true
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(r)
	own := owner(p)
	if s.own[own] >= maxOwnSessions {
		s.makeRoom(now, maxOwnSessions, func(have *session) bool { return owner(have.principal) == own })
	}
	if len(s.open) >= maxSessions {
		s.makeRoom(now, maxSessions, func(*session) bool { return true })
	}
	s.open[hashSecret(secret)] = &session{principal: &in, began: now, used: now}
	s.own[own]++
	http.SetCookie(w, s.Cookie(sessionCookie, secret))
}

// End ends the session of whoever sent r. A *[Denied] refuses what the page of another
// site sent.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request) error {
	if err := s.CheckOrigin(r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(r)
	http.SetCookie(w, s.NoCookie(sessionCookie))
	return nil
}

// CheckOrigin refuses, by a *[Denied], a request that changes something and that a page
// of another origin sent.
func (s *Sessions) CheckOrigin(r *http.Request) error {
	if s.cross.Check(r) != nil {
		return &Denied{Reason: CrossSite, Detail: "a page of another site sent this request; open this server's own page instead"}
	}
	return nil
}

// Authenticate implements [Authenticator]. A request with a cookie of no session, or of
// one that is over, has no credentials. One that changes something is refused when a
// page of another origin sent it. One that was let in before ([Gate.Recheck]) does not
// make the session last longer.
func (s *Sessions) Authenticate(r *http.Request) (*Principal, error) {
	if len(r.Header["Authorization"]) > 0 {
		return nil, nil
	}
	p := s.find(r, time.Now())
	if p == nil {
		return nil, nil
	}
	if p.TokenID != "" {
		_, err := s.cfg.Tokens.Recheck(p.TokenID)
		if _, over := errors.AsType[*Denied](err); over {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.forget(r)
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	if err := s.CheckOrigin(r); err != nil {
		return nil, err
	}
	return p, nil
}

// find returns whose session r belongs to, and notes that it was used unless r was let in
// before; nil: none.
func (s *Sessions) find(r *http.Request, now time.Time) *Principal {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range r.CookiesNamed(s.cookieName(sessionCookie)) {
		key := hashSecret(c.Value)
		have := s.open[key]
		if have == nil {
			continue
		}
		if s.over(have, now) {
			s.close(key)
			continue
		}
		if From(r.Context()) == nil {
			have.used = now
		}
		return have.principal
	}
	return nil
}

func (s *Sessions) over(have *session, now time.Time) bool {
	return now.Sub(have.used) >= s.cfg.Idle || now.Sub(have.began) >= s.cfg.Longest
}

// forget ends the sessions that r belongs to. The caller holds mu.
func (s *Sessions) forget(r *http.Request) {
	for _, c := range r.CookiesNamed(s.cookieName(sessionCookie)) {
		s.close(hashSecret(c.Value))
	}
}

// makeRoom forgets the sessions that are over and, where that leaves too many of some for
// one more, the one of them that was not used for the longest time. The caller holds mu.
func (s *Sessions) makeRoom(now time.Time, most int, of func(*session) bool) {
	var last [sha256.Size]byte
	var oldest time.Time
	n := 0
	for key, have := range s.open {
		if s.over(have, now) {
			s.close(key)
			continue
		}
		if !of(have) {
			continue
		}
		if n++; n == 1 || have.used.Before(oldest) {
			last, oldest = key, have.used
		}
	}
	if n >= most {
		s.close(last)
	}
}

// close ends a session, if there is one of that key. The caller holds mu.
func (s *Sessions) close(key [sha256.Size]byte) {
	have := s.open[key]
	if have == nil {
		return
	}
	delete(s.open, key)
	own := owner(have.principal)
	if s.own[own]--; s.own[own] == 0 {
		delete(s.own, own)
	}
}

// sessionCookie names the cookie of a session.
const sessionCookie = "custody"

// Cookie returns a cookie that only this server gets, and no script sees. Its name has
// the prefix __Host- where there is TLS, so that no other host can set it (RFC 6265bis
// section 4.1.3.2). Lax: whoever follows a link to the page is still logged in.
func (s *Sessions) Cookie(name, value string) *http.Cookie {
	return &http.Cookie{Name: s.cookieName(name), Value: value, Path: "/", HttpOnly: true, Secure: s.cfg.Secure, SameSite: http.SameSiteLaxMode}
}

// NoCookie returns a cookie that takes another one away.
func (s *Sessions) NoCookie(name string) *http.Cookie {
	c := s.Cookie(name, "")
	c.MaxAge = -1
	return c
}

// CookieOf returns the value of a cookie that Cookie has made; "": there is none.
func (s *Sessions) CookieOf(r *http.Request, name string) string {
	c, err := r.Cookie(s.cookieName(name))
	if err != nil {
		return ""
	}
	return c.Value
}

func (s *Sessions) cookieName(name string) string {
	if s.cfg.Secure {
		return "__Host-" + name
	}
	return name
}
