// Command testcount makes the output of go test -json readable, and counts.
//
//	go test -json ./... | go run ./internal/testcount
//
// It prints what plain go test prints: a line for each package, and all that a
// failed test wrote. Its last line is the number of tests that passed, failed
// and were skipped, subtests and examples included, as go test -v lists them. A
// package that fails without a failed test, because it does not build or exits
// early, counts as one that failed.
//
// It exits 1 if anything failed or no test ran; with -noskip also if one was
// skipped.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	noSkip := flag.Bool("noskip", false, "fail if a test was skipped")
	flag.Parse()
	c, err := read(os.Stdin, os.Stdout)
	if err == nil {
		err = c.verdict(*noSkip)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testcount:", err)
	}
	fmt.Println(c)
	if err != nil {
		os.Exit(1)
	}
}

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// counter keeps the score of one run.
type counter struct {
	passed   int
	failed   []string
	skipped  []string
	packages map[string]*pkg
}

// pkg is a package whose tests run.
type pkg struct {
	running map[string]*strings.Builder // what each test wrote that has not ended
	failed  bool                        // one of its tests did
}

func (c *counter) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, len(c.failed), len(c.skipped))
}

// verdict is nil if the run counts as passed.
func (c *counter) verdict(noSkip bool) error {
	switch {
	case len(c.failed) > 0:
		return fmt.Errorf("failed: %s", strings.Join(c.failed, ", "))
	case noSkip && len(c.skipped) > 0:
		return fmt.Errorf("skipped, and none may be: %s", strings.Join(c.skipped, ", "))
	case c.passed == 0:
		return errors.New("no test ran")
	}
	return nil
}

// read counts what comes from in, and writes to out what a person wants to see.
// Lines that are not from go test itself are passed on as they are.
func read(in io.Reader, out io.Writer) (*counter, error) {
	c := &counter{packages: map[string]*pkg{}}
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) == nil && e.Action != "" {
			c.take(&e, out)
		} else {
			out.Write(line)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return c, fmt.Errorf("reading the output of go test: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.packages)) {
		c.endPackage(name, out) // the output ends before the package does
	}
	return c, nil
}

func (c *counter) take(e *event, out io.Writer) {
	if e.Action == "build-output" {
		io.WriteString(out, e.Output)
		return
	}
	if e.Package == "" {
		return // build-fail, of which the package that needs it tells as well
	}
	p := c.packages[e.Package]
	if p == nil {
		p = &pkg{running: map[string]*strings.Builder{}}
		c.packages[e.Package] = p
	}
	if e.Test == "" {
		switch e.Action {
		case "output":
			if e.Output != "PASS\n" && e.Output != "FAIL\n" {
				io.WriteString(out, e.Output)
			}
		case "pass", "skip":
			delete(c.packages, e.Package)
		case "fail":
			c.endPackage(e.Package, out)
		}
		return
	}
	switch e.Action {
	case "run":
		p.running[e.Test] = &strings.Builder{}
	case "output":
		if b := p.running[e.Test]; b != nil {
			b.WriteString(e.Output)
		}
	case "pass":
		c.passed++
		delete(p.running, e.Test)
	case "skip":
		c.skipped = append(c.skipped, e.Package+"."+e.Test)
		delete(p.running, e.Test)
	case "fail":
		c.fail(e.Package, e.Test, out)
	}
}

// fail counts a test that failed, and prints what it wrote.
func (c *counter) fail(name, test string, out io.Writer) {
	p := c.packages[name]
	p.failed = true
	c.failed = append(c.failed, name+"."+test)
	if b := p.running[test]; b != nil {
		io.WriteString(out, b.String())
	}
	delete(p.running, test)
}

// endPackage ends a package that failed or was cut off. What of its tests still
// runs has failed as well: it crashed, exited or was killed.
func (c *counter) endPackage(name string, out io.Writer) {
	p := c.packages[name]
	for _, test := range slices.Sorted(maps.Keys(p.running)) {
		c.fail(name, test, out)
	}
	if !p.failed {
		c.failed = append(c.failed, name)
	}
	delete(c.packages, name)
}
