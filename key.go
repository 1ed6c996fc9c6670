package custody

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/vfs"
)

// DefaultKeyDir returns where signing keys lie if nothing else is said: the
// directory in the environment variable CUSTODY_KEYS, or custody/keys in the
// user's configuration directory. It is never inside a trail's directory:
// whoever can change the trail's files should not find the key beside them.
func DefaultKeyDir() (string, error) {
	if dir := os.Getenv("CUSTODY_KEYS"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("%w, and there is no place to look for it: %v; set CUSTODY_KEYS to a directory", ErrKey, err)
	}
	return filepath.Join(dir, "custody", "keys"), nil
}

// keyFile returns the name of the file of a key in dir, or in DefaultKeyDir.
func keyFile(dir string, id uint32) (string, error) {
	if dir == "" {
		var err error
		if dir, err = DefaultKeyDir(); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, evidence.KeyID(id)+".key"), nil
}

// KeyFile returns the name of the file in dir (empty: [DefaultKeyDir]) that holds
// the signing key with that verifier key (vkey), if it is there at all.
func KeyFile(dir, vkey string) (string, error) {
	v, err := evidence.ParseVerifier(vkey)
	if err != nil {
		return "", err
	}
	return keyFile(dir, v.KeyHash())
}

// NewKey makes an Ed25519 key for the trail named origin and writes it to a file
// of its own, mode 0600, in dir (empty: DefaultKeyDir). It returns the key and
// the name of the file. It is durable when NewKey returns, since a trail that
// was signed with a key that is lost cannot be continued.
func NewKey(dir, origin string) (*evidence.Signer, string, error) {
	skey, _, err := evidence.GenerateKey(origin)
	if err != nil {
		return nil, "", err
	}
	signer, err := evidence.ParseSigner(skey)
	if err != nil {
		return nil, "", err
	}
	name, err := keyFile(dir, signer.KeyHash())
	if err != nil {
		return nil, "", err
	}
	var fsys vfs.OS
	if err := fsys.MkdirAll(filepath.Dir(name)); err != nil {
		return nil, "", err
	}
	if _, err := fsys.Size(name); err == nil {
		return nil, "", fmt.Errorf("%s: %w: another key has this id; try again", name, fs.ErrExist)
	}
	if err := vfs.WriteFileAtomic(fsys, name, []byte(skey+"\n")); err != nil {
		return nil, "", err
	}
	return signer, name, nil
}

// ReadKey reads a key file.
func ReadKey(name string) (*evidence.Signer, error) {
	b, err := vfs.ReadFile(vfs.OS{}, name, 4096)
	if err != nil {
		return nil, err
	}
	signer, err := evidence.ParseSigner(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return signer, nil
}

// findSigner returns the key that the next commit is signed with: the given
// one, that of the options, or the one in KeyDir. It must have signed the
// newest checkpoint.
func (t *Trail) findSigner(given *evidence.Signer) (*evidence.Signer, error) {
	newest, err := t.store.Checkpoint()
	if err != nil {
		return nil, err
	}
	var ids []uint32
	if newest != nil {
		if ids, err = evidence.SignatureKeys(newest); err != nil {
			return nil, fmt.Errorf("%w: its newest checkpoint: %w", ErrDamaged, err)
		}
	} else {
		first, err := evidence.ParseVerifier(t.meta.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: the key in its trail.json: %w", ErrDamaged, err)
		}
		ids = []uint32{first.KeyHash()}
	}
	// Of several signatures the last is that of the newest key.
	want := ids[len(ids)-1]
	signer := given
	switch {
	case signer != nil:
	case t.opts.Signer != nil:
		if signer, err = evidence.NewSigner(t.meta.Origin, t.opts.Signer); err != nil {
			return nil, err
		}
	default:
		name, err := keyFile(t.opts.KeyDir, want)
		if err != nil {
			return nil, err
		}
		if signer, err = ReadKey(name); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: the trail is signed with key %s, and there is no %s; bring the key file there, or say where keys lie", ErrKey, evidence.KeyID(want), name)
		} else if err != nil {
			return nil, err
		}
	}
	if signer.Name() != t.meta.Origin {
		return nil, fmt.Errorf("%w: the key given belongs to %q, the trail is %q", ErrKey, signer.Name(), t.meta.Origin)
	}
	if signer.KeyHash() != want || newest == nil && signer.VerifierKey() != t.meta.Key {
		return nil, fmt.Errorf("%w: the trail is signed with key %s, the one given is %s", ErrKey, evidence.KeyID(want), evidence.KeyID(signer.KeyHash()))
	}
	if newest == nil {
		return signer, nil
	}
	if _, _, err := evidence.OpenCheckpoint(newest, signer.Verifier()); err != nil {
		return nil, fmt.Errorf("%w: its newest checkpoint: %w", ErrDamaged, err)
	}
	return signer, nil
}

// RotateKey makes the trail go on under another key. The change becomes an
// event that holds a statement signed with both keys, and its commit's
// checkpoint is signed with both; everything later with the new key alone. The
// new key must already be where it is safe: the trail needs it from now on.
func (t *Trail) RotateKey(ctx context.Context, next crypto.Signer, by, reason string) (Receipt, error) {
	if t.seq == nil {
		return Receipt{}, ErrReadOnly
	}
	t.rotateMu.Lock()
	defer t.rotateMu.Unlock()
	to, err := evidence.NewSigner(t.meta.Origin, next)
	if err != nil {
		return Receipt{}, err
	}
	statement, err := evidence.SignRotation(t.signer, to)
	if err != nil {
		return Receipt{}, err
	}
	details := map[string]any{"old_key": t.signer.VerifierKey(), "new_key": to.VerifierKey(), "statement": string(statement)}
	if by != "" {
		details["by"] = by
	}
	if reason != "" {
		details["reason"] = reason
	}
	j := t.newJob()
	j.self = true
	j.one[0] = event.Event{Type: event.KeyRotated, Source: sourceSelf, UserID: by, Details: details}
	if err := t.prepare(ctx, j, j.one[:], j.receipt[:]); err != nil {
		t.recycle(j)
		return Receipt{}, single(err)
	}
	j.req.Events[0].Rotate = to
	// Not to be given up half way: whether the key changed must be known.
	if err := t.commit(context.WithoutCancel(ctx), j, j.receipt[:]); err != nil {
		return Receipt{}, err
	}
	t.signer = to
	r := j.receipt[0]
	t.mirrorAll(j, j.receipt[:])
	t.recycle(j)
	return r, nil
}

// VerifierKey returns the key that the trail is signed with now, in the text
// form of C2SP signed-note (vkey). When the trail is open for reading, only the
// key that it began with is known without verifying it: that one.
func (t *Trail) VerifierKey() string {
	if t.seq == nil {
		return t.meta.Key
	}
	t.rotateMu.Lock()
	defer t.rotateMu.Unlock()
	return t.signer.VerifierKey()
}

// FirstKey returns the verifier key that the trail says it began with. Compare
// it with the one that was handed out when the trail was created.
func (t *Trail) FirstKey() string { return t.meta.Key }
