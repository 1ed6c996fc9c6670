package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/custodylog/custody/internal/statefile"
)

// The file of tokens is described in docs/format/tokens.md.
const (
	tokenFormat  = 2       // 1 did not say who was behind created_by
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
	var f tokenFile
	if err := statefile.DecodeSince(content, 1, tokenFormat, &f); err != nil {
		return nil, err
	}
	f.Format = tokenFormat
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

// check returns what is wrong with the record.
func (r *tokenRecord) check() error {
	if !validID(r.ID) {
		return fmt.Errorf("id: expected %d hexadecimal digits, in lower case", idLen)
	}
	if _, ok := r.secretHash(); !ok {
		return errors.New("secret_sha256: expected 64 hexadecimal digits, in lower case")
	}
	spec := TokenSpec{Name: r.Name, Roles: r.Roles, Trails: r.Trails, Agents: r.Agents, CreatedBy: r.CreatedBy, CreatedByPerson: r.CreatedByPerson}
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
