// Package tsatest runs a time-stamping authority for tests. The authority is
// OpenSSL: a judge of our queries and tokens that is not our code.
package tsatest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// Policy is the policy of every authority, an object identifier for
	// documentation (RFC 5612).
	Policy = "1.3.6.1.4.1.32473.1"

	// KeyID is the subject key identifier of the certificate of every authority.
	KeyID = "the key of the authority"
)

// Options say how an authority differs from a plain one, which is that of the zero
// value: it signs with ECDSA on P-256 and its certificate is issued by the root.
type Options struct {
	Algorithm   string                  // of its key, as openssl-genpkey(1) calls it
	Config      string                  // lines for its section in the configuration of openssl-ts(1)
	Certificate func(*x509.Certificate) // changes its certificate before that is signed

	// Intermediate changes the certificate that stands between the root and that
	// of the authority, and is in tokens. If it is nil there is none.
	Intermediate func(*x509.Certificate)
}

// ExtKeyUsage makes the extension of that name from the last numbers of the
// purposes, 1.3.6.1.5.5.7.3.n: 1 is serverAuth, 3 codeSigning, 8 timeStamping.
func ExtKeyUsage(critical bool, purposes ...int) pkix.Extension {
	var ids []asn1.ObjectIdentifier
	for _, n := range purposes {
		ids = append(ids, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, n})
	}
	value, err := asn1.Marshal(ids)
	if err != nil {
		panic(err) // of numbers below 0
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: critical, Value: value}
}

// Authority is a time-stamping authority, and the root that certifies it. Its files
// are in Dir: root.pem, tsa.pem (its certificate), tsa.key and tsa.cnf.
type Authority struct {
	Dir   string
	Root  *x509.Certificate
	Roots *x509.CertPool // Root alone

	t       testing.TB
	openssl string     // the program
	mu      sync.Mutex // one reply at a time: query and serial number are in files
}

// New makes an authority that is gone when the test ends.
func New(t testing.TB, o Options) *Authority {
	t.Helper()
	a := &Authority{Dir: t.TempDir(), Roots: x509.NewCertPool(), t: t, openssl: OpenSSL(t)}

	rootKey := generateKey(t)
	a.Root = a.issue("root.pem", caTemplate(1, "Example Root"), nil, rootKey.Public(), rootKey)
	a.Roots.AddCert(a.Root)
	issuer, issuerKey, config := a.Root, rootKey, o.Config
	if o.Intermediate != nil {
		template := caTemplate(2, "Example Intermediate")
		o.Intermediate(template)
		issuerKey = generateKey(t)
		issuer = a.issue("intermediate.pem", template, a.Root, issuerKey.Public(), rootKey)
		config += "\ncerts = intermediate.pem"
	}

	algorithm := []string{"EC", "-pkeyopt", "ec_paramgen_curve:P-256"}
	if o.Algorithm != "" {
		algorithm = []string{o.Algorithm}
	}
	a.Run(nil, append([]string{"genpkey", "-out", "tsa.key", "-algorithm"}, algorithm...)...)
	public, err := x509.ParsePKIXPublicKey(a.Run(nil, "pkey", "-in", "tsa.key", "-pubout", "-outform", "DER"))
	must(t, err)
	cert := template(3, "Example TSA")
	cert.KeyUsage, cert.SubjectKeyId = x509.KeyUsageDigitalSignature, []byte(KeyID)
	cert.ExtraExtensions = []pkix.Extension{ExtKeyUsage(true, 8)}
	if o.Certificate != nil {
		o.Certificate(cert)
	}
	a.issue("tsa.pem", cert, issuer, public, issuerKey)

	// Of two lines with one name the last counts.
	a.Write("tsa.cnf", []byte(`[tsa]
default_tsa = plain
[plain]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = `+Policy+`
digests = sha1, sha256, sha512
accuracy = secs:1, millisecs:500, microsecs:100
clock_precision_digits = 6
ordering = yes
tsa_name = yes
`+config+"\n"))
	return a
}

func template(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{Organization: []string{"Example"}, CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
}

func caTemplate(serial int64, name string) *x509.Certificate {
	c := template(serial, name)
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	return c
}

// issue signs a certificate, by itself if there is no issuer, and writes it into a
// file.
func (a *Authority) issue(name string, template, issuer *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	a.t.Helper()
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, key)
	must(a.t, err)
	a.Write(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	cert, err := x509.ParseCertificate(der)
	must(a.t, err)
	return cert
}

func generateKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// Reply answers a query (application/timestamp-query) with a response
// (application/timestamp-reply).
func (a *Authority) Reply(query []byte) []byte {
	a.t.Helper()
	response, err := a.reply(query)
	must(a.t, err)
	return response
}

func (a *Authority) reply(query []byte) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := os.WriteFile(filepath.Join(a.Dir, "query.tsq"), query, 0o600); err != nil {
		return nil, err
	}
	return a.run(nil, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query.tsq")
}

// ServeHTTP answers queries over HTTP (RFC 3161, section 3.4).
func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/timestamp-query" {
		http.Error(w, "expected POST of application/timestamp-query", http.StatusBadRequest)
		return
	}
	response, err := a.reply(query)
	if err != nil {
		a.t.Error(err)
		http.Error(w, "no response", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	w.Write(response)
}

// SignContent makes a token of a TSTInfo with openssl-cms(1), which signs what
// openssl-ts(1) refuses to, and a verifier has to refuse as well. A token needs the
// option -cades for its signing-certificate attribute.
func (a *Authority) SignContent(tstInfo []byte, options ...string) []byte {
	a.t.Helper()
	return a.Run(tstInfo, append([]string{"cms", "-sign", "-binary", "-nodetach", "-outform", "DER",
		"-econtent_type", "1.2.840.113549.1.9.16.1.4", "-signer", "tsa.pem", "-inkey", "tsa.key"}, options...)...)
}

// Write writes a file into Dir.
func (a *Authority) Write(name string, b []byte) {
	a.t.Helper()
	must(a.t, os.WriteFile(filepath.Join(a.Dir, name), b, 0o600))
}

// Run runs openssl with its arguments in Dir, and stdin as its input, and returns
// what it prints.
func (a *Authority) Run(stdin []byte, args ...string) []byte {
	a.t.Helper()
	out, err := a.run(stdin, args...)
	must(a.t, err)
	return out
}

func (a *Authority) run(stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.Command(a.openssl, args...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stderr = a.Dir, bytes.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("openssl %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out, nil
}

// OpenSSL returns the path of the program. Where it is missing and can be installed,
// it is.
func OpenSSL(t testing.TB) string {
	t.Helper()
	path, err := openSSL()
	must(t, err)
	return path
}

var openSSL = sync.OnceValues(func() (string, error) {
	path, err := exec.LookPath("openssl")
	if err == nil {
		return path, nil
	}
	missing := fmt.Errorf("this test needs the program openssl, version 3 (Debian: apt-get install openssl): %w", err)
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return "", missing
	}
	// The tests of several packages run at once, and apt-get does not.
	install := exec.Command("flock", "/var/lib/dpkg", "sh", "-c", "command -v openssl || { apt-get -q update && apt-get -qy install openssl; }")
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\ninstalling it: %w\n%s", missing, err, out)
	}
	return exec.LookPath("openssl")
})

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
