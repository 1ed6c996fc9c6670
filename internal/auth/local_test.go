package auth

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// request makes a request as it reaches a handler that listens at a TCP address.
func request(method, from, at, host string, header ...string) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	r.RemoteAddr, r.Host = from, host
	if at != "" {
		addr, err := net.ResolveTCPAddr("tcp", at)
		if err != nil {
			panic(err)
		}
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(addr)))
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestLocal(t *testing.T) {
	const here = "127.0.0.1:8420"
	for _, tt := range []struct {
		name string
		r    *http.Request
		want string // "local", "" or the reason
	}{
		{"loopback", request("GET", "127.0.0.1:50000", here, "localhost:8420"), "local"},
		{"another address of the loopback network", request("GET", "127.9.9.9:50000", here, "localhost:8420"), "local"},
		{"loopback of IPv6", request("GET", "[::1]:50000", "[::1]:8420", "localhost:8420"), "local"},
		{"loopback of IPv4 in IPv6", request("GET", "[::ffff:127.0.0.1]:50000", "[::ffff:127.0.0.1]:8420", "localhost:8420"), "local"},
		{"from the network", request("GET", "192.0.2.7:50000", "192.0.2.1:8420", "localhost:8420"), ""},
		{"from the network, with the source of a loopback", request("GET", "127.0.0.1:50000", "192.0.2.1:8420", "localhost:8420"), ""},
		{"this machine by its address in the network", request("GET", "192.0.2.1:50000", "192.0.2.1:8420", "localhost:8420"), ""},
		{"unspecified", request("GET", "0.0.0.0:50000", here, "localhost:8420"), ""},
		{"it is not known where it came in", request("GET", "127.0.0.1:50000", "", "localhost:8420"), ""},
		{"a Unix socket", request("GET", "@", here, "localhost:8420"), ""},
		{"with other credentials", request("GET", "127.0.0.1:50000", here, "localhost:8420", "Authorization", "Bearer x"), ""},
		{"with the word that there are none", request("GET", "127.0.0.1:50000", here, "localhost:8420", "Authorization", "Bearer none"), "local"},
		{"with that word and other credentials", request("GET", "127.0.0.1:50000", here, "localhost:8420", "Authorization", "Bearer none", "Authorization", "Bearer x"), ""},
		{"with that word from the network", request("GET", "192.0.2.7:50000", "192.0.2.1:8420", "localhost:8420", "Authorization", "Bearer none"), ""},
		{"through a proxy, X-Forwarded-For", request("GET", "127.0.0.1:50000", here, "localhost:8420", "X-Forwarded-For", "192.0.2.7"), "no_credentials"},
		{"through a proxy, X-Forwarded-For of this machine", request("GET", "127.0.0.1:50000", here, "localhost:8420", "x-forwarded-for", "127.0.0.1"), "no_credentials"},
		{"through a proxy, Forwarded", request("GET", "127.0.0.1:50000", here, "localhost:8420", "Forwarded", "for=192.0.2.7"), "no_credentials"},
		{"through a proxy, X-Real-IP", request("GET", "127.0.0.1:50000", here, "localhost:8420", "X-Real-IP", "192.0.2.7"), "no_credentials"},
		{"through a proxy, Via", request("GET", "127.0.0.1:50000", here, "localhost:8420", "Via", "1.1 proxy"), "no_credentials"},
		{"through a proxy, empty header", request("GET", "127.0.0.1:50000", here, "localhost:8420", "X-Forwarded-For", ""), "no_credentials"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			p, err := Local{}.Authenticate(tt.r)
			if p != nil {
				got = p.Name
				if p.Kind != KindLocal || p.Authenticated {
					t.Errorf("the principal is %+v", p)
				}
			}
			if d, ok := err.(*Denied); ok {
				got = string(d.Reason)
			} else if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// guard tells what LocalGuard does with a request: "" when it lets it through.
func guard(r *http.Request, names ...string) Reason {
	reason := Reason("neither let through nor refused")
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reason = "" })
	LocalGuard(next, func(_ http.ResponseWriter, _ *http.Request, d *Denied) { reason = d.Reason }, names...).ServeHTTP(httptest.NewRecorder(), r)
	return reason
}

func TestLocalGuardHost(t *testing.T) {
	names := []string{"custody.example.com", "forwarded.example.com:9000"}
	for _, tt := range []struct {
		host string
		at   string
		want Reason
	}{
		{"localhost:8420", "127.0.0.1:8420", ""},
		{"LOCALHOST:8420", "127.0.0.1:8420", ""},
		{"127.0.0.1:8420", "127.0.0.1:8420", ""},
		{"[::1]:8420", "[::1]:8420", ""},
		{"localhost", "127.0.0.1:80", ""},
		{"[::1]", "[::1]:80", ""},
		{"custody.example.com:8420", "127.0.0.1:8420", ""},
		{"forwarded.example.com:9000", "127.0.0.1:8420", ""},

		{"", "127.0.0.1:8420", ForeignHost},
		{"attacker.example:8420", "127.0.0.1:8420", ForeignHost}, // DNS rebinding
		{"attacker.example", "127.0.0.1:80", ForeignHost},
		{"localhost.attacker.example:8420", "127.0.0.1:8420", ForeignHost},
		{"attacker-localhost:8420", "127.0.0.1:8420", ForeignHost},
		{"localhost:8420.attacker.example", "127.0.0.1:8420", ForeignHost},
		{"localhost:8420@attacker.example:8420", "127.0.0.1:8420", ForeignHost},
		{"attacker.example:8420, localhost:8420", "127.0.0.1:8420", ForeignHost},
		{"localhost", "127.0.0.1:8420", ForeignHost},
		{"localhost:", "127.0.0.1:8420", ForeignHost},
		{"localhost:9999", "127.0.0.1:8420", ForeignHost},
		{"localhost.:8420", "127.0.0.1:8420", ForeignHost},
		{"::1:8420", "[::1]:8420", ForeignHost},
		{"127.1:8420", "127.0.0.1:8420", ForeignHost},
		{"2130706433:8420", "127.0.0.1:8420", ForeignHost},
		{"0.0.0.0:8420", "127.0.0.1:8420", ForeignHost},
		{"192.0.2.1:8420", "192.0.2.1:8420", ForeignHost},
		{"custody.example.com:9000", "127.0.0.1:8420", ForeignHost},
		{"forwarded.example.com:8420", "127.0.0.1:8420", ForeignHost},
		{"localhost:8420", "", ForeignHost},
	} {
		if got := guard(request("GET", "127.0.0.1:50000", tt.at, tt.host), names...); got != tt.want {
			t.Errorf("Host %q at %s: %q, want %q", tt.host, tt.at, got, tt.want)
		}
	}
	r := request("GET", "127.0.0.1:50000", "127.0.0.1:443", "localhost")
	r.TLS = &tls.ConnectionState{}
	if got := guard(r); got != "" {
		t.Errorf("with TLS the port 443 is not the one that is meant: %q", got)
	}
}

func TestLocalGuardCrossSite(t *testing.T) {
	const host = "localhost:8420"
	for _, tt := range []struct {
		name   string
		method string
		header []string
		want   Reason
	}{
		{"a program", "POST", nil, ""},
		{"a program that reads", "GET", nil, ""},
		{"our page", "POST", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:8420"}, ""},
		{"our page in an older browser", "POST", []string{"Origin", "http://localhost:8420"}, ""},
		{"the address bar", "GET", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, ""},
		{"a link elsewhere", "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, ""},

		{"a form elsewhere", "POST", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Origin", "https://attacker.example"}, CrossSite},
		{"a script elsewhere", "POST", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Origin", "https://attacker.example"}, CrossSite},
		{"a script elsewhere that reads", "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty"}, CrossSite},
		{"an image elsewhere", "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, CrossSite},
		{"a frame elsewhere", "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, CrossSite},
		{"a preflight", "OPTIONS", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Origin", "https://attacker.example"}, CrossSite},
		{"another port of this machine", "POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://localhost:3000"}, CrossSite},
		{"another port of this machine that reads", "GET", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://localhost:3000"}, CrossSite},
		{"an older browser, elsewhere", "POST", []string{"Origin", "https://attacker.example"}, CrossSite},
		{"an older browser, elsewhere, that reads", "GET", []string{"Origin", "https://attacker.example"}, CrossSite},
		{"an older browser, a sandboxed frame or a file", "POST", []string{"Origin", "null"}, CrossSite},
		{"an older browser, a name that begins like ours", "POST", []string{"Origin", "http://localhost:8420.attacker.example"}, CrossSite},
		{"an older browser, a WebSocket", "GET", []string{"Origin", "https://attacker.example", "Connection", "Upgrade", "Upgrade", "websocket"}, CrossSite},
		{"deleting that pretends to be a link", "DELETE", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, CrossSite},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := guard(request(tt.method, "127.0.0.1:50000", "127.0.0.1:8420", host, tt.header...)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The guard and Local on a real server: what they know of the connection is there.
func TestLocalOnAServer(t *testing.T) {
	deny := func(w http.ResponseWriter, _ *http.Request, d *Denied) { http.Error(w, d.Error(), d.Status()) }
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(From(r.Context()).Name)) })
	s := httptest.NewServer(LocalGuard(Middleware(who, deny, Local{}), deny))
	defer s.Close()
	for host, want := range map[string]int{"": 200, "attacker.example": 403, "localhost": 403} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		res, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("Host %q: %s, want %d", host, res.Status, want)
		}
	}
}

func TestLocalGuardOnAUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	deny := func(w http.ResponseWriter, _ *http.Request, d *Denied) {
		said.WriteString(string(d.Reason))
		w.WriteHeader(d.Status())
	}
	s := httptest.NewUnstartedServer(LocalGuard(Middleware(nil, deny, Local{}), deny))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", l.Addr().String())
	}}}
	defer client.CloseIdleConnections()
	res, err := client.Get("http://anything/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	// Whoever uses the socket is not taken for local: that is for Peer to say.
	if res.StatusCode != 401 || said.String() != string(NoCredentials) {
		t.Errorf("%s, %s", res.Status, said.String())
	}
}
