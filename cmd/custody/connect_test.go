package main

import (
	"bytes"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/connect"
)

// home is where an agent of a user has its settings.
type home struct {
	t      *testing.T
	dir    string
	within string // where commands are run; empty: in dir
}

// custody runs a command as that user does, in the home directory.
func (h *home) custody(input string, args ...string) (stdout, stderr string, status int) {
	h.t.Helper()
	cmd := exec.Command("custody", args...)
	cmd.Dir = cmp.Or(h.within, h.dir)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "GORACE=atexit_sleep_ms=0"}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// settings returns the files of the home directory that are settings of agents.
func (h *home) settings() (all []string) {
	for _, pattern := range []string{".*/*.json*", ".*/*.toml*", ".github/hooks/*"} {
		found, err := filepath.Glob(filepath.Join(h.dir, pattern))
		check(h.t, err)
		all = append(all, found...)
	}
	return all
}

// TestConnectAndDoctor connects every agent as a user would, and has a doctor send a test
// by what is in its settings then.
func TestConnectAndDoctor(t *testing.T) {
	h := &home{t: t, dir: t.TempDir()}
	server, url := startServer(t, filepath.Join(t.TempDir(), "data"))
	if _, errs, status := h.custody("", "doctor", "--trail", url); status != exitFailure || !strings.Contains(errs, "custody connect AGENT") {
		t.Errorf("with nothing connected: exit status %d: %s", status, errs)
	}
	for _, agent := range connect.Agents() {
		if out, errs, status := h.custody("n\n", "connect", agent, "--trail", url); status != exitFailure || !strings.Contains(errs, "not confirmed") {
			t.Errorf("%s, not confirmed: exit status %d\n%s%s", agent, status, out, errs)
		}
		if out, errs, status := h.custody("", "connect", agent, "--trail", url, "--dry-run"); status != exitOK || !strings.Contains(out, "hook") {
			t.Errorf("%s, dry run: exit status %d\n%s%s", agent, status, out, errs)
		}
		if all := h.settings(); len(all) != 0 {
			t.Errorf("there is %q although nothing was confirmed", all)
		}
	}
	if _, errs, status := h.custody("", "connect", "cursor", "--trail", url, "--yes", "--fail-closed=yes"); status != exitFailure || !strings.Contains(errs, "it is trail or spool") {
		t.Errorf("--fail-closed=yes: exit status %d: %s", status, errs)
	}
	for _, flags := range [][]string{nil, {"--command", "--fail-closed"}} {
		for _, agent := range connect.Agents() {
			if out, errs, status := h.custody("y\n", append([]string{"connect", agent, "--trail", url}, flags...)...); status != exitOK {
				t.Errorf("%s: exit status %d\n%s%s", agent, status, out, errs)
			}
		}
		out, errs, status := h.custody("", "doctor", "--trail", url)
		if status != exitOK || strings.Contains(out, "no hook for") {
			t.Errorf("exit status %d\n%s%s", status, out, errs)
		}
		for _, agent := range connect.Agents() {
			_, section, _ := strings.Cut(out, "agent     "+agent)
			section, _, _ = strings.Cut(section, "\n\n")
			if !strings.Contains(section, "arrived, entry") || !strings.Contains(section, "not seen") {
				t.Errorf("%s: the doctor says\n%s", agent, section)
			}
		}
	}
	server.end(os.Interrupt)
	out, errs, status := h.custody("", "doctor", "codex", "--trail", url)
	if status != exitFailure || !strings.Contains(out, "does not answer") || !strings.Contains(errs, "1 path does not lead to") {
		t.Errorf("without the server: exit status %d\n%s%s", status, out, errs)
	}
	for _, agent := range connect.Agents() {
		args := []string{"connect", agent, "--undo", "--yes"}
		if out, errs, status := h.custody("", args...); status != exitOK {
			t.Errorf("%s: exit status %d\n%s%s", agent, status, out, errs)
		}
	}
	if all := h.settings(); len(all) != 0 {
		t.Errorf("left are %q", all)
	}
}

// A trail in a directory is reached by command, wherever the agent runs.
func TestConnectDirectory(t *testing.T) {
	h := &home{t: t, dir: t.TempDir()}
	h.custody("", "init", "--origin", "example.org/default")
	if out, errs, status := h.custody("", "connect", "claude-code", "--yes"); status != exitOK || !strings.Contains(out, "--trail "+filepath.Join(h.dir, defaultTrail)) {
		t.Errorf("exit status %d\n%s%s", status, out, errs)
	}
	if out, errs, status := h.custody("", "doctor"); status != exitOK {
		t.Errorf("exit status %d\n%s%s", status, out, errs)
	}
	if _, errs, status := h.custody("", "connect", "gemini", "--telemetry"); status != exitFailure || !strings.Contains(errs, "is a directory") {
		t.Errorf("telemetry to a directory: exit status %d\n%s", status, errs)
	}
	if out, _, _ := h.custody("", "connect", "mcp"); !strings.HasSuffix(out, "mcp --trail "+filepath.Join(h.dir, defaultTrail)+" --\n") {
		t.Errorf("the line for MCP servers is %s", out)
	}
}
