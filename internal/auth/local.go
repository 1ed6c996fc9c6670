package auth

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Local lets anybody on this machine do everything: it gives the principal "local" to
// a request that came over a loopback connection and has no other credentials, or says
// "Authorization: Bearer none". A request that a proxy on this machine passes on came
// from elsewhere, so it is refused.
//
// A server that uses it needs [LocalGuard] as well: a web page from anywhere can make
// the browser of this machine's user send requests.
type Local struct{}

// forwarding are the headers that a proxy adds (RFC 9110 section 7.6.3, RFC 7239).
var forwarding = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"}

// local is the principal that Local gives.
var local = Principal{Name: "local", Kind: KindLocal, Roles: slices.Clone(Roles)}

// Authenticate implements [Authenticator].
func (Local) Authenticate(r *http.Request) (*Principal, error) {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok || !loopback(at.String()) || !loopback(r.RemoteAddr) || !withoutCredentials(r) {
		return nil, nil
	}
	for _, name := range forwarding {
		if _, ok := r.Header[name]; ok {
			return nil, &Denied{Reason: NoCredentials, Detail: "this request came through a proxy (it has the header " + name + "), so it may come from anywhere; behind a proxy this server needs authentication, such as API tokens"}
		}
	}
	return &local, nil
}

// noCredentials is what a program sends that has none and cannot but send a key, such as
// one with the OpenAI Agents SDK.
const noCredentials = "Bearer none"

func withoutCredentials(r *http.Request) bool {
	values := r.Header["Authorization"]
	return len(values) == 0 || len(values) == 1 && values[0] == noCredentials
}

func loopback(addrPort string) bool {
	ap, err := netip.ParseAddrPort(addrPort)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// LocalGuard protects a server that lets anybody on this machine in from the web pages
// that somebody on this machine has open. deny writes the answer to what it refuses:
//
//   - A request to a name that is not this server's ([ForeignHost]). A page can have its
//     own name resolve to this machine (DNS rebinding); the browser then takes the
//     server for the page's own. Names of this server are localhost, 127.0.0.1 and
//     [::1] with the port that it listens on, and those in names: with that port, or
//     as host:port with another.
//   - A request that a page of another origin made ([CrossSite]), one that only reads
//     too, by Sec-Fetch-Site (W3C Fetch Metadata) or Origin (RFC 6454). Following a
//     link to this server is allowed.
//
// No browser sends a request over a Unix socket: there every name is right.
func LocalGuard(next http.Handler, deny func(http.ResponseWriter, *http.Request, *Denied), names ...string) http.Handler {
	names = append([]string{"localhost", "127.0.0.1", "[::1]"}, names...)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !served(r, names):
			deny(w, r, &Denied{Reason: ForeignHost, Detail: "this server has not the name that the request was sent to (" + strconv.QuoteToASCII(r.Host) + "); use localhost, or add the name to the server's configuration"})
		case !sameOrigin(r):
			deny(w, r, &Denied{Reason: CrossSite, Detail: "a page of another site sent this request; open this server's own page instead"})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// served reports whether the request was sent to one of the names.
func served(r *http.Request, names []string) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	if at.Network() == "unix" {
		return true
	}
	_, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return false
	}
	standard := "80"
	if r.TLS != nil {
		standard = "443"
	}
	host := withPort(r.Host, standard)
	return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(host, withPort(name, port)) })
}

// withPort adds a port to a host that has none. An address of IPv6 is in brackets.
func withPort(host, port string) string {
	if strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']') {
		return host
	}
	return host + ":" + port
}

// sameOrigin reports whether no page of another origin sent the request.
func sameOrigin(r *http.Request) bool {
	h := r.Header
	if r.Method == http.MethodGet && h.Get("Sec-Fetch-Mode") == "navigate" && h.Get("Sec-Fetch-Dest") == "document" {
		return true // a link; the page that has it does not see the answer
	}
	// The check lets through every request that by its method only reads. Here it
	// is to be made for those as well.
	asked := &http.Request{Method: http.MethodPost, Host: r.Host, Header: r.Header}
	return new(http.CrossOriginProtection).Check(asked) == nil
}
