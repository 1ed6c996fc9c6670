package timestamp

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // for the signing-certificate attribute of RFC 2634
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// The signed attributes that are read: RFC 5652, section 11, RFC 2634, section
// 5.4, and RFC 5035, section 3.
var (
	oidContentType          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningCertificate   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
)

// digests are the hash algorithms that a token may be made with (RFC 5754).
var digests = []struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
}{
	{oidSHA256, crypto.SHA256},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA384},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, crypto.SHA512},
}

var oidRSAEncryption = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}

// signatures are the algorithms of signatures (RFC 5754). rsaEncryption names no
// hash algorithm: it is that of the message digest.
var signatures = []struct {
	oid       asn1.ObjectIdentifier
	digest    crypto.Hash // 0: any
	algorithm x509.SignatureAlgorithm
}{
	{oidRSAEncryption, crypto.SHA256, x509.SHA256WithRSA},
	{oidRSAEncryption, crypto.SHA384, x509.SHA384WithRSA},
	{oidRSAEncryption, crypto.SHA512, x509.SHA512WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, 0, x509.SHA256WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, 0, x509.SHA384WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, 0, x509.SHA512WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, 0, x509.ECDSAWithSHA256},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, 0, x509.ECDSAWithSHA384},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, 0, x509.ECDSAWithSHA512},
}

// signerInfo is RFC 5652, section 5.3. Unsigned attributes may follow; they prove
// nothing and are not read.
type signerInfo struct {
	Version    int
	Signer     asn1.RawValue // issuerAndSerialNumber or [0] subjectKeyIdentifier
	Digest     pkix.AlgorithmIdentifier
	Attributes asn1.RawValue `asn1:"tag:0"`
	Algorithm  pkix.AlgorithmIdentifier
	Signature  []byte
}

// issuerAndSerial is RFC 5652, section 10.2.4.
type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

// attributes are the signed attributes (RFC 5652, section 5.3).
type attributes []struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

// signingCertificate is RFC 5035, section 3. That of RFC 2634, section 5.4, is the
// same without the algorithm. Policies may follow, and an issuer and serial number
// in each certID; they are not read, since the hash is that of the whole
// certificate.
type signingCertificate struct {
	Certs []certID
}

type certID struct {
	Algorithm pkix.AlgorithmIdentifier `asn1:"optional"`
	Hash      []byte
}

// verify checks the signature over content and returns the certificate that made
// it, which is one of certs.
func (s *signerInfo) verify(content []byte, certs []*x509.Certificate) (*x509.Certificate, error) {
	hash, err := digest(s.Digest.Algorithm)
	if err != nil {
		return nil, err
	}
	// What is signed is the attributes as a SET, not as the field [0] (RFC 5652,
	// section 5.4).
	signed := slices.Clone(s.Attributes.FullBytes)
	signed[0] = asn1.TagSet | 0x20
	var attrs attributes
	if _, err := asn1.UnmarshalWithParams(signed, &attrs, "set"); err != nil {
		return nil, fmt.Errorf("time-stamp token: signed attributes are not a SET in DER: %w", err)
	}

	var contentType asn1.ObjectIdentifier
	if err := attrs.get(oidContentType, &contentType); err != nil {
		return nil, fmt.Errorf("time-stamp token: content type: %w", err)
	}
	if !contentType.Equal(oidTSTInfo) {
		return nil, fmt.Errorf("time-stamp token: what is signed has the type %v and is no TSTInfo", contentType)
	}
	var messageDigest []byte
	if err := attrs.get(oidMessageDigest, &messageDigest); err != nil {
		return nil, fmt.Errorf("time-stamp token: message digest: %w", err)
	}
	if !bytes.Equal(messageDigest, sum(hash, content)) {
		return nil, errors.New("time-stamp token: the content is not what was signed (message digest differs): the token was altered")
	}
	cert, err := attrs.signer(certs)
	if err != nil {
		return nil, err
	}
	if !s.names(cert) {
		return nil, fmt.Errorf("time-stamp token: signed in the name of another certificate than that of %q, which the signature covers", cert.Subject)
	}

	for _, a := range signatures {
		if !a.oid.Equal(s.Algorithm.Algorithm) || a.digest != 0 && a.digest != hash {
			continue
		}
		if err := cert.CheckSignature(a.algorithm, signed, s.Signature); err != nil {
			return nil, fmt.Errorf("time-stamp token: signature is not one by %q: %w", cert.Subject, err)
		}
		return cert, nil
	}
	return nil, fmt.Errorf("time-stamp token: signature algorithm %v is not supported: expected RSA or ECDSA with SHA-256, SHA-384 or SHA-512", s.Algorithm.Algorithm)
}

// names reports whether s says that the certificate's key signed.
func (s *signerInfo) names(c *x509.Certificate) bool {
	if s.Signer.Class == asn1.ClassContextSpecific && s.Signer.Tag == 0 {
		return bytes.Equal(s.Signer.Bytes, c.SubjectKeyId)
	}
	var id issuerAndSerial
	return unmarshal(s.Signer.FullBytes, &id) == nil && bytes.Equal(id.Issuer.FullBytes, c.RawIssuer) && id.Serial.Cmp(c.SerialNumber) == 0
}

// signer returns the certificate that the signature covers.
func (a attributes) signer(certs []*x509.Certificate) (*x509.Certificate, error) {
	const attribute = "time-stamp token: signing-certificate attribute (RFC 5816)"
	var ids signingCertificate
	hash, err := crypto.SHA256, a.get(oidSigningCertificateV2, &ids)
	if errors.Is(err, errNoAttribute) {
		// RFC 2634 has SHA-1 alone. It does here: to pass for the certificate, another
		// would need the same hash and the same key (a second preimage).
		hash, err = crypto.SHA1, a.get(oidSigningCertificate, &ids)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", attribute, err)
	}
	if len(ids.Certs) == 0 {
		return nil, fmt.Errorf("%s names no certificate", attribute)
	}
	id := &ids.Certs[0] // the others, if any, are of its issuers
	if id.Algorithm.Algorithm != nil {
		if hash, err = digest(id.Algorithm.Algorithm); err != nil {
			return nil, err
		}
	}
	i := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return bytes.Equal(id.Hash, sum(hash, c.Raw)) })
	if i < 0 {
		return nil, fmt.Errorf("%s names a certificate that is not in the token: query with certReq, or the token was altered", attribute)
	}
	return certs[i], nil
}

var errNoAttribute = errors.New("there is none")

// get reads the value of an attribute, which must be there once, with one value
// (RFC 5652, section 11).
func (a attributes) get(oid asn1.ObjectIdentifier, v any) error {
	found := false
	for _, attr := range a {
		if !attr.Type.Equal(oid) {
			continue
		}
		if found {
			return errors.New("it is there more than once")
		}
		if n := len(attr.Values); n != 1 {
			return fmt.Errorf("it has %d values, not one", n)
		}
		found = true
		if err := unmarshal(attr.Values[0].FullBytes, v); err != nil {
			return err
		}
	}
	if !found {
		return errNoAttribute
	}
	return nil
}

// digest returns the hash algorithm with that name.
func digest(oid asn1.ObjectIdentifier) (crypto.Hash, error) {
	for _, d := range digests {
		if d.oid.Equal(oid) {
			return d.hash, nil
		}
	}
	return 0, fmt.Errorf("time-stamp token: hash algorithm %v is not supported: expected SHA-256, SHA-384 or SHA-512", oid)
}

func sum(hash crypto.Hash, b []byte) []byte {
	h := hash.New()
	h.Write(b)
	return h.Sum(nil)
}
