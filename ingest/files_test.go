package ingest_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody/ingest"
)

func TestFiles(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"p/s1.jsonl", "p/s1/subagents/agent-b.jsonl", "p/s1/subagents/agent-a.jsonl.gz", "p/s1/tool-results/x.txt", "p/s0.jsonl.zst", "a/z.jsonl", "p/jsonl"} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"p/s2.jsonl": "s1.jsonl", "p/loop": "..", "p/gone.jsonl": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	list := func(root string, match func(string) bool) (string, error) {
		t.Helper()
		paths, err := ingest.Files(root, match)
		for i := range paths {
			rel, err := filepath.Rel(root, paths[i])
			if err != nil {
				t.Fatal(err)
			}
			paths[i] = filepath.ToSlash(rel)
		}
		return strings.Join(paths, " "), err
	}
	got, err := list(root, ingest.Extension(".jsonl"))
	if want := "a/z.jsonl p/s0.jsonl.zst p/s1.jsonl p/s2.jsonl p/s1/subagents/agent-a.jsonl.gz p/s1/subagents/agent-b.jsonl"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "gone.jsonl") {
		t.Errorf("error %v", err)
	}
	if err := os.Remove(filepath.Join(root, "p/gone.jsonl")); err != nil {
		t.Fatal(err)
	}
	if got, err := list(filepath.Join(root, "p", "s1"), nil); err != nil || got != "subagents/agent-a.jsonl.gz subagents/agent-b.jsonl tool-results/x.txt" {
		t.Errorf("%s, %v", got, err)
	}
	link := filepath.Join(root, "link")
	if err := os.Symlink("a", link); err != nil {
		t.Fatal(err)
	}
	if got, err := list(link, nil); err != nil || got != "z.jsonl" {
		t.Errorf("root that is a link: %s, %v", got, err)
	}
	if got, err := list(filepath.Join(root, "a", "z.jsonl"), nil); err != nil || got != "." {
		t.Errorf("root that is a file: %s, %v", got, err)
	}
	if got, err := list(filepath.Join(root, "a", "z.jsonl"), ingest.Extension(".json")); err != nil || got != "" {
		t.Errorf("root that does not match: %s, %v", got, err)
	}
	if _, err := list(filepath.Join(root, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no root: %v", err)
	}
}
