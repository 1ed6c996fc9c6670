package event

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// testKey is a key that is derived from its name, and protects nothing.
type testKey struct {
	note.Verifier
	key  ed25519.PrivateKey
	vkey string
}

func newTestKey(t testing.TB, name string) testKey {
	t.Helper()
	seed := sha256.Sum256([]byte("custody test key " + name))
	k := testKey{key: ed25519.NewKeyFromSeed(seed[:])}
	var err error
	if k.vkey, err = note.NewEd25519VerifierKey(name, k.key.Public().(ed25519.PublicKey)); err != nil {
		t.Fatal(err)
	}
	if k.Verifier, err = note.NewVerifier(k.vkey); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k testKey) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(k.key, msg), nil }

func payloadOf(t testing.TB, e Event) []byte {
	t.Helper()
	b, err := e.AppendPayload(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signed(t testing.TB, e Event, k testKey) Event {
	t.Helper()
	e, err := e.Sign(k)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func lenient(t testing.TB, e Event) Event {
	t.Helper()
	e, err := e.Normalize(Lenient)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// toSign is an event as a producer has it: the trail adds its severity and principal.
func toSign() Event {
	e := typical()
	e.Severity, e.SourceRun, e.SourceSeq = "", "run-1", seq(7)
	return e
}

// What is signed is computed here by the words of docs/producers.md, and not by the code
// that it checks.
func TestSignedBytes(t *testing.T) {
	k := newTestKey(t, "p.example.com")
	e := signed(t, toSign(), k)
	sent := payloadOf(t, e)
	var members map[string]any
	if err := json.Unmarshal(sent, &members); err != nil {
		t.Fatal(err)
	}
	sig := members["signature"].(map[string]any)
	field := func(name string) []byte {
		b, err := base64.StdEncoding.DecodeString(sig[name].(string))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	canonical := payloadOf(t, toSign())
	commitment := sha256.Sum256(slices.Concat([]byte("custody event commitment v1\n"), field("salt"), canonical))
	if !bytes.Equal(commitment[:], field("commitment")) {
		t.Error("another commitment")
	}
	text := "custody event v1\n" + base64.StdEncoding.EncodeToString(commitment[:]) + "\n"
	if !ed25519.Verify(k.key.Public().(ed25519.PublicKey), []byte(text), field("sig")) {
		t.Error("the signature is of other bytes")
	}
	if again := payloadOf(t, signed(t, toSign(), k)); !bytes.Equal(again, sent) {
		t.Error("signing again gives another signature")
	}
}

// A signature is kept through all that a trail does with an event.
func TestSignatureIsRecorded(t *testing.T) {
	k := newTestKey(t, "p.example.com")
	for name, tt := range map[string]struct {
		sent     func(e Event) Event // before it is signed
		recorded func(e *Event)      // what a trail does to it before Normalize
		intact   bool
		unsigned []string
	}{
		"as it is": {nil, nil, true, []string{"severity"}},
		"the trail adds": {func(e Event) Event { e.Timestamp = time.Time{}; return e }, func(e *Event) {
			e.Principal, e.Timestamp = "token:x", time.Unix(1, 0)
		}, true, []string{"principal", "severity", "timestamp"}},
		"it has a severity":         {func(e Event) Event { e.Severity = SeverityInfo; return e }, nil, true, []string{}},
		"a principal is not signed": {func(e Event) Event { e.Principal = "me"; return e }, func(e *Event) { e.Principal = "token:x" }, true, []string{"principal", "severity"}},
		"a detail is missing":       {func(e Event) Event { delete(e.Details, "tool_name"); return e }, nil, true, []string{"defects", "severity"}},
		"a detail is redacted": {nil, func(e *Event) {
			e.Details["resource"] = "***"
			e.Redactions = []Redaction{{"/details/resource", "r", "mask"}}
		}, false, nil},
		"a value is moved":           {func(e Event) Event { e.Outcome = "nothing of ours"; return e }, nil, false, nil},
		"another timestamp":          {nil, func(e *Event) { e.Timestamp = e.Timestamp.Add(time.Second) }, false, nil},
		"times are cut on the wire":  {func(e Event) Event { e.Timestamp = e.Timestamp.Add(999); return e }, nil, true, []string{"severity"}},
		"a number that is no double": {nil, func(e *Event) { e.SourceSeq = seq(8) }, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := toSign()
			if tt.sent != nil {
				e = tt.sent(e)
			}
			sent := payloadOf(t, signed(t, e, k))
			if c, err := CheckSignature(sent, k); err != nil || !c.Intact {
				t.Fatalf("as it is sent: %+v, %v", c, err)
			}
			got, notes, err := Decode(sent)
			if err != nil || len(notes) > 0 {
				t.Fatal(notes, err)
			}
			if tt.recorded != nil {
				tt.recorded(&got)
			}
			got = lenient(t, got)
			payload := payloadOf(t, got)
			c, err := CheckSignature(payload, newTestKey(t, "other.example.com"), k)
			if err != nil {
				t.Fatalf("%s: %v", payload, err)
			}
			if c.Intact != tt.intact || !slices.Equal(c.Unsigned, tt.unsigned) || c.Key.Name() != "p.example.com" {
				t.Errorf("got %+v of %s", c, payload)
			}
			if !tt.intact && bytes.Contains(payload, []byte(`"salt"`)) {
				t.Error("the salt is kept, so that what was redacted can be found out by trying")
			}
			roundTrip(t, &got, payload)
			if again := payloadOf(t, lenient(t, got)); !bytes.Equal(again, payload) {
				t.Errorf("normalized again: %s", again)
			}
		})
	}
}

// A producer need not say what a trail will add.
func TestSentWithoutUnsigned(t *testing.T) {
	k := newTestKey(t, "p.example.com")
	e := signed(t, toSign(), k)
	e.Signature.Unsigned = nil
	sent := payloadOf(t, e)
	if bytes.Contains(sent, []byte("unsigned")) {
		t.Fatal("it is sent")
	}
	got, _, err := Decode(sent)
	if err != nil {
		t.Fatal(err)
	}
	got.Principal = "token:x"
	c, err := CheckSignature(payloadOf(t, lenient(t, got)), k)
	if err != nil || !c.Intact || !slices.Equal(c.Unsigned, []string{"principal", "severity"}) {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestNormalizeKeepsTheCallersSignature(t *testing.T) {
	e := signed(t, toSign(), newTestKey(t, "p.example.com"))
	before := *e.Signature
	e.Details = map[string]any{}
	if n := lenient(t, e); n.Signature.Salt != nil {
		t.Error("the salt is kept")
	}
	if e.Signature.Salt == nil || !slices.Equal(e.Signature.Unsigned, before.Unsigned) {
		t.Error("what the caller passed was modified")
	}
}

func TestSignRefuses(t *testing.T) {
	k := newTestKey(t, "p.example.com")
	e := toSign()
	e.ID = ""
	if _, err := e.Sign(k); err == nil || !strings.Contains(err.Error(), "/id") {
		t.Errorf("without an id: %v", err)
	}
	e = toSign()
	e.Details = map[string]any{"n": uint64(1<<53 + 1)}
	if _, err := e.Sign(k); err == nil {
		t.Error("a number that is not exact is signed")
	}
	e = toSign()
	e.Signature = &Signature{KeyID: "x"}
	if _, err := e.AppendPayload(nil); err == nil || !strings.Contains(err.Error(), "/signature/key_id") {
		t.Errorf("a signature that is none: %v", err)
	}
}

// signatureVector is one vector of testdata/vectors/signed-events.json.
type signatureVector struct {
	Name     string   `json:"name"`
	Event    string   `json:"event"` // base64
	Keys     []string `json:"keys"`
	Valid    bool     `json:"valid"`
	Producer string   `json:"producer,omitempty"`
	Intact   bool     `json:"intact,omitempty"`
	Unsigned []string `json:"unsigned,omitempty"`
	Step     string   `json:"step,omitempty"`
	Cause    string   `json:"cause,omitempty"`
}

func signatureVectors(t *testing.T) (all []signatureVector) {
	k, other := newTestKey(t, "p.example.com"), newTestKey(t, "other.example.com")
	sent := payloadOf(t, signed(t, toSign(), k))
	add := func(name string, text []byte, keys ...string) *signatureVector {
		all = append(all, signatureVector{Name: name, Event: base64.StdEncoding.EncodeToString(text), Keys: keys, Valid: true, Producer: "p.example.com"})
		return &all[len(all)-1]
	}
	v := add("as it is sent", sent, k.vkey, other.vkey)
	v.Intact, v.Unsigned = true, []string{"defects", "principal", "redactions", "severity"}
	recorded := signed(t, toSign(), k)
	recorded.Principal = "token:x"
	recorded = lenient(t, recorded)
	v = add("as it is recorded", payloadOf(t, recorded), k.vkey)
	v.Intact, v.Unsigned = true, []string{"principal", "severity"}
	redacted := signed(t, toSign(), k)
	redacted.Details = map[string]any{"tool_name": "Bash", "reasons": []string{"***"}}
	redacted.Redactions = []Redaction{{"/details/reasons/0", "r", "mask"}}
	redacted = lenient(t, redacted)
	add("redacted since", payloadOf(t, redacted), k.vkey)
	var indented bytes.Buffer
	if err := json.Indent(&indented, sent, "", " "); err != nil {
		t.Fatal(err)
	}
	v = add("written in another way", bytes.Replace(indented.Bytes(), []byte("agent-7f3a"), []byte(`agent\u002d7f3a`), 1), k.vkey)
	v.Intact, v.Unsigned = true, []string{"defects", "principal", "redactions", "severity"}

	bad := func(name, step, cause string, text []byte, keys ...string) {
		*add(name, text, keys...) = signatureVector{Name: name, Event: base64.StdEncoding.EncodeToString(text), Keys: keys, Step: step, Cause: cause}
	}
	replace := func(from, to string) []byte {
		if !bytes.Contains(sent, []byte(from)) {
			t.Fatalf("no %s in %s", from, sent)
		}
		return bytes.Replace(sent, []byte(from), []byte(to), 1)
	}
	bad("no signature", "signed", "there is no member signature", payloadOf(t, toSign()), k.vkey)
	bad("an unknown key", "key", "no key has this id", sent, other.vkey)
	bad("another agent", "event", "the event is not the one that was signed", replace("agent-7f3a", "agent-7f3b"), k.vkey)
	bad("another number", "event", "the event is not the one that was signed", replace(`"source_seq":7`, `"source_seq":8`), k.vkey)
	bad("a member was added", "event", "the event is not the one that was signed", replace(`"user_id"`, `"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","user_id"`), k.vkey)
	bad("a member that no trail adds is said to be unsigned", "form", "unsigned may name five members only", replace(`"unsigned":[`, `"unsigned":["agent_id",`), k.vkey)
	bad("twice unsigned", "form", "unsigned is sorted, and names nothing twice", replace(`"unsigned":["defects"`, `"unsigned":["defects","defects"`), k.vkey)
	e := signed(t, toSign(), k)
	e.Signature.Commitment[0] ^= 1
	bad("another commitment", "signature", "the signature is of another commitment", payloadOf(t, e), k.vkey)
	e = signed(t, toSign(), k)
	e.Signature.Salt[0] ^= 1
	bad("another salt", "event", "the commitment is made with another salt", payloadOf(t, e), k.vkey)
	e = signed(t, toSign(), k)
	e.Signature.Sig, _ = k.Sign([]byte(base64.StdEncoding.EncodeToString(e.Signature.Commitment[:])))
	bad("signed without the first line", "signature", "the signature is of other bytes", payloadOf(t, e), k.vkey)
	e = signed(t, toSign(), other)
	e.Signature.KeyID = keyID(k.KeyHash())
	bad("signed with another key", "signature", "the key with this id did not sign", payloadOf(t, e), k.vkey, other.vkey)
	sig := base64.StdEncoding.EncodeToString(signed(t, toSign(), k).Signature.Sig)
	bad("base64 with a line break", "form", "not base64 without line breaks", replace(sig, sig[:40]+`\n`+sig[40:]), k.vkey)
	bad("base64 with stray bits", "form", "the unused bits of base64 are not zero", replace(sig, sig[:85]+string(sig[85]+1)+"=="), k.vkey)
	bad("a name twice", "json", "the name id stands twice", replace(`"id":`, `"id":"1","id":`), k.vkey)
	return all
}

func TestSignatureVectors(t *testing.T) {
	file := filepath.Join("..", "testdata", "vectors", "signed-events.json")
	if *update {
		b := bytes.NewBufferString("[\n")
		for i, v := range signatureVectors(t) {
			line, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				b.WriteString(",\n")
			}
			b.Write(line)
		}
		b.WriteString("\n]\n")
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []signatureVector
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 18 {
		t.Errorf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			text, err := base64.StdEncoding.DecodeString(v.Event)
			if err != nil {
				t.Fatal(err)
			}
			var keys []note.Verifier
			for _, vkey := range v.Keys {
				k, err := note.NewVerifier(vkey)
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, k)
			}
			c, err := CheckSignature(text, keys...)
			if !v.Valid {
				want := map[string]error{"signed": ErrNotSigned, "key": ErrUnknownKey, "form": ErrBadSignature, "signature": ErrBadSignature, "event": ErrBadSignature}[v.Step]
				var syntax *SyntaxError
				if want != nil && !errors.Is(err, want) || want == nil && !errors.As(err, &syntax) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || c.Key.Name() != v.Producer || c.Intact != v.Intact || !slices.Equal(c.Unsigned, v.Unsigned) {
				t.Errorf("got %+v, %v", c, err)
			}
		})
	}
}

func FuzzCheckSignature(f *testing.F) {
	k := newTestKey(f, "p.example.com")
	f.Add(payloadOf(f, signed(f, toSign(), k)))
	f.Add(payloadOf(f, lenient(f, signed(f, toSign(), k))))
	f.Add([]byte(`{"signature":{"commitment":"","key_id":"","sig":"","salt":"","unsigned":[]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := CheckSignature(text, k)
		if err != nil {
			return
		}
		if e, _, err := Decode(text); err != nil || e.Signature == nil && !bytes.Contains(text, []byte(`"signature"`)) {
			t.Fatalf("%s checks out (%+v) and is read as unsigned, %v", text, c, err)
		}
	})
}
