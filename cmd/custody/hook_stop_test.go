package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// A stop reaches the agent although the server does not record what it says.
func TestHookIsStoppedUnrecorded(t *testing.T) {
	s := newSite(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	s.must(t, s.url, "", "stop", "--agent", "claude-code", "--reason", "it deletes files")
	target, err := url.Parse(strings.TrimSuffix(s.url, "/trails/default"))
	check(t, err)
	through := httputil.NewSingleHostReverseProxy(target)
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusUnprocessableEntity} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/v1/hooks/") {
				w.WriteHeader(status)
				return
			}
			through.ServeHTTP(w, r)
		}))
		defer proxy.Close()
		for _, message := range []string{toolCall("PreToolUse", "1"), strings.Replace(toolCall("PreToolUse", "1"), "{", `{"agent_id":"sub1",`, 1)} {
			out, errs, exit := s.command(t, proxy.URL, message, 0, "hook", "claude-code")
			if exit != exitOK || !strings.Contains(out, "it deletes files") || errs == "" {
				t.Errorf("%d: exit status %d: %s%s", status, exit, out, errs)
			}
		}
	}
	s.must(t, s.url, "", "hook", "--flush")
	if out := s.must(t, s.url, "", "query", "--type", "action_denied", "--json"); !strings.Contains(out, `"emergency_stop"`) {
		t.Errorf("what was denied is not recorded: %s", out)
	}
}
