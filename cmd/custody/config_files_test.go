package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/config"
)

// What is wrong with a file that the configuration names is told of with the line that
// names it, and all of it at once.
func TestConfigCheckReadsFiles(t *testing.T) {
	dir := t.TempDir()
	name := func(base string) string { return filepath.Join(dir, base) }
	newCertificateFiles(t, name("cert.pem"), name("key.pem"))
	newCertificateFiles(t, name("other-cert.pem"), name("other-key.pem"))
	const secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for base, content := range map[string]string{
		"retention.yaml": "version: 1\npayloads: 30d\n", "witnesses.txt": "quorum none\n", "redaction.yaml": "version: 1\n",
		"client-secret": "x\n", "webhook": secret, "broken": "no: such: thing", "empty": "",
	} {
		writeFile(t, name(base), content)
	}
	if err := os.MkdirAll(name("tokens-broken"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, name("tokens-broken/tokens.json"), "{")
	t.Setenv("WEBHOOK_SECRET", secret)
	const good = `version: 1
data: DIR/none
tls:
  certificate: DIR/cert.pem
  key: DIR/key.pem
  client_ca: DIR/cert.pem
  rules: [{match: "dns:*.example.com", roles: [reader]}]
redaction: DIR/redaction.yaml
retention:
  policy: DIR/retention.yaml
witnesses:
  policy: DIR/witnesses.txt
external_url: https://custody.example.com
oidc:
  issuer: https://id.example.com
  client_id: custody
  client_secret_file: DIR/client-secret
  rules: [{match: "group:ops", roles: [operator]}]
alerts:
  webhooks:
    - {name: a, url: "https://a.example.com/", secret_env: WEBHOOK_SECRET}
    - name: b
      url: https://b.example.com/
      secret_file: DIR/webhook
`
	for _, tt := range []struct {
		replaced, by string
		want         []string // what the lines of the error begin with, and have in them
	}{
		{"", "", nil},
		{"DIR/cert.pem\n  key", "DIR/nope\n  key", []string{"FILE:4: tls.certificate: |DIR/nope: no such file"}},
		{"DIR/cert.pem\n  key", "DIR/empty\n  key", []string{"FILE:4: tls.certificate: |DIR/empty has no certificate in PEM"}},
		{"DIR/key.pem", "DIR/nope", []string{"FILE:5: tls.key: |DIR/nope: no such file"}},
		{"DIR/key.pem", "DIR/broken", []string{"FILE:5: tls.key: |DIR/broken"}},
		{"DIR/key.pem", "DIR/other-key.pem", []string{"FILE:5: tls.key: |private key does not match"}},
		{"client_ca: DIR/cert.pem", "client_ca: DIR/key.pem", []string{"FILE:6: tls.client_ca: |DIR/key.pem has no certificate"}},
		{"DIR/redaction.yaml", "DIR/broken", []string{"FILE:8: redaction: |DIR/broken"}},
		{"DIR/retention.yaml", "DIR/nope", []string{"FILE:10: retention.policy: |DIR/nope: no such file"}},
		{"DIR/retention.yaml", "DIR/empty", []string{"FILE:10: retention.policy: |DIR/empty"}},
		{"DIR/witnesses.txt", "DIR/nope", []string{"FILE:12: witnesses.policy: |DIR/nope: no such file"}},
		{"DIR/witnesses.txt", "DIR/broken", []string{"FILE:12: witnesses.policy: |DIR/broken"}},
		{"DIR/client-secret", "DIR/empty", []string{"FILE:17: oidc.client_secret_file: |DIR/empty is empty"}},
		{"WEBHOOK_SECRET", "NO_SUCH_SECRET", []string{"FILE:21: alerts.webhooks[0].secret_env: |NO_SUCH_SECRET"}},
		{"DIR/webhook", "DIR/broken", []string{"FILE:24: alerts.webhooks[1].secret_file: |DIR/broken"}},
		{"DIR/none", "DIR/tokens-broken", []string{"FILE:2: data: |tokens.json"}},
		{"retention:\n  policy: DIR/retention.yaml\nwitnesses:\n  policy: DIR/witnesses.txt", "retention:\n  policy: DIR/nope\nwitnesses:\n  policy: DIR/nope",
			[]string{"FILE:10: retention.policy: |DIR/nope", "FILE:12: witnesses.policy: |DIR/nope"}},
	} {
		if !strings.Contains(good, tt.replaced) {
			t.Fatalf("there is no %q", tt.replaced)
		}
		file := name("custody.yaml")
		writeFile(t, file, strings.ReplaceAll(strings.Replace(good, tt.replaced, tt.by, 1), "DIR", dir))
		cfg, _, err := config.Load(file, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		if err := checkFiles(cfg); err != nil {
			said = strings.Split(strings.NewReplacer(file, "FILE", dir, "DIR").Replace(err.Error()), "\n")
		}
		for i, want := range tt.want {
			begin, in, _ := strings.Cut(want, "|")
			if i >= len(said) || !strings.HasPrefix(said[i], begin) || !strings.Contains(said[i], in) {
				t.Errorf("%s: it says\n%s\nwant\n%s", tt.by, strings.Join(said, "\n"), want)
			}
		}
		if len(tt.want) == 0 && said != nil || len(said) > len(tt.want) && len(tt.want) > 1 {
			t.Errorf("%q: it says\n%s", tt.by, strings.Join(said, "\n"))
		}
	}
	if _, err := os.Stat(name("none")); !os.IsNotExist(err) {
		t.Errorf("the directory of the data was made: %v", err)
	}
}
