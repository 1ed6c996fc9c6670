package custody

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
)

// attack is one way to change a trail, and all that comes of it.
type attack struct {
	name string
	do   func(a *attacker)

	// found is everything that Verify finds, each as its cause and its first
	// index, given nothing but the trail.
	found string

	// given is what else Verify is given, and then what it finds with that.
	given func(f *fixture) VerifyOptions
	then  string

	// lost are the entries that cannot be read any more, or not as they were.
	lost string

	// open is how opening the trail for writing fails. nil: it does not.
	open error
}

// newest gives Verify the newest checkpoint, kept elsewhere.
func newest(f *fixture) VerifyOptions { return VerifyOptions{Checkpoints: [][]byte{f.checkpoint}} }

// both gives Verify an earlier checkpoint as well.
func both(f *fixture) VerifyOptions {
	return VerifyOptions{Checkpoints: [][]byte{f.checkpoint, f.earlier}}
}

// key gives Verify the key that the trail began with.
func key(f *fixture) VerifyOptions { return VerifyOptions{Key: f.vkey} }

// attacker changes a copy of a trail.
type attacker struct {
	testing.TB
	f   *fixture
	dir string
}

// file changes the bytes of a file; nil removes it.
func (a *attacker) file(name string, change func([]byte) []byte) {
	a.Helper()
	path := filepath.Join(a.dir, filepath.FromSlash(name))
	replaceOrRemove(a, path, change(readFile(a, path)))
}

// flip turns one bit of the byte at an offset of a file, or, if that is
// negative, from its end.
func (a *attacker) flip(name string, offset int) {
	a.Helper()
	a.file(name, func(b []byte) []byte {
		if offset < 0 {
			offset += len(b)
		}
		b[offset] ^= 1
		return b
	})
}

// tail changes a tail file by its parts.
func (a *attacker) tail(name string, change func(*tailFile)) {
	a.Helper()
	a.file(name, func(b []byte) []byte {
		f := parseTail(a, b)
		change(f)
		return f.bytes(a)
	})
}

// entry changes an entry in the first tail.
func (a *attacker) entry(index uint64, change func(*evidence.Entry)) {
	a.Helper()
	a.tail(firstTail, func(f *tailFile) {
		_, r := f.at(index)
		r.edit(a, change)
	})
}

// frame changes the bytes of the commit that holds an entry in the first tail,
// and makes its checksum right.
func (a *attacker) frame(index uint64, change func(frame []byte)) {
	a.Helper()
	a.file(firstTail, func(b []byte) []byte {
		offset, size := parseTail(a, b).frameAt(a, index)
		change(b[offset : offset+size])
		fixFrame(b, offset, size)
		return b
	})
}

// naive changes the bytes of the commit that holds an entry in the first tail,
// and leaves its checksum as it was.
func (a *attacker) naive(index uint64, change func(frame []byte)) {
	a.Helper()
	a.file(firstTail, func(b []byte) []byte {
		offset, size := parseTail(a, b).frameAt(a, index)
		change(b[offset : offset+size])
		return b
	})
}

// segment changes a segment by its parts.
func (a *attacker) segment(name string, change func(*sealedFile)) {
	a.Helper()
	a.file(name, func(b []byte) []byte {
		f := parseSealed(b)
		change(f)
		return f.bytes()
	})
}

// index changes the contents of an index file and makes the checksums right.
func (a *attacker) index(name string, change func(content []byte)) {
	a.Helper()
	a.file(name, func(b []byte) []byte {
		content := indexContents(b)
		change(content)
		return indexBytes(content)
	})
}

// setCheckpoint replaces the checkpoint file.
func (a *attacker) setCheckpoint(signed []byte) {
	a.Helper()
	a.file("checkpoint", func([]byte) []byte { return signed })
}

// secondKey is the key that the trail of makeRotated passes to.
func (a *attacker) secondKey() *evidence.Signer {
	a.Helper()
	ids, err := evidence.SignatureKeys(a.f.checkpoint)
	must(a, err)
	return get(ReadKey(get(keyFile(a.f.keys, ids[0]))(a)))(a)
}

// remove removes a file.
func (a *attacker) remove(name string) {
	a.Helper()
	a.file(name, func([]byte) []byte { return nil })
}

// signer is the trail's key, which only some attackers have.
func (a *attacker) signer() *evidence.Signer {
	a.Helper()
	v, err := evidence.ParseVerifier(a.f.vkey)
	must(a, err)
	return get(ReadKey(get(keyFile(a.f.keys, v.KeyHash()))(a)))(a)
}

// otherSigner is a new key in the trail's name.
func (a *attacker) otherSigner() *evidence.Signer {
	a.Helper()
	skey, _, err := evidence.GenerateKey(origin)
	must(a, err)
	return get(evidence.ParseSigner(skey))(a)
}

// change replaces a text in b by one of the same length.
func change(t testing.TB, b []byte, from, to string) {
	t.Helper()
	at := bytes.Index(b, []byte(from))
	if at < 0 || len(from) != len(to) {
		t.Fatalf("%q is not there, or not as long as %q", from, to)
	}
	copy(b[at:], to)
}

// saltOf returns the salt of an entry in the bytes of a commit.
func saltOf(t testing.TB, frame []byte, index uint64) []byte {
	t.Helper()
	f, err := segment.ParseFrame(frame)
	must(t, err)
	at := f.First
	for rec, err := range f.Records() {
		must(t, err)
		if at == index {
			return rec.Body[:evidence.SaltSize]
		}
		at++
	}
	t.Fatalf("entry %d is not in the commit", index)
	return nil
}

// newer makes an entry one of a later version of the format.
func newer(r *tailRecord) {
	r.entry = append(bytes.TrimSuffix(bytes.Clone(r.entry), []byte(`"v":1}`)), `"new":"x","v":2}`...)
}

func checkpoints(f *tailFile) [][]byte {
	var list [][]byte
	for _, frame := range f.frames {
		list = append(list, frame.checkpoint)
	}
	return list
}

// rewrite tells another story from entry k on.
func rewrite(t testing.TB, f *tailFile, k uint64, signer *evidence.Signer) {
	t.Helper()
	_, r := f.at(k)
	r.body = forgedBody(t, r.body, func(e *event.Event) { e.UserID = "mallory" })
	r.edit(t, func(e *evidence.Entry) { e.Payload = evidence.CommitBody(r.body) })
	f.relink(t, k, signer)
}

// maxFindings bounds what Verify says about one change: it is to be read.
const maxFindings = 3

func runAttacks(t *testing.T, made func() (*fixture, error), attacks []attack) {
	t.Helper()
	f, err := made()
	must(t, err)
	originals := f.samples(t)
	for _, tt := range attacks {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := &attacker{t, f, f.copyOf(t)}
			if tt.do != nil {
				tt.do(a)
			}
			trail := openTrail(t, a.dir, Options{ReadOnly: true})
			report := verifyReport(t, trail, VerifyOptions{})
			if got := findings(report); got != tt.found || len(report.Findings) > maxFindings+strings.Count(tt.found, ",") {
				t.Errorf("found %q, in %d findings, want %q", got, len(report.Findings), tt.found)
			}
			if tt.given != nil {
				if got := verify(t, trail, tt.given(f)); got != tt.then {
					t.Errorf("with more given: found %q, want %q", got, tt.then)
				}
			}
			if got := lost(t, trail, originals); got != tt.lost {
				t.Errorf("lost are the entries %q, want %q", got, tt.lost)
			}
			if t.Failed() {
				for _, f := range report.Findings {
					t.Log(f)
				}
			}
			must(t, trail.Close())
			if tt.then != "" && tt.open == nil {
				// What the last checkpoint handed out tells, nobody has to remember.
				if _, err := Open(a.dir, &Options{KeyDir: f.keys, Logger: quiet}); !errors.Is(err, ErrRolledBack) {
					t.Errorf("opening for writing where the last checkpoint is kept: %v", err)
				}
				if got := verify(t, openTrail(t, a.dir, Options{ReadOnly: true, Guard: filepath.Join(f.keys, guardName(t, f))}), VerifyOptions{}); got == "" {
					t.Error("verification does not find it by the last checkpoint")
				}
			}
			written, err := Open(a.dir, &Options{KeyDir: f.keys, Guard: GuardOff, Logger: quiet})
			if !errors.Is(err, tt.open) {
				t.Errorf("opening for writing: %v, want %v", err, tt.open)
			}
			if err == nil {
				must(t, written.Close())
			}
		})
	}
}

// samples returns entries of the trail, all of a small one.
func (f *fixture) samples(t testing.TB) []Entry {
	t.Helper()
	if f.entries != nil {
		return f.entries
	}
	trail := openTrail(t, f.dir, Options{ReadOnly: true})
	var entries []Entry
	for i := uint64(0); i < f.size(); i += 1021 {
		entries = append(entries, get(trail.Entry(t.Context(), i))(t))
	}
	return entries
}

// lost lists which entries the trail does not give as they were, as ranges.
func lost(t testing.TB, trail *Trail, originals []Entry) string {
	t.Helper()
	var bad []int
	for i, want := range originals {
		got, err := trail.Entry(t.Context(), want.Index)
		if err != nil && !errors.Is(err, ErrAltered) && !errors.Is(err, ErrNewer) && !errors.Is(err, ErrNotFound) {
			t.Errorf("entry %d: %v", want.Index, err)
		}
		if err != nil || !bytes.Equal(got.Envelope, want.Envelope) || !bytes.Equal(got.Payload, want.Payload) || !bytes.Equal(got.Salt, want.Salt) {
			bad = append(bad, i)
		}
	}
	var ranges []string
	for i := 0; i < len(bad); {
		j := i
		for j+1 < len(bad) && bad[j+1] == bad[j]+1 {
			j++
		}
		from, to := originals[bad[i]].Index, originals[bad[j]].Index
		if one := fmt.Sprint(from); i == j {
			ranges = append(ranges, one)
		} else {
			ranges = append(ranges, fmt.Sprintf("%d-%d", from, to))
		}
		i = j + 1
	}
	return strings.Join(ranges, " ")
}
