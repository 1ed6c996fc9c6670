// Command redactionreport measures package redaction: how many labelled secrets
// it takes out, how often it takes out what is none, and what that costs.
//
//	go run ./internal/redactionreport [-data dir] [-list] [-write]
//
// It feeds everything through [redaction.Default], as the details of events.
//
// Recall is measured on three corpora of labelled secrets in
// redaction/testdata/corpora. Which of their rules are claimed, and what the
// secret is in their texts, is in claims.go.
//
// False positives are measured on what real agents and systems wrote: on the
// test data of this repository, or on all of the directory given by -data. Each
// finding there was looked at by a person once; reviewed.txt says what it is, by
// digest. A finding that nobody has looked at counts as false.
//
// With -list it prints the findings that are not reviewed. With -write it writes
// the tables into docs/redaction.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/custodylog/custody/redaction"
	"github.com/custodylog/custody/redaction/detector"
)

const (
	corpora = "redaction/testdata/corpora"
	page    = "docs/redaction.md"
)

func main() {
	data := flag.String("data", "", "measure false positives on this `directory`, not on the data of the repository")
	list := flag.Bool("list", false, "print each finding that is not in reviewed.txt, with what stands around it")
	write := flag.Bool("write", false, "write the tables into "+page)
	flag.Parse()
	if err := run(*data, *list, *write); err != nil {
		fmt.Fprintln(os.Stderr, "redactionreport:", err)
		os.Exit(1)
	}
}

func run(data string, list, write bool) error {
	r := redaction.Default()
	labelled, err := measureCorpora(r, corpora)
	if err != nil {
		return err
	}
	dirs := []string{"ingest/testdata"}
	if data != "" {
		dirs = []string{data}
	}
	found, err := measureCalls(r, dirs)
	if err != nil {
		return err
	}
	if list {
		for _, f := range found.unreviewed() {
			fmt.Printf("%s ?  # %s, %s: %s\n", f.digest, f.rule, f.source, f.context)
		}
		for _, m := range labelled.missed {
			fmt.Printf("missed  # %s: %s\n", m.rule, m.context)
		}
		for _, m := range labelled.wrong {
			fmt.Printf("%s ?  # %s in %s: %s\n", m.digest, m.rule, m.source, m.context)
		}
	}
	report := labelled.summary() + found.summary() + "\n" + measureCost(r, found.values).table() +
		"\n<details><summary>By rule</summary>\n\n" + found.table() + "\n" + labelled.table() + "\n</details>\n"
	fmt.Print(report)
	if !write {
		return nil
	}
	if data == "" {
		report = "Measured on the data in this repository alone.\n\n" + report
	}
	return errors.Join(
		replaceBetween(page, "report", report),
		replaceBetween(page, "detectors", detectorTable()),
	)
}

// replaceBetween writes text between the two comments of that name in a file.
func replaceBetween(path, name, text string) error {
	b, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		return fmt.Errorf("%w (run it in the root of the repository)", err)
	}
	before, _, after, err := cutMarkers(string(b), name)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(filepath.FromSlash(path), []byte(before+"\n"+text+after), 0o644)
}

// cutMarkers cuts a page at the comments <!-- name:begin --> and
// <!-- name:end -->, which stay with the parts around.
func cutMarkers(s, name string) (before, between, after string, err error) {
	begin, end := "<!-- "+name+":begin -->", "<!-- "+name+":end -->"
	i := strings.Index(s, begin)
	j := strings.Index(s, end)
	if i < 0 || j < i || strings.Count(s, begin) > 1 || strings.Count(s, end) > 1 {
		return "", "", "", fmt.Errorf("not one line %s and one %s after it; have both once, where the table belongs", begin, end)
	}
	i += len(begin)
	return s[:i], s[i:j], s[j:], nil
}

// detectorTable lists the detectors.
func detectorTable() string {
	var b strings.Builder
	b.WriteString("| detector | finds |\n|---|---|\n")
	for _, d := range detector.Builtin() {
		doc := d.Doc
		if d.Off {
			doc += " (off unless enabled)"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", d.Name, doc)
	}
	return b.String()
}
