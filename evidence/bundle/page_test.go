package bundle

import (
	"bytes"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/chromiumtest"
)

var pictures = flag.String("pictures", "", "write pictures of the page into this directory")

func TestPage(t *testing.T) {
	f := trail(t, 100)
	b := write(t, f.contents(t, 5, 20))
	page := newBrowser(t)

	got := page.open(pageOf(t, b))
	if got.Verdict != "good" || len(got.Findings) > 0 {
		t.Fatalf("%s %v\n%s", got.Verdict, got.Findings, got.Text)
	}
	for _, want := range []string{f.key.VerifierKey(), "Proven complete", "witness.example.com cosigned by this witness at 2026-11-24T22:10:00Z",
		"everything from index 5 to 20", "Payloads of entries 7, 9 were erased on request and were removed; event 12", "Legal hold h-1 covers entries 10–11, 13, 15–19; event 14", "payload removed, see event 12", "tsa.example.com", "action_denied", "Not checked here"} {
		if !strings.Contains(got.Text, want) {
			t.Errorf("the page does not say %q:\n%s", want, got.Text)
		}
	}
	// The payloads try to put markup into the page.
	chromiumtest.Eval[bool](page.Browser, `document.querySelectorAll("details").forEach((d) => { d.open = true; })`)
	if n := chromiumtest.Eval[int](page.Browser, `document.querySelectorAll("script").length + document.querySelectorAll("b").length`); n != 2 {
		t.Errorf("the page has %d scripts and bold elements instead of 2 scripts", n)
	}
	shoot := func(name string) {
		if *pictures == "" {
			return
		}
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int{1200, 390} {
				page.Shoot(filepath.Join(*pictures, fmt.Sprintf("%s-%s-%d.png", name, scheme, width)), scheme, width)
			}
		}
	}
	page.open(pageOf(t, b))
	shoot("good")

	got = page.pick(b)
	if got.Verdict != "good" || !strings.Contains(got.Text, "Its files are those that this page came with.") {
		t.Errorf("the zip: %s %v\n%s", got.Verdict, got.Findings, got.Text)
	}
	if got = page.pick(write(t, f.contents(t, 30, 40))); got.Verdict != "good" || !strings.Contains(got.Text, "It is not the bundle that this page came with.") {
		t.Errorf("another zip: %s %v\n%s", got.Verdict, got.Findings, got.Text)
	}
	if got = page.pick([]byte("PK")); got.Verdict != "bad" {
		t.Errorf("no zip: %s", got.Verdict)
	}
	for i := 0; i < len(b)-commentSize; i += len(b) / 40 {
		altered := bytes.Clone(b)
		altered[i] ^= 1 << (i % 8)
		if got := page.pick(altered); got.Verdict != "bad" {
			t.Errorf("the zip with byte %d altered: %s", i, got.Verdict)
		}
		recomment(altered)
		if got := page.pick(altered); got.Verdict != "bad" && !sameFiles(t, b, altered) {
			t.Errorf("the zip with byte %d altered, and a comment that fits: %s", i, got.Verdict)
		}
	}

	pruned := write(t, prunedTrail(t, 60).contents(t, 10, 20))
	got = page.open(pageOf(t, pruned))
	if want := "Entries 1–9 were pruned under a retention policy; event 16 of the trail (retention_applied) says so."; got.Verdict != "good" || !strings.Contains(got.Text, want) {
		t.Errorf("a pruned trail: %s %v, want %q\n%s", got.Verdict, got.Findings, want, got.Text)
	}

	refuses := func(b []byte, tt forgery) {
		forged := edit(t, b, tt.change)
		index, _, _ := strings.Cut(tt.index, ",")
		names := func(finding string) bool {
			entries, text, _ := strings.Cut(finding, " ")
			set, err := evidence.ParseRanges(entries)
			i, _ := strconv.ParseUint(index, 10, 64)
			return err == nil && text != "" && (index == "" || entries == tt.index || set.Contains(i))
		}
		if got := page.open(pageOf(t, forged)); got.Verdict != "bad" || !slices.ContainsFunc(got.Findings, names) {
			t.Errorf("%s: %s, %q, want index %q", tt.name, got.Verdict, got.Findings, tt.index)
		}
		if got := page.pick(forged); got.Verdict != "bad" || !slices.ContainsFunc(got.Findings, names) {
			t.Errorf("%s, zip: %s, %q, want index %q", tt.name, got.Verdict, got.Findings, tt.index)
		}
	}
	for _, tt := range forgeries {
		refuses(b, tt)
	}
	for _, tt := range prunedForgeries {
		refuses(pruned, tt)
	}
	for _, tt := range otherPages {
		if got := page.pick(otherPage(t, b, tt.old, tt.new)); got.Verdict != "bad" || !strings.Contains(strings.Join(got.Findings, "\n"), " "+pageFile) {
			t.Errorf("page with another %s: %s %q", tt.name, got.Verdict, got.Findings)
		}
	}
	if got := page.pick(wrongSum(b, keysFile)); got.Verdict != "bad" {
		t.Errorf("wrong CRC-32: %s", got.Verdict)
	}
	page.open(pageOf(t, edit(t, b, forgeries[0].change)))
	shoot("bad")
}

// TestPageWithoutEd25519 takes what the page needs away from the browser.
func TestPageWithoutEd25519(t *testing.T) {
	b := pageOf(t, write(t, trail(t, 30).contents(t, 5, 20)))
	page := newBrowser(t)
	for _, without := range []string{
		`const own = crypto.subtle.importKey; SubtleCrypto.prototype.importKey = () => Promise.reject(new DOMException("no", "NotSupportedError"));`,
		`Object.defineProperty(globalThis, "crypto", { value: {} });`,
	} {
		var script struct {
			ID string `json:"identifier"`
		}
		page.Call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": without}, &script)
		if got := page.open(b); got.Verdict != "partial" || !strings.Contains(got.Text, "not checked in full") || strings.Contains(got.Text, "Verified") {
			t.Errorf("%s: %s\n%s", without, got.Verdict, got.Text)
		}
		page.Call("Page.removeScriptToEvaluateOnNewDocument", map[string]any{"identifier": script.ID}, nil)
	}
}

// TestPageOfTenThousand holds the time that 10,000 events take.
func TestPageOfTenThousand(t *testing.T) {
	f := trail(t, 10_010)
	b := write(t, f.contents(t, 5, 10_005))
	page := newBrowser(t)
	got := page.open(pageOf(t, b))
	if got.Verdict != "good" {
		t.Fatalf("%s %v", got.Verdict, got.Findings)
	}
	took, err := strconv.Atoi(got.Milliseconds)
	t.Logf("10,000 events in a zip of %d bytes were checked in %d ms", len(b), took)
	if err != nil || took > 3000 {
		t.Errorf("took %d ms, more than 3000", took)
	}
	if got = page.pick(b); got.Verdict != "good" {
		t.Errorf("zip: %s %v", got.Verdict, got.Findings)
	}
}

// TestPageOfOtherForm gives the page data of another form than a bundle has.
func TestPageOfOtherForm(t *testing.T) {
	b := pageOf(t, write(t, trail(t, 30).contents(t, 5, 20)))
	page := newBrowser(t)
	for _, tt := range []struct{ name, old, new string }{
		{"no JSON", dataStart + "{", dataStart + "["},
		{"empty", dataStart + "{", dataStart + "{}</script><script>{"},
		{"time of the manifest", `\"created\":\"2026-11-25T22:10:00.000000Z\"`, `\"created\":7`},
		{"scope", `\"text\":\"everything from index 5 to 20\"`, `\"text\":{}`},
		{"files", `\"files\":[`, `\"filed\":[`},
		{"leaves", `\"leaves\":[`, `\"leaved\":[`},
		{"index of an event", `{\"index\":6,\"payload\":\"{`, `{\"index\":{},\"payload\":\"{`},
		{"reason", `\"reason\":\"Every`, `\"reason\":[],\"reasom\":\"Every`},
		{"removal", `[{\"entries\":\"7,9\",\"event\":12,`, `[{\"entries\":7,\"event\":{},`},
		{"checkpoint", `example.com/agents\n30\n`, `example.com/agents\n9007199254740991\n`},
	} {
		altered := bytes.Replace(b, []byte(tt.old), []byte(tt.new), 1)
		if bytes.Equal(altered, b) {
			t.Fatalf("%s: nothing to alter", tt.name)
		}
		if got := page.open(altered); got.Verdict != "bad" {
			t.Errorf("%s: %s\n%s", tt.name, got.Verdict, got.Text)
		}
	}
}
