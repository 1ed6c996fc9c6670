package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/server"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
)

// site is a data directory that is served, to whom has the token in tokenFile.
type site struct {
	dir       string // of the trail default
	url       string // the same one
	keys      string
	tokenFile string
	tokens    *auth.Tokens
	scratch   string // for files
}

func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteIn(t, t.TempDir(), nil, nil)
}

// newSiteIn serves a data directory. Its trails are cosigned and time-stamped by those who
// are given.
func newSiteIn(t *testing.T, data string, witnesses *custody.Witnessing, authority *custody.Timestamping) *site {
	t.Helper()
	s := &site{dir: filepath.Join(data, "trails", trails.Default), keys: filepath.Join(data, "keys"), scratch: t.TempDir()}
	s.tokenFile = filepath.Join(s.scratch, "token")
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	set, err := trails.Open(trails.Config{Dir: data, Origin: "example.org", Options: custody.Options{Logger: log, DiskWarning: -1, Witnessing: witnesses, Timestamping: authority}})
	check(t, err)
	s.tokens, err = auth.OpenTokens(vfs.OS{}, filepath.Join(data, auth.TokensFile))
	check(t, err)
	s.as(t, auth.Roles...)
	api, err := server.New(server.Config{Trails: set, Authenticators: []auth.Authenticator{s.tokens}, Tokens: s.tokens, Logger: log})
	check(t, err)
	listening := httptest.NewServer(api.Handler())
	s.url = listening.URL + "/trails/default"
	t.Cleanup(func() {
		api.Stop()
		listening.Close()
		check(t, set.Close())
	})
	return s
}

// as has the commands use a token with these roles from now on.
func (s *site) as(t *testing.T, roles ...auth.Role) {
	t.Helper()
	token, _, err := s.tokens.Create(auth.TokenSpec{Name: "desk", Roles: roles, CreatedBy: "operator"})
	check(t, err)
	check(t, os.WriteFile(s.tokenFile, []byte(token+"\n"), 0o600))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// command runs a command line in this process. enough, where it is not 0, is how many
// lines of output end it.
func (s *site) command(t *testing.T, place, input string, enough int, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs bytes.Buffer
	p := &program{in: strings.NewReader(input), err: terminal.NewFixed(&errs, 0, false),
		out: terminal.NewFixed(&counting{w: &out, left: enough, done: cancel}, 0, false)}
	status = p.main(ctx, append([]string{"--trail", place, "--key-dir", s.keys, "--token-file", s.tokenFile}, args...))
	return out.String(), errs.String(), status
}

// counting calls done when so many lines were written.
type counting struct {
	w    io.Writer
	left int
	done func()
}

func (c *counting) Write(b []byte) (int, error) {
	if c.left > 0 {
		if c.left -= bytes.Count(b, []byte("\n")); c.left <= 0 {
			c.done()
		}
	}
	return c.w.Write(b)
}

// fill records what there is to look at.
func (s *site) fill(t *testing.T) {
	t.Helper()
	must := func(input string, args ...string) {
		t.Helper()
		if out, errs, status := s.command(t, s.url, input, 0, args...); status != exitOK {
			t.Fatalf("custody %s exits with %d:\n%s%s", strings.Join(args, " "), status, out, errs)
		}
	}
	must(`{"event_type": "session_started", "id": "e-0", "session_id": "s-1", "agent_id": "agent-7", "timestamp": "2026-11-24T10:00:00Z"}
{"event_type": "action_requested", "id": "e-1", "session_id": "s-1", "agent_id": "agent-7", "action_id": "a-1", "details": {"tool_name": "Bash", "input": {"command": "rm -rf <&> \u2028 /"}}}
{"event_type": "action_denied", "id": "e-2", "session_id": "s-1", "agent_id": "agent-7", "action_id": "a-1", "decision": "deny", "decision_source": "policy", "details": {"tool_name": "Bash", "reasons": ["outside the project"], "api_key": "sk-1234567890"}}
{"event_type": "turn_ended", "id": "e-3", "session_id": "s-2", "user_id": "u-17"}
{"event_type": "turn_ended", "id": "e-4", "session_id": "s-2", "user_id": "u-18"}
`, "record", "--quiet")
	must("", "erase", "--user", "u-17", "--ground", "GDPR Art. 17(1)(b)", "--yes")
	must("", "hold", "place", "--session", "s-1", "--reason", "case 7")
	_, _, status := s.command(t, s.url, "", 0, "checkpoint", "--out", filepath.Join(s.scratch, "early.txt"))
	if status != exitOK {
		t.Fatalf("checkpoint exits with %d", status)
	}
	must("", "record", "--type", "turn_ended", "--session", "s-3", "--quiet")
	check(t, os.WriteFile(filepath.Join(s.scratch, "hmac.key"), []byte(strings.Repeat("0123456789abcdef", 4)+"\n"), 0o600))
}

// ways says what every command does with a trail on a server. Each is in one of the
// lists: what reads writes the same to standard output as for a directory, byte for
// byte.
var ways = struct {
	// same has command lines whose standard output is the same. SCRATCH stands for a
	// directory of files, and > for standard input.
	same map[string][]string

	// differs has command lines whose output is the same but for what differ says, and
	// why it differs.
	differs map[string]difference

	// changes has the commands that record or change something, or serve agents, which
	// work as well: TestRemoteRecording, TestRemoteTokens and TestRemoteAttesting, and tests
	// of what is for agents.
	changes []string

	// refused has command lines, and a part of what is said instead.
	refused map[string][2]string

	// without has commands that are not about a trail.
	without []string
}{
	same: map[string][]string{
		"query": {
			"query", "query --json --limit 0", "query --oldest --limit 2", "query --session s-1 --json", "query --type action_denied,turn_ended --after 5",
			"query --user u-17", "query --agent nobody", "query --since 2026-01-01 --until 2026-01-02", "query --occurred-until 2026-11-24T11:00:00Z --json",
			"query --count-by day", "query --count-by type --json", "query --count-by hour --session s-1", "query --from 1 --to 3", "query --limit 1",
			"query --text BASH", "query --text outside --json --oldest", "query --text nowhere", "query --text agent --limit 1", "query --text bash --type action_denied --limit 0 --json",
		},
		"show":             {"show 0", "show 3 --json", "show 3 --raw", "show e-2", "show e-2 --payload", "show e-3 --id", "show 4", "show 99"},
		"timeline":         {"timeline --session s-1", "timeline --agent agent-7 --json", "timeline --action a-1 --all", "timeline --session none"},
		"export":           {"export --session s-1", "export --field /id=e-4", "export --user u-17", "export --session s-1 --format csv", "export --field /id=e-4 --format csv"},
		"find-secret":      {"find-secret --hmac-key SCRATCH/hmac.key > secret"},
		"checkpoint":       {"checkpoint"},
		"prove":            {"prove 2", "prove e-1 --payload", "prove 1 --checkpoint SCRATCH/early.txt", "prove --from SCRATCH/early.txt", "prove 4 --payload", "prove 99"},
		"sample":           {"sample --seed x --n 3", "sample --seed x --n 3 --json --checkpoint SCRATCH/early.txt"},
		"hold list":        {"hold list", "hold list --json"},
		"stop list":        {"stop list", "stop list --json"},
		"reconcile events": {"reconcile events - --json > " + writtenDown, "reconcile events - > " + writtenDown},
		"reconcile claude": {`reconcile claude - > {"type":"assistant","uuid":"u1","sessionId":"s-1","version":"2","timestamp":"2026-11-24T10:00:01Z","message":{"content":[{"type":"tool_use","id":"a-1","name":"Bash","input":{}}]}}`},
		"reconcile otlp":   {`reconcile otlp - > {"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"claude_code.tool_result"},"attributes":[{"key":"session.id","value":{"stringValue":"s-1"}},{"key":"tool_use_id","value":{"stringValue":"toolu_1"}},{"key":"tool_name","value":{"stringValue":"Bash"}},{"key":"success","value":{"stringValue":"true"}}]}]}]}]}`},
		"reconcile log":    {"reconcile log - --map tool=/details/tool_name --map time=/occurred_at --map session=/session_id > " + writtenDown},
		"erase":            {"erase --user u-18 --dry-run", "erase --session s-1 --dry-run --json", "erase --user nobody --dry-run"},
		"retention plan": {
			"retention plan --preset ai-act-logs --json",
			"retention plan --preset ai-act-logs",
		},
	},
	differs: map[string]difference{
		"stats": {lines: []string{"stats", "stats --json"}, but: `"?guard"?:? *("[^"]*"|.*)`, why: "where the server keeps the last checkpoint is not told"},
		"verify": {lines: []string{"verify", "verify --json", "verify --checkpoint SCRATCH/early.txt", "verify --since SCRATCH/early.txt --json"},
			but: `, in [0-9.]+ .?s|"elapsed_ms":[0-9.e-]+|(?m)^not checked .*(\n .*)*\n|"not_checked":\[[^]]*\]`, why: "how long it takes, and who keeps the last checkpoint"},
		"key list": {lines: []string{"key list", "key list --json"}, but: `signing key.*|"key_file.*`, why: "the signing key is on the server"},
		"key show": {lines: []string{"key show", "key show --json"}, but: `signing key.*|"key_file.*`, why: "the signing key is on the server"},
		"bundle":   {lines: []string{"bundle --session s-1 --out SCRATCH/PLACE.zip"}, but: "^$", why: "its file tells which program made it, and when"},
	},
	changes: []string{"mcp", "mcp-server", "token create", "token list", "token revoke", "init", "record", "import claude", "import cloudtrail", "import k8s-audit", "import ndjson", "hold place", "hold release", "retention apply", "hook", "stop", "stop clear", "connect", "doctor", "cosign", "timestamp"},
	refused: map[string][2]string{
		"export tiles":   {"export tiles SCRATCH/tiles", "below /t/NAME"},
		"serve-log":      {"serve-log --listen 127.0.0.1:0", "below /t/NAME"},
		"key rotate":     {"key rotate --by o --reason r", "stop the server"},
		"reanchor":       {"reanchor --reason r", "stop the server"},
		"producer check": {"producer check", "run it on the server's machine"},
	},
	without: []string{"help", "completion bash", "completion zsh", "completion fish", "completion powershell", "version", "bench", "demo", "redact", "config check",
		"serve", "witness", "check", "retention presets", "producer generate", "producer enroll", "producer list", "producer revoke"},
}

// writtenDown has a call that the trail has not.
const writtenDown = `{"event_type": "action_requested", "session_id": "s-1", "occurred_at": "2026-11-24T10:00:01Z", "action_id": "a-2", "details": {"tool_name": "Read"}}`

type difference struct {
	lines    []string
	but, why string
}

// No command is forgotten.
func TestEveryCommandHasItsWay(t *testing.T) {
	seen := map[string]int{}
	for name := range ways.same {
		seen[name]++
	}
	for name := range ways.differs {
		seen[name]++
	}
	for name := range ways.refused {
		seen[name]++
	}
	for _, name := range slices.Concat(ways.changes, ways.without) {
		seen[name]++
	}
	for _, cmd := range commands(t) {
		name := strings.TrimPrefix(cmd.CommandPath(), "custody ")
		if cmd.HasSubCommands() && seen[name] == 0 || !cmd.HasParent() {
			continue
		}
		if seen[name] != 1 {
			t.Errorf("custody %s is in %d lists of what commands do with a trail on a server; it has to be in one", name, seen[name])
		}
		delete(seen, name)
	}
	for name := range seen {
		t.Errorf("there is no command custody %s", name)
	}
}

func TestSameOutput(t *testing.T) {
	s := newSite(t)
	s.fill(t)
	compare := func(line, but string) {
		t.Helper()
		line, input, _ := strings.Cut(line, " > ")
		differs := regexp.MustCompile(but)
		of := func(place, name string) (string, int) {
			args := strings.Fields(strings.NewReplacer("SCRATCH", s.scratch, "PLACE", name).Replace(line))
			out, errs, status := s.command(t, place, input, 0, args...)
			if status == exitFailure && !strings.Contains(errs, "error: ") {
				t.Errorf("custody %s: nothing is said: %s", line, errs)
			}
			out = strings.ReplaceAll(out, place, "TRAIL")
			if but != "" {
				out = differs.ReplaceAllString(out, "DIFFERS")
			}
			return out, status
		}
		want, status := of(s.dir, "directory")
		got, remote := of(s.url, "server")
		if got != want || remote != status {
			t.Errorf("custody %s, exit status %d, of a server %d:\n%s\nof a server:\n%s", line, status, remote, want, got)
		}
	}
	for _, lines := range ways.same {
		for _, line := range lines {
			// What the policy was compared with is the time of the call.
			but := ""
			if strings.HasPrefix(line, "retention plan") {
				but = `"time":"[^"]*"|"before":"[^"]*"|recorded before .*`
			}
			compare(line, but)
		}
	}
	for _, d := range ways.differs {
		for _, line := range d.lines {
			compare(line, d.but)
		}
	}
	for _, r := range ways.refused {
		out, errs, status := s.command(t, s.url, "", 0, strings.Fields(strings.ReplaceAll(r[0], "SCRATCH", s.scratch))...)
		if status != exitFailure || out != "" || !strings.Contains(errs, "is on a server") || !strings.Contains(errs, r[1]) {
			t.Errorf("custody %s exits with %d: %s%s", r[0], status, out, errs)
		}
	}
}

// A list that is followed shows the same, the last ones first and then what comes.
func TestRemoteFollow(t *testing.T) {
	s := newSite(t)
	s.fill(t)
	const n = 9 // entries there are
	for _, args := range [][]string{{"query", "--follow", "--json"}, {"query", "--follow", "--from", "2", "--json"}} {
		lines := n
		if slices.Contains(args, "--from") {
			lines -= 2
		}
		want, _, _ := s.command(t, s.dir, "", lines, args...)
		got, errs, status := s.command(t, s.url, "", lines, args...)
		if got != want || status != exitOK || strings.Count(got, "\n") != lines {
			t.Errorf("%q exits with %d:\n%s%s\nwant\n%s", args, status, got, errs, want)
		}
	}
}

// What is recorded is the same, but for who sent it, as it is what the commands say.
func TestRemoteRecording(t *testing.T) {
	s := newSite(t)
	local := filepath.Join(s.scratch, "local")
	if out, errs, status := s.command(t, local, "", 0, "init", "--origin", "example.org/default"); status != exitOK {
		t.Fatal(out, errs)
	}
	// Ids that are given by the trail, hashes, times, speeds, and sizes, which go by the
	// names of senders.
	differs := regexp.MustCompile(`01[0-9a-f]{6}-[0-9a-f-]{27}|[A-Za-z0-9+/]{43}=|[0-9-]{10}[T ][0-9:.]+Z|\([^)]*/s\)|"(elapsed_ms|bytes)":[0-9.e+-]+`)
	for _, step := range []struct {
		line, input string
		status      int
	}{
		{"record --type turn_ended --id r-1 --session s", "", exitOK},
		{"record --type turn_ended --id r-1 --session s", "", exitOK},
		{"record --type turn_ended --id r-1 --session other", "", exitFailure},
		{"record", `{"event_type": "turn_ended", "id": "r-2"}` + "\n" + `{"event_type": "turn_ended", "id": "r-1"}` + "\n" + `{"event_type": "turn_ended", "id": "r-3"}`, exitFailure},
		{"record --keep-going", `{"event_type": "turn_ended", "id": "r-4"}` + "\n" + `{"event_type": "turn_ended", "id": "r-1"}` + "\nno JSON\n" + `{"event_type": "turn_ended", "id": "r-5"}`, exitFailure},
		{"record --strict", `{"event_type": "action_denied", "id": "r-6"}`, exitFailure},
		{"record --keep-going", `{"event_type": "turn_ended", "details": {"x": "` + strings.Repeat("x", 1<<20) + `"}}` + "\n" + `{"event_type": "turn_ended", "id": "r-7"}`, exitFailure},
		{"record --receipts SCRATCH/PLACE --type turn_ended --id r-8", "", exitOK},
		{"import ndjson -", `{"event_type": "turn_ended", "id": "i-1"}` + "\n" + `{"event_type": "turn_ended", "id": "r-1"}` + "\n" + `{"event_type": "turn_ended", "id": "i-2"}`, exitFailure},
		{"import ndjson - --json", `{"event_type": "turn_ended", "id": "i-1"}`, exitOK},
		{"hold place --session s --reason r BY", "", exitOK},
		{"hold release none --reason r BY", "", exitFailure},
		{"erase --session s --ground g --yes BY", "", exitFindings}, // it is held
		{"erase --index 2-3 --ground g --yes --json BY", "", exitOK},
		{"retention apply --preset ai-act-logs BY", "", exitOK},
	} {
		of := func(place, name, by string) (stdout, stderr string) {
			t.Helper()
			line := strings.NewReplacer("SCRATCH", s.scratch, "PLACE", name, "BY", by).Replace(step.line)
			stdout, stderr, status := s.command(t, place, step.input, 0, strings.Fields(line)...)
			if status != step.status {
				t.Errorf("%s: custody %s exits with %d, want %d:\n%s%s", name, line, status, step.status, stdout, stderr)
			}
			return strings.ReplaceAll(differs.ReplaceAllString(stdout, "DIFFERS"), place, "TRAIL"), stderr
		}
		want, wantSaid := of(local, "directory", "--by desk")
		got, said := of(s.url, "server", "")
		want, got = strings.ReplaceAll(want, " by desk", ""), regexp.MustCompile(" by [a-z]+:[a-z0-9_]+").ReplaceAllString(got, "")
		if got != want {
			t.Errorf("custody %s writes\n%s\nof a server\n%s\nand says\n%s\nof a server\n%s", step.line, want, got, wantSaid, said)
		}
	}
	types := func(place string) (all []string) {
		out, _, _ := s.command(t, place, "", 0, "query", "--oldest", "--limit", "0", "--count-by", "type")
		return strings.Split(out, "\n")
	}
	if want, got := types(local), types(s.url); !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
	want, err := filepath.Glob(filepath.Join(s.scratch, "directory", "*"))
	check(t, err)
	got, err := filepath.Glob(filepath.Join(s.scratch, "server", "*"))
	check(t, err)
	if len(got) != 1 || len(want) != 1 {
		t.Fatalf("receipts %q and %q", got, want)
	}
	vkey, _, _ := s.command(t, s.url, "", 0, "key", "show", "--json")
	vkey = regexp.MustCompile(`"vkey":"([^"]+)"`).FindStringSubmatch(vkey)[1]
	if out, errs, status := s.command(t, s.url, "", 0, "check", got[0], "--key", vkey); status != exitOK {
		t.Errorf("the receipt: %s%s", out, errs)
	}

	made := strings.TrimSuffix(s.url, "default") + "payments"
	if out, errs, status := s.command(t, made, "", 0, "init"); status != exitOK || !strings.Contains(out, "example.org/payments") {
		t.Errorf("init: %s%s", out, errs)
	}
	if _, errs, status := s.command(t, made, "", 0, "init"); status != exitFailure || !strings.Contains(errs, "custody stats") {
		t.Errorf("init again: %s", errs)
	}
	log := strings.TrimSuffix(s.url, "trails/default") + "t/default"
	if out, errs, status := s.command(t, s.url, "", 0, "check", log, "--key", vkey); status != exitOK {
		t.Errorf("the published log: %s%s", out, errs)
	}
}

// Tokens are made, listed and revoked by the server that the trail is on, unless a
// directory is named.
func TestRemoteTokens(t *testing.T) {
	s := newSite(t)
	data := filepath.Dir(filepath.Dir(s.dir))
	made, errs, status := s.command(t, s.url, "", 0, "token", "create", "--name", "ci", "--roles", "submitter", "--agents", "a1", "--json")
	id := regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(made)
	if status != exitOK || id == nil || !strings.Contains(made, `"created_by":"token:desk"`) {
		t.Fatalf("create exits with %d: %s%s", status, made, errs)
	}
	list := func(args ...string) string {
		out, errs, status := s.command(t, s.url, "", 0, append([]string{"token", "list", "--json"}, args...)...)
		if status != exitOK {
			t.Fatalf("list exits with %d: %s", status, errs)
		}
		return regexp.MustCompile(`,"last_used":"[^"]*"`).ReplaceAllString(out, "") // which is written later
	}
	if got, want := list(), list("--data", data); got != want || strings.Count(got, "\n") != 2 {
		t.Errorf("the server lists\n%s\nits file\n%s", got, want)
	}
	if out, errs, status := s.command(t, s.url, "", 0, "token", "revoke", id[1]); status != exitOK || !strings.Contains(list(), `"revoked_by":"token:desk"`) {
		t.Errorf("revoke exits with %d: %s%s", status, out, errs)
	}
	if _, errs, status := s.command(t, s.url, "", 0, "token", "revoke", "00000000"); status != exitFailure || !strings.Contains(errs, "hint: custody token list") {
		t.Errorf("revoke exits with %d: %s", status, errs)
	}
	if _, errs, status := s.command(t, s.url, "", 0, "token", "create", "--name", "ci", "--roles", "submitter", "--data", t.TempDir()); status != exitFailure || !strings.Contains(errs, "--by WHO") {
		t.Errorf("in a directory, by nobody: %d, %s", status, errs)
	}
}

func TestRemoteErrors(t *testing.T) {
	s := newSite(t)
	wrong := filepath.Join(s.scratch, "wrong")
	check(t, os.WriteFile(wrong, []byte("cst_wrong\n"), 0o600))
	for _, tt := range []struct {
		name, place string
		args        []string
		want        []string
	}{
		{"a wrong token", s.url, []string{"query", "--token-file", wrong}, []string{"hint: give an API token"}},
		{"no token", s.url, []string{"query", "--token-file", filepath.Join(s.scratch, "none")}, []string{"no such file"}},
		{"no such trail", s.url + "s", []string{"query"}, []string{"not found", "hint: custody init --trail"}},
		{"no server", strings.Replace(s.url, "http:", "https:", 1), []string{"query"}, []string{"hint: is the server there"}},
		{"no address", "https://", []string{"query"}, []string{"is no address of a server"}},
		{"async", s.url, []string{"record", "--async", "--type", "turn_ended"}, []string{"--async"}},
		{"guard", s.url, []string{"verify", "--no-guard"}, []string{"--no-guard"}},
		{"origin", s.url, []string{"init", "--origin", "x"}, []string{"--origin"}},
		{"nobody", s.dir, []string{"hold", "place", "--all", "--reason", "r"}, []string{"say who does it"}},
	} {
		_, errs, status := s.command(t, tt.place, "", 0, tt.args...)
		for _, want := range tt.want {
			if status != exitFailure || !strings.Contains(errs, want) {
				t.Errorf("%s: it exits with %d, and says %s; want %q", tt.name, status, errs, want)
			}
		}
	}
	if _, errs, status := s.command(t, s.url, "", 0, "hold", "place", "--all", "--reason", "r", "--by", "me"); status != exitOK || !strings.Contains(errs, "--by me is not recorded") {
		t.Errorf("--by: %d, %s", status, errs)
	}
}
