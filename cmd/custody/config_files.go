package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/config"
	"github.com/custodylog/custody/internal/vfs"
)

// checkFiles reads every file that a configuration names, as the server does, and returns
// what is wrong with each.
func checkFiles(cfg *config.Config) error {
	var wrong []error
	check := func(path string, err error) {
		if err != nil {
			wrong = append(wrong, cfg.Wrong(path, err))
		}
	}
	_, err := auth.OpenTokens(vfs.OS{}, filepath.Join(cfg.Data, auth.TokensFile))
	check("data", err)
	if cfg.TLS.On() {
		check(checkKeyPair(&cfg.TLS))
	}
	for _, file := range []struct {
		path, name string
		read       func(name string) error
	}{
		{"tls.client_ca", cfg.TLS.ClientCA, reading(readAuthorities)},
		{"redaction", cfg.Redaction, reading(readRedactor)},
		{"retention.policy", cfg.Retention.Policy, reading(readRetention)},
		{"witnesses.policy", cfg.Witnesses.Policy, reading(readPolicy)},
		{"oidc.client_secret_file", cfg.OIDC.ClientSecretFile, reading(readClientSecret)},
	} {
		if file.name != "" {
			check(file.path, file.read(file.name))
		}
	}
	for i := range cfg.Alerts.Webhooks {
		w := &cfg.Alerts.Webhooks[i]
		path := fmt.Sprintf("alerts.webhooks[%d].", i)
		if w.SecretFile != "" {
			path += "secret_file"
		} else {
			path += "secret_env"
		}
		_, err := secretOf(w)
		check(path, err)
	}
	return errors.Join(wrong...)
}

// reading makes of a function that reads a file one that says only whether it can be
// read.
func reading[T any](read func(name string) (T, error)) func(name string) error {
	return func(name string) error {
		_, err := read(name)
		return err
	}
}

// checkKeyPair returns what is wrong with the server's certificate and key, and with
// which of them.
func checkKeyPair(t *config.TLS) (path string, err error) {
	if _, err := readAuthorities(t.Certificate); err != nil {
		return "tls.certificate", err
	}
	if _, err := os.Stat(t.Key); err != nil {
		return "tls.key", err
	}
	_, err = readKeyPair(t)
	return "tls.key", err
}
