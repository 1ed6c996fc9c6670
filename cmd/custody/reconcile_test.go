package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// transcript is what Claude Code writes down of calls, a minute apart: their ids and results.
func transcriptOf(began time.Time, calls ...[2]string) string {
	var b strings.Builder
	line := func(n int, kind, block string) {
		fmt.Fprintf(&b, `{"type":%q,"sessionId":"s","uuid":"%s-%d","timestamp":%q,"version":"2.1.197","message":{"content":[%s]}}`+"\n",
			kind, kind, n, began.Add(time.Duration(n)*time.Minute).UTC().Format(time.RFC3339), block)
	}
	for n, c := range calls {
		line(n, "assistant", fmt.Sprintf(`{"type":"tool_use","id":"toolu_%s","name":"Bash","input":{"command":"ls"}}`, c[0]))
		line(n, "user", fmt.Sprintf(`{"type":"tool_result","tool_use_id":"toolu_%s","is_error":%v,"content":%q}`, c[0], c[1] != "done", c[1]))
	}
	return b.String()
}

func TestReconcile(t *testing.T) {
	s := newSite(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	file := filepath.Join(s.scratch, "session.jsonl")
	hook := func(name, call string) { s.must(t, s.url, toolCall(name, call), "hook", "claude-code") }
	for _, call := range []string{"ran", "denied"} {
		hook("PreToolUse", call)
	}
	hook("PostToolUse", "ran")
	calls := [][2]string{
		{"ran", "done"},
		{"denied", "Claude requested permissions to use Bash, but you haven't granted it yet."},
		{"never", "<tool_use_error>InputValidationError: Bash failed</tool_use_error>"},
	}
	reconcile := func(args ...string) (string, string, int) {
		return s.command(t, s.url, "", 0, append([]string{"reconcile", "claude", file}, args...)...)
	}
	check(t, os.WriteFile(file, []byte(transcriptOf(time.Now(), calls...)), 0o600))
	if out, errs, status := reconcile(); status != exitOK || !strings.Contains(out, "NOT RUN  1 call") || !strings.Contains(out, "OK  the trail has every one") {
		t.Errorf("exit status %d\n%s%s", status, out, errs)
	}

	// One that ran unseen, long before the trail began, and one now.
	check(t, os.WriteFile(file, []byte(transcriptOf(time.Now().Add(-24*time.Hour), [2]string{"early", "done"})+transcriptOf(time.Now(), append(calls, [2]string{"unseen", "done"})...)), 0o600))
	out, errs, status := reconcile()
	if status != exitFindings || !strings.Contains(out, "MISSING  2 calls") || !strings.Contains(out, "1 was of these before the trail recorded its first call; --since 20") {
		t.Errorf("exit status %d\n%s%s", status, out, errs)
	}
	if out, errs, status := reconcile("--since", "1h"); status != exitFindings || !strings.Contains(out, "MISSING  1 call ") || !strings.Contains(out, "toolu_unseen") {
		t.Errorf("since an hour: exit status %d\n%s%s", status, out, errs)
	}
	if _, errs, status := reconcile("--tool", "Read"); status != exitFailure || !strings.Contains(errs, "none of the 5 calls") {
		t.Errorf("another tool: exit status %d\n%s", status, errs)
	}

	// What the transcript itself brought into the trail proves nothing.
	s.must(t, s.url, "", "import", "claude", file)
	if out, errs, status := reconcile(); status != exitFindings || !strings.Contains(out, "MISSING  2 calls") || !strings.Contains(errs, "were imported") {
		t.Errorf("after an import: exit status %d\n%s%s", status, out, errs)
	}

	// Nor is what waits to be recorded a gap.
	box := filepath.Join(os.Getenv("XDG_STATE_HOME"), "custody", "spool")
	if _, errs, _ := s.command(t, "http://"+freeAddress(t), toolCall("PostToolUse", "unseen"), 0, "hook", "claude-code"); !strings.Contains(errs, "kept in") {
		t.Error(errs)
	}
	spools, err := filepath.Glob(filepath.Join(box, "*"))
	check(t, err)
	p := &program{trail: s.url}
	mine, err := p.hookSpool("")
	check(t, err)
	check(t, os.Rename(spools[0], mine.Dir()))
	if _, errs, status := reconcile(); status != exitFindings || !strings.Contains(errs, "1 message waits on this machine") {
		t.Errorf("with a message in the spool: exit status %d\n%s", status, errs)
	}
	if _, errs, status := reconcile("--record"); status != exitFailure || !strings.Contains(errs, "custody hook --flush") {
		t.Errorf("--record with a message in the spool: exit status %d\n%s", status, errs)
	}
	s.must(t, s.url, "", "hook", "--flush")
	for _, want := range []string{"1 event recorded of what is missing, 1 of them now", "1 event recorded of what is missing, 0 of them now"} {
		if _, errs, status := reconcile("--record"); status != exitFindings || !strings.Contains(errs, want) {
			t.Errorf("--record: exit status %d\n%s\nwant %s", status, errs, want)
		}
	}
}

// A log without times has no first and last one.
func TestReconcileLog(t *testing.T) {
	s := newSite(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	s.must(t, s.url, toolCall("PreToolUse", "1"), "hook", "claude-code")
	s.must(t, s.url, toolCall("PostToolUse", "1"), "hook", "claude-code")
	log := `{"tool":"Bash","id":"toolu_1","status":200}` + "\n"
	args := []string{"reconcile", "log", "-", "--map", "tool=/tool", "--map", "id=/id", "--map", "outcome=/status"}
	out, errs, status := s.command(t, s.url, log, 0, args...)
	if status != exitOK || !strings.Contains(out, "1 call in 1 source\n") {
		t.Errorf("exit status %d\n%s%s", status, out, errs)
	}
	// Three calls that nothing tells apart, of which the trail has one.
	for _, want := range []string{"2 events recorded of what is missing, 2 of them now", "2 events recorded of what is missing, 0 of them now"} {
		out, errs, status := s.command(t, s.url, strings.Repeat(`{"tool":"Bash"}`+"\n", 3), 0, append(args, "--record")...)
		if status != exitFindings || !strings.Contains(errs, want) {
			t.Errorf("exit status %d\n%s%s\nwant %s", status, out, errs, want)
		}
	}
	if _, errs, status := s.command(t, s.url, "not JSON\n", 0, args...); status != exitFailure || !strings.Contains(errs, "of 1 record 1 was not understood") {
		t.Errorf("exit status %d\n%s", status, errs)
	}
}
