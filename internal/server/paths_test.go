package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/trails"
)

// odd are paths that are not what they should be, of what is there.
var odd = []string{
	"//healthz", "/./healthz", "/x/../healthz", "/../healthz", "/healthz/.", "//openapi.json", "///readyz",
	"//v1/trails", "/v1//trails", "/v1/./trails", "/v1/x/../trails", "/healthz/../v1/trails", "/v1/trails/default/events/..",
	"/v1/trails//default", "//v1/trails/default/events?limit=1", "/t/default", "//t/default/checkpoint", "/t//checkpoint", "/t/default/x/../checkpoint",
	"//trails/default", "/trails//default", "/trails/default/../default", "/assets/../trails/default", "/login/../trails/default", "/login//oidc", "/./",
	"//attacker.example", "//attacker.example/..", "///attacker.example/%2e%2e/..", "/\\attacker.example/..", "//attacker.example/../healthz",
	"*",
}

// TestOddPaths sends them as no client library does. Whoever asks, there is nothing: nobody
// is led anywhere.
func TestOddPaths(t *testing.T) {
	for name, withPage := range map[string]bool{"with the page": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			s, tokens := newTokenSite(t)
			if !withPage {
				s.api.Stop()
				s = serveSet(t, s.set, Config{Tokens: tokens, Logger: s.api.log})
			}
			address := s.http.Listener.Addr().String()
			for _, path := range odd {
				for _, method := range []string{"GET", "POST"} {
					for _, who := range []string{"", "Test-Roles: " + everybody + "\r\n"} {
						status, header, body := raw(t, address, method+" "+path, who)
						if path == "*" && status == http.StatusBadRequest {
							continue // says the library
						}
						if method == "POST" && status == http.StatusMethodNotAllowed {
							continue // it is read only, however it is written
						}
						if status != http.StatusNotFound || header.Get("Content-Type") != "application/problem+json" || header.Get("Location") != "" || !strings.Contains(body, `"code":"not_found"`) {
							t.Errorf("%s %s as %q: %d, leads to %q: %s", method, path, who, status, header.Get("Location"), body)
						}
					}
				}
			}
		})
	}
}

// Nothing that is not for everybody is got by a path that is written in another way.
func TestPathsInOtherWords(t *testing.T) {
	s, _ := newTokenSite(t)
	address := s.http.Listener.Addr().String()
	for _, path := range []string{
		"/v1/%74rails/default/events", "/v1/trails/%64efault/events", "/v1%2Ftrails/default/events", "/%76%31/trails/default/events",
		"/healthz%2F..%2Fv1/trails/default/events", "/assets/%2e%2e/trails/default", "/assets%2F..%2Ftrails/default", "/login%2F..%2Ftrails/default", "/login/%2e%2e/trails/default",
		"/v1/trails/%2e%2e/default/events", "/t/default/%2e%2e/%2e%2e/v1/trails/default/events", "/V1/trails/default/events", "/v1/trails/default/events;x", "/v1/trails/default/events%00",
	} {
		status, header, body := raw(t, address, "GET "+path, "")
		if status == http.StatusOK && strings.HasPrefix(body, "page ") {
			// It is below those parts of the page that are for everybody, and is not read otherwise there.
			if !strings.HasPrefix(path, "/assets/") && !strings.HasPrefix(path, "/login/") {
				t.Errorf("%s is a page", path)
			}
			continue
		}
		if status != http.StatusUnauthorized && status != http.StatusNotFound || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d, leads to %q: %.200s", path, status, header.Get("Location"), body)
		}
	}
}

// The guard of a server without authentication comes before everything.
func TestGuardIsFirst(t *testing.T) {
	set, err := trails.Open(trails.Config{Dir: t.TempDir(), Origin: "example.org"})
	must(t, err)
	t.Cleanup(func() { set.Close() })
	s := serveSet(t, set, Config{Local: true, Page: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "page") })})
	address := s.http.Listener.Addr().String()
	for _, path := range append([]string{"/", "/healthz", "/readyz", "/v1/trails", "/assets/x", "/login", "http://attacker.example/v1/trails", "http://attacker.example//v1/trails"}, odd...) {
		for _, from := range []string{"Host: attacker.example\r\n", "Host: " + address + "\r\nOrigin: https://attacker.example\r\n", "Host: " + address + "\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"} {
			status, header, body := raw(t, address, "GET "+path, from)
			if status != http.StatusForbidden && (path != "*" || status != http.StatusBadRequest) || header.Get("Location") != "" {
				t.Errorf("%s %q: %d, leads to %q: %.200s", path, from, status, header.Get("Location"), body)
			}
		}
	}
}

// raw sends a request as it is written. Without a header Host it gets one.
func raw(t *testing.T, address, request, headers string) (int, http.Header, string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	must(t, err)
	defer c.Close()
	if !strings.Contains(headers, "Host:") {
		headers = "Host: " + address + "\r\n" + headers
	}
	_, err = fmt.Fprintf(c, "%s HTTP/1.1\r\n%sAccept: text/html\r\nContent-Type: application/json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", request, headers)
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), httptest.NewRequest("GET", "/", nil))
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, resp.Header, string(b)
}
