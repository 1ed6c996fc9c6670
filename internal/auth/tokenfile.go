package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The file of tokens is described in docs/format/tokens.md.
const (
	tokenFormat  = 1
	maxTokenFile = 4 << 20 // bytes
)

type tokenFile struct {
	Format int           `json:"format"`
	Tokens []tokenRecord `json:"tokens"`
}

type tokenRecord struct {
	TokenInfo
	SecretHash string `json:"secret_sha256"`
}

// parseTokenFile reads the content of a file.
func parseTokenFile(content []byte) (*tokenFile, error) {
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(content, &version); err != nil {
		return nil, jsonError(content, err)
	}
	if version.Format > tokenFormat {
		return nil, fmt.Errorf("a newer version of this program wrote it: it says format %d, and this program reads %d", version.Format, tokenFormat)
	}
	if version.Format != tokenFormat {
		return nil, fmt.Errorf("format: %d; expected %d", version.Format, tokenFormat)
	}
	var f tokenFile
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, jsonError(content, err)
	}
	ids := map[string]bool{}
	for i := range f.Tokens {
		r := &f.Tokens[i]
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("token %d (id %.40q): %w", i+1, r.ID, err)
		}
		if ids[r.ID] {
			return nil, fmt.Errorf("token %d: another one has the id %s", i+1, r.ID)
		}
		ids[r.ID] = true
	}
	return &f, nil
}

// jsonError adds to an error of package json where in the file it is, if that is known.
func jsonError(content []byte, err error) error {
	var at int64
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = e.Offset
	} else if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		at = e.Offset
	} else {
		return err // an unknown member, which it names, or a time, which it shows
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(content[:at], []byte("\n")), err)
}

// check returns what is wrong with the record.
func (r *tokenRecord) check() error {
	if !validID(r.ID) {
		return fmt.Errorf("id: expected %d hexadecimal digits, in lower case", idLen)
	}
	if _, ok := r.secretHash(); !ok {
		return errors.New("secret_sha256: expected 64 hexadecimal digits, in lower case")
	}
	spec := TokenSpec{Name: r.Name, Roles: r.Roles, Trails: r.Trails, Agents: r.Agents, CreatedBy: r.CreatedBy}
	if err := spec.check(); err != nil {
		return err
	}
	if r.Created.IsZero() {
		return errors.New("created: it is missing")
	}
	if r.Revoked.IsZero() != (r.RevokedBy == "") {
		return errors.New("revoked and revoked_by: there is one without the other")
	}
	if r.RevokedBy != "" {
		if err := checkID(r.RevokedBy); err != nil {
			return fmt.Errorf("revoked_by: %w", err)
		}
	}
	return nil
}

func (r *tokenRecord) secretHash() (sum [sha256.Size]byte, ok bool) {
	b, err := hex.DecodeString(r.SecretHash)
	if err != nil || len(b) != len(sum) || hex.EncodeToString(b) != r.SecretHash {
		return sum, false
	}
	return [sha256.Size]byte(b), true
}

// find returns the record that has an id, or nil.
func (f *tokenFile) find(id string) *tokenRecord {
	i := slices.IndexFunc(f.Tokens, func(r tokenRecord) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return &f.Tokens[i]
}

// use notes when a token was used last.
func (f *tokenFile) use(id string, at time.Time) {
	if r := f.find(id); r != nil && r.LastUsed.Before(at) {
		r.LastUsed = at
	}
}

// encode returns the content of the file.
func (f *tokenFile) encode() ([]byte, error) {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, err
	}
	if len(b) >= maxTokenFile {
		return nil, fmt.Errorf("it would have %d bytes, more than the %d it may have; take tokens out of it that were revoked long ago", len(b)+1, maxTokenFile)
	}
	return append(b, '\n'), nil
}
