package evidence

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// The checkpoint of C2SP tlog-cosignature, as it stands there. The public keys
// that signed it are not published.
const specCheckpoint = specBody + `
— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
`

const specBody = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

// specTime is when the witness cosigned specCheckpoint.
var specTime = time.Unix(1679315147, 0).UTC()

// Cosignatures of specBody at specTime by the key with the seed 00 01 02 … 1f.
// They were computed from the text of the specification with Python's
// hashlib and cryptography, version 48.
const (
	goldenWitness     = "witness.example.com/w1"
	goldenWitnessSkey = "PRIVATE+KEY+witness.example.com/w1+a0059f11+BAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
	goldenWitnessVkey = "witness.example.com/w1+a0059f11+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
	goldenCosignature = "— witness.example.com/w1 oAWfEQAAAABkGFDLBuRDazBLVac2NE+Y+IjbjQOcXLfF9CSDZVUIoS83rE1nFZsVE8YiWV6Ngr7lV8H6bdoBQGP/l73euDMQ9k+bBQ==\n"

	// Over the body with the line "extension" behind it.
	goldenExtended = "— witness.example.com/w1 oAWfEQAAAABkGFDLdIW+S+g8BHYw8tFQlAG/b5m2ZutvwDmlOsqcHZ+n8ZlqwZ3qvsUnAI1JRfM6CX1SwzimA6GlGBzBEzaupBloCw==\n"
)

// testWitness returns a witness whose key is known to everybody: for tests only.
func testWitness(t testing.TB, name string) *CosignatureSigner {
	t.Helper()
	sum := sha256.Sum256([]byte(name))
	s, err := NewCosignatureSigner(name, ed25519.NewKeyFromSeed(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func goldenSigner(t testing.TB) *CosignatureSigner {
	t.Helper()
	s, err := ParseCosignatureSigner(goldenWitnessSkey)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func cosign(t testing.TB, s *CosignatureSigner, body string, at time.Time) string {
	t.Helper()
	line, err := s.Cosign(body, at)
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

func TestCosignatureGolden(t *testing.T) {
	s := goldenSigner(t)
	v, err := ParseCosignatureVerifier(goldenWitnessVkey)
	if err != nil {
		t.Fatal(err)
	}
	if s.VerifierKey() != goldenWitnessVkey || v.VerifierKey() != goldenWitnessVkey || s.Name() != goldenWitness || v.Name() != goldenWitness ||
		s.KeyHash() != 0xa0059f11 || v.KeyHash() != 0xa0059f11 || !bytes.Equal(v.Key(), s.Verifier().Key()) {
		t.Errorf("signer %s, verifier %s", s.VerifierKey(), v.VerifierKey())
	}
	for body, want := range map[string]string{specBody: goldenCosignature, specBody + "extension\n": goldenExtended} {
		if got := cosign(t, s, body, specTime.Add(999*time.Millisecond)); got != want {
			t.Errorf("got  %swant %s", got, want)
		}
		got, err := Cosignatures([]byte(body+"\n"+want), v)
		if err != nil || len(got) != 1 || got[0] != (Cosignature{goldenWitness, 0xa0059f11, specTime}) {
			t.Errorf("%s: %v, %v", want, got, err)
		}
	}
}

// The example of the specification has the form that this package reads, and
// the time that its text names.
func TestCosignatureOfTheSpecification(t *testing.T) {
	n, err := unverifiedNote([]byte(specCheckpoint))
	if err != nil || len(n.UnverifiedSigs) != 2 {
		t.Fatalf("%+v, %v", n, err)
	}
	raw, err := base64.StdEncoding.DecodeString(n.UnverifiedSigs[1].Base64)
	if err != nil || len(raw) != 4+cosignatureSize {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	if got := binary.BigEndian.Uint64(raw[4:]); got != uint64(specTime.Unix()) {
		t.Errorf("time %d", got)
	}
	const message = "cosignature/v1\ntime 1679315147\n" + specBody
	if got := cosigned([]byte(n.Text), uint64(specTime.Unix())); string(got) != message {
		t.Errorf("got  %q\nwant %q", got, message)
	}
}

func TestCosignatureKeyRoundTrip(t *testing.T) {
	skey, vkey, err := GenerateCosignatureKey("w.example.com/ü")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseCosignatureSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := ParseCosignatureVerifier(vkey)
	if err != nil || v.VerifierKey() != vkey || s.VerifierKey() != vkey {
		t.Fatalf("%s, %s, %v", s.VerifierKey(), vkey, err)
	}
	line := cosign(t, s, specBody, specTime)
	signed := []byte(specBody + "\n" + line)
	if n, err := note.Open(signed, note.VerifierList(v)); err != nil || len(n.Sigs) != 1 {
		t.Errorf("package note opens it as %+v, %v", n, err)
	}
	// A trail's key and a witness's of the same name and seed are two keys.
	raw, err := decodeKeyField(skey)
	if err != nil {
		t.Fatal(err)
	}
	log, err := NewSigner(s.Name(), ed25519.NewKeyFromSeed(raw[1:]))
	if err != nil || log.KeyHash() == s.KeyHash() {
		t.Errorf("ids %08x and %08x, %v", log.KeyHash(), s.KeyHash(), err)
	}
	if _, err := ParseSigner(skey); err == nil {
		t.Error("a witness's key was taken for that of a trail")
	}
	if _, err := ParseVerifier(vkey); err == nil {
		t.Error("a witness's verifier key was taken for that of a trail")
	}
}

// mlDSA returns a verifier key of ML-DSA-44 in form; its key is zeros.
func mlDSA(name string) string {
	key := append([]byte{0x06}, make([]byte, 1312)...)
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	return fmt.Sprintf("%s+%x+%s", name, sum[:4], base64.StdEncoding.EncodeToString(key))
}

func TestParseCosignatureVerifierRefuses(t *testing.T) {
	logKey := testSigner(t, testOrigin, "a").VerifierKey()
	for _, tt := range []struct {
		name, vkey, want string
		algorithm        bool
	}{
		{"nothing", "", "is not a verifier key", false},
		{"two fields", "w+a0059f11", "is not a verifier key", false},
		{"a signing key", goldenWitnessSkey, "must stay secret", false},
		{"no name", goldenWitnessVkey[len(goldenWitness):], "name of a witness", false},
		{"a space in the name", "a b" + goldenWitnessVkey[len(goldenWitness):], "name of a witness", false},
		{"not base64", "w+a0059f11+=", "not base64", false},
		{"no key", "w+a0059f11+", "not base64", false},
		{"short key", "w+a0059f11+BAAA", "has 32 bytes, not 2", false},
		{"another id", strings.Replace(goldenWitnessVkey, "a0059f11", "a0059f12", 1), "expected the key id a0059f11", false},
		{"id in capitals", strings.Replace(goldenWitnessVkey, "a0059f11", "A0059F11", 1), "expected the key id a0059f11", false},
		{"another name", "w2" + goldenWitnessVkey[1:], "expected the key id", false},
		{"a line break in the key", goldenWitnessVkey + "\n", "expected the key id", false},
		{"a log's key", logKey, "type 0x01", false},
		{"ML-DSA-44", mlDSA(goldenWitness), "type 0x06", true},
		{"unknown type", "w+00000000+/wAA", "type 0xff", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseCosignatureVerifier(tt.vkey)
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrKeyAlgorithm) != tt.algorithm {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "BAABAgMEBQYH") {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
}

func TestParseCosignatureSignerRefuses(t *testing.T) {
	trailKey, _, err := GenerateKey(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, skey, want string }{
		{"nothing", "", "expected the form PRIVATE"},
		{"a verifier key", goldenWitnessVkey, "expected the form PRIVATE"},
		{"other words", strings.Replace(goldenWitnessSkey, "PRIVATE", "PUBLIC", 1), "expected the form PRIVATE"},
		{"not base64", goldenWitnessSkey + "!", "expected the form PRIVATE"},
		{"a trail's key", trailKey, "type is not 0x04"},
		{"too short", goldenWitnessSkey[:len(goldenWitnessSkey)-4], "not a signing key for cosignatures"},
		{"no name", strings.Replace(goldenWitnessSkey, goldenWitness, "", 1), "name of a witness"},
		{"another id", strings.Replace(goldenWitnessSkey, "a0059f11", "a0059f12", 1), "does not have the id"},
		{"another name", strings.Replace(goldenWitnessSkey, goldenWitness, "w", 1), "does not have the id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseCosignatureSigner(tt.skey)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "AAECAwQFBgcI") {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
	if _, _, err := GenerateCosignatureKey("two words"); err == nil {
		t.Error("a name with a space was accepted")
	}
	if _, err := NewCosignatureSigner("a+b", ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))); err == nil {
		t.Error("a name with a plus was accepted")
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewCosignatureSigner("w", ec); err == nil || !strings.Contains(err.Error(), "Ed25519") {
		t.Errorf("an ECDSA key: %v", err)
	}
}

func TestCosignRefuses(t *testing.T) {
	s := goldenSigner(t)
	for _, tt := range []struct {
		name, body string
		at         time.Time
		want       string
	}{
		{"no checkpoint", "a text\n", specTime, "are required"},
		{"a signed checkpoint", specCheckpoint, specTime, "extension line is empty"},
		{"the epoch", specBody, time.Unix(0, 0), "check the clock"},
		{"no time", specBody, time.Time{}, "check the clock"},
		{"the year 10000", specBody, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "check the clock"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			line, err := s.Cosign(tt.body, tt.at)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q, %v", line, err)
			}
		})
	}
	sum := sha256.Sum256(nil)
	broken, err := NewCosignatureSigner("w", failingKey{ed25519.NewKeyFromSeed(sum[:])})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := broken.Cosign(specBody, specTime); !errors.Is(err, errUnreachable) {
		t.Errorf("a key that cannot be reached: %v", err)
	}
}

// forge returns a line with a correct signature for any time.
func forge(t *testing.T, name string, seconds uint64) string {
	t.Helper()
	s := testWitness(t, name)
	sig, err := s.key.Sign(nil, cosigned([]byte(specBody), seconds), crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	raw := binary.BigEndian.AppendUint32(nil, s.KeyHash())
	raw = append(binary.BigEndian.AppendUint64(raw, seconds), sig...)
	return "— " + name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
}

func TestCosignatures(t *testing.T) {
	log := testSigner(t, "example.com/behind-the-sofa", "a")
	sig, err := log.Sign([]byte(specBody))
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("— %s %s\n", log.Name(), base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, log.KeyHash()), sig...)))
	w1, w2, w3 := testWitness(t, "w1"), testWitness(t, "w2"), testWitness(t, "w3")
	later := specTime.Add(time.Hour)
	l1, l2, l3 := cosign(t, w1, specBody, specTime), cosign(t, w2, specBody, later), cosign(t, w3, specBody, specTime)
	mlDSALine := "— w1 " + base64.StdEncoding.EncodeToString(make([]byte, 4+8+2420)) + "\n"
	flipped := func(line string, bit int) string {
		name, b64, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " w1 ")
		raw, err := base64.StdEncoding.DecodeString(b64)
		if err != nil {
			t.Fatal(err)
		}
		raw[bit/8] ^= 1 << (bit % 8)
		return name + " w1 " + base64.StdEncoding.EncodeToString(raw) + "\n"
	}
	for _, tt := range []struct {
		name  string
		lines string
		want  []Cosignature
		fails string
	}{
		{"the log alone", own, nil, ""},
		{"all that are known", own + l1 + l2, []Cosignature{{"w1", w1.KeyHash(), specTime}, {"w2", w2.KeyHash(), later}}, ""},
		{"in the order of the lines", l2 + own + l1, []Cosignature{{"w2", w2.KeyHash(), later}, {"w1", w1.KeyHash(), specTime}}, ""},
		{"others are ignored", own + l3 + mlDSALine + l2, []Cosignature{{"w2", w2.KeyHash(), later}}, ""},
		{"the same name under another key is ignored", own + strings.Replace(l3, "w3", "w1", 1), nil, ""},
		{"twice the same", own + l1 + l1, []Cosignature{{"w1", w1.KeyHash(), specTime}}, ""},
		{"twice, and again later", own + l1 + cosign(t, w1, specBody, later), []Cosignature{{"w1", w1.KeyHash(), specTime}}, ""},
		{"the latest time there is", own + forge(t, "w1", maxCosignatureTime), []Cosignature{{"w1", w1.KeyHash(), time.Unix(maxCosignatureTime, 0).UTC()}}, ""},

		{"over another checkpoint", own + cosign(t, w1, goldenBody, specTime), nil, "invalid signature for key w1"},
		{"over a body without an extension", own + cosign(t, w1, specBody+"x\n", specTime), nil, "invalid signature"},
		{"the time altered", own + flipped(l1, 8*11), nil, "invalid signature"},
		{"the signature altered", own + flipped(l1, 8*20), nil, "invalid signature"},
		{"a wrong one behind a right one", own + l2 + l1 + flipped(l1, 8*20), nil, "invalid signature"},
		{"an Ed25519 signature without a time", own + "— w1 " + base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, w1.KeyHash()), sig...)) + "\n", nil, "invalid signature"},
		{"a time that cannot be written", own + forge(t, "w1", maxCosignatureTime+1), nil, "invalid signature"},
		{"a time above 2^63", own + forge(t, "w1", 1<<63), nil, "invalid signature"},
		{"no signature", "", nil, "malformed note"},
		{"a line that is none", own + "x\n", nil, "malformed note"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Cosignatures([]byte(specBody+"\n"+tt.lines), w1.Verifier(), w2.Verifier())
			switch {
			case tt.fails == "" && err != nil:
				t.Fatal(err)
			case tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)):
				t.Errorf("%v, want %q", err, tt.fails)
			case !slices.Equal(got, tt.want):
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
			var invalid *note.InvalidSignatureError
			if wrong := strings.HasPrefix(tt.fails, "invalid signature"); errors.As(err, &invalid) != wrong {
				t.Errorf("%v can be told from others: %v", err, !wrong)
			}
		})
	}
	if _, err := Cosignatures([]byte("a text\n\n"+l1), w1.Verifier()); err == nil || !strings.Contains(err.Error(), "are required") {
		t.Errorf("a note that is no checkpoint: %v", err)
	}
	if _, err := Cosignatures(make([]byte, MaxCheckpointSize+1)); err == nil || !strings.Contains(err.Error(), "more than 65536") {
		t.Errorf("too long: %v", err)
	}
}

func TestPeekCosignatures(t *testing.T) {
	w1, w2 := testWitness(t, "w1"), testWitness(t, "w2")
	own := "— example.com/log " + base64.StdEncoding.EncodeToString(make([]byte, 4+64)) + "\n"
	got, err := PeekCosignatures([]byte(specBody + "\n" + own + cosign(t, w2, specBody, specTime) + cosign(t, w1, "other"+specBody, specTime.Add(time.Hour)) + forge(t, "w3", maxCosignatureTime+1)))
	want := []Cosignature{{"w2", w2.KeyHash(), specTime}, {"w1", w1.KeyHash(), specTime.Add(time.Hour)}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %v, %v\nwant %v", got, err, want)
	}
	if _, err := PeekCosignatures([]byte("no checkpoint")); err == nil {
		t.Error("of what is none")
	}
}

func TestAddCosignature(t *testing.T) {
	w1, w2 := testWitness(t, "w1"), testWitness(t, "w2")
	l1, l2, again := cosign(t, w1, specBody, specTime), cosign(t, w2, specBody, specTime), cosign(t, w1, specBody, specTime.Add(time.Hour))
	for _, tt := range []struct{ name, signed, line, want string }{
		{"behind what is there", specCheckpoint, l1, specCheckpoint + l1},
		{"behind another", specCheckpoint + l1, l2, specCheckpoint + l1 + l2},
		{"again by the same key", specCheckpoint + l1 + l2, again, specCheckpoint + l2 + again},
		{"the very same", specCheckpoint + l1 + l2, l1, specCheckpoint + l2 + l1},
		{"the same name, another key", specCheckpoint + strings.Replace(l2, "w2", "w1", 1), l1, specCheckpoint + strings.Replace(l2, "w2", "w1", 1) + l1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			given := []byte(tt.signed)
			got, err := AddCosignature(given, []byte(tt.line))
			if err != nil || string(got) != tt.want {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, tt.want)
			}
			if string(given) != tt.signed {
				t.Error("the bytes given were changed")
			}
		})
	}
	full := specBody + "\n"
	for i := range maxSignatures {
		full += cosign(t, testWitness(t, fmt.Sprint("x", i)), specBody, specTime)
	}
	const base64Room = (MaxCheckpointSize - len(specBody+"\n— x \n")) / 4 * 4
	long := specBody + "\n— x " + strings.Repeat("A", base64Room) + "\n"
	for _, tt := range []struct{ name, signed, line, want string }{
		{"no line", specCheckpoint, "", "is not one signature line"},
		{"no newline", specCheckpoint, strings.TrimSuffix(l1, "\n"), "is not one signature line"},
		{"two lines", specCheckpoint, l1 + l2, "is not one signature line"},
		{"the same line twice", specCheckpoint, l1 + l1, "is not one signature line"},
		{"an empty line before", specCheckpoint, "\n" + l1, "is not one signature line"},
		{"a text before", specCheckpoint, "x\n\n" + l1, "is not one signature line"},
		{"no em dash", specCheckpoint, l1[len("—"):], "is not one signature line"},
		{"HTML", specCheckpoint, "<html>\n", "is not one signature line"},
		{"no checkpoint", "a text\n\n" + l1, l2, "required"},
		{"an unsigned checkpoint", specBody, l1, "malformed note"},
		{"too many", full, l1, "101 signatures"},
		{"too long", long, l1, "more than 65536"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := AddCosignature([]byte(tt.signed), []byte(tt.line))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%.200q, %v, want %q", got, err, tt.want)
			}
		})
	}
	if _, err := AddCosignature([]byte(full), []byte(cosign(t, testWitness(t, "x7"), specBody, specTime.Add(time.Hour)))); err != nil {
		t.Errorf("one in the place of another in a full checkpoint: %v", err)
	}
}

func FuzzParseCosignatureVerifier(f *testing.F) {
	f.Add(goldenWitnessVkey)
	f.Add(mlDSA("w"))
	f.Add(testSigner(f, testOrigin, "a").VerifierKey())
	f.Add("++")
	f.Fuzz(func(t *testing.T, vkey string) {
		if v, err := ParseCosignatureVerifier(vkey); err == nil && (v.VerifierKey() != vkey || ValidOrigin(v.Name()) != nil) {
			t.Fatalf("read %q as %q", vkey, v.VerifierKey())
		}
	})
}

func FuzzParseCosignatureSigner(f *testing.F) {
	f.Add(goldenWitnessSkey)
	f.Add("PRIVATE+KEY+w+00000000+BAAA")
	f.Add("PRIVATE+KEY+++")
	f.Fuzz(func(t *testing.T, skey string) {
		s, err := ParseCosignatureSigner(skey)
		if err != nil {
			return
		}
		if _, err := Cosignatures([]byte(specBody+"\n"+cosign(t, s, specBody, specTime)), s.Verifier()); err != nil {
			t.Fatalf("%q signs what does not verify: %v", skey, err)
		}
	})
}

// What is added to a checkpoint does not change what it says or who signed it.
func FuzzCosignatures(f *testing.F) {
	w := testWitness(f, "w1")
	f.Add([]byte(specCheckpoint), []byte(cosign(f, w, specBody, specTime)))
	f.Add([]byte(specBody+"\n"+goldenCosignature), []byte(goldenCosignature))
	f.Add([]byte("\n\n— x AAAAAAAA\n"), []byte("\n\n"))
	f.Fuzz(func(t *testing.T, signed, line []byte) {
		known := []*CosignatureVerifier{w.Verifier(), goldenSigner(t).Verifier()}
		before, cerr := Cosignatures(signed, known...)
		peeked, _ := PeekCosignatures(signed)
		for _, c := range before {
			if !slices.Contains(peeked, c) {
				t.Fatalf("%v is not among %v", c, peeked)
			}
		}
		got, err := AddCosignature(signed, line)
		if err != nil {
			return
		}
		was, err := PeekCheckpoint(signed)
		if err != nil {
			t.Fatalf("%q was added to, and is no checkpoint: %v", signed, err)
		}
		if is, err := PeekCheckpoint(got); err != nil || string(is.AppendBody(nil)) != string(was.AppendBody(nil)) {
			t.Fatalf("%q became %q, %v", signed, got, err)
		}
		if !bytes.HasSuffix(got, line) {
			t.Fatalf("%q does not end in %q", got, line)
		}
		if after, err := Cosignatures(got, known...); cerr == nil && err == nil && len(after) < len(before) {
			t.Fatalf("%v became %v", before, after)
		}
	})
}
