package producers

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/statefile"
	"github.com/custodylog/custody/internal/vfs"
)

// KeysFile is the name of the file of keys in the data directory of a server.
const KeysFile = "producers.json"

// Errors that callers branch on. They are always wrapped.
var (
	ErrNoKey    = errors.New("no producer has such a key")
	ErrEnrolled = errors.New("there is a key with this id already")
	ErrKeySpec  = errors.New("not what a key can be enrolled with")
)

// recheck is how old what is known of the file may be.
const recheck = time.Second

// Keys are the enrolled keys of producers. They are in one file, which the server and
// the command line change by turns: what another process changed counts after a second
// at most. It may be used from several goroutines.
type Keys struct {
	fsys vfs.FS
	name string

	mu      sync.Mutex // guards what follows
	content []byte     // of the file; nil: there is none
	known   *known     // what it says
	checked time.Time  // when the file was read last
}

// OpenKeys opens the file of keys with that name. There need not be one yet: the first
// key that is enrolled makes it.
func OpenKeys(fsys vfs.FS, name string) (*Keys, error) {
	k := &Keys{fsys: fsys, name: name}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k, k.reload()
}

// reload reads the file. If it cannot be read, the next call tries again. The caller
// holds mu.
func (k *Keys) reload() error {
	content, err := k.read()
	if err != nil {
		return err
	}
	if k.known == nil || !bytes.Equal(content, k.content) {
		f, err := k.parse(content)
		if err != nil {
			return err
		}
		k.content, k.known = content, newKnown(f.Keys)
	}
	k.checked = time.Now()
	return nil
}

// read returns the content of the file, nil when there is none.
func (k *Keys) read() ([]byte, error) {
	content, err := vfs.ReadFile(k.fsys, k.name, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the keys of producers: %w", err)
	}
	return content, nil
}

func (k *Keys) parse(content []byte) (*keyFile, error) {
	f, err := parseKeyFile(content)
	if err != nil {
		return nil, fmt.Errorf("the keys of producers in %s: %w", k.name, err)
	}
	return f, nil
}

// current returns what is known, no older than a second.
func (k *Keys) current() (*known, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.checked) >= recheck {
		if err := k.reload(); err != nil {
			return nil, err
		}
	}
	return k.known, nil
}

// List returns all keys, the oldest first, with those that were revoked.
func (k *Keys) List() ([]Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.reload(); err != nil {
		return nil, err
	}
	list := make([]Key, len(k.known.keys))
	for i := range list {
		list[i] = k.known.keys[i].clone()
	}
	return list, nil
}

// Verifiers returns all keys, with those that were revoked, to check what was signed
// with them.
func (k *Keys) Verifiers() ([]note.Verifier, error) {
	known, err := k.current()
	if err != nil {
		return nil, err
	}
	return known.verifiers, nil
}

// Enroll makes a key known: VKey, Principals, Agents, MustSign and EnrolledBy of spec
// count. The error wraps [ErrKeySpec] when it is for spec, and [ErrEnrolled] when there
// is a key with the same id.
func (k *Keys) Enroll(spec Key) (Key, error) {
	key := spec.clone()
	key.Enrolled = time.Now().UTC().Truncate(time.Second)
	key.Revoked, key.RevokedBy, key.Reason = time.Time{}, "", ""
	v, err := key.verifier()
	if err == nil {
		key.ID = evidence.KeyID(v.KeyHash())
		err = key.check()
	}
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKeySpec, err)
	}
	if err := k.fsys.MkdirAll(filepath.Dir(k.name)); err != nil {
		return Key{}, fmt.Errorf("enrolling a key: %w", err)
	}
	err = k.change(func(f *keyFile) error {
		if old := f.find(key.ID); old != nil {
			return fmt.Errorf("%w: %s of %s", ErrEnrolled, old.ID, old.Producer())
		}
		f.Keys = append(f.Keys, key)
		return nil
	})
	if err != nil {
		return Key{}, fmt.Errorf("enrolling a key: %w", err)
	}
	return key.clone(), nil
}

// Revoke makes a key good no more. It stays in the file; one that was revoked before is
// returned as it is. The error wraps [ErrNoKey] when there is no such key.
func (k *Keys) Revoke(id, by, reason string) (Key, error) {
	known, err := k.current()
	if err != nil {
		return Key{}, err
	}
	if known.byID[id] == nil && k.missing(id) {
		return Key{}, fmt.Errorf("%w: %.40q", ErrNoKey, id)
	}
	var revoked Key
	err = k.change(func(f *keyFile) error {
		key := f.find(id)
		if key == nil {
			return fmt.Errorf("%w: %.40q", ErrNoKey, id)
		}
		if key.Revoked.IsZero() {
			key.Revoked, key.RevokedBy, key.Reason = time.Now().UTC().Truncate(time.Second), by, reason
			if err := key.check(); err != nil {
				return fmt.Errorf("%w: %w", ErrKeySpec, err)
			}
		}
		revoked = key.clone()
		return nil
	})
	if err != nil {
		return Key{}, fmt.Errorf("revoking a key: %w", err)
	}
	return revoked, nil
}

// missing reports whether the file as it is now has no key with that id. Where nothing
// was ever enrolled, there is nothing that could be locked and changed.
func (k *Keys) missing(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reload() == nil && k.known.byID[id] == nil
}

// change changes the file while nobody else does.
func (k *Keys) change(edit func(*keyFile) error) (err error) {
	lock, err := statefile.Lock(k.fsys, k.name, statefile.LockWait)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	content, err := k.read()
	if err != nil {
		return err
	}
	f, err := k.parse(content)
	if err != nil {
		return err
	}
	if err := edit(f); err != nil {
		return err
	}
	if content, err = f.encode(); err != nil {
		return fmt.Errorf("%s: %w", k.name, err)
	}
	err = vfs.WriteFileAtomic(k.fsys, k.name, content)
	k.mu.Lock()
	defer k.mu.Unlock()
	return errors.Join(err, k.reload())
}
