// Command gen writes docs/events.md and docs/event.schema.json from the
// registry of package event. With -check it writes nothing, and exits 1 if
// either file is not what it would write.
//
// It finds the repository from the working directory upwards, so that it runs
// from the root (go run ./internal/gen) and from go generate alike.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "report stale files instead of writing them")
	flag.Parse()
	dir, err := root(".")
	if err == nil {
		err = run(dir, *check, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// root returns the directory of go.mod, dir or one above it.
func root(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || parent == dir {
			return "", fmt.Errorf("looking for go.mod: %w; run it inside the repository", err)
		}
		dir = parent
	}
}

// run brings the generated files below dir up to date, or checks that they are.
func run(dir string, check bool, out io.Writer) error {
	schema, err := schemaJSON()
	if err != nil {
		return err
	}
	var stale []string
	for _, f := range []struct {
		name string
		want []byte
	}{
		{"docs/events.md", eventsMarkdown()},
		{"docs/event.schema.json", schema},
	} {
		path := filepath.Join(dir, filepath.FromSlash(f.name))
		have, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && bytes.Equal(have, f.want) {
			continue
		}
		if check {
			stale = append(stale, f.name)
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.want, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(out, "wrote", f.name)
	}
	if len(stale) > 0 {
		return fmt.Errorf("%q: not what event/registry.go says; run go generate ./event", stale)
	}
	return nil
}
