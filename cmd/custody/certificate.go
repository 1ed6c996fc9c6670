package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// certificate is a server's certificate, read again when its files have changed.
type certificate struct {
	cert, key string

	mu     sync.Mutex
	loaded *tls.Certificate
	since  [2]time.Time // when the files were changed last
}

func newCertificate(cert, key string) (*certificate, error) {
	c := &certificate{cert: cert, key: key}
	_, err := c.get(nil)
	return c, err
}

// get implements tls.Config.GetCertificate. Where the new files cannot be used, the old
// certificate stays.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var changed [2]time.Time
	for i, name := range []string{c.cert, c.key} {
		info, err := os.Stat(name)
		if err != nil {
			return c.kept(err)
		}
		changed[i] = info.ModTime()
	}
	if c.loaded != nil && changed == c.since {
		return c.loaded, nil
	}
	loaded, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return c.kept(fmt.Errorf("%s, %s: %w", c.cert, c.key, err))
	}
	c.loaded, c.since = &loaded, changed
	return c.loaded, nil
}

func (c *certificate) kept(err error) (*tls.Certificate, error) {
	if c.loaded != nil {
		return c.loaded, nil
	}
	return nil, err
}
