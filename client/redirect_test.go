package client

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestRedirect: neither the token nor events go to where a server redirects.
func TestRedirect(t *testing.T) {
	asked := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	s, err := NewServer(server.URL, &Options{Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Trails(t.Context()); err == nil || asked > 0 || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

// otherTransport is a transport such as programs put in the place of the standard one.
type otherTransport struct{ http.RoundTripper }

func TestOtherTransport(t *testing.T) {
	standard := http.DefaultTransport
	http.DefaultTransport = otherTransport{standard}
	defer func() { http.DefaultTransport = standard }()
	if c := newHTTP("", nil); c.Transport == nil {
		t.Error("there is none")
	}
}
