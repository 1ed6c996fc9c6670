// Package deps holds which package may import which.
package deps

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/custodylog/custody"

// rule forbids imports. Packages of this module are written as the go command
// takes them at the root: "." is the root package, "./event" a package, and
// "./ingest/..." stands for ./ingest and all that is below it. Other packages
// stand under their import path.
type rule struct {
	from   []string // who
	not    []string // but for these, and packages for tests only (storetest)
	forbid []string // must not import these
	except []string // but for these
	deep   bool     // nor import a package of this module that does
	why    string
}

// DO NOT CHANGE THESE RULES TO FIX A BUILD. They are decisions of the design:
// whoever needs another direction changes the design first, and says why.
//
// A rule may name a package that does not exist yet.
var rules = []rule{
	{
		from: []string{"./internal/storage/...", "./internal/filestore/...", "./internal/segment/...", "./internal/index/...",
			"./internal/vfs/...", "./postgres/..."},
		forbid: []string{"./event/..."},
		deep:   true,
		why:    "a store sees bytes and keys, never events: what is stored must not depend on what it means",
	},
	{
		from:   []string{"./evidence/..."},
		forbid: []string{"./..."},
		except: []string{"./evidence/..."},
		why:    "an auditor imports evidence without the rest of the product",
	},
	{
		from:   []string{"./event/..."},
		forbid: []string{"./..."},
		except: []string{"./event/..."},
		why:    "everything may import event, so event imports nothing",
	},
	{
		from:   []string{"./client/...", "./ingest/...", "./sink/...", "./redaction/..."},
		forbid: []string{"./internal/..."},
		why:    "what others import, and write more of, has to do with what is public",
	},
	{
		from:   []string{"./..."},
		not:    []string{"./cmd/..."},
		forbid: []string{"./cmd/..."},
		why:    "a command uses the library, never the other way round",
	},
	{
		from:   []string{"./..."},
		forbid: []string{"testing", "testing/..."},
		why:    "test code does not belong into the product",
	},
}

// graph has the imports of every package of the module, without those of its
// tests.
type graph map[string][]string

func TestImportDirection(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	g, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	matched := 0
	for _, r := range rules {
		n, problems := r.check(g)
		for _, p := range problems {
			t.Error(p)
		}
		if !slices.Contains(r.from, "./...") {
			matched += n
		}
	}
	if matched == 0 {
		t.Errorf("of the %d packages below %s none is named by a rule: the rules hold nothing", len(g), root)
	}
}

// check returns how many packages the rule holds for, and what is against it.
func (r *rule) check(g graph) (matched int, problems []string) {
	for _, pkg := range slices.Sorted(maps.Keys(g)) {
		if !matchAny(r.from, pkg) || matchAny(r.not, pkg) || strings.HasSuffix(pkg, "test") {
			continue
		}
		matched++
		seen := map[string]bool{pkg: true}
		chains := [][]string{{pkg}}
		for len(chains) > 0 {
			chain := chains[0]
			chains = chains[1:]
			for _, imported := range g[chain[len(chain)-1]] {
				next := append(slices.Clip(chain), imported)
				if matchAny(r.forbid, imported) && !matchAny(r.except, imported) {
					problems = append(problems, fmt.Sprintf("%s: %s", strings.Join(next, " imports "), r.why))
				} else if r.deep && !seen[imported] {
					seen[imported] = true
					chains = append(chains, next)
				}
			}
		}
	}
	return matched, problems
}

func matchAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		above, all := strings.CutSuffix(pattern, "/...")
		return pkg == above || all && strings.HasPrefix(pkg, above+"/")
	})
}

// load reads the imports of all files below root but tests, for every operating
// system and build tag. Nested modules are left out.
func load(root string) (graph, error) {
	g := graph{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && file != root {
			_, err := os.Stat(filepath.Join(file, "go.mod"))
			if err == nil || name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
				return fs.SkipDir
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		pkg := local(path.Join(module, filepath.ToSlash(dir)))
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			g[pkg] = append(g[pkg], local(imported))
		}
		slices.Sort(g[pkg])
		g[pkg] = slices.Compact(g[pkg])
		return nil
	})
	return g, err
}

// local writes an import path as the rules do.
func local(pkg string) string {
	if rest, ok := strings.CutPrefix(pkg, module); ok && (rest == "" || rest[0] == '/') {
		return "." + rest
	}
	return pkg
}

func TestRulesFindWhatIsAgainstThem(t *testing.T) {
	for _, tt := range []struct {
		name string
		g    graph
		want []string // how the problems begin
	}{
		{"fine", graph{
			".":                    {"./event", "./internal/filestore", "./redaction"},
			"./cmd/custody":        {".", "./internal/server"},
			"./event":              {"time"},
			"./internal/filestore": {"./evidence", "./internal/storage"},
			"./internal/sequencer": {"./event", "./internal/storage"},
			"./sink/file":          {".", "./event"},
			"./eventual":           {"./event"},
		}, nil},
		{"store", graph{"./internal/filestore": {"./event"}}, []string{"./internal/filestore imports ./event: "}},
		{"store by another", graph{
			"./internal/index":     {"./internal/sequencer", "./evidence"},
			"./internal/sequencer": {"./internal/plan"},
			"./internal/plan":      {"./event", "./internal/index"},
		}, []string{"./internal/index imports ./internal/sequencer imports ./internal/plan imports ./event: "}},
		{"evidence", graph{"./evidence": {"."}, "./evidence/note": {"./evidence", "./event"}},
			[]string{"./evidence imports .: ", "./evidence/note imports ./event: "}},
		{"event", graph{"./event": {"./evidence", "./event/x"}}, []string{"./event imports ./evidence: "}},
		{"ingest", graph{"./ingest/hooks": {"./internal/vfs"}}, []string{"./ingest/hooks imports ./internal/vfs: "}},
		{"redaction", graph{"./redaction": {"./internal"}}, []string{"./redaction imports ./internal: "}},
		{"library imports command", graph{".": {"./cmd/custody/flags"}}, []string{". imports ./cmd/custody/flags: "}},
		{"testing", graph{"./event": {"testing"}, "./cmd/custody": {"testing/fstest"}, "./internal/vfs/vfstest": {"testing"}, "./x": {"testingx"}},
			[]string{"./cmd/custody imports testing/fstest: ", "./event imports testing: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, r := range rules {
				_, problems := r.check(tt.g)
				got = append(got, problems...)
			}
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
