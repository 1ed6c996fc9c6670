package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/auth"
)

// Every command works with a token that has no more than the role that it takes.
func TestRemoteRoles(t *testing.T) {
	s := newSite(t)
	s.fill(t)
	printed, id := "", regexp.MustCompile(`[0-9a-f-]{36}`) // the id that the command before wrote
	for _, step := range []struct {
		role        auth.Role
		line, input string
	}{
		{auth.Submitter, "record --type turn_ended --session s-9", ""},
		{auth.Submitter, "import ndjson -", `{"event_type": "turn_ended", "id": "i-1"}`},
		{auth.Operator, "hold place --session s-2 --reason r", ""},
		{auth.Operator, "hold release PRINTED --reason r", ""},
		{auth.Operator, "hold list", ""},
		{auth.Operator, "erase --index 1 --dry-run", ""},
		{auth.Operator, "erase --session s-9 --ground g --yes", ""},
		{auth.Operator, "retention plan --preset ai-act-logs", ""},
		{auth.Operator, "retention apply --preset ai-act-logs", ""},
		{auth.Operator, "stop --all --reason r", ""},
		{auth.Operator, "stop clear PRINTED --reason r", ""},
		{auth.Admin, "stop --session s-1 --reason r", ""},
		{auth.Admin, "stop clear PRINTED --reason r", ""},
		{auth.Admin, "stop list", ""},
		{auth.Admin, "token create --name ci --roles submitter", ""},
		{auth.Admin, "token list", ""},
		{auth.Admin, "init --trail NEW", ""},
		{auth.Reader, "stop list", ""},
		{auth.Reader, "query --json", ""},
		{auth.Reader, "query --count-by type", ""},
		{auth.Reader, "stats", ""},
		{auth.Reader, "checkpoint", ""},
		{auth.Reader, "key list", ""},
		{auth.PayloadReader, "query --text bash", ""},
		{auth.PayloadReader, "show 2", ""},
		{auth.PayloadReader, "timeline --session s-1", ""},
		{auth.PayloadReader, "find-secret --hmac-key SCRATCH/hmac.key", "secret"},
		{auth.PayloadReader, "export --session s-1 --format csv", ""},
		{auth.PayloadReader, "reconcile events - ", writtenDown},
		{auth.Auditor, "export --session s-1", ""},
		{auth.Auditor, "prove 2 --payload", ""},
		{auth.Auditor, "verify", ""},
		{auth.Auditor, "bundle --session s-1 --out SCRATCH/case.zip", ""},
	} {
		s.as(t, step.role)
		line := strings.NewReplacer("SCRATCH", s.scratch, "PRINTED", printed, "NEW", strings.TrimSuffix(s.url, "default")+"payments").Replace(step.line)
		out, errs, status := s.command(t, s.url, step.input, 0, strings.Fields(line)...)
		if status == exitFailure || strings.Contains(errs, "error: ") {
			t.Errorf("%s: custody %s exits with %d:\n%s%s", step.role, line, status, out, errs)
		}
		printed = id.FindString(out)
	}
	// What was exported is told of, each once.
	exports, _, _ := s.command(t, strings.TrimSuffix(s.url, "default")+"system", "", 0, "query", "--oldest", "--json", "--type", "export_created")
	var formats []string
	for _, m := range regexp.MustCompile(`"format":"([a-z]+)"`).FindAllStringSubmatch(exports, -1) {
		formats = append(formats, m[1])
	}
	if got := strings.Join(formats, " "); got != "csv ndjson bundle" {
		t.Errorf("the exports that are told of are %s", got)
	}
	// What a role may not do is refused, and not for want of the trail.
	for _, step := range []struct {
		role auth.Role
		line string
	}{
		{auth.Operator, "query"},
		{auth.Operator, "record --type turn_ended"},
		{auth.Admin, "hold list"},
		{auth.Submitter, "stop --all --reason r"},
		{auth.Reader, "verify"},
		{auth.Reader, "cosign"},
	} {
		s.as(t, step.role)
		if _, errs, status := s.command(t, s.url, "", 0, strings.Fields(step.line)...); status != exitFailure || !strings.Contains(errs, "may not ") {
			t.Errorf("%s: custody %s exits with %d: %s", step.role, step.line, status, errs)
		}
	}
}
