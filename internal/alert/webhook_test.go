package alert

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The secret, message and signature of the project's own tests
// (github.com/standard-webhooks/standard-webhooks, libraries/go/webhook_test.go).
const knownSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestSignature(t *testing.T) {
	s, err := ParseSecret(knownSecret + "\n")
	must(t, err)
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := s.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseSecret(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "begins with whsec_",
		"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw":    "begins with whsec_",
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La":  "24 to 64 bytes",
		"whsec_" + strings.Repeat("AAAA", 22): "24 to 64 bytes",
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2L!":  "not base64",
	} {
		_, err := ParseSecret(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		} else if strings.Contains(err.Error(), "MfKQ") {
			t.Errorf("the error shows it: %v", err)
		}
	}
}

func TestSecretIsNotShown(t *testing.T) {
	s, err := ParseSecret(knownSecret)
	must(t, err)
	w := Webhook{Name: "w", Secret: s}
	j, err := json.Marshal(w)
	must(t, err)
	for _, shown := range []string{fmt.Sprint(w), fmt.Sprintf("%+v", w), fmt.Sprintf("%#v", w), s.String(), string(j)} {
		if !strings.Contains(shown, "whsec_…") || strings.Contains(shown, string(s.key)) || strings.Contains(shown, "MfKQ") {
			t.Errorf("it shows as %s", shown)
		}
	}
}

// Alerts go where the configuration says, and errors do not say where that is.
func TestPost(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it follows a redirect") }))
	defer elsewhere.Close()
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		case "/cut":
			panic(http.ErrAbortHandler)
		case "/gone":
			w.WriteHeader(http.StatusGone)
		}
	}))
	defer r.Close()
	client := newClient()
	defer client.CloseIdleConnections()
	for path, want := range map[string]string{"/": "", "/endless": "", "/redirect": "it answers 307", "/cut": "EOF", "/gone": "410"} {
		w := Webhook{URL: r.URL + path}
		err := w.post(t.Context(), client, "id", []byte("{}"), time.Now())
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), path)) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	tls := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it trusts any certificate") }))
	defer tls.Close()
	w := Webhook{URL: tls.URL}
	if err := w.post(t.Context(), client, "id", []byte("{}"), time.Now()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
}

func TestDelay(t *testing.T) {
	for _, tt := range []struct {
		failures int
		due      time.Duration
	}{{1, 5 * time.Second}, {2, 10 * time.Second}, {4, 40 * time.Second}, {5, time.Minute}, {1000, time.Minute}} {
		for range 100 {
			if d := delay(firstRetry, tt.failures, time.Minute); d < tt.due/2 || d >= tt.due*3/2 {
				t.Errorf("after %d failures: %s, where %s is due", tt.failures, d, tt.due)
			}
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add(knownSecret)
	f.Add("whsec_")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseSecret(text); err == nil && (len(s.key) < 24 || len(s.key) > 64) {
			t.Errorf("%d bytes", len(s.key))
		}
	})
}
