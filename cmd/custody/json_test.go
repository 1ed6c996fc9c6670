package main

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/wire"
)

// outputs are the types of all JSON output, under the heading that describes
// them in docs/cli-json.md.
var outputs = map[string]any{
	"init --json":             initJSON{},
	"record --json":           wire.Receipt{},
	"import --json":           importResult{},
	"query --json":            wire.Entry{},
	"query --count-by --json": wire.Count{},
	"show --json":             showJSON{},
	"timeline --json":         wire.Item{},
	"stats --json":            wire.Stats{},
	"verify --json":           wire.Report{},
	"reconcile --json":        reconcileJSON{},
	"key --json":              keyJSON{},
	"redact --explain --json": explanationJSON{},
	"hold --json":             wire.Hold{},
	"erase --json":            wire.Erasure{},
	"stop --json":             stopJSON{},
	"retention --json":        wire.Retention{},
	"token --json":            wire.Token{},
	"producer list --json":    producerJSON{},
	"producer check --json":   signaturesJSON{},
	"version --json":          versionJSON{},
	"config check --json":     settingJSON{},

	"export":                        exportJSON{},
	"export tiles --json":           exportedTilesJSON{},
	"cosign --json":                 wire.Cosigned{},
	"sample --json":                 sampledJSON{},
	"check --json":                  refusedJSON{},
	"check --json, a proof":         checkedProofJSON{},
	"check --json, two checkpoints": checkedConsistencyJSON{},
	"check --json, a bundle":        checkedBundleJSON{},
	"check --json, a log":           checkedLogJSON{},
}

// docs/cli-json.md describes every member of every output, and no other.
func TestJSONContract(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli-json.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string][]string{}
	heading := ""
	row := regexp.MustCompile("^\\| `([^`]+)` \\| ")
	for line := range strings.Lines(string(page)) {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			heading = strings.Trim(strings.TrimSpace(h), "`")
			heading = strings.TrimPrefix(heading, "custody ")
		}
		if m := row.FindStringSubmatch(line); m != nil {
			sections[heading] = append(sections[heading], m[1])
		}
	}
	for name, v := range outputs {
		want := members(reflect.TypeOf(v), "")
		got := sections[name]
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("custody %s: the page has\n%q\nthe program writes\n%q", name, got, want)
		}
		delete(sections, name)
	}
	delete(sections, "Events")
	for name := range sections {
		t.Errorf("the page describes %q, which no command writes", name)
	}
}

// members lists the members of an output: a, a.b, a[].b.
func members(t reflect.Type, prefix string) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		ft := f.Type
		if f.Anonymous {
			names = append(names, members(ft, prefix)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		path := prefix + name
		names = append(names, path)
		for ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice && ft.Elem().Kind() != reflect.Uint8 {
			if ft.Kind() == reflect.Slice {
				path += "[]"
			}
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct {
			names = append(names, members(ft, path+".")...)
		}
	}
	return names
}
