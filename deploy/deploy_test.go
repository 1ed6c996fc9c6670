// Package deploy_test holds the examples of how to run the server to what the server
// reads.
package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/custodylog/custody/internal/config"
)

func TestConfigurations(t *testing.T) {
	for name, want := range map[string]string{"systemd/custody.yaml": "/var/lib/custody", "container/custody.yaml": "/data"} {
		c, _, err := config.Load(name, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.Data != want {
			t.Errorf("%s: data is %q", name, c.Data)
		}
	}
}

func TestKubernetes(t *testing.T) {
	manifest, err := os.ReadFile("kubernetes/custody.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, document := range strings.Split(string(manifest), "\n---\n") {
		var object struct {
			Kind string            `yaml:"kind"`
			Data map[string]string `yaml:"data"`
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		kinds[object.Kind] = true
		for name, content := range object.Data {
			file := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, _, err := config.Load(file, nil, nil); err != nil {
				t.Error(err)
			}
		}
	}
	for _, kind := range []string{"ConfigMap", "Service", "StatefulSet"} {
		if !kinds[kind] {
			t.Errorf("there is no %s", kind)
		}
	}
}

// TestCommandLine holds the three ways to start the server to one command line, which
// the program knows.
func TestCommandLine(t *testing.T) {
	program := filepath.Join(t.TempDir(), "custody")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/custody").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "custody.yaml")
	if err := os.WriteFile(file, []byte("nothing: known\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for from, line := range map[string]string{
		"systemd/custody.service": "ExecStart=/usr/local/bin/custody serve --config /etc/custody/custody.yaml",
		"container/Containerfile": `CMD ["serve", "--config", "/etc/custody/custody.yaml"]`,
		"kubernetes/custody.yaml": "args: [serve, --config, /etc/custody/custody.yaml]",
	} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(content), "\n"+line) && !strings.Contains(string(content), " "+line) {
			t.Errorf("%s does not start the server by %s", from, line)
		}
	}
	out, err := exec.Command(program, "serve", "--config", file).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "nothing") {
		t.Errorf("the server took a configuration with an unknown setting: %v\n%s", err, out)
	}
}
