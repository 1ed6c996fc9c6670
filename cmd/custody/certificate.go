package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/custodylog/custody/internal/config"
	"github.com/custodylog/custody/internal/vfs"
)

// tlsConfig returns how the server speaks TLS. Its certificate, and whose certificates
// it takes from clients, are read again when the files have changed.
func (s *service) tlsConfig() (*tls.Config, error) {
	t := &s.cfg.TLS
	report := func(err error) {
		s.log.Error("custody: the new files cannot be used, so the old ones stay", "err", err)
	}
	own, err := newFresh(report, func() (tls.Certificate, error) { return readKeyPair(t) }, t.Certificate, t.Key)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			now := own.get()
			return &now, nil
		}}
	if t.ClientCA == "" {
		return c, nil
	}
	authorities, err := newFresh(report, func() (*x509.CertPool, error) { return readAuthorities(t.ClientCA) }, t.ClientCA)
	if err != nil {
		return nil, err
	}
	// Who has no certificate may have something else to show. A session that was
	// resumed would have been verified with the authorities of its beginning.
	c.ClientAuth, c.SessionTicketsDisabled = tls.VerifyClientCertIfGiven, true
	base := c.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := base.Clone()
		now.ClientCAs = authorities.get()
		return now, nil
	}
	return c, nil
}

// readKeyPair reads the server's certificate and its key.
func readKeyPair(t *config.TLS) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return pair, fmt.Errorf("%s, with the certificate in %s: %w", t.Key, t.Certificate, err)
	}
	return pair, nil
}

// maxAuthorities bounds the file of those who certify clients, in bytes.
const maxAuthorities = 1 << 20

func readAuthorities(name string) (*x509.CertPool, error) {
	content, err := vfs.ReadFile(vfs.OS{}, name, maxAuthorities)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, errors.New(name + " has no certificate in PEM")
	}
	return pool, nil
}
