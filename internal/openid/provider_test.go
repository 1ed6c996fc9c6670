package openid

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// However many want to log in, a provider that does not answer is asked once in a while,
// and nobody waits for the attempts of all the others.
func TestProviderThatDoesNotAnswer(t *testing.T) {
	var asked atomic.Int32
	release := make(chan struct{})
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		<-release
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer h.Close()
	p := New(Config{Issuer: h.URL, ClientID: "custody"})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, address, err := p.Begin(t.Context()); err == nil {
				t.Errorf("it leads to %s", address)
			}
		})
	}
	close(release)
	all.Wait()
	if n := asked.Load(); n > 2 { // two on a machine that takes a second for this
		t.Errorf("it was asked %d times", n)
	}
}
