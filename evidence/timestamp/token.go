package timestamp

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math"
	"math/big"
	"time"
)

var (
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidTSTInfo    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidSHA256     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}

	oidExtKeyUsage  = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidTimeStamping = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
)

// contentInfo is RFC 5652, section 3, with signed data in it.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content signedData `asn1:"explicit,tag:0"`
}

// signedData is RFC 5652, section 5.1.
type signedData struct {
	Version      int
	Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
	Encapsulated struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}
	Certificates asn1.RawValue `asn1:"optional,tag:0"`
	CRLs         asn1.RawValue `asn1:"optional,tag:1"`
	Signers      []signerInfo  `asn1:"set"`
}

// tstInfo is RFC 3161, section 2.4.2.
type tstInfo struct {
	Version    int
	Policy     asn1.ObjectIdentifier
	Imprint    messageImprint
	Serial     *big.Int
	Time       time.Time        `asn1:"generalized"`
	Accuracy   accuracy         `asn1:"optional"`
	Ordering   bool             `asn1:"optional"`
	Nonce      *big.Int         `asn1:"optional"`
	TSA        asn1.RawValue    `asn1:"optional,tag:0"`
	Extensions []pkix.Extension `asn1:"optional,tag:1"`
}

type messageImprint struct {
	Algorithm pkix.AlgorithmIdentifier
	Digest    []byte
}

// accuracy is RFC 3161, section 2.4.2; what is absent is 0.
type accuracy struct {
	Seconds int64 `asn1:"optional"`
	Millis  int64 `asn1:"optional,tag:0"`
	Micros  int64 `asn1:"optional,tag:1"`
}

// token is a token of which all is checked but what was stamped and whom to
// trust: the signature is that of signer, which is for time-stamping.
type token struct {
	info   tstInfo
	signer *x509.Certificate
	certs  []*x509.Certificate
}

// openToken reads a token and checks its signature.
func openToken(der []byte) (*token, error) {
	if len(der) > MaxSize {
		return nil, fmt.Errorf("time-stamp token has %d bytes, more than %d", len(der), MaxSize)
	}
	var ci contentInfo
	if err := unmarshal(der, &ci); err != nil {
		return nil, fmt.Errorf("time-stamp token is not signed data in DER (RFC 5652, ContentInfo; without the status that stands before it in a response): %w", err)
	}
	signed := &ci.Content
	content := signed.Encapsulated.Content
	if !ci.Type.Equal(oidSignedData) || !signed.Encapsulated.Type.Equal(oidTSTInfo) {
		return nil, fmt.Errorf("time-stamp token: content is of the type %v in %v; that of a token is %v in %v",
			signed.Encapsulated.Type, ci.Type, oidTSTInfo, oidSignedData)
	}
	if n := len(signed.Signers); n != 1 {
		return nil, fmt.Errorf("time-stamp token has %d signatures; one is required, that of the authority", n)
	}
	var t token
	var err error
	if t.info, err = parseInfo(content); err != nil {
		return nil, err
	}
	if t.certs, err = x509.ParseCertificates(signed.Certificates.Bytes); err != nil {
		return nil, fmt.Errorf("time-stamp token: certificates: %w", err)
	}
	if t.signer, err = signed.Signers[0].verify(content, t.certs); err != nil {
		return nil, err
	}
	if err := checkUsage(t.signer); err != nil {
		return nil, fmt.Errorf("time-stamp token: certificate of %q: %w", t.signer.Subject, err)
	}
	return &t, nil
}

// unmarshal reads one value in DER, behind which nothing may follow.
func unmarshal(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow it", len(rest))
	}
	return err
}

// parseInfo reads the content of a token.
func parseInfo(der []byte) (tstInfo, error) {
	var info tstInfo
	if err := unmarshal(der, &info); err != nil {
		return info, fmt.Errorf("time-stamp token: content is not a TSTInfo in DER (RFC 3161, section 2.4.2): %w", err)
	}
	if info.Version != 1 {
		return info, fmt.Errorf("time-stamp token has version %d; only 1 is supported", info.Version)
	}
	if _, offset := info.Time.Zone(); offset != 0 {
		return info, fmt.Errorf("time-stamp token: the time %s is not in UTC", info.Time.Format(time.RFC3339Nano))
	}
	// So bounded, an accuracy is a duration.
	if a := info.Accuracy; a.Seconds < 0 || a.Seconds > math.MaxInt32 || a.Millis < 0 || a.Millis > 999 || a.Micros < 0 || a.Micros > 999 {
		return info, fmt.Errorf("time-stamp token: %d s, %d ms and %d µs are no accuracy", a.Seconds, a.Millis, a.Micros)
	}
	for _, e := range info.Extensions {
		if e.Critical {
			return info, fmt.Errorf("time-stamp token: the critical extension %v is not supported; it may change what the token means", e.Id)
		}
	}
	return info, nil
}

func (a *accuracy) duration() time.Duration {
	return time.Duration(a.Seconds)*time.Second + time.Duration(a.Millis)*time.Millisecond + time.Duration(a.Micros)*time.Microsecond
}

// check compares an imprint with that of a checkpoint.
func (m *messageImprint) check(want [sha256.Size]byte) error {
	if !m.Algorithm.Algorithm.Equal(oidSHA256) {
		return fmt.Errorf("time-stamp token: the imprint is made with the hash algorithm %v; that of a checkpoint is made with SHA-256, %v", m.Algorithm.Algorithm, oidSHA256)
	}
	if !bytes.Equal(m.Digest, want[:]) {
		return fmt.Errorf("time-stamp token is of something else: its imprint is %x, that of the checkpoint %x", m.Digest, want)
	}
	return nil
}

// checkUsage checks that a certificate is for time-stamping and nothing else (RFC
// 3161, section 2.3; key usage: RFC 5280, section 4.2.1.12).
func checkUsage(c *x509.Certificate) error {
	if c.KeyUsage&^(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) != 0 {
		return errors.New("its key usage allows more than signatures, so it is not for time-stamping")
	}
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidExtKeyUsage) {
			continue
		}
		var usages []asn1.ObjectIdentifier
		if err := unmarshal(e.Value, &usages); err != nil || len(usages) != 1 || !usages[0].Equal(oidTimeStamping) {
			return fmt.Errorf("its extended key usage is %v; that of an authority is timeStamping alone, %v", usages, oidTimeStamping)
		}
		if !e.Critical {
			return errors.New("its extended key usage is not critical, so it may be used for more than time-stamping")
		}
		return nil
	}
	return errors.New("it has no extended key usage, so it is not for time-stamping")
}

// checkChain checks that the certificate of the signer was good for one of roots
// at the time of the token.
func (t *token) checkChain(roots *x509.CertPool) error {
	intermediates := x509.NewCertPool()
	for _, c := range t.certs {
		intermediates.AddCert(c)
	}
	_, err := t.signer.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		CurrentTime:   t.info.Time,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	if err != nil {
		return fmt.Errorf("time-stamp token: certificate of %q does not lead to one of the given roots, judged at the time of the token, %s: %w",
			t.signer.Subject, t.info.Time.Format(time.RFC3339), err)
	}
	return nil
}
