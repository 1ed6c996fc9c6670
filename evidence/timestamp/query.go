package timestamp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Query is a request for a time-stamp of one checkpoint. It belongs to one
// response.
type Query struct {
	// DER is what is sent: a TimeStampReq (RFC 3161, section 2.4.1), over HTTP
	// as application/timestamp-query.
	DER []byte

	imprint [sha256.Size]byte
	nonce   uint64
}

// timeStampReq is RFC 3161, section 2.4.1, without policy and extensions.
type timeStampReq struct {
	Version int
	Imprint messageImprint
	Nonce   *big.Int
	CertReq bool
}

// Request makes a query for a signed checkpoint, of which only the body counts.
// No signature is checked. It asks for the authority's default policy and for its
// certificate, and has a random nonce, so that an old response does not pass for
// a new one.
func Request(signed []byte) (*Query, error) {
	imprint, err := imprintOf(signed)
	if err != nil {
		return nil, err
	}
	var random [8]byte // not more: some authorities refuse it
	rand.Read(random[:])
	nonce := binary.BigEndian.Uint64(random[:])
	der, err := asn1.Marshal(timeStampReq{
		Version: 1,
		Imprint: messageImprint{pkix.AlgorithmIdentifier{Algorithm: oidSHA256, Parameters: asn1.NullRawValue}, imprint[:]},
		Nonce:   new(big.Int).SetUint64(nonce),
		CertReq: true,
	})
	if err != nil {
		return nil, fmt.Errorf("time-stamp query: %w", err)
	}
	return &Query{der, imprint, nonce}, nil
}

// timeStampResp is RFC 3161, section 2.4.2.
type timeStampResp struct {
	Status pkiStatusInfo
	Token  asn1.RawValue `asn1:"optional"`
}

type pkiStatusInfo struct {
	Status  int
	Text    []string       `asn1:"optional,utf8"`
	Failure asn1.BitString `asn1:"optional"`
}

// The values of PKIStatus by which a token is given.
const (
	granted         = 0
	grantedWithMods = 1
)

var statusNames = []string{"granted", "granted with modifications", "rejection", "waiting", "revocation warning", "revocation notification"}

// failures are the bits of PKIFailureInfo.
var failures = []struct {
	bit     int
	meaning string
}{
	{0, "hash algorithm not supported (badAlg)"},
	{2, "request not permitted or supported (badRequest)"},
	{5, "request has the wrong format (badDataFormat)"},
	{14, "its time source is not available (timeNotAvailable)"},
	{15, "policy not supported (unacceptedPolicy)"},
	{16, "extension not supported (unacceptedExtension)"},
	{17, "additional information not understood or not available (addInfoNotAvailable)"},
	{25, "system failure (systemFailure)"},
}

// err returns nil if the status is one by which a token is given, and otherwise
// what the authority says.
func (s *pkiStatusInfo) err() error {
	if s.Status == granted || s.Status == grantedWithMods {
		return nil
	}
	status := fmt.Sprintf("status %d", s.Status)
	if s.Status >= 0 && s.Status < len(statusNames) {
		status = statusNames[s.Status]
	}
	var said []string
	for _, f := range failures {
		if s.Failure.At(f.bit) == 1 {
			said = append(said, f.meaning)
		}
	}
	for _, text := range s.Text {
		said = append(said, fmt.Sprintf("%.200q", text))
	}
	if len(said) == 0 {
		said = []string{"without a reason"}
	}
	return fmt.Errorf("time-stamp response: the authority gave no token: %s: %s", status, strings.Join(said, ", "))
}

// Parse reads the response to a query and returns the token in it, the bytes to
// keep: a ContentInfo (RFC 5652) in DER. They are a part of response, not a copy.
// The token is of this query (nonce and
// imprint), its signature is right, and its certificate is for time-stamping.
// Whether that certificate is to be trusted is for [Verify] to say.
func Parse(response []byte, want *Query) (token []byte, err error) {
	if len(response) > MaxSize {
		return nil, fmt.Errorf("time-stamp response has %d bytes, more than %d", len(response), MaxSize)
	}
	var resp timeStampResp
	if err := unmarshal(response, &resp); err != nil {
		return nil, fmt.Errorf("time-stamp response is not a TimeStampResp in DER (RFC 3161, section 2.4.2): %w", err)
	}
	if err := resp.Status.err(); err != nil {
		return nil, err
	}
	token = resp.Token.FullBytes
	if len(token) == 0 {
		return nil, errors.New("time-stamp response: the status says that a token is given, and there is none")
	}
	t, err := openToken(token)
	if err != nil {
		return nil, err
	}
	if t.info.Nonce == nil || !t.info.Nonce.IsUint64() || t.info.Nonce.Uint64() != want.nonce {
		return nil, errors.New("time-stamp response: the nonce is not that of the query: this is the response to another one, perhaps an old one sent again")
	}
	if err := t.info.Imprint.check(want.imprint); err != nil {
		return nil, err
	}
	return token, nil
}
