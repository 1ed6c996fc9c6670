package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/custodylog/custody"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"custody": main, "mcp-notes": noteServer})
}

// TestScript runs the scripts of testdata, which read like a manual. Each has a
// directory of its own for trails, and one for keys in CUSTODY_KEYS.
func TestScript(t *testing.T) {
	ingestData, err := filepath.Abs("../../ingest/testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("CUSTODY_KEYS", filepath.Join(e.WorkDir, ".keys"))
			e.Setenv("CUSTODY_TRAIL", "")
			e.Setenv("INGEST", ingestData)
			// With the race detector a process otherwise waits a second
			// before it ends.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"replace": cmdReplace,
			"hold":    cmdHold,
			"shape":   cmdShape,
			"field":   cmdField,
		},
	})
}

// cmdReplace is "replace BEFORE AFTER FILE": it replaces a text that is there
// exactly once by one of the same length.
func cmdReplace(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 || len(args[0]) != len(args[1]) {
		ts.Fatalf("usage: replace BEFORE AFTER FILE, with texts of the same length")
	}
	name := ts.MkAbs(args[2])
	b, err := os.ReadFile(name)
	ts.Check(err)
	if n := bytes.Count(b, []byte(args[0])); n != 1 {
		ts.Fatalf("%q is %d times in %s", args[0], n, args[2])
	}
	ts.Check(os.WriteFile(name, bytes.Replace(b, []byte(args[0]), []byte(args[1]), 1), 0o600))
}

// cmdHold is "hold DIR": it keeps a trail open for writing until the script ends.
func cmdHold(ts *testscript.TestScript, _ bool, args []string) {
	t, err := custody.Open(ts.MkAbs(args[0]), &custody.Options{KeyDir: ts.Getenv("CUSTODY_KEYS"), DiskWarning: -1})
	ts.Check(err)
	ts.Setenv("HOLDER", fmt.Sprint(os.Getpid()))
	ts.Defer(func() { ts.Check(t.Close()) })
}

// cmdShape is "shape WANT": it compares the shape of the JSON on standard output,
// one line for each value, with a file.
func cmdShape(ts *testscript.TestScript, _ bool, args []string) {
	var got strings.Builder
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			ts.Fatalf("not JSON: %v: %s", err, line)
		}
		got.WriteString(shapeOf(v) + "\n")
	}
	if want := ts.ReadFile(args[0]); got.String() != want {
		ts.Fatalf("the shape is\n%swant\n%s", got.String(), want)
	}
}

// shapeOf writes a JSON value with its names and the kinds of its values.
func shapeOf(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var members []string
		for name, m := range v {
			members = append(members, name+":"+shapeOf(m))
		}
		slices.Sort(members)
		return "{" + strings.Join(members, " ") + "}"
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		return "[" + shapeOf(v[0]) + "]"
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "bool"
	}
	return "null"
}

// cmdField is "field NAME PATH": it puts a member of the JSON on standard output
// into a variable. PATH is members and indices separated by dots.
func cmdField(ts *testscript.TestScript, _ bool, args []string) {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for name := range strings.SplitSeq(args[1], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			i := 0
			_, err := fmt.Sscan(name, &i)
			ts.Check(err)
			v = x[i]
		}
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}
