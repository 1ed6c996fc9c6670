package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A message that the server refuses does not keep the others from it. It is set aside, and
// recorded once it may be.
func TestHookMessageIsRefused(t *testing.T) {
	h := &home{t: t, dir: t.TempDir()}
	data, addr := filepath.Join(t.TempDir(), "data"), freeAddress(t)
	place := "http://" + addr
	message := func(session string) string {
		return `{"session_id":"` + session + `","hook_event_name":"UserPromptSubmit","prompt":"go"}`
	}
	for _, m := range [][2]string{{"claude-code", "s-1"}, {"codex", "s-2"}, {"claude-code", "s-3"}} {
		if out, errs, status := h.custody(message(m[1]), "hook", m[0], "--trail", place); status != exitOK || out != "{}" || !strings.Contains(errs, "kept in") {
			t.Errorf("exit status %d: %s%s", status, out, errs)
		}
	}
	server, _ := startServer(t, data, "--listen", addr)
	defer server.end(os.Interrupt)
	token := func(args ...string) string {
		file := filepath.Join(t.TempDir(), "token")
		out, errs, status := h.custody("", append([]string{"token", "create", "--data", data, "--name", "desk", "--roles", "submitter,auditor", "--by", "operator"}, args...)...)
		if status != exitOK {
			t.Fatalf("exit status %d: %s%s", status, out, errs)
		}
		check(t, os.WriteFile(file, []byte(out), 0o600))
		return file
	}
	few, all := token("--agents", "claude-code"), token()
	sessions := func() string {
		out, errs, status := h.custody("", "query", "--type", "turn_started", "--json", "--trail", place, "--token-file", all)
		if status != exitOK {
			t.Errorf("exit status %d: %s", status, errs)
		}
		var got []string
		for _, s := range []string{"s-1", "s-2", "s-3", "s-4"} {
			if strings.Contains(out, `"session_id":"`+s+`"`) {
				got = append(got, s)
			}
		}
		return strings.Join(got, " ")
	}
	if out, errs, status := h.custody(message("s-4"), "hook", "claude-code", "--trail", place, "--token-file", few); status != exitOK || out != "{}" || !strings.Contains(errs, "--again") {
		t.Errorf("exit status %d: %s%s", status, out, errs)
	}
	if got := sessions(); got != "s-1 s-3 s-4" {
		t.Errorf("the trail has %s", got)
	}
	if _, errs, status := h.custody("", "hook", "--flush", "--again", "--trail", place, "--token-file", few); status != exitFailure || !strings.Contains(errs, "1 message is refused") {
		t.Errorf("still refused: exit status %d: %s", status, errs)
	}
	if _, errs, status := h.custody("", "hook", "--flush", "--trail", place, "--token-file", all); status != exitOK || !strings.Contains(errs, "recorded 0 messages") {
		t.Errorf("what was set aside is tried without --again: exit status %d: %s", status, errs)
	}
	if _, errs, status := h.custody("", "hook", "--flush", "--again", "--trail", place, "--token-file", all); status != exitOK || !strings.Contains(errs, "recorded 1 message") {
		t.Errorf("exit status %d: %s", status, errs)
	}
	if got := sessions(); got != "s-1 s-2 s-3 s-4" {
		t.Errorf("the trail has %s", got)
	}
}

// What comes while its sender may not record in the trail waits, and is recorded by itself
// once it may.
func TestHookMayNotForAWhile(t *testing.T) {
	h := &home{t: t, dir: t.TempDir()}
	data := filepath.Join(t.TempDir(), "data")
	_, url := startServer(t, data)
	token := func(trail string) []byte {
		out, errs, status := h.custody("", "token", "create", "--data", data, "--name", "desk", "--roles", "submitter,auditor", "--trails", trail, "--by", "operator")
		if status != exitOK {
			t.Fatalf("exit status %d: %s%s", status, out, errs)
		}
		return []byte(out)
	}
	good, bad := token("default"), token("other")
	file := filepath.Join(t.TempDir(), "token")
	for _, tt := range []struct {
		session string
		token   []byte
		said    string
	}{{"s-1", good, ""}, {"s-2", bad, "kept in"}, {"s-3", bad, "kept in"}, {"s-4", good, ""}} {
		check(t, os.WriteFile(file, tt.token, 0o600))
		message := `{"session_id":"` + tt.session + `","hook_event_name":"UserPromptSubmit","prompt":"go"}`
		out, errs, status := h.custody(message, "hook", "claude-code", "--trail", url, "--token-file", file)
		if status != exitOK || out != "{}" || tt.said == "" && errs != "" || !strings.Contains(errs, tt.said) || strings.Contains(errs, "--again") {
			t.Errorf("%s: exit status %d: %s%s", tt.session, status, out, errs)
		}
	}
	out, errs, status := h.custody("", "query", "--type", "turn_started", "--json", "--trail", url, "--token-file", file)
	if status != exitOK || strings.Count(out, `"session_id":"s-`) != 4 {
		t.Errorf("exit status %d: %s%s", status, out, errs)
	}
}

// An agent is answered though what it says does not end, or is too much.
func TestHookMessageDoesNotEnd(t *testing.T) {
	for name, feed := range map[string]func(w io.Writer){
		"nothing more comes": func(w io.Writer) { io.WriteString(w, `{"session_id":"`) },
		"more than is taken": func(w io.Writer) {
			for range maxHookMessage>>20 + 1 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		},
	} {
		for closed, want := range map[bool]int{false: exitUnrecorded, true: exitFailure} {
			cmd := exec.Command("custody", "hook", "claude-code", "--trail", "http://127.0.0.1:1", "--timeout", "400ms")
			if closed {
				cmd.Args = append(cmd.Args, "--fail-closed")
			}
			if name == "more than is taken" {
				cmd.Args = append(cmd.Args, "--timeout", "20s")
			}
			cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir(), "GORACE=atexit_sleep_ms=0")
			in, err := cmd.StdinPipe() // stays open
			check(t, err)
			check(t, cmd.Start())
			feed(in)
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != want {
				t.Errorf("%s, fail closed %v: %v", name, closed, err)
			}
		}
	}
}

// What cannot be read is answered in the agent's own way, if the command line says what it
// is about, and else by the exit status; also where another flag is wrong.
func TestHookIsNotUnderstood(t *testing.T) {
	for _, c := range []struct {
		name, message string
		args          []string
		want          string
		status        int
	}{
		{"no JSON", "no JSON", []string{"copilot", "preToolUse"}, "{}", exitUnrecorded},
		{"no JSON, fail closed", "no JSON", []string{"copilot", "preToolUse", "--fail-closed"}, `"permissionDecision":"deny"`, exitOK},
		{"no JSON, fail closed, done already", "no JSON", []string{"copilot", "postToolUse", "--fail-closed"}, "", exitFailure},
		{"nothing", "", []string{"codex"}, "{}", exitUnrecorded},
		{"invalid UTF-8", "\xff\xfe", []string{"codex", "--fail-closed"}, "", exitFailure},
		{"a wrong flag", "{}", []string{"cursor", "--none"}, "", exitUnrecorded},
		{"a wrong flag, fail closed", "{}", []string{"cursor", "--none", "--fail-closed"}, "", exitFailure},
		{"fail closed to nothing", "{}", []string{"cursor", "--fail-closed="}, "", exitFailure},
		{"fail closed to what there is not", "{}", []string{"cursor", "--fail-closed=yes"}, "", exitFailure},
		{"a wrong flag, fail closed to the spool", "{}", []string{"cursor", "--none", "--fail-closed=spool"}, "", exitFailure},
	} {
		out, errs, status := hookProcess(t, t.TempDir(), c.message, append(c.args, "--trail", "http://127.0.0.1:1")...)
		if status != c.status || !strings.Contains(out, c.want) || errs == "" {
			t.Errorf("%s: exit status %d: %s%s", c.name, status, out, errs)
		}
	}
}
