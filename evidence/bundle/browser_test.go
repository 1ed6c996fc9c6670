package bundle

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// browser is a headless Chromium, driven over a pipe by the DevTools protocol.
type browser struct {
	tb      testing.TB
	w       io.Writer
	r       *bufio.Reader
	id      int
	session string
}

// need returns the path of the first of some commands that there is. If there is
// none, and it may, it installs the Debian package that has them.
func need(tb testing.TB, pkg string, commands ...string) string {
	tb.Helper()
	find := func() string {
		for _, name := range commands {
			if path, err := exec.LookPath(name); err == nil {
				return path
			}
		}
		return ""
	}
	if path := find(); path != "" {
		return path
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		tb.Fatalf("this test needs %s: install the package %s", commands[0], pkg)
	}
	out, err := exec.Command("sh", "-c", "apt-get -q update && apt-get -qy install --no-install-recommends "+pkg).CombinedOutput()
	path := find()
	if path == "" {
		tb.Fatalf("this test needs %s, which could not be installed: %v\n%s", commands[0], err, out)
	}
	return path
}

func newBrowser(tb testing.TB) *browser {
	tb.Helper()
	path := need(tb, "chromium", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
	fromUs, toBrowser, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	fromBrowser, toUs, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--remote-debugging-pipe", "--user-data-dir="+tb.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{fromUs, toUs}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	// Should the browser hang, reading fails, and with it the test.
	watchdog := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	fromUs.Close()
	toUs.Close()
	b := &browser{tb: tb, w: toBrowser, r: bufio.NewReader(fromBrowser)}
	tb.Cleanup(func() {
		watchdog.Stop()
		b.session = ""
		b.call("Browser.close", nil, nil)
		cmd.Wait()
		toBrowser.Close()
		fromBrowser.Close()
	})
	var target struct {
		TargetID  string `json:"targetId"`
		SessionID string `json:"sessionId"`
	}
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	b.session = target.SessionID
	b.call("DOM.enable", nil, nil)
	return b
}

// call calls a method of the protocol and waits for its result. Events are
// passed over.
func (b *browser) call(method string, params, result any) {
	b.tb.Helper()
	b.id++
	message := map[string]any{"id": b.id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	out, err := json.Marshal(message)
	if err != nil {
		b.tb.Fatal(err)
	}
	if _, err := b.w.Write(append(out, 0)); err != nil {
		b.tb.Fatalf("%s: %v", method, err)
	}
	for {
		in, err := b.r.ReadBytes(0)
		if err != nil {
			b.tb.Fatalf("%s: the browser is gone: %v", method, err)
		}
		var answer struct {
			ID     int             `json:"id"`
			Error  json.RawMessage `json:"error"`
			Result json.RawMessage `json:"result"`
		}
		if err := json.Unmarshal(in[:len(in)-1], &answer); err != nil {
			b.tb.Fatal(err)
		}
		if answer.ID != b.id {
			continue
		}
		if answer.Error != nil {
			b.tb.Fatalf("%s: %s", method, answer.Error)
		}
		if result != nil {
			if err := json.Unmarshal(answer.Result, result); err != nil {
				b.tb.Fatal(err)
			}
		}
		return
	}
}

// eval runs an expression in the page, waits if it is a promise, and returns its
// value.
func eval[T any](b *browser, expression string) T {
	b.tb.Helper()
	var result struct {
		Result struct {
			Value T `json:"value"`
		} `json:"result"`
		Exception json.RawMessage `json:"exceptionDetails"`
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &result)
	if result.Exception != nil {
		b.tb.Fatalf("%s: %s", expression, result.Exception)
	}
	return result.Result.Value
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

func (b *browser) verdict() verdict {
	b.tb.Helper()
	eval[bool](b, settled)
	return eval[verdict](b, `({
		Verdict: document.documentElement.dataset.verdict,
		Milliseconds: document.documentElement.dataset.milliseconds,
		Findings: [...document.querySelectorAll(".finding")].map((f) => f.dataset.entries + " " + f.textContent),
		Text: document.body.innerText,
	})`)
}

// open opens a page from a file and returns what it says.
func (b *browser) open(page []byte) verdict {
	b.tb.Helper()
	name := filepath.Join(b.tb.TempDir(), pageFile)
	if err := os.WriteFile(name, page, 0o600); err != nil {
		b.tb.Fatal(err)
	}
	b.call("Page.navigate", map[string]any{"url": "file://" + name}, nil)
	eval[bool](b, fmt.Sprintf(`new Promise((done) => { const look = () => location.href === %q && document.readyState === "complete" ? done(true) : setTimeout(look, 5); look(); })`, "file://"+name))
	return b.verdict()
}

// pick gives the page a zip to check, through its file picker.
func (b *browser) pick(zip []byte) verdict {
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
	b.call("DOM.getDocument", nil, &node)
	b.call("DOM.querySelector", map[string]any{"nodeId": node.Root.ID, "selector": "#pick"}, &node)
	eval[string](b, `document.documentElement.dataset.verdict = "picking"`)
	b.call("DOM.setFileInputFiles", map[string]any{"nodeId": node.ID, "files": []string{name}}, nil)
	return b.verdict()
}

// shoot writes a picture of the whole page.
func (b *browser) shoot(file, scheme string, width int) {
	b.tb.Helper()
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	var shot struct {
		Data string `json:"data"`
	}
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.tb.Fatal(err)
	}
	if err := os.WriteFile(file, png, 0o600); err != nil {
		b.tb.Fatal(err)
	}
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
