package evidence

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func FuzzParseEntry(f *testing.F) {
	f.Add([]byte(fixedText))
	for _, e := range run(0, 3) {
		f.Add(e)
	}
	f.Add([]byte(strings.Replace(fixedText, `"v":1`, `"v":2`, 1)))
	f.Add([]byte(`{"index":9007199254740992,"v":3}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry(b)
		if err != nil {
			return
		}
		if again := AppendEntry(nil, &e); !bytes.Equal(again, b) {
			t.Fatalf("read from %q\nwritten as %q", b, again)
		}
		if !ValidType(e.Type) || e.Index > MaxIndex {
			t.Fatalf("accepted %+v", e)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	log := testSigner(f, testOrigin, "a")
	c := goldenCheckpoint()
	signed, err := SignCheckpoint(&c, log)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add([]byte(goldenBody))
	f.Add([]byte(goldenBody + "an extension\n\n— x AAAAAAAA\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseCheckpointBody(string(b)); err == nil && !bytes.Equal(c.AppendBody(nil), b) {
			t.Fatalf("read from %q\nwritten as %q", b, c.AppendBody(nil))
		}
		peek, perr := PeekCheckpoint(b)
		keys, kerr := SignatureKeys(b)
		c, by, err := OpenCheckpoint(b, log.Verifier())
		if err != nil {
			return
		}
		if perr != nil || peek.Size != c.Size || peek.Root != c.Root || peek.Origin != c.Origin {
			t.Fatalf("opened as %+v, but looks like %+v, %v", c, peek, perr)
		}
		if kerr != nil || len(keys) < len(by) {
			t.Fatalf("signed by %x, but looks signed by %x, %v", by, keys, kerr)
		}
		if !bytes.HasPrefix(b, append(c.AppendBody(nil), '\n')) {
			t.Fatalf("opened %q as %+v", b, c)
		}
	})
}

func FuzzOpenRotation(f *testing.F) {
	from, to := testSigner(f, testOrigin, "a"), testSigner(f, testOrigin, "b")
	signed, err := SignRotation(from, to)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add(bytes.Replace(signed, []byte("v1"), []byte("v2"), 1))
	f.Add(signed[:len(signed)-10])
	f.Fuzz(func(t *testing.T, b []byte) {
		vkey, next, err := OpenRotation(b, from.Verifier())
		if err == nil && (vkey != to.VerifierKey() || next.KeyHash() != to.KeyHash()) {
			t.Fatalf("%q passes to %s", b, vkey)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	signer := testSigner(f, testOrigin, "a")
	f.Add(signer.VerifierKey())
	skey, vkey, err := GenerateKey("x")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(skey)
	f.Add(vkey)
	f.Add("PRIVATE+KEY+x+00000000+AQ==")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseVerifier(s); err == nil && !strings.HasPrefix(s, v.Name()+"+") {
			t.Fatalf("%q has the name %q", s, v.Name())
		}
		k, err := ParseSigner(s)
		if err != nil {
			return
		}
		v, err := ParseVerifier(k.VerifierKey())
		if err != nil || v.KeyHash() != k.KeyHash() || ValidOrigin(k.Name()) != nil {
			t.Fatalf("%q: verifier key %q, %v", s, k.VerifierKey(), err)
		}
	})
}

// FuzzChain damages a run of entries as the program says, three bytes for each
// step, and may put in bytes that are no entry. What the chain finds nothing
// wrong with checks out, and no finding comes later than the first place where a
// plain check fails.
func FuzzChain(f *testing.F) {
	f.Add([]byte{}, []byte("x"), uint64(0))
	for op := range byte(damages) {
		f.Add([]byte{op, 3, 9}, []byte(fixedText), uint64(0))
		f.Add([]byte{op, 3, 9, op + 1, 4, 2, op + 2, 0, 23}, []byte(`{"a":0,"v":2}`), uint64(65536))
	}
	f.Fuzz(func(t *testing.T, program, raw []byte, first uint64) {
		entries := run(first%(MaxIndex-100), 24)
		for ; len(program) >= 3 && len(entries) < 100; program = program[3:] {
			entries = damage(t, entries, program[0], program[1], program[2], raw)
		}
		checkSound(t, first%(MaxIndex-100), entries)
	})
}

const damages = 9

// damage does one thing to a run of entries.
func damage(t testing.TB, entries [][]byte, op, x, y byte, raw []byte) [][]byte {
	n := len(entries)
	if n == 0 {
		return entries
	}
	i, j := int(x)%n, int(y)%n
	edit := func(f func(e *Entry)) {
		if _, err := ParseEntry(entries[i]); err == nil {
			entries[i] = change(t, entries[i], f)
		}
	}
	switch op % damages {
	case 0:
		edit(func(e *Entry) { e.Payload[0] ^= y })
	case 1:
		edit(func(e *Entry) { e.Prev[0] ^= y })
	case 2:
		edit(func(e *Entry) { e.Index = min(e.Index+uint64(y)-uint64(min(e.Index, 8)), MaxIndex) })
	case 3:
		edit(func(e *Entry) { e.Time = e.Time.Add(time.Duration(int8(y)) * time.Second) })
	case 4:
		entries[i] = raw
	case 5:
		entries = slices.Delete(entries, min(i, j), max(i, j))
	case 6:
		entries = slices.Insert(entries, i, entries[j])
	case 7:
		entries[i], entries[j] = entries[j], entries[i]
	case 8: // link what follows anew
		for k := i; k+1 < n && k < i+int(y); k++ {
			if _, err := ParseEntry(entries[k+1]); err == nil {
				entries[k+1] = change(t, entries[k+1], func(e *Entry) { e.Prev = LeafHash(entries[k]) })
			}
		}
	}
	return entries
}

// TestChainRandomDamages is FuzzChain on random programs.
func TestChainRandomDamages(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 3000 {
		first := r.Uint64N(3) << 16
		entries := run(first, 24)
		for range 1 + r.IntN(6) {
			entries = damage(t, entries, byte(r.IntN(damages)), byte(r.Uint32()), byte(r.Uint32()), []byte("x"))
		}
		checkSound(t, first, entries)
	}
}

// checkSound compares a chain with a plain check of every entry by the one before.
func checkSound(t *testing.T, first uint64, entries [][]byte) {
	t.Helper()
	c := NewChain(first, nil)
	bad := -1 // the first entry that does not continue those before
	var prev Entry
	for i, b := range entries {
		c.Next(b)
		if bad >= 0 {
			continue
		}
		e, err := ParseEntry(b)
		switch {
		case err != nil, e.Index != first+uint64(i):
			bad = i
		case i > 0 && (e.Prev != LeafHash(entries[i-1]) || e.Time.Before(prev.Time)):
			bad = i
		case i == 0 && first == 0 && e.Prev != (Hash{}):
			bad = i
		}
		prev = e
	}
	found := c.End()
	switch {
	case bad < 0 && len(found) > 0:
		t.Fatalf("%d entries that check out: found %v", len(entries), found)
	case bad >= 0 && (len(found) == 0 || found[0].Index > first+uint64(bad)):
		t.Fatalf("entry %d does not continue the run: found %v", first+uint64(bad), found)
	}
	for i, f := range found {
		if f.Count == 0 || i > 0 && f.Index < found[i-1].Index {
			t.Fatalf("findings %v", found)
		}
	}
}
