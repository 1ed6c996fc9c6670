package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// proofTrail is a trail to prove things of.
type proofTrail struct {
	log       *Signer
	disclosed []Disclosed // with the payload
	stored    storedHashes
}

func newProofTrail(t testing.TB, entries int) *proofTrail {
	t.Helper()
	trail := &proofTrail{log: testSigner(t, testOrigin, "a")}
	var prev Hash
	for i := range entries {
		d := Disclosed{Salt: fmt.Appendf(nil, "salt of entry %02d", i), Payload: fmt.Appendf(nil, `{"event_type":"x","n":%d}`, i)}
		commitment, err := Commit(d.Salt, d.Payload)
		if err != nil {
			t.Fatal(err)
		}
		d.Entry = AppendEntry(nil, &Entry{Index: uint64(i), Payload: commitment, Prev: prev, Time: specTime.Add(time.Duration(i) * time.Second), Type: "x"})
		prev = LeafHash(d.Entry)
		trail.disclosed = append(trail.disclosed, d)
		trail.stored.add(t, prev)
	}
	return trail
}

// checkpoint returns a signed checkpoint over the first entries.
func (trail *proofTrail) checkpoint(t testing.TB, size uint64, witnesses ...string) []byte {
	t.Helper()
	return cosignedCheckpoint(t, &Checkpoint{Origin: testOrigin, Size: size, Root: trail.stored.root(t, int64(size))}, trail.log, witnesses...)
}

// prove returns the proof that discloses d, by the checkpoint over size entries.
func (trail *proofTrail) prove(t testing.TB, d *Disclosed, index, size uint64, witnesses ...string) *Proof {
	t.Helper()
	extra, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := ProveInclusion(&trail.stored, index, size)
	if err != nil {
		t.Fatal(err)
	}
	return &Proof{Extra: extra, Index: index, Hashes: hashes, Checkpoint: trail.checkpoint(t, size, witnesses...)}
}

type marshaler interface{ Marshal() ([]byte, error) }

func marshal(t testing.TB, m marshaler) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestProof carries a proof of each entry over as text, with and without payload.
func TestProof(t *testing.T) {
	const size = 11
	trail := newProofTrail(t, size)
	policy := parsePolicy(t, policyLines(t)+"group g 2 X1 X2 X3\nquorum g\n")
	for i, d := range trail.disclosed {
		for _, d := range []Disclosed{d, {Entry: d.Entry}} {
			text := marshal(t, trail.prove(t, &d, uint64(i), size, "x3", "x1"))
			p, err := ParseProof(text)
			if err != nil {
				t.Fatal(err)
			}
			if again := marshal(t, p); !bytes.Equal(again, text) {
				t.Errorf("read from %q\nwritten as %q", text, again)
			}
			got, err := p.Check(policy)
			if err != nil {
				t.Fatal(err)
			}
			if got.Entry.Index != uint64(i) || got.Entry.Type != "x" || got.Hash != LeafHash(d.Entry) || got.Checkpoint.Size != size || !got.Quorum {
				t.Errorf("entry %d: %+v", i, got)
			}
			if len(got.Cosigned) != 2 || got.Cosigned[0].Name != "x3" || got.Cosigned[0].Time != specTime || got.Cosigned[1].Time != specTime.Add(time.Second) {
				t.Errorf("entry %d: cosigned %+v", i, got.Cosigned)
			}
			if !bytes.Equal(got.Disclosed.Entry, d.Entry) || !bytes.Equal(got.Disclosed.Payload, d.Payload) || (got.Disclosed.Payload == nil) != (d.Payload == nil) {
				t.Errorf("entry %d: disclosed %+v", i, got.Disclosed)
			}
		}
	}
}

func TestProofCheckSaysWhichStepFails(t *testing.T) {
	trail := newProofTrail(t, 8)
	policy := parsePolicy(t, policyLines(t)+"quorum X1\n")
	d := trail.disclosed[3]
	proof := func(change func(p *Proof)) *Proof {
		p := trail.prove(t, &d, 3, 8, "x1")
		change(p)
		return p
	}
	extra := func(d Disclosed) []byte { return marshal(t, &d) }
	for _, tt := range []struct {
		name  string
		proof *Proof
		want  string
	}{
		{"no extra data", proof(func(p *Proof) { p.Extra = nil }), "proof discloses no entry"},
		{"extra data of somebody else", proof(func(p *Proof) { p.Extra = []byte("VRF") }), "extra data: disclosed entry, line 1"},
		{"no entry", proof(func(p *Proof) { p.Extra = extra(Disclosed{Entry: []byte("{}")}) }), "disclosed entry: entry is not in canonical form"},
		{"newer entry", proof(func(p *Proof) { p.Extra = extra(Disclosed{Entry: []byte(`{"a":1,"v":2}`)}) }), "version 2"},
		{"other payload", proof(func(p *Proof) { p.Extra = extra(Disclosed{d.Entry, d.Salt, []byte("{}")}) }), "entry 3 commits to another payload"},
		{"other salt", proof(func(p *Proof) { p.Extra = extra(Disclosed{d.Entry, trail.disclosed[4].Salt, d.Payload}) }), "entry 3 commits to another payload"},
		{"other index", proof(func(p *Proof) { p.Index = 4 }), "proof is for index 4, but discloses entry 3"},
		{"other entry", proof(func(p *Proof) { p.Extra = extra(trail.disclosed[4]) }), "proof is for index 3, but discloses entry 4"},
		{"forged entry", proof(func(p *Proof) { p.Extra = extra(Disclosed{Entry: change(t, d.Entry, func(e *Entry) { e.Type = "y" })}) }), "inclusion: inclusion proof does not lead from the hash of entry 3"},
		{"a hash too few", proof(func(p *Proof) { p.Hashes = p.Hashes[1:] }), "inclusion: inclusion proof of entry 3 in 8 entries has 2 hashes; it needs 3"},
		{"other hash", proof(func(p *Proof) { p.Hashes[2][0] ^= 1 }), "inclusion: inclusion proof does not lead"},
		{"older checkpoint", proof(func(p *Proof) { p.Checkpoint = trail.checkpoint(t, 3, "x1") }), "inclusion: a tree of 3 entries has no entry 3"},
		{"checkpoint of another size", proof(func(p *Proof) { p.Checkpoint = trail.checkpoint(t, 7, "x1") }), "inclusion: "},
		{"not signed", proof(func(p *Proof) { p.Checkpoint = p.Checkpoint[:bytes.Index(p.Checkpoint, []byte("\n\n"))+2] }), "checkpoint: signature of the log"},
		{"changed checkpoint", proof(func(p *Proof) { p.Checkpoint = bytes.Replace(p.Checkpoint, []byte("\n8\n"), []byte("\n9\n"), 1) }), "checkpoint: signature of the log"},
	} {
		if got, err := tt.proof.Check(policy); err == nil || got != nil || errors.Is(err, ErrQuorum) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if got, err := trail.prove(t, &d, 3, 8, "x2").Check(policy); !errors.Is(err, ErrQuorum) || got != nil {
		t.Errorf("too few witnesses: %v, want ErrQuorum", err)
	}
	if _, err := trail.prove(t, &d, 3, 8, "x1").Check(parsePolicy(t, "quorum none\n")); err == nil || !strings.Contains(err.Error(), "checkpoint: the policy has no log") {
		t.Errorf("unknown log: %v", err)
	}
}

// TestProofRefusesEveryFlip flips each bit of a proof. What still checks out has a
// change in a signature that nobody is asked about.
func TestProofRefusesEveryFlip(t *testing.T) {
	trail := newProofTrail(t, 5)
	policy := parsePolicy(t, policyLines(t)+"quorum X1\n")
	text := marshal(t, trail.prove(t, &trail.disclosed[2], 2, 5, "x1"))
	for i := range text {
		for bit := range 8 {
			b := bytes.Clone(text)
			b[i] ^= 1 << bit
			p, err := ParseProof(b)
			if err != nil {
				continue
			}
			if _, err := p.Check(policy); err == nil && !sameSignature(text, b) {
				t.Errorf("byte %d, %q for %q: not seen", i, b[i], text[i])
			}
		}
	}
}

func TestParseProofRefuses(t *testing.T) {
	trail := newProofTrail(t, 5)
	good := string(marshal(t, trail.prove(t, &trail.disclosed[2], 2, 5)))
	replace := func(old, new string) string {
		if strings.Count(good, old) == 0 {
			t.Fatalf("no %q in %q", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	hash := leafOf(1).String() + "\n"
	extraLine := good[strings.Index(good, "extra"):strings.Index(good, "index")]
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "line 1: expected c2sp.org/tlog-proof@v1"},
		{"another version", replace("@v1", "@v2"), "line 1: expected c2sp.org/tlog-proof@v1, not \"c2sp.org/tlog-proof@v2\""},
		{"space before", " " + good, "line 1"},
		{"header alone", proofHeader + "\n", "line 2: expected index"},
		{"no index", replace("index 2\n", ""), "line 3: expected index"},
		{"index before extra", replace(extraLine+"index 2\n", "index 2\n"+extraLine), "line 3: \"extra "},
		{"extra twice", replace(extraLine, extraLine+extraLine), "line 3: expected index"},
		{"empty extra", replace(extraLine, "extra \n"), "line 2: extra data that is empty"},
		{"extra without space", replace(extraLine, "extra\n"), "line 2: expected index"},
		{"extra that is not base64", replace(extraLine, "extra ?\n"), "line 2: extra data is not standard base64"},
		{"extra without padding", replace(extraLine, "extra YQ\n"), "line 2: extra data is not"},
		{"extra with stray bits", replace(extraLine, "extra YR==\n"), "line 2: extra data is not"},
		{"extra with a carriage return", replace(extraLine, "extra YQ\r==\n"), "line 2: extra data is not"},
		{"index with a sign", replace("index 2", "index +2"), "line 3: expected index"},
		{"index with a zero", replace("index 2", "index 02"), "line 3: expected index"},
		{"index with space", replace("index 2", "index 2 "), "line 3: expected index"},
		{"negative index", replace("index 2", "index -2"), "line 3: expected index"},
		{"index beyond 63 bits", replace("index 2", "index 9223372036854775808"), "line 3: expected index"},
		{"a number alone", replace("index 2", "2"), "line 3: expected index"},
		{"no number", replace("index 2", "index "), "line 3: expected index"},
		{"a hash that is none", replace("index 2\n", "index 2\nabc\n"), "line 4: \"abc\" is not the base64 of a hash"},
		{"a hash with a carriage return", replace("index 2\n", "index 2\n"+strings.Replace(hash, "\n", "\r\n", 1)), "line 4"},
		{"a hash with stray bits", replace("index 2\n", "index 2\n"+strings.Repeat("A", 42)+"B=\n"), "line 4"},
		{"too many hashes", replace("index 2\n", "index 2\n"+strings.Repeat(hash, maxProofHashes-2)), "line 67: there are more than 63 hashes"},
		{"no empty line", replace("\n\nexample.org", "\nexample.org"), "line 7: \"example.org/trail\" is not"},
		{"nothing behind the hashes", good[:strings.Index(good, "\n\n")+1], "line 7: expected a hash or the empty line"},
		{"no checkpoint", good[:strings.Index(good, "\n\n")+2], "proof: checkpoint: malformed note"},
		{"two empty lines", replace("\n\nexample.org", "\n\n\nexample.org"), "the origin is empty"},
		{"a checkpoint that is none", replace("\n5\n", "\nfive\n"), "proof: checkpoint line 2"},
		{"no last newline", strings.TrimSuffix(good, "\n"), "proof: checkpoint: malformed note"},
		{"something behind", good + "x\n", "proof: checkpoint: malformed note"},
		{"too long", good + strings.Repeat("x", MaxProofSize), "more than 67108864"},
	} {
		if got, err := ParseProof([]byte(tt.text)); err == nil || got != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestProofWithoutExtra reads a proof as other applications of C2SP tlog-proof
// write them: without extra data, for the first of one entry.
func TestProofWithoutExtra(t *testing.T) {
	trail := newProofTrail(t, 1)
	want := proofHeader + "\nindex 0\n\n" + string(trail.checkpoint(t, 1))
	p, err := ParseProof([]byte(want))
	if err != nil || p.Extra != nil || p.Index != 0 || p.Hashes != nil {
		t.Fatalf("%+v, %v", p, err)
	}
	if got := marshal(t, p); string(got) != want {
		t.Errorf("written as %q", got)
	}
}

func TestProofMarshalRefuses(t *testing.T) {
	trail := newProofTrail(t, 5)
	good := trail.prove(t, &trail.disclosed[2], 2, 5)
	consistency := trail.proveConsistency(t, 2, 5)
	for _, tt := range []struct {
		name  string
		proof marshaler
		want  string
	}{
		{"index", &Proof{Index: math.MaxInt64 + 1, Checkpoint: good.Checkpoint}, "9223372036854775808 is 2^63 or more"},
		{"hashes", &Proof{Hashes: make([]Hash, 64), Checkpoint: good.Checkpoint}, "proof has 64 hashes, more than 63"},
		{"no checkpoint", &Proof{}, "proof: checkpoint: malformed note"},
		{"other note", &Proof{Checkpoint: []byte("a\n\n— x AAAAAAAA\n")}, "proof: checkpoint has 1 lines"},
		{"extra data", &Proof{Extra: make([]byte, MaxProofSize), Checkpoint: good.Checkpoint}, "disclose the entry without its payload"},
		{"hashes of consistency", &ConsistencyProof{Hashes: make([]Hash, 64), Old: consistency.Old, New: consistency.New}, "has 64 hashes, more than 63"},
		{"no old checkpoint", &ConsistencyProof{New: consistency.New}, "the old checkpoint: checkpoint: malformed note"},
		{"no new checkpoint", &ConsistencyProof{Old: consistency.Old}, "the new checkpoint: checkpoint: malformed note"},
	} {
		if b, err := tt.proof.Marshal(); err == nil || b != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func FuzzParseProof(f *testing.F) {
	trail := newProofTrail(f, 5)
	policy := parsePolicy(f, policyLines(f)+"quorum X1\n")
	f.Add(marshal(f, trail.prove(f, &trail.disclosed[2], 2, 5, "x1")))
	f.Add(marshal(f, trail.prove(f, &Disclosed{Entry: trail.disclosed[0].Entry}, 0, 1)))
	f.Add([]byte(proofHeader + "\nextra YQ==\nindex 0\n\n" + specCheckpoint))
	f.Add([]byte(proofHeader + "\nindex 9223372036854775807\n" + strings.Repeat(leafOf(1).String()+"\n", 63) + "\n" + specCheckpoint))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProof(b)
		if err != nil {
			return
		}
		if again := marshal(t, p); !bytes.Equal(again, b) {
			t.Fatalf("read from %q\nwritten as %q", b, again)
		}
		got, err := p.Check(policy)
		if err != nil {
			return
		}
		i := got.Entry.Index
		if i >= 5 || !bytes.Equal(got.Disclosed.Entry, trail.disclosed[i].Entry) || got.Disclosed.Salt != nil && !bytes.Equal(got.Disclosed.Payload, trail.disclosed[i].Payload) {
			t.Fatalf("%q proves %+v", b, got)
		}
	})
}
