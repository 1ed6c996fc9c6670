package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/custodylog/custody/internal/statefile"
	"github.com/custodylog/custody/internal/vfs"
)

// ErrNoToken says that no token has an id.
var ErrNoToken = errors.New("there is no such token")

// ErrTokenSpec is wrapped by the errors of a [TokenSpec] that says something else than
// it may.
var ErrTokenSpec = errors.New("not what a token can be")

// TokensFile is the name of the file of tokens in the data directory of a server.
const TokensFile = "tokens.json"

const (
	recheck     = time.Second // how old what is known of the file may be
	saveUseEach = time.Minute // how often it is written which tokens were used
)

// Tokens are the API tokens of a server. They are in one file, which the server and
// the command line change by turns: what another process changed counts after a second
// at most, and a token that it created at once. It implements [Authenticator] and may
// be used from several goroutines.
type Tokens struct {
	// OnProblem, if it is not nil, is told why it could not be written when tokens
	// were used last; that keeps no token from being used. Set it before the first
	// request.
	OnProblem func(error)

	fsys vfs.FS
	name string

	changing sync.Mutex // held while this process changes the file, before mu

	mu      sync.Mutex // guards what follows; the file is read under it, so that nothing older follows
	content []byte     // of the file
	file    *tokenFile // what it says
	known   map[string]knownToken
	checked time.Time            // when the file was read last
	used    map[string]time.Time // uses that are not in the file, by id
	saved   time.Time            // when uses were written to the file last
}

// knownToken is a token as requests need it.
type knownToken struct {
	info      *TokenInfo
	hash      [sha256.Size]byte
	principal *Principal
}

// OpenTokens opens the file of tokens with that name. There need not be one yet; the
// first token that is created makes it.
func OpenTokens(fsys vfs.FS, name string) (*Tokens, error) {
	t := &Tokens{fsys: fsys, name: name, used: map[string]time.Time{}}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.reload(); err != nil {
		return nil, err
	}
	return t, nil
}

// reload reads the file. If it cannot be read, what was known before stays, and the
// next request tries again. The caller holds mu.
func (t *Tokens) reload() error {
	content, err := t.read()
	if err != nil {
		return err
	}
	if t.file == nil || !bytes.Equal(content, t.content) {
		f, err := t.parse(content)
		if err != nil {
			return err
		}
		t.content, t.file = content, f
		t.known = make(map[string]knownToken, len(f.Tokens))
		persons := map[string]*Person{}
		for i := range f.Tokens {
			r := &f.Tokens[i]
			hash, _ := r.secretHash() // parse has checked it
			t.known[r.ID] = knownToken{info: &r.TokenInfo, hash: hash, principal: r.principal(r.person(persons))}
		}
	}
	t.checked = time.Now()
	return nil
}

// read returns the content of the file, nil when there is none.
func (t *Tokens) read() ([]byte, error) {
	content, err := vfs.ReadFile(t.fsys, t.name, maxTokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the API tokens: %w", err)
	}
	return content, nil
}

func (t *Tokens) parse(content []byte) (*tokenFile, error) {
	if content == nil {
		return &tokenFile{Format: tokenFormat}, nil
	}
	f, err := parseTokenFile(content)
	if err != nil {
		return nil, fmt.Errorf("the API tokens in %s: %w", t.name, err)
	}
	return f, nil
}

// Create makes a token. What it returns holds the secret and is stored nowhere: only
// whoever gets it can use it. The error wraps [ErrTokenSpec] when it is for spec. After
// another error there may be a token that nobody has.
func (t *Tokens) Create(spec TokenSpec) (token string, info TokenInfo, err error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	spec.Expires = spec.Expires.UTC().Truncate(time.Second)
	err = spec.check()
	if err == nil && !spec.Expires.IsZero() && !spec.Expires.After(now) {
		err = fmt.Errorf("expires: %s is not in the future", spec.Expires.Format(time.RFC3339))
	}
	if err != nil {
		return "", TokenInfo{}, fmt.Errorf("%w: %w", ErrTokenSpec, err)
	}
	info = TokenInfo{Name: spec.Name, Roles: spec.Roles, Trails: spec.Trails, Agents: spec.Agents, Created: now, CreatedBy: spec.CreatedBy, CreatedByPerson: spec.CreatedByPerson, Expires: spec.Expires}
	info = info.clone()
	if err := t.fsys.MkdirAll(filepath.Dir(t.name)); err != nil {
		return "", TokenInfo{}, fmt.Errorf("creating an API token: %w", err)
	}
	t.changing.Lock()
	defer t.changing.Unlock()
	err = t.change(statefile.LockWait, func(f *tokenFile) error {
		var secret string
		token, info.ID, secret = newToken(func(id string) bool { return f.find(id) != nil })
		hash := hashSecret(secret)
		f.Tokens = append(f.Tokens, tokenRecord{TokenInfo: info, SecretHash: hex.EncodeToString(hash[:])})
		return nil
	})
	if err != nil {
		return "", TokenInfo{}, fmt.Errorf("creating an API token: %w", err)
	}
	return token, info, nil
}

// Revoke makes a token good no more, for the principal by. It stays in the file; one
// that was revoked before is returned as it is. The error wraps [ErrNoToken] when there
// is no such token. After another error it may be revoked or not.
func (t *Tokens) Revoke(id, by string) (info TokenInfo, err error) {
	if err := checkID(by); err != nil {
		return TokenInfo{}, fmt.Errorf("who revokes an API token: %w", err)
	}
	if err := t.expect(id); err != nil {
		return TokenInfo{}, err
	}
	t.changing.Lock()
	defer t.changing.Unlock()
	err = t.change(statefile.LockWait, func(f *tokenFile) error {
		r := f.find(id)
		if r == nil {
			return noToken(id)
		}
		if r.Revoked.IsZero() {
			r.Revoked, r.RevokedBy = time.Now().UTC().Truncate(time.Second), by
		}
		info = r.clone()
		return nil
	})
	if err != nil {
		return TokenInfo{}, fmt.Errorf("revoking an API token: %w", err)
	}
	return info, nil
}

// expect returns an error when no token has the id. Where none was ever created, there
// is nothing that could be locked and changed.
func (t *Tokens) expect(id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.reload(); err != nil {
		return err
	}
	if t.file.find(id) == nil {
		return noToken(id)
	}
	return nil
}

func noToken(id string) error { return fmt.Errorf("%w: %.40q", ErrNoToken, id) }

// List returns all tokens, the oldest first, with those that are good no more.
func (t *Tokens) List() ([]TokenInfo, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.reload(); err != nil {
		return nil, err
	}
	list := make([]TokenInfo, len(t.file.Tokens))
	for i := range t.file.Tokens {
		list[i] = t.file.Tokens[i].clone()
		if at := t.used[list[i].ID]; at.After(list[i].LastUsed) {
			list[i].LastUsed = at
		}
	}
	return list, nil
}

// change changes the file while nobody else does, and waits that long for others. The
// caller holds changing.
func (t *Tokens) change(wait time.Duration, edit func(*tokenFile) error) (err error) {
	lock, err := statefile.Lock(t.fsys, t.name, wait)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	content, err := t.read()
	if err != nil {
		return err
	}
	f, err := t.parse(content)
	if err != nil {
		return err
	}
	if err := edit(f); err != nil {
		return err
	}
	used := t.unsaved()
	for id, at := range used {
		f.use(id, at)
	}
	if content, err = f.encode(); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	err = vfs.WriteFileAtomic(t.fsys, t.name, content)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		maps.DeleteFunc(t.used, func(id string, at time.Time) bool { return at.Equal(used[id]) })
	}
	return errors.Join(err, t.reload())
}

// unsaved returns the uses that are not in the file. Whether or not they can be
// written, it takes a minute until requests try that again.
func (t *Tokens) unsaved() map[string]time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.saved = time.Now()
	return maps.Clone(t.used)
}

// Authenticate implements [Authenticator]: a token is sent as a bearer token (RFC 6750
// section 2.1). Other bearer tokens are not of this kind.
func (t *Tokens) Authenticate(r *http.Request) (*Principal, error) {
	token, err := bearer(r)
	if token == "" || err != nil {
		return nil, err
	}
	return t.Check(token)
}

// Check returns whom a token stands for. A *[Denied] says why it is good for nobody.
func (t *Tokens) Check(token string) (*Principal, error) {
	id, secret, err := parseToken(token)
	if err != nil {
		return nil, &Denied{Reason: BadCredentials, Detail: "the API token is not whole: " + err.Error()}
	}
	now := time.Now()
	k, err := t.find(id, hashSecret(secret), now)
	if err != nil {
		return nil, err
	}
	if k.principal == nil {
		return nil, &Denied{Reason: BadCredentials, Detail: "there is no API token with the id " + id + ", or its secret is another one"}
	}
	return t.good(k, now)
}

// Recheck returns whom the token with an id stands for, which was shown before. A
// *[Denied] says why it is good for nobody any more.
func (t *Tokens) Recheck(id string) (*Principal, error) {
	now := time.Now()
	k, err := t.shown(id, now)
	if err != nil {
		return nil, err
	}
	if k.principal == nil {
		return nil, &Denied{Reason: Revoked, Detail: "the API token " + id + " is there no more"}
	}
	return t.good(k, now)
}

// shown returns the token with an id, the zero value when there is none.
func (t *Tokens) shown(id string, now time.Time) (knownToken, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.checked) >= recheck {
		if err := t.reload(); err != nil {
			return knownToken{}, err
		}
	}
	return t.known[id], nil
}

// good returns whom a token stands for, and notes that it was used, unless it was good
// until some time ago.
func (t *Tokens) good(k knownToken, now time.Time) (*Principal, error) {
	id := k.info.ID
	switch {
	case !k.info.Revoked.IsZero():
		return nil, &Denied{Reason: Revoked, Detail: fmt.Sprintf("the API token %s was revoked at %s", id, k.info.Revoked.Format(time.RFC3339)), Principal: k.principal}
	case k.info.ExpiredAt(now):
		return nil, &Denied{Reason: Expired, Detail: fmt.Sprintf("the API token %s expired at %s", id, k.info.Expires.Format(time.RFC3339)), Principal: k.principal}
	}
	t.use(id, now)
	return k.principal, nil
}

// bearer returns the API token of a request, "" if it has none.
func bearer(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	if len(values) > 1 {
		return "", &Denied{Reason: BadCredentials, Detail: "there is more than one header Authorization"}
	}
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(token, tokenPrefix) {
		return "", nil
	}
	return token, nil
}

// find returns the token with that id and hash, the zero value when there is none.
func (t *Tokens) find(id string, hash [sha256.Size]byte, now time.Time) (knownToken, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.checked) >= recheck {
		if err := t.reload(); err != nil {
			return knownToken{}, err
		}
	}
	k, ok := t.match(id, hash)
	if ok {
		return k, nil
	}
	// It may have been created just now, which makes the file longer. Reading the
	// file for every wrong token would be too much.
	if size, err := t.fsys.Size(t.name); err != nil || size == int64(len(t.content)) {
		return knownToken{}, nil
	}
	if err := t.reload(); err != nil {
		return knownToken{}, err
	}
	k, _ = t.match(id, hash)
	return k, nil
}

// match takes as long for every secret. The id is none.
func (t *Tokens) match(id string, hash [sha256.Size]byte) (knownToken, bool) {
	k := t.known[id] // of a token that is not there, the hash is zero, which is that of no secret
	if subtle.ConstantTimeCompare(k.hash[:], hash[:]) != 1 {
		return knownToken{}, false
	}
	return k, true
}

// use notes that a token was used and, once a minute, writes to the file which ones
// were.
func (t *Tokens) use(id string, at time.Time) {
	t.mu.Lock()
	t.used[id] = at.UTC().Truncate(time.Second)
	due := at.Sub(t.saved) >= saveUseEach
	t.mu.Unlock()
	if !due || !t.changing.TryLock() {
		return
	}
	defer t.changing.Unlock()
	err := t.change(0, func(*tokenFile) error { return nil })
	if _, locked := errors.AsType[*vfs.LockedError](err); err == nil || locked {
		return // it is written by the next one
	}
	if t.OnProblem != nil {
		t.OnProblem(fmt.Errorf("writing when API tokens were used last: %w", err))
	}
}
