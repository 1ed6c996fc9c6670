package custody_test

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var updateReadme = flag.Bool("update-readme", false, "write the example of the README anew")

// TestReadmeExample holds the example of the README to the code of ExampleTrail,
// which is compiled and run.
func TestReadmeExample(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, ok := strings.Cut(string(source), "func ExampleTrail() {\n")
	body, _, ended := strings.Cut(body, "\n\t// Output:")
	if !ok || !ended {
		t.Fatal("example_test.go has no ExampleTrail with an output")
	}
	_, body, ok = strings.Cut(body, "keys := ")
	if _, body, ended = strings.Cut(body, "\n\n"); !ok || !ended {
		t.Fatal("ExampleTrail does not begin with its directories")
	}
	want := strings.ReplaceAll("\n"+strings.TrimSpace(body), "\n\t", "\n") + "\n"

	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(readme), "```go")
	have, after, ended := strings.Cut(rest, "```")
	if !ok || !ended {
		t.Fatal("README.md has no block of Go")
	}
	if have == want {
		return
	}
	if !*updateReadme {
		t.Fatalf("the example in README.md is not that of ExampleTrail; run go test -run TestReadmeExample -update-readme .\n%s", have)
	}
	if err := os.WriteFile("README.md", []byte(before+"```go"+want+"```"+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
