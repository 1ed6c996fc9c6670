package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody/evidence"
)

// requestTimeout bounds a request to a witness, an authority or a log.
const requestTimeout = 20 * time.Second

// trustFlags say which log is believed, and which witnesses.
type trustFlags struct{ policy, key string }

func (f *trustFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.policy, "policy", "", "`FILE` with the trust policy (C2SP tlog-policy): keys of the log, witnesses, quorum")
	cmd.Flags().StringVar(&f.key, "key", "", "`VKEY`, the verifier key of the log, instead of a policy: no witness is asked for")
	cmd.MarkFlagsMutuallyExclusive("policy", "key")
	cmd.MarkFlagFilename("policy")
}

// read returns the policy, and its text.
func (f *trustFlags) read() (*evidence.Policy, error) {
	switch {
	case f.policy != "":
		return readPolicy(f.policy)
	case f.key != "":
		p, err := evidence.ParsePolicy(fmt.Appendf(nil, "log %s\nquorum none\n", f.key))
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		return p, nil
	}
	return nil, withHint(errors.New("say whom to believe: --policy FILE or --key VKEY"), "the verifier key has to come from the trail's operator by another way than what is checked")
}

func readPolicy(name string) (*evidence.Policy, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	p, err := evidence.ParsePolicy(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

func readRoots(name string) (*x509.CertPool, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s: it holds no certificate in PEM", name)
	}
	return roots, nil
}

// publishedCheckpoint returns the checkpoint of a published log, or of a file.
func (p *program) publishedCheckpoint(ctx context.Context, where string) ([]byte, error) {
	if !isURL(where) {
		return p.readCheckpoint(where)
	}
	url := strings.TrimSuffix(strings.TrimSuffix(where, "/checkpoint"), "/") + "/checkpoint"
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	c, err := p.httpClient(where)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, evidence.MaxCheckpointSize+1))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answered %s", resp.Status)
	}
	if err == nil {
		_, err = evidence.PeekCheckpoint(b)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return b, nil
}
