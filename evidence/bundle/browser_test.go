package bundle

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/custodylog/custody/internal/chromiumtest"
)

// browser shows pages of bundles.
type browser struct {
	*chromiumtest.Browser
	tb testing.TB
}

func newBrowser(tb testing.TB) browser {
	tb.Helper()
	return browser{chromiumtest.New(tb), tb}
}

// settled is a promise that is kept when the page has a verdict.
const settled = `new Promise((done) => {
	const look = () => ["good", "bad", "partial"].includes(document.documentElement?.dataset.verdict) ? done(true) : setTimeout(look, 5);
	look();
})`

// verdict is what a page says.
type verdict struct {
	Verdict      string
	Milliseconds string
	Findings     []string // indices, a space and the text
	Text         string
}

func (b browser) verdict() verdict {
	b.tb.Helper()
	chromiumtest.Eval[bool](b.Browser, settled)
	return chromiumtest.Eval[verdict](b.Browser, `({
		Verdict: document.documentElement.dataset.verdict,
		Milliseconds: document.documentElement.dataset.milliseconds,
		Findings: [...document.querySelectorAll(".finding")].map((f) => f.dataset.entries + " " + f.textContent),
		Text: document.body.innerText,
	})`)
}

// open opens a page from a file and returns what it says.
func (b browser) open(page []byte) verdict {
	b.tb.Helper()
	name := filepath.Join(b.tb.TempDir(), pageFile)
	if err := os.WriteFile(name, page, 0o600); err != nil {
		b.tb.Fatal(err)
	}
	b.Open("file://" + name)
	return b.verdict()
}

// pick gives the page a zip to check, through its file picker.
func (b browser) pick(zip []byte) verdict {
	b.tb.Helper()
	name := filepath.Join(b.tb.TempDir(), "case.zip")
	if err := os.WriteFile(name, zip, 0o600); err != nil {
		b.tb.Fatal(err)
	}
	var node struct {
		Root struct {
			ID int `json:"nodeId"`
		} `json:"root"`
		ID int `json:"nodeId"`
	}
	b.Call("DOM.getDocument", nil, &node)
	b.Call("DOM.querySelector", map[string]any{"nodeId": node.Root.ID, "selector": "#pick"}, &node)
	chromiumtest.Eval[string](b.Browser, `document.documentElement.dataset.verdict = "picking"`)
	b.Call("DOM.setFileInputFiles", map[string]any{"nodeId": node.ID, "files": []string{name}}, nil)
	return b.verdict()
}

// pageOf returns the page of a bundle.
func pageOf(tb testing.TB, b []byte) []byte {
	tb.Helper()
	files, err := unpack(b, func(file, detail string) { tb.Fatal(file, detail) })
	if err != nil {
		tb.Fatal(err)
	}
	return files[slices.IndexFunc(files, func(f file) bool { return f.name == pageFile })].content
}
