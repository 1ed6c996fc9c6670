package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// testSigner returns a signer whose key is known to everybody: for tests only.
func testSigner(t testing.TB, origin, seed string) *Signer {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	s, err := NewSigner(origin, ed25519.NewKeyFromSeed(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const testOrigin = "example.org/trail"

const goldenBody = "example.org/trail\n41\ndADFI6zM4yiWu3oAL5Vbt0HpQRB3Gu6XUdWPa3B6yr4=\n"

func goldenCheckpoint() Checkpoint {
	return Checkpoint{Origin: testOrigin, Size: 41, Root: fixed.Prev}
}

func TestCheckpointBodyGolden(t *testing.T) {
	c := goldenCheckpoint()
	if got := c.AppendBody([]byte("x")); string(got) != "x"+goldenBody {
		t.Errorf("got  %q\nwant %q", got, "x"+goldenBody)
	}
	got, err := ParseCheckpointBody(goldenBody)
	if err != nil || got.Origin != c.Origin || got.Size != c.Size || got.Root != c.Root || got.Extensions != nil {
		t.Errorf("ParseCheckpointBody = %+v, %v", got, err)
	}
}

func TestCheckpointKeepsExtensions(t *testing.T) {
	c := goldenCheckpoint()
	c.Extensions = []string{"of somebody else", "a second line"}
	body := c.AppendBody(nil)
	got, err := ParseCheckpointBody(string(body))
	if err != nil || !slices.Equal(got.Extensions, c.Extensions) {
		t.Fatalf("%+v, %v", got, err)
	}
	if again := got.AppendBody(nil); !bytes.Equal(again, body) {
		t.Errorf("written again as %q", again)
	}
}

func TestParseCheckpointBodyRefuses(t *testing.T) {
	const root = "dADFI6zM4yiWu3oAL5Vbt0HpQRB3Gu6XUdWPa3B6yr4="
	for _, tt := range []struct{ name, body, want string }{
		{"nothing", "", "does not end in a newline"},
		{"no last newline", strings.TrimSuffix(goldenBody, "\n"), "does not end in a newline"},
		{"two lines", "o\n1\n", "has 2 lines"},
		{"no origin", "\n1\n" + root + "\n", "line 1: the origin is empty"},
		{"no size", "o\n\n" + root + "\n", "line 2"},
		{"size with a sign", "o\n+1\n" + root + "\n", "line 2"},
		{"size with a leading zero", "o\n01\n" + root + "\n", "line 2"},
		{"size in hex", "o\n0x1\n" + root + "\n", "line 2"},
		{"size with an underscore", "o\n1_0\n" + root + "\n", "line 2"},
		{"size beyond 63 bits", "o\n9223372036854775808\n" + root + "\n", "line 2"},
		{"short root", "o\n1\ndADF\n", "line 3"},
		{"root in URL base64", "o\n1\n" + strings.Replace(root, "d", "_", 1) + "\n", "line 3"},
		{"root with stray bits", "o\n1\n" + strings.Replace(root, "4=", "5=", 1) + "\n", "line 3"},
		{"root with space", "o\n1\n" + root + " \n", "line 3"},
		{"empty extension", "o\n1\n" + root + "\n\n", "line 4: an extension line is empty"},
		{"second extension empty", "o\n1\n" + root + "\nx\n\n", "line 5"},
		{"carriage return", "o\r\n1\n" + root + "\n", "control characters"},
		{"escape sequence", "\x1b[31mo\n1\n" + root + "\n", "control characters"},
		{"not UTF-8", "o\xff\n1\n" + root + "\n", "UTF-8"},
		{"too long", "o\n1\n" + root + "\n" + strings.Repeat("x", MaxCheckpointSize) + "\n", "more than 65536"},
	} {
		if _, err := ParseCheckpointBody(tt.body); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	for _, body := range []string{"o\n0\n" + root + "\n", "o\n9223372036854775807\n" + root + "\n", "ö/ä\n1\n" + root + "\nx y\n"} {
		if _, err := ParseCheckpointBody(body); err != nil {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestSignAndOpenCheckpoint(t *testing.T) {
	log, other, witness := testSigner(t, testOrigin, "a"), testSigner(t, testOrigin, "b"), testSigner(t, "witness.example", "c")
	c := goldenCheckpoint()
	signed, err := SignCheckpoint(&c, log, witness)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(signed, []byte(goldenBody+"\n— "+testOrigin+" ")) {
		t.Errorf("signed as %q", signed)
	}

	// x/mod/sumdb/note, which did not write it, reads it.
	n, err := note.Open(signed, note.VerifierList(log.Verifier()))
	if err != nil || n.Text != goldenBody || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 1 {
		t.Fatalf("note.Open = %+v, %v", n, err)
	}

	for _, tt := range []struct {
		name  string
		known []note.Verifier
		by    []uint32
	}{
		{"the trail's key", []note.Verifier{log.Verifier()}, []uint32{log.KeyHash()}},
		{"the witness's key", []note.Verifier{witness.Verifier()}, []uint32{witness.KeyHash()}},
		{"both keys", []note.Verifier{witness.Verifier(), log.Verifier()}, []uint32{log.KeyHash(), witness.KeyHash()}},
		{"a key that did not sign, too", []note.Verifier{other.Verifier(), log.Verifier()}, []uint32{log.KeyHash()}},
	} {
		got, by, err := OpenCheckpoint(signed, tt.known...)
		if err != nil || got.Size != c.Size || got.Root != c.Root || got.Origin != c.Origin || !slices.Equal(by, tt.by) {
			t.Errorf("%s: %+v by %x, %v", tt.name, got, by, err)
		}
	}
	for name, known := range map[string][]note.Verifier{"no key": nil, "another key of the same name": {other.Verifier()}} {
		if _, _, err := OpenCheckpoint(signed, known...); !errors.Is(err, ErrUnsigned) {
			t.Errorf("%s: %v", name, err)
		}
	}

	by, err := SignatureKeys(signed)
	if err != nil || !slices.Equal(by, []uint32{log.KeyHash(), witness.KeyHash()}) {
		t.Errorf("SignatureKeys = %x, %v", by, err)
	}
	if peek, err := PeekCheckpoint(signed); err != nil || peek.Size != c.Size || peek.Root != c.Root {
		t.Errorf("PeekCheckpoint = %+v, %v", peek, err)
	}
}

// TestSignCheckpointIsThatOfNote: the bytes are those that package note writes.
func TestSignCheckpointIsThatOfNote(t *testing.T) {
	log, witness := testSigner(t, testOrigin, "a"), testSigner(t, "witness.example", "c")
	for _, extensions := range [][]string{nil, {"one"}, {"one", strings.Repeat("long ", 100)}} {
		for _, signers := range [][]note.Signer{{}, {log}, {log, witness}, {witness, log}} {
			c := goldenCheckpoint()
			c.Extensions = extensions
			got, err := SignCheckpoint(&c, signers...)
			if err != nil {
				t.Fatal(err)
			}
			want, err := note.Sign(&note.Note{Text: string(c.AppendBody(nil))}, signers...)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("got  %q\nwant %q, %v", got, want, err)
			}
		}
	}
}

// TestOpenCheckpointRefusesEveryFlip flips every bit of a signed checkpoint. No
// key may open it if its body changed, and a key whose own signature changed may
// not either.
func TestOpenCheckpointRefusesEveryFlip(t *testing.T) {
	log, witness := testSigner(t, testOrigin, "a"), testSigner(t, "witness.example", "c")
	c := goldenCheckpoint()
	signed, err := SignCheckpoint(&c, log, witness)
	if err != nil {
		t.Fatal(err)
	}
	first, second := bytes.Index(signed, []byte("— ")), bytes.LastIndex(signed, []byte("— "))
	for i := range signed {
		for bit := range 8 {
			b := bytes.Clone(signed)
			b[i] ^= 1 << bit
			if sameSignature(signed, b) {
				continue
			}
			for _, key := range []struct {
				name     string
				v        note.Verifier
				from, to int // its signature
			}{
				{"the trail's key", log.Verifier(), first, second},
				{"the witness's key", witness.Verifier(), second, len(signed)},
			} {
				got, by, err := OpenCheckpoint(b, key.v)
				switch {
				case err != nil:
				case i < first || i >= key.from && i < key.to:
					t.Errorf("bit %d of byte %d: opened with %s", bit, i, key.name)
				case got.Origin != c.Origin || got.Size != c.Size || got.Root != c.Root || !slices.Equal(by, []uint32{key.v.KeyHash()}):
					t.Errorf("bit %d of byte %d: opened with %s as %+v by %x", bit, i, key.name, got, by)
				}
			}
		}
	}
	for n := range signed {
		if _, _, err := OpenCheckpoint(signed[:n], log.Verifier()); err == nil && n < second {
			t.Errorf("cut short at %d: opened", n)
		}
	}
}

// sameSignature reports whether b differs from signed only in bits of base64
// that stand for nothing, which package note passes over.
func sameSignature(signed, b []byte) bool {
	a, c := bytes.Split(signed, []byte("\n")), bytes.Split(b, []byte("\n"))
	if len(a) != len(c) {
		return false
	}
	for i := range a {
		if bytes.Equal(a[i], c[i]) {
			continue
		}
		x, y := bytes.Fields(a[i]), bytes.Fields(c[i])
		if len(x) != 3 || len(y) != 3 {
			return false
		}
		p, err1 := base64.StdEncoding.DecodeString(string(x[2]))
		q, err2 := base64.StdEncoding.DecodeString(string(y[2]))
		if err1 != nil || err2 != nil || !bytes.Equal(p, q) || !bytes.Equal(x[1], y[1]) {
			return false
		}
	}
	return true
}

func TestOpenCheckpointIgnoresUnknownKeys(t *testing.T) {
	log := testSigner(t, testOrigin, "a")
	c := goldenCheckpoint()
	signed, err := SignCheckpoint(&c, log)
	if err != nil {
		t.Fatal(err)
	}
	// A line by nobody known, of whatever algorithm and length.
	signed = append(signed, "— somebody.example AAAAAWZvb2JhcgA=\n"...)
	if _, by, err := OpenCheckpoint(signed, log.Verifier()); err != nil || len(by) != 1 {
		t.Errorf("by %x, %v", by, err)
	}
	// The same key once more, with a wrong signature: the first one counts.
	lines := strings.SplitAfter(string(signed), "\n")
	twice := strings.Join(lines[:5], "") + lines[4]
	if _, by, err := OpenCheckpoint([]byte(twice), log.Verifier()); err != nil || len(by) != 1 {
		t.Errorf("by %x, %v", by, err)
	}
}

func TestOpenCheckpointRefusesOneWrongSignature(t *testing.T) {
	log, witness := testSigner(t, testOrigin, "a"), testSigner(t, "witness.example", "c")
	c := goldenCheckpoint()
	signed, err := SignCheckpoint(&c, log, witness)
	if err != nil {
		t.Fatal(err)
	}
	c.Size++
	wrong, err := SignCheckpoint(&c, witness)
	if err != nil {
		t.Fatal(err)
	}
	// The body of one with the witness's signature of the other.
	at, from := bytes.LastIndex(signed, []byte("— ")), bytes.LastIndex(wrong, []byte("— "))
	mixed := append(bytes.Clone(signed[:at]), wrong[from:]...)
	if _, _, err := OpenCheckpoint(mixed, log.Verifier()); err != nil {
		t.Errorf("the trail's own signature holds, but: %v", err)
	}
	if _, _, err := OpenCheckpoint(mixed, log.Verifier(), witness.Verifier()); !errors.Is(err, ErrUnsigned) {
		t.Errorf("a wrong signature of a known key: %v", err)
	}
}

func TestOpenCheckpointRefusesForms(t *testing.T) {
	log := testSigner(t, testOrigin, "a")
	sign := func(text string) []byte {
		signed, err := note.Sign(&note.Note{Text: text}, log)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	for _, tt := range []struct {
		name   string
		signed []byte
		want   string
	}{
		{"no checkpoint", sign("something else\n"), "has 1 lines"},
		{"an empty extension", sign(goldenBody + "\n"), "line 4"},
		{"no signature", []byte(goldenBody), "malformed note"},
		{"an empty signature block", []byte(goldenBody + "\n"), "malformed note"},
		{"nothing", nil, "malformed note"},
		{"too long", append(sign(goldenBody), make([]byte, MaxCheckpointSize)...), "more than 65536"},
	} {
		if _, _, err := OpenCheckpoint(tt.signed, log.Verifier()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := PeekCheckpoint([]byte(goldenBody)); err == nil || !strings.Contains(err.Error(), "no signatures") {
		t.Errorf("PeekCheckpoint without signatures: %v", err)
	}
	if _, err := PeekCheckpoint(make([]byte, MaxCheckpointSize+1)); err == nil {
		t.Error("PeekCheckpoint of too much: accepted")
	}
	if _, err := SignatureKeys([]byte(goldenBody)); err == nil {
		t.Error("SignatureKeys without signatures: accepted")
	}
	if _, err := SignatureKeys(make([]byte, MaxCheckpointSize+1)); err == nil {
		t.Error("SignatureKeys of too much: accepted")
	}
}

// failingKey is a key whose holder cannot be reached.
type failingKey struct{ ed25519.PrivateKey }

var errUnreachable = errors.New("the token is not plugged in")

func TestSignCheckpointWhenTheKeyFails(t *testing.T) {
	sum := sha256.Sum256([]byte("a"))
	s, err := NewSigner(testOrigin, failingKey{ed25519.NewKeyFromSeed(sum[:])})
	if err != nil {
		t.Fatal(err)
	}
	c := goldenCheckpoint()
	if _, err := SignCheckpoint(&c, s); !errors.Is(err, errUnreachable) {
		t.Errorf("%v", err)
	}
}
