package timestamp

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/tsatest"
)

var update = flag.Bool("update", false, "write the golden files anew: never those of a version that was released")

// TestVerify: what authorities of several kinds issue checks out, here and with
// OpenSSL, and says what it should.
func TestVerify(t *testing.T) {
	for _, tc := range []struct {
		name     string
		o        tsatest.Options
		accuracy time.Duration
	}{
		{"ECDSA, SHA-256", tsatest.Options{}, 1500100 * time.Microsecond},
		{"ECDSA, SHA-384", tsatest.Options{Config: "signer_digest = sha384"}, 1500100 * time.Microsecond},
		{"RSA, SHA-512", tsatest.Options{Algorithm: "RSA", Config: "signer_digest = sha512"}, 1500100 * time.Microsecond},
		{"whole seconds", tsatest.Options{Config: "clock_precision_digits = 0\naccuracy = secs:60"}, time.Minute},
		{"milliseconds", tsatest.Options{Config: "clock_precision_digits = 3\naccuracy = millisecs:20"}, 20 * time.Millisecond},
		{"neither order nor name", tsatest.Options{Config: "ordering = no\ntsa_name = no"}, 1500100 * time.Microsecond},
		{"certificate named by its SHA-1", tsatest.Options{Config: "ess_cert_id_alg = sha1"}, 1500100 * time.Microsecond},
		{"certificate named by its SHA-512", tsatest.Options{Config: "ess_cert_id_alg = sha512"}, 1500100 * time.Microsecond},
		{"intermediate certificate", tsatest.Options{Intermediate: func(*x509.Certificate) {}}, 1500100 * time.Microsecond},
		{"intermediate certificate named", tsatest.Options{Intermediate: func(*x509.Certificate) {}, Config: "ess_cert_id_chain = yes"}, 1500100 * time.Microsecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tsa := tsatest.New(t, tc.o)
			cp := checkpoint(t, 41)
			before := time.Now().Truncate(time.Second)
			token := stamp(t, tsa, cp)
			got, err := Verify(token, cp, tsa.Roots)
			must(t, err)
			if got.Time.Before(before) || got.Time.After(time.Now()) || got.Time.Location() != time.UTC {
				t.Errorf("time %s is not between %s and now, in UTC", got.Time, before)
			}
			want := Timestamp{got.Time, tc.accuracy, tsatest.Policy, big.NewInt(1), "CN=Example TSA,O=Example"}
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("got  %+v\nwant %+v", *got, want)
			}
			if peeked, err := Peek(token); err != nil || !reflect.DeepEqual(*peeked, want) {
				t.Errorf("peeked %+v, %v", peeked, err)
			}

			tsa.Write("body", body(t, cp))
			tsa.Write("token.tst", token)
			tsa.Run(nil, "ts", "-verify", "-data", "body", "-in", "token.tst", "-token_in", "-CAfile", "root.pem")
			text := tsa.Run(nil, "ts", "-reply", "-in", "token.tst", "-token_in", "-text")
			if line := "\nTime stamp: " + got.Time.Format("Jan _2 15:04:05.999999 2006") + " GMT\n"; !bytes.Contains(text, []byte(line)) {
				t.Errorf("OpenSSL reads another time than that in%s%s", line, text)
			}
		})
	}
}

// TestVerifySubjectKeyID: a signer may be named by its key (RFC 5652, section
// 5.3), although OpenSSL's authority does not do that.
func TestVerifySubjectKeyID(t *testing.T) {
	tsa := tsatest.New(t, tsatest.Options{})
	cp := checkpoint(t, 41)
	token := tsa.SignContent(content(t, stamp(t, tsa, cp)), "-cades", "-keyid")
	_, err := Verify(token, cp, tsa.Roots)
	must(t, err)
}

// TestBodyIsStamped: signatures that are added, or left out, do not part a
// checkpoint from its token.
func TestBodyIsStamped(t *testing.T) {
	tsa := tsatest.New(t, tsatest.Options{})
	first, second := signer(t, "first"), signer(t, "second")
	c := evidence.Checkpoint{Origin: "example.org/trail", Size: 41}
	stamped, err := evidence.SignCheckpoint(&c, first)
	must(t, err)
	token := stamp(t, tsa, stamped)
	for name, signers := range map[string][]*evidence.Signer{"one more": {first, second}, "another": {second}} {
		t.Run(name, func(t *testing.T) {
			var signed []byte
			if len(signers) == 2 {
				signed, err = evidence.SignCheckpoint(&c, signers[0], signers[1])
			} else {
				signed, err = evidence.SignCheckpoint(&c, signers[0])
			}
			must(t, err)
			_, err = Verify(token, signed, tsa.Roots)
			must(t, err)
		})
	}
}

// TestVerifyRefuses: each step of Verify fails on its own, and says so.
func TestVerifyRefuses(t *testing.T) {
	cp := checkpoint(t, 41)
	plain := tsatest.New(t, tsatest.Options{})
	token := stamp(t, plain, cp)
	info := content(t, token)

	// An authority whose certificate is not as it must be, so that openssl-ts(1)
	// does not sign with it.
	withCert := func(change func(*x509.Certificate)) ([]byte, *x509.CertPool) {
		tsa := tsatest.New(t, tsatest.Options{Certificate: change})
		return tsa.SignContent(info, "-cades"), tsa.Roots
	}
	withUsage := func(extensions ...pkix.Extension) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtraExtensions = extensions }
	}
	withInfo := func(change func(*tstInfo)) []byte {
		var i tstInfo
		must(t, unmarshal(info, &i))
		change(&i)
		der, err := asn1.Marshal(i)
		must(t, err)
		return plain.SignContent(der, "-cades")
	}
	sha1Imprint := func() []byte {
		plain.Write("body", body(t, cp))
		query := plain.Run(nil, "ts", "-query", "-data", "body", "-sha1", "-cert")
		plain.Write("sha1.tsr", plain.Reply(query))
		return plain.Run(nil, "ts", "-reply", "-in", "sha1.tsr", "-token_out")
	}
	// The key of the authority with another certificate, which the signature does
	// not cover.
	plain.Run(nil, "x509", "-in", "tsa.pem", "-signkey", "tsa.key", "-out", "other.pem")
	response := func() []byte {
		q, err := Request(cp)
		must(t, err)
		return plain.Reply(q.DER)
	}

	// change sets the byte behind prefix, in the place that find finds.
	change := func(token []byte, find func(b, prefix []byte) int, prefix []byte, to byte) []byte {
		altered := bytes.Clone(token)
		altered[find(altered, prefix)+len(prefix)] = to
		return altered
	}
	otherContent := plain.Run(info, "cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-cades",
		"-econtent_type", "1.2.840.113549.1.9.16.1.5", "-signer", "tsa.pem", "-inkey", "tsa.key")
	contentTypes := []byte{0x06, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1} // 1.2.840.113549.1.9.16.1

	type refused struct {
		name       string
		token      []byte
		checkpoint []byte
		roots      *x509.CertPool
		want       string
	}
	cases := []refused{
		{"no roots", token, cp, nil, "no root certificates"},
		{"empty roots", token, cp, x509.NewCertPool(), "does not lead to one of the given roots"},
		{"roots of another authority", token, cp, tsatest.New(t, tsatest.Options{}).Roots, "does not lead to one of the given roots"},
		{"another checkpoint", token, checkpoint(t, 42), plain.Roots, "is of something else"},
		{"no checkpoint", token, []byte("x"), plain.Roots, "no signatures"},
		{"nothing", nil, cp, plain.Roots, "is not signed data in DER"},
		{"HTML", []byte("<!DOCTYPE html><title>503</title>"), cp, plain.Roots, "is not signed data in DER"},
		{"the whole response", response(), cp, plain.Roots, "is not signed data in DER"},
		{"something behind it", append(bytes.Clone(token), 0), cp, plain.Roots, "1 bytes follow it"},
		{"too large", make([]byte, MaxSize+1), cp, plain.Roots, "65537 bytes, more than 65536"},
		{"no signed data", change(token, bytes.Index, []byte{0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7}, 3), cp, plain.Roots, "in 1.2.840.113549.1.7.3;"},
		{"of another content", otherContent, cp, plain.Roots, "content is of the type 1.2.840.113549.1.9.16.1.5"},
		{"of another content by its attribute", change(otherContent, bytes.Index, contentTypes, 4), cp, plain.Roots, "what is signed has the type 1.2.840.113549.1.9.16.1.5"},
		{"signer named by another serial number", change(token, bytes.LastIndex, append(plain.Root.RawSubject, 0x02, 1), 9), cp, plain.Roots, "signed in the name of another certificate"},
		{"signer named by another key", change(plain.SignContent(info, "-cades", "-keyid"), bytes.LastIndex, []byte(tsatest.KeyID[:4]), 0), cp, plain.Roots, "signed in the name of another certificate"},
		{"detached", plain.Run(info, "cms", "-sign", "-binary", "-outform", "DER", "-cades", "-econtent_type", "1.2.840.113549.1.9.16.1.4", "-signer", "tsa.pem", "-inkey", "tsa.key"), cp, plain.Roots, "is not signed data in DER"},
		{"two signatures", plain.SignContent(info, "-cades", "-signer", "other.pem", "-inkey", "tsa.key"), cp, plain.Roots, "2 signatures"},
		{"no certificate", plain.SignContent(info, "-cades", "-nocerts"), cp, plain.Roots, "is not in the token"},
		{"another certificate of the key", plain.SignContent(info, "-cades", "-nocerts", "-certfile", "other.pem"), cp, plain.Roots, "is not in the token"},
		{"no signing-certificate attribute", plain.SignContent(info), cp, plain.Roots, "attribute (RFC 5816): there is none"},
		{"no attributes", plain.SignContent(info, "-noattr"), cp, plain.Roots, "is not signed data in DER"},
		{"signature with SHA-1", plain.SignContent(info, "-cades", "-md", "sha1"), cp, plain.Roots, "hash algorithm 1.3.14.3.2.26 is not supported"},
		{"imprint with SHA-1", sha1Imprint(), cp, plain.Roots, "the imprint is made with the hash algorithm 1.3.14.3.2.26"},
		{"content that is no TSTInfo", plain.SignContent([]byte("hello"), "-cades"), cp, plain.Roots, "content is not a TSTInfo"},
		{"another version", withInfo(func(i *tstInfo) { i.Version = 2 }), cp, plain.Roots, "has version 2"},
		{"time of another zone", withInfo(func(i *tstInfo) { i.Time = i.Time.In(time.FixedZone("", 3600)) }), cp, plain.Roots, "is not in UTC"},
		{"negative accuracy", withInfo(func(i *tstInfo) { i.Accuracy.Seconds = -1 }), cp, plain.Roots, "-1 s, 500 ms and 100 µs are no accuracy"},
		{"a thousand milliseconds", withInfo(func(i *tstInfo) { i.Accuracy.Millis = 1000 }), cp, plain.Roots, "1000 ms and 100 µs are no accuracy"},
		{"negative microseconds", withInfo(func(i *tstInfo) { i.Accuracy.Micros = -1 }), cp, plain.Roots, "500 ms and -1 µs are no accuracy"},
		{"accuracy of centuries", withInfo(func(i *tstInfo) { i.Accuracy.Seconds = 1 << 40 }), cp, plain.Roots, "are no accuracy"},
		{"critical extension", withInfo(func(i *tstInfo) {
			i.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true}}
		}), cp, plain.Roots, "critical extension 1.2.3"},
	}
	for _, tc := range []struct {
		name   string
		change func(*x509.Certificate)
		want   string
	}{
		{"certificate for no purpose", withUsage(), "has no extended key usage"},
		{"certificate for servers", withUsage(tsatest.ExtKeyUsage(true, 1)), "extended key usage is [1.3.6.1.5.5.7.3.1]"},
		{"certificate for more than time-stamping", withUsage(tsatest.ExtKeyUsage(true, 8, 3)), "extended key usage is [1.3.6.1.5.5.7.3.8 1.3.6.1.5.5.7.3.3]"},
		{"purpose not critical", withUsage(tsatest.ExtKeyUsage(false, 8)), "extended key usage is not critical"},
		{"key for encryption", func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment }, "key usage allows more than signatures"},
		{"certificate expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "certificate has expired or is not yet valid"},
		{"certificate not valid yet", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, "certificate has expired or is not yet valid"},
	} {
		token, roots := withCert(tc.change)
		cases = append(cases, refused{tc.name, token, cp, roots, tc.want})
	}
	below := tsatest.New(t, tsatest.Options{Intermediate: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }})
	cases = append(cases, refused{"intermediate certificate for servers", stamp(t, below, cp), cp, below.Roots, "incompatible key usage"})
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Verify(tc.token, tc.checkpoint, tc.roots)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %+v, %v\nwant an error with %q", got, err, tc.want)
			}
		})
	}
	// What the cases are made with is fine in itself.
	_, err := Verify(withInfo(func(*tstInfo) {}), cp, plain.Roots)
	must(t, err)
}

// TestAttributes: what is signed is read only if it has one meaning (RFC 5652,
// section 11).
func TestAttributes(t *testing.T) {
	value := func(der ...byte) asn1.RawValue { return asn1.RawValue{FullBytes: der} }
	one, two := value(0x02, 1, 1), value(0x02, 1, 2)
	for _, tc := range []struct {
		name  string
		attrs attributes
		want  string // empty: read as 1
	}{
		{"one", attributes{{oidMessageDigest, []asn1.RawValue{two}}, {oidContentType, []asn1.RawValue{one}}}, ""},
		{"none", attributes{{oidMessageDigest, []asn1.RawValue{one}}}, "there is none"},
		{"no value", attributes{{oidContentType, nil}}, "0 values"},
		{"two values", attributes{{oidContentType, []asn1.RawValue{one, two}}}, "2 values"},
		{"twice", attributes{{oidContentType, []asn1.RawValue{one}}, {oidContentType, []asn1.RawValue{one}}}, "more than once"},
		{"not of the type", attributes{{oidContentType, []asn1.RawValue{value(0x04, 0)}}}, "tags"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got int
			err := tc.attrs.get(oidContentType, &got)
			if tc.want == "" && (err != nil || got != 1) || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %d, %v, want %q", got, err, tc.want)
			}
		})
	}
}

// TestNoCertificateNamed: an empty list of certificates names none.
func TestNoCertificateNamed(t *testing.T) {
	empty := attributes{{oidSigningCertificateV2, []asn1.RawValue{{FullBytes: []byte{0x30, 2, 0x30, 0}}}}}
	if c, err := empty.signer(nil); err == nil || !strings.Contains(err.Error(), "names no certificate") {
		t.Errorf("got %v, %v", c, err)
	}
}

// TestVerifyLater: a certificate that expired after the token was made does not
// take the token with it.
func TestVerifyLater(t *testing.T) {
	g := readGolden(t)
	_, err := Verify(g.token, g.checkpoint, g.roots)
	must(t, err)
	late, err := openToken(g.token)
	must(t, err)
	late.info.Time = time.Now()
	var invalid x509.CertificateInvalidError
	if err := late.checkChain(g.roots); !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("if it were made now: %v, want that the certificate expired", err)
	}
}

// TestAlteredToken: a token that was altered in one byte is refused, or, where the
// byte is not signed and says nothing, still says the same.
func TestAlteredToken(t *testing.T) {
	g := readGolden(t)
	want, err := Verify(g.token, g.checkpoint, g.roots)
	must(t, err)
	refused := 0
	for i := range g.token {
		for _, flip := range []byte{0x01, 0x20, 0x80, 0xff} {
			altered := bytes.Clone(g.token)
			altered[i] ^= flip
			got, err := Verify(altered, g.checkpoint, g.roots)
			if err != nil {
				refused++
			} else if !reflect.DeepEqual(got, want) {
				t.Fatalf("byte %d ^ %#x: %+v, want %+v", i, flip, got, want)
			}
		}
	}
	t.Logf("%d of %d altered tokens were refused", refused, 4*len(g.token))
	if refused < 4*len(g.token)*9/10 {
		t.Errorf("only %d of %d altered tokens were refused", refused, 4*len(g.token))
	}
}

// golden is what an authority once gave (testdata).
type golden struct {
	checkpoint, query, response, token, root, timestamp []byte

	roots *x509.CertPool
	asked *Query
}

func readGolden(t testing.TB) golden {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		must(t, err)
		return b
	}
	g := golden{read("checkpoint"), read("query.tsq"), read("response.tsr"), read("token.tst"), read("root.pem"), read("timestamp.json"), x509.NewCertPool(), nil}
	if !g.roots.AppendCertsFromPEM(g.root) {
		t.Fatal("testdata/root.pem holds no certificate")
	}
	var sent timeStampReq
	must(t, unmarshal(g.query, &sent))
	g.asked = &Query{g.query, [sha256.Size]byte(sent.Imprint.Digest), sent.Nonce.Uint64()}
	return g
}

// TestGolden: a token that was once good reads the same for ever.
func TestGolden(t *testing.T) {
	if *update {
		tsa := tsatest.New(t, tsatest.Options{Certificate: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Second) }})
		cp := checkpoint(t, 41)
		q, err := Request(cp)
		must(t, err)
		response := tsa.Reply(q.DER)
		token, err := Parse(response, q)
		must(t, err)
		root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tsa.Root.Raw})
		ts, err := Verify(token, cp, tsa.Roots)
		must(t, err)
		for name, b := range map[string][]byte{"checkpoint": cp, "query.tsq": q.DER, "response.tsr": response, "token.tst": token, "root.pem": root, "timestamp.json": marshal(t, ts)} {
			must(t, os.WriteFile(filepath.Join("testdata", name), b, 0o644))
		}
	}
	g := readGolden(t)
	token, err := Parse(g.response, g.asked)
	must(t, err)
	if !bytes.Equal(token, g.token) {
		t.Errorf("the token in the response is %x, want %x", token, g.token)
	}
	got, err := Verify(g.token, g.checkpoint, g.roots)
	must(t, err)
	if read := marshal(t, got); !bytes.Equal(read, g.timestamp) {
		t.Errorf("the token says %s, want %s", read, g.timestamp)
	}
}

func marshal(t testing.TB, ts *Timestamp) []byte {
	t.Helper()
	b, err := json.MarshalIndent(ts, "", "\t")
	must(t, err)
	return append(b, '\n')
}

// stamp has a checkpoint stamped.
func stamp(t testing.TB, tsa *tsatest.Authority, signed []byte) []byte {
	t.Helper()
	q, err := Request(signed)
	must(t, err)
	token, err := Parse(tsa.Reply(q.DER), q)
	must(t, err)
	return token
}

// content returns the TSTInfo in a token.
func content(t testing.TB, token []byte) []byte {
	t.Helper()
	var ci contentInfo
	must(t, unmarshal(token, &ci))
	return ci.Content.Encapsulated.Content
}

// body returns the text that stands before the empty line.
func body(t testing.TB, signed []byte) []byte {
	t.Helper()
	text, _, ok := bytes.Cut(signed, []byte("\n\n"))
	if !ok {
		t.Fatalf("%q has no empty line", signed)
	}
	return append(bytes.Clone(text), '\n')
}

func signer(t testing.TB, seed string) *evidence.Signer {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	s, err := evidence.NewSigner("example.org/trail", ed25519.NewKeyFromSeed(sum[:]))
	must(t, err)
	return s
}

func checkpoint(t testing.TB, size uint64) []byte {
	t.Helper()
	signed, err := evidence.SignCheckpoint(&evidence.Checkpoint{Origin: "example.org/trail", Size: size, Root: evidence.Hash{byte(size)}}, signer(t, "a"))
	must(t, err)
	return signed
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
