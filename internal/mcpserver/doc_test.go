package mcpserver

import (
	"os"
	"strings"
	"testing"
)

// The page that describes the server has all tools, resources and bounds.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/mcp-server.md")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	var wants []string
	for tool, err := range r.mcp.Tools(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		wants = append(wants, "| `"+tool.Name+"` |")
	}
	for res, err := range r.mcp.Resources(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		wants = append(wants, "| `"+res.URI+"` |")
	}
	for tmpl, err := range r.mcp.ResourceTemplates(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		wants = append(wants, "| `"+tmpl.URITemplate+"` |")
	}
	if len(wants) != 12 {
		t.Errorf("there are %d tools and resources", len(wants))
	}
	for _, want := range append(wants, "32 KiB", "first 20,000", untrusted) {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not have %s", want)
		}
	}
}
