// Package chromiumtest drives a real headless Chromium, over a pipe by the DevTools
// protocol. It is for tests.
package chromiumtest

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Browser is a Chromium with one page. It belongs to one goroutine.
type Browser struct {
	tb      testing.TB
	w       io.Writer
	r       *bufio.Reader
	id      int
	session string

	complaints []string
}

// Need returns the path of the first of some commands that there is. If there is
// none, and it may, it installs the Debian package that has them.
func Need(tb testing.TB, pkg string, commands ...string) string {
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

// New starts a browser, which ends with the test. If there is no Chromium, and it may,
// it installs Debian's.
func New(tb testing.TB) *Browser {
	tb.Helper()
	path := Need(tb, "chromium", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
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
	b := &Browser{tb: tb, w: toBrowser, r: bufio.NewReader(fromBrowser)}
	tb.Cleanup(func() {
		watchdog.Stop()
		b.session = ""
		b.Call("Browser.close", nil, nil)
		cmd.Wait()
		toBrowser.Close()
		fromBrowser.Close()
	})
	var target struct {
		TargetID  string `json:"targetId"`
		SessionID string `json:"sessionId"`
	}
	b.Call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	b.Call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	b.session = target.SessionID
	for _, domain := range []string{"DOM", "Page", "Runtime", "Log"} {
		b.Call(domain+".enable", nil, nil)
	}
	return b
}

// Call calls a method of the DevTools protocol and waits for its result. params and
// result may be nil.
func (b *Browser) Call(method string, params, result any) {
	b.tb.Helper()
	if err := b.call(method, params, result); err != nil {
		b.tb.Fatal(err)
	}
}

// call is Call. It returns what the browser says is wrong.
func (b *Browser) call(method string, params, result any) error {
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
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
		}
		if err := json.Unmarshal(in[:len(in)-1], &answer); err != nil {
			b.tb.Fatal(err)
		}
		if answer.ID != b.id {
			b.listen(answer.Method, answer.Params)
			continue
		}
		if answer.Error != nil {
			return fmt.Errorf("%s: %s", method, answer.Error)
		}
		if result != nil {
			return json.Unmarshal(answer.Result, result)
		}
		return nil
	}
}

// Eval runs an expression in the page, waits if it is a promise, and returns its
// value.
func Eval[T any](b *Browser, expression string) T {
	b.tb.Helper()
	var result struct {
		Result struct {
			Value T `json:"value"`
		} `json:"result"`
		Exception json.RawMessage `json:"exceptionDetails"`
	}
	b.Call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &result)
	if result.Exception != nil {
		b.tb.Fatalf("%s: %s", expression, result.Exception)
	}
	return result.Result.Value
}

// Becomes waits until an expression is true on a page that has been loaded, perhaps
// another one than now: a page that is left while it is asked answers nothing.
func (b *Browser) Becomes(expression string) {
	b.tb.Helper()
	var result struct {
		Result struct {
			Value bool `json:"value"`
		} `json:"result"`
	}
	params := map[string]any{"expression": `document.readyState === "complete" && !!(` + expression + `)`, "returnByValue": true}
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := b.call("Runtime.evaluate", params, &result)
		if err == nil && result.Result.Value {
			return
		}
		if time.Now().After(deadline) {
			b.tb.Fatalf("%s does not become true: %v", expression, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// listen keeps what the page complains of.
func (b *Browser) listen(method string, params json.RawMessage) {
	var p struct {
		Type  string // of a call of the console
		Entry struct {
			Level, Text, URL string
		}
		Details json.RawMessage `json:"exceptionDetails"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return // an answer to a call that failed
	}
	switch {
	case method == "Runtime.exceptionThrown", method == "Runtime.consoleAPICalled" && (p.Type == "error" || p.Type == "assert"):
		b.complaints = append(b.complaints, fmt.Sprintf("%s: %s", method, params))
	case method == "Log.entryAdded" && p.Entry.Level == "error":
		b.complaints = append(b.complaints, fmt.Sprintf("%s %s", p.Entry.Text, p.Entry.URL))
	}
}

// Complaints returns what pages complained of since it was last called: errors on the
// console, exceptions, and what their policy (CSP) kept out.
func (b *Browser) Complaints() []string {
	b.tb.Helper()
	Eval[bool](b, "new Promise((done) => setTimeout(() => done(true)))") // what is under way has come
	all := b.complaints
	b.complaints = nil
	return all
}

// Open opens an address and waits until it is loaded.
func (b *Browser) Open(url string) {
	b.tb.Helper()
	var answer struct {
		Error string `json:"errorText"`
	}
	b.Call("Page.navigate", map[string]any{"url": url}, &answer)
	if answer.Error != "" {
		b.tb.Fatalf("%s: %s", url, answer.Error)
	}
	Eval[bool](b, fmt.Sprintf(`new Promise((done) => { const look = () => location.href === %q && document.readyState === "complete" ? done(true) : setTimeout(look, 5); look(); })`, url))
}

// Wait waits until a page is loaded that has an element.
func (b *Browser) Wait(selector string) {
	b.tb.Helper()
	b.Becomes(fmt.Sprintf(`document.querySelector(%q)`, selector))
}

// Shoot writes a picture of the whole page.
func (b *Browser) Shoot(file, scheme string, width int) {
	b.tb.Helper()
	b.Call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	var shot struct {
		Data string `json:"data"`
	}
	b.Call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.tb.Fatal(err)
	}
	if err := os.WriteFile(file, png, 0o600); err != nil {
		b.tb.Fatal(err)
	}
}
