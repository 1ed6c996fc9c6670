package ui

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/chromiumtest"
	"github.com/custodylog/custody/internal/vfs/vfstest"
	"github.com/custodylog/custody/witness"
)

// shoot writes pictures of the page that is open, light and wide, dark and narrow, into
// the directory that SCREENSHOTS names, if it does.
func shoot(b *chromiumtest.Browser, name string) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	b.Shoot(filepath.Join(dir, name+"-light-1400.png"), "light", 1400)
	b.Shoot(filepath.Join(dir, name+"-dark-360.png"), "dark", 360)
}

// until is a promise that is kept when an expression holds.
func until(expression string) string {
	return fmt.Sprintf(`new Promise((done) => { const look = () => (%s) ? done(true) : setTimeout(look, 5); look(); })`, expression)
}

func TestLiveTail(t *testing.T) {
	site := newSite(t, story()...)
	trail, url := site.trails["default"], site.url
	b := chromiumtest.New(t)
	eval := chromiumtest.Eval[string]
	b.Open(url + "/trails/default/events?agent_id=worker")
	wait := func(expression string) { chromiumtest.Eval[bool](b, until(expression)) }
	state := `document.getElementById("live-state").textContent`
	rows := `document.querySelectorAll("#events tbody tr").length`
	newest := `document.querySelector("#events tbody tr").innerText`
	wait(state + ` === "Live"`)
	before := chromiumtest.Eval[int](b, rows)

	record(t, trail, event.Event{Type: event.MessageSent, AgentID: "planner"}, event.Event{Type: event.ActionRequested, AgentID: "worker", Details: map[string]any{"tool_name": hostile}})
	wait(fmt.Sprintf("%s === %d", rows, before+1))
	contains(t, eval(b, newest), "action requested", "<script>alert(1)</script>")

	eval(b, `document.getElementById("live-pause").click()`)
	record(t, trail, event.Event{Type: event.ActionDenied, AgentID: "worker"})
	wait(state + ` === "Paused, 1 new"`)
	if n := chromiumtest.Eval[int](b, rows); n != before+1 {
		t.Errorf("%d rows while it is paused, want %d", n, before+1)
	}
	eval(b, `document.getElementById("live-pause").click()`)
	wait(fmt.Sprintf("%s === %d", rows, before+2))
	contains(t, eval(b, newest), "action denied")

	var many []event.Event
	for range 3 * pageSize {
		many = append(many, event.Event{Type: event.MessageSent, AgentID: "worker"})
	}
	record(t, trail, many...)
	wait(fmt.Sprintf("%s === %d", rows, before+2+len(many)))
	indices := chromiumtest.Eval[[]int](b, `[...document.querySelectorAll("#events tbody tr")].map((r) => Number(r.dataset.index))`)
	for i := 1; i < len(indices); i++ {
		if indices[i] >= indices[i-1] {
			t.Errorf("entry %d stands below entry %d", indices[i], indices[i-1])
		}
	}

	press := func(key string) {
		b.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": key, "text": key}, nil)
		b.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key}, nil)
	}
	focus := `document.activeElement.closest("tr")?.dataset.index ?? document.activeElement.name`
	for _, step := range []struct{ key, want string }{{"j", fmt.Sprint(indices[0])}, {"j", fmt.Sprint(indices[1])}, {"k", fmt.Sprint(indices[0])}, {"/", "event_type"}} {
		press(step.key)
		if got := eval(b, focus); got != step.want {
			t.Errorf("after %s the focus is on %q, want %q", step.key, got, step.want)
		}
	}
	press("?") // typed, not a command
	helps := `document.getElementById("help").open`
	if chromiumtest.Eval[bool](b, helps) {
		t.Error("the help opens while somebody types")
	}
	eval(b, `document.activeElement.blur()`)
	press("p")
	wait(state + `.startsWith("Paused")`)
	press("?")
	if !chromiumtest.Eval[bool](b, helps) {
		t.Error("? does not open the help")
	}
	press("j")
	if got := eval(b, focus); got != "" && got != "undefined" {
		t.Errorf("the focus goes to %q behind the help", got)
	}

	// The keyboard reaches the bars of the histogram in their list.
	eval(b, `document.getElementById("help").close(); document.querySelector(".periods summary").focus()`)
	for _, key := range []map[string]any{{"key": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}, {"key": "Tab", "windowsVirtualKeyCode": 9}} {
		for _, kind := range []string{"keyDown", "keyUp"} {
			key["type"] = kind
			b.Call("Input.dispatchKeyEvent", key, nil)
		}
	}
	if got := eval(b, `document.activeElement.closest(".periods li")?.innerText ?? document.activeElement.outerHTML`); !strings.Contains(got, "UTC: ") {
		t.Errorf("behind the way to the list the focus is on %q", got)
	}
	for _, c := range b.Complaints() {
		t.Error(c)
	}
}

// pages are all pages, with hostile events among the others. Where there is a form it is
// filled in and sent, after which the page has an element. The last one is of a trail that
// somebody altered.
var pages = []struct {
	name, path, form, then string

	status  int // the browser complains of it; 0: of nothing
	altered bool
}{
	{name: "overview", path: "/trails/default"},
	{name: "overview-empty", path: "/trails/empty"},
	{name: "events", path: "/trails/default/events"},
	{name: "events-filtered", path: "/trails/default/events?text=shell&columns=time&columns=agent&columns=user&columns=result&since=7d"},
	{name: "events-more", path: "/trails/default/events?severity=error&field=/details/tool_name=shell&event_type=policy_violation,action_failed,action_denied,x.own&occurred_since=2026-01-01&from_index=1"},
	{name: "events-none", path: "/trails/default/events?agent_id=nobody"},
	{name: "error", path: "/trails/default/events?since=yesterday", status: 400},
	{name: "event", path: "/trails/default/events/2"},
	{name: "event-denied", path: "/trails/default/events/8"},
	{name: "event-hostile", path: "/trails/default/events/14"},
	{name: "event-good", path: "/trails/default/events/8", form: `document.getElementById("verify-start").click()`, then: `#verify[data-verdict="good"]`},
	{name: "event-bad", path: "/trails/default/events/8", form: `document.getElementById("payload").textContent = document.getElementById("payload").textContent.replace('"deny"', '"allow"'); document.getElementById("verify-start").click()`, then: `#verify[data-verdict="bad"]`},
	{name: "timelines", path: "/trails/default/timeline"},
	{name: "timeline", path: "/trails/default/timeline?session_id=session-1"},
	{name: "timeline-zoomed", path: "/trails/default/timeline?session_id=session-1&from=2026-01-02T09:00:30Z&to=2026-01-02T09:01:30Z"},
	{name: "timeline-transcript", path: "/trails/default/timeline?session_id=session-2"},
	{name: "event-transcript", path: "/trails/default/events/20"},
	{name: "integrity", path: "/trails/default/integrity"},
	{name: "stops", path: "/trails/default/stops"},
	{name: "stops-refused", path: "/trails/default/stops", form: `document.querySelector("main [name=reason]:not(details *)").value = "drill"; document.querySelector("form[action$=stops] button").click()`, then: ".refused", status: 422},
	{name: "holds", path: "/trails/default/holds"},
	{name: "retention", path: "/trails/default/retention", form: `document.querySelector("main form button").click()`, then: "#plan"},
	{name: "erasure", path: "/trails/default/erasure", form: `document.querySelector("[name=agent_id]").value = "planner"; document.querySelector("form[action$=plan] button").click()`, then: "#plan"},
	{name: "followers", path: "/trails/default/followers"},
	{name: "tokens", path: "/server/tokens", form: `document.querySelector("[name=name]").value = "ci-agents"; document.querySelector("[value=submitter]").click(); document.querySelector("form[action$=tokens] button").click()`, then: "#secret"},
	{name: "configuration", path: "/server/configuration"},
	{name: "login", path: "/login"},
	{name: "login-refused", path: "/login", form: `document.getElementById("token").value = "cst_00000000_" + "A".repeat(43); document.querySelector("main form button").click()`, then: "#problem", status: 401},
	{name: "verified-altered", path: "/trails/default/integrity", form: `document.getElementById("verification-start").click()`, then: `#verification[data-verdict="bad"]`, altered: true},
}

// gallery is a server that has something to show on all pages.
func gallery(t *testing.T) *desk {
	raised := []Alert{{Title: "Disk nearly full", Detail: hostile, Since: time.Now(), Critical: true}}
	d := newDesk(t, true, func(c *Config) {
		c.Alerts = func() []Alert { return raised }
		c.Writable = func(_ context.Context, trail string) error {
			if trail == "empty" {
				return errors.New("the disk is full")
			}
			return nil
		}
		c.Trails.(set)["empty"] = newTrail(t)
		c.Login = newLogin(t)
	}, slices.Concat(story(), []event.Event{hostileEvent(), {Type: event.GapDetected, Details: map[string]any{"kind": "missing", "source": "hooks", "count": 3, "before": 6, "after": 8}}}, imported(), []event.Event{{Type: "example.deployed", AgentID: "planner"}})...)
	cosign(t, d.trail)
	record(t, d.system, event.Event{Type: event.VerificationFailed, Details: map[string]any{"trail": "default", "what": hostile, "index": 8, "findings": 1}},
		event.Event{Type: event.VerificationCompleted, Details: map[string]any{"trail": "default", "findings": 1, "size": 14, "strength": "self-signed only", "by": "token:alice"}})
	d.trail.AddHandler(func(context.Context, custody.Entry) error { return errors.New("the receiver answered 503") }, custody.HandlerOptions{Name: "deliveries", Query: custody.Query{From: 9}})
	d.trail.AddHandler(func(context.Context, custody.Entry) error { return nil }, custody.HandlerOptions{Name: "alerts"})
	alice, bob := d.token(t, "alice", nil, auth.Operator), d.token(t, "bob", []string{"default"}, auth.Operator)
	d.post(t, alice, "/trails/default/stops", url.Values{"stop_type": {"agent"}, "of": {"agent-9, agent-10"}, "reason": {hostile}})
	d.post(t, alice, "/trails/default/holds", url.Values{"reason": {"case 17"}, "agent_id": {"worker"}, "event_type": {"action_denied"}})
	d.post(t, alice, "/trails/default/erasure", url.Values{"indices": {"3"}, "ground": {"GDPR Art. 17(1)(b)"}, "reason": {hostile}})
	body := d.post(t, alice, "/trails/default/erasure", url.Values{"indices": {"4"}, "ground": {"GDPR Art. 17(1)(b)"}})
	d.post(t, bob, "/trails/default/requests/"+find(t, body, `/requests/([^/]+)/withdraw`)+"/refuse", url.Values{})
	return d
}

// newLogin lets in who has an API token, of which there is none.
func newLogin(t *testing.T) *Login {
	t.Helper()
	tokens, err := auth.OpenTokens(vfstest.NewMem(), "/tokens.json")
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := auth.NewSessions(auth.SessionConfig{Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	return &Login{Sessions: sessions, Tokens: tokens, LoggedIn: func(*http.Request, *auth.Principal, auth.Claims) {}, Refused: func(*http.Request, *auth.Denied) {}}
}

// falsify alters on the disk why the story's action a-2 was denied.
func falsify(t *testing.T, trail *custody.Trail) {
	t.Helper()
	altered := 0
	err := filepath.WalkDir(trail.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if lie := bytes.ReplaceAll(content, []byte("outside of the project"), []byte("outside of the perfect")); !bytes.Equal(lie, content) {
			altered++
			return os.WriteFile(path, lie, 0o600)
		}
		return nil
	})
	if err != nil || altered == 0 {
		t.Fatalf("%d files altered, %v", altered, err)
	}
}

// open opens a page, and sends its form.
func (d *desk) open(b *chromiumtest.Browser, path, form, then string) {
	b.Open(d.url + path)
	if form != "" {
		chromiumtest.Eval[bool](b, form+"; true")
		b.Wait(then)
	}
}

// TestPages opens every page as somebody would.
func TestPages(t *testing.T) {
	d := gallery(t)
	b := chromiumtest.New(t)
	for _, page := range pages {
		if page.altered {
			falsify(t, d.trail)
		}
		d.open(b, page.path, page.form, page.then)
		if n := chromiumtest.Eval[int](b, `document.querySelectorAll("script:not([src]), img, [onerror]").length`); n != 0 {
			t.Errorf("%s: %d elements of an event are in the page", page.path, n)
		}
		for _, c := range b.Complaints() {
			if page.status == 0 || !strings.HasPrefix(c, fmt.Sprintf("Failed to load resource: the server responded with a status of %d", page.status)) {
				t.Errorf("%s: %s", page.path, c)
			}
		}
		shoot(b, page.name)
		for _, width := range []int{1400, 800, 360} {
			b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
			if wide := chromiumtest.Eval[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
				t.Errorf("%s: at a width of %d it is %d pixels too wide", page.path, width, wide)
			}
		}
		b.Complaints()
	}
}

// axeCore is the version of axe-core, from the npm registry, that judges the pages.
const axeCore = "axe-core@4.11.0"

// TestAccessibility has axe-core look at every page, light and wide, dark and narrow, with
// all that can be opened open.
func TestAccessibility(t *testing.T) {
	npm := chromiumtest.Need(t, "npm", "npm")
	dir := t.TempDir()
	if out, err := exec.Command(npm, "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", axeCore).CombinedOutput(); err != nil {
		t.Fatalf("this test needs %s from the npm registry: %v\n%s", axeCore, err, out)
	}
	axe, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	d := gallery(t)
	b := chromiumtest.New(t)
	for _, page := range pages {
		if page.altered {
			falsify(t, d.trail)
		}
		for _, look := range []struct {
			scheme string
			width  int
		}{{"light", 1400}, {"dark", 360}} {
			b.Call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": look.scheme}}}, nil)
			b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": look.width, "height": 800, "deviceScaleFactor": 1, "mobile": look.width < 600}, nil)
			d.open(b, page.path, page.form, page.then)
			chromiumtest.Eval[bool](b, string(axe)+"; true")
			chromiumtest.Eval[bool](b, `document.querySelectorAll("main details").forEach((e) => { e.open = true }); true`)
			type violation struct {
				ID, Impact, Help string
				Nodes            []string
			}
			for _, v := range chromiumtest.Eval[[]violation](b, `axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })
				.then((r) => r.violations.map((v) => ({ ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.map((n) => n.html + " " + (n.any[0]?.message ?? "")) })))`) {
				t.Errorf("%s, %s, %d: %s (%s): %s\n%.400q", page.name, look.scheme, look.width, v.ID, v.Impact, v.Help, v.Nodes)
			}
		}
	}
}

// TestVerifyButton has the browser check events: as they are, and as a server gives
// them that lies.
func TestVerifyButton(t *testing.T) {
	site := newSite(t, append(story(), hostileEvent())...)
	honest := site.api
	proof := func(alter func(*evidence.Proof, *evidence.Disclosed)) func(string, []byte) []byte {
		return func(path string, body []byte) []byte {
			if !strings.HasSuffix(path, "/proof") {
				return body
			}
			p, err := evidence.ParseProof(body)
			if err != nil {
				t.Fatal(err)
			}
			d, err := evidence.ParseDisclosed(p.Extra)
			if err != nil {
				t.Fatal(err)
			}
			alter(p, d)
			if p.Extra, err = d.Marshal(); err != nil {
				t.Fatal(err)
			}
			text, err := p.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
	}
	replace := func(b *[]byte, old, with string) {
		altered := bytes.Replace(*b, []byte(old), []byte(with), 1)
		if bytes.Equal(altered, *b) {
			t.Fatalf("there is no %q in %s", old, *b)
		}
		*b = altered
	}
	b := chromiumtest.New(t)
	for _, tt := range []struct {
		name   string
		event  int
		server func(string, []byte) []byte // nil: it is honest
		page   string                      // what it does before the button is pressed
		want   string                      // verdict, and
		step   string                      // the step that fails
	}{
		{"an event as it is", 8, nil, "", "good", ""},
		{"the first event", 0, nil, "", "good", ""},
		{"a hostile event", 14, nil, "", "good", ""},
		{"an altered payload", 8, proof(func(_ *evidence.Proof, d *evidence.Disclosed) { replace(&d.Payload, `"deny"`, `"allow"`) }),
			`document.getElementById("payload").textContent = document.getElementById("payload").textContent.replace('"deny"', '"allow"')`, "bad", "The entry commits to the payload"},
		{"a payload that is shown as another", 8, nil,
			`document.getElementById("payload").textContent = document.getElementById("payload").textContent.replace('"deny"', '"allow"')`, "bad", "It is about this event"},
		{"another entry in the proof", 8, proof(func(_ *evidence.Proof, d *evidence.Disclosed) { replace(&d.Entry, "action_denied", "action_failed") }), "", "bad", "The entry has the hash that this page shows"},
		{"another entry, and its hash on the page", 8, proof(func(_ *evidence.Proof, d *evidence.Disclosed) { replace(&d.Entry, "action_denied", "action_failed") }),
			`document.getElementById("verify").dataset.hash = base64Of`, "bad", "The tree that was signed holds the entry"},
		{"another root", 8, proof(func(p *evidence.Proof, _ *evidence.Disclosed) {
			lines := strings.SplitN(string(p.Checkpoint), "\n", 4)
			lines[2] = base64.StdEncoding.EncodeToString(make([]byte, 32))
			p.Checkpoint = []byte(strings.Join(lines, "\n"))
		}), "", "bad", "The tree that was signed holds the entry"},
		{"an altered hash in the proof", 8, proof(func(p *evidence.Proof, _ *evidence.Disclosed) { p.Hashes[1][0] ^= 1 }), "", "bad", "The tree that was signed holds the entry"},
		{"a hash too few", 8, proof(func(p *evidence.Proof, _ *evidence.Disclosed) { p.Hashes = p.Hashes[:1] }), "", "bad", "The tree that was signed holds the entry"},
		{"a hash too many", 8, proof(func(p *evidence.Proof, _ *evidence.Disclosed) { p.Hashes = append(p.Hashes, p.Hashes[0]) }), "", "bad", "The tree that was signed holds the entry"},
		{"a wrong signature", 8, proof(func(p *evidence.Proof, _ *evidence.Disclosed) { replace(&p.Checkpoint, "\n\n", "\nextension\n\n") }), "", "bad", "The key signed the checkpoint"},
		{"the key of somebody else", 8, nil, `document.getElementById("key").value = "` + otherKey(t) + `"`, "bad", "The key signed the checkpoint"},
		{"no proof", 8, func(string, []byte) []byte { return []byte("no") }, "", "bad", "The server gives a proof"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site.api = honest
			if tt.server != nil {
				site.tamper(tt.server)
			}
			b.Open(fmt.Sprintf("%s/trails/default/events/%d", site.url, tt.event))
			page := tt.page
			if strings.HasSuffix(page, "base64Of") {
				e, err := site.trails["default"].Entry(t.Context(), uint64(tt.event))
				if err != nil {
					t.Fatal(err)
				}
				replace(&e.Envelope, "action_denied", "action_failed")
				page = strings.Replace(page, "base64Of", fmt.Sprintf("%q", evidence.LeafHash(e.Envelope)), 1)
			}
			chromiumtest.Eval[bool](b, page+`; true`)
			got, text := verdictOfEvent(b)
			step := chromiumtest.Eval[string](b, `document.querySelector(".steps li.bad strong")?.textContent ?? ""`)
			if got != tt.want || step != tt.step {
				t.Errorf("%s at %q, want %s at %q:\n%s", got, step, tt.want, tt.step, text)
			}
			for _, c := range b.Complaints() {
				t.Error(c)
			}
			if tt.event == 8 && (tt.server == nil && tt.page == "" || tt.want == "bad" && strings.HasPrefix(tt.name, "an altered payload")) {
				shoot(b, "event-"+tt.want)
			}
		})
	}
}

// TestVerifyAfterKeyChange verifies events that are proved against checkpoints that two
// keys signed: the old one, which a witness cosigned, and the newest.
func TestVerifyAfterKeyChange(t *testing.T) {
	site := newSite(t, story()...)
	trail := site.trails["default"]
	cosign(t, trail)
	old := trail.VerifierKey()
	_, next, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trail.RotateKey(t.Context(), next, "operator@example.com", hostile); err != nil {
		t.Fatal(err)
	}
	record(t, trail, story()...)
	b := chromiumtest.New(t)
	for _, tt := range []struct {
		event     uint64
		key       string
		witnessed bool
	}{{8, old, true}, {trail.Size() - 1, trail.VerifierKey(), false}} {
		b.Open(fmt.Sprintf("%s/trails/default/events/%d", site.url, tt.event))
		if got := chromiumtest.Eval[string](b, `document.getElementById("key").value`); got != tt.key {
			t.Errorf("event %d: the key is %s, want %s", tt.event, got, tt.key)
		}
		got, text := verdictOfEvent(b)
		if got != "good" || strings.Contains(text, "witness.example.com") != tt.witnessed {
			t.Errorf("event %d: %s: %s", tt.event, got, text)
		}
	}
	b.Open(site.url + "/trails/default/integrity")
	contains(t, chromiumtest.Eval[string](b, `document.body.innerText`), "the first 14 entries, by witness.example.com", old, trail.VerifierKey(), "alert(1)", "Newest checkpoint that witnesses cosigned")
	for _, c := range b.Complaints() {
		t.Error(c)
	}
}

// cosign has a witness cosign the newest checkpoint.
func cosign(tb testing.TB, trail *custody.Trail) {
	tb.Helper()
	must := func(err error) {
		if err != nil {
			tb.Helper()
			tb.Fatal(err)
		}
	}
	secret, vkey, err := evidence.GenerateCosignatureKey("witness.example.com")
	must(err)
	signer, err := evidence.ParseCosignatureSigner(secret)
	must(err)
	key, err := evidence.ParseVerifier(trail.VerifierKey())
	must(err)
	w, err := witness.NewServer(tb.TempDir(), signer, []witness.Log{{Origin: trail.Origin(), Verifiers: []note.Verifier{key}}}, slog.New(slog.DiscardHandler))
	must(err)
	defer w.Close()
	h := httptest.NewServer(w)
	defer h.Close()
	policy, err := evidence.ParsePolicy(fmt.Appendf(nil, "log %s\nwitness w %s %s\nquorum w\n", trail.VerifierKey(), vkey, h.URL))
	must(err)
	_, err = trail.Cosign(tb.Context(), custody.Witnessing{Policy: policy})
	must(err)
}

// verdictOfEvent has the browser verify the event of the page that is open.
func verdictOfEvent(b *chromiumtest.Browser) (verdict, text string) {
	chromiumtest.Eval[bool](b, `document.getElementById("verify-start").click(); true`)
	chromiumtest.Eval[bool](b, until(`["good", "bad", "partial"].includes(document.getElementById("verify").dataset.verdict)`))
	return chromiumtest.Eval[string](b, `document.getElementById("verify").dataset.verdict`), chromiumtest.Eval[string](b, `document.getElementById("verify-result").innerText`)
}

// TestVerifyWithoutCryptography takes what verification needs away from the browser.
func TestVerifyWithoutCryptography(t *testing.T) {
	site := newSite(t, story()...)
	b := chromiumtest.New(t)
	for _, tt := range []struct{ without, want string }{
		{`SubtleCrypto.prototype.importKey = () => Promise.reject(new DOMException("no", "NotSupportedError"));`, "Not everything was checked"},
		{`Object.defineProperty(globalThis, "crypto", { value: {} });`, "Nothing was checked"},
	} {
		var script struct {
			ID string `json:"identifier"`
		}
		b.Call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": tt.without}, &script)
		b.Open(site.url + "/trails/default/events/8")
		if got, text := verdictOfEvent(b); got != "partial" || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %s: %s", tt.without, got, text)
		}
		b.Call("Page.removeScriptToEvaluateOnNewDocument", map[string]any{"identifier": script.ID}, nil)
		b.Open("about:blank") // the same address again would not be loaded anew
	}
}

// TestVerification runs a verification from the page: of a trail as it was written,
// and as somebody altered it on the disk.
func TestVerification(t *testing.T) {
	site := newSite(t, story()...)
	b := chromiumtest.New(t)
	verdict := func() (string, string) {
		chromiumtest.Eval[bool](b, until(`["good", "bad", "partial", "failed"].includes(document.getElementById("verification").dataset.verdict)`))
		return chromiumtest.Eval[string](b, `document.getElementById("verification").dataset.verdict`), chromiumtest.Eval[string](b, `document.getElementById("verification").innerText`)
	}
	run := func() (string, string) {
		b.Open(site.url + "/trails/default/integrity")
		chromiumtest.Eval[bool](b, until(`document.getElementById("verification-state").textContent || document.getElementById("verification-result").textContent`))
		chromiumtest.Eval[bool](b, `document.getElementById("verification-start").click(); true`)
		return verdict()
	}
	if got, text := run(); got != "good" || !strings.Contains(text, "14 entries and 14 payloads were read; self-signed only") {
		t.Errorf("%s: %s", got, text)
	}
	shoot(b, "verified")
	b.Open(site.url + "/trails/default/integrity") // which shows the last one
	if got, text := verdict(); got != "good" || !strings.Contains(text, "asked for by local") {
		t.Errorf("the last one: %s: %s", got, text)
	}
	for _, c := range b.Complaints() {
		t.Error(c)
	}

	falsify(t, site.trails["default"])
	if got, text := run(); got != "bad" || !strings.Contains(text, "at entry 8") {
		t.Errorf("an altered trail: %s: %s", got, text)
	}
	shoot(b, "altered")

	// Another server knows the last one by the trail of the first, until it runs one.
	site.restart()
	told := `document.getElementById("verification-told")?.innerText ?? ""`
	b.Open(site.url + "/trails/default/integrity")
	chromiumtest.Eval[bool](b, until(`document.getElementById("verification-state").textContent.startsWith("None was run")`))
	contains(t, chromiumtest.Eval[string](b, told), "1 thing did not check out", "14 entries were verified", "The first, at entry 8: The stored bytes are not those that were committed.", "asked for by local")
	shoot(b, "altered-restarted")
	event := chromiumtest.Eval[string](b, `document.querySelector("#verification-told a[href^='/trails/system/events/']").href`)
	if got, _ := run(); got != "bad" || chromiumtest.Eval[string](b, told) != "" {
		t.Errorf("what was told stands beside a result that is %s: %s", got, chromiumtest.Eval[string](b, told))
	}
	b.Open(event)
	contains(t, chromiumtest.Eval[string](b, `document.body.innerText`), "verification failed", `"index": 8`)
	b.Open(site.url + "/trails/default/events/8")
	contains(t, chromiumtest.Eval[string](b, `document.body.innerText`), "What is stored does not check out")
}

// TestBundleDownload asks for bundles from the page.
func TestBundleDownload(t *testing.T) {
	site := newSite(t, story()...)
	b := chromiumtest.New(t)
	b.Open(site.url + "/trails/default/integrity")
	ask := func(agent string) string {
		return chromiumtest.Eval[string](b, fmt.Sprintf(`document.getElementById("bundle-state").textContent = "";
			document.querySelector("#bundle [name=agent_id]").value = %q;
			document.querySelector("#bundle [name=since]").value = "2020-01-01T00:00";
			document.querySelector("#bundle button").click();
			%s.then(() => document.getElementById("bundle-state").textContent)`,
			agent, until(`/complete|did not work/.test(document.getElementById("bundle-state").textContent)`)))
	}
	if got := ask("worker"); got != "The bundle is complete." {
		t.Error(got)
	}
	if got := ask("nobody"); !strings.Contains(got, "That did not work") || !strings.Contains(got, "no ") {
		t.Error(got)
	}
}

// otherKey returns the verifier key of a trail that has the same name.
func otherKey(tb testing.TB) string {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := evidence.NewSigner("example.com/default", key)
	if err != nil {
		tb.Fatal(err)
	}
	return signer.VerifierKey()
}
