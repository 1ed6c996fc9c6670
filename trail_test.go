package custody

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

func newKey(t testing.TB) ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return key
}

func TestCreate(t *testing.T) {
	dir, keys := filepath.Join(t.TempDir(), "a", "trail"), filepath.Join(t.TempDir(), "keys")
	vkey := get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	v := get(evidence.ParseVerifier(vkey))(t)

	name := filepath.Join(keys, evidence.KeyID(v.KeyHash())+".key")
	if info := get(os.Stat(name))(t); info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has the mode %v", info.Mode())
	}
	secret := strings.TrimSpace(string(readFile(t, name)))
	for file, b := range files(t, dir) {
		if strings.Contains(string(b), secret) {
			t.Errorf("%s holds the signing key", file)
		}
	}

	trail := openTrail(t, dir, Options{KeyDir: keys})
	wantSize(t, trail, 1)
	e := eventAt(t, trail, 0)
	if e.Type != event.LogOpened || e.Details["key"] != vkey || e.Details["origin"] != origin || len(e.Defects) != 0 {
		t.Errorf("the first entry is %+v", e)
	}
	if trail.Origin() != origin || trail.Dir() != dir || trail.VerifierKey() != vkey || trail.FirstKey() != vkey {
		t.Errorf("%q in %q with %q and %q", trail.Origin(), trail.Dir(), trail.VerifierKey(), trail.FirstKey())
	}
	c, _, err := evidence.OpenCheckpoint(get(trail.Checkpoint(t.Context()))(t), v)
	if err != nil || c.Size != 1 {
		t.Errorf("checkpoint %+v, %v", c, err)
	}
	wantClean(t, trail)

	before := len(files(t, keys))
	if _, err := Create(dir, CreateOptions{Origin: origin, KeyDir: keys}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating it again: %v", err)
	}
	if len(files(t, keys)) != before {
		t.Error("creating it again made a key")
	}
}

func TestCreateRefuses(t *testing.T) {
	ec := get(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	for _, tt := range []struct {
		name string
		opts CreateOptions
		says string
	}{
		{"no origin", CreateOptions{}, "origin"},
		{"origin with a space", CreateOptions{Origin: "example.org/my agents"}, "origin"},
		{"another kind of key", CreateOptions{Origin: origin, Signer: ec}, "Ed25519"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "trail")
			tt.opts.KeyDir = t.TempDir()
			if _, err := Create(dir, tt.opts); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v", err)
			}
			if len(files(t, tt.opts.KeyDir)) != 0 {
				t.Error("a key was made")
			}
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the directory: %v", err)
			}
		})
	}
}

// remote is a key that is not in memory.
type remote struct{ key ed25519.PrivateKey }

func (r remote) Public() crypto.PublicKey { return r.key.Public() }
func (r remote) Sign(_ io.Reader, msg []byte, _ crypto.SignerOpts) ([]byte, error) {
	return ed25519.Sign(r.key, msg), nil
}

func TestOwnSigner(t *testing.T) {
	keys := t.TempDir()
	t.Setenv("CUSTODY_KEYS", keys)
	disk := vfstest.NewMem()
	key := remote{newKey(t)}
	trail := newTrail(t, Options{Signer: key, KeyDir: filepath.Join(keys, "none"), fs: disk})
	record(t, trail, turn(1))
	wantClean(t, trail)
	if len(files(t, keys)) != 0 {
		t.Error("a key was written to disk")
	}
	must(t, trail.Close())
	for name, opts := range map[string]*Options{
		"no key":      {},
		"another key": {Signer: newKey(t)},
	} {
		opts.fs, opts.Logger = disk, quiet
		if _, err := Open("trail", opts); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	openTrail(t, "trail", Options{Signer: key, fs: disk})
}

func TestDefaultKeyDir(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	t.Setenv("CUSTODY_KEYS", "")
	if dir := get(DefaultKeyDir())(t); !strings.HasPrefix(dir, home) || filepath.Base(dir) != "keys" {
		t.Errorf("it is %q", dir)
	}
	dir := filepath.Join(t.TempDir(), "trail")
	get(Create(dir, CreateOptions{Origin: origin}))(t)
	// The key, and the last checkpoint that was handed out.
	if found := files(t, get(DefaultKeyDir())(t)); len(found) != 2 {
		t.Errorf("there are %d files", len(found))
	}
	must(t, openTrail(t, dir, Options{}).Close())

	t.Setenv("CUSTODY_KEYS", "/elsewhere")
	if dir := get(DefaultKeyDir())(t); dir != "/elsewhere" {
		t.Errorf("it is %q", dir)
	}
	_, err := Open(dir, &Options{Logger: quiet})
	if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "/elsewhere") {
		t.Errorf("error %v does not say where the key was looked for", err)
	}
}

func TestOpenNothing(t *testing.T) {
	dir := t.TempDir()
	for _, readOnly := range []bool{false, true} {
		if _, err := Open(dir, &Options{ReadOnly: readOnly}); !errors.Is(err, ErrNotFound) {
			t.Errorf("read-only %v: %v", readOnly, err)
		}
	}
	if len(files(t, dir)) != 0 {
		t.Error("something was written")
	}
}

// A trail of a newer version is not damaged, and nothing of it is judged.
func TestNewerTrail(t *testing.T) {
	f := get(smallTrail())(t)
	a := &attacker{t, f, f.copyOf(t)}
	a.file("trail.json", func(b []byte) []byte { return bytes.Replace(b, []byte(`"format": 1`), []byte(`"format": 2`), 1) })
	for _, opts := range []*Options{{ReadOnly: true}, {KeyDir: f.keys}} {
		if _, err := Open(a.dir, opts); !errors.Is(err, ErrNewer) || errors.Is(err, ErrAltered) || errors.Is(err, ErrDamaged) {
			t.Errorf("read-only %v: %v", opts.ReadOnly, err)
		}
	}
}

func TestLocked(t *testing.T) {
	trail := newTrail(t, Options{KeyDir: t.TempDir()})
	_, err := Open(trail.Dir(), &Options{KeyDir: trail.opts.KeyDir, Logger: quiet})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Holder != fmt.Sprintf("process %d", os.Getpid()) {
		t.Errorf("error %v does not name the holder", err)
	}
	record(t, trail, turn(1)) // the holder is not disturbed
	must(t, trail.Close())
	openTrail(t, trail.Dir(), Options{KeyDir: trail.opts.KeyDir})
}

// What ends, ends for everybody: each method says ErrClosed, and closing again
// gives the same.
func TestClosed(t *testing.T) {
	for _, opts := range []Options{{}, {Async: true}, {ReadOnly: true}} {
		t.Run(fmt.Sprintf("%+v", struct{ Async, ReadOnly bool }{opts.Async, opts.ReadOnly}), func(t *testing.T) {
			trail := onMem(t, Options{})
			record(t, trail, turns(1, 5)...)
			trail = reopen(t, trail, opts)
			must(t, trail.Close())
			must(t, trail.Close())
			ctx := t.Context()
			written := ErrClosed
			if opts.ReadOnly {
				written = ErrReadOnly
			}
			next := newKey(t)
			for name, tt := range map[string]struct {
				do   func() error
				want error
			}{
				"Record":      {func() error { _, err := trail.Record(ctx, turn(9)); return err }, written},
				"RecordBatch": {func() error { _, err := trail.RecordBatch(ctx, turns(9, 11)); return err }, written},
				"Flush":       {func() error { _, err := trail.Flush(ctx); return err }, written},
				"RotateKey":   {func() error { _, err := trail.RotateKey(ctx, next, "", ""); return err }, written},
				"Entry":       {func() error { _, err := trail.Entry(ctx, 1); return err }, ErrClosed},
				"EntryByID":   {func() error { _, err := trail.EntryByID(ctx, "turn-1"); return err }, ErrClosed},
				"Entries": {func() error {
					for _, err := range trail.Entries(ctx, Query{}) {
						return err
					}
					return nil
				}, ErrClosed},
				"Subscribe": {func() error {
					for _, err := range trail.Subscribe(ctx, Query{}) {
						return err
					}
					return nil
				}, ErrClosed},
			} {
				if err := tt.do(); !errors.Is(err, tt.want) {
					t.Errorf("%s: %v, want %v", name, err, tt.want)
				}
			}
			h := trail.AddHandler(func(context.Context, Entry) error { return nil }, HandlerOptions{})
			h.Remove() // it has nothing to wait for
		})
	}
}

func TestReadOnly(t *testing.T) {
	trail := onMem(t, Options{})
	record(t, trail, turn(1))
	reader := openTrail(t, trail.Dir(), Options{ReadOnly: true, fs: trail.opts.fs})
	for name, do := range map[string]func() error{
		"Record":      func() error { _, err := reader.Record(t.Context(), turn(2)); return err },
		"RecordBatch": func() error { _, err := reader.RecordBatch(t.Context(), turns(2, 4)); return err },
		"Flush":       func() error { _, err := reader.Flush(t.Context()); return err },
		"RotateKey":   func() error { _, err := reader.RotateKey(t.Context(), newKey(t), "", ""); return err },
	} {
		if err := do(); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// It sees what the writer does, at once.
	for n := 2; n < 20; n++ {
		r := record(t, trail, turn(n))[0]
		if e := get(reader.EntryByID(t.Context(), r.ID))(t); e.Hash != r.Hash {
			t.Errorf("entry %d has another hash", e.Index)
		}
		wantSize(t, reader, trail.Size())
	}
	wantClean(t, reader)
	if reader.VerifierKey() != trail.VerifierKey() {
		t.Error("it names another key")
	}
}

func TestNotFound(t *testing.T) {
	trail := onMem(t, Options{})
	if _, err := trail.Entry(t.Context(), 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("Entry: %v", err)
	}
	if _, err := trail.Entry(t.Context(), 1<<63); !errors.Is(err, ErrNotFound) {
		t.Errorf("Entry: %v", err)
	}
	if _, err := trail.EntryByID(t.Context(), "turn-1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("EntryByID: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	trail := onMem(t, Options{})
	record(t, trail, turn(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, do := range map[string]func() error{
		"Record":     func() error { _, err := trail.Record(ctx, turn(2)); return err },
		"Entry":      func() error { _, err := trail.Entry(ctx, 1); return err },
		"Checkpoint": func() error { _, err := trail.Checkpoint(ctx); return err },
		"Verify":     func() error { _, err := trail.Verify(ctx, VerifyOptions{}); return err },
		"Counts":     func() error { _, err := trail.Counts(ctx, time.Time{}, time.Time{}, time.Hour); return err },
		"Entries": func() error {
			for _, err := range trail.Entries(ctx, Query{}) {
				return err
			}
			return nil
		},
		"Subscribe": func() error {
			for _, err := range trail.Subscribe(ctx, Query{From: 100}) {
				return err
			}
			return nil
		},
	} {
		if err := do(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantSize(t, trail, 2)
}

func TestDefaultTrail(t *testing.T) {
	if Default() != nil {
		t.Fatal("there is a default")
	}
	a, b := onMem(t, Options{}), onMem(t, Options{})
	if SetDefault(a) != nil || Default() != a || SetDefault(b) != a || Default() != b || SetDefault(nil) != b || Default() != nil {
		t.Error("the default is not the one that was set")
	}
}

func TestRotateKey(t *testing.T) {
	keys := t.TempDir()
	disk := vfstest.NewMem()
	trail := newTrail(t, Options{fs: disk, KeyDir: keys})
	first := trail.VerifierKey()
	record(t, trail, turn(1))
	early := get(trail.Checkpoint(t.Context()))(t)

	if _, err := trail.RotateKey(t.Context(), get(trail.findSigner(nil))(t).Key(), "", ""); err == nil {
		t.Error("the key was changed to itself")
	}
	var last string
	for round := range 3 {
		next, name, err := NewKey(keys, origin)
		must(t, err)
		if info := get(os.Stat(name))(t); info.Mode().Perm() != 0o600 {
			t.Errorf("the key file has the mode %v", info.Mode())
		}
		before := trail.VerifierKey()
		r := get(trail.RotateKey(t.Context(), next.Key(), "alice", "yearly"))(t)
		e := eventAt(t, trail, r.Index)
		if e.Type != event.KeyRotated || e.UserID != "alice" || e.Details["reason"] != "yearly" || e.Details["old_key"] != before || e.Details["new_key"] != next.VerifierKey() || len(e.Defects) != 0 {
			t.Errorf("recorded is %+v", e)
		}
		if ids := get(evidence.SignatureKeys(r.Checkpoint))(t); len(ids) != 2 || ids[1] != next.KeyHash() {
			t.Errorf("its checkpoint is signed by %x", ids)
		}
		if trail.VerifierKey() != next.VerifierKey() || trail.FirstKey() != first {
			t.Error("the trail goes by another key")
		}
		if round == 1 {
			record(t, trail, turns(2, 5)...)
			if ids := get(evidence.SignatureKeys(get(trail.Checkpoint(t.Context()))(t)))(t); len(ids) != 1 || ids[0] != next.KeyHash() {
				t.Errorf("what comes later is signed by %x", ids)
			}
			trail = reopen(t, trail, Options{})
		}
		last = name
	}
	for _, opts := range []VerifyOptions{{}, {Key: first}, {Checkpoints: [][]byte{early}}, {Since: early}, {Since: get(trail.Checkpoint(t.Context()))(t)}} {
		report := verifyReport(t, trail, opts)
		if !report.OK() || len(report.Keys) != 4 {
			t.Errorf("found %v with the keys %q", report.Findings, report.Keys)
		}
	}
	if got := verify(t, trail, VerifyOptions{Key: trail.VerifierKey()}); !strings.HasPrefix(got, "key_swapped 0") {
		t.Errorf("with the newest key for the first, found %q", got)
	}

	// The newest key is needed from now on, even where the newest checkpoint is
	// signed with the one before as well.
	must(t, trail.Close())
	must(t, os.Rename(last, last+".away"))
	if _, err := Open("trail", &Options{fs: disk, KeyDir: keys, Logger: quiet}); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), last) {
		t.Errorf("without the newest key: %v", err)
	}
	must(t, os.Rename(last+".away", last))
	v := get(evidence.ParseVerifier(first))(t)
	old := get(ReadKey(get(keyFile(keys, v.KeyHash()))(t)))(t)
	if _, err := Open("trail", &Options{fs: disk, Signer: old.Key(), Logger: quiet}); !errors.Is(err, ErrKey) {
		t.Errorf("with the first key: %v", err)
	}
	trail = openTrail(t, "trail", Options{fs: disk, KeyDir: keys})
	record(t, trail, turn(9))
	wantClean(t, trail)
}

// The key before the newest one also signed the newest checkpoint when nothing
// was recorded since the change. It must not do.
func TestOpenWithKeyBefore(t *testing.T) {
	disk := vfstest.NewMem()
	a, b := newKey(t), newKey(t)
	trail := newTrail(t, Options{fs: disk, Signer: a})
	get(trail.RotateKey(t.Context(), b, "", ""))(t)
	must(t, trail.Close())
	if _, err := Open("trail", &Options{fs: disk, Signer: a, Logger: quiet}); !errors.Is(err, ErrKey) {
		t.Errorf("with the key before: %v", err)
	}
	trail = openTrail(t, "trail", Options{fs: disk, Signer: b})
	record(t, trail, turn(1))
	wantClean(t, trail)
}

// A producer can send an event of the type that tells of a change of key. It
// changes nothing, and the trail still checks out.
func TestForeignRotationEvent(t *testing.T) {
	trail := onMem(t, Options{})
	a, b := get(evidence.NewSigner(origin, newKey(t)))(t), get(evidence.NewSigner(origin, newKey(t)))(t)
	statement := get(evidence.SignRotation(a, b))(t)
	record(t, trail,
		event.Event{Type: event.KeyRotated, Details: map[string]any{"old_key": a.VerifierKey(), "new_key": b.VerifierKey(), "statement": string(statement)}},
		event.Event{Type: event.KeyRotated},
		event.Event{Type: event.LogOpened, Details: map[string]any{"key": b.VerifierKey()}})
	record(t, trail, turn(1))
	if report := wantClean(t, trail); len(report.Keys) != 1 {
		t.Errorf("the keys are %q", report.Keys)
	}
	wantClean(t, reopen(t, trail, Options{}))
}
