package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// hookProcess runs custody hook as an agent does.
func hookProcess(t *testing.T, state, message string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.Command("custody", append([]string{"hook"}, args...)...)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+state, "GORACE=atexit_sleep_ms=0")
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(message), &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Error(err)
		return "", "", -1
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// toolCall is what Claude Code says before a call, or after it.
func toolCall(name, call string) string {
	return fmt.Sprintf(`{"session_id":"s","hook_event_name":%q,"tool_name":"Bash","tool_input":{"command":"ls"},"tool_use_id":"toolu_%s"}`, name, call)
}

// actionsOf returns the events of every action of a trail, in order.
func actionsOf(t *testing.T, dir, keys string) (types map[string][]event.Type, all []event.Event) {
	t.Helper()
	trail, err := custody.Open(dir, &custody.Options{KeyDir: keys, ReadOnly: true})
	check(t, err)
	defer trail.Close()
	types = map[string][]event.Type{}
	for entry, err := range trail.Entries(t.Context(), custody.Query{}) {
		check(t, err)
		e, err := entry.Event()
		check(t, err)
		if e.ActionID != "" {
			types[e.ActionID] = append(types[e.ActionID], e.Type)
			all = append(all, e)
		}
	}
	return types, all
}

// freeAddress returns an address that a server can listen at, more than once.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

// TestHooksWhileServerIsKilled kills the server while hooks run, and starts it again.
// With the spool nothing is lost or recorded twice; with --fail-closed the agent may do
// nothing that is not in the trail.
func TestHooksWhileServerIsKilled(t *testing.T) {
	const workers, calls = 3, 6
	for _, closed := range []bool{false, true} {
		t.Run(fmt.Sprint("fail-closed ", closed), func(t *testing.T) {
			data, state, addr := filepath.Join(t.TempDir(), "data"), t.TempDir(), freeAddress(t)
			args := []string{"claude-code", "--trail", "http://" + addr, "--timeout", "20s"}
			if closed {
				args = append(args, "--fail-closed")
			}
			server, _ := startServer(t, data, "--listen", addr)
			var done atomic.Int64
			var mu sync.Mutex
			var working sync.WaitGroup
			denied := map[string]bool{}
			step := func() {
				switch done.Add(1) {
				case workers * calls / 3:
					server.cmd.Process.Kill()
					server.wait()
				case workers * calls * 2 / 3:
					server, _ = startServer(t, data, "--listen", addr)
				}
			}
			for w := range workers {
				working.Go(func() {
					for c := range calls {
						call := fmt.Sprint(w, "-", c)
						out, errs, status := hookProcess(t, state, toolCall("PreToolUse", call), args...)
						if status != exitOK || out != "{}" && !(closed && strings.Contains(out, `"deny"`)) {
							t.Errorf("exit status %d: %s%s", status, out, errs)
						}
						if out != "{}" {
							mu.Lock()
							denied["toolu_"+call] = true
							mu.Unlock()
						} else if out, errs, status := hookProcess(t, state, toolCall("PostToolUse", call), args...); status != exitOK {
							t.Errorf("exit status %d: %s%s", status, out, errs)
						}
						step()
					}
				})
			}
			working.Wait()
			if _, errs, status := hookProcess(t, state, "", "--flush", "--trail", "http://"+addr); status != exitOK {
				t.Errorf("flush: %s", errs)
			}
			server.end(os.Interrupt)
			types, _ := actionsOf(t, filepath.Join(data, "trails", "default"), filepath.Join(data, "keys"))
			if closed == (len(denied) == 0) {
				t.Errorf("%d calls were denied", len(denied))
			}
			for w := range workers {
				for c := range calls {
					call := fmt.Sprint("toolu_", w, "-", c)
					want := []event.Type{event.ActionRequested, event.ActionExecuted}
					if denied[call] {
						want[1] = event.ActionDenied
					}
					if got := types[call]; len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
						t.Errorf("of %s the trail has %v, want %v", call, got, want)
					}
				}
			}
		})
	}
}

// A server that is away, one that takes a connection and does not answer, and one that
// is not well, are the same to an agent.
func TestHookWhileServerIsAway(t *testing.T) {
	s := newSite(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	never := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-never }))
	defer silent.Close()
	defer close(never)
	ill := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer ill.Close()
	pre, post := toolCall("PreToolUse", "1"), toolCall("PostToolUse", "1")
	notDirectory := filepath.Join(s.scratch, "file", "spool")
	check(t, os.WriteFile(filepath.Dir(notDirectory), nil, 0o600))
	for name, place := range map[string]string{"gone": "http://" + freeAddress(t), "silent": silent.URL, "ill": ill.URL, "no trail": filepath.Join(s.scratch, "none")} {
		for _, c := range []struct {
			message, flags string
			status         int
			denied         bool
			said           string
		}{
			{pre, "", exitOK, false, "kept in"},
			{pre, "--fail-closed", exitOK, true, "kept in"},
			{pre, "--fail-closed=spool", exitOK, false, "kept in"},
			{pre, "--spool " + notDirectory, exitUnrecorded, false, notDirectory},
			{pre, "--fail-closed=spool --spool " + notDirectory, exitOK, true, notDirectory},
			{post, "--fail-closed --spool " + notDirectory, exitOK, true, "denied"},
			{toolCall("SessionEnd", "1"), "--fail-closed --spool " + notDirectory, exitUnrecorded, false, notDirectory},
			{toolCall("Unheard", "1"), "--fail-closed --spool " + notDirectory, exitFailure, false, notDirectory},
			{"no JSON", "", exitUnrecorded, false, "byte 0"},
			{"no JSON", "--fail-closed", exitFailure, false, "byte 0"},
		} {
			began := time.Now()
			out, errs, status := s.command(t, place, c.message, 0, append([]string{"hook", "claude-code", "--timeout", "250ms"}, strings.Fields(c.flags)...)...)
			if status != c.status || strings.Contains(out, `"continue":false`) != c.denied || !strings.Contains(errs, c.said) {
				t.Errorf("%s, %.60s, %s: exit status %d\n%s\n%s", name, c.message, c.flags, status, out, errs)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%s, %.60s, %s: it took %s", name, c.message, c.flags, took)
			}
		}
	}
}

// At the end of a session all hooks of an agent together have 1.5 s.
func TestHookAtSessionEnd(t *testing.T) {
	s := newSite(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	never := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-never }))
	defer silent.Close()
	defer close(never)
	began := time.Now()
	out, errs, status := s.command(t, silent.URL, `{"session_id":"s","hook_event_name":"SessionEnd"}`, 0, "hook", "claude-code")
	if took := time.Since(began); took >= hookTimeout || out != "{}" || status != exitOK || !strings.Contains(errs, "kept in") {
		t.Errorf("after %s exit status %d: %s%s", took, status, out, errs)
	}
}

// Hooks run at the same time, and a trail in a directory has one writer at a time.
func TestHooksShareDirectory(t *testing.T) {
	h := &home{t: t, dir: t.TempDir()}
	h.custody("", "init", "--origin", "example.org/default")
	const n = 6
	var working sync.WaitGroup
	for i := range n {
		working.Go(func() {
			if out, errs, status := h.custody(toolCall("PreToolUse", fmt.Sprint(i)), "hook", "claude-code", "--timeout", "20s"); out != "{}" || status != exitOK {
				t.Errorf("exit status %d: %s%s", status, out, errs)
			}
		})
	}
	working.Wait()
	if types, _ := actionsOf(t, filepath.Join(h.dir, defaultTrail), ""); len(types) != n {
		t.Errorf("the trail has %v", types)
	}
}

// What was kept is recorded before the next message, with the time when it happened.
func TestHookReplays(t *testing.T) {
	data, state, addr := filepath.Join(t.TempDir(), "data"), t.TempDir(), freeAddress(t)
	hook := func(message string) {
		t.Helper()
		if out, errs, status := hookProcess(t, state, message, "claude-code", "--timeout", "20s", "--trail", "http://"+addr); out != "{}" || status != exitOK {
			t.Errorf("exit status %d: %s%s", status, out, errs)
		}
	}
	before := time.Now()
	hook(toolCall("PreToolUse", "1"))
	after := time.Now()
	server, _ := startServer(t, data, "--listen", addr)
	hook(toolCall("PostToolUse", "1"))
	server.end(os.Interrupt)
	_, all := actionsOf(t, filepath.Join(data, "trails", "default"), filepath.Join(data, "keys"))
	if len(all) != 2 || all[0].Type != event.ActionRequested || all[1].Type != event.ActionExecuted {
		t.Fatalf("the trail has %+v", all)
	}
	if at := all[0].OccurredAt; at.Before(before.Truncate(time.Microsecond)) || at.After(after) {
		t.Errorf("it happened between %s and %s; the trail has %s", before, after, at)
	}
}

// A stop reaches the agent by its hooks, wherever the trail is.
func TestHookIsStopped(t *testing.T) {
	for _, where := range []string{"directory", "server"} {
		t.Run(where, func(t *testing.T) {
			s := newSite(t)
			t.Setenv("XDG_STATE_HOME", t.TempDir())
			place := s.url
			if where == "directory" {
				place = filepath.Join(s.scratch, "local")
				s.must(t, place, "", "init", "--origin", "example.org/default")
			}
			hook := func(name string) string {
				return s.must(t, place, toolCall(name, "1"), "hook", "claude-code")
			}
			by := []string{"--by", "operator"}
			if out := hook("PreToolUse"); out != "{}" {
				t.Errorf("before the stop: %s", out)
			}
			id := strings.TrimSpace(s.must(t, place, "", append([]string{"stop", "--session", "s", "--reason", "it deletes files"}, by...)...))
			if out := hook("PreToolUse"); !strings.Contains(out, `"deny"`) || !strings.Contains(out, "it deletes files") {
				t.Errorf("during the stop: %s", out)
			}
			if out := s.must(t, place, "", "stop", "list"); !strings.Contains(out, id) || !strings.Contains(out, "ran since  nothing") {
				t.Errorf("stop list does not show %s: %s", id, out)
			}
			hook("PostToolUse")
			if out := s.must(t, place, "", "stop", "list", "--json"); !strings.Contains(out, `"after_ms":`) || !strings.Contains(out, `"session_id":"s"`) {
				t.Errorf("stop list does not show what ran after it: %s", out)
			}
			s.must(t, place, "", append([]string{"stop", "clear", id, "--reason", "mended"}, by...)...)
			if out := hook("PreToolUse"); out != "{}" {
				t.Errorf("after the stop: %s", out)
			}
			if out := s.must(t, place, "", "query", "--type", "action_denied", "--json"); strings.Count(out, "\n") != 1 || !strings.Contains(out, `"emergency_stop"`) {
				t.Errorf("denials:\n%s", out)
			}
		})
	}
}

// must runs a command that ends well, and returns its output.
func (s *site) must(t *testing.T, place, input string, args ...string) string {
	t.Helper()
	out, errs, status := s.command(t, place, input, 0, args...)
	if status != exitOK {
		t.Fatalf("custody %s exits with %d:\n%s%s", strings.Join(args, " "), status, out, errs)
	}
	return out
}

// Codex hands over what its setting notify tells as the last argument.
func TestHookMessageIsArgument(t *testing.T) {
	s := newSite(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for _, args := range [][]string{{"codex"}, {"codex", "notify"}} {
		s.must(t, s.url, "", append(append([]string{"hook"}, args...), `{"type":"agent-turn-complete","thread-id":"t-1","turn-id":"1","last-assistant-message":"done"}`)...)
	}
	if out := s.must(t, s.url, "", "query", "--session", "t-1", "--json"); strings.Count(out, "\n") != 2 {
		t.Errorf("the trail has\n%s", out)
	}
}

// A message whose answer got lost is in the trail and in the spool, and is recorded once.
func TestHookAnswerIsLost(t *testing.T) {
	s := newSite(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	target, err := url.Parse(strings.TrimSuffix(s.url, "/trails/default"))
	check(t, err)
	var lost atomic.Bool
	lost.Store(true)
	through := httputil.NewSingleHostReverseProxy(target)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lost.Load() {
			w = httptest.NewRecorder()
		}
		through.ServeHTTP(w, r)
		if lost.Load() {
			panic(http.ErrAbortHandler) // closes the connection
		}
	}))
	defer proxy.Close()
	message := `{"session_id":"s-lost","hook_event_name":"UserPromptSubmit","prompt":"go"}`
	if out, errs, status := s.command(t, proxy.URL, message, 0, "hook", "claude-code"); out != "{}" || status != exitOK || !strings.Contains(errs, "kept in") {
		t.Errorf("exit status %d: %s%s", status, out, errs)
	}
	lost.Store(false)
	if _, errs, status := s.command(t, proxy.URL, "", 0, "hook", "--flush"); status != exitOK || !strings.Contains(errs, "recorded 1 message") {
		t.Errorf("exit status %d: %s", status, errs)
	}
	if out := s.must(t, s.url, "", "query", "--session", "s-lost", "--json"); strings.Count(out, "\n") != 1 {
		t.Errorf("the trail has\n%s", out)
	}
}
