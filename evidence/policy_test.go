package evidence

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// cosignedCheckpoint returns a checkpoint of the log that the witnesses with these
// names cosigned, one second after the other.
func cosignedCheckpoint(t testing.TB, c *Checkpoint, log *Signer, witnesses ...string) []byte {
	t.Helper()
	signed, err := SignCheckpoint(c, log)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range witnesses {
		signed = append(signed, cosign(t, testWitness(t, name), string(c.AppendBody(nil)), specTime.Add(time.Duration(i)*time.Second))...)
	}
	return signed
}

// policyLines has a log and the witnesses x1 to x3 and y1 to y3, by lines.
func policyLines(t testing.TB) string {
	t.Helper()
	text := "log " + testSigner(t, testOrigin, "a").VerifierKey() + "\n"
	for _, name := range []string{"x1", "x2", "x3", "y1", "y2", "y3"} {
		text += "witness " + strings.ToUpper(name) + " " + testWitness(t, name).VerifierKey() + "\n"
	}
	return text
}

func parsePolicy(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPolicyOpen opens checkpoints with all kinds of quorum.
func TestPolicyOpen(t *testing.T) {
	log := testSigner(t, testOrigin, "a")
	c := goldenCheckpoint()
	groups := "group X-witnesses 2 X1 X2 X3\ngroup Y-witnesses any Y1 Y2 Y3\ngroup X-and-Y all X-witnesses Y-witnesses\n"
	for _, tt := range []struct {
		name, rest string
		enough     []string // each a list of witnesses
		tooFew     []string
	}{
		{"none", "quorum none\n", []string{"", "x1", "x1 y1 y2"}, nil},
		{"one witness", "quorum X2\n", []string{"x2", "x1 x2"}, []string{"", "x1", "x1 x3 y1 y2 y3"}},
		{"any", "group g any X1 X2\nquorum g\n", []string{"x1", "x2", "x2 x1"}, []string{"", "x3"}},
		{"all", "group g all X1 X2\nquorum g\n", []string{"x2 x1"}, []string{"", "x1", "x2", "x1 x3"}},
		{"one of one", "group g 1 X1\nquorum g\n", []string{"x1"}, []string{"", "x2"}},
		{"two of three", "group g 2 X1 X2 X3\nquorum g\n", []string{"x1 x2", "x3 x1", "x1 x2 x3"}, []string{"x1", "x1 x1", "x1 y1 y2"}},
		{"the example of the specification", groups + "quorum X-and-Y\n",
			[]string{"x1 x2 y1", "x2 x3 y3", "y2 x3 x1"}, []string{"x1 x2", "x1 x2 x3", "y1 y2 y3", "x1 y1 y2"}},
		{"a group that is not the quorum does not count", groups + "quorum Y-witnesses\n", []string{"y1"}, []string{"x1 x2 x3"}},
		{"logs and witnesses behind the quorum", "quorum X1\nwitness Z " + testWitness(t, "z").VerifierKey() + "\n", []string{"x1"}, []string{"z"}},
		{"white space and comments", "\t\n  # quorum none\n#\n \tgroup\t g  any\tX1 \n quorum \t g\t\n", []string{"x1"}, []string{""}},
		{"names of any octets", "group \xff\x80'\"none any X1\nquorum \xff\x80'\"none\n", []string{"x1"}, []string{""}},
		{"a number with a zero in front", "group g 02 X1 X2 X3\nquorum g\n", []string{"x1 x2"}, []string{"x1"}},
		{"keywords as names", "group all any X1\ngroup any 1 all\nquorum any\n", []string{"x1"}, []string{"x2"}},
		{"a witness that cannot be checked does not count", "witness pq " + mlDSA("pq") + "\ngroup g 2 X1 X2 pq\nquorum g\n", []string{"x1 x2"}, []string{"x1"}},
		{"a quorum that cannot be checked is never met", "witness pq " + mlDSA("pq") + " https://example.com\nquorum pq\n", nil, []string{"", "x1 x2 x3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := parsePolicy(t, policyLines(t)+tt.rest)
			open := func(names string) (*Opened, error) {
				witnesses := strings.Fields(names)
				opened, err := p.Open(cosignedCheckpoint(t, &c, log, witnesses...))
				if opened == nil {
					t.Fatalf("cosigned by %q: %v", names, err)
				}
				if opened.Checkpoint.Size != c.Size || opened.Checkpoint.Root != c.Root || opened.Checkpoint.Origin != testOrigin {
					t.Errorf("cosigned by %q: opened as %+v", names, opened.Checkpoint)
				}
				return opened, err
			}
			for _, names := range tt.enough {
				opened, err := open(names)
				if err != nil || !opened.Quorum {
					t.Errorf("cosigned by %q: quorum %v, %v", names, opened.Quorum, err)
				}
				for i, name := range strings.Fields(names) {
					w := testWitness(t, name)
					if got, want := opened.Cosigned[i], (Cosignature{name, w.KeyHash(), specTime.Add(time.Duration(i) * time.Second)}); got != want {
						t.Errorf("cosigned by %q: %+v, want %+v", names, got, want)
					}
				}
			}
			for _, names := range tt.tooFew {
				if opened, err := open(names); !errors.Is(err, ErrQuorum) || opened.Quorum {
					t.Errorf("cosigned by %q: quorum %v, %v, want ErrQuorum", names, opened.Quorum, err)
				}
			}
		})
	}
}

// TestPolicyCountsKeysNotNames: a witness is known by the name and the id of its key,
// and another one may share either.
func TestPolicyCountsKeysNotNames(t *testing.T) {
	p := Policy{quorum: "both", groups: []policyGroup{{"both", 2, []string{"A", "B", "C"}}}, witnesses: []PolicyWitness{
		{Name: "A", Verifier: &CosignatureVerifier{name: "witness.example.com/1", hash: 1}},
		{Name: "B", Verifier: &CosignatureVerifier{name: "witness.example.com/1", hash: 2}},
		{Name: "C", Verifier: &CosignatureVerifier{name: "witness.example.com/2", hash: 1}},
	}}
	a, b, c := Cosignature{Name: "witness.example.com/1", KeyHash: 1}, Cosignature{Name: "witness.example.com/1", KeyHash: 2}, Cosignature{Name: "witness.example.com/2", KeyHash: 1}
	for _, one := range []Cosignature{a, b, c} {
		if p.met([]Cosignature{one, one}) {
			t.Errorf("%+v counts for two", one)
		}
	}
	for _, two := range [][]Cosignature{{a, b}, {b, c}, {c, a}} {
		if !p.met(two) {
			t.Errorf("%+v do not count for two", two)
		}
	}
}

func TestPolicyOpenRefuses(t *testing.T) {
	log, other, elsewhere := testSigner(t, testOrigin, "a"), testSigner(t, testOrigin, "b"), testSigner(t, "example.org/other", "a")
	c := goldenCheckpoint()
	good := cosignedCheckpoint(t, &c, log, "x1")
	p := parsePolicy(t, policyLines(t)+"quorum X1\n")
	if _, err := p.Open(good); err != nil {
		t.Fatal(err)
	}
	foreign := c
	foreign.Origin = "example.org/other"
	flipped := bytes.Clone(good)
	flipped[len(flipped)-10] ^= 1 // within the cosignature
	two := parsePolicy(t, policyLines(t)+"log "+elsewhere.VerifierKey()[:len("example.org/other")]+testSigner(t, "example.org/other", "c").VerifierKey()[len("example.org/other"):]+"\nquorum none\n")
	pq := parsePolicy(t, "log "+mlDSA(testOrigin)+"\nquorum none\n")
	for _, tt := range []struct {
		name   string
		policy *Policy
		signed []byte
		want   string
	}{
		{"no policy", &Policy{}, good, "no log named \"example.org/trail\""},
		{"no log", parsePolicy(t, "quorum none\n"), good, "no log named"},
		{"log of a type that is not supported", pq, good, "no log named \"example.org/trail\" with an Ed25519 key"},
		{"other log", p, cosignedCheckpoint(t, &foreign, elsewhere, "x1"), "no log named \"example.org/other\""},
		{"other key", p, cosignedCheckpoint(t, &c, other, "x1"), "signature of the log"},
		{"key of another log", two, cosignedCheckpoint(t, &foreign, log), "signature of the log"},
		{"cosignatures alone", p, []byte(goldenBody + "\n" + cosign(t, testWitness(t, "x1"), goldenBody, specTime)), "signature of the log"},
		{"no signatures", p, []byte(goldenBody), "no signatures"},
		{"wrong cosignature", p, flipped, "cosignature: invalid signature"},
		{"too long", p, make([]byte, MaxCheckpointSize+1), "more than 65536"},
	} {
		opened, err := tt.policy.Open(tt.signed)
		if err == nil || opened != nil || errors.Is(err, ErrQuorum) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %+v, %v, want %q", tt.name, opened, err, tt.want)
		}
	}
	if _, err := p.Open(cosignedCheckpoint(t, &c, other, "x1")); !errors.Is(err, ErrUnsigned) {
		t.Errorf("other key: %v, want ErrUnsigned", err)
	}
	var invalid *note.InvalidSignatureError
	if _, err := p.Open(flipped); !errors.As(err, &invalid) {
		t.Errorf("wrong cosignature: %v, want InvalidSignatureError", err)
	}
}

// TestPolicyOfTwoKeys: a trail may have several keys, as it has after a rotation.
func TestPolicyOfTwoKeys(t *testing.T) {
	first, second := testSigner(t, testOrigin, "a"), testSigner(t, testOrigin, "b")
	p := parsePolicy(t, "log "+first.VerifierKey()+"\nlog "+second.VerifierKey()+" https://example.org\nquorum none\n")
	c := goldenCheckpoint()
	for _, signer := range []*Signer{first, second} {
		if _, err := p.Open(cosignedCheckpoint(t, &c, signer)); err != nil {
			t.Error(err)
		}
	}
}

// TestPolicyTellsWhatItNames: for those who have to reach logs and witnesses.
func TestPolicyTellsWhatItNames(t *testing.T) {
	log, x1 := testSigner(t, testOrigin, "a"), testWitness(t, "x1")
	p := parsePolicy(t, "witness pq "+mlDSA("pq")+"\nlog "+log.VerifierKey()+" https://example.org\nlog "+mlDSA("example.org/pq")+"\nwitness X1 "+x1.VerifierKey()+" https://witness.example.com\nquorum none\n")
	if logs := p.Logs(); len(logs) != 1 || logs[0].Name() != testOrigin || logs[0].KeyHash() != log.KeyHash() {
		t.Errorf("logs %v", logs)
	}
	witnesses := p.Witnesses()
	if len(witnesses) != 2 || witnesses[0] != (PolicyWitness{Name: "pq"}) {
		t.Fatalf("witnesses %+v", witnesses)
	}
	if w := witnesses[1]; w.Name != "X1" || w.Verifier.VerifierKey() != x1.VerifierKey() || w.URL != "https://witness.example.com" {
		t.Errorf("witness %+v", w)
	}
	witnesses[1] = PolicyWitness{}
	if p.Witnesses()[1].Name != "X1" {
		t.Error("the caller can change the policy")
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	log, x1, x2 := testSigner(t, testOrigin, "a").VerifierKey(), testWitness(t, "x1").VerifierKey(), testWitness(t, "x2").VerifierKey()
	skey, _, err := GenerateKey("example.org/x")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.SplitN(x1, "+", 3)[2])
	if err != nil {
		t.Fatal(err)
	}
	renamed := newCosignatureVerifier("another-name", raw[1:]).VerifierKey()
	two := "witness w1 " + x1 + "\nwitness w2 " + x2 + "\n"
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "policy has no quorum line"},
		{"no quorum", "log " + log + "\n", "policy has no quorum line"},
		{"cut short", "quorum none", "line 1: it does not end in a newline"},
		{"two quorums", "quorum none\n\nquorum none\n", "line 3: there is a quorum on line 1 already"},
		{"quorum without name", "quorum\n", "line 1: expected: quorum <name>"},
		{"quorum of two", two + "quorum w1 w2\n", "line 3: expected: quorum <name>"},
		{"quorum of nobody", "quorum w1\n", "line 1: the quorum \"w1\" is not defined"},
		{"quorum before the witness", "quorum w1\n" + two, "line 1: the quorum \"w1\" is not defined"},
		{"unknown keyword", "# a\nlogs x\n", "line 2: \"logs\" is neither"},
		{"keyword in capitals", "Log " + log + "\n", "line 1: \"Log\" is neither"},
		{"carriage return", "quorum none\r\n", "line 1: byte 11 is 0x0d"},
		{"delete", "# \x7f\n", "byte 2 is 0x7f"},
		{"nul in a comment", "#\x00\n", "byte 1 is 0x00"},
		{"log without key", "log\n", "line 1: expected: log <vkey>"},
		{"log with a comment", "log " + log + " # a log\n", "line 1: expected: log <vkey>"},
		{"log with half a key", "log " + log[:40] + "\n", "is not a verifier key"},
		{"log with another id", "log " + strings.Replace(log, "+", "+0", 1) + "\n", "is not a verifier key"},
		{"log with a signing key", "log " + skey + "\n", "must stay secret"},
		{"log with a witness's key", "log " + x1 + "\n", "line 1: this key is one that witnesses cosign with"},
		{"log twice", "log " + log + "\nlog " + log + " url\n", "line 2: this log's public key is on line 1 already"},
		{"log with a key of no bytes", "log a+00000000+Bg==\n", "is not a verifier key"},
		{"witness without key", "witness w\n", "line 1: expected: witness <name> <vkey>"},
		{"witness with two URLs", "witness w " + x1 + " a b\n", "line 1: expected: witness"},
		{"witness with a log's key", "witness w " + log + "\n", "line 1: verifier key of example.org/trail is one that logs sign with"},
		{"witness with a signing key", "witness w " + skey + "\n", "must stay secret"},
		{"witness named none", "witness none " + x1 + "\n", "line 1: the name none is taken"},
		{"witness twice", "witness a " + x1 + "\nwitness b " + x1 + "\n", "line 2: this witness's public key is on line 1 already"},
		{"witness twice, with another name in the key", "witness a " + x1 + "\nwitness b " + renamed + "\n", "line 2: this witness's public key is on line 1 already"},
		{"witness of an unknown type twice", "witness a " + mlDSA("a") + "\nwitness b " + mlDSA("b") + "\n", "line 2: this witness's public key is on line 1 already"},
		{"name twice", "witness a " + x1 + "\nwitness a " + x2 + "\n", "line 2: the name \"a\" is on line 1 already"},
		{"group without members", two + "group g any\n", "line 3: expected: group"},
		{"group of nobody", two + "group g any w1 w3\n", "line 3: the member \"w3\" is not defined"},
		{"group in itself", two + "group g any w1 g\n", "line 3: the member \"g\" is not defined"},
		{"group of none", two + "group g any none\n", "line 3: none cannot be a member"},
		{"group named none", two + "group none any w1\n", "line 3: the name none is taken"},
		{"group named as a witness", two + "group w1 any w2\n", "line 3: the name \"w1\" is on line 1 already"},
		{"member twice", two + "group g any w1 w1\n", "line 3: the member \"w1\" is on line 3 already"},
		{"member of two groups", two + "group g any w1\ngroup h any w1\n", "line 4: the member \"w1\" is on line 3 already"},
		{"threshold 0", two + "group g 0 w1 w2\n", "line 3: \"0\" is neither all nor any nor a number from 1 to 2"},
		{"threshold above", two + "group g 3 w1 w2\n", "a number from 1 to 2"},
		{"threshold with a sign", two + "group g +1 w1 w2\n", "a number from 1 to 2"},
		{"threshold in hex", two + "group g 0x1 w1 w2\n", "a number from 1 to 2"},
		{"threshold beyond 64 bits", two + "group g 18446744073709551617 w1 w2\n", "a number from 1 to 2"},
		{"threshold in words", two + "group g ANY w1 w2\n", "a number from 1 to 2"},
		{"too long", strings.Repeat("#\n", MaxPolicySize), "more than 1048576"},
	} {
		p, err := ParsePolicy([]byte(tt.text))
		if err == nil || p != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), skey[len(skey)-20:]) {
			t.Errorf("%s: the error tells the key: %v", tt.name, err)
		}
	}
}

// TestPolicyTakesManyLines: the specification recommends at least 32 of each.
func TestPolicyTakesManyLines(t *testing.T) {
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "log %s\nwitness w%d %s\n", testSigner(t, fmt.Sprint("example.org/", i), fmt.Sprint(i)).VerifierKey(), i, testWitness(t, fmt.Sprint("w", i)).VerifierKey())
	}
	// Each group in the next one: however deep they are, nothing overflows.
	for i := range 500 {
		fmt.Fprintf(&text, "group g%d all w%d", i, i)
		if i > 0 {
			fmt.Fprintf(&text, " g%d", i-1)
		}
		text.WriteString("\n")
	}
	p := parsePolicy(t, text.String()+"quorum g1\n")
	c := goldenCheckpoint()
	c.Origin = "example.org/77"
	log := testSigner(t, c.Origin, "77")
	if _, err := p.Open(cosignedCheckpoint(t, &c, log, "w1", "w0")); err != nil {
		t.Error(err)
	}
	if _, err := p.Open(cosignedCheckpoint(t, &c, log, "w1", "w2")); !errors.Is(err, ErrQuorum) {
		t.Error(err)
	}
}

func FuzzParsePolicy(f *testing.F) {
	text := policyLines(f) + "group g 2 X1 X2 X3\n# comment\n\tquorum\tg \n"
	c := goldenCheckpoint()
	signed := cosignedCheckpoint(f, &c, testSigner(f, testOrigin, "a"), "x1", "x2")
	f.Add([]byte(text))
	f.Add([]byte("quorum none\n"))
	f.Add([]byte("witness pq " + mlDSA("pq") + "\nquorum pq\n"))
	f.Add([]byte("witness a b\r\ngroup g 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePolicy(b)
		if err != nil {
			return
		}
		opened, err := p.Open(signed)
		if err == nil && (!opened.Quorum || opened.Checkpoint.Root != c.Root) {
			t.Fatalf("%q opens %+v", b, opened)
		}
		if errors.Is(err, ErrQuorum) == (opened == nil) && err != nil {
			t.Fatalf("%q opens %+v, %v", b, opened, err)
		}
	})
}
