//go:build darwin || dragonfly || freebsd || linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Messages are kept only where nobody else can read them, and recorded all the same where
// they need not be kept.
func TestHookSpoolOfOthers(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o700))
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	away := "http://" + freeAddress(t)
	hook := func(place string, args ...string) (string, string, int) {
		return s.command(t, place, toolCall("PreToolUse", "1"), 0, append([]string{"hook", "claude-code", "--spool", dir}, args...)...)
	}
	if _, errs, status := hook(away); status != exitOK || !strings.Contains(errs, "kept in") {
		t.Errorf("exit status %d: %s", status, errs)
	}
	spools, err := filepath.Glob(filepath.Join(dir, "*"))
	check(t, err)
	check(t, os.Chmod(spools[0], 0o755))
	if out, errs, status := hook(away); status != exitUnrecorded || out != "{}" || !strings.Contains(errs, "others may use the directory") {
		t.Errorf("exit status %d: %s%s", status, out, errs)
	}
	if out, errs, status := hook(away, "--fail-closed=spool"); status != exitOK || !strings.Contains(out, `"deny"`) {
		t.Errorf("exit status %d: %s%s", status, out, errs)
	}
	check(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	if out, errs, status := s.command(t, s.url, toolCall("PreToolUse", "1"), 0, "hook", "claude-code", "--spool", filepath.Join(dir, "file")); status != exitOK || out != "{}" {
		t.Errorf("with no place for a spool and a server that records: exit status %d: %s%s", status, out, errs)
	}
}
