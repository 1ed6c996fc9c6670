package auth

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Authenticator finds out who sent a request. It may be used from several goroutines.
type Authenticator interface {
	// Authenticate returns who sent r, and nil, nil if r has no credentials of this
	// kind. An error refuses the request, whatever other credentials it has: a
	// *[Denied] says why, any other one that it could not be found out.
	Authenticate(r *http.Request) (*Principal, error)
}

// Reason says why a request was refused.
type Reason string

// The reasons.
const (
	NoCredentials  Reason = "no_credentials"  // it does not say who sends it
	BadCredentials Reason = "bad_credentials" // it does not show that it is sent by whom it says
	Expired        Reason = "expired"         // its credentials were good until some time ago
	Revoked        Reason = "revoked"         // its credentials were good until somebody revoked them
	Unavailable    Reason = "unavailable"     // it could not be found out who sends it
	ForeignHost    Reason = "foreign_host"    // it was sent to a name that is not this server's
	CrossSite      Reason = "cross_site"      // a page of another site sent it
)

// Denied says why a request was refused.
type Denied struct {
	Reason Reason
	// Detail tells whoever sent the request what is wrong. It holds nothing secret.
	Detail string
	// Principal is who had the credentials that are good no more, or nil.
	Principal *Principal
	// Err is what went wrong when Reason is Unavailable. It is for the operator of
	// the server and not for who sent the request.
	Err error
	// Unreported is how many failures from the same address were not told to
	// [Gate.OnFailure] since the last one that was.
	Unreported int
}

// Error implements error.
func (d *Denied) Error() string { return fmt.Sprintf("%s: %s", d.Reason, d.Detail) }

// Unwrap returns Err.
func (d *Denied) Unwrap() error { return d.Err }

// Status returns the status of the answer.
func (d *Denied) Status() int {
	switch d.Reason {
	case ForeignHost, CrossSite:
		return http.StatusForbidden
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusUnauthorized
}

// Gate is the handler that [Middleware] returns.
type Gate struct {
	// OnFailure, if it is not nil, is told of credentials that were refused, so that
	// the server can record that; of one address at most ten times at once and
	// then every ten seconds, so that nobody fills the trail. It is called before
	// the answer is written. Set it before the first request.
	OnFailure func(r *http.Request, d *Denied)

	next           http.Handler
	deny           func(http.ResponseWriter, *http.Request, *Denied)
	authenticators []Authenticator
	failures       failures
}

// Middleware returns a handler that asks authenticators in turn who sent a request,
// and calls next with the principal that the first one gives ([From]). If one of them
// refuses the request or none knows who sent it, deny writes the answer, of which the
// header WWW-Authenticate is set already. [Local] belongs at the end.
func Middleware(next http.Handler, deny func(http.ResponseWriter, *http.Request, *Denied), authenticators ...Authenticator) *Gate {
	return &Gate{next: next, deny: deny, authenticators: authenticators}
}

// ServeHTTP implements [http.Handler].
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := g.authenticate(r)
	if err == nil {
		g.next.ServeHTTP(w, r.WithContext(With(r.Context(), p)))
		return
	}
	d := denialOf(err)
	if d.Status() == http.StatusUnauthorized {
		// RFC 6750 section 3.
		challenge := `Bearer realm="custody"`
		if d.Reason != NoCredentials {
			challenge += `, error="invalid_token"`
			g.Report(r, d)
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	g.deny(w, r, d)
}

// OwnPages returns an authenticator by credentials that browsers send by themselves,
// whichever page has them send a request, such as client certificates: check refuses what
// changes something and was sent by the page of another site ([Sessions.CheckOrigin]).
func OwnPages(a Authenticator, check func(*http.Request) error) Authenticator {
	return ownPages{a, check}
}

type ownPages struct {
	Authenticator
	check func(*http.Request) error
}

// Authenticate implements [Authenticator].
func (o ownPages) Authenticate(r *http.Request) (*Principal, error) {
	p, err := o.Authenticator.Authenticate(r)
	if p != nil && err == nil {
		err = o.check(r)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Open is ServeHTTP for what anybody may ask for: who has no credentials, or other ones
// than a header Authorization that are good for nobody, comes in without a principal.
func (g *Gate) Open(w http.ResponseWriter, r *http.Request) {
	if len(r.Header["Authorization"]) > 0 {
		g.ServeHTTP(w, r)
		return
	}
	if p, err := g.authenticate(r); err == nil {
		r = r.WithContext(With(r.Context(), p))
	}
	g.next.ServeHTTP(w, r)
}

// denialOf returns a copy of the *Denied that an error is, and one that says so where it
// could not be found out who sent a request.
func denialOf(err error) *Denied {
	if denied, ok := errors.AsType[*Denied](err); ok {
		d := *denied
		return &d
	}
	return &Denied{Reason: Unavailable, Detail: "it cannot be found out at the moment who sent this request; try again later", Err: err}
}

// Recheck looks again at a request that was let in and that takes long to answer. It
// returns nil as long as the same principal would be let in.
func (g *Gate) Recheck(r *http.Request) *Denied {
	p, err := g.authenticate(r)
	switch was := From(r.Context()); {
	case err != nil:
		return denialOf(err)
	case was == nil || p.Name != was.Name:
		return &Denied{Reason: Expired, Detail: "the credentials that this request began with are good no more", Principal: was}
	}
	return nil
}

func (g *Gate) authenticate(r *http.Request) (*Principal, error) {
	for _, a := range g.authenticators {
		if p, err := a.Authenticate(r); p != nil || err != nil {
			return p, err
		}
	}
	if len(r.Header["Authorization"]) > 0 {
		return nil, &Denied{Reason: BadCredentials, Detail: "this server knows no credentials of this kind; an API token is sent as Authorization: Bearer cst_…"}
	}
	return nil, &Denied{Reason: NoCredentials, Detail: "this server has to know who sends a request; an API token is sent as Authorization: Bearer cst_…"}
}

// Unreported returns how many failures were told to OnFailure neither one by one nor with
// a later one of the same address, which has been quiet since; with all, also those of
// addresses from which more may come, at the end. They are counted once.
func (g *Gate) Unreported(all bool) int { return g.failures.rest(time.Now(), all) }

// Report tells OnFailure of credentials that were refused, within its bounds. It is for
// credentials that something else than this gate looks at.
func (g *Gate) Report(r *http.Request, d *Denied) {
	if g.OnFailure == nil {
		return
	}
	unreported, ok := g.failures.take(r.RemoteAddr, time.Now())
	if ok {
		d.Unreported = unreported
		g.OnFailure(r, d)
	}
}
